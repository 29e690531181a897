"""Run-time sizes of every variable of a graph, and what must hold about them.

Sizes come out as expressions (graph/dims.py) over the dimensions of the source variables and the
values of integer scalars, so one compiled program serves all sizes (design D15).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from symnet.graph import dims
from symnet.graph.dims import Dim, Size
from symnet.graph.origin import Origin
from symnet.graph.types import INTEGERS
from symnet.graph.variables import Apply, Constant, SharedVariable, Variable
from symnet.ops.elementwise import Elementwise
from symnet.ops.shape import ShapeOf


@dataclass(frozen=True, slots=True)
class Check:
    """Something the sizes must fulfil: `condition` nonzero, else an error with `message`."""

    condition: Size
    message: str
    origin: Origin
    index: bool  # IndexOutOfBoundsError rather than ShapeError
    shown: tuple[Size, Size]  # what differs, for the message; equal ones say nothing


# integer functions that a size may be computed with, as size operators
_SIZE_OPERATORS = {
    "add": "add", "sub": "sub", "mul": "mul", "floor_div": "floordiv", "floor_mod": "mod",
    "minimum": "min", "maximum": "max", "eq": "eq", "neq": "ne", "lt": "lt", "le": "le",
    "where": "select",
}  # fmt: skip
_SWAPPED = {"gt": "lt", "ge": "le"}


class NotASize(Exception):
    """An integer scalar that must be computed by kernels before sizes that depend on it."""

    def __init__(self, variable: Variable):
        super().__init__(str(variable))
        self.variable = variable


class Shapes:
    """Sizes of all variables that `nodes` touch, and the checks they imply.

    `sources` are the variables whose arrays exist before the program runs.
    """

    def __init__(self, nodes: Sequence[Apply], sources: Collection[Variable]):
        self.sources = set(sources)
        self.checks: list[Check] = []
        self._equal: dict[Size, Size] = {}  # run-time sizes that a check makes equal
        self._infer(nodes, sources)
        if self._equal:  # once more, so that equal sizes are one expression
            checks = self.checks
            self._infer(nodes, sources)
            self.checks = checks

    def _infer(self, nodes: Sequence[Apply], sources: Collection[Variable]) -> None:
        self.of: dict[Variable, tuple[Size, ...]] = {}
        self.checks = []
        self._stated: set[Size] = set()
        self._values: dict[Variable, Size | None] = {}
        self._of_shared: set[Variable] = set()  # scalars made of shared variables' values
        self._node: Apply | None = None
        for variable in sources:
            self.add_source(variable)
        for node in nodes:
            self._node = node
            for variable in node.inputs:
                if variable not in self.of:
                    self.add_source(variable)
            inferred = node.op.infer_shape(node, [self.of[v] for v in node.inputs], self)
            for variable, sizes in zip(node.outputs, inferred):
                static = variable.type.shape
                self.of[variable] = tuple(
                    self._one_of(s) if known is None else known for s, known in zip(sizes, static)
                )

    def add_source(self, variable: Variable) -> None:
        if isinstance(variable, Constant):
            self.of[variable] = variable.data.shape
        else:
            self.of[variable] = tuple(
                self._one_of(Dim("dim", (variable, axis))) if size is None else size
                for axis, size in enumerate(variable.type.shape)
            )

    def _one_of(self, size: Size) -> Size:
        while size in self._equal:
            size = self._equal[size]
        return size

    # ---- what ops ask while they infer (graph.op.ShapeContext)

    def value(self, variable: Variable) -> Size:
        size = self.size_or_none(variable)
        if size is None:
            raise NotASize(variable)
        return size

    def require(self, a: Size, b: Size, why: str) -> None:
        self._check(dims.apply("eq", a, b), why, False, (a, b))
        a, b = self._one_of(a), self._one_of(b)
        if a is b or a == b:
            return
        if isinstance(a, Dim) and (a.op == "dim" or not isinstance(b, Dim) or b.op != "dim"):
            self._equal[a] = b
        elif isinstance(b, Dim):
            self._equal[b] = a

    def check(self, condition: Size, why: str, index: bool = False) -> None:
        self._check(condition, why, index, (0, 0))

    def _check(self, condition: Size, why: str, index: bool, shown: tuple[Size, Size]) -> None:
        node = self._node
        assert node is not None
        if (condition == 1 and isinstance(condition, int)) or condition in self._stated:
            return
        self._stated.add(condition)
        described = ", ".join(f"{v}: {v.type}" for v in node.inputs)
        self.checks.append(
            Check(condition, f"{node.op}({described}): {why}", node.origin, index, shown)
        )

    # ---- integer scalars as sizes

    def value_or_none(self, variable: Variable) -> Size | None:
        """The value of an int64 scalar that kernels get from the shape program.

        They read what depends on shared variables where it lies: on a device, a counter that each
        call advances then never has to be known to the host.
        """
        size = self.size_or_none(variable)
        return None if variable in self._of_shared else size

    def size_or_none(self, variable: Variable) -> Size | None:
        """The value of an int64 scalar as a size, if the shape program can compute it."""
        if variable in self._values:
            return self._values[variable]
        stack = [variable]
        while stack:
            top = stack[-1]
            if top in self._values:
                stack.pop()
                continue
            node = top.owner
            if node is None or top in self.sources or not _is_size_op(node):
                self._values[top] = self._leaf(top)
                if isinstance(top, SharedVariable):
                    self._of_shared.add(top)
                stack.pop()
                continue
            missing = [v for v in node.inputs if v.type.ndim == 0 and v not in self._values]
            if missing and not isinstance(node.op, ShapeOf):
                stack.extend(missing)
                continue
            self._values[top] = self._combine(node)
            if not isinstance(node.op, ShapeOf) and not self._of_shared.isdisjoint(node.inputs):
                self._of_shared.add(top)
            stack.pop()
        return self._values[variable]

    def _leaf(self, variable: Variable) -> Size | None:
        integral = variable.type.dtype in INTEGERS or variable.type.dtype == "bool"
        if variable.type.ndim or not integral or variable.type.dtype == "uint64":
            return None
        if isinstance(variable, Constant):
            return int(variable.data)
        if variable.owner is None or variable in self.sources:
            return Dim("value", (variable,))
        return None

    def _combine(self, node: Apply) -> Size | None:
        if isinstance(node.op, ShapeOf):
            sizes = self.of.get(node.inputs[0])
            return None if sizes is None else sizes[node.op.axis]
        args = [a for a in (self._values[v] for v in node.inputs) if a is not None]
        if len(args) < len(node.inputs):
            return None
        assert isinstance(node.op, Elementwise)
        name = node.op.name
        if name == "cast_bool":
            return dims.apply("ne", args[0], 0)
        if name == "cast_int64":
            return args[0]
        if name == "neg":
            return dims.apply("sub", 0, args[0])
        if name == "logical_not":
            return dims.apply("eq", args[0], 0)
        if name in ("logical_and", "logical_or"):
            return dims.apply(name[8:], *args)
        if name in _SWAPPED:
            return dims.apply(_SWAPPED[name], args[1], args[0])
        return dims.apply(_SIZE_OPERATORS[name], *args)


_SIZE_NAMES = frozenset(_SIZE_OPERATORS) | set(_SWAPPED) | {
    "neg", "logical_not", "logical_and", "logical_or", "cast_int64", "cast_bool",
}  # fmt: skip


def _is_size_op(node: Apply) -> bool:
    """Whether a node computes int64 or bool scalars with what the shape program can do."""
    if isinstance(node.op, ShapeOf):
        return True
    if not isinstance(node.op, Elementwise) or node.outputs[0].type.ndim:
        return False
    if node.op.name not in _SIZE_NAMES or node.outputs[0].type.dtype not in ("int64", "bool"):
        return False
    return all(v.type.dtype in INTEGERS or v.type.dtype == "bool" for v in node.inputs)
