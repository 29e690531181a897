"""Initial values of weights: NumPy arrays of a shape, drawn from a seeded generator.

Weights are (inputs, outputs) as in `dot(x, W)`, or (output channels, input channels, *kernel) for
convolutions. `rng` is a `numpy.random.Generator` or a seed. `gain` multiplies the standard
deviation: 1 for linear and tanh units (He's rules already have the sqrt(2) of rectified ones).
dtype None is floatX. Settings are fixed by `functools.partial(normal, std=0.1)`.

Errors: ShapeError for a shape that a rule has no meaning for; ConfigError for settings outside
their range.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from symnet.config import config
from symnet.errors import ConfigError, DataError, ShapeError
from symnet.graph.types import NUMPY_DTYPES

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


def lecun_uniform(
    shape: Sequence[int], rng: Rng, gain: float = 1.0, dtype: str | None = None
) -> np.ndarray:
    """Uniform, of the variance of `lecun_normal`."""
    return _uniform(shape, rng, gain * math.sqrt(1 / max(fans(shape)[0], 1)), dtype)


def lecun_normal(
    shape: Sequence[int], rng: Rng, gain: float = 1.0, dtype: str | None = None
) -> np.ndarray:
    """Normal, of variance gain^2 / fan_in: units have the variance of their inputs.

    LeCun, Bottou, Orr and Müller, Efficient backprop, in Neural networks: tricks of the trade,
    1998, eq. 16.
    """
    return _normal(shape, rng, gain * math.sqrt(1 / max(fans(shape)[0], 1)), dtype)


def orthogonal(
    shape: Sequence[int], rng: Rng, gain: float = 1.0, dtype: str | None = None
) -> np.ndarray:
    """A random orthogonal matrix times `gain`; where not square, its columns or its rows are
    orthonormal, whichever are fewer. Kernels of convolutions: each output channel is a row.

    Saxe, McClelland and Ganguli, Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks, ICLR 2014. Uniform over orthogonal matrices: Mezzadri, How to generate
    random matrices from the classical compact groups, Notices of the AMS 54, 2007.
    """
    fans(shape)
    rows, columns = shape[0], math.prod(shape[1:])
    drawn = np.random.default_rng(rng).normal(size=(max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)  # else the signs would not be random
    weights = gain * (q if rows >= columns else q.T).reshape(tuple(shape))
    return weights.astype(_float(dtype))


def uniform(
    shape: Sequence[int],
    rng: Rng,
    low: float = -1.0,
    high: float = 1.0,
    dtype: str | None = None,
) -> np.ndarray:
    """Uniform from `low` to `high`."""
    if not -math.inf < low <= high < math.inf:
        raise ConfigError(f"uniform: from low={low!r} to high={high!r} is no range")
    return np.random.default_rng(rng).uniform(low, high, tuple(shape)).astype(_float(dtype))


def normal(
    shape: Sequence[int], rng: Rng, std: float = 0.05, dtype: str | None = None
) -> np.ndarray:
    """Normal, of mean 0 and standard deviation `std`."""
    if not 0 <= std < math.inf:
        raise ConfigError(f"normal: std={std!r}: a finite number, at least 0, is wanted")
    return _normal(shape, rng, std, dtype)


def zeros(shape: Sequence[int], rng: Any = None, dtype: str | None = None) -> np.ndarray:
    """0 throughout."""
    return np.zeros(tuple(shape), _float(dtype))


def ones(shape: Sequence[int], rng: Any = None, dtype: str | None = None) -> np.ndarray:
    """1 throughout."""
    return np.ones(tuple(shape), _float(dtype))


def constant(
    shape: Sequence[int], rng: Any = None, value: float = 0.0, dtype: str | None = None
) -> np.ndarray:
    """`value` throughout."""
    return np.full(tuple(shape), value, _float(dtype))


class from_data:
    """Weights that are examples: each unit starts with an example drawn at random as its weights,
    less the mean example, and scaled so that its sum over the data has variance gain^2.

        Dense(1000, kernel_initializer=from_data(train_images / 255))

    x  (examples, ...) as the layer sees them, so after any rescaling. At most 2000 examples, drawn
       once per call, stand for the data; units take different ones as long as there are enough.

    Called with (inputs, units). A model that is read from a file has no data: there, `from_data()`
    gives `glorot_uniform`, to be overwritten by the values in the file.

    Errors: DataError for data of fewer than 2 examples, or none that differ; ShapeError for
    weights that do not fit the examples.
    """

    def __init__(self, x: Any = None, gain: float = 1.0):
        self.gain = gain
        self.examples: np.ndarray | None = None
        if x is not None:
            examples = np.asarray(x)
            if examples.ndim < 1 or len(examples) < 2 or examples.dtype.kind not in "fiub":
                raise DataError(
                    f"from_data: numbers (examples, ...), at least 2 examples, are wanted, not "
                    f"{examples.dtype} {examples.shape}"
                )
            self.examples = examples.reshape(len(examples), -1)

    def __call__(self, shape: Sequence[int], rng: Rng, dtype: str | None = None) -> np.ndarray:
        if self.examples is None:
            return glorot_uniform(shape, rng, self.gain, dtype)
        if len(shape) != 2 or shape[0] != self.examples.shape[1]:
            raise ShapeError(
                f"from_data: weights {tuple(shape)} for examples of {self.examples.shape[1]} "
                "numbers: (inputs, units) is wanted"
            )
        rng = np.random.default_rng(rng)
        count = min(len(self.examples), max(2000, shape[1]))
        chosen = rng.choice(len(self.examples), count, replace=False)
        x = self.examples[np.sort(chosen)].astype(np.float64)
        x -= x.mean(axis=0)
        usable = rng.permutation(np.flatnonzero(np.abs(x).max(axis=1) > 0))
        if not usable.size:
            raise DataError("from_data: all examples are equal")
        weights = x[np.resize(usable, shape[1])].T
        deviation = (x[:2000] @ weights).std(axis=0)
        return (weights * (self.gain / deviation)).astype(_float(dtype))


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many inputs each unit sums, and how many units each input reaches."""
    if len(shape) < 2:
        raise ShapeError(f"weights have at least 2 dimensions, not shape {tuple(shape)}")
    if len(shape) == 2:
        return shape[0], shape[1]
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def _float(dtype: str | None) -> np.dtype:
    name = dtype or config.floatX
    return NUMPY_DTYPES[name] if name == "bfloat16" else np.dtype(name)


def _uniform(shape: Sequence[int], rng: Rng, deviation: float, dtype: str | None) -> np.ndarray:
    limit = deviation * math.sqrt(3)
    drawn = np.random.default_rng(rng).uniform(-limit, limit, tuple(shape))
    return drawn.astype(_float(dtype))


def _normal(shape: Sequence[int], rng: Rng, deviation: float, dtype: str | None) -> np.ndarray:
    drawn = np.random.default_rng(rng).normal(0.0, deviation, tuple(shape))
    return drawn.astype(_float(dtype))
