"""Fusible chains of element-wise functions over x and z, as many elements each.

sum       of tanh(x z + 0.5) exp(-x^2) + log1p(z)
array     sqrt(x^2 + z^2) sigmoid(x) - 0.1 x
gradient  of the first with respect to x and z, and its value
"""

import numpy as np

from . import digest


class Program(digest.Program):
    """Common part of the peers' programs of this family; they define `call`."""

    def __init__(self, size: int, kind: str = "sum"):
        self.kind, self.inputs = kind, data(size)
        self.against = kind


def data(size: int, **_: object) -> tuple[np.ndarray, np.ndarray]:
    """x and z, float32 (size,); z is not negative."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(size, dtype=np.float32)
    return x, rng.random(size, dtype=np.float32)


def total(x: np.ndarray, z: np.ndarray) -> np.floating:
    """In NumPy, in the precision of the data."""
    return (np.tanh(x * z + x.dtype.type(0.5)) * np.exp(-x * x) + np.log1p(z)).sum()


def array(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Likewise."""
    return np.sqrt(x * x + z * z) / (1 + np.exp(-x)) - x.dtype.type(0.1) * x


def gradient(x: np.ndarray, z: np.ndarray) -> tuple[np.floating, np.ndarray, np.ndarray]:
    """Likewise: the sum, and its gradients."""
    t, e = np.tanh(x * z + x.dtype.type(0.5)), np.exp(-x * x)
    slope = (1 - t * t) * e
    return (t * e + np.log1p(z)).sum(), slope * z - 2 * x * t * e, slope * x + 1 / (1 + z)


def _wide(size: int) -> tuple[np.ndarray, ...]:
    return tuple(v.astype(np.float64) for v in data(size))


REFERENCES = {
    "sum": lambda size, **_: digest.digest(total(*_wide(size))),
    "array": lambda size, **_: digest.digest(array(*_wide(size))),
    "gradient": lambda size, **_: digest.digest(*gradient(*_wide(size))),
}
