"""What stands between brackets: `x[key]` for all that NumPy allows there, and writing into it.

A key is taken apart into at most three nodes::

    Subtensor (subtensor.py)   x[1:n, i]          slices and single indices: a view
    Take (gather.py)           x[rows, columns]   integer arrays, made valid by CheckedIndex
    DimShuffle (movement.py)   x[None]            new dimensions, and NumPy's order of the result

`set_subtensor(x[key], y)` and `inc_subtensor(x[key], y)` rebuild `x` from the nodes of `x[key]`,
with IncSubtensor and Put in place of Subtensor and Take.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from symnet.errors import IndexOutOfBoundsError, TypeMismatchError
from symnet.graph.describe import naming
from symnet.graph.types import FLOATS, INTEGERS
from symnet.graph.variables import Apply, Constant, Variable, make_constant
from symnet.ops.arithmetic import add
from symnet.ops.casting import cast
from symnet.ops.conversion import as_variable, is_weak
from symnet.ops.gather import CheckedIndex, Put, Take, checked_index, is_count, place_of_indices
from symnet.ops.movement import DimShuffle, as_axis, broadcast_to, dimshuffle, flatten, pad_left
from symnet.ops.shape import (
    ShapeOf,
    as_size,
    make_vector,
    shape_of,
    sizes_of,
    static_value,
    vector_elements,
)
from symnet.ops.subtensor import FULL, Entry, IncSubtensor, Subtensor


def index(x: Variable, key: Any) -> Variable:
    """`x[key]` with NumPy's meaning.

    `key` holds whole numbers, slices, None, Ellipsis, integer arrays and constant boolean masks,
    given or symbolic, or a tuple of those. Steps are constants.

    Errors: TypeMismatchError for floats, symbolic masks, symbolic steps, too many indices;
    IndexOutOfBoundsError, when built or when run.
    """
    with naming(x):
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
            return make_vector(elements[slice(*parts)], x.type.dtype)  # type: ignore[arg-type]
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

    Known ones are checked here; an arange over that very dimension, and what was checked for it
    before, need no check.
    """
    if indices.owner is not None and isinstance(indices.owner.op, CheckedIndex):
        size, wanted = indices.owner.inputs[1], shape_of(x, axis)
        known = static_value(size)
        if known is not None and known == static_value(wanted):
            return indices
        if (
            isinstance(wanted.owner, Apply)
            and isinstance(size.owner, Apply)
            and size.owner.op == wanted.owner.op == ShapeOf(axis)
            and size.owner.inputs[0] is x
        ):
            return indices
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


def set_subtensor(
    x: Variable, y: Any, inplace: bool = False, tolerate_inplace_aliasing: bool = False
) -> Variable:
    """The variable that `x`, which is `base[...]`, is a part of, with `y` in place of that part.

    `y` broadcasts to the part (where its static sizes are 1) and takes its dtype. Where indices
    meet an element several times, the last one wins. The last two arguments are Theano's and change
    nothing: the compiler writes in place where it may.

    Errors: TypeMismatchError if `x` is no indexing or `y` needs a narrower dtype; ShapeError;
    IndexOutOfBoundsError.
    """
    return _write(x, y, True)


def inc_subtensor(
    x: Variable, y: Any, inplace: bool = False, tolerate_inplace_aliasing: bool = False
) -> Variable:
    """The variable that `x`, which is `base[...]`, is a part of, with `y` added to that part.

    Elements met several times get the sum. Otherwise as `set_subtensor`.
    """
    return _write(x, y, False)


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
    if not isinstance(part, Variable):
        raise TypeMismatchError(f"{name}(x[...], y) takes an indexed variable, not {part!r:.80}")
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
