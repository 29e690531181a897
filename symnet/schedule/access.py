"""How a kernel reads a variable: one coordinate per dimension, affine in the kernel's loops.

    Coordinate = offset + step * (loop axis | row value | nothing)

Views (dimshuffle, slice, broadcast) are functions on coordinates: a kernel that reads a view reads
what is behind it at other coordinates, and no view ever becomes a kernel of its own.
"""

from typing import Any, NamedTuple

from symnet.graph import dims
from symnet.graph.dims import Size
from symnet.graph.variables import Apply, Constant, Variable
from symnet.ops.generate import Generate
from symnet.ops.indexing import Subtensor
from symnet.ops.movement import BroadcastTo, DimShuffle
from symnet.ops.reduction import ArgReduce, Reduce
from symnet.schedule.shapes import Shapes


class Coordinate(NamedTuple):
    """Position in one dimension. `axis` is a loop of the kernel, `value` an integer computed in it
    (a gather); at most one of them is set."""

    axis: int | None = None
    step: int = 1
    offset: Size = 0
    value: Any = None  # a Value


ZERO = Coordinate()
Coordinates = tuple[Coordinate, ...]
VIEWS = (DimShuffle, BroadcastTo, Subtensor)


def behind(node: Apply, at: Coordinates, shapes: Shapes) -> Coordinates:
    """Coordinates in the input of a view node, given those in its output."""
    op = node.op
    source = node.inputs[0]
    if isinstance(op, DimShuffle):
        where = [ZERO] * source.type.ndim
        for position, axis in enumerate(op.order):
            if axis != "x":
                where[int(axis)] = at[position]
        return tuple(where)
    if isinstance(op, BroadcastTo):
        return tuple(
            ZERO if size == 1 else coordinate for size, coordinate in zip(source.type.shape, at)
        )
    assert isinstance(op, Subtensor)
    scalars = iter(node.inputs[1:])
    sizes = shapes.of[source]
    found: list[Coordinate] = []
    rest = iter(at)

    def number(entry: Any) -> Size | None:
        if entry == "in":
            return shapes.value(next(scalars))
        return entry  # type: ignore[no-any-return]

    for size, entry in zip(sizes, op.spec):
        if entry[0] == "index":
            index = number(entry[1])
            assert index is not None
            below = dims.apply("lt", index, 0)
            moved = dims.apply("select", below, dims.add(index, size), index)
            found.append(Coordinate(offset=moved))
            continue
        start, stop, step = number(entry[1]), number(entry[2]), entry[3]
        first, _ = dims.slice_bounds(size, start, stop, step)
        inner = next(rest)
        offset = dims.add(first, dims.mul(inner.offset, step))
        moves = inner.axis is not None or inner.value is not None
        found.append(inner._replace(step=inner.step * step if moves else 1, offset=offset))
    found.extend(rest)
    return tuple(found)


def project(variable: Variable, at: Coordinates) -> Coordinates:
    """Coordinates in an operand that may broadcast, from those in the result."""
    shape = variable.type.shape
    if not shape:
        return ()
    if 1 not in shape:
        return at
    return tuple(ZERO if size == 1 else c for size, c in zip(shape, at))


def counts_up(node: Apply) -> bool:
    """Whether a generated tensor is 0, 1, 2, ..."""
    if not isinstance(node.op, Generate) or node.op.name != "arange":
        return False
    numbers = [v.data.item() if isinstance(v, Constant) else None for v in node.inputs[1:]]
    return numbers == [0, 1]


def counting(index: Variable, at: Coordinates, shapes: Shapes) -> Coordinate | None:
    """The affine coordinate that an index array stands for, if its values just count its places."""
    at = project(index, at)
    while index not in shapes.sources and index.owner is not None:
        node = index.owner
        if isinstance(node.op, VIEWS):
            index, at = node.inputs[0], behind(node, at, shapes)
        elif isinstance(node.op, Generate):
            return at[0] if counts_up(node) else None
        else:
            return None
    return None


def reduced_dimensions(node: Apply) -> tuple[int, ...]:
    """The dimensions of its input that a Reduce or ArgReduce goes over."""
    op = node.op
    if isinstance(op, ArgReduce):
        return (op.axis,)
    assert isinstance(op, Reduce)
    return op.axes


def reduces_nothing(node: Apply, shapes: Shapes) -> bool:
    """Whether all dimensions that a reduction goes over have size 1: then it is a view."""
    sizes = shapes.of[node.inputs[0]]
    return all(sizes[d] == 1 for d in reduced_dimensions(node))


def before_reduction(node: Apply, at: Coordinates) -> Coordinates:
    """Coordinates in the input of a reduction over dimensions of size 1."""
    rest = iter(at)
    reduced = reduced_dimensions(node)
    return tuple(ZERO if d in reduced else next(rest) for d in range(node.inputs[0].type.ndim))


def contiguous_strides(sizes: tuple[Size, ...]) -> tuple[Size, ...]:
    """Strides in elements of a C-contiguous array; none is 0, also where there are no elements."""
    strides: list[Size] = []
    total: Size = 1
    for size in reversed(sizes):
        strides.append(total)
        if size != 0:
            total = dims.mul(size, total)
    return tuple(reversed(strides))
