"""From the text of a kernel to the address of native code (design D17, D19).

A source is the text of a Python module that defines the function `entry` in the words of
`symnet.kernels.intrinsics`. It is compiled once per content, ever: the object code lies in the
cache under the hash of everything it depends on, and a later process loads it without importing
Numba. Code lives as long as the process.

An entry of the cache is a header line of JSON (the wrapper's symbol, the external symbols it
calls), a newline, and a relocatable object file.
"""

import ctypes
import functools
import hashlib
import importlib.util
import json
import linecache
import os
import platform
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import symnet.kernels
from symnet.backends.cpu import cache
from symnet.errors import BackendError

STEP = "void(int64, int64, int64, int64)"
"""The signature of a step of the tape: argument block, lo, hi, thread."""

_FORMAT = "symnet kernel 1"
_addresses: dict[str, int] = {}
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
    return _function(Source(text, entry, signature, extra_key))


def native_functions(sources: Iterable[Source]) -> list[int]:
    """The addresses of several functions."""
    return [_function(source) for source in sources]


def _function(source: Source) -> int:
    key = source.key
    address = _addresses.get(key)
    if address is None:
        with _lock:
            address = _addresses.get(key)
            if address is None:
                address = _addresses[key] = _load(key) or _compile(source)
    return address


def _load(key: str) -> int:
    """The address of a stored kernel, or 0."""
    data = cache.load("kernels", key)
    if data is None:
        return 0
    header, _, code = data.partition(b"\n")
    description = json.loads(header)
    engine = _Engine.get()
    if not all(engine.knows(name) for name in description["externals"]):
        return 0
    return engine.add(code, description["symbol"])


def _compile(source: Source) -> int:
    import numba  # noqa: PLC0415  (0.2 s, and only when something is compiled)

    name = f"symnet_{source.key}"
    filename = f"<symnet {source.entry} {source.key[:12]}>"
    linecache.cache[filename] = (len(source.text), None, source.text.splitlines(True), filename)
    namespace: dict[str, object] = {"__name__": "symnet_kernel"}
    try:
        exec(compile(source.text, filename, "exec"), namespace)
        function = namespace[source.entry]
        function.__name__ = function.__qualname__ = name  # type: ignore[attr-defined]
        compiled = numba.cfunc(source.signature, error_model="numpy")(function)
    except Exception as problem:
        raise BackendError(
            f"the kernel {source.entry!r} does not compile: {problem}\n{_numbered(source.text)}"
        ) from problem
    _keep(compiled)
    library = compiled._library
    module = library._final_module
    header = {
        "symbol": compiled.native_name,
        "externals": sorted(
            function.name
            for function in module.functions
            if function.is_declaration and not function.name.startswith("llvm.")
        ),
    }
    code = library._get_compiled_object()
    cache.store("kernels", source.key, json.dumps(header).encode() + b"\n" + code)
    return compiled.address


class _Engine:
    """The process's one LLVM engine for stored object code."""

    _instance: "_Engine | None" = None

    @classmethod
    def get(cls) -> "_Engine":
        if cls._instance is None:
            cls._instance = cls()
        return cls._instance

    def __init__(self) -> None:
        import llvmlite.binding as llvm  # noqa: PLC0415  (25 ms)

        self._llvm = llvm
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        _keep(self._engine)

    def knows(self, symbol: str) -> bool:
        """Whether a symbol can be resolved; LLVM ends the process when one cannot."""
        return self._llvm.address_of_symbol(symbol) is not None

    def add(self, code: bytes, symbol: str) -> int:
        self._engine.add_object_file(self._llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()
        return self._engine.get_function_address(symbol)


def _keep(owner: object) -> None:
    """Never free code, not even while the interpreter exits: worker threads may still run it."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(owner))


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
