"""Which nodes share a kernel, and in which order the steps run.

Nodes are taken in topological order and joined to a group of the steps so far. The one rule that
keeps the result free of cycles: steps are numbered as they are created, and a node may join step k
only if everything it reads comes from steps <= k. So a step depends on lower numbers only, and
the whole pass is linear.

A group has one iteration space. Its members are full (one element per point of the space) or row
values (one per point of the kept axes, once the group reduces the others). What a later step reads
is stored; everything else lives in registers.
"""

from collections.abc import Sequence

from symnet.errors import CompilerError
from symnet.graph import dims
from symnet.graph.dims import Size
from symnet.graph.op import Op
from symnet.graph.types import FLOATS, HALVES
from symnet.graph.variables import Apply, Constant, Variable
from symnet.ops.arithmetic import strong_mul
from symnet.ops.barrier import Barrier
from symnet.ops.contraction import BatchedDot, Dot, Gemm
from symnet.ops.elementwise import Elementwise
from symnet.ops.generate import Generate
from symnet.ops.indexing import CheckedIndex, IncSubtensor, Put, Subtensor, Take
from symnet.ops.joining import Concatenate
from symnet.ops.movement import Reshape
from symnet.ops.random import Permutation
from symnet.ops.reduction import ArgReduce, Reduce
from symnet.ops.shape import MakeVector, ShapeOf
from symnet.schedule.access import (
    VIEWS,
    ZERO,
    Coordinate,
    Coordinates,
    behind,
    contiguous_strides,
    project,
    reduced_dimensions,
    reduces_nothing,
)
from symnet.schedule.joining import counts, mapping, places_read, split_taken
from symnet.schedule.reading import (
    TRANSPARENT,
    Reading,
    Strided,
    blas_layout,
    operations,
    tensor_inputs,
)
from symnet.schedule.shapes import Shapes
from symnet.schedule.steps import FusedStep, GemmStep, LoopStep, PermutationStep, Write

MAX_COST = 90  # scalar operations of one kernel; compile time grows faster than linearly above
MAX_OPERANDS = 16
ROUNDING = 4  # scalar operations to round to a half type
RECENT = 3  # groups over the same space that are tried, beside the one that computes the inputs

LOWERED = (
    Elementwise, Generate, CheckedIndex, Take, *VIEWS, Barrier, ShapeOf, Reduce, ArgReduce, Reshape,
    Dot, BatchedDot, Gemm, IncSubtensor, Put, Concatenate, MakeVector, Permutation,
)  # fmt: skip


def has_lowering(op: Op) -> bool:
    """Whether the schedule knows the kind of op; others run on the host."""
    return isinstance(op, LOWERED)


class Fusion:
    """The pass. After `run`, `steps` is the order, and `reading.stored` all that needs memory."""

    def __init__(
        self,
        nodes: Sequence[Apply],
        outputs: Sequence[Variable],
        shapes: Shapes,
        fuse: bool = True,
    ):
        self.nodes = nodes
        self.outputs = outputs
        self.shapes = shapes
        self.fuse = fuse
        self.steps: list[FusedStep] = []
        self.seq_of: dict[Variable, int] = {}  # step that computes a variable
        self.reading = Reading(nodes, outputs, shapes)
        self._by_space: dict[tuple[Size, ...], list[LoopStep]] = {}
        self._signatures: dict[tuple, int] = {}

    def run(self, most_signatures: int | None = None) -> bool:
        """Place every node; False as soon as there are more than so many different groups."""
        live = self._live()
        for number, node in enumerate(self.nodes):
            if node in live:
                self._place(node)
            if most_signatures is not None and number % 512 == 511:
                if self.signatures() > most_signatures:
                    return False
        for variable in dict.fromkeys(self.outputs):
            self.store(variable)
        return most_signatures is None or self.signatures() <= most_signatures

    def signatures(self) -> int:
        """The number of different groups so far."""
        return len({s.signature for s in self.steps if isinstance(s, LoopStep)})

    def _live(self) -> set[Apply]:
        """Nodes whose values are needed, not only their shapes."""
        wanted = set(self.outputs)
        live: set[Apply] = set()
        for node in reversed(self.nodes):
            if any(out in wanted for out in node.outputs):
                live.add(node)
                wanted.update(tensor_inputs(node))
        return live

    def stored_before(self, variable: Variable, seq: int) -> bool:
        """Whether a variable is in memory when step `seq` runs."""
        return variable in self.reading.stored and self.seq_of.get(variable, -1) < seq

    # ---- memory

    def store(self, variable: Variable) -> None:
        """Make sure a variable is in memory."""
        if variable in self.reading.stored:
            return
        group = self.reading.group_of.get(variable)
        if group is None:
            group = self._new_group(variable)
            group.members[variable] = self.fresh(variable)
            group.full.add(variable)
            inputs = () if variable.owner is None else tensor_inputs(variable.owner)
            self._join(group, variable, inputs, 1)
        at = group.members[variable]
        group.writes.append(Write(variable, at, variable, at))
        self.reading.stored.add(variable)

    def copy(self, variable: Variable) -> Variable:
        """A variable of its own that a new last step fills with the values of `variable`."""
        target = Variable(variable.type, origin=variable.origin)
        self.shapes.of[target] = self.shapes.of[variable]
        at = self.fresh(variable)
        self._write(("copy",), variable, Write(target, at, variable, at), (variable,))
        self.reading.stored.add(target)
        return target

    def fresh(self, variable: Variable) -> Coordinates:
        """Coordinates of a variable over axes of its own: dimensions of size 1 have none."""
        axis = 0
        at = []
        for size in self.shapes.of[variable]:
            if size == 1:
                at.append(ZERO)
            else:
                at.append(Coordinate(axis))
                axis += 1
        return tuple(at)

    def _axes(self, variable: Variable) -> list[Size]:
        return [size for size in self.shapes.of[variable] if size != 1]

    def _store_leaves(self, variables: Sequence[Variable]) -> None:
        for variable in variables:
            for leaf in self.reading.leaves(variable):
                self.store(leaf)

    def _force(self, variable: Variable) -> None:
        """Store what a strided view of `variable` looks at."""
        root = self.reading.root(variable)
        number = root.owner is None and root not in self.reading.stored
        self.store(variable if number else root)

    # ---- placing nodes

    def _place(self, node: Apply) -> None:
        op, out = node.op, node.outputs[0]
        if out in self.reading.stored:  # a source
            return
        if isinstance(op, (Elementwise, Generate, CheckedIndex, Take)):
            if not self.reading.is_inline(out):
                self._place_elementwise(node)
        elif isinstance(op, (*TRANSPARENT, ShapeOf)):
            pass
        elif isinstance(op, (Reduce, ArgReduce)):
            if reduces_nothing(node, self.shapes):
                self._place_elementwise(node)
            else:
                self._place_reduction(node)
        elif isinstance(op, Reshape):
            self._place_reshape(node)
        elif isinstance(op, (Dot, BatchedDot, Gemm)):
            self._place_gemm(node)
        elif isinstance(op, IncSubtensor):
            self._place_region(node)
        elif isinstance(op, Put):
            self._place_scatter(node)
        elif isinstance(op, Concatenate):
            self._place_concatenate(node)
        elif isinstance(op, MakeVector):
            self._place_vector(node)
        elif isinstance(op, Permutation):
            for v in node.inputs:
                if not self.reading.is_size(v):
                    self.store(v)
            self._opaque(PermutationStep(len(self.steps), node, node.origin), out)
        else:
            raise CompilerError(f"{op} has no lowering")

    # ---- groups

    def _new_group(self, space: Variable) -> LoopStep:
        axes = self._axes(space)
        group = LoopStep(len(self.steps), axes, space.origin)
        self.steps.append(group)
        self._by_space.setdefault(tuple(axes), []).append(group)
        return group

    def _join(self, group: LoopStep, out: Variable, reads: Sequence[Variable], cost: int) -> None:
        """Book a member: what it reads from outside must be stored."""
        self.reading.group_of[out] = group
        self.seq_of[out] = group.seq
        group.cost += cost
        for v in reads:
            for leaf in self.reading.leaves(v):
                if leaf not in group.members:
                    self.store(leaf)
                    group.outside.add(leaf)

    def _sign(self, group: LoopStep, node: Apply) -> None:
        key = (group.signature, str(node.op), len(group.members))
        group.signature = self._signature(key)

    def _signature(self, key: tuple) -> int:
        return self._signatures.setdefault(key, len(self._signatures) + 1)

    def _candidates(self, reads: Sequence[Variable], axes: Sequence[Size]) -> list[LoopStep]:
        """Groups that a member may join: none before the last step that it reads from."""
        if not self.fuse:
            return []
        last = -1
        for variable in reads:
            for leaf in self.reading.leaves(variable):
                last = max(last, self.seq_of.get(leaf, -1))
        found: list[LoopStep] = []
        if last >= 0:
            step = self.steps[last]
            if isinstance(step, LoopStep):
                found.append(step)
        recent = self._by_space.get(tuple(axes), [])[-RECENT:]
        return found + [group for group in reversed(recent) if group.seq > last]

    def _fits(self, group: LoopStep, reads: Sequence[Variable], cost: int) -> bool:
        if not group.members or group.cost + cost > MAX_COST:
            return False
        outside = set(group.outside)
        for v in reads:
            for leaf in self.reading.leaves(v):
                if leaf not in group.members:
                    if self.seq_of.get(leaf, -1) >= group.seq:
                        return False  # the reshape of a member: complete when the step is
                    outside.add(leaf)
        return len(outside) + len(group.writes) <= MAX_OPERANDS

    def _place_elementwise(self, node: Apply) -> None:
        out = node.outputs[0]
        reads = list(tensor_inputs(node))
        local = self.fresh(out)
        axes = self._axes(out)
        cost = 1 + operations(node.op) + ROUNDING * (out.type.dtype in HALVES)
        candidates = self._candidates(reads, axes)
        places = places_read(node, local, self.shapes) if candidates else []
        assert places is not None
        for group in candidates:
            if not self._fits(group, reads, cost):
                continue
            found = mapping(self.reading, group, places, axes)
            if found is not None:
                break
        else:  # members of other groups that it reads are stored first
            self._store_leaves(reads)
            group, found = self._new_group(out), None
            group.origin = node.origin
        group.members[out] = local if found is None else _mapped(local, found)
        if len(axes) == len(group.axes):
            group.full.add(out)
        self._sign(group, node)
        self._join(group, out, reads, cost)

    def _place_reduction(self, node: Apply) -> None:
        out, source = node.outputs[0], node.inputs[0]
        over = reduced_dimensions(node)
        local = self.fresh(source)
        axes = self._axes(source)
        reduced = frozenset(axis for d in over if (axis := local[d].axis) is not None)
        cost = 2
        for group in self._candidates((source,), axes):
            if len(axes) != len(group.axes) or not self._fits(group, (source,), cost):
                continue
            found = mapping(self.reading, group, [(source, local)], axes)
            if found is None:
                continue
            mapped = frozenset(found[a] for a in reduced)
            if group.reduced is None or group.reduced == mapped:
                local, reduced = _mapped(local, found), mapped
                break
        else:
            self._store_leaves((source,))
            group = self._new_group(source)
            group.origin = node.origin
        group.reduced = reduced
        outside = tuple(c for d, c in enumerate(local) if d not in over)
        group.members[out] = outside
        group.reductions[out] = (local, outside)
        self._sign(group, node)
        self._join(group, out, (source,), cost)

    # ---- steps that are no loops

    def _opaque(self, step: GemmStep | PermutationStep, out: Variable) -> None:
        self.steps.append(step)
        self.seq_of[out] = step.seq
        self.reading.stored.add(out)

    def _place_reshape(self, node: Apply) -> None:
        """Another name for what is stored; what is not stored in one piece is copied first."""
        source, out = node.inputs[0], node.outputs[0]
        self._force(source)
        view = self.reading.strided(source)
        sizes = self.shapes.of[source]
        if view is None or any(
            size != 1 and actual != wanted
            for size, actual, wanted in zip(sizes, view.strides, contiguous_strides(sizes))
        ):
            self.store(source)
            view = self.reading.strided(source)
        assert view is not None
        strides = contiguous_strides(self.shapes.of[out])
        self.reading.alias[out] = Strided(view.root, view.offset, strides, view.whole)
        self.seq_of[out] = self.seq_of.get(view.root, -1)
        self.reading.stored.add(out)

    def _place_gemm(self, node: Apply) -> None:
        out = node.outputs[0]
        if out.type.dtype not in FLOATS:
            raise CompilerError(f"{node.op} of {out.type.dtype} should have been rewritten")
        if isinstance(node.op, Gemm):
            c, alpha, a, b, beta = node.inputs
            if not isinstance(alpha, Constant):
                self.store(alpha)
            if not isinstance(beta, Constant):  # the step adds to what is there, already scaled
                c = strong_mul(beta, c)
                self.shapes.of[c] = self.shapes.of[out]
                self.reading.inline[c] = 1
        else:
            a, b = node.inputs
            c = None
        for operand in (a, b):
            self._force(operand)
            if not blas_layout(self.reading.strided(operand)):
                self.store(operand)
        if c is not None:
            self._copy(node, c, out)
        self._opaque(GemmStep(len(self.steps), node, node.origin), out)

    # ---- steps that write regions of a buffer

    def _write(
        self,
        kind: tuple,
        over: Variable,
        write: Write,
        reads: Sequence[Variable],
        serial: frozenset[int] = frozenset(),
        copy_of: Variable | None = None,
    ) -> None:
        """A step of its own that makes one write, over the axes of `over`."""
        self._store_leaves(reads)
        axes, origin = self._axes(over), write.target.origin
        step = LoopStep(len(self.steps), axes, origin, serial=serial, copy_of=copy_of)
        step.writes.append(write)
        for v in reads:
            step.outside.update(self.reading.leaves(v))
        key = ("write", *kind, copy_of is None, len(step.axes))
        step.signature = self._signature(key)
        self.steps.append(step)
        self.seq_of[write.target] = step.seq

    def _copy(self, node: Apply, source: Variable, out: Variable) -> None:
        """Fill `out` with `source`, before parts of it are changed."""
        if not self.reading.is_inline(source):
            self.store(source)
        at = self.fresh(source)
        copy_of = source if source in self.reading.stored else None
        write = Write(out, at, source, at)
        self._write((str(node.op),), source, write, (source,), copy_of=copy_of)

    def _place_region(self, node: Apply) -> None:
        op, out = node.op, node.outputs[0]
        assert isinstance(op, IncSubtensor)
        x, y = node.inputs[:2]
        self._copy(node, x, out)
        view = Subtensor(op.spec).make_node(x, *node.inputs[2:], origin=node.origin)
        at = self.fresh(y)
        write = Write(out, behind(view, at, self.shapes), y, at, add=not op.set)
        self._write((str(op),), y, write, (y,))
        self.reading.stored.add(out)

    def _place_scatter(self, node: Apply) -> None:
        op, out = node.op, node.outputs[0]
        assert isinstance(op, Put)
        x, y, *indices = node.inputs
        self._copy(node, x, out)
        at = self.fresh(y)
        where, others = split_taken(op.axes, indices[0].type.ndim, at)
        rest = iter(others)
        to = tuple(ZERO if a in op.axes else next(rest) for a in range(x.type.ndim))
        for index in indices:  # checked by a step of their own, before anything is overwritten
            if not isinstance(index, Constant) and not counts(index, self.shapes):
                self.store(index)
        gathers = {axis: (v, project(v, where)) for axis, v in zip(op.axes, indices)}
        serial = frozenset(c.axis for c in where if c.axis is not None)
        write = Write(out, to, y, at, add=not op.set, gathers=gathers)
        self._write((str(op),), y, write, (y, *indices), serial=serial)
        self.reading.stored.add(out)

    def _place_concatenate(self, node: Apply) -> None:
        op, out = node.op, node.outputs[0]
        assert isinstance(op, Concatenate)
        start: Size = 0
        for piece in node.inputs:
            at = self.fresh(piece)
            to = tuple(
                c._replace(offset=dims.add(c.offset, start)) if d == op.axis else c
                for d, c in enumerate(at)
            )
            self._write((str(op),), piece, Write(out, to, piece, at), (piece,))
            start = dims.add(start, self.shapes.of[piece][op.axis])
        self.reading.stored.add(out)

    def _place_vector(self, node: Apply) -> None:
        out = node.outputs[0]
        for position, scalar in enumerate(node.inputs):
            to = (Coordinate(offset=position),)
            self._write((str(node.op),), scalar, Write(out, to, scalar, ()), (scalar,))
        self.reading.stored.add(out)


def _mapped(at: Coordinates, axes: dict[int, int]) -> Coordinates:
    """Coordinates in a member's own axes as coordinates in those of its group."""
    return tuple(c if c.axis is None else c._replace(axis=axes[c.axis]) for c in at)
