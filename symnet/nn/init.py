"""Initial values of weights: NumPy arrays of a shape, drawn from a seeded generator.

Weights are (inputs, outputs) as in `dot(x, W)`, or (output channels, input channels, *kernel) for
convolutions. `rng` is a `numpy.random.Generator` or a seed. `gain` multiplies the standard
deviation: 1 for linear and tanh units (He's rules already have the sqrt(2) of rectified ones).
"""

import math
from collections.abc import Sequence

import numpy as np

from symnet.config import config
from symnet.errors import ShapeError

Rng = np.random.Generator | int


def glorot_uniform(
    shape: Sequence[int], rng: Rng, gain: float = 1.0, dtype: str | None = None
) -> np.ndarray:
    """Uniform, of variance 2 gain^2 / (fan_in + fan_out); dtype None is floatX.

    Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks,
    AISTATS 2010, eq. 16.
    """
    return _uniform(shape, rng, gain * math.sqrt(2 / max(sum(fans(shape)), 1)), dtype)


def glorot_normal(
    shape: Sequence[int], rng: Rng, gain: float = 1.0, dtype: str | None = None
) -> np.ndarray:
    """Normal, of the variance of `glorot_uniform`."""
    return _normal(shape, rng, gain * math.sqrt(2 / max(sum(fans(shape)), 1)), dtype)


def he_uniform(
    shape: Sequence[int], rng: Rng, gain: float = 1.0, dtype: str | None = None
) -> np.ndarray:
    """Uniform, of the variance of `he_normal`."""
    return _uniform(shape, rng, gain * math.sqrt(2 / max(fans(shape)[0], 1)), dtype)


def he_normal(
    shape: Sequence[int], rng: Rng, gain: float = 1.0, dtype: str | None = None
) -> np.ndarray:
    """Normal, of variance 2 gain^2 / fan_in, for rectified linear units; dtype None is floatX.

    He, Zhang, Ren and Sun, Delving deep into rectifiers, ICCV 2015, eq. 10.
    """
    return _normal(shape, rng, gain * math.sqrt(2 / max(fans(shape)[0], 1)), dtype)


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many inputs each unit sums, and how many units each input reaches."""
    if len(shape) < 2:
        raise ShapeError(f"weights have at least 2 dimensions, not shape {tuple(shape)}")
    if len(shape) == 2:
        return shape[0], shape[1]
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def _uniform(shape: Sequence[int], rng: Rng, deviation: float, dtype: str | None) -> np.ndarray:
    limit = deviation * math.sqrt(3)
    drawn = np.random.default_rng(rng).uniform(-limit, limit, tuple(shape))
    return drawn.astype(dtype or config.floatX)


def _normal(shape: Sequence[int], rng: Rng, deviation: float, dtype: str | None) -> np.ndarray:
    drawn = np.random.default_rng(rng).normal(0.0, deviation, tuple(shape))
    return drawn.astype(dtype or config.floatX)
