"""The GPU of this machine for tests, or the reason why there is none.

SYMNET_GPU_TESTS=fake runs them on the host instead, through a CuPy of our own, to try the tests
themselves (tests/backends/gpu/fake_cupy.py); some say that they need the real thing.
"""

import ctypes
import functools
import importlib.util
import operator
import os
from pathlib import Path

import fake_cupy
import numpy as np
import pytest

from symnet.backends.gpu import cuda, devices, host, host_blas, libraries

FAKE = os.environ.get("SYMNET_GPU_TESTS") == "fake"
HERE = Path(__file__).resolve().parents[1]


@functools.cache
def reason():
    """Why nothing can be tested here; empty where it can."""
    if FAKE:
        return "" if host.compiler() else "a device on the host needs a C++ compiler"
    return " ".join(cuda.missing())


def needed():
    """At the top of a module: its tests need a GPU."""
    if reason():
        pytest.skip(f"no GPU: {reason()}", allow_module_level=True)


@functools.cache
def device():
    """The device, which "cuda" is from now on."""
    if FAKE:
        library = ctypes.CDLL(str(host.library(host_blas.TEXT, "")))
        cuda.compile_module = fake_cupy.compile_module(cupy().machine)
        made = cuda.CudaDevice(cupy(), fake_cupy.Cublas(cupy().machine, library))
        devices.use("cuda", made)
    return devices.device("cuda")


@functools.cache
def cupy():
    """CuPy, of which tests use `asarray`, `ndarray.get`, `+=` and `cuda.Stream`."""
    if not FAKE:
        return libraries.cupy()
    made = fake_cupy.make()

    class ndarray(made.ndarray):
        __module__ = "cupy"

        def __iadd__(self, other):
            view = self.view()
            stream = made.cuda.get_current_stream().ptr
            made.machine.add(stream, lambda: operator.iadd(view, other))
            return self

    made.ndarray = ndarray
    made.asarray = functools.partial(fake_cupy.array, made)
    return made


class Adjusted:
    """The device with launches made for another geometry: results must not depend on it."""

    def __init__(self, geometry=None, offset=0, downwards=False, apart=False):
        if offset:
            pytest.skip("memory of the GPU is aligned")
        self.geometry = geometry or device().geometry

    def __getattr__(self, name):
        return getattr(device(), name)


def tests_of(path, only=()):
    """The test functions of a module of tests/, all or those that are named, by their names; and
    the fixtures of the module."""
    file = HERE / path
    spec = importlib.util.spec_from_file_location(f"on_hardware_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = {n: t for n, t in vars(module).items() if n.startswith("test_")}
    assert found.keys() >= set(only), f"{path} has no {set(only) - found.keys()}"
    return {n: t for n, t in found.items() if not only or n in only}, fixtures_of(module)


def fixtures_of(module):
    """The fixtures of a module, by their names."""
    marked = "_fixture_function_marker"
    return {n: f for n, f in vars(module).items() if hasattr(f, marked)}


def same(found, wanted):
    """Bit for bit."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    assert found.tobytes() == wanted.tobytes()
