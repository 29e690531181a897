"""Approximated functions against exact values: the stated bounds hold, special values are C's."""

import itertools

import mpmath
import numpy as np
import pytest
import scipy.special
from mpmath import mp

from symnet.kernels.scalar.accuracy import ULP_BOUNDS
from symnet.kernels.scalar.evaluate import evaluate

FLOATS = ("float32", "float64")
EXACT = {
    "exp": mp.exp, "exp2": lambda x: mp.mpf(2) ** x, "expm1": mp.expm1, "log": mp.log,
    "log2": lambda x: mp.log(x) / mp.log(2), "log10": mp.log10, "log1p": mp.log1p,
    "softplus": lambda x: mp.log1p(mp.exp(x)), "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "sin": mp.sin, "cos": mp.cos, "tan": mp.tan, "arcsin": mp.asin, "arccos": mp.acos,
    "arctan": mp.atan, "sinh": mp.sinh, "cosh": mp.cosh, "tanh": mp.tanh, "arcsinh": mp.asinh,
    "arccosh": mp.acosh, "arctanh": mp.atanh, "erf": mp.erf,
    "erfc": lambda x: mp.erfc(x) if x < 200 else mp.mpf(0),
    "gammaln": lambda x: mp.re(mp.loggamma(x)), "digamma": mp.digamma,
    "arctan2": mp.atan2, "power": mp.power,
}  # fmt: skip
NUMPY = {
    "softplus": lambda x: np.logaddexp(0, x).astype(x.dtype),
    "sigmoid": scipy.special.expit,
    "erf": scipy.special.erf,
    "erfc": scipy.special.erfc,
    "gammaln": lambda x: np.abs(scipy.special.gammaln(x)),  # SciPy has -inf at -inf, C has inf
    "digamma": scipy.special.digamma,
}
DOMAIN = {
    "log": (0, np.inf), "log2": (0, np.inf), "log10": (0, np.inf), "log1p": (-1, np.inf),
    "gammaln": (0, np.inf), "digamma": (0, np.inf),
    "arcsin": (-1, 1), "arccos": (-1, 1), "arccosh": (1, np.inf), "arctanh": (-1, 1),
}  # fmt: skip
UNARY = [name for name in EXACT if name not in ("arctan2", "power")]


def errors(got, exact):
    """Distance in units in the last place of the exact value; 0 where both overflow."""
    info = np.finfo(got.dtype)
    out = []
    for g, e in zip(got.tolist(), exact):
        rounded = got.dtype.type(float(e)) if abs(e) < mp.mpf(2) ** 1100 else np.inf
        if np.isinf(g) and abs(e) > mp.mpf(float(info.max)) * (1 - mp.mpf(float(info.eps))):
            out.append(0.0 if (g > 0) == (e > 0) else np.inf)
            continue
        unit = np.spacing(min(max(abs(rounded), info.tiny), info.max))
        out.append(float(abs(mp.mpf(g) - e) / mp.mpf(float(unit))) if np.isfinite(g) else np.inf)
    return np.array(out)


def points(name, dtype, seed=0):
    """Arguments of every size, near the edges of the domain and where results over- or underflow"""
    rng = np.random.default_rng(seed)
    info = np.finfo(dtype)
    edge = np.log(float(info.max))
    spread = rng.choice([-1, 1], 150) * 2.0 ** rng.uniform(info.minexp - 20, info.maxexp, 150)
    sets = [
        spread, rng.normal(size=150), rng.uniform(-1, 1, 100), 1 + rng.normal(size=50) * 1e-3,
        rng.uniform(-30, 30, 100), rng.choice([-1, 1], 60) * rng.uniform(0.98, 1.05, 60) * edge,
        rng.choice([-1, 1], 40) * rng.uniform(0.98, 1.05, 40) * edge / np.log(2),
        np.pi / 2 * np.arange(-8, 9), 2.0 ** np.arange(-10, 11), rng.uniform(5, 28, 60),
        [info.tiny, info.max, -info.max, info.smallest_subnormal, -info.smallest_subnormal],
    ]  # fmt: skip
    with np.errstate(all="ignore"):
        x = np.concatenate(sets).astype(dtype)
    low, high = DOMAIN.get(name, (-np.inf, np.inf))
    if low == 0:
        x = np.abs(x)
    return x[(x > low) & (x < high)]


@pytest.fixture(autouse=True)
def precision():
    with mpmath.workprec(160), np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", UNARY)
def test_stated_bound_holds(native, name, dtype):
    x = points(name, dtype)
    exact = [EXACT[name](mp.mpf(v)) for v in x.tolist()]
    bound = ULP_BOUNDS[name][dtype]
    for computed, slack in ((native(name, x), 0.0), (evaluate(name, x), 1.0)):
        found = errors(np.asarray(computed), exact)
        worst = int(found.argmax())
        assert found[worst] <= bound + slack, (x[worst], computed[worst], float(found[worst]))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", UNARY)
def test_special_values(native, name, dtype):
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 2, -2], dtype)
    expected = NUMPY.get(name, getattr(np, name, None))(x)
    for got in (native(name, x), evaluate(name, x)):
        assert np.array_equal(np.isnan(got), np.isnan(expected)), got
        number = ~np.isnan(got)
        assert np.array_equal(np.signbit(got[number]), np.signbit(expected[number])), got
        assert np.array_equal(got == 0, expected == 0)
        limit = 5 * np.finfo(dtype).eps
        np.testing.assert_allclose(got, expected, rtol=limit)


WIDE = [n for n in UNARY if hasattr(np, n)]


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="no wider float to compare with")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", WIDE)
def test_stated_bound_holds_on_many_points(native, name, dtype):
    rng = np.random.default_rng(7)
    unsigned = np.dtype(f"uint{dtype[-2:]}")
    some = rng.integers(0, np.iinfo(unsigned).max, 20000, unsigned).view(dtype)
    low, high = DOMAIN.get(name, (-np.inf, np.inf))
    x = np.concatenate([some, rng.normal(size=20000), rng.uniform(-1, 1, 20000),
                        rng.uniform(-120, 120, 20000)]).astype(dtype)  # fmt: skip
    x = x[(x > low) & (x < high)]
    got = native(name, x)
    exact = getattr(np, name)(x.astype(np.longdouble))
    rounded = exact.astype(dtype)
    unit = np.spacing(np.maximum(np.abs(rounded), np.finfo(dtype).tiny))
    found = np.abs(got.astype(np.longdouble) - exact) / unit
    found = np.where(np.isinf(rounded) & (rounded == got), 0, found)
    worst = int(np.nanargmax(np.where(np.isnan(found), np.inf, found)))
    assert found[worst] <= ULP_BOUNDS[name][dtype], (x[worst], got[worst], exact[worst])


@pytest.mark.parametrize("dtype", FLOATS)
def test_logarithms_are_exact_at_powers_of_their_base(native, dtype):
    info = np.finfo(dtype)
    k = np.arange(info.minexp - info.nmant, info.maxexp)
    assert np.array_equal(native("log2", np.ldexp(dtype_one(dtype), k)), k.astype(dtype))
    assert np.array_equal(native("exp2", k.astype(dtype)), np.ldexp(dtype_one(dtype), k))


@pytest.mark.parametrize("dtype", FLOATS)
def test_logarithms_below_their_domain(native, dtype):
    info = np.finfo(dtype)
    powers = np.ldexp(dtype_one(dtype), np.arange(info.minexp - info.nmant, info.maxexp))
    below = -np.concatenate([powers, np.nextafter(powers, dtype_one(dtype)), [info.max, np.inf]])
    for got in native(("log", "log2", "log10"), below).values():
        assert np.isnan(got).all(), below[~np.isnan(got)]
    for got in native(("log", "log2", "log10"), np.array([0.0, -0.0], dtype)).values():
        assert np.array_equal(got, [-np.inf, -np.inf])
    assert np.isnan(native("log1p", below[below < -1])).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_tanh_is_odd_and_at_most_one(native, dtype):
    x = np.random.default_rng(9).uniform(0, 25, 50000).astype(dtype)
    got = native("tanh", x)
    assert got.max() == 1
    assert np.array_equal(native("tanh", -x), -got)


@pytest.mark.parametrize("dtype", FLOATS)
def test_functions_with_slope_one_keep_tiny_arguments(native, dtype):
    info = np.finfo(dtype)
    x = np.ldexp(dtype_one(dtype), np.arange(info.minexp - info.nmant, -info.nmant - 2))
    x = np.concatenate([x, -x, np.array([0.0, -0.0], dtype)])
    for name, got in native(("tanh", "log1p", "expm1"), x).items():
        assert np.array_equal(got, x), name
        assert np.array_equal(np.signbit(got), np.signbit(x)), name


def dtype_one(dtype):
    return np.ones((), dtype)


@pytest.mark.parametrize("dtype", FLOATS)
def test_trigonometric_functions_of_huge_arguments(native, dtype):
    rng = np.random.default_rng(3)
    exponents = np.arange(0, np.finfo(dtype).maxexp, 1 if dtype == "float32" else 8)
    x = np.ldexp(rng.uniform(1, 2, exponents.size).astype(dtype), exponents)
    # float64's worst case for a multiple of pi/2 (Kahan; Muller et al., Handbook, 11.3)
    x = np.append(x, dtype_one(dtype) * (6381956970095103.0 * 2.0**797 if dtype[-1] == "4" else 0))
    for name, got in native(("sin", "cos", "tan"), x).items():
        exact = [EXACT[name](mp.mpf(v)) for v in x.tolist()]
        assert errors(got, exact).max() <= ULP_BOUNDS[name][dtype], name


GRID = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0, np.inf, -np.inf, np.nan, 2.5, -2.5]
GRID += [1e19, -7.0, 1e30, 1e-30, 1e-45, 1e-320, 1e300, -1e300]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["power", "arctan2"])
def test_special_values_of_two_arguments(native, name, dtype):
    x, y = np.array(list(itertools.product(GRID, repeat=2))).T.astype(dtype)
    expected = getattr(np, name)(x, y)
    for got in (native(name, x, y), evaluate(name, x, y)):
        assert np.array_equal(np.isnan(got), np.isnan(expected))
        number = ~np.isnan(got)
        assert np.array_equal(np.signbit(got[number]), np.signbit(expected[number]))
        np.testing.assert_array_max_ulp(got[number], expected[number], 4)


@pytest.mark.parametrize("dtype", FLOATS)
def test_power_bound(native, dtype):
    rng = np.random.default_rng(5)
    ranges = [(2.0 ** rng.uniform(-140, 120, 300), rng.normal(size=300)),
              (1 + rng.normal(size=300) * 1e-3, rng.uniform(-7e4, 7e4, 300)),
              (rng.uniform(0, 3, 300), rng.uniform(-90, 90, 300))]  # fmt: skip
    for x, y in ranges:
        x, y = np.abs(x).astype(dtype), y.astype(dtype)
        exact = [mp.power(mp.mpf(a), mp.mpf(b)) for a, b in zip(x.tolist(), y.tolist())]
        assert errors(native("power", x, y), exact).max() <= ULP_BOUNDS["power"][dtype]


@pytest.mark.parametrize("dtype", FLOATS)
def test_arctan2_bound(native, dtype):
    rng = np.random.default_rng(6)
    info = np.finfo(dtype)
    for scale in (1.0, info.smallest_subnormal * 50, float(info.max) / 8, float(info.tiny)):
        y, x = (rng.normal(size=(2, 400)) * scale).astype(dtype)
        exact = [mp.atan2(mp.mpf(a), mp.mpf(b)) for a, b in zip(y.tolist(), x.tolist())]
        found = errors(native("arctan2", y, x), exact)
        assert found[y != 0].max() <= ULP_BOUNDS["arctan2"][dtype], scale


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["gammaln", "digamma"])
def test_reflection_to_negative_arguments(native, name, dtype):
    x = -np.random.default_rng(8).uniform(0, 12, 500).astype(dtype)
    for got, argument in zip(native(name, x).tolist(), x.tolist()):
        exact = EXACT[name](mp.mpf(argument))
        limit = 6 * float(np.finfo(dtype).eps) * max(1, abs(exact))
        assert abs(got - exact) <= limit, argument
