"""The floor: the matrix products of the network's step, into outputs that exist already."""

import numpy as np

from ..cases import mlp


class Mlp:
    against = "gemms"

    def __init__(
        self, sizes: list[int], batch: int, examples: int, loss: str = "labels", **_: object
    ):
        d = mlp.data(sizes, examples, loss)
        h = [d.x[:batch].copy(), *(np.zeros((batch, n), np.float32) for n in sizes[1:])]
        self.products = [(h[n], w, h[n + 1]) for n, w in enumerate(d.weights)]
        delta = h[-1]
        for n in reversed(range(len(d.weights))):
            self.products.append((h[n].T, delta, np.zeros_like(d.weights[n])))
            if n:
                self.products.append((delta, d.weights[n].T, np.zeros_like(h[n])))
                delta = self.products[-1][2]

    def check(self) -> list[float]:
        self.run(1)
        return [float(np.abs(out).mean(dtype=np.float64)) for _, _, out in self.products]

    def run(self, iterations: int) -> None:
        dot, products = np.dot, self.products
        for _ in range(iterations):
            for a, b, out in products:
                dot(a, b, out=out)


PROGRAMS = {"mlp": Mlp}
