"""The smallest function: what a call costs."""

import numpy as np


class Program:
    """Common part of the peers' programs of this family; they have an array `x` of four floats and
    a function `f` that adds 1."""

    against = "values"

    def check(self) -> list[float]:
        return self.f(self.x).tolist()

    def run(self, iterations: int) -> None:
        f, x = self.f, self.x
        for _ in range(iterations):
            f(x)


def data(**_: object) -> np.ndarray:
    return np.arange(4, dtype=np.float32)


def values(**_: object) -> list[float]:
    return [1.0, 2.0, 3.0, 4.0]


REFERENCES = {"values": values}
