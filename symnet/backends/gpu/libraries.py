"""What a GPU needs on this machine: CuPy, NVIDIA's driver, NVRTC and cuBLAS; and what is missing.

CuPy reaches the driver; NVRTC and cuBLAS come as wheels beside it or with a CUDA toolkit. cuBLAS
must be of CuPy's major version of CUDA, and the driver of that of all of them or a newer.
"""

import ctypes
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from symnet.backends.gpu import compile as kernels
from symnet.backends.gpu.driver import DRIVER, driver_version
from symnet.backends.gpu.installed import library_places
from symnet.errors import BackendError, DeviceError

INSTALL = "pip install 'symnet[gpu]'"


def cupy() -> ModuleType:
    """The module. Errors: DeviceError where it is not installed or cannot be imported."""
    if "cupy" not in sys.modules and importlib.util.find_spec("cupy") is None:
        raise DeviceError(f"CuPy is not installed: {INSTALL}")
    try:
        return importlib.import_module("cupy")
    except ImportError as e:
        reason = next(
            (s for s in reversed(str(e).splitlines()) if s.strip(" =")), "no reason given"
        )
        raise DeviceError(f"CuPy cannot be imported ({reason.strip()}): {INSTALL}") from e


def cublas(major: int) -> ctypes.CDLL:
    """The library, of that major version of CUDA. Errors: DeviceError."""
    for place in _cublas_places(major):
        try:
            # what it is made of lies beside it, where not every wheel looks
            beside = Path(place).with_name(f"libcublasLt.so.{major}")
            if beside.is_absolute() and beside.exists():
                ctypes.CDLL(str(beside))
            return ctypes.CDLL(place)
        except OSError:
            continue
    wheel = _wheel("nvidia-cublas", major)
    raise DeviceError(f"cuBLAS for CUDA {major} was not found: pip install {wheel}")


def missing() -> list[str]:
    """What keeps this machine from running on a GPU, a sentence each, with what to do about it;
    nothing where all is there. It initialises CUDA, as `cupy.cuda.is_available` does."""
    found: list[str] = []
    major = 0
    version = driver_version()
    if version is None:  # said first: without a GPU there is no use in installing the rest
        found.append(
            f"NVIDIA's driver ({DRIVER}) is not there: without a CUDA GPU nothing can help; with "
            "one, install the driver from nvidia.com or from your distribution."
        )
    try:
        module: ModuleType | None = cupy()
    except DeviceError as e:
        module = None
        found.append(f"{e}.")
    if module is not None:
        major = module.cuda.runtime.runtimeGetVersion() // 1000
        if version is not None:
            found += _device(module, major, version)
    try:
        nvrtc = kernels.nvrtc().version
        if version is not None and nvrtc[0] > version[0] >= major:
            found.append(
                f"NVRTC is of CUDA {nvrtc[0]}, the driver serves CUDA {version[0]}: pip install "
                f"{_wheel('nvidia-cuda-nvrtc', version[0])}, and let SYMNET_NVRTC name its file."
            )
    except BackendError as e:
        found.append(f"{e}.")
    try:
        cublas(major or 13)
    except DeviceError as e:
        found.append(f"{e}.")
    return found


def _device(module: ModuleType, major: int, version: tuple[int, int]) -> list[str]:
    """What is wrong between CuPy, the driver and the device."""
    if version[0] < major:
        return [
            f"NVIDIA's driver serves CUDA {version[0]}.{version[1]}, CuPy is for CUDA {major}: "
            "update the driver, or pip install 'symnet[gpu12]' in an environment of its own."
        ]
    try:
        count = module.cuda.runtime.getDeviceCount()
    except Exception as e:
        return [f"CUDA cannot be initialised ({e}): restart the machine or ask who runs it."]
    if count == 0:
        shown = os.environ.get("CUDA_VISIBLE_DEVICES")
        if shown is not None:
            return [f"CUDA_VISIBLE_DEVICES={shown!r} hides all GPUs: unset it."]
        return ["The driver knows no GPU: nvidia-smi tells more."]
    return []


def _wheel(name: str, major: int) -> str:
    return name if major >= 13 else f"{name}-cu{major}"


def _cublas_places(major: int) -> list[str]:
    """Where the library may be; last, on the path."""
    wheels = f"*/lib/libcublas.so.{major}", f"*/bin/**/cublas64_{major}.dll"
    found = library_places("SYMNET_CUBLAS", wheels, f"lib64/libcublas.so.{major}")
    return [*found, f"libcublas.so.{major}", f"cublas64_{major}.dll"]
