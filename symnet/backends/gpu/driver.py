"""NVIDIA's driver: the library beneath everything, which comes with the machine."""

import ctypes
import sys

DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def driver_version() -> tuple[int, int] | None:
    """The newest CUDA that the driver serves, (13, 0) say; None where there is no driver."""
    try:
        library = ctypes.CDLL(DRIVER)
    except OSError:
        return None
    number = ctypes.c_int()
    if library.cuDriverGetVersion(ctypes.byref(number)):
        return None
    return number.value // 1000, number.value % 1000 // 10
