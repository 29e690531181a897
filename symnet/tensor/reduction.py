"""Reductions, with Theano's arguments: `axis` is None (all dimensions), one, or several.

Errors: TypeMismatchError for a dimension that the tensor does not have; ShapeError, when built or
when run, for an extreme of nothing.
"""

from typing import Any

import numpy as np

from symnet.graph.variables import Variable
from symnet.ops import reduction
from symnet.ops.arithmetic import absolute, sqrt, square, sub
from symnet.ops.casting import cast
from symnet.ops.conversion import as_variable, floating
from symnet.ops.exponential import power
from symnet.ops.nnet import logsumexp
from symnet.ops.reduction import (
    all_,
    any_,
    argmax,
    argmin,
    count_nonzero,
    max_,
    min_,
    std,
    var,
)
from symnet.tensor.elementwise import isclose

__all__ = [
    "all_", "allclose", "any_", "argmax", "argmin", "count_nonzero", "logsumexp", "max_",
    "max_and_argmax", "mean", "min_", "norm", "prod", "ptp", "std", "sum_", "var",
]  # fmt: skip


def sum_(
    x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, acc_dtype: Any = None
) -> Variable:
    """Sum. Booleans and integers give int64 (unsigned ones uint64), floats keep their dtype.

    `dtype` is that of the result, `acc_dtype` (floats) that of the accumulator.
    """
    return reduction.sum_(x, axis, keepdims, dtype, acc_dtype)


def prod(
    x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, acc_dtype: Any = None
) -> Variable:
    """Product, dtypes as in `sum`. Its gradient is right where elements are 0."""
    return reduction.prod(x, axis, keepdims, dtype, acc_dtype)


def mean(
    x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, acc_dtype: Any = None
) -> Variable:
    """Arithmetic mean; integers give floatX. NaN for no elements."""
    return reduction.mean(x, axis, keepdims, dtype, acc_dtype)


def max_and_argmax(x: Any, axis: Any = None, keepdims: bool = False) -> tuple[Variable, Variable]:
    """`max` and `argmax`."""
    return max_(x, axis, keepdims), argmax(x, axis, keepdims)


def ptp(x: Any, axis: Any = None) -> Variable:
    """Maximum less minimum."""
    return sub(max_(x, axis), min_(x, axis))


def norm(x: Any, ord: Any = 2, axis: Any = None, keepdims: bool = False) -> Variable:
    """The vector norm of order `ord` (2, 1, any power, inf, -inf, 0) along `axis`; floatX for
    integers. Its gradient at 0 is 0."""
    x = as_variable(x)
    x = cast(x, floating(x.type.dtype))
    if ord is None or ord == 2:
        return sqrt(reduction.sum_(square(x), axis, keepdims))
    if ord == 1:
        return reduction.sum_(absolute(x), axis, keepdims)
    if ord == np.inf:
        return max_(absolute(x), axis, keepdims)
    if ord == -np.inf:
        return min_(absolute(x), axis, keepdims)
    if ord == 0:
        return cast(count_nonzero(x, axis, keepdims), x.type.dtype)
    return power(reduction.sum_(power(absolute(x), ord), axis, keepdims), 1 / ord)


def allclose(
    x: Any, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Variable:
    """Whether `isclose` holds for all elements."""
    return all_(isclose(x, y, rtol, atol, equal_nan))
