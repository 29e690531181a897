"""Sizes of variables as expressions over the sizes of the leaves, inferred where a rule asks.

Sizes are interned (`graph.dims`): two that are the same object are equal whenever the program
runs. A rule may drop an operand only if the result keeps its shape, which is proved here.
"""

from collections.abc import Callable, Sequence

from symnet.errors import SymnetError
from symnet.graph import Apply, Constant, Variable, dims
from symnet.graph.dims import Dim, Size
from symnet.ops.elementwise import Elementwise
from symnet.ops.shape import ShapeOf

# element-wise ops whose value on integer scalars is a size expression
_ARITHMETIC = {
    "add": "add", "sub": "sub", "mul": "mul", "floor_div": "floordiv", "floor_mod": "mod",
    "minimum": "min", "maximum": "max",
}  # fmt: skip

OwnerOf = Callable[[Variable], Apply | None]


class Sizes:
    """Sizes of the variables of one graph; also the ShapeContext of the ops asked.

    Requirements that ops state are not collected: they are checked when the program runs.
    """

    def __init__(self, owner: OwnerOf):
        self._owner = owner
        self._known: dict[Variable, tuple[Size, ...]] = {}
        self._values: dict[Variable, Size] = {}

    def of(self, variable: Variable) -> tuple[Size, ...]:
        """The sizes of `variable`, one per dimension."""
        known = self._known
        if variable in known:
            return known[variable]
        stack = [variable]
        while stack:
            top = stack[-1]
            node = None if top in known else self._owner(top)
            if top in known or node is None or _all_static(top):
                if top not in known:
                    known[top] = _leaf(top)
                stack.pop()
                continue
            missing = [v for v in node.inputs if v not in known]
            if missing:
                stack.extend(missing)
                continue
            stack.pop()
            self._infer(node)
        return known[variable]

    def _infer(self, node: Apply) -> None:
        try:
            shapes = node.op.infer_shape(node, [self._known[v] for v in node.inputs], self)
        except (NotImplementedError, SymnetError):
            shapes = [_leaf(out) for out in node.outputs]
        for out, shape in zip(node.outputs, shapes):
            self._known[out] = tuple(
                inferred if static is None else static
                for inferred, static in zip(shape, out.type.shape)
            )

    # ---- ShapeContext

    def value(self, variable: Variable) -> Size:
        """The value of an integer scalar as a size, iteratively."""
        known = self._values
        stack = [variable]
        while stack:
            top = stack[-1]
            if top in known:
                stack.pop()
                continue
            node = self._owner(top)
            if node is None:
                constant = isinstance(top, Constant) and top.data.size == 1
                known[top] = int(top.data.item()) if constant else Dim("value", (top,))  # type: ignore[attr-defined]
                continue
            if type(node.op) is ShapeOf:
                known[top] = self.of(node.inputs[0])[node.op.axis]
                continue
            name = _ARITHMETIC.get(node.op.name) if type(node.op) is Elementwise else None
            if name is None or top.type.ndim or top.type.dtype != "int64":
                known[top] = Dim("value", (top,))
                continue
            missing = [v for v in node.inputs if v not in known]
            if missing:
                stack.extend(missing)
                continue
            known[top] = dims.apply(name, *(known[v] for v in node.inputs))
        return known[variable]

    def require(self, a: Size, b: Size, why: str) -> None:
        pass

    def check(self, condition: Size, why: str, index: bool = False) -> None:
        pass


def _all_static(variable: Variable) -> bool:
    return None not in variable.type.shape


def _leaf(variable: Variable) -> tuple[Size, ...]:
    return tuple(
        Dim("dim", (variable, axis)) if static is None else static
        for axis, static in enumerate(variable.type.shape)
    )


def same(a: Sequence[Size], b: Sequence[Size]) -> bool:
    """Whether two shapes are equal in every run."""
    return len(a) == len(b) and all(
        x is y or (isinstance(x, int) and isinstance(y, int) and x == y) for x, y in zip(a, b)
    )
