"""Tensors that are computed from the place of each element: arange, eye, masks; and constants.

`Generate` is to sources what an element-wise record is to functions: a scalar expression, here over
the element's indices, and a NumPy reference, registered under a name by `generator`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.config import config
from symnet.errors import CompilerError, ShapeError, TypeMismatchError
from symnet.graph import dims
from symnet.graph.dims import Size
from symnet.graph.op import Op, ShapeContext
from symnet.graph.types import FLOATS, HALVES, TensorType
from symnet.graph.variables import Apply, Constant, Variable, make_constant
from symnet.ops import scalar
from symnet.ops.arithmetic import floor_div, maximum, mul, neg, sub
from symnet.ops.casting import cast, dtype_name
from symnet.ops.conversion import as_variable, as_variables, is_weak
from symnet.ops.logic import where
from symnet.ops.movement import broadcast_to, check_sizes, dimshuffle, size_value
from symnet.ops.reduction import sum_
from symnet.ops.shape import ShapeOf, as_size, as_sizes, shape_of, sizes_of, static_value

NAMES = ("i0", "i1", "i2", "i3", "linear", "x", "y", "z", "w")

Reference = Callable[..., np.ndarray]
REFERENCES: dict[str, Reference] = {}


@dataclass(frozen=True, slots=True)
class Generate(Op):
    """A tensor whose elements are a scalar expression of their place and of 0-d arguments.

    The inputs are `ndim` sizes (0-d int64), then `nargs` 0-d arguments. In `expression` (grammar in
    ops/scalar.py) i0 to i3 are the element's indices and `linear` its position in C order, all
    int64; x, y, z, w are the arguments. The expression's dtype is `dtype`. The reference is
    `REFERENCES[name](sizes, *arguments)`.
    """

    name: str
    ndim: int
    dtype: str
    expression: str
    nargs: int

    @property
    def tree(self) -> scalar.Tree:
        """The parsed expression; `scalar.Arg` positions are those of NAMES."""
        return scalar.parse(self.expression, NAMES)

    def output_types(self, *inputs: Variable) -> list[TensorType]:
        sizes, args = inputs[: self.ndim], inputs[self.ndim :]
        check_sizes(self, sizes)
        if len(args) != self.nargs or any(v.type.ndim for v in args):
            described = ", ".join(f"{v}: {v.type}" for v in args)
            raise TypeMismatchError(f"{self} takes {self.nargs} scalars, not ({described})")
        static = [static_value(size) for size in sizes]
        if any(s is not None and s < 0 for s in static):
            raise ShapeError(f"{self}: sizes {', '.join(map(str, sizes))} must not be negative")
        return [TensorType(self.dtype, tuple(static))]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        what = f"a size of {self.name}"
        if self.name == "arange":
            context.check(dims.apply("ne", context.value(node.inputs[2]), 0), "the step is 0")
        return [tuple(size_value(v, context, what) for v in node.inputs[: self.ndim])]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        sizes = tuple(int(size) for size in inputs[: self.ndim])
        if any(size < 0 for size in sizes):
            raise ShapeError(f"{self}: sizes {sizes} must not be negative")
        with np.errstate(all="ignore"):
            return [np.asarray(REFERENCES[self.name](sizes, *inputs[self.ndim :]), self.dtype)]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        return [None] * len(inputs)

    def connected(self, node: Apply) -> list[bool]:
        return [False] * len(node.inputs)

    def __str__(self) -> str:
        return self.name


def generator(name: str, expression: str, nargs: int) -> Callable[[Reference], Callable[..., Any]]:
    """Define a kind of generated tensor; decorates its reference `f(sizes, *args) -> array`.

    The result is called with sizes, arguments and a dtype and makes the expression. Where the text
    says DTYPE, the dtype is put: `"cast_DTYPE(i0)"`.
    """
    if name in REFERENCES:
        raise CompilerError(f"generated tensor {name!r} is defined twice")

    def define(reference: Reference) -> Callable[..., Any]:
        REFERENCES[name] = reference

        def make(sizes: Sequence[Variable], args: Sequence[Variable], dtype: str) -> Variable:
            if dtype in HALVES:
                return cast(make(sizes, args, "float32"), dtype)
            text = expression.replace("DTYPE", dtype)
            return Generate(name, len(sizes), dtype, text, nargs)(*sizes, *args)

        make.__doc__ = reference.__doc__
        return make

    return define


# ---- the same value everywhere


def full(sizes: Any, value: Any, dtype: str | None = None, ndim: int | None = None) -> Variable:
    """A tensor of the given sizes filled with a scalar, given or symbolic. Reads one number."""
    filler = as_variable(value)
    if filler.type.ndim:
        raise TypeMismatchError(f"full: {filler} ({filler.type}) is not a scalar; use broadcast_to")
    wanted = as_sizes(sizes, ndim)
    if dtype is not None:
        filler = cast_constant(filler, dtype_name(dtype))
    return broadcast_to(dimshuffle(filler, ("x",) * len(wanted)), wanted)


def cast_constant(x: Variable, dtype: str) -> Variable:
    """`cast`, folded for a 0-d constant."""
    if isinstance(x, Constant) and x.type.ndim == 0 and x.type.dtype != dtype:
        (data,) = (node := cast(x, dtype).owner).op.perform(node, [x.data])  # type: ignore
        return make_constant(data)
    return cast(x, dtype)


def zeros(sizes: Any, dtype: str | None = None) -> Variable:
    """Zeros of the given sizes, of `dtype` or floatX."""
    return full(sizes, 0, dtype or config.floatX)


def ones(sizes: Any, dtype: str | None = None) -> Variable:
    """Ones of the given sizes, of `dtype` or floatX."""
    return full(sizes, 1, dtype or config.floatX)


def full_like(x: Any, value: Any, dtype: str | None = None) -> Variable:
    """A scalar in the shape and, unless `dtype` is given, the dtype of `x`."""
    x = as_variable(x)
    return full(sizes_of(x), value, dtype or x.type.dtype)


def zeros_like(x: Any, dtype: str | None = None) -> Variable:
    """Zeros of the shape and, unless `dtype` is given, the dtype of `x`."""
    return full_like(x, 0, dtype)


def ones_like(x: Any, dtype: str | None = None) -> Variable:
    """Ones of the shape and, unless `dtype` is given, the dtype of `x`."""
    return full_like(x, 1, dtype)


def alloc(value: Any, *sizes: Any) -> Variable:
    """`value` broadcast to the given sizes: Theano's name for `broadcast_to`."""
    return broadcast_to(value, sizes[0] if len(sizes) == 1 else sizes)


# ---- arange


@generator("arange", "cast_DTYPE(x + i0 * y)", 2)
def _arange(sizes: Sequence[int], start: np.ndarray, step: np.ndarray) -> np.ndarray:
    if step == 0:
        raise ShapeError("arange: the step is 0")
    return start + np.arange(sizes[0], dtype=start.dtype) * step


@generator("arange_float", "cast_DTYPE(x + cast_float64(i0) * y)", 2)
def _arange_float(sizes: Sequence[int], start: np.ndarray, step: np.ndarray) -> np.ndarray:
    return start + np.arange(sizes[0], dtype="float64") * step


@dataclass(frozen=True, slots=True)
class HostArange(Op):
    """arange of symbolic floats: only the values tell its length, so the host computes it."""

    dtype: str

    def output_types(self, *inputs: Variable) -> list[TensorType]:
        if len(inputs) != 3 or any(v.type.ndim or v.type.dtype != self.dtype for v in inputs):
            described = ", ".join(f"{v}: {v.type}" for v in inputs)
            raise TypeMismatchError(f"{self} takes three {self.dtype} scalars, not ({described})")
        return [TensorType(self.dtype, (None,))]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        start, stop, step = (float(v) for v in inputs)
        if not np.isfinite((start, stop, step)).all() or step == 0:
            raise ShapeError(f"arange({start}, {stop}, {step}) has no length")
        length = max(0, math.ceil((stop - start) / step))
        return [(start + np.arange(length) * step).astype(self.dtype)]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        (g,), (out,) = output_grads, outputs
        places = arange(shape_of(out, 0), dtype=self.dtype)
        return [sum_(g), None, sum_(mul(g, places))]

    def connected(self, node: Apply) -> list[bool]:
        return [True, False, True]

    def __str__(self) -> str:
        return "host_arange"


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: str | None = None) -> Variable:
    """Numbers from `start` (0 if it stands alone) to before `stop`, by `step`, as in NumPy.

    Integers, given or symbolic, give int64, floats floatX, unless `dtype` says otherwise. Errors:
    ShapeError for a step of 0.
    """
    if stop is None:
        start, stop = 0, start
    bounds = as_variables([start, stop, step])
    if any(v.type.ndim for v in bounds):
        described = ", ".join(f"{v}: {v.type}" for v in bounds)
        raise TypeMismatchError(f"arange takes scalars, not ({described})")
    wanted = None if dtype is None else dtype_name(dtype)
    if any(v.type.dtype in FLOATS for v in bounds):
        given = [v if is_weak(v) else b for v, b in zip((start, stop, step), bounds)]
        return _float_arange(given, wanted or bounds[0].type.dtype)
    first, last, by = (as_size(v) for v in bounds)
    known = [static_value(v) for v in (first, last, by)]
    if known[2] == 0:
        raise ShapeError("arange: the step is 0")
    length = _arange_length(first, last, by, known)
    return _arange([length], [first, by], wanted or "int64")


def _arange_length(first: Variable, last: Variable, by: Variable, known: list) -> Variable:
    if None not in known:
        return make_constant(len(range(*known)), "int64")
    if known[2] == 1 and known[0] == 0:
        sure = last.owner is not None and isinstance(last.owner.op, ShapeOf)
        return last if sure else maximum(last, 0)
    if known[2] == 1:
        return maximum(sub(last, first), 0)
    # ceil((last - first) / by), for either sign of the step
    return maximum(neg(floor_div(sub(first, last), by)), 0)


def _float_arange(bounds: Sequence[Any], dtype: str) -> Variable:
    """Known bounds are computed in float64: 0.3 / 0.1 is below 3 there, but above in float32."""
    if any(isinstance(v, Variable) and not isinstance(v, Constant) for v in bounds):
        kind = dtype if dtype in FLOATS - HALVES else "float64"
        return cast(HostArange(kind)(*(cast(as_variable(v), kind) for v in bounds)), dtype)
    start, stop, step = (float(v.data) if isinstance(v, Constant) else float(v) for v in bounds)
    if step == 0 or not np.isfinite((start, stop, step)).all():
        raise ShapeError(f"arange({start}, {stop}, {step}) has no length")
    length = max(0, math.ceil((stop - start) / step))
    args = [make_constant(v, "float64") for v in (start, step)]
    return _arange_float([make_constant(length, "int64")], args, dtype)


# ---- matrices


@generator("eye", "cast_DTYPE(i1 == i0 + x)", 1)
def _eye(sizes: Sequence[int], k: np.ndarray) -> np.ndarray:
    return np.eye(sizes[0], sizes[1], int(k))


@generator("tri", "cast_DTYPE(i1 <= i0 + x)", 1)
def _tri(sizes: Sequence[int], k: np.ndarray) -> np.ndarray:
    return np.tri(sizes[0], sizes[1], int(k))


def eye(n: Any, m: Any = None, k: Any = 0, dtype: str | None = None) -> Variable:
    """An n x m matrix (m = n if not given) of zeros, with ones in its k-th diagonal."""
    return _matrix(_eye, n, m, k, dtype)


def tri(n: Any, m: Any = None, k: Any = 0, dtype: str | None = None) -> Variable:
    """An n x m matrix (m = n if not given) with ones in and below its k-th diagonal, else 0."""
    return _matrix(_tri, n, m, k, dtype)


def _matrix(make: Callable[..., Any], n: Any, m: Any, k: Any, dtype: str | None) -> Variable:
    sizes = [as_size(n), as_size(n if m is None else m)]
    return make(sizes, [as_size(k, "a diagonal")], dtype_name(dtype or config.floatX))


def tril(x: Any, k: Any = 0) -> Variable:
    """The matrices in the last two dimensions of `x` with zeros above their k-th diagonals."""
    x = as_variable(x)
    if x.type.ndim < 2:
        raise TypeMismatchError(f"tril and triu take matrices, not {x} ({x.type})")
    mask = tri(shape_of(x, -2), shape_of(x, -1), k, "bool")
    return where(mask, x, 0)


def triu(x: Any, k: Any = 0) -> Variable:
    """The matrices in the last two dimensions of `x` with zeros below their k-th diagonals."""
    x = as_variable(x)
    if x.type.ndim < 2:
        raise TypeMismatchError(f"tril and triu take matrices, not {x} ({x.type})")
    below = tri(shape_of(x, -2), shape_of(x, -1), sub(as_size(k, "a diagonal"), 1), "bool")
    return where(below, 0, x)
