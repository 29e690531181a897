"""Whether a step can take one more member: how the member's axes map to those of the step."""

from collections.abc import Sequence

from symnet.graph.dims import Size
from symnet.graph.variables import Apply, Variable
from symnet.ops.barrier import Barrier
from symnet.ops.elementwise import Elementwise
from symnet.ops.gather import place_of_indices
from symnet.ops.generate import Generate
from symnet.ops.indexing import CheckedIndex, Take
from symnet.ops.reduction import ArgReduce, Reduce
from symnet.ops.shape import ShapeOf
from symnet.schedule.access import (
    VIEWS,
    Coordinate,
    Coordinates,
    before_reduction,
    behind,
    counting,
    project,
    reduces_nothing,
)
from symnet.schedule.reading import Reading
from symnet.schedule.shapes import Shapes
from symnet.schedule.steps import LoopStep

Places = Sequence[tuple[Variable, Coordinates]]

_GATHER = object()  # stands for an index that is only known inside the kernel


def mapping(
    reading: Reading, group: LoopStep, reads: Places, axes: Sequence[Size]
) -> dict[int, int] | None:
    """The axis of `group` for each of a member's `axes`, or None if the member does not fit in.

    `reads` says what the member reads, at coordinates in its own axes. Members of the group must be
    read just where they are computed; axes along which none is read go to axes of equal size.
    """
    links = _links(reading, group, reads)
    if links is None:
        return None
    found: dict[int, int] = {}
    for variable, at in links:
        for inside, local in zip(group.members[variable], at):
            if inside.axis is None:
                if local.axis is not None or local.offset != 0:
                    return None
                continue
            if local.axis is None or local.step != 1 or local.offset != 0:
                return None
            if found.setdefault(local.axis, inside.axis) != inside.axis:
                return None
    if len(set(found.values())) != len(found):
        return None
    if len(axes) == len(group.axes):
        allowed: Sequence[int] = range(len(group.axes))
    elif group.reduced is not None and len(axes) == len(group.kept):
        allowed = group.kept
    else:
        return None
    free = [axis for axis in allowed if axis not in found.values()]
    for axis, size in enumerate(axes):
        if axis not in found:
            match = next((a for a in free if group.axes[a] == size), None)
            if match is None:
                return None
            found[axis] = match
            free.remove(match)
        elif found[axis] not in allowed or group.axes[found[axis]] != size:
            return None
    if len(axes) == len(group.axes) and group.reduced is not None and not group.kept:
        # one pass only: what needs the total of everything belongs to a later step
        if any(variable not in group.full for variable, _ in links):
            return None
    return found


def _links(
    reading: Reading, group: LoopStep, reads: Places
) -> list[tuple[Variable, Coordinates]] | None:
    """Members of `group` that the reads end at, with their coordinates.

    A member that is read where a gathered index says is computed there anew. None if it cannot be.
    """
    links: list[tuple[Variable, Coordinates]] = []
    stack = list(reads)
    seen: set[tuple] = set()
    while stack:
        variable, at = place = stack.pop()
        if place in seen:
            continue
        seen.add(place)
        if variable in group.members:
            if all(c.value is None for c in at):
                links.append(place)
                continue
            if variable in group.reductions:
                return None
        elif not reading.is_inline(variable):
            continue
        if variable.owner is None:
            continue
        places = places_read(variable.owner, at, reading.shapes)
        if places is None:
            return None
        stack.extend(places)
    return links


def places_read(
    node: Apply, at: Coordinates, shapes: Shapes
) -> list[tuple[Variable, Coordinates]] | None:
    """What computing `node` at some coordinates reads, and where; None if it is no loop's work."""
    op = node.op
    if isinstance(op, VIEWS):
        return [(node.inputs[0], behind(node, at, shapes))]
    if isinstance(op, (Elementwise, Barrier)):
        return [(v, project(v, at)) for v in node.inputs]
    if isinstance(op, CheckedIndex):
        return [(node.inputs[0], at)]
    if isinstance(op, Generate):
        return [(v, ()) for v in node.inputs[op.ndim :]]
    if isinstance(op, ShapeOf):
        return []
    if isinstance(op, (Reduce, ArgReduce)) and reduces_nothing(node, shapes):
        return [(node.inputs[0], before_reduction(node, at))]
    if isinstance(op, Take):
        x, *indices = node.inputs
        where, rest = split_taken(op.axes, indices[0].type.ndim, at)
        found = iter([_index_coordinate(v, where, shapes) for v in indices])
        remaining = iter(rest)
        inside = tuple(
            next(found) if axis in op.axes else next(remaining) for axis in range(x.type.ndim)
        )
        return [(v, project(v, where)) for v in indices] + [(x, inside)]
    return None


def split_taken(
    axes: Sequence[int], index_ndim: int, at: Coordinates
) -> tuple[Coordinates, Coordinates]:
    """The coordinates in the result of a Take: those in its indices, and the others."""
    first = place_of_indices(axes)
    return at[first : first + index_ndim], at[:first] + at[first + index_ndim :]


def _index_coordinate(index: Variable, at: Coordinates, shapes: Shapes) -> Coordinate:
    found = counting(index, at, shapes)
    return Coordinate(value=_GATHER) if found is None else found


def counts(index: Variable, shapes: Shapes) -> bool:
    """Whether the values of an index array just count its places."""
    at = tuple(Coordinate(axis) for axis in range(index.type.ndim))
    return counting(index, at, shapes) is not None
