"""Keeping shapes: what a rule must do when it drops an operand that took part in broadcasting."""

from collections.abc import Sequence

from symnet.graph import Variable
from symnet.graph.variables import make_constant
from symnet.ops.movement import BroadcastTo, dimshuffle
from symnet.ops.shape import ShapeOf
from symnet.rewrite.engine import Walk


def keep_shape(
    walk: Walk, result: Variable, like: Variable, dropped: Sequence[Variable]
) -> Variable | None:
    """`result` with the shape that `like` has, where `like` is element-wise in the operands of
    `result` and in `dropped`; None where that cannot be proved.

    Dimensions along which only dropped operands were larger than 1 are broadcast.
    """
    ndim = like.type.ndim
    if result.type.ndim == ndim and all(v.type.ndim == 0 for v in dropped):
        return result
    if result.type.ndim not in (0, ndim):
        return None
    if result.type.ndim != ndim:
        result = dimshuffle(result, ("x",) * ndim)
    if ndim == 0:
        return result
    have = walk.sizes(result)
    wanted: list[Variable | None] = [None] * ndim
    proof: list = list(have)
    for operand in dropped:
        if operand.type.ndim == 0:
            continue
        for axis, size in enumerate(walk.sizes(operand)):
            if operand.type.shape[axis] == 1 or size is proof[axis]:
                continue
            if isinstance(size, int) and size == proof[axis]:
                continue
            if result.type.shape[axis] != 1 or wanted[axis] is not None:
                return None  # a size check would be lost
            proof[axis] = size
            wanted[axis] = size_variable(operand, axis)
    if all(w is None for w in wanted):
        return result
    return broadcast(result, [size_variable(result, k) if w is None else w
                              for k, w in enumerate(wanted)])  # fmt: skip


def size_variable(x: Variable, axis: int) -> Variable:
    """The size of a dimension as an int64 scalar: a constant where it is static."""
    static = x.type.shape[axis]
    return ShapeOf(axis)(x) if static is None else make_constant(static, "int64")


def broadcast(x: Variable, sizes: Sequence[Variable]) -> Variable:
    """`x` with its dimensions of static size 1 repeated to `sizes`."""
    result: Variable = BroadcastTo(x.type.ndim)(x, *sizes)
    return result
