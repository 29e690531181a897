"""Loops over our functions become vector code on AVX2 and AVX-512, without calls."""

import re

import pytest

from symnet.kernels.scalar import FUNCTIONS

CPUS = {"haswell": "ymm", "skylake-avx512": "zmm"}
# no vector instruction exists: 64-bit integer division, and C's fmod in float64
SCALAR = {("floor_div", "int64"), ("floor_mod", "int64"), ("floor_div", "float64"),
          ("floor_mod", "float64")}  # fmt: skip
# constant or unchanged, so that the loop is a memset or memcpy
TRIVIAL = {"isnan", "isinf", "isfinite", "floor", "ceil", "trunc", "round_even"}


def cases():
    for name, function in FUNCTIONS.items():
        for dtype in ("float32", "float64", "int32", "int64", "uint8", "bool"):
            if "T" in function.parameters and dtype not in function.dtypes:
                continue
            if (name, dtype) in ((f"cast_{dtype}", dtype), ("abs", "uint8")):  # copies
                continue
            if dtype[0] in "iub" and (name in TRIVIAL or name.startswith("cast_")):
                continue
            if dtype == "int64" and name == "power":  # covered by int32, and long to compile
                continue
            yield name, tuple({"T": dtype, "I": "int32"}.get(p, p) for p in function.parameters)
            if "T" not in function.parameters:
                break


def module_of_loops(signatures):
    """One function `loop<i>(n, inputs..., output)` per signature."""
    from llvmlite import ir

    from symnet.kernels.scalar.llvm import emit, llvm_type

    module, count = ir.Module(), ir.IntType(64)
    for number, (name, dtypes) in enumerate(signatures):
        result = FUNCTIONS[name].result_dtype(*dtypes)
        memory = [ir.IntType(8) if d == "bool" else llvm_type(d) for d in (*dtypes, result)]
        kind = ir.FunctionType(ir.VoidType(), [count, *(m.as_pointer() for m in memory)])
        loop = ir.Function(module, kind, f"loop{number}")
        for argument in loop.args[1:]:
            argument.add_attribute("noalias")
        entry, body, end = (loop.append_basic_block(n) for n in ("entry", "body", "end"))
        ir.IRBuilder(entry).branch(body)
        build = ir.IRBuilder(body)
        i = build.phi(count)
        values = []
        for argument, dtype in zip(loop.args[1:], dtypes):
            value = build.load(build.gep(argument, [i]))
            values.append(build.trunc(value, ir.IntType(1)) if dtype == "bool" else value)
        value = emit(build, name, dtypes, values)
        value = build.zext(value, ir.IntType(8)) if result == "bool" else value
        build.store(value, build.gep(loop.args[-1], [i]))
        following = build.add(i, count(1))
        i.add_incoming(count(0), entry)
        i.add_incoming(following, body)
        build.cbranch(build.icmp_unsigned("<", following, loop.args[0]), body, end)
        ir.IRBuilder(end).ret_void()
    return module


@pytest.mark.parametrize("cpu", CPUS)
def test_loops_are_vectorised(cpu):
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    signatures = [c for c in cases() if (c[0], c[1][-1]) not in SCALAR]
    triple = "x86_64-unknown-linux-gnu"
    machine = llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features="+prefer-no-gather", opt=3
    )
    module = module_of_loops(signatures)
    module.triple, module.data_layout = triple, str(machine.target_data)
    parsed = llvm.parse_assembly(str(module))
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(parsed, builder)
    text = machine.emit_assembly(parsed)
    pieces = re.split(r"^loop(\d+):", text, flags=re.M)
    assert len(pieces) == 1 + 2 * len(signatures)
    wrong = []
    for number, piece in zip(map(int, pieces[1::2]), pieces[2::2]):
        calls = re.findall(r"\tcallq?\t(\S+)", piece)
        if not re.search(r"[yz]mm|vcvt\w+y\b", piece) or calls or "gather" in piece:
            wrong.append((*signatures[number], calls[:2]))
    assert not wrong
