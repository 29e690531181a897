"""NumPy as a careful user writes it: outputs preallocated, updates in place."""

import numpy as np

from ..cases import call, chain, mlp


class Mlp(mlp.Program):
    def __init__(self, batch: int, hidden: int, examples: int, **_: object):
        self.data, self.batch, self.next = mlp.data(hidden, examples), batch, 0
        self.batches = examples // batch
        self.h, self.d = (np.empty((batch, hidden), np.float32) for _ in range(2))
        self.g1, self.g2 = np.empty_like(self.data.w1), np.empty_like(self.data.w2)
        self.rows = np.arange(batch)

    def step(self) -> np.float32:
        _, _, w1, b1, w2, b2 = self.data
        x, y = self.data.batch(self.next, self.batch)
        self.next = (self.next + 1) % self.batches
        h, d = self.h, self.d
        np.dot(x, w1, out=h)
        h += b1
        np.maximum(h, 0, out=h)
        o = h @ w2
        o += b2
        o -= o.max(1, keepdims=True)
        p = np.exp(o)
        total = p.sum(1, keepdims=True)
        cost = (np.log(total[:, 0]) - o[self.rows, y]).mean()
        p /= total
        p[self.rows, y] -= 1
        p *= np.float32(1 / self.batch)
        np.dot(p, w2.T, out=d)
        d *= h > 0
        np.dot(h.T, p, out=self.g2)
        np.dot(x.T, d, out=self.g1)
        for weight, gradient in ((w2, self.g2), (w1, self.g1)):
            gradient *= np.float32(mlp.RATE)
            weight -= gradient
        b2 -= np.float32(mlp.RATE) * p.sum(0)
        b1 -= np.float32(mlp.RATE) * d.sum(0)
        return cost


class Chain:
    against = "total"

    def __init__(self, size: int, **_: object):
        self.x, self.z = chain.data(size)

    def value(self) -> np.float32:
        x, z = self.x, self.z
        return (np.tanh(x * z + np.float32(0.5)) * np.exp(-x * x) + np.log1p(z)).sum()

    def check(self) -> list[float]:
        return [float(self.value())]

    def run(self, iterations: int) -> None:
        for _ in range(iterations):
            self.value()


class Call:
    against = "values"

    def __init__(self, **_: object):
        self.x = call.data()

    def check(self) -> list[float]:
        return (self.x + 1).tolist()

    def run(self, iterations: int) -> None:
        x = self.x
        for _ in range(iterations):
            x + 1


PROGRAMS = {"mlp": Mlp, "chain": Chain, "call": Call}
