"""log and its relatives: x = 2**k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2).

float32 takes log(1+f) = f + f**2 P(f); float64 the series in s = f/(2+f) that fdlibm's e_log.c
describes (Ng, Sun Microsystems, 1993), with our own minimax coefficients (minimax.py).
"""

from symnet.kernels.scalar.exponential import FORMATS, exp_up_to_highest, with_sign_of
from symnet.kernels.scalar.registry import define
from symnet.kernels.scalar.trace import Value, muladd, polynomial, select

_SQRT_HALF = {"float32": 0x3F3504F3, "float64": 0x3FE6A09E667F3BCD}
_LN2 = 0.6931471805599453

# (log(1+f) - f) / f**2, relative error in the logarithm 2^-27.8
_LOG32 = (
    -0.49999988079071045,
    0.33333325386047363,
    -0.25001612305641174,
    0.20002023875713348,
    -0.16608324646949768,
    0.14180171489715576,
    -0.13248106837272644,
    0.12918642163276672,
    -0.07626940310001373,
)
# the same for 3/4 <= 1 + f < 3/2, relative error 2^-25.0: shorter, good enough for log1p. Its last
# coefficient must be positive: then log1p of inf comes out as inf
_LOG1P32 = (
    -0.5000006556510925,
    0.33333542943000793,
    -0.24993152916431427,
    0.19976936280727386,
    -0.16827276349067688,
    0.14990569651126862,
    -0.12053903937339783,
    0.05389286205172539,
)
_LOG1P32_ROOT = 0x3F400000
# the same for 0 <= f <= 1, for softplus, relative error 2^-27.5
_LOG32_TO_2 = (
    -0.4999993145465851,
    0.333304762840271,
    -0.249582439661026,
    0.19693709909915924,
    -0.15350684523582458,
    0.10672784596681595,
    -0.057589296251535416,
    0.020165206864476204,
    -0.0033098419662564993,
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


# what k is counted in: float32 converts k << 23 as it stands
_UNIT = {"float32": 2.0**-23, "float64": 1.0}


def octave(x: Value, lowest: int) -> Value:
    """k shifted to where the exponent is, as an unsigned integer, for x positive and normal.

    `lowest` are the bits of the least 1 + f.
    """
    return (x.bits() - lowest) & (-1 << FORMATS[x.dtype].mantissa)


def exponent(octave: Value) -> Value:
    """k / `_UNIT`."""
    if octave.dtype == "uint32":
        return octave.bitcast("int32").to("float32")
    # without an integer conversion, which AVX2 lacks: put k into the low bits of 2**mantissa
    f = FORMATS["float64"]
    biased = (octave + (f.bias << f.mantissa)) >> f.mantissa
    k = (biased | ((f.bias + f.mantissa) << f.mantissa)).bitcast("float64")
    return k - (2.0**f.mantissa + f.bias)


def split(x: Value) -> tuple[Value, Value]:
    """k / `_UNIT` and 1 + f, for x positive, finite and normal."""
    o = octave(x, _SQRT_HALF[x.dtype])
    return exponent(o), (x.bits() - o).bitcast(x.dtype)


def split_any(x: Value) -> tuple[Value, Value]:
    """k / `_UNIT` and f, for subnormal x too."""
    f = FORMATS[x.dtype]
    subnormal = x < 2.0 ** (1 - f.bias)
    k, m = split(select(subnormal, x * 2.0**f.mantissa, x))
    return select(subnormal, k - f.mantissa / _UNIT[x.dtype], k), m - 1.0


def add_octaves(k: Value, octave: float, rest: Value) -> Value:
    """k * octave + rest, for k as `split` gives it."""
    return muladd(k, octave * _UNIT[k.dtype], rest)


def log_tail(f: Value) -> Value:
    """log(1+f) - f."""
    if f.dtype == "float32":
        return polynomial(f, _LOG32) * (f * f)
    half = f * f * 0.5
    s = f / (f + 2.0)
    z = s * s
    return muladd(s, muladd(polynomial(z, _LOG64), z, half), -half)


def log_of(k: Value, f: Value, coefficients: tuple[float, ...] = _LOG32) -> Value:
    """log(2**k (1 + f)); the coefficients are float32's."""
    if f.dtype == "float32":
        return add_octaves(k, _LN2, muladd(polynomial(f, coefficients), f * f, f))
    form = FORMATS[f.dtype]
    return add_octaves(k, form.ln2_hi, add_octaves(k, form.ln2_lo, log_tail(f)) + f)


def with_infinity(x: Value, value: Value) -> Value:
    """A logarithm's value at x, put right at inf and NaN."""
    form = FORMATS[x.dtype]
    # inf at inf, far below every logarithm at the finite x
    other = x - (2.0 - 2.0**-form.mantissa) * 2.0**form.bias
    return select(value > other, value, other)


def with_pole(x: Value, value: Value) -> Value:
    """A logarithm's value at x, put right at 0 and below; x is not subnormal."""
    form = FORMATS[x.dtype]
    # -inf with the sign and exponent of x in the low bits: those of 0 and -0 change nothing,
    # others make it a NaN
    infinity = ((1 << (x.width - form.mantissa)) - 1) << form.mantissa
    other = ((x.bits() >> (x.width - form.mantissa - 1)) | infinity).bitcast(x.dtype)
    return select(x > 0, value, other)


def with_special(x: Value, value: Value) -> Value:
    """A logarithm's value at x, put right at 0, below 0, at inf and NaN."""
    scaled = select(x < 2.0 ** (1 - FORMATS[x.dtype].bias), x * 2.0 ** FORMATS[x.dtype].mantissa, x)
    return with_pole(scaled, with_infinity(x, value))


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
    return with_special(x, add_octaves(k, 1.0, _scaled(f, _LOG2_E[x.dtype])))


@define()
def log10(x: Value) -> Value:
    k, f = split_any(x)
    hi, lo = _LOG10_2[x.dtype]
    value = add_octaves(k, hi, add_octaves(k, lo, _scaled(f, _LOG10_E[x.dtype])))
    return with_special(x, value)


@define()
def log1p(x: Value) -> Value:
    """k is that of 1 + x, rounded; f = (2**-k x) + (2**-k - 1), rounded once.

    Factors 4 keep 2**-k normal. The idea of f is N. Juffa's (NVIDIA developer forums, "Faster and
    more accurate implementation of log1pf").
    """
    u = x + 1.0
    o = octave(u, _LOG1P32_ROOT if x.dtype == "float32" else _SQRT_HALF[x.dtype])
    four = (x.like(4).bits() - o).bitcast(x.dtype)  # 4 * 2**-k
    f = muladd(x * four, 0.25, muladd(four, 0.25, -1.0))
    value = log_of(exponent(o), f, _LOG1P32)
    if x.dtype == "float64":  # where inf divides inf on the way
        value = with_infinity(x, value)
    return with_pole(u, with_sign_of(value, x))


@define()
def softplus(x: Value) -> Value:
    """log(1 + e**x) = max(x, 0) + log(1 + e) with e = e**-|x|."""
    e = exp_up_to_highest(-x.abs())
    if x.dtype == "float32":
        rest = muladd(polynomial(e, _LOG32_TO_2), e * e, e)
    else:
        # 1 + e is 1 + f or 2 (1 + f)
        big = e > 0.4142135
        f = select(big, (e - 1.0) * 0.5, e)
        rest = log_of(select(big, 1.0, x.like(0)), f)
    return select(x > 0, x, 0.0) + rest
