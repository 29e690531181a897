"""log and its relatives: x = 2**k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2).

float32 takes log(1+f) = f - f**2/2 + f**3 P(f); float64 the series in s = f/(2+f) that fdlibm's
e_log.c describes (Ng, Sun Microsystems, 1993), with our own minimax coefficients (minimax.py).
"""

from symnet.kernels.scalar.exponential import FORMATS, exp
from symnet.kernels.scalar.registry import define
from symnet.kernels.scalar.trace import Value, muladd, polynomial, select

_SQRT_HALF = {"float32": 0x3F3504F3, "float64": 0x3FE6A09E667F3BCD}

# (log(1+f) - f + f**2/2) / f**3, relative error in the logarithm 2^-30.2
_LOG32 = (
    0.3333331048488617,
    -0.2500000298023224,
    0.20002241432666779,
    -0.16668401658535004,
    0.14217542111873627,
    -0.12397769093513489,
    0.1189495176076889,
    -0.11723167449235916,
    0.06788167357444763,
)
# (2 atanh(s) - 2s) / s**3 in s**2, relative error 2^-59.5
_LOG64 = (
    0.6666666666666736,
    0.3999999999940051,
    0.28571428745945593,
    0.22222198169799567,
    0.18183587141294041,
    0.15313422335621835,
    0.14802656883205073,
)


def split(x: Value) -> tuple[Value, Value, Value]:
    """k (a float), 1 + f, and 2**-k, for x positive, finite and normal."""
    f = FORMATS[x.dtype]
    root = _SQRT_HALF[x.dtype]
    one = f.bias << f.mantissa
    shifted = x.bits() + (one - root)
    biased = shifted >> f.mantissa
    near_one = (shifted & ((1 << f.mantissa) - 1)) + root
    # k without an integer conversion: put it into the low bits of 2**mantissa
    k = (biased | ((f.bias + f.mantissa) << f.mantissa)).bitcast(x.dtype)
    inverse = near_one + one - x.bits()
    k = k - (2.0**f.mantissa + f.bias)
    return k, near_one.bitcast(x.dtype), inverse.bitcast(x.dtype)


def split_any(x: Value) -> tuple[Value, Value]:
    """k and f, subnormal x too."""
    f = FORMATS[x.dtype]
    subnormal = x < 2.0 ** (1 - f.bias)
    k, m, _ = split(select(subnormal, x * 2.0**f.mantissa, x))
    return k + select(subnormal, -float(f.mantissa), x.like(0)), m - 1.0


def log_tail(f: Value) -> Value:
    """log(1+f) - f."""
    if f.dtype == "float32":
        square = f * f
        return muladd(polynomial(f, _LOG32) * square, f, square * -0.5)
    half = f * f * 0.5
    s = f / (f + 2.0)
    z = s * s
    return muladd(s, muladd(polynomial(z, _LOG64), z, half), -half)


def log_of(k: Value, f: Value) -> Value:
    """log(2**k (1 + f))."""
    form = FORMATS[f.dtype]
    return muladd(k, form.ln2_hi, muladd(k, form.ln2_lo, log_tail(f)) + f)


def with_special(x: Value, value: Value) -> Value:
    """A logarithm's value at x, put right at 0, below 0, at inf and NaN."""
    value = select(x < float("inf"), value, x)
    return select(x > 0, value, select(x == 0, float("-inf"), x.like(float("nan"))))


@define()
def log(x: Value) -> Value:
    return with_special(x, log_of(*split_any(x)))


# the constant in two parts, and log10(2) in two parts of which the first times k is exact
_LOG2_E = {
    "float32": (1.4426950216293335, 1.925963033500011e-08),
    "float64": (1.4426950408889634, 2.0355273740931033e-17),
}
_LOG10_E = {
    "float32": (0.4342944920063019, -1.0103049952192578e-08),
    "float64": (0.4342944819032518, 1.098319650216765e-17),
}
_LOG10_2 = {
    "float32": (0.301025390625, 4.605039066518657e-06),
    "float64": (0.3010299956640665, -8.532344317057107e-14),
}


def _scaled(f: Value, factor: tuple[float, float]) -> Value:
    """log(1+f) times a constant."""
    tail = muladd(f, factor[1], log_tail(f) * factor[0])
    return muladd(f, factor[0], tail)


@define()
def log2(x: Value) -> Value:
    """Exact at powers of two."""
    k, f = split_any(x)
    return with_special(x, _scaled(f, _LOG2_E[x.dtype]) + k)


@define()
def log10(x: Value) -> Value:
    k, f = split_any(x)
    hi, lo = _LOG10_2[x.dtype]
    value = muladd(k, hi, muladd(k, lo, _scaled(f, _LOG10_E[x.dtype])))
    return with_special(x, value)


def log1p_of(x: Value) -> Value:
    """log(1 + x) for -1 < x < inf: f is corrected by what 1 + x lost in rounding."""
    u = x + 1.0
    rest = u - x
    lost = (1.0 - rest) + (x - (u - rest))
    k, m, inverse = split(u)
    lost = select(x < 2.0**60, lost * inverse, x.like(0))
    return log_of(k, (m - 1.0) + lost)


@define()
def log1p(x: Value) -> Value:
    value = with_special(x + 1.0, log1p_of(x))
    return select(x.abs() < FORMATS[x.dtype].tiny, x, value)


@define()
def softplus(x: Value) -> Value:
    """log(1 + e**x) = max(x, 0) + log(1 + e), e = e**-|x|, where 1 + e is 1 + f or 2 (1 + f)."""
    e = exp(-x.abs())
    big = e > 0.4142135
    f = select(big, (e - 1.0) * 0.5, e)
    return select(x <= 0, 0.0, x) + log_of(select(big, 1.0, x.like(0)), f)
