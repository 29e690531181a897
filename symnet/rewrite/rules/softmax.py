"""Softmax, log-softmax and logsumexp, found in their written-out forms and through views.

What lies between a logarithm and a softmax does not matter as long as it only moves elements:
transposing, reshaping, picking the labels' columns.
"""

# mypy: disable-error-code="attr-defined, index, operator, union-attr"

from symnet.graph import Apply, Variable
from symnet.ops.arithmetic import sqrt, sub, true_div
from symnet.ops.elementwise import Elementwise
from symnet.ops.exponential import exp, expm1, log, log1p
from symnet.ops.gather import CheckedIndex, Take, is_count
from symnet.ops.generate import arange
from symnet.ops.indexing import index
from symnet.ops.logic import isinf, where
from symnet.ops.movement import BroadcastTo, DimShuffle, Reshape
from symnet.ops.nnet import LogSoftmax, LogSumExp, Softmax, log_softmax, logsumexp, softmax
from symnet.ops.reduction import Reduce, max_, sum_
from symnet.ops.shape import shape_of
from symnet.ops.subtensor import Subtensor
from symnet.rewrite.engine import Walk, rewrites
from symnet.rewrite.pattern import wildcard
from symnet.rewrite.sizes import same

NARROWING = (DimShuffle, Reshape, Subtensor, Take)  # at most as many elements as before
MOVERS = (*NARROWING, BroadcastTo)
x, y = wildcard("x", ndim=2), wildcard("y", "int64", ndim=1)
row = x.type.clone(shape=(1, 3))("row")


def _below_movers(walk: Walk, variable: Variable) -> tuple[list[Apply], Variable]:
    """The ops that only move elements on top of a variable, outermost first, and what is below."""
    movers = []
    node = walk.owner(variable)
    while node is not None and type(node.op) in MOVERS:
        movers.append(node)
        variable = node.inputs[0]
        node = walk.owner(variable)
    return movers, variable


def _move_again(movers: list[Apply], variable: Variable) -> Variable:
    for node in reversed(movers):
        variable = node.op.make_node(variable, *node.inputs[1:], origin=node.origin).outputs[0]
    return variable


def _kept_reduction(walk: Walk, variable: Variable, function: str) -> tuple[Variable, int] | None:
    """(x, axis) if `variable` is the reduction of x along one axis with keepdims."""
    movers, bottom = _below_movers(walk, variable)
    node = walk.made_by(bottom, Reduce)
    if node is None or node.op.function != function or len(node.op.axes) != 1:
        return None
    (axis,) = node.op.axes
    return (node.inputs[0], axis) if _is_keepdims(movers, bottom, axis) else None


def _is_keepdims(movers: list[Apply], bottom: Variable, axis: int) -> bool:
    ndim = bottom.type.ndim + 1
    order = (*range(axis), "x", *range(axis, ndim - 1))
    return (
        bool(movers)
        and movers[-1].op == DimShuffle(order)
        and all(type(node.op) is BroadcastTo for node in movers[:-1])
    )


@rewrites(log, examples=lambda: [log(softmax(x)), log(softmax(x).T), log(softmax(x).flatten())])
def log_of_softmax(node: Apply, walk: Walk) -> Variable | None:
    """log(move(softmax(x))) -> move(log_softmax(x))"""
    movers, bottom = _below_movers(walk, node.inputs[0])
    found = walk.made_by(bottom, Softmax)
    if found is None:
        return None
    return _move_again(movers, LogSoftmax(found.op.axis)(*found.inputs))


def _unshifted(walk: Walk, variable: Variable, axes: tuple[int, ...]) -> Variable | None:
    """x if `variable` is x - max(x, axes, keepdims=True), or as expanded: - 0 for infinities."""
    node = walk.made_by(variable, sub)
    if node is None:
        return None
    given, shift = node.inputs
    guarded = walk.made_by(shift, where)
    if guarded is not None and walk.made_by(guarded.inputs[0], isinf) is not None:
        shift = guarded.inputs[2]
    found = _kept_reduction(walk, shift, "max")
    return given if found is not None and (found[0], (found[1],)) == (given, axes) else None


@rewrites(
    log, examples=lambda: [log(sum_(exp(x), 1)), log(sum_(exp(x))), log(sum_(exp(x), 0, True))]
)
def log_of_sum_of_exp(node: Apply, walk: Walk) -> Variable | None:
    """log(move(sum(exp(x), axes))) -> move(logsumexp(x, axes))"""
    movers, bottom = _below_movers(walk, node.inputs[0])
    total = walk.made_by(bottom, Reduce)
    if total is None or total.op.function != "sum":
        return None
    powers = walk.made_by(total.inputs[0], exp)
    if powers is None or bottom.type.dtype != node.outputs[0].type.dtype:
        return None
    (exponent,) = powers.inputs
    if exponent.type.dtype != bottom.type.dtype:
        return None
    if _unshifted(walk, exponent, total.op.axes) is not None:
        return None  # somebody took care already
    return _move_again(movers, logsumexp(exponent, total.op.axes))


@rewrites(true_div, examples=lambda: [exp(x) / sum_(exp(x), 1, keepdims=True)])
def softmax_written_out(node: Apply, walk: Walk) -> Variable | None:
    """exp(x) / sum(exp(x), axis, keepdims=True) -> softmax(x, axis)"""
    above, below = node.inputs
    powers = walk.made_by(above, exp)
    if powers is None or powers.inputs[0].type.dtype != above.type.dtype:
        return None
    found = _kept_reduction(walk, below, "sum")
    if found is None or found[0] is not above:
        return None
    return Softmax(found[1])(*powers.inputs)


@rewrites(sub, examples=lambda: [x - logsumexp(x, 1, keepdims=True)])
def log_softmax_written_out(node: Apply, walk: Walk) -> Variable | None:
    """x - logsumexp(x, axis, keepdims=True) -> log_softmax(x, axis)"""
    given, total = node.inputs
    movers, bottom = _below_movers(walk, total)
    found = walk.made_by(bottom, LogSumExp)
    if found is None or found.inputs[0] is not given:
        return None
    axis = found.op.axis
    return LogSoftmax(axis)(given) if _is_keepdims(movers, bottom, axis) else None


@rewrites(exp, examples=lambda: [exp(log_softmax(x))])
def exp_of_log_softmax(node: Apply, walk: Walk) -> Variable | None:
    """exp(move(log_softmax(x))) -> move(softmax(x))"""
    movers, bottom = _below_movers(walk, node.inputs[0])
    found = walk.made_by(bottom, LogSoftmax)
    if found is None or any(type(mover.op) in (Subtensor, Take) for mover in movers):
        return None  # exp of a few elements is cheaper than the whole softmax
    return _move_again(movers, Softmax(found.op.axis)(*found.inputs))


@rewrites(Softmax, LogSoftmax, examples=lambda: [softmax(x - max_(x, 1, keepdims=True))])
def softmax_of_shifted(node: Apply, walk: Walk) -> Variable | None:
    """softmax(x - max(x)) -> softmax(x), which subtracts the maximum itself"""
    unshifted = _unshifted(walk, node.inputs[0], (node.op.axis,))
    return None if unshifted is None else node.op(unshifted)


# What meets above and below a view so that a rule applies when the view is moved out of the way.
_MEETING: dict[Elementwise, tuple[str, ...]] = {
    log: ("exp", "sigmoid", "add", "sub", "true_div", "expm1"),
    log1p: ("exp", "neg", "expm1"),
    expm1: ("log1p",),
    sqrt: ("square", "mul"),
}


@rewrites(log, log1p, expm1, sqrt, examples=lambda: [log(exp(x).T), log((1 + exp(x)).flatten())])
def view_between(node: Apply, walk: Walk) -> Variable | None:
    """f(move(g(x))) -> f(g(move(x))) where f and g may meet in another rule"""
    view = walk.owner(node.inputs[0])
    if view is None or type(view.op) not in NARROWING:
        return None
    inner = walk.owner(view.inputs[0])
    if inner is None or type(inner.op) is not Elementwise:
        return None
    if inner.op.name not in _MEETING[node.op]:
        return None
    full = {v for v in inner.inputs if v.type.ndim}
    if len(full) != 1 or full.pop().type.shape != view.inputs[0].type.shape:
        return None
    if node.op is sqrt and inner.op.name == "mul" and inner.inputs[0] is not inner.inputs[1]:
        return None
    moved = [
        view.op.make_node(v, *view.inputs[1:], origin=view.origin).outputs[0] if v.type.ndim else v
        for v in inner.inputs
    ]
    below = inner.op.make_node(*moved, origin=inner.origin).outputs[0]
    return node.op.make_node(below, origin=node.origin).outputs[0]


_DEEPEST = 16  # element-wise ops that the rule below looks through


@rewrites(
    Take,
    examples=lambda: [
        index(log_softmax(x), (arange(shape_of(y, 0)), y)),
        index(log(softmax(x + row) + 0.5), (arange(shape_of(y, 0)), y)),
    ],
)
def picked_per_row(node: Apply, walk: Walk) -> Variable | None:
    """softmax(x)[arange(n), y] -> softmax(x[:n])[arange(n), y], which has a label for each row

    This is how Theano programs spell the likelihood of labels. There may be fewer of them than
    rows, so that n is not known to be that number; afterwards it is. The view checks that there are
    n rows.
    """
    if node.op.axes != (0, 1) or node.inputs[0].type.ndim != 2:
        return None
    given, rows, columns = node.inputs
    checked = walk.made_by(rows, CheckedIndex)
    if checked is None or rows.type.ndim != 1 or not is_count(checked.inputs[0]):
        return None
    count = checked.inputs[0]
    if count.type.dtype != "int64" or same(walk.sizes(count), walk.sizes(given)[:1]):
        return None
    if not _of_softmax(walk, given):
        return None
    part = _first_rows(walk, given, count.owner.inputs[0], _DEEPEST)
    return Take((0, 1))(part, count, columns)


def _by_rows(walk: Walk, variable: Variable) -> tuple[Apply, Variable] | None:
    """(node, operand) where each row of `variable` is made of that row of one operand only."""
    node = walk.owner(variable)
    if node is None:
        return None
    if type(node.op) in (Softmax, LogSoftmax):
        return (node, node.inputs[0]) if node.op.axis == 1 else None
    if type(node.op) is not Elementwise:
        return None
    wide = {v for v in node.inputs if v.type.ndim and v.type.shape[0] != 1}
    # of two operands it would be lost that they must have equally many rows
    return (node, wide.pop()) if len(wide) == 1 else None


def _of_softmax(walk: Walk, variable: Variable) -> bool:
    for _ in range(_DEEPEST):
        found = _by_rows(walk, variable)
        if found is None:
            return False
        node, variable = found
        if type(node.op) is not Elementwise:
            return True
    return False


def _first_rows(walk: Walk, variable: Variable, n: Variable, depth: int) -> Variable:
    """`variable[:n]`, the view taken below ops that work row by row."""
    found = _by_rows(walk, variable) if depth else None
    if found is None:
        return Subtensor((("first", None, "in", 1),))(variable, n)
    node, operand = found
    part = _first_rows(walk, operand, n, depth - 1)
    inputs = [part if v is operand else v for v in node.inputs]
    return node.op.make_node(*inputs, origin=node.origin).outputs[0]


SOFTMAX_RULES = [
    log_of_softmax,
    log_of_sum_of_exp,
    softmax_written_out,
    log_softmax_written_out,
    exp_of_log_softmax,
    softmax_of_shifted,
    view_between,
    picked_per_row,
]
