"""The smallest function: what a call costs."""

import numpy as np


def data(**_: object) -> np.ndarray:
    return np.arange(4, dtype=np.float32)


def values(**_: object) -> list[float]:
    return [1.0, 2.0, 3.0, 4.0]


REFERENCES = {"values": values}
