"""NumPy's ufuncs on symbolic variables: `np.exp(x)` and `np.add.reduce(x)` build expressions.

    call     as the function of symnet.tensor; `dtype` converts the operands first
    reduce   of add, multiply, maximum, minimum, logical_and, logical_or and logaddexp
    outer    of functions of two arguments

With an array on one side `==` is numpy.equal, an expression; between variables it is identity.
Errors: TypeMismatchError for other ufuncs and methods, and for arguments that ask for memory
(`out`, `where`, `order`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from symnet.errors import TypeMismatchError
from symnet.ops import arithmetic, casting, contraction, exponential, rounding
from symnet.ops.conversion import as_variable, as_variables, floating
from symnet.ops.elementwise import ELEMENTWISE
from symnet.tensor import elementwise, movement, reduction
from symnet.tensor.variable import use_numpy_ufuncs


def _fabs(x: Any) -> Any:
    x = as_variable(x)
    return arithmetic.absolute(casting.cast(x, floating(x.type.dtype)))


def _matvec(x: Any, v: Any) -> Any:
    return movement.squeeze(contraction.matmul(x, movement.expand_dims(v, -1)), -1)


def _vecmat(v: Any, x: Any) -> Any:
    return movement.squeeze(contraction.matmul(movement.expand_dims(v, -2), x), -2)


def _vecdot(v: Any, w: Any) -> Any:
    return reduction.sum_(arithmetic.mul(v, w), -1)


UFUNCS: dict[Any, Callable[..., Any]] = {
    op.numpy: op for op in ELEMENTWISE.values() if isinstance(op.numpy, np.ufunc)
}
UFUNCS.update(
    {
        np.power: exponential.power,
        np.floor: rounding.floor,
        np.ceil: rounding.ceil,
        np.trunc: rounding.trunc,
        np.rint: rounding.round_even,
        np.positive: as_variable,
        np.conjugate: as_variable,
        np.fabs: _fabs,
        np.radians: elementwise.deg2rad,
        np.degrees: elementwise.rad2deg,
        np.divmod: elementwise.divmod,
        np.matmul: contraction.matmul,
    }
)
for _name, _function in [("vecdot", _vecdot), ("matvec", _matvec), ("vecmat", _vecmat)]:
    if hasattr(np, _name):  # they came with NumPy 2.0 to 2.2
        UFUNCS[getattr(np, _name)] = _function

REDUCTIONS: dict[Any, Callable[..., Any]] = {
    np.add: reduction.sum_,
    np.multiply: reduction.prod,
    np.maximum: reduction.max_,
    np.minimum: reduction.min_,
    np.logical_and: reduction.all_,
    np.logical_or: reduction.any_,
    np.logaddexp: reduction.logsumexp,
}


def apply_ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What `ufunc`, or its `method`, makes of symbolic variables among `inputs`."""
    name = f"numpy.{ufunc.__name__}{'' if method == '__call__' else '.' + method}"
    dtype = kwargs.pop("dtype", None)
    wanted = None if dtype is None else casting.dtype_name(dtype)
    for keyword, harmless in [("where", True), ("out", None), ("initial", None)]:
        if keyword in kwargs and kwargs[keyword] is harmless:
            del kwargs[keyword]
    if method == "__call__" and ufunc in UFUNCS and not kwargs:
        return _converted(name, UFUNCS[ufunc], inputs, wanted)
    if method == "outer" and ufunc in UFUNCS and ufunc.signature is None and not kwargs:
        if len(inputs) == 2:
            a, b = as_variables(inputs)
            spread = movement.shape_padright(a, b.type.ndim)
            return _converted(name, UFUNCS[ufunc], (spread, b), wanted)
    if method == "reduce" and ufunc in REDUCTIONS and set(kwargs) <= {"axis", "keepdims"}:
        x, *rest = inputs
        arguments = dict(zip(["axis"], rest)) | kwargs
        x = as_variable(x)
        if wanted is not None:
            x = casting.cast(x, wanted)
        if len(rest) < 2:
            return REDUCTIONS[ufunc](x, **{"axis": 0, **arguments})
    given = f" with {', '.join(sorted(kwargs))}=" if kwargs else ""
    raise TypeMismatchError(
        f"{name} does not take symbolic variables{given}; see symnet.tensor for what there is"
    )


def _converted(
    name: str, function: Callable[..., Any], inputs: tuple[Any, ...], dtype: str | None
) -> Any:
    if dtype is None:
        return function(*inputs)
    operands = [as_variable(x) for x in inputs]
    for x in operands:
        if not np.can_cast(x.type.dtype, dtype, "same_kind"):
            raise TypeMismatchError(f"{name} with dtype={dtype}: {x} ({x.type}) is of another kind")
    result = function(*(casting.cast(x, dtype) for x in operands))
    if not isinstance(result, tuple) and result.type.dtype != dtype:
        raise TypeMismatchError(f"{name} with dtype={dtype} gives {result.type.dtype}")
    return result


use_numpy_ufuncs(apply_ufunc)
