"""Elements of a tensor by arrays of integers: gathered, scattered, and the check of the integers.

What users call is in indexing.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.errors import IndexOutOfBoundsError, ShapeError, TypeMismatchError
from symnet.graph.dims import Size
from symnet.graph.op import Op, ShapeContext
from symnet.graph.types import FLOATS, INTEGERS, TensorType
from symnet.graph.variables import Apply, Constant, Variable
from symnet.ops.generate import Generate, arange, full, zeros_like
from symnet.ops.logic import eq, where
from symnet.ops.movement import reshape
from symnet.ops.shape import size, sizes_of, static_value
from symnet.ops.subtensor import check_written, require_shape


@dataclass(frozen=True, slots=True)
class CheckedIndex(Op):
    """Indices made valid for a dimension of the given size, as int64.

    Negative ones count from the end, or are refused where `negative` is False (class labels).
    IndexOutOfBoundsError when run for one outside.
    """

    negative: bool = True

    def output_types(self, index: Variable, size: Variable) -> list[TensorType]:  # type: ignore[override]
        if index.type.dtype not in INTEGERS or size.type != TensorType("int64", ()):
            raise TypeMismatchError(
                f"{self}: an index is an integer, not {index} ({index.type}); size {size.type}"
            )
        return [TensorType("int64", index.type.shape)]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        return [shapes[0]]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [checked_index(inputs[0], int(inputs[1]), self.negative)]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        return [None, None]

    def connected(self, node: Apply) -> list[bool]:
        return [False, False]

    def __str__(self) -> str:
        return "checked_index"


def checked_index(index: np.ndarray, size: int, negative: bool = True) -> np.ndarray:
    """`index` as int64 in [0, size), or IndexOutOfBoundsError naming the first bad one."""
    lowest = -size if negative else 0
    bad = (index >= size) | (index < lowest) if index.dtype.kind == "i" else index >= size
    if bad.any():
        place = tuple(int(k) for k in np.argwhere(bad)[0])
        where_ = f" at {place}" if place else ""
        raise IndexOutOfBoundsError(
            f"index {index[place]}{where_} is out of bounds for a dimension of size {size}"
        )
    wide = index.astype("int64")
    return np.asarray(np.where(wide < 0, wide + size, wide))


@dataclass(frozen=True, slots=True)
class Take(Op):
    """`x` indexed by int64 arrays on the dimensions `axes` (ascending), one array per axis.

    The indices are valid and not negative (see CheckedIndex), have equal ndim and broadcast. Their
    dimensions stand at the place of the first axis if the axes are adjacent, else in front.
    """

    axes: tuple[int, ...]

    def output_types(self, x: Variable, *indices: Variable) -> list[TensorType]:  # type: ignore[override]
        return [TensorType(x.type.dtype, _take_shape(self, x, indices))]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        return [_taken(self.axes, shapes[0], node.inputs[1:], shapes[1:], context)]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        x, *indices = inputs
        return [np.asarray(x[_take_key(self, x, indices)])]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        x, *indices = inputs
        if x.type.dtype not in FLOATS:
            return [None] * len(inputs)
        back = Put(self.axes, False)(zeros_like(x), output_grads[0], *indices)
        return [back] + [None] * len(indices)

    def connected(self, node: Apply) -> list[bool]:
        return [True] + [False] * (len(node.inputs) - 1)

    def __str__(self) -> str:
        return f"take{{{', '.join(map(str, self.axes))}}}"


def place_of_indices(axes: Sequence[int]) -> int:
    """Where the indices' dimensions stand in the result of a Take."""
    return axes[0] if axes[-1] - axes[0] == len(axes) - 1 else 0


def _arrange(axes: Sequence[int], shape: Sequence[Any], taken: Sequence[Any]) -> tuple[Any, ...]:
    """Sizes of a Take from those of x and of its broadcast indices."""
    kept = [size for axis, size in enumerate(shape) if axis not in axes]
    place = place_of_indices(axes)
    return (*kept[:place], *taken, *kept[place:])


def _take_shape(op: Any, x: Variable, indices: Sequence[Variable]) -> tuple[int | None, ...]:
    axes = op.axes
    described = ", ".join(f"{v}: {v.type}" for v in (x, *indices))
    if (
        len(axes) != len(indices)
        or not axes
        or tuple(sorted(set(axes))) != axes
        or not 0 <= axes[0] <= axes[-1] < x.type.ndim
        or any(v.type.dtype != "int64" or v.type.ndim != indices[0].type.ndim for v in indices)
    ):
        raise TypeMismatchError(f"{op} of ({described})")
    taken: list[int | None] = []
    for axis in range(indices[0].type.ndim):
        known = {v.type.shape[axis] for v in indices} - {1}
        sizes = known - {None}
        if len(sizes) > 1:
            raise ShapeError(f"{op} of ({described}): the indices do not fit in dimension {axis}")
        taken.append(sizes.pop() if sizes else None if known else 1)
    return _arrange(axes, x.type.shape, taken)


def _taken(
    axes: Sequence[int],
    shape: Sequence[Size],
    indices: Sequence[Variable],
    index_shapes: Sequence[tuple[Size, ...]],
    context: ShapeContext,
) -> tuple[Size, ...]:
    taken: list[Size] = []
    for axis in range(len(index_shapes[0])):
        found: Size = 1
        first = True
        for variable, sizes in zip(indices, index_shapes):
            if variable.type.shape[axis] == 1:
                continue
            if not first:
                context.require(found, sizes[axis], f"sizes of indices in their dimension {axis}")
            if first or isinstance(sizes[axis], int):
                found, first = sizes[axis], False
        taken.append(found)
    return _arrange(axes, shape, taken)


def _take_key(op: Any, x: np.ndarray, indices: Sequence[np.ndarray]) -> tuple[Any, ...]:
    key: list[Any] = [slice(None)] * x.ndim
    for axis, array in zip(op.axes, indices):
        if array.size and not 0 <= array.min() <= array.max() < x.shape[axis]:
            raise IndexOutOfBoundsError(f"{op}: {array} for dimension {axis} of shape {x.shape}")
        key[axis] = array
    return tuple(key)


@dataclass(frozen=True, slots=True)
class Put(Op):
    """`x` with `y` written into, or added to, the elements that `Take(axes)` reads. A new value.

    `y` has the dtype of `x` and the shape of the Take. Elements met several times get the sum, or
    when set the value that is last in C order.
    """

    axes: tuple[int, ...]
    set: bool

    def output_types(self, x: Variable, y: Variable, *indices: Variable) -> list[TensorType]:  # type: ignore[override]
        check_written(self, x, y, _take_shape(self, x, indices))
        return [x.type]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        part = _taken(self.axes, shapes[0], node.inputs[2:], shapes[2:], context)
        require_shape(part, shapes[1], context)
        return [shapes[0]]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        x, y, *indices = inputs
        # in C order, lest NumPy walks the indices in memory order and another one comes last
        spread = [np.ascontiguousarray(a) for a in np.broadcast_arrays(*indices)]
        key = _take_key(self, x, spread)
        result = x.copy(order="C")
        with np.errstate(all="ignore"):
            if self.set:
                result[key] = np.ascontiguousarray(y)
            else:
                np.add.at(result, key, y)
        return [result]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        x, y, *indices = inputs
        (g,) = output_grads
        if x.type.dtype not in FLOATS:
            return [None] * len(inputs)
        nothing = [None] * len(indices)
        gy = Take(self.axes)(g, *indices)
        if not self.set:
            return [g, gy, *nothing]
        if not _surely_distinct(indices):  # what is overwritten has no influence
            gy = where(self._survives(x, y, indices), gy, 0)
        return [Put(self.axes, True)(g, zeros_like(y), *indices), gy, *nothing]

    def _survives(self, x: Variable, y: Variable, indices: Sequence[Variable]) -> Variable:
        """For each element of `y` whether it is still in the result."""
        places = reshape(arange(size(y)), sizes_of(y))
        written = Put(self.axes, True)(full(sizes_of(x), -1, "int64"), places, *indices)
        return eq(Take(self.axes)(written, *indices), places)

    def connected(self, node: Apply) -> list[bool]:
        return [True, True] + [False] * (len(node.inputs) - 2)

    def __str__(self) -> str:
        return f"{'set' if self.set else 'inc'}_at{{{', '.join(map(str, self.axes))}}}"


def _surely_distinct(indices: Sequence[Variable]) -> bool:
    """Whether no element is met twice: an arange among vectors, or constants that differ."""
    if all(isinstance(v, Constant) for v in indices):
        arrays = np.broadcast_arrays(*(v.data for v in indices))  # type: ignore[attr-defined]
        met = np.stack([a.ravel() for a in arrays], axis=1)
        return len(np.unique(met, axis=0)) == len(met)
    return indices[0].type.ndim == 1 and any(is_count(v) for v in indices)


def is_count(v: Variable) -> bool:
    """Whether `v` is arange(n): 0, 1, 2 ..."""
    node = v.owner
    return (
        node is not None
        and isinstance(node.op, Generate)
        and node.op.name == "arange"
        and [static_value(a) for a in node.inputs[1:]] == [0, 1]
    )
