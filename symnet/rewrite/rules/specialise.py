"""Cheaper ops for special arguments, and semantic ops taken apart for the schedule to fuse."""

# mypy: disable-error-code="attr-defined, operator, index"

from functools import partial

from symnet.graph import Apply, Variable
from symnet.graph.types import FLOATS, HALVES, TensorType
from symnet.graph.variables import make_constant
from symnet.ops.arithmetic import add, mul, reciprocal, square
from symnet.ops.casting import cast
from symnet.ops.contraction import BatchedDot, Dot, batched_dot, dot
from symnet.ops.gather import CheckedIndex, Put, Take, is_count
from symnet.ops.generate import arange, zeros_like
from symnet.ops.indexing import inc_subtensor, index, set_subtensor
from symnet.ops.logic import eq, where
from symnet.ops.movement import BroadcastTo, DimShuffle, dimshuffle
from symnet.ops.nnet import LogSoftmax, LogSumExp, Softmax, log_softmax, logsumexp, softmax
from symnet.ops.reduction import Reduce, sum_
from symnet.ops.shape import shape_of, sizes_of
from symnet.ops.subtensor import IncSubtensor, Subtensor
from symnet.rewrite.engine import Walk, rewrites
from symnet.rewrite.pattern import Bindings, rule, scalar_value, wildcard
from symnet.rewrite.rules.movement import barrier
from symnet.rewrite.sizes import same

u = wildcard("x")
x, v = wildcard("x", ndim=2), wildcard("v", ndim=1)
labels = wildcard("labels", "int64", ndim=1)
column = x.type.clone(shape=(None, 1))("column")
row = x.type.clone(shape=(1, None))("row")


def _real(bound: Bindings, walk: Walk) -> bool:
    return bound["x"].type.dtype in FLOATS


POWERS = [
    rule("x ** 3", u**3, square(u) * u),
    rule("x ** 4", u**4, square(square(u))),
    rule("x ** -1", u ** (-1), reciprocal(u), where=_real),
]

# ---- indices


@rewrites(
    CheckedIndex, examples=lambda: [CheckedIndex()(arange(shape_of(x, 0)), shape_of(x, 0)) * 2]
)
def checked_count(node: Apply, walk: Walk) -> Variable | None:
    """checked_index(arange(n), n) -> arange(n)"""
    given, size = node.inputs
    if walk.owner(given) is None or not is_count(given):
        return None
    return given if same(walk.sizes(given), [walk.value(size)]) else None


@rewrites(Take, examples=lambda: [Take((0,))(x, arange(shape_of(x, 0)))])
def take_everything(node: Apply, walk: Walk) -> Variable | None:
    """x[arange(n)] -> x"""
    given, *indices = node.inputs
    if len(indices) != 1 or not is_count(indices[0]):
        return None
    (axis,) = node.op.axes
    return given if same(walk.sizes(indices[0]), [walk.sizes(given)[axis]]) else None


def _is_zero(walk: Walk, variable: Variable) -> bool:
    return scalar_value(variable, walk) == 0


@rewrites(
    Put,
    examples=lambda: [inc_subtensor(index(zeros_like(x), (arange(shape_of(x, 0)), labels)), v)],
)
def one_hot(node: Apply, walk: Walk) -> Variable | None:
    """zeros[arange(n), y] += g -> where(columns == y, g, 0), which fuses with what reads it"""
    base, given, *indices = node.inputs
    if node.op.axes != (0, 1) or base.type.ndim != 2 or not _is_zero(walk, base):
        return None
    rows, columns = indices
    checked = walk.made_by(rows, CheckedIndex)
    counted = rows if checked is None else checked.inputs[0]
    sizes = walk.sizes(base)
    if rows.type.ndim != 1 or not is_count(counted):
        return None
    if not same(walk.sizes(counted), sizes[:1]):
        return None  # rows beyond the labels would be missing
    places = dimshuffle(arange(shape_of(base, 1)), ("x", 0))
    hit = eq(places, dimshuffle(columns, (0, "x")))
    result = where(hit, dimshuffle(given, (0, "x")), make_constant(0, base.type.dtype))
    # that there are as many labels as rows was checked by Put, and still is
    return BroadcastTo(2)(result, *sizes_of(base))


def _one_hot_example() -> Variable:
    columns = CheckedIndex()(labels, shape_of(x, 1))
    hit = eq(dimshuffle(arange(shape_of(x, 1)), ("x", 0)), dimshuffle(columns, (0, "x")))
    return sum_(where(hit, dimshuffle(labels, (0, "x")) * 0.5, 0), 1)


@rewrites(Reduce, examples=lambda: [_one_hot_example()])
def sum_of_one_hot(node: Apply, walk: Walk) -> Variable | None:
    """sum(where(columns == checked_index(y), g, 0), 1) -> g"""
    choice = walk.made_by(node.inputs[0], where)
    if choice is None or (node.op.function, node.op.axes) != ("sum", (1,)):
        return None
    hit, given, rest = choice.inputs
    if (given.type.ndim == 2 and given.type.shape[1] != 1) or not _is_zero(walk, rest):
        return None
    if given.type.dtype != node.outputs[0].type.dtype or not _is_one_hot(walk, hit):
        return None
    if given.type.ndim == 0:
        return BroadcastTo(1)(dimshuffle(given, ("x",)), shape_of(hit, 0))
    if not same(walk.sizes(given)[:1], walk.sizes(choice.outputs[0])[:1]):
        return None
    return dimshuffle(given, (0,))


def _is_one_hot(walk: Walk, hit: Variable) -> bool:
    """Whether `hit` is (arange(n) as a row == valid indices below n as a column)."""
    node = walk.made_by(hit, eq)
    if node is None:
        return False
    for places, columns in (node.inputs, node.inputs[::-1]):
        a, c = walk.made_by(places, DimShuffle), walk.made_by(columns, DimShuffle)
        if a is None or c is None or a.op.order != ("x", 0) or c.op.order != (0, "x"):
            continue
        checked = walk.made_by(c.inputs[0], CheckedIndex)
        if checked is None or not is_count(a.inputs[0]):
            continue
        if same(walk.sizes(a.inputs[0]), [walk.value(checked.inputs[1])]):
            return True
    return False


@rewrites(
    add,
    examples=lambda: [
        x + inc_subtensor(zeros_like(x)[0], v),
        x + inc_subtensor(index(zeros_like(x), labels), x),
    ],
)
def sum_with_part(node: Apply, walk: Walk) -> Variable | None:
    """x + inc(zeros, part, g) -> inc(x, part, g): gradients of parts of one tensor"""
    for base, term in (node.inputs, node.inputs[::-1]):
        inner = walk.owner(term)
        if inner is None or type(inner.op) not in (IncSubtensor, Put) or inner.op.set:
            continue
        zeros, given, *where_ = inner.inputs
        if (
            base.type.dtype == term.type.dtype == node.outputs[0].type.dtype
            and _is_zero(walk, zeros)
            and same(walk.sizes(base), walk.sizes(term))
        ):
            return inner.op.make_node(base, given, *where_, origin=inner.origin).outputs[0]
    return None


@rewrites(Subtensor, examples=lambda: [set_subtensor(x[1:], x[:-1])[1:]])
def part_just_written(node: Apply, walk: Walk) -> Variable | None:
    """set(x, part, y)[part] -> y"""
    inner = walk.made_by(node.inputs[0], IncSubtensor)
    if inner is None or not inner.op.set or inner.op.spec != node.op.spec:
        return None
    return inner.inputs[1] if inner.inputs[2:] == node.inputs[1:] else None


# ---- products


@rewrites(Dot, examples=lambda: [Dot()(column, row)])
def outer_product(node: Apply, walk: Walk) -> Variable | None:
    """dot of a column and a row -> their product, which fuses"""
    first, second = node.inputs
    if first.type.shape[1] != 1 or second.type.shape[0] != 1:
        return None
    return mul(first, second)


# ---- semantic ops


@rewrites(
    Softmax,
    LogSoftmax,
    LogSumExp,
    examples=lambda: [softmax(x, 1), log_softmax(x, 0), logsumexp(x, 1)],
)
def expansion(node: Apply, walk: Walk) -> Variable | None:
    """softmax, log_softmax, logsumexp -> max, exp, sum, log, of which they share what they can"""
    (given,) = node.inputs
    if given.type.dtype in HALVES:  # of the steps in between nothing is rounded
        return cast(node.op.expand(cast(given, "float32")), given.type.dtype)
    return node.op.expand(given)


def _products(dtype: str) -> list[Variable]:
    a = TensorType(dtype, (None, None))("a")
    b = TensorType(dtype, (None, None, None))("b")
    return [dot(a, a.T), batched_dot(b, b.dimshuffle(0, 2, 1))]


@rewrites(Dot, BatchedDot, examples=partial(_products, "int64"))
def integer_product(node: Apply, walk: Walk) -> Variable | None:
    """dot(a, b) of integers -> sum(a[..., :, :, None] * b[..., None, :, :], -2): BLAS has none"""
    a, b = node.inputs
    if a.type.dtype in FLOATS:
        return None
    batch = tuple(range(a.type.ndim - 2))
    inner, last = a.type.ndim - 2, a.type.ndim - 1
    rows = dimshuffle(a, (*batch, inner, last, "x"))
    columns = dimshuffle(b, (*batch, "x", inner, last))
    return cast(sum_(mul(rows, columns), axis=last), node.outputs[0].type.dtype)


# ---- halves


@rewrites(Dot, BatchedDot, examples=partial(_products, "float16"))
def half_product(node: Apply, walk: Walk) -> Variable | None:
    """dot(a, b) of halves -> the product in float32, rounded, for back ends that only store them"""
    a, b = node.inputs
    if a.type.dtype not in HALVES:
        return None
    return cast(node.op(_widened(walk, a), _widened(walk, b)), a.type.dtype)


def _widened(walk: Walk, x: Variable) -> Variable:
    """`x` as float32. Transposes are left to the product, so x and x.T are widened once."""
    view = walk.made_by(x, DimShuffle)
    if view is None or sorted(map(str, view.op.order)) != [str(k) for k in range(x.type.ndim)]:
        return cast(x, "float32")
    return dimshuffle(_widened(walk, view.inputs[0]), view.op.order)


INDEX_RULES = [checked_count, take_everything, part_just_written]
SPECIALISE_RULES = [*POWERS, one_hot, sum_of_one_hot, sum_with_part, outer_product]
EXPAND_RULES = [barrier, expansion, integer_product]
HALF_RULES = [half_product]
