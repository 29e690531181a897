"""Which nodes share a kernel, and in which order the steps run.

Nodes are taken in topological order and joined to a group of the steps so far. The one rule that
keeps the result free of cycles: steps are numbered as they are created, and a node may join step k
only if everything it reads comes from steps <= k. So a step depends on lower numbers only, and
the whole pass is linear.

A group has one iteration space. Its members are full (one element per point of the space) or row
values (one per point of the kept axes, once the group reduces the others). What a later step reads
is stored; everything else lives in registers. Cheap functions of what is stored anyway are not
members: every reader computes them anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from symnet.errors import CompilerError
from symnet.graph import dims
from symnet.graph.dims import Dim, Size
from symnet.graph.op import Op
from symnet.graph.origin import Origin
from symnet.graph.types import FLOATS
from symnet.graph.variables import Apply, Constant, Variable
from symnet.ops.arithmetic import strong_mul
from symnet.ops.barrier import Barrier
from symnet.ops.contraction import BatchedDot, Dot, Gemm
from symnet.ops.elementwise import Elementwise, tree_cost
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
    before_reduction,
    behind,
    contiguous_strides,
    counting,
    project,
    reduced_dimensions,
    reduces_nothing,
)
from symnet.schedule.shapes import Shapes

MAX_COST = 90  # scalar operations of one kernel; compile time grows faster than linearly above
MAX_OPERANDS = 16
INLINE_COST = 6

_GATHER = object()  # stands for an index that is only known inside the kernel


@dataclass(slots=True, eq=False)
class Write:
    """Store `source` read at `at` into the buffer of `target` at `to`.

    gathers gives, for dimensions of the target that an index array selects, that array and where
    to read it.
    """

    target: Variable
    to: Coordinates
    source: Variable
    at: Coordinates
    add: bool = False
    gathers: dict[int, tuple[Variable, Coordinates]] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class LoopStep:
    """A fused loop nest over `axes`; `reduced` of them are reduced."""

    seq: int
    axes: list[Size]
    origin: Origin
    reduced: frozenset[int] | None = None
    members: dict[Variable, Coordinates] = field(default_factory=dict)
    full: set[Variable] = field(default_factory=set)
    reductions: dict[Variable, tuple[Coordinates, Coordinates]] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    serial: frozenset[int] = frozenset()
    cost: int = 0
    outside: set[Variable] = field(default_factory=set)
    copy_of: Variable | None = None  # a plain copy that an in-place target makes unnecessary
    signature: int = 0

    @property
    def kept(self) -> frozenset[int]:
        return frozenset(range(len(self.axes))) - (self.reduced or frozenset())


@dataclass(slots=True, eq=False)
class GemmStep:
    """out = beta * c + alpha * a @ b, the operands strided views; batched if `batch`."""

    seq: int
    node: Apply
    origin: Origin


@dataclass(slots=True, eq=False)
class PermutationStep:
    """A random permutation, by its hand-written kernel."""

    seq: int
    node: Apply
    origin: Origin


Step = LoopStep | GemmStep | PermutationStep


@dataclass(slots=True)
class Strided:
    """A view of a stored variable: offset and strides in elements of `root`."""

    root: Variable
    offset: Size
    strides: tuple[Size, ...]


class Fusion:
    """The pass. After `run`, `steps` is the order and `stored` the variables that need memory."""

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
        self.max_cost = MAX_COST if fuse else 0
        self.steps: list[Step] = []
        self.seq_of: dict[Variable, int] = {}  # step that computes a variable
        self.group_of: dict[Variable, LoopStep] = {}
        self.stored: set[Variable] = set(shapes.sources)
        self.alias: dict[Variable, Strided] = {}  # reshapes of stored variables
        self.inline: dict[Variable, int] = {}  # variable: cost of computing it from stored ones
        self._leaves: dict[Variable, tuple[Variable, ...]] = {}
        self._by_space: dict[tuple, list[LoopStep]] = {}
        self._signatures: dict[tuple, int] = {}

    def run(self, most_signatures: int | None = None) -> bool:
        """Place every node; False as soon as there are more than so many different groups."""
        self._decide_inline()
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
                wanted.update(self._tensor_inputs(node))
        return live

    # ---- what is certainly in memory, and what is too cheap to store

    def _certain(self) -> set[Variable]:
        certain = set(self.shapes.sources)
        certain.update(self.outputs)
        for node in self.nodes:
            op = node.op
            if isinstance(op, (Dot, BatchedDot, Gemm, Reshape)):
                certain.update(self._root(v) for v in node.inputs)
                certain.update(node.outputs)
            elif isinstance(op, (IncSubtensor, Put, Concatenate, Permutation, MakeVector)):
                certain.update(node.outputs)
        return certain

    def _decide_inline(self) -> None:
        certain = self._certain()
        cost: dict[Variable, int] = dict.fromkeys(certain, 0)
        reads: dict[Variable, frozenset[Variable]] = {}
        for node in self.nodes:
            out = node.outputs[0]
            op = node.op
            if isinstance(op, (VIEWS, Barrier)):
                tensor_inputs: Sequence[Variable] = node.inputs[:1]
                own = 0
            elif isinstance(op, Elementwise):
                tensor_inputs, own = node.inputs, op.cost
            elif isinstance(op, CheckedIndex):
                tensor_inputs, own = node.inputs[:1], 3
            elif isinstance(op, Generate):
                tensor_inputs, own = node.inputs[op.ndim :], tree_cost(op.tree)
            else:
                continue
            if self._is_size(out):
                continue
            tensor_inputs = [
                v for v in tensor_inputs if not isinstance(v, Constant) and not self._is_size(v)
            ]
            if any(v not in cost for v in tensor_inputs):
                continue
            total = own + sum(cost.get(v, 0) for v in tensor_inputs if v not in certain)
            sources: frozenset[Variable] = frozenset().union(
                *(
                    reads.get(v, frozenset())
                    if v not in certain
                    else ({v} if v.type.ndim else frozenset())
                    for v in tensor_inputs
                )
            )
            view = isinstance(op, (VIEWS, Barrier))
            if out in certain:
                continue
            if not view and (total > INLINE_COST or len(sources) > 1):
                continue
            cost[out] = total
            reads[out] = sources
            self.inline[out] = total

    def is_inline(self, variable: Variable) -> bool:
        if variable in self.stored or variable in self.group_of:
            return False
        if isinstance(variable, Constant) and variable.data.size == 1:
            return True
        node = variable.owner
        if node is None:
            return False
        return (
            variable in self.inline
            or isinstance(node.op, (VIEWS, Barrier, ShapeOf))
            or self._is_size(variable)
        )

    def _is_size(self, variable: Variable) -> bool:
        """Whether the shape program computes a variable."""
        return variable.type.ndim == 0 and self.shapes.value_or_none(variable) is not None

    def _root(self, variable: Variable) -> Variable:
        while (
            variable.owner is not None
            and variable not in self.shapes.sources
            and (isinstance(variable.owner.op, (VIEWS, Barrier)))
        ):
            variable = variable.owner.inputs[0]
        return variable

    def _tensor_inputs(self, node: Apply) -> Sequence[Variable]:
        """Inputs that are read element by element (not sizes)."""
        op = node.op
        if isinstance(op, VIEWS):
            return node.inputs[:1]
        if isinstance(op, CheckedIndex):
            return node.inputs[:1]
        if isinstance(op, Generate):
            return node.inputs[op.ndim :]
        if isinstance(op, ShapeOf):
            return ()
        return node.inputs

    def leaves(self, variable: Variable) -> tuple[Variable, ...]:
        """Stored variables and group members that reading `variable` ends at."""
        if not self.is_inline(variable):
            return (variable,)
        known = self._leaves.get(variable)
        if known is not None:
            return known
        stack = [variable]
        while stack:
            top = stack[-1]
            if top in self._leaves:
                stack.pop()
                continue
            if top.owner is None or self._is_size(top):
                self._leaves[top] = ()
                continue
            inputs = self._tensor_inputs(top.owner)
            missing = [v for v in inputs if self.is_inline(v) and v not in self._leaves]
            if missing:
                stack.extend(missing)
                continue
            found: dict[Variable, None] = {}
            for v in inputs:
                found.update(dict.fromkeys(self._leaves[v] if self.is_inline(v) else (v,)))
            self._leaves[top] = tuple(found)
        return self._leaves[variable]

    # ---- memory

    def store(self, variable: Variable) -> None:
        """Make sure a variable is in memory."""
        if variable in self.stored:
            return
        group = self.group_of.get(variable)
        if group is None:
            group = self._new_group(variable, self._seq((variable,)))
            at = tuple(self._fresh(variable))
            group.members[variable] = at
            group.full.add(variable)
            self._note(group, variable, (variable,), 1)
        at = group.members[variable]
        group.writes.append(Write(variable, at, variable, at))
        self.stored.add(variable)

    def _note(self, group: LoopStep, out: Variable, reads: Sequence[Variable], cost: int) -> None:
        """Book a member: what it reads from outside must be stored."""
        self.group_of[out] = group
        self.seq_of[out] = group.seq
        group.cost += cost
        for v in reads:
            if v is out and not self.is_member(group, v):
                continue
            for leaf in self._behind_inline(v, out):
                if leaf not in group.members:
                    if leaf not in self.stored:
                        self.store(leaf)
                    group.outside.add(leaf)

    def is_member(self, group: LoopStep, variable: Variable) -> bool:
        return variable in group.members

    def _behind_inline(self, variable: Variable, out: Variable) -> Sequence[Variable]:
        if variable is out and variable.owner is not None:
            found: dict[Variable, None] = {}
            for v in self._tensor_inputs(variable.owner):
                found.update(dict.fromkeys(self.leaves(v)))
            return tuple(found)
        return self.leaves(variable)

    def _seq(self, variables: Sequence[Variable]) -> int:
        """The last step that reading these variables depends on; -1 if there is none."""
        last = -1
        for variable in variables:
            for leaf in self.leaves(variable):
                last = max(last, self.seq_of.get(leaf, -1))
        return last

    def _fresh(self, variable: Variable) -> list[Coordinate]:
        """Coordinates of a variable over axes of its own: dimensions of size 1 have none."""
        axis = 0
        at = []
        for size in self.shapes.of[variable]:
            if size == 1:
                at.append(ZERO)
            else:
                at.append(Coordinate(axis))
                axis += 1
        return at

    def _new_group(self, space: Variable, _: int) -> LoopStep:
        axes = [s for s in self.shapes.of[space] if s != 1]
        group = LoopStep(len(self.steps), axes, space.origin)
        self.steps.append(group)
        self._by_space.setdefault(tuple(axes), []).append(group)
        return group

    # ---- placing nodes

    def _place(self, node: Apply) -> None:
        op, out = node.op, node.outputs[0]
        if out in self.stored:  # a source
            return
        if isinstance(op, (Elementwise, Generate, CheckedIndex, Take)):
            if not self.is_inline(out):
                self._place_elementwise(node)
        elif isinstance(op, (VIEWS, Barrier, ShapeOf)):
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
                if self.shapes.value_or_none(v) is None:
                    self.store(v)
            self._opaque(PermutationStep(len(self.steps), node, node.origin), out)
        else:
            raise CompilerError(f"{op} has no lowering")

    def _opaque(self, step: Step, out: Variable) -> None:
        self.steps.append(step)
        self.seq_of[out] = step.seq
        self.stored.add(out)

    def _candidates(self, reads: Sequence[Variable], axes: tuple[Size, ...]) -> list[LoopStep]:
        last = self._seq(reads)
        found: list[LoopStep] = []
        if last >= 0:
            step = self.steps[last]
            if isinstance(step, LoopStep):
                found.append(step)
        for group in reversed(self._by_space.get(axes, [])[-3:]):
            if group.seq > last:
                found.append(group)
        return found

    def _links(
        self, group: LoopStep, reads: Sequence[tuple[Variable, Coordinates]]
    ) -> list[tuple[Variable, Coordinates]] | None:
        """Members of `group` that the reads end at, with their coordinates.

        None if a member is read at coordinates only known inside the kernel and cannot be computed
        there."""
        links: list[tuple[Variable, Coordinates]] = []
        stack = list(reads)
        seen: set[tuple] = set()
        while stack:
            variable, at = stack.pop()
            if (variable, at) in seen:
                continue
            seen.add((variable, at))
            if variable in group.members:
                gathered = any(c.value is not None for c in at)
                if not gathered:
                    links.append((variable, at))
                    continue
                if variable in group.reductions:
                    return None
            elif not self.is_inline(variable):
                continue
            node = variable.owner
            if node is None:
                continue
            places = self._reads(node, at)
            if places is None:
                return None
            stack.extend(places)
        return links

    def _reads(self, node: Apply, at: Coordinates) -> list[tuple[Variable, Coordinates]] | None:
        """What computing `node` at some coordinates reads, and where."""
        op = node.op
        if isinstance(op, VIEWS):
            return [(node.inputs[0], behind(node, at, self.shapes))]
        if isinstance(op, (Elementwise, Barrier)):
            return [(v, project(v, at)) for v in node.inputs]
        if isinstance(op, CheckedIndex):
            return [(node.inputs[0], at)]
        if isinstance(op, Generate):
            return [(v, ()) for v in node.inputs[op.ndim :]]
        if isinstance(op, ShapeOf):
            return []
        if isinstance(op, (Reduce, ArgReduce)) and reduces_nothing(node, self.shapes):
            return [(node.inputs[0], before_reduction(node, at))]
        if isinstance(op, Take):
            x, *indices = node.inputs
            ndim = max(v.type.ndim for v in indices)
            adjacent = op.axes[-1] - op.axes[0] == len(op.axes) - 1
            first = op.axes[0] if adjacent else 0
            where = at[first : first + ndim]
            rest = iter(at[:first] + at[first + ndim :])
            inside = tuple(
                self._index_coordinate(indices[op.axes.index(axis)], where)
                if axis in op.axes
                else next(rest)
                for axis in range(x.type.ndim)
            )
            return [(v, project(v, where)) for v in indices] + [(x, inside)]
        return None

    def _index_coordinate(self, index: Variable, at: Coordinates) -> Coordinate:
        found = counting(index, at, self.shapes)
        return Coordinate(value=_GATHER) if found is None else found

    def _counts(self, index: Variable) -> bool:
        at = tuple(Coordinate(axis) for axis in range(index.type.ndim))
        return self._index_coordinate(index, at).value is None

    def _mapping(
        self,
        group: LoopStep,
        reads: Sequence[tuple[Variable, Coordinates]],
        axes: Sequence[Size],
        reducing: frozenset[int] = frozenset(),
    ) -> dict[int, int] | None:
        """How local axes map to the group's, if the group can take a member over them."""
        links = self._links(group, reads)
        if links is None:
            return None
        mapping: dict[int, int] = {}
        for variable, at in links:
            for inside, local in zip(group.members[variable], at):
                if inside.axis is None:
                    if local.axis is not None or local.offset != 0:
                        return None
                    continue
                if local.axis is None or local.step != 1 or local.offset != 0:
                    return None
                if mapping.setdefault(local.axis, inside.axis) != inside.axis:
                    return None
        if len(set(mapping.values())) != len(mapping):
            return None
        count = len(axes)
        if count == len(group.axes):
            allowed = range(len(group.axes))
        elif group.reduced is not None and count == len(group.kept):
            allowed = sorted(group.kept)  # type: ignore[assignment]
        else:
            return None
        free = [axis for axis in allowed if axis not in mapping.values()]
        for local in range(count):
            if local not in mapping:
                match = next(
                    (
                        a
                        for a in free
                        if group.axes[a] is axes[local] or group.axes[a] == axes[local]
                    ),
                    None,
                )
                if match is None:
                    return None
                mapping[local] = match
                free.remove(match)
            elif mapping[local] not in allowed:
                return None
        for local, axis in mapping.items():
            if local < count and group.axes[axis] != axes[local]:
                return None
        if count == len(group.axes) and group.reduced is not None and not group.kept:
            # one pass only: what needs the total of everything belongs to a later step
            if any(variable not in group.full for variable, _ in links):
                return None
        return mapping

    def _fits(self, group: LoopStep, reads: Sequence[Variable], cost: int) -> bool:
        if group.serial or group.copy_of is not None or not group.members:
            return False
        if self.max_cost == 0:
            return False
        if group.cost + cost > self.max_cost:
            return False
        outside = set(group.outside)
        for v in reads:
            for leaf in self.leaves(v):
                if leaf not in group.members:
                    if self.seq_of.get(leaf, -1) >= group.seq:
                        return False  # the reshape of a member: complete when the step is
                    outside.add(leaf)
        return len(outside) + len(group.writes) <= MAX_OPERANDS

    def _place_elementwise(self, node: Apply) -> None:
        out = node.outputs[0]
        reads_variables = list(self._tensor_inputs(node))
        local = tuple(self._fresh(out))
        axes = [s for s in self.shapes.of[out] if s != 1]
        cost = 1 + operations(node.op)
        places = self._reads(node, local) if self.max_cost else []
        assert places is not None
        candidates = self._candidates(reads_variables, tuple(axes)) if self.max_cost else ()
        for group in candidates:
            if not self._fits(group, reads_variables, cost):
                continue
            mapping = self._mapping(group, places, axes)
            if mapping is None:
                continue
            group.members[out] = tuple(
                c if c.axis is None else c._replace(axis=mapping[c.axis]) for c in local
            )
            if len(axes) == len(group.axes):
                group.full.add(out)
            self._sign(group, node)
            self._note(group, out, reads_variables, cost)
            return
        for v in reads_variables:  # a new group: members of others must be stored first
            for leaf in self.leaves(v):
                self.store(leaf)
        group = self._new_group(out, 0)
        group.origin = node.origin
        group.members[out] = local
        group.full.add(out)
        self._sign(group, node)
        self._note(group, out, reads_variables, cost)

    def _sign(self, group: LoopStep, node: Apply) -> None:
        key = (group.signature, str(node.op), len(group.members))
        group.signature = self._signatures.setdefault(key, len(self._signatures) + 1)

    def _place_reduction(self, node: Apply) -> None:
        source = node.inputs[0]
        dims_reduced = reduced_dimensions(node)
        local = tuple(self._fresh(source))
        axes = [s for s in self.shapes.of[source] if s != 1]
        reducing = frozenset(local[d].axis for d in dims_reduced if local[d].axis is not None)
        cost = 2
        for group in self._candidates((source,), tuple(axes)):
            if not self._fits(group, (source,), cost):
                continue
            if len(axes) != len(group.axes):
                continue
            mapping = self._mapping(group, [(source, local)], axes)
            if mapping is None:
                continue
            mapped = frozenset(mapping[a] for a in reducing)  # type: ignore[index]
            if (group.reduced is not None and group.reduced != mapped) or not mapped:
                continue
            self._reduce_in(group, node, local, dims_reduced, mapping, mapped, cost)
            return
        for leaf in self.leaves(source):
            self.store(leaf)
        group = self._new_group(source, 0)
        group.origin = node.origin
        mapping = {a: a for a in range(len(axes))}
        self._reduce_in(group, node, local, dims_reduced, mapping, reducing, cost)  # type: ignore[arg-type]

    def _reduce_in(
        self,
        group: LoopStep,
        node: Apply,
        local: Coordinates,
        dims_reduced: Sequence[int],
        mapping: dict[int, int],
        reduced: frozenset[int],
        cost: int,
    ) -> None:
        out, source = node.outputs[0], node.inputs[0]
        inside = tuple(c if c.axis is None else c._replace(axis=mapping[c.axis]) for c in local)
        outside = tuple(c for d, c in enumerate(inside) if d not in dims_reduced)
        group.reduced = reduced if group.reduced is None else group.reduced
        group.members[out] = outside
        group.reductions[out] = (inside, outside)
        self._sign(group, node)
        self._note(group, out, (source,), cost)

    def strided(self, variable: Variable) -> Strided | None:
        """`variable` as a strided view of a stored one; None if it is computed or gathered."""
        at: Coordinates = tuple(Coordinate(axis) for axis in range(variable.type.ndim))
        current = variable
        while current not in self.stored:
            node = current.owner
            if node is None:
                break
            if isinstance(node.op, VIEWS):
                at = behind(node, at, self.shapes)
            elif not isinstance(node.op, Barrier):
                return None
            current = node.inputs[0]
        if isinstance(current, Constant) and current not in self.stored:
            return None
        base = self.alias.get(current)
        inner = contiguous_strides(self.shapes.of[current])
        offset: Size = 0 if base is None else base.offset
        strides: list[Size] = [0] * variable.type.ndim
        for c, stride in zip(at, inner):
            offset = dims.add(offset, dims.mul(c.offset, stride))
            if c.axis is not None:
                strides[c.axis] = dims.add(strides[c.axis], dims.mul(c.step, stride))
        return Strided(current if base is None else base.root, offset, tuple(strides))

    def force(self, variable: Variable) -> None:
        """Store what a strided view of `variable` needs."""
        root = self._root(variable)
        if root.owner is None and root not in self.stored:
            self.store(variable)
        else:
            self.store(root)

    def _place_reshape(self, node: Apply) -> None:
        source, out = node.inputs[0], node.outputs[0]
        self.force(source)
        view = self.strided(source)
        sizes = self.shapes.of[source]
        if view is not None:
            plain = contiguous_strides(sizes)
            if any(s != 1 and a is not b and a != b for s, a, b in zip(sizes, view.strides, plain)):
                view = None
        if view is None:
            self.store(source)
            view = self.strided(source)
            assert view is not None
        self.alias[out] = Strided(view.root, view.offset, contiguous_strides(self.shapes.of[out]))
        self.seq_of[out] = self.seq_of.get(view.root, -1)
        self.stored.add(out)

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
                self.inline[c] = 1
        else:
            a, b = node.inputs
            c = None
        for operand in (a, b):
            self.force(operand)
            if not blas_layout(self.strided(operand)):
                self.store(operand)
        if c is not None:
            if not self.is_inline(c):
                self.store(c)
            self._copy(node, c, out)
        self._opaque(GemmStep(len(self.steps), node, node.origin), out)

    # ---- steps that write regions of a buffer

    def _write(
        self,
        node: Apply,
        axes_of: Variable,
        write: Write,
        reads: Sequence[Variable],
        serial: frozenset[int] = frozenset(),
        copy_of: Variable | None = None,
    ) -> None:
        for v in reads:
            for leaf in self.leaves(v):
                self.store(leaf)
        axes = [s for s in self.shapes.of[axes_of] if s != 1]
        step = LoopStep(len(self.steps), axes, node.origin, serial=serial, copy_of=copy_of)
        step.writes.append(write)
        step.cost = 3
        for v in reads:
            step.outside.update(self.leaves(v))
        step.signature = self._signatures.setdefault(
            ("write", str(node.op), copy_of is None, len(axes)), len(self._signatures) + 1
        )
        self.steps.append(step)
        self.seq_of[write.target] = step.seq

    def _copy(self, node: Apply, source: Variable, out: Variable) -> None:
        at = tuple(self._fresh(source))
        plain = self._root(source) is source and source in self.stored
        copy_of = source if plain or source in self.stored else None
        self._write(node, source, Write(out, at, source, at), (source,), copy_of=copy_of)

    def _place_region(self, node: Apply) -> None:
        op, out = node.op, node.outputs[0]
        x, y = node.inputs[:2]
        if not self.is_inline(x):
            self.store(x)
        self._copy(node, x, out)
        view = Subtensor(op.spec).make_node(x, *node.inputs[2:], origin=node.origin)  # type: ignore[attr-defined]
        self.shapes.of.setdefault(view.outputs[0], self.shapes.of[y])
        at = tuple(self._fresh(y))
        to = behind(view, at, self.shapes)
        self._write(node, y, Write(out, to, y, at, add=not op.set), (y,))  # type: ignore[attr-defined]
        self.stored.add(out)

    def _place_scatter(self, node: Apply) -> None:
        op, out = node.op, node.outputs[0]
        assert isinstance(op, Put)
        x, y, *indices = node.inputs
        if not self.is_inline(x):
            self.store(x)
        self._copy(node, x, out)
        ndim = max(v.type.ndim for v in indices)
        adjacent = op.axes[-1] - op.axes[0] == len(op.axes) - 1
        first = op.axes[0] if adjacent else 0
        at = tuple(self._fresh(y))
        where = at[first : first + ndim]
        rest = iter(at[:first] + at[first + ndim :])
        to = tuple(ZERO if a in op.axes else next(rest) for a in range(x.type.ndim))
        for index in indices:  # checked by a step of their own, before anything is overwritten
            if not isinstance(index, Constant) and not self._counts(index):
                self.store(index)
        gathers = {axis: (v, project(v, where)) for axis, v in zip(op.axes, indices)}
        serial = frozenset(c.axis for c in where if c.axis is not None)
        write = Write(out, to, y, at, add=not op.set, gathers=gathers)
        self._write(node, y, write, (y, *indices), serial=serial)
        self.stored.add(out)

    def _place_concatenate(self, node: Apply) -> None:
        op, out = node.op, node.outputs[0]
        start: Size = 0
        for piece in node.inputs:
            at = tuple(self._fresh(piece))
            to = tuple(
                c._replace(offset=dims.add(c.offset, start)) if d == op.axis else c  # type: ignore[attr-defined]
                for d, c in enumerate(at)
            )
            self._write(node, piece, Write(out, to, piece, at), (piece,))
            start = dims.add(start, self.shapes.of[piece][op.axis])  # type: ignore[attr-defined]
        self.stored.add(out)

    def _place_vector(self, node: Apply) -> None:
        out = node.outputs[0]
        for position, scalar in enumerate(node.inputs):
            to = (Coordinate(offset=position),)
            self._write(node, scalar, Write(out, to, scalar, ()), (scalar,))
        self.stored.add(out)


def operations(op: Op) -> int:
    """Rough number of machine operations per element."""
    if isinstance(op, Elementwise):
        return op.cost
    return tree_cost(op.tree) if isinstance(op, Generate) else 3


def blas_layout(view: Strided | None) -> bool:
    """Whether BLAS can read a matrix (the last two dimensions) with these strides."""
    if view is None or len(view.strides) < 2:
        return False
    row, column = view.strides[-2:]
    unit = column == 1 or row == 1

    def readable(s: Size) -> bool:
        if isinstance(s, Dim):  # a product with a number: rows taken backwards
            return s.op != "mul" or not any(isinstance(a, int) and a < 0 for a in s.args)
        return s > 0

    return unit and readable(row) and readable(column)


LOWERED = (
    Elementwise, Generate, CheckedIndex, Take, *VIEWS, Barrier, ShapeOf, Reduce, ArgReduce, Reshape,
    Dot, BatchedDot, Gemm, IncSubtensor, Put, Concatenate, MakeVector, Permutation,
)  # fmt: skip


def has_lowering(op: Op) -> bool:
    """Whether the schedule knows the kind of op; others run on the host."""
    return isinstance(op, LOWERED)
