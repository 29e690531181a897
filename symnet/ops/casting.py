"""Conversion between dtypes: one element-wise op per target dtype."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symnet.config import config
from symnet.graph.types import DTYPES, FLOATS, HALVES, NUMPY_DTYPES, TensorType
from symnet.graph.variables import Variable
from symnet.ops.conversion import as_variable
from symnet.ops.elementwise import Elementwise, Rule, elementwise


def _to(dtype: str) -> Rule:
    def rule(dtypes: Sequence[str]) -> tuple[tuple[str, ...], str]:
        return tuple(dtypes), dtype

    return rule


def _reference(dtype: str) -> Callable[[np.ndarray], np.ndarray]:
    def convert(x: np.ndarray) -> np.ndarray:
        """bool is `x != 0`; floats are truncated, saturate, and NaN gives 0; integers wrap. To
        halves they go by way of float32."""
        if dtype in HALVES and x.dtype.kind in "biu":
            x = x.astype("float32")
        if x.dtype.kind != "f" or dtype in FLOATS or dtype == "bool":
            return x.astype(NUMPY_DTYPES[dtype])
        info = np.iinfo(dtype)
        wide = np.asarray(x, "float64")
        low, high = wide <= float(info.min), wide >= float(info.max)
        inside = ~(low | high | np.isnan(wide))
        whole = np.where(inside, wide, 0.0).astype(dtype)
        return np.where(low, info.min, np.where(high, info.max, whole)).astype(dtype)

    return convert


def _gradient(g: Variable, out: Variable, x: Variable) -> Sequence[Variable | None]:
    """Between floats a cast is the identity; to or from integers nothing is differentiable."""
    if out.type.dtype in FLOATS and x.type.dtype in FLOATS:
        return [cast(g, x.type.dtype)]
    return [None]


CASTS: dict[str, Elementwise] = {
    dtype: elementwise(
        f"cast_{dtype}",
        f"round_{dtype}(x)" if dtype in HALVES else f"cast_{dtype}(x)",
        _reference(dtype),
        gradient=_gradient,
        dtypes=_to(dtype),
    )
    for dtype in DTYPES
}


def dtype_name(dtype: Any) -> str:
    """The name of a dtype given as a name, as "floatX", or as a NumPy dtype or type.

    Errors: TypeMismatchError.
    """
    if isinstance(dtype, str) and dtype == "floatX":
        return config.floatX
    if isinstance(dtype, np.dtype):
        dtype = dtype.name
    return TensorType(dtype).dtype


def cast(x: Any, dtype: Any) -> Variable:
    """`x` with another dtype (a name, a NumPy dtype or type); `x` itself if it has it already.

    Floats become integers by truncation, values out of range saturate, NaN becomes 0; integers
    wrap. To a half type numbers are rounded to the nearest, ties to even, and too large ones become
    inf. Errors: TypeMismatchError for an unsupported dtype.
    """
    x = as_variable(x)
    name = dtype_name(dtype)
    return x if x.type.dtype == name else CASTS[name](x)
