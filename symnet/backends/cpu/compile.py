"""From the text of a kernel to the address of native code (design D17, D19).

A source is the text of a Python module that defines the function `entry` in the words of
`symnet.kernels.intrinsics`. It is compiled once per content, ever: the object code lies in the
cache under the hash of everything it depends on, and a later process loads it without importing
Numba. Code lives as long as the process.

An entry of the cache is a header line of JSON (symbol by function name, the external symbols
needed), a newline, and a relocatable object file.
"""

import ctypes
import functools
import hashlib
import importlib
import importlib.util
import json
import linecache
import os
import platform
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import symnet.kernels
from symnet.backends.cpu import cache
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


def native_functions(sources: Iterable[Source]) -> list[int]:
    """The addresses of several functions."""
    return [once(s.key, lambda s=s: _compile(s))[s.entry] for s in sources]


@dataclass(frozen=True)
class Code:
    """Relocatable object code: symbol by function name, and external symbols that it needs."""

    symbols: dict[str, str]
    externals: list[str]
    content: bytes


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
                addresses = _linked[key] = _Engine.get().link(code)
    return addresses


def _stored(key: str) -> Code | None:
    data = cache.load("kernels", key)
    if data is None:
        return None
    header, _, content = data.partition(b"\n")
    code = Code(**json.loads(header), content=content)
    return code if _Engine.get().can_link(code) else None


def _store(key: str, code: Code) -> None:
    header = {"symbols": code.symbols, "externals": code.externals}
    cache.store("kernels", key, json.dumps(header).encode() + b"\n" + code.content)


def external_symbols(module: Any) -> list[str]:
    """The functions that an LLVM module calls and does not define."""
    return sorted(
        function.name
        for function in module.functions
        if function.is_declaration and not function.name.startswith("llvm.")
    )


def _compile(source: Source) -> Code:
    symbol = f"symnet_{source.key}"
    filename = f"<symnet {source.entry} {source.key[:12]}>"
    linecache.cache[filename] = (len(source.text), None, source.text.splitlines(True), filename)
    namespace: dict[str, Any] = {"__name__": "symnet_kernel"}
    try:
        exec(compile(source.text, filename, "exec"), namespace)
        function = namespace[source.entry]
        function.__name__ = function.__qualname__ = symbol
        library = _library(function, source.signature, symbol)
    except Exception as problem:
        raise BackendError(
            f"the kernel {source.entry!r} does not compile: {problem}\n{_numbered(source.text)}"
        ) from problem
    module = library._final_module
    code = Code({source.entry: symbol}, external_symbols(module), library._get_compiled_object())
    if not _Engine.get().can_link(code):
        raise BackendError(f"the kernel {source.entry!r} needs {code.externals}: it may not raise")
    return code


def _library(function: Any, signature: str, symbol: str) -> Any:
    """Numba's code library of `function`, callable from C under the name `symbol`.

    As `numba.cfunc`, whose wrapper, however, reports exceptions through the interpreter and so
    cannot be linked without Numba.
    """
    import numba.core.ccallback as ccallback  # noqa: PLC0415  (0.2 s, only when compiling)
    from llvmlite import ir  # noqa: PLC0415
    from numba.core import compiler, sigutils, types  # noqa: PLC0415
    from numba.core.compiler_lock import global_compiler_lock  # noqa: PLC0415

    _defer_scipy()

    class Bare(ccallback._CFuncCompiler):
        def _customize_flags(self, flags: Any) -> Any:
            flags = super()._customize_flags(flags)
            flags.no_cfunc_wrapper = True
            return flags

    arguments, result = sigutils.normalize_signature(signature)
    options = {"error_model": "numpy"}
    target = ccallback.CFunc._targetdescr
    with global_compiler_lock:
        bare = Bare(function, target, options, {}, compiler.Compiler).compile(arguments, result)
        context, library = bare.target_context, bare.library
        values = [context.get_value_type(argument) for argument in arguments]
        void = result == types.void
        kind = ir.FunctionType(ir.VoidType() if void else context.get_value_type(result), values)
        module = context.create_module("entry")
        convention = context.call_conv
        callee_type = convention.get_function_type(result, arguments)
        callee = ir.Function(module, callee_type, bare.fndesc.llvm_func_name)
        entry = ir.Function(module, kind, symbol)
        builder = ir.IRBuilder(entry.append_basic_block())
        _, value = convention.call_function(builder, callee, result, arguments, entry.args)
        builder.ret_void() if void else builder.ret(value)
        library.add_ir_module(module)
        library.finalize()
    return library


def _defer_scipy() -> None:
    """Spare the first compilation 0.1 s: Numba imports all of scipy.linalg to see if it is there.

    Where Numba's users do call it, Numba imports it again.
    """
    if "numba.np.arraymath" in sys.modules:
        return
    import numba.np.linalg as linalg  # noqa: PLC0415

    def ensure_blas() -> None:
        if importlib.util.find_spec("scipy") is None:
            raise ImportError("scipy")

    original, linalg.ensure_blas = linalg.ensure_blas, ensure_blas
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        linalg.ensure_blas = original


class _Engine:
    """The process's one LLVM engine, which links object code."""

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

    def can_link(self, code: Code) -> bool:
        """Whether all symbols can be resolved; LLVM ends the process when one cannot."""
        return all(self._llvm.address_of_symbol(name) is not None for name in code.externals)

    def link(self, code: Code) -> dict[str, int]:
        self._engine.add_object_file(self._llvm.ObjectFileRef.from_data(code.content))
        self._engine.finalize_object()
        find = self._engine.get_function_address
        return {name: find(symbol) for name, symbol in code.symbols.items()}


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
