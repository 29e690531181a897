"""Softmax, log-softmax and logsumexp along one dimension, as ops of their own.

They stay whole while rules look for them (the logarithm of a softmax is a log-softmax) and are
expanded late, by `expand`, into parts that all three and their gradients share::

    m = max(x), or 0 where that is infinite          e = exp(x - m)          s = sum(e)

    softmax = e / s      log_softmax = x - m - log(s)      logsumexp = m + log(s)

A slice that is -inf throughout (everything masked) has logsumexp -inf, log-softmax -inf, softmax 0,
and gradients without NaN; and so has a slice of no elements.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.errors import TypeMismatchError
from symnet.graph.dims import Size
from symnet.graph.op import Op, ShapeContext
from symnet.graph.types import FLOATS, TensorType, to_compute
from symnet.graph.variables import Apply, Variable
from symnet.ops.arithmetic import add, chain, strong_mul, sub, true_div
from symnet.ops.casting import cast
from symnet.ops.conversion import as_variable, floating
from symnet.ops.exponential import exp, log
from symnet.ops.logic import eq, isinf, where
from symnet.ops.movement import as_axes, as_axis, dimshuffle, reshape
from symnet.ops.reduction import Reduce, sum_
from symnet.ops.shape import multiply, sizes_of

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def _parts(x: np.ndarray, axis: int) -> Arrays:
    """x - m, m and s, summed in float64."""
    m = x.max(axis=axis, keepdims=True, initial=-np.inf)
    m = np.where(np.isinf(m), np.zeros((), x.dtype), m)
    shifted = x - m
    s = np.exp(shifted).sum(axis=axis, keepdims=True, dtype="float64").astype(x.dtype)
    return shifted, m, s


def _nonzero(s: np.ndarray) -> np.ndarray:
    return np.where(s == 0, np.ones((), s.dtype), s)


def _symbolic_parts(x: Variable, axis: int) -> tuple[Variable, Variable, Variable]:
    m = dimshuffle(Reduce("max", (axis,), x.type.dtype, of_none=True)(x), _keep(axis, x.type.ndim))
    m = where(isinf(m), 0, m)
    shifted = sub(x, m)
    return shifted, m, sum_(exp(shifted), axis, keepdims=True)


def _keep(axis: int, ndim: int) -> list[int | str]:
    return [*range(axis), "x", *range(axis, ndim - 1)]


def _drop(axis: int, ndim: int) -> list[int]:
    return [k for k in range(ndim) if k != axis]


@dataclass(frozen=True, slots=True)
class _AlongAxis(Op):
    """What the three have in common."""

    axis: int

    def output_types(self, x: Variable) -> list[TensorType]:  # type: ignore[override]
        if x.type.dtype not in FLOATS or not 0 <= self.axis < x.type.ndim:
            raise TypeMismatchError(
                f"{self} of {x} ({x.type}): a float with a dimension {self.axis} is wanted"
            )
        return [TensorType(x.type.dtype, self._out(x.type.shape))]

    def _out(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return shape

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        return [self._out(shapes[0])]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        (x,) = inputs
        with np.errstate(all="ignore"):
            return [np.asarray(self._compute(*_parts(to_compute(x), self.axis)), x.dtype)]

    def _compute(self, shifted: np.ndarray, m: np.ndarray, s: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def expand(self, x: Variable) -> Variable:
        """The same value from max, exp and sum."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Softmax(_AlongAxis):
    """exp(x) / sum(exp(x)) along `axis`."""

    def _compute(self, shifted: np.ndarray, m: np.ndarray, s: np.ndarray) -> np.ndarray:
        return np.exp(shifted) / _nonzero(s)

    def expand(self, x: Variable) -> Variable:
        shifted, _, s = _symbolic_parts(x, self.axis)
        return true_div(exp(shifted), where(eq(s, 0), 1, s))

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        (y,), (g,) = outputs, output_grads
        inner = sum_(strong_mul(g, y), self.axis, keepdims=True)
        return [strong_mul(y, sub(g, inner))]

    def __str__(self) -> str:
        return f"softmax{{{self.axis}}}"


@dataclass(frozen=True, slots=True)
class LogSoftmax(_AlongAxis):
    """x - log(sum(exp(x))) along `axis`."""

    def _compute(self, shifted: np.ndarray, m: np.ndarray, s: np.ndarray) -> np.ndarray:
        return shifted - np.log(_nonzero(s))

    def expand(self, x: Variable) -> Variable:
        shifted, _, s = _symbolic_parts(x, self.axis)
        return sub(shifted, log(where(eq(s, 0), 1, s)))

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        (x,), (g,) = inputs, output_grads
        total = sum_(g, self.axis, keepdims=True)
        return [sub(g, strong_mul(Softmax(self.axis)(x), total))]

    def __str__(self) -> str:
        return f"log_softmax{{{self.axis}}}"


@dataclass(frozen=True, slots=True)
class LogSumExp(_AlongAxis):
    """log(sum(exp(x))) along `axis`, which is dropped."""

    def _out(self, shape: tuple[Any, ...]) -> tuple[Any, ...]:
        return shape[: self.axis] + shape[self.axis + 1 :]

    def _compute(self, shifted: np.ndarray, m: np.ndarray, s: np.ndarray) -> np.ndarray:
        return (np.log(s) + m).squeeze(self.axis)

    def expand(self, x: Variable) -> Variable:
        _, m, s = _symbolic_parts(x, self.axis)
        return dimshuffle(add(log(s), m), _drop(self.axis, x.type.ndim))

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        (x,), (g,) = inputs, output_grads
        return [chain(dimshuffle(g, _keep(self.axis, x.type.ndim)), Softmax(self.axis)(x))]

    def __str__(self) -> str:
        return f"logsumexp{{{self.axis}}}"


# ---- functions


def _as_float(x: Any) -> Variable:
    x = as_variable(x)
    return cast(x, floating(x.type.dtype))


def softmax(x: Any, axis: int = -1) -> Variable:
    """exp(x) / sum(exp(x)) along `axis`: non-negative, sums to 1 (0 where all of x is -inf).

    Integers give floatX. Errors: TypeMismatchError for a scalar or an axis that x does not have.
    """
    x = _as_float(x)
    return Softmax(as_axis(axis, x.type.ndim))(x)


def log_softmax(x: Any, axis: int = -1) -> Variable:
    """The logarithm of `softmax`, accurate also where that is 0."""
    x = _as_float(x)
    return LogSoftmax(as_axis(axis, x.type.ndim))(x)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """log(sum(exp(x))) along `axis` (None: all dimensions, one, or several), without overflow."""
    x = _as_float(x)
    ndim = x.type.ndim
    axes = as_axes(axis, ndim)
    if not axes:
        return x
    merged, at = x, axes[0]
    if len(axes) > 1:  # the dimensions to reduce become one, the last
        kept = [k for k in range(ndim) if k not in axes]
        merged = dimshuffle(x, [*kept, *axes])
        sizes = sizes_of(merged)
        at = len(kept)
        merged = reshape(merged, [*sizes[:at], multiply(sizes[at:])])
    out = LogSumExp(at)(merged)
    if not keepdims:
        return out
    places = iter(range(ndim))
    return dimshuffle(out, ["x" if k in axes else next(places) for k in range(ndim)])
