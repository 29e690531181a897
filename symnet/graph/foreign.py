"""Arrays of other libraries, without importing any: DLPack, NumPy's protocols, pandas' tables.

An object with `__dlpack__` (PyTorch, JAX, CuPy, NumPy itself) is taken without a copy where its
memory is the host's; what has only `__array__` (frames and series of pandas) as that gives it.
See https://dmlc.github.io/dlpack/latest/python_spec.html.
"""

from typing import Any

import numpy as np

from symnet.errors import TypeMismatchError
from symnet.graph.capsule import bfloat16_array

HOST = 1  # kDLCPU
_DEVICES = {2: "cuda", 3: None, 13: "cuda"}  # kDLCUDA, kDLCUDAHost (pinned), kDLCUDAManaged


def device_of(value: Any) -> str | None:
    """The device in whose memory an array lies, as `config.device` calls it; None for the host's,
    and for what is no array. Nothing is imported, nothing is copied.

    An array class may name its device itself, in the attribute `symnet_device`.
    """
    kind = type(value)
    if kind is np.ndarray:
        return None
    named: str | None = getattr(kind, "symnet_device", None)
    if named is not None or not hasattr(kind, "__dlpack_device__"):
        return named
    try:
        number = int(value.__dlpack_device__()[0])
    except (BufferError, RuntimeError, TypeError, ValueError):
        return None
    return None if number == HOST else _DEVICES.get(number, f"device {number}")


def as_array(value: Any, what: str = "value") -> np.ndarray:
    """`value` as a NumPy array, sharing its memory where possible.

    Errors: TypeMismatchError for ragged lists, memory of another device, and what its library
    does not hand out (tensors that require a gradient).
    """
    if type(value) is np.ndarray:
        return value
    refusal: Any = None
    if getattr(type(value), "symnet_device", None) is not None:
        raise TypeMismatchError(f"{what} is in the memory of another device{_advice(value)}")
    if hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray):
        try:
            device = value.__dlpack_device__()[0]
            if device == HOST:
                return _from_dlpack(value)
            refusal = f"its memory is that of another device (DLPack's number {int(device)})"
            refusal += _advice(value)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            refusal = error
        if not hasattr(value, "__array__"):
            raise TypeMismatchError(f"{what} ({type(value).__name__}) is not readable: {refusal}")
    try:
        return np.asarray(value)
    except (RuntimeError, TypeError, ValueError) as error:
        raise TypeMismatchError(f"{what} is not an array: {refusal or error}") from None


def _from_dlpack(value: Any) -> np.ndarray:
    try:
        return np.from_dlpack(value)
    except RuntimeError as refusal:  # NumPy reads no bfloat16
        try:
            return bfloat16_array(value)
        except TypeMismatchError as problem:
            raise RuntimeError(f"{refusal} {problem}") from None


def _advice(value: Any) -> str:
    return "; symnet.transfer(array, 'cpu') copies it" if device_of(value) else ""


def has_dtype(value: Any) -> bool:
    """Whether `value` is an array with a dtype of its own; numbers and lists are not."""
    return hasattr(value, "dtype") or hasattr(value, "__dlpack__") or hasattr(value, "__array__")


def not_numeric(value: Any, array: np.ndarray) -> str:
    """What to say of `value`, which gave `array` of a dtype that is none of ours: the columns of
    a frame that are to blame, the first text."""
    columns = getattr(value, "columns", None)
    if columns is not None and hasattr(value, "dtypes"):
        named = [
            f"{column!r} ({dtype})"
            for column, dtype in zip(columns, value.dtypes)
            if getattr(dtype, "kind", "O") not in "biuf"
        ]
        if named:
            rest = f" and {len(named) - 5} more" if len(named) > 5 else ""
            return f"has columns that are not numbers: {', '.join(named[:5])}{rest}"
    texts = array.dtype.kind in "OSU" and [x for x in array.ravel()[:1000] if isinstance(x, str)]
    return f"has dtype {array.dtype}" + (
        f" and holds text, as {str(texts[0])!r:.40}" if texts else ""
    )
