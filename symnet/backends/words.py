"""Numbers as compiled programs hold them: their sizes in memory, and as 64-bit words."""

from typing import Any

import numpy as np

_ITEMSIZE = {
    "bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4,
    "float16": 2, "bfloat16": 2, "float32": 4, "int64": 8, "uint64": 8, "float64": 8,
}  # fmt: skip


def itemsize(dtype: str) -> int:
    """Bytes of an element."""
    return _ITEMSIZE[dtype]


def scalar_bits(dtype: str, value: Any) -> int:
    """A number of a dtype as the int64 that an argument word holds. Kernels take no halves."""
    array = np.zeros(1, np.int64)
    if dtype in ("float32", "float64"):
        array.view(dtype)[0] = value
    else:
        array[0] = np.asarray(value).astype(np.int64)
    return int(array[0])
