"""Reading and writing parts of a tensor: slices, single indices, arrays of indices.

Five ops, and one function, `index`, that takes apart whatever NumPy allows between brackets::

    Subtensor       x[1:n, i]          a view
    IncSubtensor    x with such a part set or added to
    Take            x[rows, columns]   a gather by integer arrays
    Put             x with such a part set or added to; duplicates accumulate
    CheckedIndex    integers made valid for an axis: negative ones wrapped, others refused

`set_subtensor(x[key], y)` and `inc_subtensor(x[key], y)` rebuild `x` from the nodes of `x[key]`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.errors import IndexOutOfBoundsError, ShapeError, TypeMismatchError
from symnet.graph import dims
from symnet.graph.dims import Size
from symnet.graph.op import Op, ShapeContext
from symnet.graph.types import FLOATS, INTEGERS, TensorType
from symnet.graph.variables import Apply, Constant, Variable, make_constant
from symnet.ops.arithmetic import add
from symnet.ops.casting import cast
from symnet.ops.conversion import as_variable, is_weak
from symnet.ops.generate import Generate, arange, full, zeros_like
from symnet.ops.logic import eq, where
from symnet.ops.movement import (
    DimShuffle,
    as_axis,
    broadcast_to,
    dimshuffle,
    flatten,
    pad_left,
    reshape,
)
from symnet.ops.shape import (
    ShapeOf,
    as_size,
    make_vector,
    shape_of,
    size,
    sizes_of,
    static_value,
    vector_elements,
)

# ("index", i) or ("slice", start, stop, step); "in" stands for the next scalar input
Entry = tuple[Any, ...]
Spec = tuple[Entry, ...]
FULL: Entry = ("slice", None, None, 1)


def _scalars_wanted(spec: Spec) -> int:
    return sum(part == "in" for entry in spec for part in entry[1:])


def _resolve(spec: Spec, scalars: Sequence[Any]) -> list[Entry]:
    """The spec with each "in" replaced by the next of `scalars`."""
    rest = iter(scalars)
    return [
        (entry[0], *(next(rest) if part == "in" else part for part in entry[1:])) for entry in spec
    ]


def _as_key(spec: Spec, scalars: Sequence[np.ndarray]) -> tuple[Any, ...]:
    """What NumPy takes between brackets."""
    values = _resolve(spec, [int(s) for s in scalars])
    return tuple(e[1] if e[0] == "index" else slice(*e[1:]) for e in values)


def _check_scalars(op: Any, spec: Spec, x: Variable, scalars: Sequence[Variable]) -> None:
    bad = len(scalars) != _scalars_wanted(spec) or len(spec) > x.type.ndim
    if bad or any(v.type.ndim or v.type.dtype != "int64" for v in scalars):
        described = ", ".join(f"{v}: {v.type}" for v in scalars)
        raise TypeMismatchError(f"{op} of {x} ({x.type}) with scalars ({described})")


def _subtensor_shape(spec: Spec, x: Variable, scalars: Sequence[Variable]) -> tuple:
    """Static shape of a part of `x`. Errors: IndexOutOfBoundsError for a known bad index."""
    sizes: list[int | None] = []
    known = [static_value(v) for v in scalars]
    entries = _resolve(spec, [_UNKNOWN if k is None else k for k in known])
    for axis, entry in enumerate(entries):
        whole = x.type.shape[axis]
        if entry[0] == "index":
            i = entry[1]
            if whole is not None and i is not _UNKNOWN and not -whole <= i < whole:
                raise IndexOutOfBoundsError(
                    f"index {i} is out of bounds for dimension {axis} of {x} ({x.type})"
                )
        elif entry[1:3] == (None, None) and entry[3] in (1, -1):
            sizes.append(whole)
        elif whole is None or _UNKNOWN in entry:
            sizes.append(None)
        else:
            sizes.append(len(range(whole)[slice(*entry[1:])]))
    return tuple(sizes) + x.type.shape[len(spec) :]


_UNKNOWN = object()


@dataclass(frozen=True, slots=True)
class Subtensor(Op):
    """`x` with single indices and slices applied to its leading dimensions. A view.

    Python's meaning: negative numbers count from the end, slices are clipped; a single index
    outside its dimension is an IndexOutOfBoundsError. Steps are nonzero constants.
    """

    spec: Spec

    def output_types(self, x: Variable, *scalars: Variable) -> list[TensorType]:  # type: ignore[override]
        _check_scalars(self, self.spec, x, scalars)
        return [TensorType(x.type.dtype, _subtensor_shape(self.spec, x, scalars))]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        return [_region(self.spec, shapes[0], node.inputs[1:], context)]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        x, *scalars = inputs
        try:
            return [np.asarray(x[_as_key(self.spec, scalars)])]
        except IndexError as error:
            raise IndexOutOfBoundsError(f"{self}: {error} (shape {x.shape})") from None

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        x, *scalars = inputs
        if x.type.dtype not in FLOATS:
            return [None] * len(inputs)
        back = IncSubtensor(self.spec, False)(zeros_like(x), output_grads[0], *scalars)
        return [back] + [None] * len(scalars)

    def connected(self, node: Apply) -> list[bool]:
        return [True] + [False] * (len(node.inputs) - 1)

    def __str__(self) -> str:
        return f"subtensor{{{_describe(self.spec)}}}"


def _region(
    spec: Spec, shape: Sequence[Size], scalars: Sequence[Variable], context: ShapeContext
) -> tuple[Size, ...]:
    """Run-time sizes of a part, with its indices checked."""
    entries = _resolve(spec, [context.value(v) for v in scalars])
    result: list[Size] = []
    for whole, entry in zip(shape, entries):
        if entry[0] == "index":
            i = entry[1]
            low = dims.apply("le", dims.sub(0, whole), i)
            fits = dims.apply("and", low, dims.apply("lt", i, whole))
            context.check(fits, "index out of bounds", index=True)
        else:
            result.append(dims.slice_bounds(whole, *entry[1:])[1])
    return tuple(result) + tuple(shape[len(spec) :])


def _describe(spec: Spec) -> str:
    def text(part: Any) -> str:
        return "" if part is None else "·" if part == "in" else str(part)

    described = []
    for entry in spec:
        if entry[0] == "index":
            described.append(text(entry[1]))
        else:
            step = "" if entry[3] == 1 else f":{entry[3]}"
            described.append(f"{text(entry[1])}:{text(entry[2])}{step}")
    return ", ".join(described)


@dataclass(frozen=True, slots=True)
class IncSubtensor(Op):
    """`x` with `y` written into, or added to, the part that `Subtensor(spec)` reads. A new value.

    `y` has the dtype of `x` and the shape of the part.
    """

    spec: Spec
    set: bool

    def output_types(self, x: Variable, y: Variable, *scalars: Variable) -> list[TensorType]:  # type: ignore[override]
        _check_scalars(self, self.spec, x, scalars)
        _check_written(self, x, y, _subtensor_shape(self.spec, x, scalars))
        return [x.type]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        part = _region(self.spec, shapes[0], node.inputs[2:], context)
        _require_shape(part, shapes[1], context)
        return [shapes[0]]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        x, y, *scalars = inputs
        result = x.copy()
        key = _as_key(self.spec, scalars)
        try:
            part = result[key]
        except IndexError as error:
            raise IndexOutOfBoundsError(f"{self}: {error} (shape {x.shape})") from None
        if part.shape != y.shape:
            raise ShapeError(f"{self}: a value of shape {y.shape} into a part of {part.shape}")
        with np.errstate(all="ignore"):
            result[key] = y if self.set else part + y
        return [result]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        x, y, *scalars = inputs
        (g,) = output_grads
        if x.type.dtype not in FLOATS:
            return [None] * len(inputs)
        gx = IncSubtensor(self.spec, True)(g, zeros_like(y), *scalars) if self.set else g
        return [gx, Subtensor(self.spec)(g, *scalars)] + [None] * len(scalars)

    def connected(self, node: Apply) -> list[bool]:
        return [True, True] + [False] * (len(node.inputs) - 2)

    def __str__(self) -> str:
        return f"{'set' if self.set else 'inc'}_subtensor{{{_describe(self.spec)}}}"


def _check_written(op: Any, x: Variable, y: Variable, part: tuple[int | None, ...]) -> None:
    if y.type.dtype != x.type.dtype or y.type.ndim != len(part):
        raise TypeMismatchError(
            f"{op}: {y} ({y.type}) cannot be written into a part {TensorType(x.type.dtype, part)} "
            f"of {x} ({x.type})"
        )
    if any(a is not None and b is not None and a != b for a, b in zip(y.type.shape, part)):
        raise ShapeError(
            f"{op}: {y} ({y.type}) does not fit a part {TensorType(x.type.dtype, part)} "
            f"of {x} ({x.type})"
        )


def _require_shape(part: Sequence[Size], given: Sequence[Size], context: ShapeContext) -> None:
    for axis, (a, b) in enumerate(zip(part, given)):
        context.require(a, b, f"dimension {axis} of a part and of what is written into it")


@dataclass(frozen=True, slots=True)
class CheckedIndex(Op):
    """Indices made valid for a dimension of the given size, as int64.

    Negative ones count from the end. IndexOutOfBoundsError when run for one outside.
    """

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
        return [checked_index(inputs[0], int(inputs[1]))]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        return [None, None]

    def connected(self, node: Apply) -> list[bool]:
        return [False, False]

    def __str__(self) -> str:
        return "checked_index"


def checked_index(index: np.ndarray, size: int) -> np.ndarray:
    """`index` as int64 in [0, size), or IndexOutOfBoundsError naming the first bad one."""
    bad = (index >= size) | (index < -size) if index.dtype.kind == "i" else index >= size
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
        _check_written(self, x, y, _take_shape(self, x, indices))
        return [x.type]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        part = _taken(self.axes, shapes[0], node.inputs[2:], shapes[2:], context)
        _require_shape(part, shapes[1], context)
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


# ---- what stands between brackets


def index(x: Variable, key: Any) -> Variable:
    """`x[key]` with NumPy's meaning.

    `key` holds whole numbers, slices, None, Ellipsis, integer arrays and constant boolean masks,
    given or symbolic, or a tuple of those. Steps are constants.

    Errors: TypeMismatchError for floats, symbolic masks, symbolic steps, too many indices;
    IndexOutOfBoundsError, when built or when run.
    """
    entries = _expand(x, key)
    folded = _index_vector(x, entries)
    if folded is not None:
        return folded
    return _Plan(x, entries).build()


def _expand(x: Variable, key: Any) -> list[Any]:
    """The entries of a key, one per dimension of `x`, and None for new ones.

    Indices become int or 0-d variables, arrays become variables of ndim > 0, masks become several.
    """
    given = list(key) if isinstance(key, tuple) else [key]
    entries: list[Any] = []
    for item in given:
        if item is None or item is Ellipsis or isinstance(item, slice):
            entries.append(item)
        else:
            entries.extend(_as_indices(x, item))
    dots = [k for k, item in enumerate(entries) if item is Ellipsis]
    used = sum(item is not None and item is not Ellipsis for item in entries)
    if len(dots) > 1 or used > x.type.ndim:
        raise TypeMismatchError(
            f"{x} ({x.type}) has {x.type.ndim} dimensions, too few for the index {key!r:.80}"
        )
    at = dots[0] if dots else len(entries)
    missing = [slice(None)] * (x.type.ndim - used)
    return entries[:at] + missing + entries[at + 1 :]


def _as_indices(x: Variable, item: Any) -> list[Any]:
    if isinstance(item, (int, np.integer)) and not isinstance(item, bool):
        return [int(item)]
    if isinstance(item, (list, tuple)) and len(item) == 0:
        item = np.zeros(0, "int64")
    variable = as_variable(item)
    known = static_value(variable) if variable.type.ndim == 0 else None
    if variable.type.dtype == "bool":
        if not isinstance(variable, Constant) or variable.type.ndim == 0:
            raise TypeMismatchError(
                f"{x} ({x.type}) cannot be indexed by the mask {variable} ({variable.type}): the "
                "size of the result would depend on values; use where(mask, ..., ...)"
            )
        return [make_constant(places, "int64") for places in np.nonzero(variable.data)]
    if variable.type.dtype not in INTEGERS:
        raise TypeMismatchError(
            f"{x} ({x.type}) cannot be indexed by {variable} ({variable.type}): indices are "
            "integers; cast it"
        )
    return [variable if known is None else known]


def _index_vector(x: Variable, entries: Sequence[Any]) -> Variable | None:
    """Part of a vector made of scalars, as of a shape, by known numbers: those scalars."""
    if x.type.ndim != 1 or len(entries) != 1:
        return None
    elements = vector_elements(x)
    if elements is None:
        return None
    (entry,) = entries
    if isinstance(entry, int):
        if not -len(elements) <= entry < len(elements):
            raise IndexOutOfBoundsError(f"index {entry} is out of bounds for {x} ({x.type})")
        return elements[entry]
    if isinstance(entry, slice):
        parts = [_bound(p) for p in (entry.start, entry.stop, entry.step)]
        if all(p is None or isinstance(p, int) for p in parts):
            return make_vector(elements[slice(*parts)], x.type.dtype)
    return None


def _bound(value: Any) -> int | Variable | None:
    """A bound of a slice: None, a number, or a 0-d int64 variable."""
    if value is None:
        return None
    variable = as_size(value, "a bound of a slice")
    known = static_value(variable)
    return variable if known is None else known


class _Plan:
    """How one key is carried out: a Subtensor, then a Take, then a dimshuffle, as far as needed."""

    def __init__(self, x: Variable, entries: list[Any]):
        self.x = x
        self.entries = entries
        self.arrays = [
            k for k, e in enumerate(entries) if isinstance(e, Variable) and e.type.ndim > 0
        ]

    def build(self) -> Variable:
        part = self._basic()
        out = self._advanced(part) if self.arrays else part
        out = dimshuffle(out, self._order())
        node = out.owner
        if node is not None and (node.inputs[0] is not self.x or isinstance(node.op, DimShuffle)):
            # not one read for one pair of brackets: set_subtensor needs to know where they began
            out.tag.indexed = (out, self.x)
        return out

    def _basic(self) -> Variable:
        """Single indices and slices; dimensions with arrays stay whole."""
        spec: list[Entry] = []
        scalars: list[Variable] = []

        def part(value: int | Variable | None) -> Any:
            if isinstance(value, Variable):
                scalars.append(value)
                return "in"
            return value

        for entry in self.entries:
            if entry is None:
                continue
            if isinstance(entry, slice):
                step = _step(entry.step)
                start, stop = part(_bound(entry.start)), part(_bound(entry.stop))
                spec.append(("slice", start, stop, step))
            elif isinstance(entry, Variable) and entry.type.ndim:
                spec.append(FULL)
            else:
                spec.append(("index", part(_bound(entry))))
        while spec and spec[-1] == FULL:
            spec.pop()
        if not spec and (self.arrays or None in self.entries):
            return self.x
        return Subtensor(tuple(spec))(self.x, *scalars)

    def _advanced(self, part: Variable) -> Variable:
        """Arrays, on the dimensions that single indices have left."""
        axes, arrays, axis = [], [], 0
        for entry in self.entries:
            if isinstance(entry, Variable) and entry.type.ndim:
                axes.append(axis)
                arrays.append(checked(entry, part, axis))
            axis += isinstance(entry, slice) or (
                isinstance(entry, Variable) and entry.type.ndim > 0
            )
        return Take(tuple(axes))(part, *pad_left(arrays))

    def _order(self) -> list[int | str]:
        """NumPy's order of the result's dimensions: beside arrays, single indices count as arrays
        too, and if all of them are neighbours their dimensions stand in their place, else first.
        """
        if not self.arrays:
            position = iter(range(len(self.entries)))
            kept = [e for e in self.entries if e is None or isinstance(e, slice)]
            return ["x" if e is None else next(position) for e in kept]
        block = max(self.entries[k].type.ndim for k in self.arrays)
        axes, axis = [], 0
        for k, entry in enumerate(self.entries):
            if k in self.arrays:
                axes.append(axis)
            axis += isinstance(entry, slice) or k in self.arrays
        place = place_of_indices(axes)
        blocked = list(range(place, place + block))
        others = iter([k for k in range(axis - len(axes) + block) if k not in blocked])
        indices = [
            k for k, e in enumerate(self.entries) if e is not None and not isinstance(e, slice)
        ]
        adjacent = indices[-1] - indices[0] == len(indices) - 1
        order: list[int | str] = [] if adjacent else [*blocked]
        for k, entry in enumerate(self.entries):
            if adjacent and k == indices[0]:
                order.extend(blocked)
            if entry is None:
                order.append("x")
            elif isinstance(entry, slice):
                order.append(next(others))
        return order


def _step(value: Any) -> int:
    if value is None:
        return 1
    step = static_value(as_size(value, "the step of a slice"))
    if step is None:
        raise TypeMismatchError(f"the step of a slice is a constant, not {value}")
    if step == 0:
        raise TypeMismatchError("the step of a slice is not 0")
    return step


def checked(indices: Variable, x: Variable, axis: int) -> Variable:
    """Integers as valid int64 indices into dimension `axis` of `x`: see CheckedIndex.

    Known ones are checked here, and an arange over that very dimension needs no check.
    """
    whole = x.type.shape[axis]
    if isinstance(indices, Constant) and whole is not None:
        return make_constant(checked_index(indices.data, whole))
    if is_count(indices):
        length = indices.owner.inputs[0]  # type: ignore[union-attr]
        own = length.owner
        if (static_value(length) is not None and static_value(length) == whole) or (
            own is not None and own.op == ShapeOf(axis) and own.inputs[0] is x
        ):
            return indices
    return CheckedIndex()(indices, shape_of(x, axis))


def take(x: Any, indices: Any, axis: int | None = None) -> Variable:
    """Elements of `x` along `axis`, or of its flat form, at integer indices of any shape."""
    x = as_variable(x)
    if axis is None:
        x, axis = flatten(x), 0
    axis = as_axis(axis, x.type.ndim)
    return index(x, (slice(None),) * axis + (indices,))


# ---- writing


def set_subtensor(part: Variable, y: Any) -> Variable:
    """`x` with `y` in place of the elements `part`, which is `x[...]`.

    `y` broadcasts to the part (where its static sizes are 1) and takes the dtype of `x`. Where
    indices meet an element several times, the last one wins. Errors: TypeMismatchError if `part` is
    no indexing or `y` needs a narrower dtype; ShapeError; IndexOutOfBoundsError.
    """
    return _write(part, y, True)


def inc_subtensor(part: Variable, y: Any) -> Variable:
    """`x` with `y` added to the elements `part`, which is `x[...]`; duplicates accumulate.

    Otherwise as `set_subtensor`.
    """
    return _write(part, y, False)


def _write(part: Variable, y: Any, overwrite: bool) -> Variable:
    name = "set_subtensor" if overwrite else "inc_subtensor"
    nodes = _nodes_of(part, name)
    new = _fit(y, part, name)
    for node in nodes:  # from the outermost read inwards: what is written is the next one's part
        x, *rest = node.inputs
        if isinstance(node.op, DimShuffle):
            new = _undo(node.op, x, new)
            continue
        if isinstance(node.op, Subtensor):
            new = IncSubtensor(node.op.spec, overwrite)(x, new, *rest)
        else:
            new = Put(node.op.axes, overwrite)(x, new, *rest)  # type: ignore[attr-defined]
        overwrite = True  # the old values are in it already
    return new if overwrite else add(nodes[-1].inputs[0], new)  # x[None]: all of x


def _nodes_of(part: Variable, name: str) -> list[Apply]:
    """The nodes of one `x[...]`, from the result inwards; dimshuffles of it are looked through."""
    nodes: list[Apply] = []
    variable = part
    base: Variable | None = None
    while True:
        if base is None and variable._tag is not None:
            out, base = getattr(variable._tag, "indexed", (variable, None))
            if out is not variable:
                raise TypeMismatchError(f"{name}: {part} is a copy of x[...]; index the copy of x")
        node = variable.owner
        if node is None or not isinstance(node.op, (DimShuffle, Subtensor, Take)):
            raise TypeMismatchError(
                f"{name}(x[...], y) takes an indexed variable, not {part} ({part.type})"
            )
        nodes.append(node)
        variable = node.inputs[0]
        if variable is base or (base is None and not isinstance(node.op, DimShuffle)):
            return nodes


def _fit(y: Any, part: Variable, name: str) -> Variable:
    """`y` with the dtype, number of dimensions and, where static, the sizes of `part`."""
    dtype = part.type.dtype
    value = as_variable(y)
    loose = not isinstance(y, Variable) and (is_weak(y) or not hasattr(y, "dtype"))
    given = value.type.dtype
    if given != dtype:
        same_kind = loose and (dtype in FLOATS or given not in FLOATS) and dtype != "bool"
        if not (
            same_kind or (dtype in FLOATS and given not in FLOATS) or np.can_cast(given, dtype)
        ):
            raise TypeMismatchError(
                f"{name}: {value} ({value.type}) would lose digits in {part} ({part.type}); cast it"
            )
        value = as_variable(y, dtype) if loose else cast(value, dtype)
    if value.type.ndim > part.type.ndim:
        raise TypeMismatchError(
            f"{name}: {value} ({value.type}) has more dimensions than {part} ({part.type})"
        )
    new = part.type.ndim - value.type.ndim
    value = dimshuffle(value, ("x",) * new + tuple(range(value.type.ndim)))
    if any(a != b and 1 in (a, b) for a, b in zip(value.type.shape, part.type.shape)):
        value = broadcast_to(value, sizes_of(part))
    return value


def _undo(op: DimShuffle, x: Variable, y: Variable) -> Variable:
    """`y`, of the shape of `op(x)`, as of the shape of `x`."""
    places = {axis: place for place, axis in enumerate(op.order)}
    return dimshuffle(y, [places.get(axis, "x") for axis in range(x.type.ndim)])
