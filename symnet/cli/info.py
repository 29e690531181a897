"""`symnet info`: what symnet runs on here, what is wrong with it, and how to mend it."""

import argparse
import contextlib
import functools
import importlib
import importlib.metadata
import os
import platform
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from symnet import tensor as T
from symnet.backends.cpu import cache
from symnet.backends.cpu.blas import blas
from symnet.backends.cpu.pool import available_threads, thread_count
from symnet.cli import machine
from symnet.cli.devices import add_device
from symnet.config import cache_folder, config
from symnet.data import mnist
from symnet.errors import BackendError, DataError, DeviceError
from symnet.function import function
from symnet.version import __version__

PACKAGES = (
    "numpy", "numba", "llvmlite", "scipy-openblas32", "networkx", "rich", "safetensors",
    "matplotlib", "pillow",
)  # fmt: skip
NEEDED = {"numpy", "numba", "llvmlite", "scipy-openblas32", "networkx"}
CUDA_PACKAGES = {
    "CuPy": ("cupy", "cupy-cuda12x", "cupy-cuda13x"),
    "NVRTC": ("nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12"),
    "cuBLAS": ("nvidia-cublas", "nvidia-cublas-cu12"),
}
VARIABLES = ("SYMNET_FLAGS", "SYMNET_CACHE", "SYMNET_DATA", "SYMNET_OFFLINE")
TESTED = (3, 11), (3, 13)  # first and last version of Python
PLAIN_CORES = {"generic", "prescott", "core2", "nehalem", "armv8"}  # OpenBLAS's fall-backs
LITTLE = 200  # MiB of free disk: a few programs, and MNIST


class Problem(NamedTuple):
    """Something that is wrong, or could be better, and what to do about it."""

    what: str
    mend: str


def main(argv: Sequence[str]) -> int:
    """Print one line per fact, then what is wrong. Returns 1 if functions cannot run on the device
    that is chosen, where that is not the CPU; else 0, whatever is found."""
    parser = argparse.ArgumentParser(
        prog="symnet info",
        description="Versions, processor, threads, BLAS, GPU, settings, cache and data; then what "
        "is wrong with them\nand how to mend it.",
        epilog="examples:\n  symnet info\n  symnet info --device cuda\n\n"
        "A GPU is looked at closely, and a function run on it, if it is the device; if that\n"
        "fails, the exit status is 1.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_device(parser)
    with config.change(device=parser.parse_args(argv).device):
        return _show()


def _show() -> int:
    for name, value in facts():
        print(f"{name:18} {value}")
    unusable = list(_device())
    found = list(problems(unusable))
    print("\n" + ("what is wrong, and how to mend it" if found else "nothing is wrong"))
    for problem in found:
        print(
            textwrap.fill(problem.what, 98, initial_indent="- ", subsequent_indent="  ", **_WHOLE)
        )
        print(
            textwrap.fill(problem.mend, 98, initial_indent="  ", subsequent_indent="  ", **_WHOLE)
        )
    return 1 if unusable else 0


_WHOLE: dict = {"break_long_words": False, "break_on_hyphens": False}  # names can be copied


# ---- facts


def facts() -> Iterator[tuple[str, str]]:
    """Names and texts, in the order in which they are shown."""
    yield "symnet", __version__
    yield "Python", f"{platform.python_version()} ({platform.python_implementation()})"
    yield "system", f"{platform.system()} {platform.release()} {platform.machine()}"
    for package in PACKAGES:
        yield package, _version(package) or "not installed"
    yield "processor", machine.processor()
    try:
        name, sets = machine.simd()
        yield "SIMD", f"{' '.join(sets) or 'none known'} (LLVM: {name})"
    except ImportError as error:
        yield "SIMD", f"unknown: {error}"
    yield "processors", _processors()
    yield "threads", f"{thread_count()} of {available_threads()} that this process may use"
    try:
        found = blas()
        yield "BLAS", f"{found.core or 'unknown core'}, {found.path}"
    except BackendError as error:
        yield "BLAS", str(error)
    yield from _gpu()
    settings = ("floatX", "mode", "cache", "threads", "device", "float32_matmul_precision")
    yield "settings", ", ".join(f"{name}={getattr(config, name)}" for name in settings)
    for name in VARIABLES:
        yield name, os.environ.get(name, "")
    entries = cache.entries()
    size = sum(entry.size for entry in entries) / 2**20
    state = "read-only" if machine.why_not_writable(cache_folder()) else "writable"
    yield "cache folder", f"{cache_folder()} ({len(entries)} files, {size:.1f} MiB, {state})"
    yield "MNIST", _data()[0]
    if "OPENBLAS_THREAD_TIMEOUT" not in os.environ:
        yield (
            "advice",
            "set OPENBLAS_THREAD_TIMEOUT=4 where NumPy's own products alternate with symnet: its "
            "idle threads then free the cores at once",
        )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _processors() -> str:
    text = f"{os.cpu_count()}, {machine.affinity()} by affinity"
    available = available_threads()
    less = available < machine.affinity()
    return f"{text}, {available} by the control group's quota" if less else text


def _gpu() -> Iterator[tuple[str, str]]:
    """Nothing is loaded for this; what is missing is looked for where a GPU is the device."""
    names = machine.gpus()
    chosen = config.device == "cuda"
    run = "are to run" if chosen and not names else "run"
    yield "GPU", f"{', '.join(names) or 'no NVIDIA GPU found'}; functions {run} on {config.device}"
    if names or chosen:
        for title, packages in CUDA_PACKAGES.items():
            found = [f"{name} {version}" for name in packages if (version := _version(name))]
            yield title, ", ".join(found) or "not installed as a package"


def _data() -> tuple[str, Problem | None]:
    """Where the digits are, or that they are not, and what is wrong with that."""
    offline = os.environ.get("SYMNET_OFFLINE", "0") not in ("", "0")
    return _digits(os.environ.get("SYMNET_DATA", ""), cache_folder() / "data" / "mnist", offline)


@functools.cache  # reading them takes half a second
def _digits(named: str, cached: Path, offline: bool) -> tuple[str, Problem | None]:
    mend = "put the four idx files of MNIST into a folder, and set SYMNET_DATA to it"
    problem = None
    if named and not machine.digits_in(Path(named).expanduser()):
        problem = Problem(f"SYMNET_DATA={named} holds no MNIST files", mend)
    elif offline and not named and not machine.digits_in(cached):
        text = "MNIST is not here, and SYMNET_OFFLINE forbids to download it"
        problem = Problem(text, f"unset SYMNET_OFFLINE; or {mend}")
    folder = cached if problem or not named else Path(named).expanduser()
    if not machine.digits_in(folder):
        return "not here" if problem else "not here yet; `symnet mnist` downloads it", problem
    try:
        digits = mnist(folder)
    except DataError as error:
        return f"not whole, in {folder}", Problem(str(error), mend)
    return f"{len(digits[0])} and {len(digits[2])} images in {folder}", problem


# ---- problems


def problems(of_device: Sequence[Problem] | None = None) -> Iterator[Problem]:
    """Everything that is wrong, the worst first; with what `_device` found, if it was asked."""
    yield from _packages()
    without_blas = list(_blas())
    yield from without_blas or _compiler("cpu")
    yield from _device() if of_device is None else of_device
    yield from _cache()
    if problem := _data()[1]:
        yield problem
    yield from _speed()


def _packages() -> Iterator[Problem]:
    first, last = TESTED
    if not first <= sys.version_info[:2] <= last:
        versions = " to ".join(".".join(map(str, v)) for v in TESTED)
        yield Problem(
            f"Python {platform.python_version()}: symnet is meant for {versions}",
            "make a virtual environment with one of these",
        )
    missing = [package for package in PACKAGES if not _version(package)]
    for package in missing:
        if package in NEEDED:
            yield Problem(f"{package} is not installed, and symnet needs it",
                          f"pip install {package}")  # fmt: skip
    if extra := [package for package in missing if package not in NEEDED]:
        yield Problem(f"not installed: {', '.join(extra)}; `symnet mnist`, `symnet predict` or "
                      "model files need that", "pip install 'symnet[cli]'")  # fmt: skip
    for package, wanted in _least_versions().items():
        have = _version(package)
        if have and _numbers(have) < _numbers(wanted):
            yield Problem(f"{package} {have} is older than {wanted}",
                          f"pip install '{package}>={wanted}'")  # fmt: skip


def _least_versions() -> dict[str, str]:
    """By package, as symnet's own metadata say; nothing in a checkout that is not installed."""
    try:
        lines = importlib.metadata.requires("symnet") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    found = (re.match(r"([\w.-]+) ?>= ?([\d.]+)", line) for line in lines)
    return {m[1]: m[2] for m in found if m and m[1].lower() in PACKAGES}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version.partition("+")[0])))[:3]


def _device() -> Iterator[Problem]:
    """What keeps functions from running on the device that is not the CPU."""
    if config.device == "cpu":
        return
    if config.device == "cuda":
        missing = importlib.import_module("symnet.backends.gpu.libraries").missing()
        for sentence in missing:
            what, _, mend = sentence.rstrip(".").rpartition(": ")
            yield Problem(what, mend) if what else Problem(sentence, "")
        if missing:
            return
    yield from _compiler(config.device)


def _compiler(device: str) -> Iterator[Problem]:
    """Compile a function, run it, look at the result."""
    x = T.vector("x", dtype="float32")
    values = np.linspace(-1, 1, 1000, dtype=np.float32)
    where = "" if device == "cpu" else f" for device={device}"
    try:
        with config.change(
            cache="off" if config.cache == "off" else "read", mode="compiled", device=device
        ):
            found = function([x], T.tanh(x).sum() + T.dot(x, x))(values)
    except DeviceError as error:
        yield Problem(f"device={device} cannot be used", str(error))
        return
    except Exception as error:  # whatever is broken here is to be reported
        reinstall = "pip install --force-reinstall numba llvmlite; if that does not help, "
        yield Problem(
            f"a function could not be compiled{where}: {type(error).__name__}: {error}",
            f"{reinstall if device == 'cpu' else ''}report it with these lines",
        )
        return
    wanted = np.tanh(values.astype(float)).sum() + values.astype(float) @ values
    if not abs(found - wanted) < 1e-2:
        yield Problem(
            f"compiled code computed {found} instead of {wanted}{where}",
            "`symnet cache clear`; if that does not help, report it with these lines",
        )


def _blas() -> Iterator[Problem]:
    try:
        blas()
    except BackendError as error:
        mend = "pip install --force-reinstall scipy-openblas32"
        yield Problem(str(error), "take blas=... out of SYMNET_FLAGS" if config.blas else mend)


def _cache() -> Iterator[Problem]:
    folder = cache_folder()
    if config.cache == "off":
        yield Problem("the cache is switched off: every process compiles anew",
                      'take cache=off out of SYMNET_FLAGS')  # fmt: skip
        return
    if why := machine.why_not_writable(folder):
        yield Problem(
            f"compiled code cannot be stored in {folder}: {why}",
            "set SYMNET_CACHE to a folder that you may write to",
        )
    elif machine.free(folder) < LITTLE:
        yield Problem(
            f"only {machine.free(folder):.0f} MiB are free on the disk of the cache, {folder}",
            "make room, or set SYMNET_CACHE to a folder on another disk",
        )
    if machine.others_may_write(folder):
        yield Problem(
            f"everybody on this machine may write to the cache, {folder}, and what is stored there "
            "runs in your processes",
            f"chmod o-w {folder}",
        )


def _speed() -> Iterator[Problem]:
    with_simd = machine.simd()[1] if _version("llvmlite") else ["avx2"]
    if platform.machine() in ("x86_64", "AMD64") and "avx2" not in with_simd:
        yield Problem(
            "this processor offers no AVX2; everything is several times slower than it could be",
            "in a virtual machine, give it the processor type of its host (QEMU: -cpu host)",
        )
    with contextlib.suppress(BackendError):
        core = blas().core
        if core.lower() in PLAIN_CORES and "avx2" in with_simd:
            better = "SkylakeX" if "avx512f" in with_simd else "Haswell"
            yield Problem(
                f"OpenBLAS takes this processor for a {core}; some matrix products are slow",
                f"set OPENBLAS_CORETYPE={better} before Python starts",
            )
    available = available_threads()
    if config.threads > available:
        yield Problem(
            f"threads={config.threads}, but this process may use {available} processors: threads "
            "wait for each other",
            "take threads=... out of SYMNET_FLAGS",
        )
    if 1 == available < (os.cpu_count() or 1):
        yield Problem(
            f"this process may use 1 of {os.cpu_count()} processors",
            "look at `taskset -p $$`, and at the limits of the container or of the batch job",
        )
    if (load := machine.busy()) > 1.5 * (os.cpu_count() or 1):
        yield Problem(
            f"{load:.1f} threads want to run on {os.cpu_count()} processors: timings mean little",
            "look at `top`",
        )
