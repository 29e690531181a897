"""The C text, through the host's C++ compiler: the same results as the NumPy evaluation."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

from symnet.kernels.scalar import FUNCTIONS
from symnet.kernels.scalar.accuracy import ULP_BOUNDS
from symnet.kernels.scalar.c import C_TYPES, PRELUDE, c_source
from symnet.kernels.scalar.evaluate import evaluate

COMPILER = shutil.which("g++") or shutil.which("c++")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler")


def signatures():
    """Each function with one or two dtypes per kind."""
    for name, function in FUNCTIONS.items():
        if "T" not in function.parameters:
            yield name, function.parameters
            continue
        for dtype in ("bool", "int8", "int32", "int64", "uint32", "float32", "float64"):
            if dtype in function.dtypes:
                swap = {"T": dtype, "I": "int32"}
                yield name, tuple(swap.get(p, p) for p in function.parameters)


def values(dtype, n=400):
    rng = np.random.default_rng(len(dtype))
    if dtype == "bool":
        return rng.integers(0, 2, n).astype(bool)
    if dtype.startswith("float"):
        special = [0, -0.0, 1, -1, 0.5, 2.5, -2.5, np.inf, -np.inf, np.nan, 3e9, -1e20, 1e-40, 40]
        return np.concatenate([special, rng.normal(size=n // 2) * 4,
                               rng.uniform(-1, 1, n)])[:n].astype(dtype)  # fmt: skip
    info = np.iinfo(dtype)
    some = rng.integers(info.min, info.max, n, dtype, endpoint=True)
    some[: n // 2] = rng.integers(0, 40, n // 2)
    some[:4] = [info.min, info.max, 0, 1]
    return some


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    text = [PRELUDE]
    for index, (name, dtypes) in enumerate(signatures()):
        text.append(c_source(name, *dtypes))
        pointers = ", ".join(f"const {C_TYPES[d]}* x{i}" for i, d in enumerate(dtypes))
        out = C_TYPES[FUNCTIONS[name].result_dtype(*dtypes)]
        call = ", ".join(f"x{i}[i]" for i in range(len(dtypes)))
        text.append(
            f'extern "C" void loop{index}(long n, {pointers}, {out}* o)\n'
            f"{{ for (long i = 0; i < n; i++) o[i] = symnet_{name}({call}); }}\n"
        )
    folder = tmp_path_factory.mktemp("c")
    source, target = folder / "all.cpp", folder / "all.so"
    source.write_text("".join(text))
    flags = ["-O1", "-std=c++17", "-ffp-contract=off", "-Wall", "-Werror", "-shared", "-fPIC"]
    subprocess.run([COMPILER, *flags, source, "-o", target], check=True)
    return ctypes.CDLL(str(target))


def test_every_function_equals_the_numpy_evaluation(library):
    with np.errstate(all="ignore"):
        for index, (name, dtypes) in enumerate(signatures()):
            arrays = [np.random.default_rng(i).permutation(values(d)) for i, d in enumerate(dtypes)]
            expected = evaluate(name, *arrays)
            got = np.empty(expected.shape, expected.dtype)
            pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*arrays, got)]
            getattr(library, f"loop{index}")(ctypes.c_long(got.size), *pointers)
            function = FUNCTIONS[name]
            approximate = name in ULP_BOUNDS and got.dtype.kind == "f" and not function.strict
            if approximate:
                bound = 2 * ULP_BOUNDS[name][got.dtype.name] + 1
                assert np.array_equal(np.isnan(got), np.isnan(expected)), (name, dtypes)
                number = np.isfinite(expected)
                assert np.array_equal(got[~number], expected[~number], equal_nan=True)
                unit = np.spacing(np.abs(expected[number]))
                assert (np.abs(got[number] - expected[number]) <= bound * unit).all(), name
            else:
                nan_too = got.dtype.kind == "f"
                wrong = [pair for pair in zip(got, expected) if pair[0] != pair[1]]
                assert np.array_equal(got, expected, equal_nan=nan_too), (name, dtypes, wrong[:5])
