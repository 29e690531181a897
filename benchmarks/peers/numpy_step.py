"""NumPy as a careful user writes it: outputs preallocated, updates in place."""

import numpy as np

from ..cases import call, chain, mlp, optimizers, rows


class Mlp(mlp.Program):
    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        d, batch = self.data, self.batch
        self.h = [np.empty((batch, len(b)), np.float32) for b in d.biases]
        self.deltas = [np.empty_like(h) for h in self.h]
        self.gradients = [np.empty_like(w) for w in d.weights]
        self.rows = np.arange(batch)

    def step(self) -> np.float32:
        _, _, weights, biases = self.data
        x, y = self.data.batch(self.advance(), self.batch)
        below, last = x, len(weights) - 1
        for n, (w, b, h) in enumerate(zip(weights, biases, self.h)):
            np.dot(below, w, out=h)
            h += b
            if n < last:
                np.maximum(h, 0, out=h)
            below = h
        cost = (self._labels if self.loss == "labels" else self._pixels)(below, y)
        for n in reversed(range(last + 1)):
            delta = self.deltas[n]
            if n:
                np.dot(delta, weights[n].T, out=self.deltas[n - 1])
                self.deltas[n - 1] *= self.h[n - 1] > 0
            np.dot((self.h[n - 1] if n else x).T, delta, out=self.gradients[n])
            self.gradients[n] *= np.float32(self.rate)
            weights[n] -= self.gradients[n]
            biases[n] -= np.float32(self.rate) * delta.sum(0)
        return cost

    def _labels(self, o: np.ndarray, y: np.ndarray) -> np.float32:
        """Softmax and cross-entropy: the cost; the gradient goes into the last delta."""
        p = self.deltas[-1]
        o -= o.max(1, keepdims=True)
        np.exp(o, out=p)
        total = p.sum(1, keepdims=True)
        cost = (np.log(total[:, 0]) - o[self.rows, y]).mean()
        p /= total
        p[self.rows, y] -= 1
        p *= np.float32(1 / self.batch)
        return cost

    def _pixels(self, o: np.ndarray, y: np.ndarray) -> np.float32:
        """Sigmoids and binary cross-entropy, likewise."""
        small = np.exp(-np.abs(o))
        cost = (np.maximum(o, 0) - o * y + np.log1p(small)).mean()
        p = self.deltas[-1]
        np.divide(np.where(o > 0, 1, small), 1 + small, out=p)
        p -= y
        p *= np.float32(1 / o.size)
        return cost


class Chain(chain.Program):
    def call(self) -> object:
        function = {"sum": chain.total, "array": chain.array, "gradient": chain.gradient}
        return function[self.kind](*self.inputs)


class Rows(rows.Program):
    def call(self) -> list[np.ndarray]:
        return rows.compute(self.kind, self.data)


class Optimizers(optimizers.Program):
    def __init__(self, rule: str):
        super().__init__(rule)
        n = optimizers.STATES[rule]
        self.states = [[np.zeros_like(p) for _ in range(n)] for p in self.parameters]
        self.t = 0

    def advance(self) -> None:
        self.t += 1
        for k, (p, g) in enumerate(zip(self.parameters, self.gradients)):
            self.parameters[k], self.states[k] = optimizers.step(
                np, self.rule, p, g, self.states[k], self.t
            )

    def values(self) -> list[np.ndarray]:
        return self.parameters


class Call(call.Program):
    def __init__(self, **_: object):
        self.x = call.data()

    @staticmethod
    def f(x: np.ndarray) -> np.ndarray:
        return x + 1

    def run(self, iterations: int) -> None:
        x = self.x
        for _ in range(iterations):
            x + 1


PROGRAMS = {"mlp": Mlp, "chain": Chain, "call": Call, "optimizers": Optimizers, "rows": Rows}
