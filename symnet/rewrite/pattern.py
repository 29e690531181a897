"""Rules written as algebra: `rule("log exp", log(exp(x)), x)`.

Both sides are ordinary expressions of element-wise ops over wildcards. The pattern matches

- an op with its arguments in either order if it commutes;
- a literal by any constant of that value, of whatever dtype, dimensions or broadcasting;
- a wildcard by any variable, the same one wherever it occurs.

An argument that an op would convert is bound together with the conversion, so the replacement
computes in the dtypes of the original. An operand that the replacement does without may be dropped
only if the result provably keeps its shape, or is broadcast to it.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import symnet.tensor  # noqa: F401  gives wildcards their operators
from symnet.errors import CompilerError
from symnet.graph import Apply, Constant, Origin, TensorType, Variable, toposort
from symnet.graph.variables import make_constant
from symnet.ops.casting import cast
from symnet.ops.conversion import as_variables
from symnet.ops.elementwise import Elementwise
from symnet.ops.movement import BroadcastTo, DimShuffle, pad_left
from symnet.rewrite.engine import Rule, Walk
from symnet.rewrite.shaping import keep_shape


def wildcard(name: str, dtype: str = "float64", ndim: int = 0) -> Any:
    """A variable of a pattern that stands for any expression. `dtype` only lets it be written."""
    return TensorType(dtype, (None,) * ndim)(name)


@dataclass(frozen=True, slots=True)
class Literal:
    """Matches constants of this value."""

    value: float | int | bool


@dataclass(frozen=True, slots=True)
class Wild:
    """Matches anything, consistently."""

    name: str


@dataclass(frozen=True, slots=True)
class Node:
    """Matches an element-wise op whose arguments match."""

    op: Elementwise
    args: tuple["Pattern", ...]
    order: tuple[int, ...]  # in which the arguments are tried: what fails fastest first


Pattern = Literal | Wild | Node
Bindings = dict[str, Variable]


class Equation:
    """The two sides of a pattern rule; called with a node, it applies the rule there.

    Variants (the pattern in all orders that commutativity allows) are made at the first call.
    """

    def __init__(
        self,
        patterns: tuple[Variable, ...],
        replacement: Variable,
        condition: Callable[[Bindings, Walk], bool] | None,
        domain: Callable[..., bool] | None,
    ):
        self.patterns = patterns
        self.replacement = replacement
        self.condition = condition
        self.domain = domain

    @functools.cached_property
    def variants(self) -> dict[Elementwise, list["Variant"]]:
        """The variants by the op at their root."""
        found: dict[Elementwise, list[Variant]] = {}
        for root in dict.fromkeys(node for p in self.patterns for node in _orders(p)):
            assert isinstance(root, Node)
            found.setdefault(root.op, []).append(Variant(root, *_guard(root)))
        return found

    @functools.cached_property
    def kept(self) -> set[str]:
        """The wildcards that the replacement has."""
        return _wildcards(self.replacement)

    def __call__(self, node: Apply, walk: Walk) -> Variable | None:
        for variant in self.variants[node.op]:  # type: ignore[index]
            if not variant.may_match(node):
                continue
            bound: Bindings = {}
            dropped: list[Variable] = []
            if not _match_args(variant.root, node, walk, bound, dropped):
                continue
            if self.condition is not None and not self.condition(bound, walk):
                continue
            out = node.outputs[0]
            dropped.extend(v for name, v in bound.items() if name not in self.kept)
            result = _build(self.replacement, bound, out.type.dtype, node.origin)
            shaped = keep_shape(walk, result, out, dropped)
            if shaped is not None:
                return shaped
        return None

    def __str__(self) -> str:
        return f"{_text(self.patterns[0])} -> {_text(self.replacement)}"


@dataclass(frozen=True, slots=True)
class Variant:
    """One order of a pattern, with a cheap necessary condition: argument `position` is made by
    `head` (None: is a constant); -1: no condition."""

    root: Node
    position: int
    head: Elementwise | None

    def may_match(self, node: Apply) -> bool:
        if self.position < 0:
            return True
        given = node.inputs[self.position]
        below = given.owner
        if self.head is not None:
            return below is not None and below.op is self.head
        return isinstance(given, Constant) if below is None else type(below.op) in _SEEN_THROUGH


def rule(
    name: str,
    pattern: Variable | Sequence[Variable],
    replacement: Any,
    where: Callable[[Bindings, Walk], bool] | None = None,
    domain: Callable[..., bool] | None = None,
) -> Rule:
    """A rule from its two sides.

    pattern      what is matched, or several spellings of it with the same wildcards
    replacement  what it becomes: an expression over the wildcards, or a Python number
    where        further condition on what was bound
    domain       condition on the wildcards' values (keyword arguments) outside of which the
                 tests make no comparison; values inside it must come out right

    Errors: CompilerError for a pattern that has other ops than element-wise ones, or none.
    """
    patterns = (pattern,) if isinstance(pattern, Variable) else tuple(pattern)
    for side in patterns:
        if side.owner is None or any(type(n.op) is not Elementwise for n in toposort([side])):
            raise CompilerError(f"rule {name!r}: patterns are made of element-wise ops")
    heads = tuple(dict.fromkeys(side.owner.op for side in patterns if side.owner is not None))
    return Rule(name, heads, Equation(patterns, as_variables([replacement])[0], where, domain))


# ---- from expressions to patterns


def _orders(expression: Variable) -> list[Pattern]:
    node = expression.owner
    if node is None:
        if isinstance(expression, Constant):
            return [Literal(expression.data.item())]
        return [Wild(str(expression.name))]
    assert isinstance(node.op, Elementwise)
    choices: list[list[Pattern]] = [[]]
    for v in node.inputs:
        choices = [[*before, option] for before in choices for option in _orders(v)]
    if node.op.commutative:
        choices += [args[::-1] for args in choices]
    return [_node(node.op, tuple(args)) for args in choices]


def _node(op: Elementwise, args: tuple[Pattern, ...]) -> Node:
    rank = {Node: 0, Literal: 1, Wild: 2}
    order = tuple(sorted(range(len(args)), key=lambda k: rank[type(args[k])]))
    return Node(op, args, order)


def _guard(variant: Node) -> tuple[int, Elementwise | None]:
    """A cheap necessary condition: (argument, its op), op None for a literal; -1: none."""
    first = variant.order[0]
    arg = variant.args[first]
    if isinstance(arg, Node):
        return first, arg.op
    return (first, None) if isinstance(arg, Literal) else (-1, None)


def _wildcards(expression: Variable) -> set[str]:
    node = expression.owner
    if node is None:
        return set() if isinstance(expression, Constant) else {str(expression.name)}
    return set().union(*map(_wildcards, node.inputs))


# ---- matching


def _match_args(
    pattern: Node, node: Apply, walk: Walk, bound: Bindings, dropped: list[Variable]
) -> bool:
    inputs = node.inputs
    for k in pattern.order:  # what is cheap to refuse
        arg = pattern.args[k]
        if type(arg) is Node:
            if walk.made_by(inputs[k], arg.op) is None:
                return False
        elif type(arg) is Literal and scalar_value(inputs[k], walk) != arg.value:
            return False
    dtypes = pattern.op.compute_dtypes(node)
    for k in pattern.order:
        arg, variable = pattern.args[k], inputs[k]
        if type(arg) is Node:
            below = walk.owner(variable)
            if variable.type.dtype != dtypes[k] or below is None:
                return False  # a conversion in between
            if not _match_args(arg, below, walk, bound, dropped):
                return False
        elif type(arg) is Literal:
            if variable.type.ndim:
                dropped.append(variable)
        elif type(arg) is Wild:
            if variable.type.dtype != dtypes[k]:
                variable = _converted(variable, dtypes[k], bound)
            if bound.setdefault(arg.name, variable) is not variable:
                return False
    return True


def _converted(variable: Variable, dtype: str, bound: Bindings) -> Variable:
    for known in bound.values():  # the same conversion twice is the same operand
        node = known.owner
        if known.type.dtype == dtype and node is not None and node.inputs == (variable,):
            return known
    return cast(variable, dtype)


_SEEN_THROUGH = (DimShuffle, BroadcastTo)


def scalar_value(variable: Variable, walk: Walk) -> float | int | bool | None:
    """The one value that all elements of a constant have, seen through broadcasting; or None."""
    while True:
        if variable.owner is None:
            if isinstance(variable, Constant) and variable.data.size == 1:
                value: float | int | bool = variable.data.item()
                return value
            return None
        node = walk.owner(variable)
        if node is None or type(node.op) not in _SEEN_THROUGH:
            return None
        variable = node.inputs[0]


# ---- building


def _build(template: Variable, bound: Bindings, dtype: str, origin: Origin) -> Variable:
    node = template.owner
    if node is None:
        if isinstance(template, Constant):
            return make_constant(template.data.item(), dtype)
        return bound[str(template.name)]
    op: Any = node.op
    args: list[Any] = [
        _weak(v) if isinstance(v, Constant) else _build(v, bound, dtype, origin)
        for v in node.inputs
    ]
    return op.make_node(*pad_left(as_variables(args)), origin=origin).outputs[0]


def _weak(literal: Constant) -> float | int | bool:
    """A literal as a Python number: whole ones as ints, which leave integers integers."""
    value = literal.data.item()
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _text(expression: Variable) -> str:
    node = expression.owner
    if node is None:
        return str(expression)
    return f"{node.op}({', '.join(map(_text, node.inputs))})"
