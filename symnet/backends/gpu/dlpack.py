"""Arrays of other libraries: what a DLPack capsule or a `__cuda_array_interface__` says.

`__cuda_array_interface__`: version 3 of Numba's specification.
"""

from typing import Any

import numpy as np

from symnet.backends.gpu.device import DeviceArray
from symnet.errors import TypeMismatchError
from symnet.graph.capsule import DTYPES, contiguous, read

CPU, CUDA, CUDA_HOST, CUDA_MANAGED = 1, 2, 3, 13  # kinds of devices


def from_capsule(capsule: Any) -> DeviceArray:
    """What a capsule of the kind "dltensor" holds; the capsule becomes the owner.
    Errors: TypeMismatchError for elements that symnet does not have."""
    return DeviceArray(*read(capsule), capsule)


def from_interface(value: Any) -> DeviceArray:
    """What `value.__cuda_array_interface__` says; the value becomes the owner.
    Errors: TypeMismatchError for elements that symnet does not have."""
    said = value.__cuda_array_interface__
    dtype = np.dtype(said["typestr"])
    if dtype.name not in DTYPES.values() or not dtype.isnative or said.get("mask") is not None:
        raise TypeMismatchError(f"an array of {said['typestr']} is none that symnet computes with")
    shape = tuple(said["shape"])
    strides = said.get("strides")
    strides = contiguous(shape, dtype.itemsize) if strides is None else tuple(strides)
    return DeviceArray(said["data"][0] or 0, shape, strides, dtype.name, value)
