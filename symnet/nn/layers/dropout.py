"""Layers that draw random numbers while training, and do nothing otherwise."""

import math
from typing import Any

from symnet import tensor as T
from symnet.errors import ConfigError
from symnet.graph.variables import Variable
from symnet.nn.layers.base import Forward, Layer
from symnet.nn.layers.core import as_float


class _Noise(Layer):
    """What they have in common: `output` is the input unless `forward.train`."""

    def output(self, x: Any, *, forward: Forward) -> Variable:  # type: ignore[override]
        x = as_float(x)
        return self.noisy(x, forward.random) if forward.train and self.works else x

    @property
    def works(self) -> bool:
        raise NotImplementedError

    def noisy(self, x: Any, random: Any) -> Variable:
        raise NotImplementedError


class _Rated(_Noise):
    """Noise with a rate, the share of numbers that are dropped."""

    def __init__(self, rate: float, name: str | None = None):
        super().__init__(name)
        self.rate = _rate(rate, self)

    @property
    def works(self) -> bool:
        return self.rate > 0


class Dropout(_Rated):
    """Each number becomes 0 with probability `rate`, the others grow by 1 / (1 - rate).

    Srivastava et al., Dropout: a simple way to prevent neural networks from overfitting, JMLR 15,
    2014; scaled while training, section 10. Errors: ConfigError for a rate outside [0, 1).
    """

    def noisy(self, x: Any, random: Any) -> Variable:
        share = 1 - self.rate
        kept = random.bernoulli(T.shape(x), share, dtype=x.dtype)
        return x * kept * (1 / share)  # type: ignore[no-any-return]


class GaussianDropout(_Rated):
    """The input times normal numbers of mean 1 and the variance of `Dropout(rate)`.

    Srivastava et al., JMLR 15, 2014, section 10. Errors: ConfigError for a rate outside [0, 1).
    """

    def noisy(self, x: Any, random: Any) -> Variable:
        deviation = math.sqrt(self.rate / (1 - self.rate))
        return x * random.normal(T.shape(x), 1.0, deviation, dtype=x.dtype)  # type: ignore[no-any-return]


class AlphaDropout(_Rated):
    """Dropout for selu units: mean 0 and variance 1 stay. Dropped units take selu's lower limit.

    Klambauer, Unterthiner, Mayr and Hochreiter, Self-normalizing neural networks, NeurIPS 2017,
    section 3. Errors: ConfigError for a rate outside [0, 1).
    """

    # -scale * alpha of selu, to which it falls
    LIMIT = -1.0507009873554805 * 1.6732632423543772

    def noisy(self, x: Any, random: Any) -> Variable:
        share = 1 - self.rate
        kept: Any = random.bernoulli(T.shape(x), share, dtype=x.dtype)
        dropped = x * kept + self.LIMIT * (1 - kept)
        scale = (share + self.LIMIT**2 * share * self.rate) ** -0.5
        return dropped * scale - scale * self.LIMIT * self.rate  # type: ignore[no-any-return]


class GaussianNoise(_Noise):
    """The input plus normal numbers of mean 0 and standard deviation `std`.

    Errors: ConfigError for a negative deviation.
    """

    def __init__(self, std: float, name: str | None = None):
        super().__init__(name)
        self.std = _number(std, "std", self)
        if self.std < 0:
            raise ConfigError(f"GaussianNoise: std={std} is negative")

    @property
    def works(self) -> bool:
        return self.std > 0

    def noisy(self, x: Any, random: Any) -> Variable:
        return x + random.normal(T.shape(x), 0.0, self.std, dtype=x.dtype)  # type: ignore[no-any-return]


class ActivityRegularization(Layer):
    """The input itself; the loss grows by l1 * sum |x| + l2 * sum x^2, averaged over examples."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0, name: str | None = None):
        super().__init__(name)
        self.l1, self.l2 = _number(l1, "l1", self), _number(l2, "l2", self)

    def output(self, x: Any, *, forward: Forward) -> Variable:  # type: ignore[override]
        terms: list[Any] = []
        if self.l1:
            total: Any = T.sum(T.abs(x))
            terms.append(total * self.l1)
        if self.l2:
            squares: Any = T.sum(x * x)
            terms.append(squares * self.l2)
        for term in terms:
            forward.penalize(term / x.shape[0])
        return x  # type: ignore[no-any-return]


def _number(value: Any, name: str, layer: Layer) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{type(layer).__name__}: {name}={value!r:.60} is not a number")
    return number


def _rate(value: Any, layer: Layer) -> float:
    rate = _number(value, "rate", layer)
    if not 0 <= rate < 1:
        raise ConfigError(
            f"{type(layer).__name__}: rate={value} is no share to drop: 0 <= rate < 1"
        )
    return rate
