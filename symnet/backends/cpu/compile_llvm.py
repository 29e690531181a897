"""LLVM: from assembly to object code, and from object code to addresses.

Importing llvmlite takes 25 ms, so it is imported when something is compiled or linked.
"""

import ctypes
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Code:
    """Relocatable object code: symbol by function name, and external symbols that it needs."""

    symbols: dict[str, str]
    externals: list[str]
    content: bytes


def emit(modules: Sequence[str], symbols: Mapping[str, str], *, thorough: bool) -> Code:
    """Object code of LLVM assembly for this processor.

    `symbols` are the functions to export, by name; all others become internal. `thorough` runs the
    whole optimiser with the loop vectoriser, as kernels need; without, a few quick passes, which
    save a tenth of a second on the pool and the tape and cost their calls some 10 ns.
    """
    module, machine = _optimised(modules, set(symbols.values()), thorough)
    externals = sorted(
        function.name
        for function in module.functions
        if function.is_declaration and not function.name.startswith("llvm.")
    )
    return Code(dict(symbols), externals, machine.emit_object(module))


def assembler(modules: Sequence[str], symbol: str) -> str:
    """What `emit` makes of a kernel, for people: the processor's instructions as text."""
    module, machine = _optimised(modules, {symbol}, thorough=True)
    return machine.emit_assembly(module)


def _optimised(modules: Sequence[str], exported: Set[str], thorough: bool) -> tuple[Any, Any]:
    """(module, target machine)"""
    llvm = _llvm()
    module = llvm.parse_assembly(modules[0])
    for text in modules[1:]:
        module.link_in(llvm.parse_assembly(text))
    for function in module.functions:
        if not function.is_declaration and function.name not in exported:
            function.linkage = "internal"
    module.verify()
    machine = _machine(llvm, 3 if thorough else 0)
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    tuning.loop_vectorization, tuning.slp_vectorization = True, False
    builder = llvm.create_pass_builder(machine, tuning)
    if thorough:
        builder.getModulePassManager().run(module, builder)
    else:
        passes = llvm.create_new_function_pass_manager()
        passes.add_sroa_pass()
        passes.add_instruction_combine_pass()
        passes.add_simplify_cfg_pass()
        for function in module.functions:
            if not function.is_declaration:
                passes.run(function, builder)
    return module, machine


class Engine:
    """Links object code into this process. One engine serves all."""

    _instance: "Engine | None" = None

    @classmethod
    def get(cls) -> "Engine":
        if cls._instance is None:
            cls._instance = cls()
        return cls._instance

    def __init__(self) -> None:
        llvm = _llvm()
        self._llvm = llvm
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(llvm, 0))
        # code is never freed, not even at exit: worker threads may still run it
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._engine))

    def can_link(self, code: Code) -> bool:
        """Whether all symbols can be resolved; LLVM ends the process when one cannot."""
        return all(self._llvm.address_of_symbol(name) is not None for name in code.externals)

    def link(self, code: Code) -> dict[str, int]:
        """Addresses by function name."""
        self._engine.add_object_file(self._llvm.ObjectFileRef.from_data(code.content))
        self._engine.finalize_object()
        find = self._engine.get_function_address
        return {name: find(symbol) for name, symbol in code.symbols.items()}


def _llvm() -> Any:
    import llvmlite.binding as llvm  # noqa: PLC0415

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm


def _machine(llvm: Any, level: int) -> Any:
    """As Numba's: for the very processor, relocated when linked."""
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=level,
        reloc="static" if target.name.startswith("x86") else "default",
        codemodel="jitdefault",
        jit=True,
    )
