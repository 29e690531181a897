"""PyTensor with its Numba back end: the step in Theano's style, shared data sliced by givens."""

import numpy as np
import pytensor
import pytensor.tensor as pt

from ..cases import call, chain, mlp

pytensor.config.floatX = "float32"


class Mlp(mlp.Program):
    def __init__(self, batch: int, hidden: int, examples: int, **_: object):
        d = mlp.data(hidden, examples)
        self.batches, self.next = examples // batch, 0
        xs, ys = pytensor.shared(d.x, borrow=True), pytensor.shared(d.y, borrow=True)
        parameters = w1, b1, w2, b2 = [pytensor.shared(v) for v in d[2:]]
        x, y, i = pt.matrix("x"), pt.lvector("y"), pt.lscalar("i")
        o = pt.dot(pt.maximum(pt.dot(x, w1) + b1, 0), w2) + b2
        log_p = pt.special.log_softmax(o, axis=1)
        cost = -log_p[pt.arange(y.shape[0]), y].mean()
        rate = np.float32(mlp.RATE)
        here = slice(i * batch, (i + 1) * batch)
        self.train = pytensor.function(
            [i],
            cost,
            updates=[(p, p - rate * g) for p, g in zip(parameters, pt.grad(cost, parameters))],
            givens={x: xs[here], y: ys[here]},
            mode="NUMBA",
            trust_input=True,
        )

    def step(self) -> np.ndarray:
        k = np.asarray(self.next)
        self.next = (self.next + 1) % self.batches
        return self.train(k)


class Chain:
    against = "total"

    def __init__(self, size: int, **_: object):
        self.inputs = chain.data(size)
        x, z = pt.vector("x"), pt.vector("z")
        value = (pt.tanh(x * z + np.float32(0.5)) * pt.exp(-x * x) + pt.log1p(z)).sum()
        self.f = pytensor.function([x, z], value, mode="NUMBA", trust_input=True)

    def check(self) -> list[float]:
        return [float(self.f(*self.inputs))]

    def run(self, iterations: int) -> None:
        f, (x, z) = self.f, self.inputs
        for _ in range(iterations):
            f(x, z)


class Call:
    against = "values"

    def __init__(self, **_: object):
        self.x = call.data()
        x = pt.vector("x")
        self.f = pytensor.function([x], x + 1, mode="NUMBA", trust_input=True)

    def check(self) -> list[float]:
        return self.f(self.x).tolist()

    def run(self, iterations: int) -> None:
        f, x = self.f, self.x
        for _ in range(iterations):
            f(x)


PROGRAMS = {"mlp": Mlp, "chain": Chain, "call": Call}
