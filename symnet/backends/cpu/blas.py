"""The BLAS that single-threaded slabs call, by address (design D16).

By default the OpenBLAS of the wheel `scipy-openblas32`, loaded privately: setting it to one thread
touches neither NumPy's nor SciPy's own copy. `config.blas` names another library.
"""

import contextlib
import ctypes
import functools
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from symnet.config import config
from symnet.errors import BackendError

_PREFIXES = ("scipy_", "")  # the wheel's symbols carry a prefix
_FUNCTIONS = ("sgemm", "dgemm", "sgemv", "dgemv", "sger", "dger")


@dataclass(frozen=True)
class Blas:
    """A loaded BLAS: where it lies, what it says about itself, and its functions' addresses.

    The functions are cblas_*, with 32-bit integers. `core` names the kernels that OpenBLAS chose
    for this processor; both texts are empty for a library that does not tell.
    """

    path: str
    description: str
    core: str
    sgemm: int
    dgemm: int
    sgemv: int
    dgemv: int
    sger: int
    dger: int


def blas() -> Blas:
    """The BLAS in use; loaded when first asked for, again when `config.blas` has changed.

    Raises `BackendError` when there is none, or it lacks a function.
    """
    return _load(config.blas or _wheel())


@functools.cache
def _load(path: str) -> Blas:
    with _one_thread():
        try:
            library = ctypes.CDLL(path, mode=getattr(ctypes, "RTLD_LOCAL", 0))
        except OSError as problem:
            raise BackendError(f"cannot load the BLAS library {path}: {problem}") from None
    addresses = {name: _address(library, f"cblas_{name}") for name in _FUNCTIONS}
    missing = [name for name, address in addresses.items() if not address]
    if missing:
        raise BackendError(f"the BLAS library {path} has no cblas_{', cblas_'.join(missing)}")
    for name in ("openblas_set_num_threads", "MKL_Set_Num_Threads"):
        if address := _address(library, name):
            ctypes.CFUNCTYPE(None, ctypes.c_int)(address)(1)
    description, core = (_text(library, f"openblas_get_{what}") for what in ("config", "corename"))
    return Blas(path, description, core, **addresses)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """While it is loaded, OpenBLAS starts (and keeps) a thread per processor unless told not to."""
    name = "OPENBLAS_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _wheel() -> str:
    """The library file of the wheel, found without importing the package."""
    spec = importlib.util.find_spec("scipy_openblas32")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for pattern in ("*openblas*.so", "*openblas*.dylib", "*openblas*.dll"):
            for path in sorted((Path(folder) / "lib").glob(pattern)):
                return str(path)
    raise BackendError(
        "no BLAS: install the wheel scipy-openblas32, or name a library that exports cblas_sgemm "
        'with SYMNET_FLAGS="blas=/path/to/library"'
    )


def _address(library: ctypes.CDLL, name: str) -> int:
    for prefix in _PREFIXES:
        with contextlib.suppress(AttributeError):
            return ctypes.cast(getattr(library, prefix + name), ctypes.c_void_p).value or 0
    return 0


def _text(library: ctypes.CDLL, name: str) -> str:
    if not (address := _address(library, name)):
        return ""
    return (ctypes.CFUNCTYPE(ctypes.c_char_p)(address)() or b"").decode()
