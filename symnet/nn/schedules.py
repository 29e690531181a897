"""Learning rates over time: callables of the time in epochs, 0 at the start.

    rate = warmup(1, then=cosine(0.1, 0, epochs=9))
    rate(0.5)            # a Python float
    rate(t)              # an expression, where t is a 0-d floating-point expression

Both give equal values, up to the rounding of t's dtype. Schedules are values: equal settings make
equal schedules, and `config()` gives the settings as JSON has them, those of a schedule inside
another as a dict with its name. After its `epochs` a schedule keeps its last value. (The classes
have lower-case names because they are used like functions.)

Errors: ConfigError for settings that are no finite numbers in their range.
"""

import dataclasses
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from symnet import tensor as T
from symnet.errors import ConfigError
from symnet.graph.variables import Variable

__all__ = [
    "Schedule", "constant", "cosine", "exponential", "inverse_time", "linear", "polynomial",
    "step_decay", "warmup",
]  # fmt: skip


class Schedule(ABC):
    """A quantity that depends on the time in epochs.

    Subclasses are dataclasses of numbers and write `value`; those of `positive` are above 0.
    """

    positive: ClassVar[tuple[str, ...]] = ("epochs",)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, Schedule):
                continue
            if (
                isinstance(value, bool | np.bool_)
                or not isinstance(value, int | float | np.integer | np.floating)
                or not math.isfinite(value)
                or value < 0
                or (field.name in self.positive and value == 0)
            ):
                wanted = "above 0" if field.name in self.positive else "at least 0"
                raise ConfigError(
                    f"{type(self).__name__}: {field.name}={value!r:.60}: a finite number, "
                    f"{wanted}, is wanted"
                )
            if not isinstance(value, int | float) or isinstance(value, np.floating):
                object.__setattr__(self, field.name, value.item())  # JSON knows no NumPy

    def __call__(self, t: Any) -> Any:
        """The value at time `t`: a float for a number, else a 0-d expression."""
        if isinstance(t, Variable):
            return self.value(t, T)
        with np.errstate(under="ignore"):
            return float(self.value(np.float64(t), np))

    @abstractmethod
    def value(self, t: Any, m: Any) -> Any:
        """The value at `t`, by the functions of `m`: numpy, or symnet.tensor."""

    def config(self) -> dict[str, Any]:
        """The settings by name."""
        settings = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]
        return {
            k: {"name": type(v).__name__, **v.config()} if isinstance(v, Schedule) else v
            for k, v in settings.items()
        }


def _passed(t: Any, epochs: float, m: Any) -> Any:
    """The share of `epochs` that has passed, in [0, 1]."""
    return m.minimum(m.maximum(t / epochs, 0.0), 1.0)


@dataclass(frozen=True)
class constant(Schedule):
    """`rate`, always."""

    rate: float

    def value(self, t: Any, m: Any) -> Any:
        return t * 0.0 + self.rate


@dataclass(frozen=True)
class linear(Schedule):
    """From `start` to `end` along a line."""

    start: float
    end: float
    epochs: float

    def value(self, t: Any, m: Any) -> Any:
        return self.start + (self.end - self.start) * _passed(t, self.epochs, m)


@dataclass(frozen=True)
class polynomial(Schedule):
    """end + (start - end) (1 - t / epochs)^power."""

    start: float
    end: float
    epochs: float
    power: float = 2.0
    positive = ("epochs", "power")

    def value(self, t: Any, m: Any) -> Any:
        left = 1.0 - _passed(t, self.epochs, m)
        return self.end + (self.start - self.end) * left**self.power


@dataclass(frozen=True)
class cosine(Schedule):
    """From `start` to `end` along half a wave of a cosine.

    Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, ICLR 2017, eq. 5.
    """

    start: float
    end: float
    epochs: float

    def value(self, t: Any, m: Any) -> Any:
        wave = 0.5 * (1.0 + m.cos(math.pi * _passed(t, self.epochs, m)))
        return self.end + (self.start - self.end) * wave


@dataclass(frozen=True)
class exponential(Schedule):
    """start * factor^(t / epochs): times `factor` in every `epochs`, without end."""

    start: float
    factor: float
    epochs: float = 1.0
    positive = ("epochs", "factor")

    def value(self, t: Any, m: Any) -> Any:
        return self.start * self.factor ** (t / self.epochs)


@dataclass(frozen=True)
class step_decay(Schedule):
    """start * factor^floor(t / epochs): times `factor` after every `epochs`, at once."""

    start: float
    factor: float
    epochs: float = 1.0
    positive = ("epochs", "factor")

    def value(self, t: Any, m: Any) -> Any:
        return self.start * self.factor ** m.floor(t / self.epochs)


@dataclass(frozen=True)
class inverse_time(Schedule):
    """start / (1 + decay t): for decay > 0 the rates sum to infinity and their squares do not.

    Robbins and Monro, A stochastic approximation method, Annals of Mathematical Statistics 22,
    1951.
    """

    start: float
    decay: float = 1.0

    def value(self, t: Any, m: Any) -> Any:
        return self.start / (1.0 + self.decay * t)


@dataclass(frozen=True)
class warmup(Schedule):
    """From `start` to the first value of `then` along a line; after `epochs`, `then`, whose time
    starts there. `then` is a schedule or a number.

    Goyal et al., Accurate, large minibatch SGD, arXiv:1706.02677, section 2.2.
    """

    epochs: float
    then: "Schedule | float"
    start: float = 0.0

    def value(self, t: Any, m: Any) -> Any:
        after = self.then if isinstance(self.then, Schedule) else constant(self.then)
        rising = self.start + (after(0.0) - self.start) * _passed(t, self.epochs, m)
        return m.where(t < self.epochs, rising, after.value(m.maximum(t - self.epochs, 0.0), m))
