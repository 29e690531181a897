"""From the text of a kernel to the address of native code (design D17, D19).

A source is the text of a Python module that defines the function `entry` in the words of
`symnet.kernels.intrinsics`. It is compiled once per content, ever: the object code lies in the
cache under the hash of everything it depends on, and a later process loads it without importing
Numba. Code lives as long as the process.

An entry of the cache is a header line of JSON (symbol by function name, the external symbols
needed), a newline, and a relocatable object file.
"""

import functools
import hashlib
import importlib.util
import json
import linecache
import os
import platform
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import symnet.kernels
from symnet.backends.cpu import cache
from symnet.backends.cpu.compile_llvm import Code, Engine, assembler, emit
from symnet.backends.cpu.compile_numba import lower
from symnet.errors import BackendError

STEP = "void(int64, int64, int64, int64)"
"""The signature of a step of the tape: argument block, lo, hi, thread."""

_FORMAT = "symnet kernel 1"
_linked: dict[str, dict[str, int]] = {}
_lock = threading.RLock()


@dataclass(frozen=True)
class Source:
    """A kernel to compile: module text, the function's name in it, and its Numba signature.

    `extra_key` is whatever else the text depends on (a file that it imports, say).
    """

    text: str
    entry: str
    signature: str = STEP
    extra_key: str = ""

    @functools.cached_property
    def key(self) -> str:
        parts = (_FORMAT, self.text, self.entry, self.signature, self.extra_key, fingerprint())
        return _digest(*parts)


def native_function(text: str, entry: str, *, signature: str = STEP, extra_key: str = "") -> int:
    """The address of the C function that `entry` of the module `text` compiles to.

    `signature` is a Numba signature; Python floats and integer division follow NumPy's rules
    (`error_model="numpy"`), and the function must not raise. The same content is compiled once,
    from any thread. Raises `BackendError` if it cannot be compiled.
    """
    source = Source(text, entry, signature, extra_key)
    return once(source.key, lambda: _compile(source))[entry]


def once(key: str, build: Callable[[], Code]) -> dict[str, int]:
    """Addresses by function name of the code under `key`: linked already, stored, or built now."""
    addresses = _linked.get(key)
    if addresses is None:
        with _lock:
            addresses = _linked.get(key)
            if addresses is None:
                code = _stored(key)
                if code is None:
                    code = build()
                    _store(key, code)
                addresses = _linked[key] = Engine.get().link(code)
    return addresses


def _stored(key: str) -> Code | None:
    data = cache.load("kernels", key)
    if data is None:
        return None
    header, _, content = data.partition(b"\n")
    code = Code(**json.loads(header), content=content)
    return code if Engine.get().can_link(code) else None


def _store(key: str, code: Code) -> None:
    header = {"symbols": code.symbols, "externals": code.externals}
    cache.store("kernels", key, json.dumps(header).encode() + b"\n" + code.content)


def assembly(text: str, entry: str, *, signature: str = STEP) -> str:
    """The processor's instructions for a kernel, as text. Compiled anew: for people and tests."""
    source = Source(text, entry, signature)
    return assembler(_lowered(source), _symbol(source))


def _compile(source: Source) -> Code:
    code = emit(_lowered(source), {source.entry: _symbol(source)}, thorough=True)
    if not Engine.get().can_link(code):
        raise BackendError(f"the kernel {source.entry!r} needs {code.externals}: it may not raise")
    return code


def _symbol(source: Source) -> str:
    return f"symnet_{source.key}"


def _lowered(source: Source) -> list[str]:
    """The kernel as LLVM assembly."""
    filename = f"<symnet {source.entry} {source.key[:12]}>"
    linecache.cache[filename] = (len(source.text), None, source.text.splitlines(True), filename)
    namespace: dict[str, Any] = {"__name__": "symnet_kernel"}
    try:
        exec(compile(source.text, filename, "exec"), namespace)
        function = namespace[source.entry]
        function.__name__ = function.__qualname__ = _symbol(source)
        return lower(function, source.signature, _symbol(source))
    except Exception as problem:
        raise BackendError(
            f"the kernel {source.entry!r} does not compile: {problem}\n{_numbered(source.text)}"
        ) from problem


@functools.cache
def fingerprint() -> str:
    """What every kernel depends on besides its text: prelude, compiler versions, processor."""
    return _digest(_prelude(), _compilers(), _processor())


def _prelude() -> str:
    """The text of the intrinsics and of the scalar functions, which sources import."""
    texts = []
    for folder in map(Path, symnet.kernels.__path__):
        for path in [folder / "intrinsics.py", *sorted((folder / "scalar").glob("*.py"))]:
            if path.is_file():
                texts.append(path.read_text("utf-8"))
    return _digest(*texts)


def _compilers() -> str:
    """Versions of Python, Numba and llvmlite, read without importing the latter two."""
    versions = [platform.python_version()]
    for package in ("numba", "llvmlite"):
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise BackendError(f"{package} is not installed: the CPU back end needs it")
        versions.append(Path(spec.origin).with_name("_version.py").read_text("utf-8"))
    settings = sorted(item for item in os.environ.items() if item[0].startswith("NUMBA_"))
    return _digest(*versions, repr(settings))


def _processor() -> str:
    """Name and features of the processor, which Numba compiles for."""
    try:
        with open("/proc/cpuinfo") as file:
            first = file.read(8192).split("\n\n")[0]
    except OSError:
        first = ""
    wanted = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags", "Features")
    lines = [line for line in first.splitlines() if line.partition(":")[0].strip() in wanted]
    if not lines:
        import llvmlite.binding as llvm  # noqa: PLC0415

        lines = [llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]
    return _digest(platform.machine(), *lines)


def _digest(*parts: str) -> str:
    total = hashlib.sha256()
    for part in parts:
        content = part.encode()
        total.update(b"%d:" % len(content))
        total.update(content)
    return total.hexdigest()[:40]


def _numbered(text: str) -> str:
    return "\n".join(f"{number:4} {line}" for number, line in enumerate(text.splitlines(), 1))


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()  # the thread that held it does not exist in the child


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
