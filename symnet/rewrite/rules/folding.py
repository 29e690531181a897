"""Constant folding: what depends on constants only is computed once, now."""

import numpy as np

from symnet.graph import Apply, Constant, Variable
from symnet.graph.variables import make_constant
from symnet.ops.arithmetic import add, mul
from symnet.ops.contraction import BatchedDot, Dot
from symnet.ops.elementwise import Elementwise
from symnet.ops.gather import CheckedIndex, Put, Take
from symnet.ops.joining import Concatenate
from symnet.ops.movement import DimShuffle, Reshape
from symnet.ops.nnet import LogSoftmax, LogSumExp, Softmax
from symnet.ops.reduction import ArgReduce, Reduce
from symnet.ops.shape import MakeVector, ShapeOf
from symnet.ops.subtensor import IncSubtensor, Subtensor
from symnet.rewrite.engine import Walk, rewrites

LARGEST = 256  # elements that folding may add to a program

# Not folded: what repeats or generates values (kept as the rule that makes them), and users' ops.
_PURE = frozenset(
    {
        Elementwise, DimShuffle, Reshape, Reduce, ArgReduce, Subtensor, IncSubtensor, Take, Put,
        CheckedIndex, Concatenate, MakeVector, ShapeOf, Dot, BatchedDot, Softmax, LogSoftmax,
        LogSumExp,
    }
)  # fmt: skip


@rewrites(examples=lambda: [mul(add(make_constant(2.0), make_constant([1.0, 2.0])), 3)])
def constants_only(node: Apply, walk: Walk) -> list[Variable] | None:
    """f(constants) -> its value"""
    given = 0
    for v in node.inputs:
        if v.owner is not None or not isinstance(v, Constant):
            return None
        given += v.data.size
    if not node.inputs or type(node.op) not in _PURE:
        return None
    sizes = [size for out in node.outputs for size in walk.sizes(out)]
    if not all(isinstance(size, int) for size in sizes):
        return None
    if sum(_elements(walk, out) for out in node.outputs) > max(LARGEST, given):
        return None
    try:
        with np.errstate(all="ignore"):
            values = node.op.perform(node, [v.data for v in node.inputs])  # type: ignore[attr-defined]
    except Exception:
        return None  # the error belongs to the run
    return [make_constant(value, out.type.dtype) for value, out in zip(values, node.outputs)]


def _elements(walk: Walk, variable: Variable) -> int:
    return int(np.prod(walk.sizes(variable), dtype=np.int64))


FOLDING_RULES = [constants_only]
