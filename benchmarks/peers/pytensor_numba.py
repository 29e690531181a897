"""PyTensor with its Numba back end: the step in Theano's style, shared data sliced by givens."""

import numpy as np
import pytensor
import pytensor.tensor as pt

from ..cases import call, chain, mlp

pytensor.config.floatX = "float32"


class Mlp(mlp.Program):
    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        d, batch = self.data, self.batch
        xs, ys = pytensor.shared(d.x, borrow=True), pytensor.shared(d.y, borrow=True)
        shared = [pytensor.shared(v) for v in d.parameters]
        x, y, i = pt.matrix("x"), pt.lvector("y"), pt.lscalar("i")
        h = x
        for w, b in zip(shared[:-2:2], shared[1:-2:2]):
            h = pt.maximum(pt.dot(h, w) + b, 0)
        o = pt.dot(h, shared[-2]) + shared[-1]
        here = slice(i * batch, (i + 1) * batch)
        givens = {x: xs[here]}
        if self.loss == "pixels":
            cost = (pt.softplus(o) - o * x).mean()
        else:
            cost = -pt.special.log_softmax(o, axis=1)[pt.arange(y.shape[0]), y].mean()
            givens[y] = ys[here]
        rate = np.float32(self.rate)
        self.train = pytensor.function(
            [i],
            cost,
            updates=[(p, p - rate * g) for p, g in zip(shared, pt.grad(cost, shared))],
            givens=givens,
            mode="NUMBA",
            trust_input=True,
        )

    def step(self) -> np.ndarray:
        return self.train(np.asarray(self.advance()))


class Chain(chain.Program):
    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        x, z = pt.vector("x"), pt.vector("z")
        value = (pt.tanh(x * z + np.float32(0.5)) * pt.exp(-x * x) + pt.log1p(z)).sum()
        self.f = pytensor.function([x, z], value, mode="NUMBA", trust_input=True)

    def call(self) -> np.ndarray:
        return self.f(*self.inputs)


class Call(call.Program):
    def __init__(self, **_: object):
        self.x = call.data()
        x = pt.vector("x")
        self.f = pytensor.function([x], x + 1, mode="NUMBA", trust_input=True)


PROGRAMS = {"mlp": Mlp, "chain": Chain, "call": Call}
