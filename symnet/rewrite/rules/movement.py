"""Ops that move elements or talk about shapes: merged, or gone where they do nothing.

Canonical forms: one DimShuffle or Reshape instead of two; DimShuffle rather than Reshape where only
dimensions of size 1 come or go; repeating (BroadcastTo) as late as possible; sizes asked of inputs
rather than of what was computed from them, so that the computation can be dropped.
"""

# mypy: disable-error-code="attr-defined, union-attr, index, operator, list-item, type-var"

from dataclasses import replace

from symnet.graph import Apply, Variable
from symnet.graph import dims as sizes_
from symnet.graph.variables import make_constant
from symnet.ops.arithmetic import neg, strong_mul
from symnet.ops.barrier import Barrier, disconnected_grad
from symnet.ops.casting import cast
from symnet.ops.elementwise import Elementwise
from symnet.ops.exponential import exp
from symnet.ops.movement import BroadcastTo, DimShuffle, Reshape, broadcast_to, dimshuffle
from symnet.ops.reduction import Reduce, sum_
from symnet.ops.shape import MakeVector, ShapeOf, make_vector, shape_of, static_value
from symnet.ops.subtensor import FULL, Subtensor
from symnet.rewrite.engine import Walk, rewrites
from symnet.rewrite.pattern import wildcard
from symnet.rewrite.shaping import size_variable
from symnet.rewrite.sizes import same

x, v = wildcard("x", ndim=2), wildcard("v", ndim=1)
row = x.type.clone(shape=(1, 3))("row")
n = wildcard("n", "int64")
scalars = MakeVector()(n, n + 1, n)


@rewrites(Barrier, examples=lambda: [disconnected_grad(x) * 2])
def barrier(node: Apply, walk: Walk) -> Variable | None:
    """barrier(x) -> x, once gradients have been taken"""
    return node.inputs[0]


# ---- DimShuffle


@rewrites(DimShuffle, examples=lambda: [x.dimshuffle(1, "x", 0).dimshuffle(0, 2), x.T.T])
def dimshuffle_of_dimshuffle(node: Apply, walk: Walk) -> Variable | None:
    """dimshuffle(dimshuffle(x)) -> dimshuffle(x), or x"""
    (given,) = node.inputs
    order = node.op.order
    if order == tuple(range(given.type.ndim)):
        return given
    inner = walk.made_by(given, DimShuffle)
    if inner is None:
        return None
    return dimshuffle(inner.inputs[0], [k if k == "x" else inner.op.order[k] for k in order])


@rewrites(DimShuffle, examples=lambda: [broadcast_to(row, (5, 3)).T])
def dimshuffle_of_broadcast(node: Apply, walk: Walk) -> Variable | None:
    """dimshuffle(broadcast_to(x, sizes)) -> broadcast_to(dimshuffle(x), sizes)"""
    inner = walk.made_by(node.inputs[0], BroadcastTo)
    if inner is None:
        return None
    given, *sizes = inner.inputs
    order = node.op.order
    if any(given.type.shape[k] != 1 for k in set(range(len(sizes))) - set(node.op.kept)):
        return None
    one = make_constant(1, "int64")
    wanted = [one if k == "x" else sizes[k] for k in order]
    return BroadcastTo(len(wanted))(dimshuffle(given, order), *wanted)


# ---- Reshape


@rewrites(Reshape, examples=lambda: [x.reshape((n * 3,)).reshape((3, n))])
def reshape_of_reshape(node: Apply, walk: Walk) -> Variable | None:
    """reshape(reshape(x)) -> reshape(x)"""
    inner = walk.made_by(node.inputs[0], Reshape)
    if inner is None or any(static_value(s) == -1 for s in node.inputs[1:]):
        return None  # -1 would accept what the inner reshape refuses
    return node.op.make_node(inner.inputs[0], *node.inputs[1:], origin=node.origin).outputs[0]


@rewrites(
    Reshape,
    examples=lambda: [
        Reshape(2)(x, shape_of(x, 0), shape_of(x, 1)),
        Reshape(3)(x, shape_of(x, 0), make_constant(1, "int64"), shape_of(x, 1)),
        Reshape(1)(row, shape_of(row, 1)),
    ],
)
def reshape_by_ones(node: Apply, walk: Walk) -> Variable | None:
    """reshape(x) -> dimshuffle(x), or x, where only dimensions of size 1 come or go"""
    given = node.inputs[0]
    if any(static_value(s) == -1 for s in node.inputs[1:]):
        return None
    before, after = walk.sizes(given), walk.sizes(node.outputs[0])
    real = [k for k, size in enumerate(before) if given.type.shape[k] != 1]
    if not same([before[k] for k in real], [size for size in after if size != 1]):
        return None
    rest = iter(real)
    return dimshuffle(given, ["x" if size == 1 else next(rest) for size in after])


@rewrites(Reshape, examples=lambda: [x.dimshuffle(0, "x", 1).reshape((n * 3,))])
def reshape_of_dimshuffle(node: Apply, walk: Walk) -> Variable | None:
    """reshape(dimshuffle(x)) -> reshape(x) where the order of elements is the same"""
    inner = walk.made_by(node.inputs[0], DimShuffle)
    if inner is None or list(inner.op.kept) != sorted(inner.op.kept):
        return None
    return node.op.make_node(*inner.inputs, *node.inputs[1:], origin=node.origin).outputs[0]


@rewrites(Reshape, examples=lambda: [broadcast_to(v.sum(), (n, 3)).reshape((n * 3,))])
def reshape_of_one_value(node: Apply, walk: Walk) -> Variable | None:
    """reshape(broadcast_to(scalar)) -> broadcast_to(scalar)"""
    inner = walk.made_by(node.inputs[0], BroadcastTo)
    if inner is None or set(inner.inputs[0].type.shape) - {1}:
        return None
    total = sizes_.product(walk.sizes(node.inputs[0]))
    if any(static_value(s) == -1 for s in node.inputs[1:]) or not same(
        [total], [sizes_.product(walk.sizes(node.outputs[0]))]
    ):
        return None
    ndim = node.op.ndim
    value = dimshuffle(inner.inputs[0], ("x",) * ndim)
    return BroadcastTo(ndim)(value, *node.inputs[1:])


# ---- BroadcastTo


@rewrites(BroadcastTo, examples=lambda: [BroadcastTo(2)(x, shape_of(x, 0), shape_of(x, 1))])
def broadcast_to_same(node: Apply, walk: Walk) -> Variable | None:
    """broadcast_to(x, sizes) -> x where these are its sizes"""
    given = node.inputs[0]
    return given if same(walk.sizes(given), walk.sizes(node.outputs[0])) else None


@rewrites(
    BroadcastTo,
    examples=lambda: [
        BroadcastTo(2)(BroadcastTo(2)(row, n, shape_of(row, 1)), n, shape_of(row, 1)),
        BroadcastTo(2)(BroadcastTo(2)(row, make_constant(1), make_constant(3)), n, n * 0 + 3),
    ],
)
def broadcast_of_broadcast(node: Apply, walk: Walk) -> Variable | None:
    """broadcast_to(broadcast_to(x)) -> broadcast_to(x)"""
    inner = walk.made_by(node.inputs[0], BroadcastTo)
    if inner is None:
        return None
    middle, after = walk.sizes(inner.outputs[0]), walk.sizes(node.outputs[0])
    for axis, static in enumerate(inner.outputs[0].type.shape):
        if static != 1 and not same([middle[axis]], [after[axis]]):
            return None  # a check of sizes would be lost
    return node.op.make_node(inner.inputs[0], *node.inputs[1:], origin=node.origin).outputs[0]


@rewrites(
    examples=lambda: [
        exp(broadcast_to(row, (5, 3))),
        x + broadcast_to(v.sum(), (shape_of(x, 0), shape_of(x, 1))),
    ]
)
def elementwise_of_broadcast(node: Apply, walk: Walk) -> Variable | None:
    """f(broadcast_to(x), y) -> f(x, y) where y has the sizes, else broadcast_to(f(x))"""
    inputs = node.inputs
    for given in inputs:
        if given.owner is not None and type(given.owner.op) is BroadcastTo:
            break
    else:
        return None
    if type(node.op) is not Elementwise or node.outputs[0].type.ndim == 0:
        return None
    narrow: list[Variable] = []
    repeated: list[Variable] = []
    for given in inputs:
        inner = walk.made_by(given, BroadcastTo)
        narrow.append(given if inner is None else inner.inputs[0])
        if inner is not None:
            repeated.append(given)
    result = node.op.make_node(*narrow, origin=node.origin).outputs[0]
    have = walk.sizes(result)
    source = next(v for v in repeated)
    wanted = walk.sizes(node.outputs[0])
    # what is no longer checked must be known to fit
    for given in repeated:
        for axis, size in enumerate(walk.sizes(given)):
            fits = [wanted[axis]] if size != 1 else [1]
            if not same([size], fits):
                return None
    if same(have, wanted):
        return result
    if any(not same([a], [w]) and static != 1 for a, w, static in
           zip(have, wanted, result.type.shape)):  # fmt: skip
        return None
    if len({s for s in inputs if s.type.ndim}) > len(set(repeated)):
        return None  # other operands are as large: nothing is saved by repeating later
    sizes = [
        source.owner.inputs[1 + axis] if same([walk.sizes(source)[axis]], [w])
        else size_variable(node.outputs[0], axis)
        for axis, w in enumerate(wanted)
    ]  # fmt: skip
    if any(s.owner is not None and node.outputs[0] in s.owner.inputs for s in sizes):
        return None
    return BroadcastTo(len(sizes))(result, *sizes)


# ---- parts, vectors of scalars, sizes


@rewrites(Subtensor, examples=lambda: [Subtensor((FULL, FULL))(x)])
def whole_subtensor(node: Apply, walk: Walk) -> Variable | None:
    """x[:, :] -> x"""
    return node.inputs[0] if all(entry == FULL for entry in node.op.spec) else None


@rewrites(
    Subtensor,
    examples=lambda: [
        Subtensor((("index", 1),))(scalars),
        Subtensor((("slice", None, 2, 1),))(scalars),
    ],
)
def part_of_scalars(node: Apply, walk: Walk) -> Variable | None:
    """make_vector(a, b)[1] -> b"""
    inner = walk.made_by(node.inputs[0], MakeVector)
    if inner is None or len(node.op.spec) != 1:
        return None
    kind, *bounds = node.op.spec[0]
    if kind == "first":
        return None
    given_bounds = iter(node.inputs[1:])
    known = [static_value(next(given_bounds)) if part == "in" else part for part in bounds]
    given = [part for part in bounds if part is not None]
    if any(k is None and p is not None for k, p in zip(known, bounds)) or not given:
        return None
    if kind == "index":
        length = len(inner.inputs)
        return inner.inputs[known[0]] if -length <= known[0] < length else None
    chosen = inner.inputs[slice(*known)]
    return make_vector(chosen) if chosen else None


@rewrites(ShapeOf, examples=lambda: [shape_of(exp(x) + 1, 0), shape_of(x.T, 0), shape_of(x[1:], 1)])
def size_of_computed(node: Apply, walk: Walk) -> Variable | None:
    """shape[k](f(x)) -> shape[j](x), or a constant"""
    size = walk.sizes(node.inputs[0])[node.op.axis]
    if isinstance(size, int):
        return make_constant(size, "int64")
    if size.op == "value":
        return size.args[0] if size.args[0].type == node.outputs[0].type else None
    if size.op != "dim" or size.args == (node.inputs[0], node.op.axis):
        return None
    source, axis = size.args
    return ShapeOf(axis)(source)


# ---- reductions


@rewrites(Reduce, examples=lambda: [sum_(row, 0), sum_(cast(row, "bool"), 0), sum_(row, (0, 1))])
def reduction_of_ones(node: Apply, walk: Walk) -> Variable | None:
    """a reduction over dimensions of size 1 -> dimshuffle"""
    (given,) = node.inputs
    op = node.op
    ones = [k for k in op.axes if given.type.shape[k] == 1]
    if not ones:
        return None
    left = dimshuffle(given, [k for k in range(given.type.ndim) if k not in ones])
    axes = tuple(k - sum(one < k for one in ones) for k in op.axes if k not in ones)
    if axes:
        return replace(op, axes=axes)(left)
    return cast(left, node.outputs[0].type.dtype)


@rewrites(Reduce, examples=lambda: [sum_(sum_(x, 0)), x.max(1).max()])
def reduction_of_reduction(node: Apply, walk: Walk) -> Variable | None:
    """sum(sum(x, j), k) -> sum(x, (j, k)), and so for the others"""
    op = node.op
    inner = walk.made_by(node.inputs[0], Reduce)
    if inner is None or inner.op != replace(op, axes=inner.op.axes):
        return None
    (given,) = inner.inputs
    left = [k for k in range(given.type.ndim) if k not in inner.op.axes]
    axes = tuple(sorted((*inner.op.axes, *(left[k] for k in op.axes))))
    return replace(op, axes=axes)(given)


@rewrites(Reduce, examples=lambda: [sum_(-x, 0)])
def sum_of_negative(node: Apply, walk: Walk) -> Variable | None:
    """sum(-x) -> -sum(x)"""
    inner = walk.made_by(node.inputs[0], neg)
    if inner is None or node.op.function != "sum":
        return None
    if inner.inputs[0].type.dtype != node.inputs[0].type.dtype:
        return None
    return neg(node.op(*inner.inputs))


@rewrites(
    Reduce,
    examples=lambda: [
        sum_(broadcast_to(v.sum(), (n, 4)), 0),
        sum_(broadcast_to(row, (5, 3))),
        sum_(broadcast_to(cast(row, "bool"), (5, 3)), 0),
    ],
)
def sum_of_broadcast(node: Apply, walk: Walk) -> Variable | None:
    """sum(broadcast_to(x, n), axis) -> n * x, and 0 for n = 0 whatever x is"""
    repeated = walk.made_by(node.inputs[0], BroadcastTo)
    if repeated is None or node.op.function != "sum":
        return None
    given, *sizes = repeated.inputs
    axes = [k for k in node.op.axes if given.type.shape[k] == 1]
    if not axes:
        return None
    dtype = node.outputs[0].type.dtype
    result = cast(dimshuffle(given, [k for k in range(len(sizes)) if k not in axes]), dtype)
    for axis in axes:
        result = strong_mul(result, cast(sizes[axis], dtype))
    left = [size for k, size in enumerate(sizes) if k not in axes]
    if left:
        result = BroadcastTo(len(left))(result, *left)
    rest = tuple(k - sum(a < k for a in axes) for k in node.op.axes if k not in axes)
    return Reduce("sum", rest, node.op.acc_dtype)(result) if rest else result


MOVEMENT_RULES = [
    barrier,
    dimshuffle_of_dimshuffle,
    dimshuffle_of_broadcast,
    reshape_by_ones,
    reshape_of_reshape,
    reshape_of_dimshuffle,
    reshape_of_one_value,
    broadcast_to_same,
    broadcast_of_broadcast,
    elementwise_of_broadcast,
    whole_subtensor,
    part_of_scalars,
    size_of_computed,
    reduction_of_ones,
    reduction_of_reduction,
    sum_of_negative,
    sum_of_broadcast,
]
