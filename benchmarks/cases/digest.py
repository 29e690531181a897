"""Few numbers that tell arrays apart, and programs that are checked by them."""

import numpy as np


def digest(*arrays: np.ndarray) -> list[float]:
    """Of every array the mean magnitude, and the mean magnitude weighted by position, in float64.

    Both are sums of numbers of one sign, so that a relative error of the result is one of the
    elements.
    """
    result = []
    for a in arrays:
        flat = np.abs(np.asarray(a).astype(np.float64).ravel())
        weights = 1 + np.arange(flat.size) % 7
        result += [float(flat.mean()), float((flat * weights).mean())]
    return result


class Program:
    """Common part of programs whose iteration is a `call`."""

    def call(self) -> object:
        """The result, or a sequence of results, finished."""
        raise NotImplementedError

    def check(self) -> list[float]:
        results = self.call()
        return digest(*(results if isinstance(results, (list, tuple)) else [results]))

    def run(self, iterations: int) -> None:
        for _ in range(iterations):
            self.call()
