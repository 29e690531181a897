"""What `symnet info` knows of the machine: processor, limits on threads, GPU, disk, data."""

import contextlib
import ctypes.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# what makes code faster here, from plain to wide
X86 = ("sse4.2", "avx", "fma", "avx2", "avx512f", "avx512vl", "avx512bf16", "amx-tile")
ARM = ("neon", "sve", "sve2", "bf16")
DIGITS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte",
          "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")  # fmt: skip


def processor() -> str:
    """Its name as the system tells it, else its architecture."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    if sys.platform == "darwin":
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            return _output("sysctl", "-n", "machdep.cpu.brand_string")
    return platform.processor() or platform.machine()


def simd() -> tuple[str, list[str]]:
    """LLVM's name for the processor, and which of the instruction sets above it has."""
    import llvmlite.binding as llvm

    found = llvm.get_host_cpu_features()
    return llvm.get_host_cpu_name(), [name for name in X86 + ARM if found.get(name)]


def affinity() -> int:
    """Processors on which this process may run."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def busy() -> float:
    """How many threads wanted to run, on average over the last minute; 0 where unknown."""
    try:
        return os.getloadavg()[0]
    except (OSError, AttributeError):
        return 0.0


def gpus() -> list[str]:
    """Names of NVIDIA GPUs; "unknown" for a driver that does not tell."""
    if shutil.which("nvidia-smi"):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            listed = _output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
            return listed.splitlines()
    there = os.path.exists("/proc/driver/nvidia/version") or ctypes.util.find_library("cuda")
    return ["unknown"] if there else []


def why_not_writable(folder: Path) -> str:
    """Why no file can be made in `folder`, or in the nearest folder around it where it would have
    to be made; empty if one can. Nothing is left behind."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return f"{place} is no folder"
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"x")
            file.flush()
    except OSError as problem:
        reason = problem.strerror or str(problem)
        return reason if place == folder else f"{place} cannot be written: {reason}"
    return ""


def others_may_write(folder: Path) -> bool:
    """Whether everybody on this machine may put files there."""
    try:
        return os.name == "posix" and bool(folder.stat().st_mode & 0o002)
    except OSError:
        return False


def free(folder: Path) -> float:
    """MiB free on the disk of `folder`; infinite where unknown."""
    for place in (folder, *folder.parents):
        with contextlib.suppress(OSError):
            return shutil.disk_usage(place).free / 2**20
    return float("inf")


def digits_in(folder: Path) -> bool:
    """Whether any of MNIST's files is in `folder` or its `mnist/`."""
    return any(
        (place / f"{name}{end}").exists()
        for place in (folder, folder / "mnist")
        for name in DIGITS
        for end in ("", ".gz")
    )


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
