"""Tensors made from sizes, put together from others, cut, and written into.

Errors: TypeMismatchError and ShapeError, when built where sizes are known, else when run;
IndexOutOfBoundsError for indices and labels outside their dimension.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from symnet.config import config
from symnet.errors import TypeMismatchError
from symnet.graph.types import INTEGERS
from symnet.graph.variables import Variable
from symnet.ops.casting import cast, dtype_name
from symnet.ops.conversion import as_variable
from symnet.ops.generate import (
    alloc,
    arange,
    eye,
    full,
    full_like,
    ones,
    ones_like,
    tri,
    tril,
    triu,
    zeros,
    zeros_like,
)
from symnet.ops.indexing import CheckedIndex, inc_subtensor, index, set_subtensor, take
from symnet.ops.joining import concatenate, join, split_equally
from symnet.ops.joining import split as _split
from symnet.ops.joining import stack as _stack
from symnet.ops.logic import eq, where
from symnet.ops.movement import as_axes, as_axis, broadcast_to, dimshuffle, flatten, reshape
from symnet.ops.reduction import sum_
from symnet.ops.shape import as_size, shape_of, sizes_of
from symnet.tensor.elementwise import minimum, mod
from symnet.tensor.movement import atleast_1d, atleast_2d, shape_padright

__all__ = [
    "alloc", "arange", "as_tensor", "concatenate", "diag", "diagonal", "empty", "eye", "fill",
    "flip", "full", "full_like", "horizontal_stack", "hstack", "identity_like",
    "inc_subtensor", "join", "one_hot", "ones", "ones_like", "roll", "set_subtensor", "split",
    "stack", "stacklists", "take", "trace", "tri", "tril", "triu", "vertical_stack", "vstack",
    "zeros", "zeros_like",
]  # fmt: skip


def as_tensor(x: Any, name: str | None = None, ndim: int | None = None, dtype: Any = None) -> Any:
    """`x` as a variable: a variable itself, a constant made of numbers or an array, or for a list
    that holds variables the stack of its items.

    With `ndim` dimensions of size 1 are added in front. Errors: TypeMismatchError.
    """
    if isinstance(x, (list, tuple)) and _holds_variable(x):
        made = _stack([as_tensor(item) for item in x])
    else:
        wanted = None if dtype is None or isinstance(x, Variable) else dtype_name(dtype)
        made = as_variable(x, wanted, name)
    if dtype is not None:
        made = cast(made, dtype)
    if ndim is not None:
        if made.type.ndim > ndim:
            raise TypeMismatchError(f"{made} ({made.type}) has more than {ndim} dimensions")
        new = ndim - made.type.ndim
        made = dimshuffle(made, ("x",) * new + tuple(range(made.type.ndim)))
    return made


def _holds_variable(item: Any) -> bool:
    if isinstance(item, (list, tuple)):
        return any(map(_holds_variable, item))
    return isinstance(item, Variable)


# ---- made from sizes


def empty(sizes: Any, dtype: Any = None) -> Variable:
    """A tensor whose elements do not matter: zeros."""
    return zeros(sizes, dtype)


def fill(x: Any, value: Any) -> Variable:
    """`value`, which may broadcast, in the shape of `x`. A Python number takes the dtype of `x`."""
    x = as_variable(x)
    if isinstance(value, (bool, int, float)):
        return full_like(x, value)
    return broadcast_to(value, sizes_of(x))


def identity_like(x: Any, dtype: Any = None) -> Variable:
    """Ones on the diagonal, else zeros, in the shape of the matrix `x`."""
    x = as_variable(x)
    return eye(shape_of(x, 0), shape_of(x, 1), 0, dtype or x.type.dtype)


def one_hot(y: Any, n: Any, dtype: Any = None) -> Variable:
    """For each label in `y` a row of `n` zeros with a 1 at the label: one dimension more than `y`.

    Negative labels count from the end. `dtype` defaults to floatX. Errors: TypeMismatchError for
    labels that are no integers; IndexOutOfBoundsError when run.
    """
    y = as_variable(y)
    if y.type.dtype not in INTEGERS:
        raise TypeMismatchError(f"one_hot: labels are integers, not {y} ({y.type})")
    labels = shape_padright(CheckedIndex()(y, as_size(n)))
    return cast(eq(labels, arange(n)), dtype or config.floatX)


# ---- joined and cut


def stack(*tensors: Any, axis: int = 0) -> Variable:
    """Tensors of one shape along a new dimension `axis`: `stack([a, b], axis=1)`, or Theano's
    `stack(a, b)`."""
    items: Any = tensors
    if (
        tensors
        and isinstance(tensors[0], list | tuple)
        and all(isinstance(k, int) for k in tensors[1:])
    ):
        items, *rest = tensors
        axis = rest[0] if rest else axis
    return _stack(items, axis)


def stacklists(nested: Any) -> Variable:
    """Nested lists of scalars or tensors of one shape as a tensor."""
    if not isinstance(nested, (list, tuple)):
        return as_variable(nested)
    return _stack([stacklists(item) for item in nested])


def hstack(tensors: Sequence[Any]) -> Variable:
    """Joined along the second dimension, vectors along their only one."""
    tensors = [atleast_1d(x) for x in tensors]
    return concatenate(tensors, 0 if tensors[0].type.ndim == 1 else 1)


def vstack(tensors: Sequence[Any]) -> Variable:
    """Joined along the first dimension, vectors as rows."""
    return concatenate([atleast_2d(x) for x in tensors], 0)


def horizontal_stack(*tensors: Any) -> Variable:
    """Theano's spelling of `hstack`."""
    return hstack(tensors)


def vertical_stack(*tensors: Any) -> Variable:
    """Theano's spelling of `vstack`."""
    return vstack(tensors)


def split(x: Any, splits_size: Any, n_splits: int | None = None, axis: int = 0) -> list[Variable]:
    """Pieces of `x` along `axis`, of the sizes `splits_size`; or that many of equal size if it is a
    number, where the size of `x` is known."""
    x = as_variable(x)
    if isinstance(splits_size, (int, np.integer)):
        return split_equally(x, int(splits_size), axis)
    return _split(x, splits_size, axis, n_splits)


def roll(x: Any, shift: Any, axis: int | None = None) -> Variable:
    """Elements moved by `shift` places along `axis` (None: in C order), those pushed out coming in
    at the other end."""
    x = as_variable(x)
    if axis is None:
        return reshape(roll(flatten(x), shift, 0), sizes_of(x))
    axis = as_axis(axis, x.type.ndim)
    size = shape_of(x, axis)
    cut = as_size(size - mod(shift, size))  # type: ignore[operator]
    whole = (slice(None),) * axis
    return concatenate([index(x, (*whole, slice(cut, None))), index(x, (*whole, slice(cut)))], axis)


def flip(x: Any, axis: Any = None) -> Variable:
    """Elements in reverse order along `axis`: None (all dimensions), one, or several."""
    x = as_variable(x)
    axes = as_axes(axis, x.type.ndim)
    if not axes:
        return x
    return index(x, tuple(slice(None, None, -1 if k in axes else 1) for k in range(x.type.ndim)))


# ---- diagonals


def diagonal(x: Any, offset: int = 0) -> Variable:
    """The diagonal of a matrix, `offset` places to the right (or, negative, to the left)."""
    x = as_variable(x)
    if x.type.ndim != 2:
        raise TypeMismatchError(f"diagonal takes a matrix, not {x} ({x.type})")
    part = index(x, (slice(None), slice(offset, None)) if offset >= 0 else slice(-offset, None))
    places = arange(minimum(shape_of(part, 0), shape_of(part, 1)))
    return index(part, (places, places))


def diag(x: Any, k: int = 0) -> Variable:
    """The k-th diagonal of a matrix, or the matrix that has a vector as its k-th diagonal."""
    x = as_variable(x)
    if x.type.ndim == 2:
        return diagonal(x, k)
    if x.type.ndim != 1:
        raise TypeMismatchError(f"diag takes a vector or a matrix, not {x} ({x.type})")
    n = shape_of(x, 0)
    square = where(eye(n, n, 0, "bool"), x, 0)
    below, right = max(0, -k), max(0, k)
    if not k:
        return square
    size = n + abs(k)  # type: ignore[operator]
    empty_square = zeros((size, size), x.type.dtype)
    region = index(empty_square, (slice(below, size - right), slice(right, size - below)))  # type: ignore[operator]
    return set_subtensor(region, square)


def trace(x: Any) -> Variable:
    """The sum of the diagonal of a matrix."""
    return sum_(diagonal(x))
