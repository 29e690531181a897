"""A fusible chain of element-wise functions, ending in one sum."""

import numpy as np


def data(size: int, **_: object) -> tuple[np.ndarray, np.ndarray]:
    """x and z, float32 (size,); z is not negative."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(size, dtype=np.float32)
    return x, rng.random(size, dtype=np.float32)


def total(size: int, **_: object) -> list[float]:
    """The sum in float64."""
    x, z = (v.astype(np.float64) for v in data(size))
    return [float((np.tanh(x * z + 0.5) * np.exp(-x * x) + np.log1p(z)).sum())]


REFERENCES = {"total": total}
