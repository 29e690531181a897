"""NumPy's own functions on symbolic variables: `np.concatenate([x, y])` builds an expression.

Those of NumPy's ufuncs are in numpy_ufuncs.py; these are the others, by NumPy's dispatch protocol
(NEP 18). Each entry of FUNCTIONS has NumPy's argument names, of which it takes those that mean
something for expressions; the others must be left at their defaults.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph.types import FLOATS
from symnet.graph.variables import Variable
from symnet.ops import arithmetic, contraction
from symnet.ops.casting import cast
from symnet.ops.conversion import as_variable
from symnet.ops.movement import as_axis
from symnet.tensor import assembly, elementwise, movement, reduction
from symnet.tensor.numpy_ufuncs import UFUNCS
from symnet.tensor.variable import use_numpy_functions

FUNCTIONS: dict[Any, Callable[..., Any]] = {}


def _stands_for(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function for NumPy's functions of these names, as far as this NumPy has them."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            try:
                theirs = functools.reduce(getattr, name.split("."), np)
            except AttributeError:
                continue
            FUNCTIONS[theirs] = function
        return function

    return enter


def apply_function(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What NumPy's `function` makes of arguments with symbolic variables among them."""
    name = f"{function.__module__}.{function.__name__}"
    ours = FUNCTIONS.get(function)
    if ours is None:
        raise TypeMismatchError(
            f"{name} does not take symbolic variables; see symnet.tensor for what there is, or "
            "compute values first with .eval() or a function"
        )
    theirs, own = _parameters(function), _parameters(ours)
    if theirs:
        given = dict(inspect.signature(function).bind(*args, **kwargs).arguments)
        # NumPy's dispatcher has accepted the call already; ** arguments are ufuncs' (np.clip)
        for key, parameter in theirs.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                given.update(given.pop(key, {}))
        args, kwargs = (), given
    refused = []
    for key, value in list(kwargs.items()):
        if key in own:
            continue
        default = theirs[key].default if key in theirs else inspect.Parameter.empty
        if _same(value, default) or (key == "order" and value == "C"):
            del kwargs[key]
        else:
            refused.append(f"{key}={value!r:.20}")
    if refused:
        raise TypeMismatchError(
            f"{name} of symbolic variables does not take {', '.join(refused)} "
            f"(it takes {', '.join(own)})"
        )
    several = [p.name for p in own.values() if p.kind is inspect.Parameter.VAR_POSITIONAL]
    if several:
        args = kwargs.pop(several[0], args)
    return ours(*args, **kwargs)


@functools.cache
def _parameters(function: Any) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(function).parameters)
    except ValueError:  # written in C, without a signature
        return {}


def _same(value: Any, default: Any) -> bool:
    if value is default or value is None:
        return True
    return isinstance(value, (bool, str, int)) and type(value) is type(default) and value == default


# ---- reductions


def _as_dtype(x: Any, dtype: Any) -> Any:
    return as_variable(x) if dtype is None else cast(as_variable(x), dtype)


def _joined(x: Any) -> Any:
    """A list of variables as the array that NumPy would make of it."""
    return assembly.as_tensor(x)


_stands_for("sum")(
    lambda a, axis=None, dtype=None, keepdims=False: reduction.sum_(
        _joined(a), axis, dtype, keepdims
    )
)
_stands_for("prod")(
    lambda a, axis=None, dtype=None, keepdims=False: reduction.prod(
        _joined(a), axis, dtype, keepdims
    )
)
_stands_for("mean")(
    lambda a, axis=None, dtype=None, keepdims=False: reduction.mean(
        _joined(a), axis, dtype, keepdims
    )
)
for _names, _reduce in [
    ("max amax", reduction.max_),
    ("min amin", reduction.min_),
    ("any", reduction.any_),
    ("all", reduction.all_),
    ("argmax", reduction.argmax),
    ("argmin", reduction.argmin),
    ("count_nonzero", reduction.count_nonzero),
]:
    _stands_for(*_names.split())(
        lambda a, axis=None, keepdims=False, _reduce=_reduce: _reduce(_joined(a), axis, keepdims)
    )


def _moments(spread: Callable[..., Any]) -> Callable[..., Any]:
    def moment(
        a: Any,
        axis: Any = None,
        dtype: Any = None,
        ddof: int = 0,
        keepdims: bool = False,
        correction: int | None = None,
    ) -> Any:
        ddof = ddof if correction is None else correction
        return spread(_as_dtype(_joined(a), dtype), axis, ddof, keepdims)

    return moment


_stands_for("var")(_moments(reduction.var))
_stands_for("std")(_moments(reduction.std))


@_stands_for("ptp")
def _ptp(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    a = _joined(a)
    return arithmetic.sub(reduction.max_(a, axis, keepdims), reduction.min_(a, axis, keepdims))


@_stands_for("average")
def _average(a: Any, axis: Any = None, weights: Any = None, keepdims: bool = False) -> Any:
    a = _joined(a)
    if weights is None:
        return reduction.mean(a, axis, keepdims=keepdims)
    w = _joined(weights)
    if w.type.ndim == 1 and a.type.ndim > 1:
        along = as_axis(axis, a.type.ndim)
        w = movement.dimshuffle(w, [0 if k == along else "x" for k in range(a.type.ndim)])
    total = reduction.sum_(arithmetic.mul(a, w), axis, keepdims=keepdims)
    return arithmetic.true_div(total, reduction.sum_(w, axis, keepdims=keepdims))


@_stands_for("linalg.vector_norm")
def _vector_norm(x: Any, axis: Any = None, ord: Any = 2, keepdims: bool = False) -> Any:
    return reduction.norm(x, ord, axis, keepdims)


@_stands_for("linalg.matrix_norm")
def _matrix_norm(x: Any, ord: Any = "fro", keepdims: bool = False) -> Any:
    return _norm_of_matrices(as_variable(x), ord, (-2, -1), keepdims)


def _norm_of_matrices(x: Any, ord: Any, axes: tuple[int, int], keepdims: bool) -> Any:
    rows, columns = (as_axis(k, x.type.ndim) for k in axes)
    if ord is None or ord == "fro":
        return reduction.norm(x, 2, (rows, columns), keepdims)
    if ord not in (1, -1, np.inf, -np.inf):
        raise TypeMismatchError(
            f"the matrix norm of order {ord!r} needs singular values, which symnet does not have; "
            "there are 'fro', 1, -1, inf and -inf"
        )
    inner, outer = (rows, columns) if abs(ord) == 1 else (columns, rows)
    extreme = reduction.max_ if ord > 0 else reduction.min_
    result = extreme(reduction.norm(x, 1, inner, True), outer, True)
    return result if keepdims else movement.squeeze(result, (rows, columns))


@_stands_for("linalg.norm")
def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    x = as_variable(x)
    if ord is None:
        return reduction.norm(x, 2, axis, keepdims)
    axes = axis if isinstance(axis, tuple) else (axis,)
    if axis is None:
        axes = tuple(range(x.type.ndim))
    if len(axes) == 2:
        return _norm_of_matrices(x, ord, axes, keepdims)
    if len(axes) != 1:
        raise TypeMismatchError(f"norm of order {ord!r} of {x} ({x.type}): axis is to be given")
    return reduction.norm(x, ord, axes[0], keepdims)


# ---- shapes

_stands_for("shape")(lambda a: movement.shape(_joined(a)))
_stands_for("ndim")(lambda a: as_variable(a).type.ndim)
_stands_for("ravel")(lambda a: movement.ravel(_joined(a)))
_stands_for("squeeze")(lambda a, axis=None: movement.squeeze(a, axis))
_stands_for("expand_dims")(lambda a, axis: movement.expand_dims(a, axis))
_stands_for("swapaxes")(lambda a, axis1, axis2: movement.swapaxes(a, axis1, axis2))
_stands_for("moveaxis")(lambda a, source, destination: movement.moveaxis(a, source, destination))
_stands_for("transpose")(lambda a, axes=None: movement.transpose(a, axes))
_stands_for("matrix_transpose", "linalg.matrix_transpose")(lambda x: movement.swapaxes(x, -1, -2))
_stands_for("broadcast_to")(
    lambda array, shape, subok=False: movement.broadcast_to(
        array, shape if isinstance(shape, (tuple, list, Variable)) else (shape,)
    )
)
_stands_for("tile")(lambda A, reps: movement.tile(A, reps))
_stands_for("repeat")(lambda a, repeats, axis=None: movement.repeat(a, repeats, axis))


@_stands_for("size")
def _size(a: Any, axis: Any = None) -> Any:
    a = as_variable(a)
    if axis is None:
        return movement.size(a)
    axes = axis if isinstance(axis, tuple) else (axis,)
    sizes = [movement.shape(a)[as_axis(k, a.type.ndim)] for k in axes]  # type: ignore[index]
    return functools.reduce(arithmetic.mul, sizes)


@_stands_for("reshape")
def _reshape(a: Any, shape: Any = None, newshape: Any = None) -> Any:
    return movement.reshape(_joined(a), newshape if shape is None else shape)


@_stands_for("rollaxis")
def _rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    a = as_variable(a)
    axis = as_axis(axis, a.type.ndim)
    start += a.type.ndim if start < 0 else 0
    return movement.moveaxis(a, axis, start - (axis < start))


def _each(function: Callable[[Any], Any]) -> Callable[..., Any]:
    def several(*arys: Any) -> Any:
        made = tuple(function(_joined(x)) for x in arys)
        return made[0] if len(made) == 1 else made

    return several


def _atleast_3d(x: Any) -> Any:
    """NumPy's rule, not Theano's: a vector becomes (1, n, 1), a matrix (m, n, 1)."""
    x = movement.atleast_2d(x)
    return movement.shape_padright(x, max(0, 3 - x.type.ndim))


_stands_for("atleast_1d")(_each(movement.atleast_1d))
_stands_for("atleast_2d")(_each(movement.atleast_2d))
_stands_for("atleast_3d")(_each(_atleast_3d))


# ---- joined and cut


@_stands_for("concatenate")
def _concatenate(arrays: Any, axis: Any = 0, dtype: Any = None) -> Any:
    arrays = [_as_dtype(_joined(x), dtype) for x in _items(arrays)]
    if axis is None:
        return assembly.concatenate([movement.ravel(x) for x in arrays])
    return assembly.concatenate(arrays, axis)


@_stands_for("stack")
def _stack(arrays: Any, axis: int = 0, dtype: Any = None) -> Any:
    return assembly.stack([_as_dtype(_joined(x), dtype) for x in _items(arrays)], axis=axis)


@_stands_for("hstack")
def _hstack(tup: Any, dtype: Any = None) -> Any:
    return assembly.hstack([_as_dtype(_joined(x), dtype) for x in _items(tup)])


@_stands_for("vstack")
def _vstack(tup: Any, dtype: Any = None) -> Any:
    return assembly.vstack([_as_dtype(_joined(x), dtype) for x in _items(tup)])


@_stands_for("dstack")
def _dstack(tup: Any) -> Any:
    return assembly.concatenate([_atleast_3d(_joined(x)) for x in _items(tup)], 2)


@_stands_for("column_stack")
def _column_stack(tup: Any) -> Any:
    columns = [movement.atleast_1d(_joined(x)) for x in _items(tup)]
    return assembly.concatenate(
        [movement.shape_padright(x) if x.type.ndim == 1 else x for x in columns], 1
    )


@_stands_for("append")
def _append(arr: Any, values: Any, axis: int | None = None) -> Any:
    return _concatenate([arr, values], axis)


def _items(arrays: Any) -> Sequence[Any]:
    return arrays if isinstance(arrays, (list, tuple)) else list(arrays)


@_stands_for("unstack")
def _unstack(x: Any, axis: int = 0) -> Any:
    return tuple(movement.moveaxis(x, axis, 0))  # type: ignore[arg-type]


def _cut(x: Any, places: Sequence[Any], axis: int) -> list[Any]:
    """`x` cut along `axis` before each of `places`, as slices do."""
    x = as_variable(x)
    axis = as_axis(axis, x.type.ndim)
    whole = (slice(None),) * axis
    # each from the cut before it, which may lie behind the next one
    pieces = zip([0, *places], [*places, None])
    return [x[(*whole, slice(a, b))] for a, b in pieces]  # type: ignore[index]


@_stands_for("array_split")
def _array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    ary = as_variable(ary)
    if not isinstance(indices_or_sections, (int, np.integer)):
        return _cut(ary, list(indices_or_sections), axis)
    n, whole = int(indices_or_sections), ary.type.shape[as_axis(axis, ary.type.ndim)]
    if whole is None or n < 1:
        raise ShapeError(f"{ary} ({ary.type}) cannot be cut into {n} pieces: its size is not known")
    sizes = [whole // n + (k < whole % n) for k in range(n)]
    return _cut(ary, [int(k) for k in np.cumsum(sizes)[:-1]], axis)


@_stands_for("split")
def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    if isinstance(indices_or_sections, (int, np.integer)):
        return assembly.split(ary, int(indices_or_sections), axis=axis)
    return _cut(ary, list(indices_or_sections), axis)


@_stands_for("hsplit")
def _hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    return _split(ary, indices_or_sections, min(1, as_variable(ary).type.ndim - 1))


_stands_for("vsplit")(lambda ary, indices_or_sections: _split(ary, indices_or_sections, 0))
_stands_for("dsplit")(lambda ary, indices_or_sections: _split(ary, indices_or_sections, 2))
_stands_for("take")(lambda a, indices, axis=None: assembly.take(_joined(a), indices, axis))


@_stands_for("roll")
def _roll(a: Any, shift: Any, axis: Any = None) -> Any:
    a = as_variable(a)
    if not isinstance(axis, (tuple, list)):
        return assembly.roll(a, shift, axis)
    shifts = shift if isinstance(shift, (tuple, list)) else [shift] * len(axis)
    for by, along in zip(shifts, axis):
        a = assembly.roll(a, by, along)
    return a


_stands_for("flip")(lambda m, axis=None: assembly.flip(m, axis))
_stands_for("flipud")(lambda m: assembly.flip(m, 0))
_stands_for("fliplr")(lambda m: assembly.flip(m, 1))


@_stands_for("rot90")
def _rot90(m: Any, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    m = as_variable(m)
    first, second = axes
    k %= 4
    if k == 2:
        return assembly.flip(m, axes)
    if k == 1:
        return movement.swapaxes(assembly.flip(m, second), first, second)
    return assembly.flip(movement.swapaxes(m, first, second), second) if k else m


@_stands_for("diff")
def _diff(a: Any, n: int = 1, axis: int = -1) -> Any:
    a = as_variable(a)
    axis = as_axis(axis, a.type.ndim)
    whole = (slice(None),) * axis
    for _ in range(n):
        later, earlier = a[(*whole, slice(1, None))], a[(*whole, slice(None, -1))]  # type: ignore[index]
        differ = elementwise.neq if a.type.dtype == "bool" else arithmetic.sub
        a = differ(later, earlier)
    return a


# ---- made like another

_stands_for("zeros_like")(lambda a, dtype=None: assembly.zeros_like(a, dtype))
_stands_for("ones_like")(lambda a, dtype=None: assembly.ones_like(a, dtype))
_stands_for("empty_like")(lambda prototype, dtype=None: assembly.zeros_like(prototype, dtype))
_stands_for("copy")(lambda a, subok=False: elementwise.identity(a))
_stands_for("real")(lambda val: as_variable(val))
_stands_for("iscomplexobj")(lambda x: False)
_stands_for("isrealobj")(lambda x: True)
_stands_for("astype")(lambda x, dtype, copy=True: cast(as_variable(x), dtype))


@_stands_for("full_like")
def _full_like(a: Any, fill_value: Any, dtype: Any = None) -> Any:
    a = _as_dtype(a, dtype)
    return cast(assembly.fill(a, fill_value), a.type.dtype)


# ---- diagonals


@_stands_for("diagonal")
def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    a = as_variable(a)
    order = [as_axis(axis1, a.type.ndim), as_axis(axis2, a.type.ndim)]
    if a.type.ndim != 2:
        raise TypeMismatchError(f"diagonals are taken of matrices, not of {a} ({a.type})")
    return assembly.diagonal(movement.transpose(a, order), offset)


@_stands_for("trace")
def _trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    return reduction.sum_(_diagonal(a, offset, axis1, axis2), dtype=dtype)


_stands_for("linalg.diagonal")(lambda x, offset=0: _diagonal(x, offset, -2, -1))
_stands_for("linalg.trace")(
    lambda x, offset=0, dtype=None: reduction.sum_(_diagonal(x, offset, -2, -1), dtype=dtype)
)
_stands_for("diag")(lambda v, k=0: assembly.diag(v, k))
_stands_for("diagflat")(lambda v, k=0: assembly.diag(movement.ravel(_joined(v)), k))
_stands_for("tril")(lambda m, k=0: assembly.tril(m, k))
_stands_for("triu")(lambda m, k=0: assembly.triu(m, k))


# ---- products

_stands_for("dot")(lambda a, b: contraction.dot(_joined(a), _joined(b)))
_stands_for("tensordot")(lambda a, b, axes=2: contraction.tensordot(a, b, axes))
_stands_for("linalg.tensordot")(lambda x1, x2, axes=2: contraction.tensordot(x1, x2, axes))
_stands_for("linalg.matmul")(lambda x1, x2: contraction.matmul(x1, x2))
_stands_for("vdot")(
    lambda a, b: contraction.dot(movement.ravel(_joined(a)), movement.ravel(_joined(b)))
)
_stands_for("outer")(
    lambda a, b: contraction.outer(movement.ravel(_joined(a)), movement.ravel(_joined(b)))
)
_stands_for("linalg.outer")(lambda x1, x2: contraction.outer(x1, x2))


@_stands_for("inner")
def _inner(a: Any, b: Any) -> Any:
    a, b = _joined(a), _joined(b)
    if not (a.type.ndim and b.type.ndim):
        return arithmetic.mul(a, b)
    return contraction.tensordot(a, b, (-1, -1))


@_stands_for("linalg.vecdot")
def _vecdot(x1: Any, x2: Any, axis: int = -1) -> Any:
    return reduction.sum_(arithmetic.mul(x1, x2), axis)


@_stands_for("linalg.multi_dot")
def _multi_dot(arrays: Any) -> Any:
    return functools.reduce(contraction.dot, _items(arrays))


# ---- element by element

_stands_for("nan_to_num")(
    lambda x, nan=0.0, posinf=None, neginf=None: elementwise.nan_to_num(x, nan, posinf, neginf)
)
_stands_for("isclose")(
    lambda a, b, rtol=1e-5, atol=1e-8, equal_nan=False: elementwise.isclose(
        a, b, rtol, atol, equal_nan
    )
)
_stands_for("allclose")(
    lambda a, b, rtol=1e-5, atol=1e-8, equal_nan=False: reduction.allclose(
        a, b, rtol, atol, equal_nan
    )
)
_stands_for("fix")(lambda x: UFUNCS[np.trunc](x))


@_stands_for("where")
def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None or y is None:
        raise TypeMismatchError(
            "numpy.where(condition) gives the places of the nonzero elements, whose number is not "
            "known while an expression is built; where(condition, x, y) chooses"
        )
    return elementwise.where(condition, x, y)


@_stands_for("select")
def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    result = default
    for condition, choice in reversed(list(zip(condlist, choicelist))):
        result = elementwise.where(condition, choice, result)
    return result


@_stands_for("clip")
def _clip(a: Any, a_min: Any = None, a_max: Any = None, min: Any = None, max: Any = None) -> Any:
    low = min if a_min is None or a_min is np._NoValue else a_min  # type: ignore[attr-defined]
    high = max if a_max is None or a_max is np._NoValue else a_max  # type: ignore[attr-defined]
    if low is not None and high is not None:
        return elementwise.clip(a, low, high)
    a = as_variable(a) if low is None else elementwise.maximum(a, low)
    return a if high is None else elementwise.minimum(a, high)


@_stands_for("round", "around")
def _round(a: Any, decimals: int = 0) -> Any:
    a = as_variable(a)
    if a.type.dtype not in FLOATS and decimals >= 0:
        return a
    if not decimals:
        return elementwise.round(a)
    if a.type.dtype not in FLOATS:
        raise TypeMismatchError(f"numpy.round to {decimals} decimals takes floats, not {a.type}")
    scale = float(10 ** abs(decimals))
    if decimals > 0:
        return arithmetic.true_div(elementwise.round(arithmetic.mul(a, scale)), scale)
    return arithmetic.mul(elementwise.round(arithmetic.true_div(a, scale)), scale)


use_numpy_functions(apply_function)
