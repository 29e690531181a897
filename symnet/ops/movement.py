"""Ops that move no data or only move data: dimshuffle, reshape, broadcast_to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph import dims
from symnet.graph.dims import Size
from symnet.graph.op import Op, ShapeContext
from symnet.graph.types import TensorType
from symnet.graph.variables import Apply, Constant, Variable, make_constant
from symnet.ops.conversion import as_variable
from symnet.ops.shape import ShapeOf, as_sizes, multiply, shape_of, sizes_of, static_value


@dataclass(frozen=True, slots=True)
class DimShuffle(Op):
    """Permute dimensions, add dimensions of size 1, drop dimensions of static size 1.

    `order` has an entry per output dimension: an input dimension, or "x" for a new one.
    """

    order: tuple[int | str, ...]

    @property
    def kept(self) -> tuple[int, ...]:
        return tuple(axis for axis in self.order if axis != "x")  # type: ignore[misc]

    def output_types(self, x: Variable) -> list[TensorType]:  # type: ignore[override]
        kept = self.kept
        if len(set(kept)) != len(kept) or any(not 0 <= axis < x.type.ndim for axis in kept):
            raise TypeMismatchError(
                f"dimshuffle{self.order} of {x} ({x.type}): not an order of its dimensions"
            )
        for axis in set(range(x.type.ndim)) - set(kept):
            if x.type.shape[axis] != 1:
                raise ShapeError(
                    f"dimshuffle{self.order} of {x} ({x.type}) drops dimension {axis}, which is "
                    "not of static size 1; reduce or index it"
                )
        sizes = tuple(1 if axis == "x" else x.type.shape[axis] for axis in self.order)  # type: ignore[index]
        return [TensorType(x.type.dtype, sizes)]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        (shape,) = shapes
        for axis in set(range(len(shape))) - set(self.kept):
            context.require(shape[axis], 1, f"size of the dropped dimension {axis}")
        return [tuple(1 if axis == "x" else shape[axis] for axis in self.order)]  # type: ignore[index]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        (x,) = inputs
        kept = self.kept
        dropped = tuple(axis for axis in range(x.ndim) if axis not in kept)
        x = np.transpose(x, kept + dropped)
        x = x.reshape(x.shape[: len(kept)])
        for position, axis in enumerate(self.order):
            if axis == "x":
                x = np.expand_dims(x, position)
        return [x]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        (x,), (g,) = inputs, output_grads
        inverse: list[int | str] = ["x"] * x.type.ndim
        for position, axis in enumerate(self.order):
            if axis != "x":
                inverse[axis] = position  # type: ignore[index]
        return [dimshuffle(g, inverse)]

    def __str__(self) -> str:
        return f"dimshuffle{{{','.join(map(str, self.order))}}}"


@dataclass(frozen=True, slots=True)
class Reshape(Op):
    """The elements of the first input, in C order, under `ndim` other sizes.

    The sizes are the other inputs, 0-d int64; one of them may be the constant -1: whatever is left.
    """

    ndim: int

    def output_types(self, x: Variable, *sizes: Variable) -> list[TensorType]:  # type: ignore[override]
        check_sizes(self, sizes)
        known = [static_value(s) for s in sizes]
        wanted = f"{x} ({x.type}) cannot be reshaped to ({', '.join(map(str, sizes))})"
        if known.count(-1) > 1 or any(s is not None and s < -1 for s in known):
            raise ShapeError(f"{wanted}: sizes are not negative, but for one -1")
        if None not in x.type.shape and None not in known:
            known = list(_fill(x.type.shape, known, wanted))  # type: ignore[arg-type]
        return [TensorType(x.type.dtype, tuple(None if s == -1 else s for s in known))]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        total = dims.product(shapes[0])
        sizes = [size_value(s, context, "a size of reshape", free=True) for s in node.inputs[1:]]
        given = dims.product(s for s in sizes if s != -1)
        if -1 in sizes:
            why = "reshape cannot tell -1 where the other sizes multiply to 0"
            context.check(dims.apply("ne", given, 0), why)
            missing = dims.apply("floordiv", total, given)
            sizes[sizes.index(-1)] = missing
            given = dims.mul(given, missing)
        context.require(total, given, "number of elements before and after reshape")
        return [tuple(sizes)]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        x, *sizes = inputs
        wanted = [int(s) for s in sizes]
        return [x.reshape(_fill(x.shape, wanted, f"shape {x.shape} cannot become {wanted}"))]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        return [reshape(output_grads[0], sizes_of(inputs[0]))] + [None] * self.ndim

    def connected(self, node: Apply) -> list[bool]:
        return [True] + [False] * self.ndim

    def __str__(self) -> str:
        return f"reshape{{{self.ndim}}}"


@dataclass(frozen=True, slots=True)
class BroadcastTo(Op):
    """The first input with its dimensions of static size 1 repeated to the given sizes.

    The sizes are the other inputs, 0-d int64, one per dimension. Dimensions that are not of static
    size 1 must have the size given.
    """

    ndim: int

    def output_types(self, x: Variable, *sizes: Variable) -> list[TensorType]:  # type: ignore[override]
        check_sizes(self, sizes)
        if x.type.ndim != self.ndim:
            raise TypeMismatchError(f"{self}: {x} ({x.type}) must have {self.ndim} dimensions")
        result: list[int | None] = []
        for axis, (before, size) in enumerate(zip(x.type.shape, map(static_value, sizes))):
            if size is not None and (size < 0 or before not in (None, 1, size)):
                raise ShapeError(
                    f"{x} ({x.type}) does not broadcast to ({', '.join(map(str, sizes))}): "
                    f"dimension {axis}"
                )
            result.append(size if before in (None, 1) else before)
        return [TensorType(x.type.dtype, tuple(result))]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        x, *sizes = node.inputs
        result = []
        for axis, (before, variable) in enumerate(zip(shapes[0], sizes)):
            size = size_value(variable, context, "a size of broadcast_to")
            if x.type.shape[axis] != 1:
                context.require(before, size, f"size of dimension {axis}, which does not broadcast")
            result.append(size)
        return [tuple(result)]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        x, *sizes = inputs
        wanted = tuple(int(s) for s in sizes)
        for static, before, size in zip(node.inputs[0].type.shape, x.shape, wanted):
            if size < 0 or (static != 1 and before != size):
                raise ShapeError(f"shape {x.shape} does not broadcast to {wanted}")
        return [np.broadcast_to(x, wanted)]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        return [output_grads[0]] + [None] * self.ndim  # autodiff sums what was repeated

    def connected(self, node: Apply) -> list[bool]:
        return [True] + [False] * self.ndim

    def __str__(self) -> str:
        return f"broadcast_to{{{self.ndim}}}"


def check_sizes(op: Any, sizes: Sequence[Variable]) -> None:
    """Sizes of an op of `op.ndim` dimensions are that many 0-d int64. Errors: TypeMismatchError."""
    if len(sizes) != op.ndim or any(s.type.ndim or s.type.dtype != "int64" for s in sizes):
        described = ", ".join(f"{s}: {s.type}" for s in sizes)
        raise TypeMismatchError(f"{op} takes {op.ndim} int64 scalars, not ({described})")


def size_value(size: Variable, context: ShapeContext, what: str, free: bool = False) -> Size:
    """The value of a size that must not be negative, but for the constant -1 where `free`."""
    known = static_value(size)
    if known is not None and (known >= 0 or free):
        return known
    value = context.value(size)
    if not (isinstance(value, dims.Dim) and value.op == "dim"):
        context.check(dims.apply("le", 0, value), f"{what} is negative")
    return value


def _fill(before: Sequence[int], sizes: Sequence[int], wanted: str) -> tuple[int, ...]:
    """`sizes` with a -1 replaced by what is left of the elements of `before`."""
    total = math.prod(before)
    given = math.prod(s for s in sizes if s != -1)
    if any(s < -1 for s in sizes) or sizes.count(-1) > 1 or (-1 in sizes and given == 0):
        raise ShapeError(f"{wanted}: the sizes say no number of elements")
    missing = total // given if -1 in sizes else 1
    if given * missing != total:
        raise ShapeError(f"{wanted}: {total} elements before, {given} in the sizes given")
    return tuple(missing if s == -1 else s for s in sizes)


def reshape(x: Any, sizes: Any, ndim: int | None = None) -> Variable:
    """The elements of `x`, in C order, with other sizes, of which one may be -1.

    `sizes` is a number, a tuple of numbers and symbolic scalars, or a symbolic vector whose length
    is known or given as `ndim`. Errors: ShapeError where the numbers of elements differ.
    """
    x = as_variable(x)
    wanted = as_sizes(sizes, ndim)
    known = [static_value(s) for s in wanted]
    if known.count(-1) == 1:
        left = _what_is_left(x, wanted, known.index(-1))
        if left is not None:
            wanted[known.index(-1)] = left
            known = [static_value(s) for s in wanted]
    if len(known) == x.type.ndim and all(
        a == b if a is not None else _own_axis(size, x, [axis]) == axis
        for axis, (a, b, size) in enumerate(zip(known, x.type.shape, wanted))
    ):
        return x
    if all(s == 1 for s in known) and all(s == 1 for s in x.type.shape):
        return dimshuffle(x, ("x",) * len(known))
    return Reshape(len(wanted))(x, *wanted)


def _what_is_left(x: Variable, sizes: Sequence[Variable], free: int) -> Variable | None:
    """What -1 stands for, if every other size is one of x's own or all are known; else None.

    Exact where division is not: a batch of size 0 keeps the sizes of what it holds none of.
    """
    axes = list(range(x.type.ndim))
    factor = 1
    for position, size in enumerate(sizes):
        if position == free:
            continue
        own = _own_axis(size, x, axes)
        if own is not None:
            axes.remove(own)
        else:
            value = static_value(size)
            if value is None:
                return None
            factor *= value
    if factor == 1:
        return multiply([shape_of(x, axis) for axis in axes])
    left = [x.type.shape[axis] for axis in axes]
    if None in left or factor == 0:
        return None
    total = math.prod(left)  # type: ignore[arg-type]
    if total % factor:
        raise ShapeError(
            f"{x} ({x.type}) cannot be reshaped to ({', '.join(map(str, sizes))}): "
            f"{total} is no multiple of {factor}"
        )
    return make_constant(total // factor, "int64")


def _own_axis(size: Variable, x: Variable, axes: Sequence[int]) -> int | None:
    """The dimension of `x`, among `axes`, whose size `size` is by construction."""
    node = size.owner
    if node is not None and isinstance(node.op, ShapeOf) and node.inputs[0] is x:
        return node.op.axis if node.op.axis in axes else None
    if static_value(size) == 0:  # cannot be divided by; the size of an empty dimension was meant
        return next((axis for axis in axes if x.type.shape[axis] == 0), None)
    return None


def flatten(x: Any, ndim: int = 1) -> Variable:
    """`x` with its dimensions from `ndim - 1` on merged into one. ndim=0 is not possible."""
    x = as_variable(x)
    if not isinstance(ndim, (int, np.integer)) or not 1 <= ndim <= max(1, x.type.ndim):
        raise TypeMismatchError(f"{x} ({x.type}) cannot be flattened to {ndim!r} dimensions")
    if ndim == x.type.ndim:
        return x
    sizes = sizes_of(x)
    return reshape(x, [*sizes[: ndim - 1], multiply(sizes[ndim - 1 :])])


def broadcast_to(x: Any, sizes: Any, ndim: int | None = None) -> Variable:
    """`x` repeated along new leading dimensions and along its dimensions of static size 1.

    Other dimensions must have the size given: ShapeError, when built or when run.
    """
    x = as_variable(x)
    wanted = as_sizes(sizes, ndim)
    if len(wanted) < x.type.ndim:
        raise ShapeError(f"{x} ({x.type}) does not broadcast to {len(wanted)} dimensions")
    new = len(wanted) - x.type.ndim
    x = dimshuffle(x, ("x",) * new + tuple(range(x.type.ndim)))
    if all(
        before == static_value(size) if before is not None else _own_axis(size, x, [axis]) == axis
        for axis, (before, size) in enumerate(zip(x.type.shape, wanted))
    ):
        return x
    return BroadcastTo(len(wanted))(x, *wanted)


def dimshuffle(x: Variable, order: Sequence[int | str]) -> Variable:
    """`x` with dimensions in the given order; nothing if it is the order already."""
    order = tuple(order)
    if order == tuple(range(x.type.ndim)):
        return x
    if isinstance(x, Constant) and x.data.size == 1:
        return make_constant(x.data.reshape((1,) * len(order)), name=x.name)
    return DimShuffle(order)(x)


def pad_left(variables: Sequence[Variable]) -> list[Variable]:
    """All with the largest ndim among them, by new leading dimensions; scalars stay scalars."""
    ndim = max(v.type.ndim for v in variables)
    return [
        v
        if v.type.ndim in (0, ndim)
        else dimshuffle(v, ("x",) * (ndim - v.type.ndim) + tuple(range(v.type.ndim)))
        for v in variables
    ]


def as_axis(axis: Any, ndim: int, what: str = "axis") -> int:
    """One dimension out of `ndim`, which may be given as negative. Errors: TypeMismatchError."""
    if isinstance(axis, Constant) and axis.type.ndim == 0:
        axis = static_value(axis)
    if not isinstance(axis, (int, np.integer)) or isinstance(axis, bool):
        raise TypeMismatchError(f"{what}={axis!r}: a dimension is a whole number")
    if not -ndim <= axis < ndim:
        raise TypeMismatchError(f"{what}={axis}: there are {ndim} dimensions")
    return int(axis) % ndim


def as_axes(axis: Any, ndim: int, what: str = "axis") -> tuple[int, ...]:
    """Dimensions in ascending order, from None (all), one, or several. Errors: TypeMismatchError
    for what is no dimension or given twice."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = sorted(as_axis(a, ndim, what) for a in given)
    if len(set(axes)) != len(axes):
        raise TypeMismatchError(f"{what}={axis}: a dimension is given twice")
    return tuple(axes)
