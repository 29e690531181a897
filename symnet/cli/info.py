"""`symnet info`: what symnet runs on here, for bug reports."""

import argparse
import importlib.metadata
import os
import platform
from collections.abc import Iterator, Sequence

import numpy as np

from symnet.backends.cpu import cache
from symnet.backends.cpu.blas import blas
from symnet.backends.cpu.pool import available_threads, thread_count
from symnet.config import cache_folder, config
from symnet.errors import BackendError
from symnet.version import __version__

PACKAGES = (
    "numba", "llvmlite", "scipy-openblas32", "networkx", "rich", "safetensors", "matplotlib",
)  # fmt: skip


def main(argv: Sequence[str]) -> int:
    """Print one line per fact."""
    parser = argparse.ArgumentParser(
        prog="symnet info",
        description="Versions, threads, BLAS, settings and folders.",
        epilog="example:\n  symnet info",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(argv)
    for name, value in facts():
        print(f"{name:18} {value}")
    return 0


def facts() -> Iterator[tuple[str, str]]:
    """Names and texts, in the order in which they are shown."""
    yield "symnet", __version__
    yield "Python", f"{platform.python_version()} ({platform.python_implementation()})"
    yield "system", f"{platform.system()} {platform.machine()}"
    yield "NumPy", np.__version__
    for package in PACKAGES:
        try:
            yield package, importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            yield package, "not installed"
    yield "threads", f"{thread_count()} of {available_threads()} that this process may use"
    try:
        found = blas()
        yield "BLAS", f"{found.core or 'unknown core'}, {found.path}"
    except BackendError as error:
        yield "BLAS", str(error)
    settings = ("floatX", "mode", "cache")
    yield "settings", ", ".join(f"{name}={getattr(config, name)}" for name in settings)
    yield "SYMNET_FLAGS", os.environ.get("SYMNET_FLAGS", "")
    yield "SYMNET_DATA", os.environ.get("SYMNET_DATA", "")
    entries = cache.entries()
    size = sum(entry.size for entry in entries) / 2**20
    yield "cache folder", f"{cache_folder()} ({len(entries)} files, {size:.1f} MiB)"
    if "OPENBLAS_THREAD_TIMEOUT" not in os.environ:
        yield (
            "advice",
            "set OPENBLAS_THREAD_TIMEOUT=4 where NumPy's own products alternate with symnet: its "
            "idle threads then free the cores at once",
        )
