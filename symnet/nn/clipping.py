"""Gradients kept within limits: a list of gradients in, a list of the same shapes and dtypes out.

    gradients = symnet.grad(loss, parameters)
    updates = adam(by_global_norm(gradients, 1.0), parameters)

A limit is a number above 0 or a 0-d expression. NaN stays NaN; where a norm is infinite, infinite
numbers become NaN, so that a training loop still sees that something went wrong.

Errors: ConfigError for other limits; TypeMismatchError for one variable in place of a list.
"""

import math
from collections.abc import Iterable
from typing import Any

from symnet import tensor as T
from symnet.errors import ConfigError, TypeMismatchError
from symnet.graph.variables import Variable
from symnet.ops.conversion import as_variable

__all__ = ["by_global_norm", "by_norm", "by_value", "global_norm"]


def by_value(gradients: Iterable[Any], limit: Any) -> list[Variable]:
    """Every number limited to [-limit, limit]."""
    _check(limit)
    return [T.clip(g, -_as(g.dtype, limit), _as(g.dtype, limit)) for g in _listed(gradients)]


def by_norm(gradients: Iterable[Any], limit: Any) -> list[Variable]:
    """Each gradient scaled down to Euclidean norm `limit` where its norm is larger."""
    _check(limit)
    return [_scaled(g, global_norm([g]), limit) for g in _listed(gradients)]


def by_global_norm(gradients: Iterable[Any], limit: Any) -> list[Variable]:
    """All gradients scaled down by one factor so that their `global_norm` is at most `limit`.

    The direction of the step is kept. Pascanu, Mikolov and Bengio, On the difficulty of training
    recurrent neural networks, ICML 2013, algorithm 1.
    """
    _check(limit)
    listed = _listed(gradients)
    norm = global_norm(listed)
    return [_scaled(g, norm, limit) for g in listed]


def global_norm(gradients: Iterable[Any]) -> Any:
    """The Euclidean norm of all gradients as one long vector, a float64 expression: the squares of
    float32 numbers neither overflow nor vanish in it."""
    total: Any = T.constant(0.0, dtype="float64")
    for g in _listed(gradients):
        total = total + T.sum(T.square(g.astype("float64")))
    return T.sqrt(total)


def _scaled(g: Any, norm: Any, limit: Any) -> Any:
    limit = _as("float64", limit)
    factor: Any = limit / T.maximum(norm, limit)
    return g * factor.astype(g.dtype)


def _as(dtype: str, limit: Any) -> Any:
    return T.cast(limit, dtype) if isinstance(limit, Variable) else float(limit)


def _listed(gradients: Iterable[Any]) -> list[Any]:
    if isinstance(gradients, Variable):
        raise TypeMismatchError(f"a list of gradients is wanted, not one variable ({gradients})")
    return [as_variable(g) for g in gradients]


def _check(limit: Any) -> None:
    if isinstance(limit, Variable):
        if limit.type.ndim:
            raise ConfigError(f"limit={limit} ({limit.type}): one number is wanted")
    elif isinstance(limit, bool) or not (isinstance(limit, int | float) and 0 < limit < math.inf):
        raise ConfigError(f"limit={limit!r:.60}: a finite number above 0 is wanted")
