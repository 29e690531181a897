"""What reading a variable ends at: memory, members of a step, or numbers of the shape program.

Cheap functions of what is stored anyway are not stored themselves: every reader computes them anew
(they are `inline`), and so are views.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from symnet.graph import dims
from symnet.graph.dims import Dim, Size
from symnet.graph.op import Op
from symnet.graph.variables import Apply, Constant, Variable
from symnet.ops.barrier import Barrier
from symnet.ops.contraction import BatchedDot, Dot, Gemm
from symnet.ops.elementwise import Elementwise, tree_cost
from symnet.ops.generate import Generate
from symnet.ops.indexing import CheckedIndex, IncSubtensor, Put
from symnet.ops.joining import Concatenate
from symnet.ops.movement import DimShuffle, Reshape
from symnet.ops.random import Permutation
from symnet.ops.shape import MakeVector, ShapeOf
from symnet.schedule.access import VIEWS, Coordinate, Coordinates, behind, contiguous_strides
from symnet.schedule.shapes import Shapes
from symnet.schedule.steps import LoopStep

INLINE_COST = 6  # operations per element up to which a function is rather computed anew
TRANSPARENT = (*VIEWS, Barrier)
_PRODUCTS = (Dot, BatchedDot, Gemm)
_FILLED = (IncSubtensor, Put, Concatenate, Permutation, MakeVector)  # step by step, in memory


@dataclass(slots=True)
class Strided:
    """A view of a stored variable: offset and strides in elements of `root`.

    whole  whether it has every element of `root` once
    """

    root: Variable
    offset: Size
    strides: tuple[Size, ...]
    whole: bool


class Reading:
    """The state of memory while steps are made.

    stored    variables that are in memory, or will be when the step that computes them is complete
    alias     reshapes of stored variables: stored, but elsewhere
    group_of  the step that computes a variable
    inline    variables that readers compute anew, with the operations that costs
    """

    def __init__(self, nodes: Sequence[Apply], outputs: Sequence[Variable], shapes: Shapes):
        self.shapes = shapes
        self.stored: set[Variable] = set(shapes.sources)
        self.alias: dict[Variable, Strided] = {}
        self.group_of: dict[Variable, LoopStep] = {}
        self.inline: dict[Variable, int] = {}
        self._leaves: dict[Variable, tuple[Variable, ...]] = {}
        self._decide_inline(nodes, self._certain(nodes, outputs))

    def _certain(self, nodes: Sequence[Apply], outputs: Sequence[Variable]) -> set[Variable]:
        """Variables that will be in memory whatever is fused."""
        certain = {*self.shapes.sources, *outputs}
        for node in nodes:
            if isinstance(node.op, (*_PRODUCTS, Reshape)):
                certain.update(self.root(v) for v in node.inputs)
                certain.update(node.outputs)
            elif isinstance(node.op, _FILLED):
                certain.update(node.outputs)
        return certain

    def _decide_inline(self, nodes: Sequence[Apply], certain: set[Variable]) -> None:
        """Views, and cheap functions of at most one stored array."""
        arrays: dict[Variable, frozenset[Variable]] = {}  # that an inline variable reads
        for node in nodes:
            op, out = node.op, node.outputs[0]
            view = isinstance(op, TRANSPARENT)
            if not view and not isinstance(op, (Elementwise, CheckedIndex, Generate)):
                continue
            if out in certain or self.is_size(out):
                continue
            cost = 0 if view else operations(op)
            read: set[Variable] = set()
            for v in tensor_inputs(node):
                if isinstance(v, Constant) or self.is_size(v):
                    continue
                if v in certain:
                    if v.type.ndim:
                        read.add(v)
                elif v in self.inline:
                    cost += self.inline[v]
                    read |= arrays[v]
                else:
                    break
            else:
                if view or (cost <= INLINE_COST and len(read) <= 1):
                    self.inline[out] = cost
                    arrays[out] = frozenset(read)

    # ---- kinds of variables

    def is_size(self, variable: Variable) -> bool:
        """Whether the shape program computes a variable."""
        return variable.type.ndim == 0 and self.shapes.value_or_none(variable) is not None

    def is_inline(self, variable: Variable) -> bool:
        """Whether readers compute a variable themselves."""
        if variable in self.stored or variable in self.group_of:
            return False
        if isinstance(variable, Constant) and variable.data.size == 1:
            return True
        node = variable.owner
        if node is None:
            return False
        return (
            variable in self.inline
            or isinstance(node.op, (*TRANSPARENT, ShapeOf))
            or self.is_size(variable)
        )

    def root(self, variable: Variable) -> Variable:
        """What a chain of views looks at."""
        while (
            variable.owner is not None
            and variable not in self.shapes.sources
            and isinstance(variable.owner.op, TRANSPARENT)
        ):
            variable = variable.owner.inputs[0]
        return variable

    def leaves(self, variable: Variable) -> tuple[Variable, ...]:
        """Stored variables and members of steps that reading `variable` ends at."""
        if not self.is_inline(variable):
            return (variable,)
        stack = [variable]
        while stack:
            top = stack[-1]
            if top in self._leaves:
                stack.pop()
                continue
            inputs = () if top.owner is None or self.is_size(top) else tensor_inputs(top.owner)
            missing = [v for v in inputs if self.is_inline(v) and v not in self._leaves]
            if missing:
                stack.extend(missing)
                continue
            found: dict[Variable, None] = {}
            for v in inputs:
                found.update(dict.fromkeys(self._leaves[v] if self.is_inline(v) else (v,)))
            self._leaves[top] = tuple(found)
        return self._leaves[variable]

    def strided(self, variable: Variable) -> Strided | None:
        """`variable` as a strided view of a stored one; None if it is computed or gathered."""
        at: Coordinates = tuple(Coordinate(axis) for axis in range(variable.type.ndim))
        current = variable
        whole = True
        while current not in self.stored:
            node = current.owner
            if node is None:
                return None  # a number
            if isinstance(node.op, VIEWS):
                at = behind(node, at, self.shapes)
                whole &= isinstance(node.op, DimShuffle)
            elif not isinstance(node.op, Barrier):
                return None
            current = node.inputs[0]
        base = self.alias.get(current)
        offset: Size = 0 if base is None else base.offset
        strides: list[Size] = [0] * variable.type.ndim
        for c, stride in zip(at, contiguous_strides(self.shapes.of[current])):
            offset = dims.add(offset, dims.mul(c.offset, stride))
            if c.axis is not None:
                strides[c.axis] = dims.add(strides[c.axis], dims.mul(c.step, stride))
        if base is None:
            return Strided(current, offset, tuple(strides), whole)
        return Strided(base.root, offset, tuple(strides), whole and base.whole)


def tensor_inputs(node: Apply) -> Sequence[Variable]:
    """Inputs that are read element by element (not sizes)."""
    op = node.op
    if isinstance(op, (*VIEWS, CheckedIndex)):
        return node.inputs[:1]
    if isinstance(op, Generate):
        return node.inputs[op.ndim :]
    return () if isinstance(op, ShapeOf) else node.inputs


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
    return (column == 1 or row == 1) and _forwards(row) and _forwards(column)


def _forwards(stride: Size) -> bool:
    if isinstance(stride, Dim):  # a size times a negative step: rows taken backwards
        return stride.op != "mul" or not any(isinstance(a, int) and a < 0 for a in stride.args)
    return stride > 0
