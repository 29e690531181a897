"""Numba as the front end of kernels: from a Python function to LLVM assembly.

Numba types and lowers; optimising, emitting and linking are ours (compile_llvm.py), in one pass
instead of Numba's two, with a C entry point that the object code can be linked by in a process
without Numba. The private parts of Numba that this needs are all in this file.
"""

import functools
import importlib
import importlib.util
import sys
from typing import Any


def lower(function: Any, signature: str, symbol: str) -> list[str]:
    """LLVM assembly of `function`, as modules to be linked.

    The C function `symbol` is the entry point, everything else is internal. `signature` is a Numba
    signature. Floats follow NumPy's rules (`error_model="numpy"`); errors are ignored, so the
    function must not raise. Numba's own exceptions tell what it cannot compile.
    """
    _defer_scipy()
    from llvmlite import ir  # noqa: PLC0415  (Numba: 0.2 s, and only when compiling)
    from numba.core import compiler, registry, sigutils, types  # noqa: PLC0415
    from numba.core.compiler_lock import global_compiler_lock  # noqa: PLC0415

    arguments, result = sigutils.normalize_signature(signature)
    flags = compiler.Flags()
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    flags.error_model = "numpy"
    target = registry.cpu_target
    with global_compiler_lock:
        context = target.target_context
        library = _collector(context.codegen(), symbol)
        compiled = compiler.compile_extra(
            target.typing_context, context, function, arguments, result, flags, {},
            library, _pipeline(),
        )  # fmt: skip
        context = compiled.target_context
        values = [context.get_value_type(argument) for argument in arguments]
        void = result == types.void
        kind = ir.FunctionType(ir.VoidType() if void else context.get_value_type(result), values)
        module = context.create_module("entry")
        convention = context.call_conv
        callee_type = convention.get_function_type(result, arguments)
        callee = ir.Function(module, callee_type, compiled.fndesc.llvm_func_name)
        entry = ir.Function(module, kind, symbol)
        builder = ir.IRBuilder(entry.append_basic_block())
        _, value = convention.call_function(builder, callee, result, arguments, entry.args)
        builder.ret_void() if void else builder.ret(value)
        library.add_ir_module(module)
    return library.texts


@functools.cache
def _pipeline() -> Any:
    """Numba's passes without those for closures, `with`, literal loops, branches on None and array
    expressions, which kernels do not contain: a tenth of the time."""
    from numba.core import typed_passes, untyped_passes  # noqa: PLC0415
    from numba.core.compiler import CompilerBase  # noqa: PLC0415
    from numba.core.compiler_machinery import PassManager  # noqa: PLC0415

    class Pipeline(CompilerBase):
        def define_pipelines(self) -> Any:
            manager = PassManager("symnet")
            for step in (
                untyped_passes.TranslateByteCode,
                untyped_passes.FixupArgs,
                untyped_passes.IRProcessing,
                untyped_passes.ReconstructSSA,
                typed_passes.NopythonTypeInference,
                typed_passes.PreLowerStripPhis,
                typed_passes.NativeLowering,
                typed_passes.NoPythonBackend,
            ):
                manager.add_pass(step, step.__name__)
            manager.finalize()
            return [manager]

    return Pipeline


def _collector(codegen: Any, name: str) -> Any:
    """A code library that only collects the assembly that Numba gives it."""
    from numba.core import cgutils  # noqa: PLC0415
    from numba.core.codegen import JITCodeLibrary  # noqa: PLC0415

    class Collector(JITCodeLibrary):
        def __init__(self) -> None:
            super().__init__(codegen, name)
            self.texts: list[str] = []

        def add_ir_module(self, module: Any) -> None:
            self.texts.append(cgutils.normalize_ir_text(str(module)))

        def add_linking_library(self, library: Any) -> None:
            # a function that Numba itself compiled for us (overloads): as optimised assembly
            self.texts.append(str(library._get_module_for_linking()))

    return Collector()


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
