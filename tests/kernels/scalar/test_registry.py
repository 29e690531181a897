"""The table: what it promises about signatures, and what importing it costs."""

import subprocess
import sys

import numpy as np
import pytest

from symnet.errors import TypeMismatchError
from symnet.kernels.scalar import FUNCTIONS
from symnet.kernels.scalar.accuracy import ULP_BOUNDS
from symnet.kernels.scalar.evaluate import evaluate
from symnet.kernels.scalar.trace import DTYPES


def test_importing_the_table_loads_no_compiler():
    code = (
        "import sys, symnet.kernels.scalar; "
        "heavy = {'numba', 'llvmlite', 'symnet.kernels.scalar.cpu'}; "
        "sys.exit(bool(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_result_dtype_is_what_the_definition_gives(name):
    function = FUNCTIONS[name]
    for dtype in function.dtypes:
        for count in ("int8", "uint64") if "I" in function.parameters else ("",):
            swap = {"T": dtype, "I": count}
            dtypes = [swap.get(p, p) for p in function.parameters]
            value = evaluate(name, *(np.ones(2, d) for d in dtypes))
            assert value.dtype.name == function.result_dtype(*dtypes)
            assert value.shape == (2,)


def test_every_bound_names_a_function():
    assert set(ULP_BOUNDS) <= set(FUNCTIONS)


@pytest.mark.parametrize(
    "name, dtypes",
    [
        ("exp", ("int32",)),
        ("add", ("float32", "float64")),
        ("add", ("float32",)),
        ("where", ("float32", "float32", "float32")),
        ("shift_left", ("int32", "float32")),
        ("sub", ("bool", "bool")),
    ],
)
def test_other_dtypes_are_refused(name, dtypes):
    with pytest.raises(TypeMismatchError, match=name):
        FUNCTIONS[name].result_dtype(*dtypes)


def test_kinds():
    assert FUNCTIONS["exp"].kind == "same"
    assert FUNCTIONS["lt"].kind == "bool"
    assert FUNCTIONS["cast_int8"].kind == "fixed"
    assert {f"cast_{d}" for d in DTYPES} <= set(FUNCTIONS)


def test_numba_reports_a_wrong_dtype_with_the_functions_name():
    import numba

    from symnet.kernels.scalar import cpu

    exp = cpu.exp
    with pytest.raises(numba.TypingError, match=r"exp.*does not take"):
        numba.njit(lambda x: exp(x))(1)
    with pytest.raises(AttributeError, match="no_such"):
        cpu.no_such
