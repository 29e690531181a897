"""What the figures depend on: processor, cores, BLAS, versions, environment."""

import contextlib
import ctypes
import os
import platform
import time
from pathlib import Path

_PREFIXES = (
    "OPENBLAS", "OMP_", "GOMP_", "KMP_", "MKL_", "BLIS_", "NUMBA_", "XLA_", "JAX_", "TORCH",
    "PYTENSOR", "SYMNET_", "LD_PRELOAD", "MALLOC_", "NPROC", "PYTHONMALLOC", "CUDA_VISIBLE",
    "CUDA_LAUNCH", "CUBLAS_WORKSPACE", "NVIDIA_TF32",
)  # fmt: skip


def describe() -> dict[str, object]:
    """Facts about this machine, without its name or paths."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "usable cores": usable_cores(),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.machine()}, "
        f"kernel {platform.release().partition('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def environment(env: dict[str, str] | None = None) -> dict[str, str]:
    """The variables that change how fast or on how many threads the peers run."""
    env = dict(os.environ) if env is None else env
    hidden = ("SYMNET_CACHE", "SYMNET_DATA", "SYMNET_BENCH_PYTHON")  # paths
    return {k: v for k, v in sorted(env.items()) if k.startswith(_PREFIXES) and k not in hidden}


def usable_cores() -> int:
    """Cores in this process's affinity mask."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def busy_cores(seconds: float) -> float:
    """How many cores all programs together use while this one sleeps; 0 where that is unknown."""
    try:
        before = _ticks()
        start = time.monotonic()
        time.sleep(seconds)
        return (_ticks() - before) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - start)
    except (OSError, ValueError, AttributeError):
        return 0.0


def _ticks() -> int:
    """Clock ticks of user, nice and system time of all cores since boot."""
    with open("/proc/stat") as file:
        return sum(map(int, file.readline().split()[1:4]))


def peak_memory() -> int:
    """The most bytes of memory this process has had resident."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # only on Unix; its figure may be that of the process that started this one

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if platform.system() == "Darwin" else most * 1024


def loaded_blas() -> list[str]:
    """The OpenBLAS libraries in this process and the processor core each chose its kernels for."""
    with contextlib.suppress(OSError):
        maps = Path("/proc/self/maps").read_text()
        paths = {line.split(None, 5)[5] for line in maps.splitlines() if "openblas" in line.lower()}
        return sorted(f"{os.path.basename(path)}: {_core(path)}" for path in paths)
    return []


def _core(path: str) -> str:
    try:
        library = ctypes.CDLL(path)
    except OSError:
        return "unknown"
    for prefix in ("scipy_", ""):
        for suffix in ("64_", ""):
            get = getattr(library, f"{prefix}openblas_get_corename{suffix}", None)
            if get is not None:
                get.restype = ctypes.c_char_p
                return (get() or b"unknown").decode()
    return "unknown"


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Hardware"):
                return value.strip()
    return platform.processor() or platform.machine()


def _memory() -> str:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"
    return "unknown"
