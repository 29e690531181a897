"""symnet, as its documentation says to use it."""

import numpy as np

import symnet
import symnet.tensor as T

from ..cases import call, chain, layers, mlp, new_batch


def _cost(x, y, parameters, loss="labels"):
    h = x
    for w, b in zip(parameters[:-2:2], parameters[1:-2:2]):
        h = T.nnet.relu(T.dot(h, w) + b)
    o = T.dot(h, parameters[-2]) + parameters[-1]
    if loss == "pixels":
        return T.nnet.binary_crossentropy(T.nnet.sigmoid(o), x).mean()
    return T.nnet.categorical_crossentropy(T.nnet.softmax(o), y).mean()


def _descent(cost, parameters, rate):
    return [(p, p - rate * g) for p, g in zip(parameters, symnet.grad(cost, parameters))]


class Mlp(mlp.Program):
    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        d = self.data
        shared = [
            symnet.shared(v, name=f"{'Wb'[k % 2]}{k // 2 + 1}") for k, v in enumerate(d.parameters)
        ]
        x, y, i = T.matrix("x"), T.lvector("y"), T.lscalar("i")
        cost = _cost(x, y, shared, self.loss)
        here = slice(i * self.batch, (i + 1) * self.batch)
        givens = {x: symnet.shared(d.x, name="X")[here]}
        if self.loss == "labels":
            givens[y] = symnet.shared(d.y, name="Y")[here]
        updates = _descent(cost, shared, self.rate)
        self.train = symnet.function([i], cost, updates=updates, givens=givens)

    def step(self) -> np.ndarray:
        return self.train(self.advance())


class Chain:
    against = "total"

    def __init__(self, size: int, **_: object):
        self.inputs = chain.data(size)
        x, z = T.vector("x"), T.vector("z")
        value = (T.tanh(x * z + 0.5) * T.exp(-x * x) + T.log1p(z)).sum()
        self.f = symnet.function([x, z], value)

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
        x = T.vector("x")
        self.f = symnet.function([x], x + 1)

    def check(self) -> list[float]:
        return self.f(self.x).tolist()

    def run(self, iterations: int) -> None:
        f, x = self.f, self.x
        for _ in range(iterations):
            f(x)


class NewBatch(new_batch.Program):
    def __init__(self, hidden: int, **_: object):
        super().__init__(hidden)
        parameters = [symnet.shared(v) for v in self.data.parameters]
        x, y = T.matrix("x"), T.lvector("y")
        cost = _cost(x, y, parameters)
        rate = symnet.shared(np.float32(0), name="rate")  # trains, but stays where it is
        self.f = symnet.function([x, y], cost, updates=_descent(cost, parameters, rate))

    def cost(self, x: np.ndarray, y: np.ndarray) -> float:
        return float(self.f(x, y))


class Layers:
    against = "costs"

    def __init__(self, **parameters: int):
        self.data = layers.data(**parameters)
        self.f = None

    def run(self, iterations: int) -> None:
        value, *groups = self.data
        for _ in range(iterations):
            weights, biases = ([symnet.shared(v) for v in group] for group in groups)
            x = T.matrix("x")
            h = x
            for w, b in zip(weights, biases):
                h = T.tanh(T.dot(h, w) + b)
            cost = (h**2).mean()
            updates = _descent(cost, [*weights, *biases], layers.RATE)
            self.f = symnet.function([x], cost, updates=updates)
            self.costs = [float(self.f(value))]

    def check(self) -> list[float]:
        """After `run`: the first cost and the one after its step."""
        return [*self.costs, float(self.f(self.data[0]))]


PROGRAMS = {
    "mlp": Mlp,
    "chain": Chain,
    "call": Call,
    "new_batch": NewBatch,
    "layers": Layers,
}
