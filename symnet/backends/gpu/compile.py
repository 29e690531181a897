"""From CUDA text to a compiled module (a cubin), by NVRTC through ctypes; no driver is needed.

A module is compiled once per content and architecture: it lies in the cache under the hash of its
text, NVRTC's version, the architecture and the options, as the CPU's kernels do. NVRTC is the
library that CuPy uses: the wheel `nvidia-cuda-nvrtc`, or one of a CUDA toolkit.
"""

import ctypes
import functools
import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from symnet.backends.cpu import cache
from symnet.backends.gpu.driver import driver_version
from symnet.backends.gpu.installed import library_places
from symnet.backends.gpu.source import Source, module_text
from symnet.errors import BackendError

OPTIONS = (
    "--std=c++17", "--fmad=false", "--ptxas-options=-v",
    "--device-as-default-execution-space",  # or NVRTC 13.0 and before refuse generic lambdas
)  # fmt: skip
QUICKLY = ("--Ofast-compile=min",)
HOPPER = 90  # the architecture that the performance aims are about

_HARMLESS = "ptxas info", "nvrtc: warning: Architectures prior to"  # which works all the same
_FORMAT = "symnet cuda 1"
_NAMES = "libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so", "nvrtc64_120_0.dll"


@dataclass(frozen=True)
class Resources:
    """What a kernel takes of a multiprocessor: registers per thread, bytes of static shared memory,
    and bytes stored to and loaded from memory because registers did not suffice."""

    registers: int
    shared: int
    stores: int
    loads: int


@dataclass(frozen=True)
class Module:
    """A compiled module: its code, and the resources of each of its functions by name."""

    code: bytes
    resources: dict[str, Resources]


def compile_module(
    sources: Iterable[Source], architecture: int = HOPPER, quickly: bool = False
) -> Module:
    """Kernels as one module for `sm_<architecture>`; `quickly`: in less time, with code that is
    not as good. Errors: BackendError; a warning counts as one, since nothing in a text is there
    without being used."""
    text = module_text(sources)
    options = (*OPTIONS, *(QUICKLY if quickly and nvrtc().version >= (13, 0) else ()))
    parts = "\0".join((_FORMAT, str(nvrtc().version), str(architecture), *options, text))
    key = hashlib.sha256(parts.encode()).hexdigest()[:40]
    data = cache.load("kernels", key)
    if data is not None:
        header, _, code = data.partition(b"\n")
        return Module(code, {n: Resources(**r) for n, r in json.loads(header).items()})
    code, log = nvrtc().compile(text, (f"--gpu-architecture=sm_{architecture}", *options))
    complaints = [line for line in log.splitlines() if not line.startswith("ptxas  ") and line]
    complaints = [line for line in complaints if not line.startswith(_HARMLESS)]
    if complaints:
        raise BackendError("NVRTC complains about a kernel's text:\n" + "\n".join(complaints[:40]))
    module = Module(code, resources(log))
    header = {name: asdict(r) for name, r in module.resources.items()}
    cache.store("kernels", key, json.dumps(header).encode() + b"\n" + code)
    return module


def assembly(sources: Iterable[Source], architecture: int = HOPPER) -> str:
    """Kernels as PTX, the assembler of a virtual device. For people and tests; not kept."""
    options = [o for o in OPTIONS if "ptxas" not in o]
    options.append(f"--gpu-architecture=compute_{architecture}")
    code, _ = nvrtc().compile(module_text(sources), options, "PTX")
    return code.rstrip(b"\0").decode()


def resources(log: str) -> dict[str, Resources]:
    """What ptxas says about each function."""
    found: dict[str, Resources] = {}
    name, stores, loads = "", 0, 0
    for line in log.splitlines():
        if match := re.search(r"Function properties for (\w+)", line):
            name = match[1]
        elif match := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line):
            stores, loads = int(match[1]), int(match[2])
        elif match := re.search(r"Used (\d+) registers", line):
            shared = re.search(r"(\d+) bytes smem", line)
            found[name] = Resources(int(match[1]), int(shared[1]) if shared else 0, stores, loads)
    return found


class Nvrtc:
    """The library. Errors: BackendError where it cannot be loaded."""

    def __init__(self, library: ctypes.CDLL):
        self._library = library
        major, minor = ctypes.c_int(), ctypes.c_int()
        library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
        self.version = major.value, minor.value

    @functools.cached_property
    def architectures(self) -> tuple[int, ...]:
        """What it compiles for, ascending: 75 is sm_75."""
        count = ctypes.c_int()
        self._library.nvrtcGetNumSupportedArchs(ctypes.byref(count))
        found = (ctypes.c_int * count.value)()
        self._library.nvrtcGetSupportedArchs(found)
        return tuple(sorted(found))

    def compile(self, text: str, options: Iterable[str], kind: str = "CUBIN") -> tuple[bytes, str]:
        """The cubin (or kind="PTX") of a text, and the log. Errors: BackendError with the log."""
        library = self._library
        program = ctypes.c_void_p()
        status = library.nvrtcCreateProgram(
            ctypes.byref(program), text.encode(), b"symnet.cu", 0, None, None
        )
        if status:
            raise BackendError(f"NVRTC: {self._error(status)}")
        try:
            given = [o.encode() for o in options]
            status = library.nvrtcCompileProgram(
                program, len(given), (ctypes.c_char_p * len(given))(*given)
            )
            log = self._read(program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
            if status:
                raise BackendError(f"NVRTC: {self._error(status)}\n{log[:4000]}")
            return self._read(program, kind), log
        finally:
            library.nvrtcDestroyProgram(ctypes.byref(program))

    def _read(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        getattr(self._library, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
        content = ctypes.create_string_buffer(size.value)
        getattr(self._library, f"nvrtcGet{what}")(program, content)
        return content.raw

    def _error(self, status: int) -> str:
        self._library.nvrtcGetErrorString.restype = ctypes.c_char_p
        return self._library.nvrtcGetErrorString(status).decode()


@functools.cache
def nvrtc() -> Nvrtc:
    """The library, loaded once: the first that is there, but one of a newer CUDA than the driver
    serves only where it is named or there is no other. Errors: BackendError."""
    driver, newer = driver_version(), None
    for place in _places():
        try:
            _load_builtins(Path(place))
            found = Nvrtc(ctypes.CDLL(place))
        except OSError:
            continue
        named = place == os.environ.get("SYMNET_NVRTC")
        if driver is None or found.version[0] <= driver[0] or named:
            return found
        newer = newer or found
    if newer is not None:
        return newer
    wheel = "nvidia-cuda-nvrtc" if driver is None or driver[0] >= 13 else "nvidia-cuda-nvrtc-cu12"
    raise BackendError(f"CUDA's run-time compiler NVRTC was not found: pip install {wheel}")


def _load_builtins(library: Path) -> None:
    """A library beside NVRTC, which it asks for by name: wheels of 13.0 do not say where it is."""
    for place in library.parent.glob("libnvrtc-builtins.so.*") if library.is_absolute() else ():
        ctypes.CDLL(str(place))


def available() -> bool:
    """Whether NVRTC can be loaded."""
    try:
        nvrtc()
    except BackendError:
        return False
    return True


def _places() -> list[str]:
    """Where the library may be; last, on the path."""
    wheels = "*/lib/libnvrtc.so.*", "*/bin/nvrtc64_*.dll"
    found = library_places("SYMNET_NVRTC", wheels, "lib64/libnvrtc.so*")
    return [p for p in found if ".alt." not in p] + list(_NAMES)
