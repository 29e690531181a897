"""Penalties on weights, to be added to a loss: callables from an expression to one number.

They are values: equal settings make equal penalties, and `config()` gives the settings as JSON has
them. (The classes have lower-case names because they are used like functions: `l2(1e-4)(W)`.)
"""

import dataclasses
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from symnet import tensor as T
from symnet.errors import ConfigError
from symnet.graph.variables import Variable

__all__ = ["Penalty", "l1", "l1_l2", "l2"]


class Penalty(ABC):
    """A number added to the loss, of the dtype of the weights. Subclasses are dataclasses whose
    fields are weights: finite numbers, at least 0 (else ConfigError)."""

    def __post_init__(self) -> None:
        for name, value in self.config().items():
            if (
                isinstance(value, bool)
                or not isinstance(value, int | float)
                or not 0 <= value < math.inf
            ):
                raise ConfigError(
                    f"{type(self).__name__}: {name}={value!r:.60}: a finite number, at least 0, "
                    "is wanted"
                )

    @abstractmethod
    def __call__(self, weights: Any) -> Variable:
        """The penalty, a 0-d expression, of weights of any shape."""

    def config(self) -> dict[str, Any]:
        """The settings by name."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True)
class l1(Penalty):
    """weight * sum(|w|), which drives weights to exactly 0 (Tibshirani, Regression shrinkage and
    selection via the lasso, Journal of the Royal Statistical Society B 58, 1996)."""

    weight: float = 0.01

    def __call__(self, weights: Any) -> Variable:
        return _absolute(self.weight, weights)


@dataclass(frozen=True)
class l2(Penalty):
    """weight * sum(w^2), without a factor 1/2 (Hoerl and Kennard, Ridge regression, Technometrics
    12, 1970)."""

    weight: float = 0.01

    def __call__(self, weights: Any) -> Variable:
        return _squared(self.weight, weights)


@dataclass(frozen=True)
class l1_l2(Penalty):
    """l1 * sum(|w|) + l2 * sum(w^2), the elastic net (Zou and Hastie, Journal of the Royal
    Statistical Society B 67, 2005)."""

    l1: float = 0.01
    l2: float = 0.01

    def __call__(self, weights: Any) -> Variable:
        return _absolute(self.l1, weights) + _squared(self.l2, weights)  # type: ignore[no-any-return]


def _absolute(factor: float, weights: Any) -> Any:
    total: Any = T.sum(abs(T.as_tensor(weights)))
    return factor * total


def _squared(factor: float, weights: Any) -> Any:
    total: Any = T.sum(T.square(weights))
    return factor * total
