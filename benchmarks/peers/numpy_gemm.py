"""The floor: the five matrix products of the MLP's step, into outputs that exist already."""

import numpy as np

from ..cases import mlp


class Mlp:
    against = "gemms"

    def __init__(self, batch: int, hidden: int, examples: int, **_: object):
        d = mlp.data(hidden, examples)
        self.x, self.w1, self.w2 = d.x[:batch].copy(), d.w1, d.w2
        shapes = ((batch, hidden), (batch, 10), (hidden, 10), (batch, hidden), (784, hidden))
        self.out = [np.zeros(shape, np.float32) for shape in shapes]

    def check(self) -> list[float]:
        self.run(1)
        return [float(np.abs(v).mean(dtype=np.float64)) for v in self.out]

    def run(self, iterations: int) -> None:
        x, w1, w2, (h, o, g2, d, g1) = self.x, self.w1, self.w2, self.out
        dot = np.dot
        for _ in range(iterations):
            dot(x, w1, out=h)
            dot(h, w2, out=o)
            dot(h.T, o, out=g2)
            dot(o, w2.T, out=d)
            dot(x.T, d, out=g1)


PROGRAMS = {"mlp": Mlp}
