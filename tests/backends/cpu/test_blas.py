"""The private BLAS: it computes, on one thread, and leaves NumPy's alone."""

import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest

from symnet.backends.cpu import blas as module
from symnet.backends.cpu.blas import blas
from symnet.config import config
from symnet.errors import BackendError

INT, ADDRESS = ctypes.c_int, ctypes.c_void_p
ROW_MAJOR, AS_IS, TRANSPOSED = 101, 111, 112


@pytest.mark.parametrize(
    "letter, dtype, real", [("s", "f4", ctypes.c_float), ("d", "f8", ctypes.c_double)]
)
def test_functions_compute(letter, dtype, real):
    rng = np.random.default_rng(0)
    a, b, c = (rng.random(shape).astype(dtype) for shape in ((3, 5), (4, 5), (3, 4)))
    x, y = rng.random(5).astype(dtype), rng.random(3).astype(dtype)
    gemm = ctypes.CFUNCTYPE(None, *[INT] * 6, real, ADDRESS, INT, ADDRESS, INT, real, ADDRESS, INT)(
        getattr(blas(), f"{letter}gemm")
    )
    gemv = ctypes.CFUNCTYPE(None, *[INT] * 4, real, ADDRESS, INT, ADDRESS, INT, real, ADDRESS, INT)(
        getattr(blas(), f"{letter}gemv")
    )
    ger = ctypes.CFUNCTYPE(None, *[INT] * 3, real, ADDRESS, INT, ADDRESS, INT, ADDRESS, INT)(
        getattr(blas(), f"{letter}ger")
    )
    product, vector, outer = 2 * a @ b.T + 3 * c, 2 * a @ x + 3 * y, a + 2 * np.outer(y, x)
    p = lambda array: array.ctypes.data
    gemm(ROW_MAJOR, AS_IS, TRANSPOSED, 3, 4, 5, 2, p(a), 5, p(b), 5, 3, p(c), 4)
    np.testing.assert_allclose(c, product, rtol=1e-5)
    before = y.copy()
    gemv(ROW_MAJOR, AS_IS, 3, 5, 2, p(a), 5, p(x), 1, 3, p(y), 1)
    np.testing.assert_allclose(y, vector, rtol=1e-5)
    ger(ROW_MAJOR, 3, 5, 2, p(before), 1, p(x), 1, p(a), 5)
    np.testing.assert_allclose(a, outer, rtol=1e-5)


def test_it_describes_itself_and_is_loaded_once():
    assert "OpenBLAS" in blas().description and blas().core
    assert blas() is blas()


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_it_starts_no_threads_and_keeps_the_environment():
    code = """
import os
from symnet.backends.cpu.blas import blas
before = dict(os.environ)
threads = len(os.listdir("/proc/self/task"))
blas()
assert len(os.listdir("/proc/self/task")) == threads
assert dict(os.environ) == before
"""
    for extra in ({}, {"OPENBLAS_NUM_THREADS": "2"}):
        subprocess.run([sys.executable, "-c", code], env=os.environ | extra, check=True)


def test_the_package_of_the_wheel_is_not_imported():
    code = "import sys; from symnet.backends.cpu.blas import blas; blas(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "scipy_openblas32" not in done.stdout.split()


def test_missing_libraries_are_named(monkeypatch, tmp_path):
    absent = config.change(blas=str(tmp_path / "nothing"))
    with absent, pytest.raises(BackendError, match="nothing"):
        blas()
    if sys.platform == "linux":
        with config.change(blas="libm.so.6"), pytest.raises(BackendError, match="cblas_sgemm"):
            blas()
    with config.change(blas=blas().path):
        assert blas().sgemm
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendError, match="scipy-openblas32"):
        blas()
