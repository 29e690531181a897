"""Functions that are exact or correctly rounded: equal to NumPy, special values included."""

import operator
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from symnet.kernels.scalar import FUNCTIONS
from symnet.kernels.scalar.evaluate import evaluate
from symnet.kernels.scalar.trace import DTYPES, FLOATS, INTEGERS, SIGNED

SPECIAL = [0, 1, 2, 3, 5, 7, 100, 31, 63, 64]
PARTS = [
    0.0,
    -0.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    7.0,
    -3.0,
    1e-40,
    -1e-40,
    3e9,
    -3e9,
    2.0**31,
    2.0**63,
]
PARTS += [-(2.0**63), 1e20, -1e20, 1e38, -1e38, 127.5, -128.9, 255.9, np.inf, -np.inf, np.nan]


def values(dtype):
    """Values of a dtype worth trying."""
    if dtype == "bool":
        return np.array([False, True])
    if dtype in FLOATS:
        info = np.finfo(dtype)
        ends = [info.max, info.min, info.tiny, info.smallest_subnormal, -info.smallest_subnormal]
        return np.array(PARTS + ends, dtype)
    info = np.iinfo(dtype)
    small = SPECIAL + ([-1, -2, -3, -7, -100] if info.min < 0 else [])
    return np.array([*small, info.max, info.max - 1, info.min, info.min + 1], dtype)


def pairs(dtype, other=None):
    a, b = np.meshgrid(values(dtype), values(other or dtype))
    return a.ravel(), b.ravel()


def same(got, expected):
    """Equal bits, but any NaN equals any other."""
    assert got.dtype == expected.dtype
    if got.dtype.kind == "f":
        assert np.array_equal(np.isnan(got), np.isnan(expected))
        got, expected = got[~np.isnan(got)], expected[~np.isnan(expected)]
        assert np.array_equal(np.signbit(got), np.signbit(expected))
    assert np.array_equal(got, expected), list(zip(got, expected))


def shift(operation, a, b):
    """NumPy's shifts, which are defined for counts up to the width in Python integers."""
    width = a.dtype.itemsize * 8
    out = []
    for x, n in zip(a.tolist(), b.tolist()):
        count = n if 0 <= n < width else width
        value = operation(x, count) & (2**width - 1)
        out.append(value - 2**width if a.dtype.kind == "i" and value >> (width - 1) else value)
    return np.array(out, a.dtype)


UNARY = {
    "neg": np.negative, "abs": np.abs, "square": np.square, "floor": np.floor, "ceil": np.ceil,
    "trunc": np.trunc, "round_even": np.rint, "isnan": np.isnan, "isinf": np.isinf,
    "isfinite": np.isfinite, "sqrt": np.sqrt, "reciprocal": lambda a: 1 / a,
    "sign": lambda a: np.sign(a) + a.dtype.type(0), "logical_not": np.logical_not,
    "bit_not": np.invert,
}  # fmt: skip
BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply,
    "true_div": np.divide, "maximum": np.maximum, "minimum": np.minimum,
    "floor_div": np.floor_divide, "floor_mod": np.remainder, "lt": np.less, "le": np.less_equal,
    "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "neq": np.not_equal,
    "logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor,
    "bit_and": np.bitwise_and, "bit_or": np.bitwise_or, "bit_xor": np.bitwise_xor,
}  # fmt: skip


def of(table, dtype):
    return [name for name in table if dtype in FUNCTIONS[name].dtypes]


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("dtype", DTYPES)
def test_unary_functions_equal_numpy(native, dtype):
    a = values(dtype)
    names = of(UNARY, dtype)
    for name, got in native(names, a).items():
        if dtype not in FLOATS and name in ("floor", "ceil", "trunc", "round_even"):
            same(got, a)
        else:
            same(got, UNARY[name](a))
        same(evaluate(name, a), got)


@pytest.mark.parametrize("dtype", DTYPES)
def test_binary_functions_equal_numpy(native, dtype):
    a, b = pairs(dtype)
    for name, got in native(of(BINARY, dtype), a, b).items():
        same(evaluate(name, a, b), got)
        expected = BINARY[name](a, b)
        if name in ("maximum", "minimum") and dtype in FLOATS:  # which zero is not said
            got, expected = got + 0, expected + 0
        same(got, expected)


@pytest.mark.parametrize("dtype", FLOATS)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_binary_functions_equal_numpy_on_any_floats(native, dtype, data):
    floats = hnp.arrays(dtype, 40, elements=st.floats(width=int(dtype[-2:])))
    a, b = data.draw(floats), data.draw(floats)
    names = [n for n in of(BINARY, dtype) if n not in ("maximum", "minimum")]
    for name, got in native(names, a, b).items():
        same(got, BINARY[name](a, b))


@pytest.mark.parametrize("dtype", INTEGERS)
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_integer_division_equals_python(native, dtype, data):
    info = np.iinfo(dtype)
    whole = st.integers(int(info.min), int(info.max))
    pair = data.draw(st.lists(st.tuples(whole, whole), min_size=1, max_size=40))
    a, b = (np.array(v, dtype) for v in zip(*pair))
    got = native(("floor_div", "floor_mod"), a, b)
    wrap = 2 ** (8 * a.dtype.itemsize)
    for x, y, q, r in zip(*(v.tolist() for v in (a, b, got["floor_div"], got["floor_mod"]))):
        assert (q - (x // y if y else 0)) % wrap == 0
        assert r == (x % y if y else 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_strong_mul_is_zero_wherever_a_factor_is(native, dtype):
    a, b = pairs(dtype)
    got = native("strong_mul", a, b)
    same(got, np.where((a == 0) | (b == 0), np.zeros_like(a), a * b))


def test_extremes_propagate_nan_from_either_side(native):
    a, b = np.array([np.nan, 1.0, np.nan]), np.array([1.0, np.nan, np.nan])
    for got in native(("maximum", "minimum"), a, b).values():
        assert np.isnan(got).all()


@pytest.mark.parametrize("count", ["int8", "int64", "uint32"])
@pytest.mark.parametrize("dtype", INTEGERS)
def test_shifts_are_defined_for_every_count(native, dtype, count):
    a, n = pairs(dtype, count)
    got = native(("shift_left", "shift_right"), a, n)
    same(got["shift_left"], shift(operator.lshift, a, n))
    same(got["shift_right"], shift(operator.rshift, a, n))


@pytest.mark.parametrize("dtype", DTYPES)
def test_where_takes_the_chosen_side_as_it_is(native, dtype):
    a, b = pairs(dtype)
    condition = np.arange(a.size) % 3 == 0
    same(native("where", condition, a, b), np.where(condition, a, b))


def cast_exactly(a, dtype):
    """Truncate, saturate, NaN to 0; integers wrap."""
    if dtype == "bool":
        return a != 0
    if a.dtype.kind != "f" or dtype in FLOATS:
        return a.astype(dtype)
    info = np.iinfo(dtype)
    whole = [0 if np.isnan(v) else info.max if v == np.inf else info.min if v == -np.inf
             else min(max(int(v), int(info.min)), int(info.max)) for v in a.tolist()]  # fmt: skip
    return np.array(whole, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_casts(native, dtype):
    a = values(dtype)
    names = [f"cast_{target}" for target in DTYPES]
    for name, got in native(names, a).items():
        same(got, cast_exactly(a, name.removeprefix("cast_")))
        same(evaluate(name, a), got)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_powers_wrap(native, dtype):
    a, n = pairs(dtype)
    width = a.dtype.itemsize * 8
    got = native("power", a, n)
    for x, y, z in zip(a.tolist(), n.tolist(), got.tolist()):
        if y >= 0:
            assert (z - pow(x, y, 2**width)) % 2**width == 0
        else:
            assert z == {1: 1, -1: 1 - 2 * (y % 2)}.get(x, 0)


def test_least_integer_divided_by_minus_one_wraps_and_does_not_trap(native):
    for dtype in SIGNED:
        least = np.array([np.iinfo(dtype).min], dtype)
        minus_one = np.array([-1], dtype)
        got = native(("floor_div", "floor_mod"), least, minus_one)
        assert got["floor_div"][0] == least[0]
        assert got["floor_mod"][0] == 0
