"""float16 and bfloat16: loads are exact, stores round once, packs are eight elements."""

import functools

import numpy as np
import pytest
from emulating import runner
from hypothesis import given, settings
from hypothesis import strategies as st

import symnet.tensor as T
from symnet.backends.gpu import compile as cuda
from symnet.backends.gpu import host
from symnet.backends.gpu.emit import emit
from symnet.backends.gpu.instructions import function_text
from symnet.backends.gpu.launch import Device
from symnet.rewrite import optimise
from symnet.schedule.buffers import plan

ml_dtypes = pytest.importorskip("ml_dtypes")
pytestmark = pytest.mark.skipif(host.compiler() is None, reason="no C++ compiler")
HALVES = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
f = T.matrix("f")
half = pytest.mark.parametrize("dtype", HALVES)


def variables(dtype):
    return [T.tensor(dtype, (None, None), name=n) for n in "xy"]


def values(dtype, *shape, seed=0):
    rng = np.random.default_rng(seed)
    found = (rng.normal(size=shape) * 10.0 ** rng.integers(-9, 4, shape)).astype("float32")
    special = np.array([np.inf, -0.0, 6.1e-5, 3e-8, 65504, np.nan], "float32")[: found.size]
    found.flat[: special.size] = special
    return found.astype(HALVES.get(dtype, dtype))


def same(found, wanted):
    """Bit for bit, NaN being NaN."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    bits = f"u{found.itemsize}"
    nan = np.isnan(wanted.astype("float32"))
    return np.array_equal(nan, np.isnan(found.astype("float32"))) and np.array_equal(
        found.view(bits)[~nan], wanted.view(bits)[~nan]
    )


@half
@pytest.mark.parametrize("offset", [0, 8])
def test_all_values_are_kept_and_all_floats_rounded_to_nearest(dtype, offset):
    (x, _), kind = variables(dtype), HALVES[dtype]
    every = np.arange(2**16, dtype=np.uint16).view(kind).reshape(64, 1024)
    widened, copied, narrowed = runner(
        [x, f], [T.cast(x, "float32"), x.copy(), T.cast(f, dtype)], offset=offset
    ).run([every, between(every)])
    assert same(widened, every.astype("float32")) and same(copied, every)
    with np.errstate(all="ignore"):
        assert same(narrowed, between(every).astype(kind))


def between(every):
    """What lies half way between neighbours, and next to that."""
    with np.errstate(all="ignore"):
        near = every.astype("float32")
        middle = (near + np.roll(near, 1)) / 2
        return np.concatenate([middle, np.nextafter(middle, np.float32(np.inf)), -middle])


@half
@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 70), st.integers(0, 3))
def test_each_operation_rounds(dtype, rows, columns, seed):
    x, y = (values(dtype, rows, columns, seed=seed + k) for k in range(2))
    z = values("float32", rows, columns, seed=seed + 2)
    with np.errstate(all="ignore"):
        wanted = [x + y, x * y + x, x.T * y.T, x[:, ::2] - y[:, ::2], x.astype("float32") * z,
                  x * y[0]]  # fmt: skip
    for found, expected in zip(mapping(dtype).run([x, y, z]), wanted, strict=True):
        assert same(found, expected)


@functools.cache
def mapping(dtype):
    x, y = variables(dtype)
    outputs = [x + y, x * y + x, x.T * y.T, x[:, ::2] - y[:, ::2], x * f, x * y[0]]
    return runner([x, y, f], outputs)


@half
@pytest.mark.parametrize("shape", [(9, 64), (5, 1000), (70, 33), (3, 4097)], ids=str)
@pytest.mark.parametrize("geometry", [Device(2, 8 << 10), Device(132)], ids=["small", "large"])
def test_rows_and_columns(dtype, shape, geometry):
    x, _ = variables(dtype)
    a = np.random.default_rng(0).normal(size=shape).astype(HALVES[dtype])
    outputs = [T.nnet.softmax(x), x.sum(axis=0), T.max(x, axis=1), x.sum(), x.mean(axis=1)]
    found = runner([x], outputs, geometry=geometry).run([a])
    wide = a.astype("float64")
    powers = np.exp(wide - wide.max(axis=1, keepdims=True))
    wanted = [powers / powers.sum(axis=1, keepdims=True), wide.sum(axis=0), wide.max(axis=1),
              wide.sum(), wide.mean(axis=1)]  # fmt: skip
    unit = 2.0**-8 if dtype == "bfloat16" else 2.0**-11
    for one, expected in zip(found, wanted, strict=True):
        assert one.dtype == HALVES[dtype]
        np.testing.assert_allclose(one.astype("float64"), expected, rtol=4 * unit, atol=1e-6)


@half
def test_sums_into_halves(dtype):
    """A scatter rounds after each addition, in order."""
    (x, y), at = variables(dtype), T.lvector("at")
    a, b = values(dtype, 7, 5)[1:], values(dtype, 60, 5, seed=1)[2:]
    where = np.random.default_rng(0).integers(0, 6, 58)
    (found,) = runner([x, y, at], [T.inc_subtensor(x[at], y)]).run([a, b, where])
    wanted = a.copy()
    with np.errstate(all="ignore"):
        for k, row in zip(where, b):
            wanted[k] += row
    assert same(found, wanted)


@pytest.mark.skipif(not cuda.available(), reason="NVRTC is not installed")
@half
def test_packs_of_eight_and_conversions_by_instruction(dtype):
    x, y = variables(dtype)
    results, _ = optimise([x * y])
    source = emit(plan([x, y], results)[0].kernels[0])
    assert source.width == 8
    text = cuda.assembly([source])
    assert "ld.global.nc.v4" in text and "st.global.v4" in text and ".local" not in text
    assert f"cvt.rn.{'bf16' if dtype == 'bfloat16' else 'f16'}.f32" in text
    for architecture in {75, *cuda.nvrtc().architectures[-1:]}:
        assert cuda.compile_module([source], architecture).code


def test_texts_of_instructions():
    text = function_text("float16_bits", "float32")
    assert text.startswith("#if defined(__CUDA_ARCH__)") and text.count("symnet_float16_bits") == 2
    assert "asm" not in function_text("exp", "float32")
