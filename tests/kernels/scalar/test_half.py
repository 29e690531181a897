"""Rounding to halves and back: bit for bit NumPy's float16 and the bfloat16 of ml_dtypes."""

import re

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symnet.kernels.scalar import llvm as scalar_llvm
from symnet.kernels.scalar.evaluate import evaluate

HALVES = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
BITS = np.arange(2**16, dtype=np.uint16)
NAN_PAYLOADS = np.array([0x7F800001, 0x7FFFFFFF, 0xFF800001, 0xFFC00000], np.uint32)


def singles(half):
    """Every half, every middle between two, and the floats next to these; random ones; NaNs."""
    with np.errstate(invalid="ignore"):
        halves = BITS.view(half).astype(np.float32)
    ordered = np.unique(halves[np.isfinite(halves)]).astype(np.float64)
    middle = ((ordered[1:] + ordered[:-1]) / 2).astype(np.float32)
    near = [np.nextafter(middle, np.float32(s)) for s in (-np.inf, np.inf)]
    some = np.random.default_rng(0).integers(0, 2**32, 200_000, dtype=np.uint32)
    special = np.array([65504, 65519, 65520, 65536, 3.3895e38, 3.4e38, 1e-45], np.float32)
    parts = [halves, middle, *near, some.view(np.float32), special, -special]
    return np.concatenate([*parts, NAN_PAYLOADS.view(np.float32)])


def assert_same_bits(found, wanted):
    """Equal, signs of zeros included; all NaN are one."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.dtype == wanted.dtype
    nan = np.isnan(wanted.astype(np.float32))
    assert np.array_equal(nan, np.isnan(found.astype(np.float32)))
    word = f"u{wanted.dtype.itemsize}"
    np.testing.assert_array_equal(found[~nan].view(word), wanted[~nan].view(word))


@pytest.fixture(params=["processor", "integers"])
def compiled(request, monkeypatch):
    """A function's values in a loop that Numba compiled, with the processor's conversions (if it
    has any), and without."""
    import numba

    from symnet.kernels.scalar import cpu

    if request.param == "integers":
        monkeypatch.setattr(scalar_llvm, "converts_halves", lambda: False)

    def run(name, array, dtype):
        scope = {"function": getattr(cpu, name)}
        exec("def loop(x, y):\n  for i in range(x.size):\n    y[i] = function(x[i])", scope)
        out = np.empty(array.shape, dtype)
        numba.njit(scope["loop"])(array, out)
        return out

    return run


@pytest.mark.parametrize("name", HALVES)
def test_from_memory(compiled, name):
    with np.errstate(invalid="ignore"):
        wanted = BITS.view(HALVES[name]).astype(np.float32)
    assert_same_bits(evaluate(f"{name}_from_bits", BITS), wanted)
    assert_same_bits(compiled(f"{name}_from_bits", BITS, np.float32), wanted)


@pytest.mark.parametrize("name", HALVES)
def test_to_memory_and_rounded(compiled, name):
    values = singles(HALVES[name])
    with np.errstate(all="ignore"):
        wanted = values.astype(HALVES[name])
        single = wanted.astype(np.float32)
    assert_same_bits(evaluate(f"{name}_bits", values).view(HALVES[name]), wanted)
    assert_same_bits(compiled(f"{name}_bits", values, np.uint16).view(HALVES[name]), wanted)
    assert_same_bits(evaluate(f"round_{name}", values), single)
    assert_same_bits(compiled(f"round_{name}", values, np.float32), single)


@pytest.mark.parametrize("name", HALVES)
def test_float64_is_rounded_as_the_libraries_do(compiled, name):
    with np.errstate(all="ignore"):
        middle = singles(HALVES[name]).astype(np.float64)
        near = [middle * (1 + s * 2.0**-40) for s in (-1, 0, 1)]
        values = np.concatenate([*near, [1e300, -1e-300]])
        wanted = values.astype(HALVES[name]).astype(np.float32)
    assert_same_bits(evaluate(f"round_{name}", values), wanted)
    assert_same_bits(compiled(f"round_{name}", values, np.float32), wanted)


@given(st.sampled_from(sorted(HALVES)), st.floats(width=64))
def test_a_float64_at_a_time(name, value):
    with np.errstate(all="ignore"):
        wanted = np.array([value]).astype(HALVES[name]).astype(np.float32)
    assert_same_bits(evaluate(f"round_{name}", np.array([value])), wanted)


@pytest.mark.parametrize("cpu", ["x86-64", "nehalem"])
def test_no_library_is_called_where_the_processor_has_no_conversions(monkeypatch, cpu):
    import llvmlite.binding as llvm
    from llvmlite import ir

    monkeypatch.setattr(scalar_llvm, "converts_halves", lambda: False)
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    module = ir.Module()
    for name, given_, result in [
        (f"{half}{what}", a, b)
        for half in HALVES
        for what, a, b in (("_bits", "float32", "uint16"), ("_from_bits", "uint16", "float32"))
    ] + [(f"round_{half}", d, "float32") for half in HALVES for d in ("float32", "float64")]:
        types = [scalar_llvm.llvm_type(d) for d in (result, given_)]
        function = ir.Function(module, ir.FunctionType(types[0], types[1:]), f"{name}_{given_}")
        build = ir.IRBuilder(function.append_basic_block())
        build.ret(scalar_llvm.emit(build, name, (given_,), list(function.args)))
    triple = "x86_64-unknown-linux-gnu"
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, opt=3)
    module.triple, module.data_layout = triple, str(machine.target_data)
    text = machine.emit_assembly(llvm.parse_assembly(str(module)))
    assert "symnet.float16_bits" in text
    assert not re.findall(r"\b__\w+", text)  # __truncsfhf2 and its like
