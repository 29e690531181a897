"""sinh, cosh and the inverse hyperbolic functions (tanh is with the exponentials)."""

from symnet.kernels.scalar.exponential import FORMATS, half_exp, with_sign_of
from symnet.kernels.scalar.logarithm import log1p
from symnet.kernels.scalar.registry import define
from symnet.kernels.scalar.trace import Value, muladd, polynomial, select

# (sinh(x) - x) / x**3 in x**2 for |x| <= 1
_SINH = {
    # relative error 2^-31.4, 2^-61.5
    "float32": (
        0.1666666716337204,
        0.008333315141499043,
        0.00019841660105157644,
        2.79005598713411e-06,
    ),
    "float64": (
        0.16666666666666669,
        0.008333333333332969,
        0.00019841269841532923,
        2.7557319129752893e-06,
        2.5052126962741594e-08,
        1.605699190817633e-10,
        7.766164136795736e-13,
    ),
}


@define()
def sinh(x: Value) -> Value:
    a = x.abs()
    z = a * a
    small = muladd(polynomial(z, _SINH[x.dtype]) * z, a, a)
    half = half_exp(a)
    return with_sign_of(select(a < 1.0, small, half - 0.25 / half), x)


@define()
def cosh(x: Value) -> Value:
    half = half_exp(x.abs())
    return half + 0.25 / half


def _large(dtype: str) -> float:
    """From here on x**2 + 1 and x - 1 round so that only log(2x) remains; x**2 is still finite."""
    return 2.0**30 if dtype == "float32" else 2.0**60


@define()
def arcsinh(x: Value) -> Value:
    """log(a + sqrt(1 + a**2)) through log1p, with the sign of x."""
    a = x.abs()
    z = a * a
    large = a >= _large(x.dtype)
    argument = select(large, a, a + z / ((z + 1.0).sqrt() + 1.0))
    value = log1p(argument) + select(large, FORMATS[x.dtype].ln2[0], x.like(0))
    return with_sign_of(select(a < FORMATS[x.dtype].tiny, a, value), x)


@define()
def arccosh(x: Value) -> Value:
    """log(x + sqrt(x**2 - 1)); NaN below 1."""
    t = x - 1.0
    large = x >= _large(x.dtype)
    argument = select(large, x, t + (t * (x + 1.0)).sqrt())
    value = log1p(argument) + select(large, FORMATS[x.dtype].ln2[0], x.like(0))
    return select(x < 1.0, float("nan"), value)


@define()
def arctanh(x: Value) -> Value:
    """log((1 + a) / (1 - a)) / 2 with the sign of x; NaN beyond 1."""
    a = x.abs()
    value = log1p((a + a) / (1.0 - a)) * 0.5
    return with_sign_of(select(a < FORMATS[x.dtype].tiny, a, value), x)
