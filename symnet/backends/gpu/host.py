"""CUDA text on the host: kernels become shared libraries by the host's C++ compiler.

Kernels are built in units of several, in parallel; `prepare` builds those of many programs at once.
Built libraries are kept in the cache like kernels.
"""

import atexit
import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from symnet.backends.cpu import cache
from symnet.backends.gpu import shim
from symnet.backends.gpu.prelude import PRELUDE
from symnet.backends.gpu.source import Source, module_text
from symnet.errors import BackendError, DeviceError

UNIT = 24  # kernels that are built together

_FLAGS = (
    "-std=c++17", "-O1", "-fPIC", "-ffp-contract=off", "-fno-strict-aliasing", "-Wall", "-Werror",
    "-Wno-unknown-pragmas", "-Wno-unused-function",
)  # fmt: skip
_FORMAT = "symnet emulated 1"
_CRASH = "internal compiler error"  # g++ 12 has some in its optimiser

# words, live words, error record, blocks, threads of a block, shared memory, downwards
_ARGUMENTS = (
    ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint,
    ctypes.c_size_t, ctypes.c_int,
)  # fmt: skip

launchers: dict[Source, Callable[..., int]] = {}
"""What launches a kernel; a status that is not 0 means that `complaint` has something to say."""

_lock = threading.Lock()
_ahead = threading.Lock()


@functools.cache
def compiler() -> str | None:
    """The path of a C++ compiler, or None."""
    return shutil.which("g++") or shutil.which("c++")


def built() -> list[Source]:
    """Every kernel that this process has built."""
    return list(launchers)


def prepare(sources: Iterable[Source]) -> None:
    """Build kernels, those not yet built, in few translation units. Errors: BackendError."""
    wanted = [s for s in dict.fromkeys(sources) if s not in launchers]
    if not wanted:
        return
    with _lock:
        missing = [s for s in wanted if s not in launchers]
        units = [missing[k : k + UNIT] for k in range(0, len(missing), UNIT)]
        _runtime()
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for unit, path in zip(units, pool.map(_build_unit, units)):
                built_unit = ctypes.CDLL(str(path))
                for source in unit:
                    launcher = getattr(built_unit, f"{source.entry}_launch")
                    launcher.argtypes = _ARGUMENTS
                    launchers[source] = launcher


def _build_unit(sources: list[Source]) -> Path:
    parts = [module_text(sources, prelude="")]
    parts += [shim.launcher(s.entry, s.words, s.meets) for s in sources]
    return library("\n".join(parts), _HEAD)


@functools.cache
def _runtime() -> ctypes.CDLL:
    return ctypes.CDLL(str(library(shim.RUNTIME, "")), ctypes.RTLD_GLOBAL)


def complaint() -> str:
    """What the last launch that failed did wrong."""
    return (ctypes.c_char * 200).in_dll(_runtime(), "symnet_complaint").value.decode()


_HEAD = shim.HEADER + PRELUDE


@functools.cache
def _folder() -> Path:
    """Where this process builds."""
    folder = tempfile.mkdtemp(prefix="symnet-emulated-")
    atexit.register(shutil.rmtree, folder, True)
    return Path(folder)


@functools.cache
def _version() -> str:
    return _compile("--version")


def _compile(*options: str) -> str:
    if compiler() is None:
        raise DeviceError(
            "the emulated device needs a C++ compiler, and neither g++ nor c++ is on the PATH: "
            "install g++, or choose device='cpu'"
        )
    done = subprocess.run([compiler() or "", *options], capture_output=True, text=True)
    if _CRASH in done.stderr and "-O1" in options:
        return _compile(*("-O0" if option == "-O1" else option for option in options))
    if done.returncode:
        raise BackendError(f"the host compiler refuses a kernel's text:\n{done.stderr[:3000]}")
    return done.stdout


def _header(text: str) -> Path:
    """What all units begin with, compiled ahead: that is most of the work for a small one."""
    path = _folder() / f"{_digest(text)}.h"
    with _ahead:  # a compiler that reads a header while it is written never comes to an end
        if not Path(f"{path}.gch").exists():
            path.write_text(text)
            _compile(*_FLAGS, "-x", "c++-header", str(path), "-o", f"{path}.gch")
    return path


def library(text: str, head: str) -> Path:
    """A shared library of a C++ text, as a file of this process."""
    key = _digest("\0".join((_FORMAT, *_FLAGS, _version(), head, text)))
    target = _folder() / f"{key}.so"
    if target.exists():  # it may be in use, and must not be overwritten
        return target
    content = cache.load("kernels", key)
    if content is not None:
        target.write_bytes(content)
        return target
    include = ("-include", str(_header(head))) if head else ()
    source = target.with_suffix(".cpp")
    source.write_text(text)
    _compile(*_FLAGS, "-shared", *include, str(source), "-o", str(target))
    cache.store("kernels", key, target.read_bytes())
    return target


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]
