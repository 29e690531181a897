"""Shapes and dimensions.

Errors: TypeMismatchError for dimensions that the tensor does not have; ShapeError, when built or
when run, for sizes that do not fit.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph.variables import Variable
from symnet.ops.conversion import as_variable
from symnet.ops.movement import as_axes, as_axis, broadcast_to, flatten, reshape
from symnet.ops.movement import dimshuffle as _dimshuffle
from symnet.ops.shape import as_size, as_sizes, multiply, shape, shape_of, size, sizes_of

__all__ = [
    "addbroadcast", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_to", "dimshuffle",
    "expand_dims", "flatten", "moveaxis", "patternbroadcast", "ravel", "repeat", "reshape", "shape",
    "shape_padaxis", "shape_padleft", "shape_padright", "size", "specify_shape", "squeeze",
    "swapaxes", "tile", "transpose", "unbroadcast",
]  # fmt: skip


def _order(order: Sequence[Any]) -> list[Any]:
    """An order given as arguments or as one sequence."""
    if len(order) == 1 and isinstance(order[0], (list, tuple)):
        order = order[0]
    return list(order)


def dimshuffle(x: Any, *order: Any) -> Variable:
    """Dimensions of `x` in another order: one entry per result dimension, a dimension of `x` or
    "x" for a new one of size 1. Left out may be only what has static size 1."""
    x = as_variable(x)
    wanted = [k if k == "x" else as_axis(k, x.type.ndim, "order") for k in _order(order)]
    return _dimshuffle(x, wanted)


def transpose(x: Any, *axes: Any) -> Variable:
    """Dimensions in the order `axes`, or reversed."""
    x = as_variable(x)
    order = [] if axes == (None,) else _order(axes)
    if not order:
        return _dimshuffle(x, range(x.type.ndim)[::-1])
    order = [as_axis(k, x.type.ndim, "axes") for k in order]
    if sorted(order) != list(range(x.type.ndim)):
        raise TypeMismatchError(f"transpose{tuple(order)} of {x} ({x.type}): not a permutation")
    return _dimshuffle(x, order)


def swapaxes(x: Any, axis1: int, axis2: int) -> Variable:
    """Two dimensions exchanged."""
    x = as_variable(x)
    order = list(range(x.type.ndim))
    i, j = as_axis(axis1, x.type.ndim), as_axis(axis2, x.type.ndim)
    order[i], order[j] = j, i
    return _dimshuffle(x, order)


def moveaxis(x: Any, source: Any, destination: Any) -> Variable:
    """Dimensions `source` moved to the places `destination`, the others staying in order."""
    x = as_variable(x)
    ndim = x.type.ndim
    lists = [v if isinstance(v, (list, tuple)) else [v] for v in (source, destination)]
    start, end = ([as_axis(k, ndim) for k in v] for v in lists)
    if len(start) != len(end) or len(set(start)) != len(start) or len(set(end)) != len(end):
        raise TypeMismatchError(f"moveaxis from {source} to {destination}: no pairs of dimensions")
    order = [k for k in range(ndim) if k not in start]
    for place, axis in sorted(zip(end, start)):
        order.insert(place, axis)
    return _dimshuffle(x, order)


def expand_dims(x: Any, axis: Any) -> Variable:
    """New dimensions of size 1 that are the dimensions `axis` of the result."""
    x = as_variable(x)
    count = len(axis) if isinstance(axis, (list, tuple)) else 1
    ndim = x.type.ndim + count
    new = as_axes(axis, ndim)
    old = iter(range(x.type.ndim))
    return _dimshuffle(x, ["x" if k in new else next(old) for k in range(ndim)])


shape_padaxis = expand_dims


def shape_padleft(x: Any, n_ones: int = 1) -> Variable:
    """`n_ones` new dimensions of size 1 in front."""
    x = as_variable(x)
    return _dimshuffle(x, ["x"] * n_ones + list(range(x.type.ndim)))


def shape_padright(x: Any, n_ones: int = 1) -> Variable:
    """`n_ones` new dimensions of size 1 at the end."""
    x = as_variable(x)
    return _dimshuffle(x, list(range(x.type.ndim)) + ["x"] * n_ones)


def squeeze(x: Any, axis: Any = None) -> Variable:
    """Without its dimensions of static size 1, or without the dimensions `axis`, which must be."""
    x = as_variable(x)
    if axis is None:
        drop = tuple(k for k, n in enumerate(x.type.shape) if n == 1)
    else:
        drop = as_axes(axis, x.type.ndim)
        x = addbroadcast(x, *drop)
    return _dimshuffle(x, [k for k in range(x.type.ndim) if k not in drop])


def ravel(x: Any) -> Variable:
    """All elements as a vector, in C order."""
    return flatten(x)


def atleast_1d(x: Any) -> Variable:
    """A scalar becomes a vector of one element."""
    x = as_variable(x)
    return shape_padleft(x, max(0, 1 - x.type.ndim))


def atleast_2d(x: Any) -> Variable:
    """With dimensions of size 1 in front up to two."""
    x = as_variable(x)
    return shape_padleft(x, max(0, 2 - x.type.ndim))


def atleast_3d(x: Any) -> Variable:
    """With dimensions of size 1 in front up to three (Theano's rule, not NumPy's)."""
    x = as_variable(x)
    return shape_padleft(x, max(0, 3 - x.type.ndim))


# ---- what is known of sizes


def specify_shape(x: Any, sizes: Any) -> Variable:
    """`x` with sizes stated, None for what stays unknown: they count when expressions are built
    and are checked when run."""
    x = as_variable(x)
    given = list(sizes) if isinstance(sizes, (list, tuple)) else as_sizes(sizes, x.type.ndim)
    if len(given) != x.type.ndim:
        raise ShapeError(f"{len(given)} sizes for {x} ({x.type})")
    wanted = [shape_of(x, k) if n is None else as_size(n) for k, n in enumerate(given)]
    for k, (known, n) in enumerate(zip(x.type.shape, given)):
        if isinstance(n, (int, np.integer)) and known is not None and known != n:
            raise ShapeError(f"{x} ({x.type}) does not have size {n} in dimension {k}")
    return broadcast_to(x, wanted)


def addbroadcast(x: Any, *axes: int) -> Variable:
    """`x` with dimensions `axes` stated to be of size 1, which makes them broadcast.

    Checked when run.
    """
    x = as_variable(x)
    ones = as_axes(axes, x.type.ndim)
    if all(x.type.shape[k] == 1 for k in ones):
        return x
    return specify_shape(x, [1 if k in ones else None for k in range(x.type.ndim)])


def unbroadcast(x: Any, *axes: int) -> Variable:
    """`x`: a size that is known is never forgotten. Here for Theano's programs."""
    return as_variable(x)


def patternbroadcast(x: Any, broadcastable: Sequence[bool]) -> Variable:
    """`x` with dimensions of size 1 stated by flags. Checked when run."""
    return addbroadcast(x, *(k for k, flag in enumerate(broadcastable) if flag))


# ---- repetition


def tile(x: Any, reps: Any, ndim: int | None = None) -> Variable:
    """`x` repeated as a whole, `reps` times per dimension (the last ones if there are fewer)."""
    x = as_variable(x)
    counts = as_sizes(reps)
    wanted = max(x.type.ndim, len(counts), ndim or 0)
    x = shape_padleft(x, wanted - x.type.ndim)
    counts = [as_size(1)] * (wanted - len(counts)) + counts
    pairs = [k for axis in range(wanted) for k in ("x", axis)]
    sizes = sizes_of(x)
    spread = broadcast_to(_dimshuffle(x, pairs), [n for c, s in zip(counts, sizes) for n in (c, s)])
    return reshape(spread, [multiply([c, s]) for c, s in zip(counts, sizes)])


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Variable:
    """Each element along `axis` (None: of the flattened `x`) repeated `repeats` times, a scalar."""
    x = as_variable(x)
    if axis is None:
        x, axis = flatten(x), 0
    axis = as_axis(axis, x.type.ndim)
    count = as_size(repeats, "repeats")
    order = [*range(axis + 1), "x", *range(axis + 1, x.type.ndim)]
    sizes = sizes_of(x)
    spread = broadcast_to(_dimshuffle(x, order), [*sizes[: axis + 1], count, *sizes[axis + 1 :]])
    return reshape(spread, [*sizes[:axis], multiply([sizes[axis], count]), *sizes[axis + 1 :]])
