"""Reductions: sum, prod, max, min, any, all, argmax, argmin, and what is made of them.

The ops drop the reduced dimensions; `keepdims` is a dimshuffle in the functions. The maximum of
nothing is a ShapeError when run; sums and products of nothing are 0 and 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph import dims
from symnet.graph.describe import naming
from symnet.graph.dims import Size
from symnet.graph.op import Op, ShapeContext
from symnet.graph.types import FLOATS, HALVES, NUMPY_DTYPES, TensorType, compute_dtype, to_compute
from symnet.graph.variables import Apply, Variable
from symnet.ops.arithmetic import mul, sqrt, square, strong_mul, sub, true_div
from symnet.ops.casting import cast, dtype_name
from symnet.ops.conversion import as_variable, floating
from symnet.ops.logic import eq, neq, where
from symnet.ops.movement import as_axes, as_axis, broadcast_to, dimshuffle, flatten
from symnet.ops.shape import MakeVector, multiply, shape_of, sizes_of

_NUMPY: dict[str, np.ufunc] = {
    "sum": np.add,
    "prod": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "any": np.logical_or,
    "all": np.logical_and,
}
_SELECTING = ("max", "min")
Dtype = str | None


def result_dtype(function: str, dtype: str) -> str:
    """Sums and products of booleans and integers are 64 bits wide; any and all are bool."""
    if function in ("any", "all"):
        return "bool"
    if function in _SELECTING or dtype in FLOATS:
        return dtype
    return "uint64" if dtype.startswith("uint") else "int64"


@dataclass(frozen=True, slots=True)
class Reduce(Op):
    """Reduce the dimensions `axes` (ascending, at least one) by `function`, dropping them.

    function   sum, prod, max, min, any or all; any and all take booleans only
    acc_dtype  dtype in which it accumulates; halves do in float32, and the result is rounded
    of_none    whether the maximum of nothing is -inf, and the minimum inf, rather than an error;
               floats only
    """

    function: str
    axes: tuple[int, ...]
    acc_dtype: str
    of_none: bool = False

    def output_types(self, x: Variable) -> list[TensorType]:  # type: ignore[override]
        if not self.axes or self.axes != as_axes(self.axes, x.type.ndim):
            raise TypeMismatchError(f"{self} of {x} ({x.type}): axes are ascending dimensions")
        if self.function in ("any", "all") and x.type.dtype != "bool":
            raise TypeMismatchError(f"{self} of {x} ({x.type}): booleans are wanted")
        if self.of_none and (self.function not in _SELECTING or x.type.dtype not in FLOATS):
            raise TypeMismatchError(f"{self} of {x} ({x.type}): of_none is for extremes of floats")
        if self._wants_some and 0 in [x.type.shape[axis] for axis in self.axes]:
            raise ShapeError(f"{self} of {x} ({x.type}): there is no {self.function} of nothing")
        return [TensorType(result_dtype(self.function, x.type.dtype), self._kept(x.type.shape))]

    @property
    def _wants_some(self) -> bool:
        return self.function in _SELECTING and not self.of_none

    def _kept(self, sizes: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(size for axis, size in enumerate(sizes) if axis not in self.axes)

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        (shape,) = shapes
        if self._wants_some:
            reduced = dims.product(shape[axis] for axis in self.axes)
            context.check(
                dims.apply("lt", 0, reduced), f"there is no {self.function} of no elements"
            )
        return [self._kept(shape)]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        (x,) = inputs
        if self._wants_some and 0 in [x.shape[axis] for axis in self.axes]:
            raise ShapeError(f"{self} of shape {x.shape}: there is no {self.function} of nothing")
        start: dict[str, Any] = {}
        if self.of_none:
            start["initial"] = -np.inf if self.function == "max" else np.inf
        with np.errstate(all="ignore"):
            dtype = NUMPY_DTYPES[compute_dtype(self.acc_dtype)]
            result = _NUMPY[self.function].reduce(to_compute(x), self.axes, dtype, **start)
            return [np.asarray(result, node.out.type.numpy_dtype)]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        (x,), (out,), (g,) = inputs, outputs, output_grads
        if x.type.dtype not in FLOATS:
            return [None]
        order = _keep(self.axes, x.type.ndim)
        g = dimshuffle(g, order)
        if self.function == "sum":
            return [broadcast_to(g, sizes_of(x))]
        if self.function in _SELECTING:  # every element that ties gets the gradient, as in Theano
            return [where(eq(x, dimshuffle(out, order)), g, 0)]
        return [strong_mul(g, _product_of_others(x, self.axes))]

    def __str__(self) -> str:
        return f"{self.function}{{{', '.join(map(str, self.axes))}}}"


@dataclass(frozen=True, slots=True)
class ArgReduce(Op):
    """Index along `axis` of the first extreme element; a NaN counts as the extreme. int64."""

    function: str
    axis: int

    def output_types(self, x: Variable) -> list[TensorType]:  # type: ignore[override]
        if not 0 <= self.axis < x.type.ndim:
            raise TypeMismatchError(f"{self} of {x} ({x.type}): no such dimension")
        if x.type.shape[self.axis] == 0:
            raise ShapeError(f"{self} of {x} ({x.type}): there is no {self.function} of nothing")
        shape = x.type.shape
        return [TensorType("int64", shape[: self.axis] + shape[self.axis + 1 :])]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        (shape,) = shapes
        some = dims.apply("lt", 0, shape[self.axis])
        context.check(some, f"there is no {self.function} of no elements")
        return [shape[: self.axis] + shape[self.axis + 1 :]]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        (x,) = inputs
        if x.shape[self.axis] == 0:
            raise ShapeError(f"{self} of shape {x.shape}: there is no {self.function} of nothing")
        find = np.argmax if self.function == "argmax" else np.argmin
        return [np.asarray(find(to_compute(x), axis=self.axis), "int64")]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        return [None]

    def __str__(self) -> str:
        return f"{self.function}{{{self.axis}}}"


def _keep(axes: Sequence[int], ndim: int) -> list[int | str]:
    """The dimshuffle that puts reduced dimensions back, with size 1."""
    kept = iter(range(ndim - len(axes)))
    return ["x" if axis in axes else next(kept) for axis in range(ndim)]


def _product_of_others(x: Variable, axes: tuple[int, ...]) -> Variable:
    """For each element of `x` the product of the others along `axes`.

    By division where nothing is 0. With one 0, every other element has that 0 as a factor, and the
    0 itself has none; with two, only each of them has a single 0 left. `zeros` has the value 0 but
    the derivative of the remaining zero, so the derivative of all this is right too.
    """
    order = _keep(axes, x.type.ndim)

    def total(function: str, of: Variable) -> Variable:
        acc_dtype = result_dtype(function, of.type.dtype)
        return dimshuffle(Reduce(function, axes, acc_dtype)(of), order)

    is_zero = eq(x, 0)
    nonzero = where(is_zero, 1, x)
    zeros = total("sum", where(is_zero, x, 0))
    count = total("sum", is_zero)
    of_zero = where(eq(count, 1), 1, where(eq(count, 2), sub(zeros, x), 0))
    of_nonzero = where(eq(count, 0), 1, where(eq(count, 1), zeros, 0))
    product = total("prod", nonzero)
    return where(is_zero, mul(product, of_zero), mul(true_div(product, nonzero), of_nonzero))


# ---- functions


def reduce(
    function: str,
    x: Any,
    axis: Any = None,
    keepdims: bool = False,
    dtype: Dtype = None,
    acc_dtype: Dtype = None,
) -> Variable:
    """`x` reduced along `axis`: None for all dimensions, one, or several.

    `dtype` is that of the result; a wider float also widens the elements first. `acc_dtype`, for
    floats, is the dtype of the accumulator, of halves always float32. Errors: TypeMismatchError,
    ShapeError.
    """
    x = as_variable(x)
    with naming(x):
        axes = as_axes(axis, x.type.ndim)
    if function in ("any", "all"):
        x = cast(x, "bool")
    wanted = None if dtype is None else dtype_name(dtype)
    narrower = wanted in HALVES and x.type.dtype in FLOATS  # then only the result is rounded
    if wanted is not None and wanted in FLOATS and x.type.dtype != "float64" and not narrower:
        x = cast(x, compute_dtype(wanted))
    result = result_dtype(function, x.type.dtype)
    if acc_dtype is None or result not in FLOATS:
        acc_dtype = compute_dtype(result)
    elif acc_dtype not in FLOATS:
        raise TypeMismatchError(f"{function}: acc_dtype={acc_dtype!r} is not a float")
    if not axes:
        out = cast(x, result)
    elif _is_shape_vector(x, function):
        out = multiply(x.owner.inputs)  # type: ignore[union-attr]
    else:
        out = Reduce(function, axes, acc_dtype)(x)
    if keepdims:
        out = dimshuffle(out, _keep(axes, x.type.ndim))
    return out if wanted is None else cast(out, wanted)


def _is_shape_vector(x: Variable, function: str) -> bool:
    """Whether this is the product of a shape, which stays an expression of sizes."""
    made = x.owner is not None and isinstance(x.owner.op, MakeVector)
    return made and function == "prod" and x.type.dtype == "int64"


def sum_(
    x: Any, axis: Any = None, keepdims: bool = False, dtype: Dtype = None, acc_dtype: Dtype = None
) -> Variable:
    """Sum along `axis`; see `reduce`. Booleans and integers give int64 (unsigned: uint64)."""
    return reduce("sum", x, axis, keepdims, dtype, acc_dtype)


def prod(
    x: Any, axis: Any = None, keepdims: bool = False, dtype: Dtype = None, acc_dtype: Dtype = None
) -> Variable:
    """Product along `axis`; see `reduce`. Its gradient is right where elements are 0."""
    return reduce("prod", x, axis, keepdims, dtype, acc_dtype)


def max_(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Maximum along `axis`, NaN if there is one. All elements that tie get the gradient."""
    return reduce("max", x, axis, keepdims)


def min_(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Minimum along `axis`, NaN if there is one. All elements that tie get the gradient."""
    return reduce("min", x, axis, keepdims)


def any_(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Whether any element along `axis` is not 0."""
    return reduce("any", x, axis, keepdims)


def all_(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Whether every element along `axis` is not 0."""
    return reduce("all", x, axis, keepdims)


def argmax(x: Any, axis: int | None = None, keepdims: bool = False) -> Variable:
    """Index of the first maximum along `axis`, or in C order with axis=None. int64."""
    return _arg_reduce("argmax", x, axis, keepdims)


def argmin(x: Any, axis: int | None = None, keepdims: bool = False) -> Variable:
    """Index of the first minimum along `axis`, or in C order with axis=None. int64."""
    return _arg_reduce("argmin", x, axis, keepdims)


def _arg_reduce(function: str, x: Any, axis: Any, keepdims: bool) -> Variable:
    x = as_variable(x)
    ndim = x.type.ndim
    if isinstance(axis, (tuple, list)) and len(axis) == 1:
        (axis,) = axis
    if axis is None or ndim == 0:
        if axis is not None:
            as_axis(axis, max(1, ndim))
        flat = flatten(x)
        order: list[int | str] = ["x"] * ndim
        out = ArgReduce(function, 0)(flat)
    else:
        axis = as_axis(axis, ndim)
        order = _keep((axis,), ndim)
        out = ArgReduce(function, axis)(x)
    return dimshuffle(out, order) if keepdims else out


def mean(
    x: Any, axis: Any = None, keepdims: bool = False, dtype: Dtype = None, acc_dtype: Dtype = None
) -> Variable:
    """Arithmetic mean along `axis`; integers give floatX. NaN for no elements."""
    return _mean(x, axis, keepdims, dtype, acc_dtype, 0)


def _mean(
    x: Any, axis: Any, keepdims: bool, dtype: str | None, acc_dtype: str | None, ddof: int
) -> Variable:
    x = as_variable(x)
    kind = floating(x.type.dtype if dtype is None else dtype_name(dtype))
    if kind in HALVES:  # the sum and the count may be beyond them where the mean is not
        return cast(_mean(cast(x, "float32"), axis, keepdims, None, acc_dtype, ddof), kind)
    total = reduce("sum", x, axis, keepdims, kind, acc_dtype)
    axes = as_axes(axis, x.type.ndim)
    static = [x.type.shape[a] for a in axes]
    if None in static:
        count: Any = cast(multiply([shape_of(x, a) for a in axes]), kind)
        count = sub(count, ddof) if ddof else count
    else:
        count = as_variable(math.prod(static) - ddof, kind)  # type: ignore[arg-type]
    return true_div(total, count)


def var(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Variable:
    """Variance along `axis`: the mean squared deviation, over n - ddof. Of halves in float32."""
    x = as_variable(x)
    if x.type.dtype in HALVES:
        return cast(var(cast(x, "float32"), axis, ddof, keepdims), x.type.dtype)
    centered = sub(x, mean(x, axis, keepdims=True))
    return _mean(square(centered), axis, keepdims, None, None, ddof)


def std(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Variable:
    """Standard deviation along `axis`, the root of `var`."""
    x = as_variable(x)
    if x.type.dtype in HALVES:
        return cast(std(cast(x, "float32"), axis, ddof, keepdims), x.type.dtype)
    return sqrt(var(x, axis, ddof, keepdims))


def count_nonzero(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """How many elements along `axis` are not 0. int64."""
    return sum_(neq(x, 0), axis, keepdims)
