"""From Python numbers, lists and arrays to variables, and the dtype rules of mixed operands.

Python numbers are weakly typed: they take the dtype of what they meet. Among arrays an integer
mixed with a float keeps the float's dtype, a half one too; only integers meeting integers promote,
as in NumPy, except that int64 with uint64 gives int64, never a float (design D2). Floats meet in
the smallest dtype that holds both: float16 and bfloat16 in float32.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from symnet.config import config
from symnet.errors import TypeMismatchError
from symnet.graph.types import DTYPES, FLOATS
from symnet.graph.variables import Variable, make_constant

WEAK = (bool, int, float)


def common_dtype(dtypes: Sequence[str]) -> str:
    """The dtype in which operands of these dtypes meet."""
    first = dtypes[0]
    if len(dtypes) == 1 or all(d == first for d in dtypes):
        return first
    return _meet(tuple(dtypes))


@functools.cache
def _meet(dtypes: tuple[str, ...]) -> str:
    floats = [d for d in dtypes if d in FLOATS]
    if floats:
        if "float64" in floats:
            return "float64"
        return floats[0] if len(set(floats)) == 1 else "float32"
    result = np.result_type(*dtypes).name
    return "int64" if result in FLOATS else result


def floating(dtype: str) -> str:
    """`dtype` if it is a float, else floatX."""
    return dtype if dtype in FLOATS else config.floatX


def is_weak(value: Any) -> bool:
    """Whether a value adapts to the dtypes it meets. NumPy's float64 scalars do: they are floats,
    and `x * np.sqrt(2)` should not turn a float32 expression into float64."""
    return isinstance(value, WEAK) and not isinstance(value, np.bool_)


def weak_dtype(value: Any) -> str:
    """The dtype of a Python number that meets nothing else."""
    if isinstance(value, bool):
        return "bool"
    return "int64" if isinstance(value, int) else config.floatX


def as_variable(value: Any, dtype: str | None = None, name: str | None = None) -> Variable:
    """`value` as a variable: itself, or a constant. Python floats, alone or in lists, get floatX.

    Errors: TypeMismatchError for what is not numeric.
    """
    if isinstance(value, Variable):
        return value
    if hasattr(value, "__symnet_variable__"):
        return value.__symnet_variable__()
    if isinstance(value, (list, tuple)) and any(_holds_variable(item) for item in value):
        raise TypeMismatchError(
            "a list that holds symbolic variables is not a tensor; use T.stack or T.concatenate"
        )
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise TypeMismatchError(f"{value!r:.80} is not an array: {error}") from None
    if array.dtype.name not in DTYPES:
        raise TypeMismatchError(f"{value!r:.80} (dtype {array.dtype}) is not a numeric tensor")
    if dtype is None:
        dtype = array.dtype.name
        if dtype == "float64" and (is_weak(value) or not hasattr(value, "dtype")):
            dtype = config.floatX
        if dtype not in DTYPES:
            raise TypeMismatchError(f"dtype {dtype} is not supported")
    return make_constant(array, dtype, name)


def weak_constant(value: float, dtype: str) -> Variable:
    """A Python number as a constant of `dtype`. Errors: TypeMismatchError if it does not fit."""
    if dtype not in FLOATS and dtype != "bool":
        info = np.iinfo(dtype)
        if not info.min <= value <= info.max:
            raise TypeMismatchError(f"{value} does not fit into {dtype}")
    return make_constant(value, dtype)


def as_variables(values: Sequence[Any]) -> list[Variable]:
    """All `values` as variables, the Python numbers among them in the dtype the others give."""
    strong = [v if is_weak(v) else as_variable(v) for v in values]
    dtypes = [v.type.dtype for v in strong if isinstance(v, Variable)]
    weak = [v for v in strong if not isinstance(v, Variable)]
    if not weak:
        return strong
    if dtypes:
        target = common_dtype(dtypes)
        if target == "bool":
            target = common_dtype([weak_dtype(v) for v in weak])
        elif target not in FLOATS and any(
            isinstance(v, float) and not isinstance(v, bool) for v in weak
        ):
            target = config.floatX
    else:
        target = common_dtype([weak_dtype(v) for v in weak])
    return [v if isinstance(v, Variable) else weak_constant(v, target) for v in strong]


def _holds_variable(item: Any) -> bool:
    if isinstance(item, (list, tuple)):
        return any(_holds_variable(i) for i in item)
    return isinstance(item, Variable)
