"""Arrays of other libraries: what a DLPack capsule or a `__cuda_array_interface__` says.

DLPack: https://dmlc.github.io/dlpack/latest, the structures of dlpack.h. A capsule that nobody
consumes gives its array back when it is collected, so holding the capsule holds the array.
`__cuda_array_interface__`: version 3 of Numba's specification.
"""

import ctypes
from typing import Any

import numpy as np

from symnet.backends.gpu.device import DeviceArray
from symnet.errors import TypeMismatchError
from symnet.schedule.access import contiguous_strides

CPU, CUDA, CUDA_HOST, CUDA_MANAGED = 1, 2, 3, 13  # kinds of devices
_DTYPES = {
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


def from_capsule(capsule: Any) -> DeviceArray:
    """What a capsule of the kind "dltensor" holds; the capsule becomes the owner.
    Errors: TypeMismatchError for elements that symnet does not have."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    tensor = _Tensor.from_address(get(capsule, b"dltensor"))
    dtype = _DTYPES.get((tensor.code, tensor.bits))
    if dtype is None or tensor.lanes != 1:
        raise TypeMismatchError(
            f"an array whose elements are of DLPack's kind {tensor.code} with {tensor.bits} bits "
            "is none that symnet computes with"
        )
    shape = tuple(tensor.shape[: tensor.ndim]) if tensor.ndim else ()
    size = tensor.bits // 8
    strides = (
        tuple(s * size for s in tensor.strides[: tensor.ndim])
        if tensor.ndim and tensor.strides
        else _contiguous(shape, size)
    )
    return DeviceArray((tensor.data or 0) + tensor.byte_offset, shape, strides, dtype, capsule)


def from_interface(value: Any) -> DeviceArray:
    """What `value.__cuda_array_interface__` says; the value becomes the owner.
    Errors: TypeMismatchError for elements that symnet does not have."""
    said = value.__cuda_array_interface__
    dtype = np.dtype(said["typestr"])
    if dtype.name not in _DTYPES.values() or not dtype.isnative or said.get("mask") is not None:
        raise TypeMismatchError(f"an array of {said['typestr']} is none that symnet computes with")
    shape = tuple(said["shape"])
    strides = said.get("strides")
    strides = _contiguous(shape, dtype.itemsize) if strides is None else tuple(strides)
    return DeviceArray(said["data"][0] or 0, shape, strides, dtype.name, value)


def _contiguous(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    return tuple(s * size for s in contiguous_strides(shape))
