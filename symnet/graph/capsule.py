"""What a DLPack capsule says of its array: for elements that NumPy's reader does not know.

The structures are those of dlpack.h, https://dmlc.github.io/dlpack/latest. A capsule that nobody
consumes gives its array back when it is collected, so holding the capsule holds the array.
"""

import ctypes
from typing import Any, NamedTuple

import numpy as np

from symnet.errors import TypeMismatchError
from symnet.graph.bfloat16 import bfloat16

DTYPES = {
    **{(0, 8 * n): f"int{8 * n}" for n in (1, 2, 4, 8)},
    **{(1, 8 * n): f"uint{8 * n}" for n in (1, 2, 4, 8)},
    **{(2, 8 * n): f"float{8 * n}" for n in (2, 4, 8)},
    (4, 16): "bfloat16",
    (6, 8): "bool",
}  # (code, bits)


class _Tensor(ctypes.Structure):
    """DLTensor."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_kind", ctypes.c_int32),
        ("device", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class Told(NamedTuple):
    """An array by its address; strides in bytes."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str


def read(capsule: Any) -> Told:
    """What a capsule of the kind "dltensor" holds. Errors: TypeMismatchError for elements that
    symnet does not have."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    tensor = _Tensor.from_address(get(capsule, b"dltensor"))
    dtype = DTYPES.get((tensor.code, tensor.bits))
    if dtype is None or tensor.lanes != 1:
        raise TypeMismatchError(
            f"an array whose elements are of DLPack's kind {tensor.code} with {tensor.bits} bits "
            "is none that symnet computes with"
        )
    shape = tuple(tensor.shape[: tensor.ndim]) if tensor.ndim else ()
    size = tensor.bits // 8
    if tensor.ndim and tensor.strides:
        strides = tuple(s * size for s in tensor.strides[: tensor.ndim])
    else:
        strides = contiguous(shape, size)
    return Told((tensor.data or 0) + tensor.byte_offset, shape, strides, dtype)


def bfloat16_array(value: Any) -> np.ndarray:
    """An array of the host whose elements are bfloat16, which NumPy's reader refuses; no copy.

    Errors: TypeMismatchError for other elements, and without the package ml_dtypes; those of the
    array's library.
    """
    capsule = value.__dlpack__()
    told = read(capsule)
    if told.dtype != "bfloat16":
        raise TypeMismatchError(f"its elements are {told.dtype}, which NumPy did not read")
    dtype = bfloat16()
    if 0 in told.shape:
        return np.empty(told.shape, dtype)
    steps = [(n - 1) * s for n, s in zip(told.shape, told.strides)]
    first = told.address + sum(s for s in steps if s < 0)
    size = sum(map(abs, steps)) + dtype.itemsize
    memory: Any = (ctypes.c_char * size).from_address(first)
    memory.held = capsule
    return np.ndarray(told.shape, dtype, memory, told.address - first, told.strides)


def contiguous(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    """Strides of an array without gaps, in bytes."""
    strides = []
    for length in reversed(shape):
        strides.append(size)
        size *= length
    return tuple(reversed(strides))
