"""Which device the figures are of, and the libraries that drive it. Runs in a worker: asking
initialises CUDA."""

import contextlib
import ctypes
import importlib.metadata
import re
from pathlib import Path

from symnet.backends.gpu import compile as kernels
from symnet.backends.gpu import devices, libraries
from symnet.errors import BackendError


def describe(name: str) -> dict[str, object]:
    """Facts about a device of symnet's, or {"missing": what is}."""
    try:
        device = devices.device(name)
    except BackendError as error:
        return {"missing": str(error)}
    facts = _cuda() if name == "cuda" else {"device": name}
    facts["multiprocessors"] = device.geometry.multiprocessors
    facts["architecture"] = f"sm_{device.architecture}"
    return facts


def _cuda() -> dict[str, object]:
    cupy = libraries.cupy()
    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(0)
    version = runtime.runtimeGetVersion()
    packages = ("cupy", "cupy-cuda12x", "cupy-cuda13x")
    return {
        "device": properties["name"].decode(),
        "memory": f"{properties['totalGlobalMem'] / 2**30:.0f} GiB",
        "driver": _driver(),
        "CUDA of the driver": _dotted(runtime.driverGetVersion()),
        "CUDA": _dotted(version),
        "cuBLAS": _cublas(version // 1000),
        "NVRTC": ".".join(map(str, kernels.nvrtc().version)),
        "CuPy": ", ".join(f"{p} {v}" for p in packages if (v := _installed(p))) or cupy.__version__,
    }


def _dotted(version: int) -> str:
    """12.4 of 12040."""
    return f"{version // 1000}.{version % 1000 // 10}"


def _driver() -> str:
    """The version of NVIDIA's kernel module."""
    with contextlib.suppress(OSError):
        text = Path("/proc/driver/nvidia/version").read_text()
        if found := re.search(r"\b\d+\.\d+(\.\d+)?\b", text):
            return found.group()
    return "unknown"


def _cublas(major: int) -> str:
    library = libraries.cublas(major)
    numbers = []
    for part in range(3):  # MAJOR_VERSION, MINOR_VERSION, PATCH_LEVEL of libraryPropertyType
        value = ctypes.c_int()
        library.cublasGetProperty(part, ctypes.byref(value))
        numbers.append(str(value.value))
    return ".".join(numbers)


def _installed(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
