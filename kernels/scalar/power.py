"""power: x**y with all of C's special cases, and wrapping integer powers.

float32 goes through log2 and exp2 in float64. float64 takes the logarithm in double-double (Dekker
1971): the exponent multiplies its relative error by up to 745, so 53 bits are 10 too few.
"""

from math import inf, nan

from symnet.kernels.scalar.exponential import FORMATS, exp_of_sum, scale_once
from symnet.kernels.scalar.logarithm import split, split_any
from symnet.kernels.scalar.registry import define
from symnet.kernels.scalar.trace import (
    Value,
    muladd,
    polynomial,
    quick_two_sum,
    select,
    two_product,
)

# (2 atanh(s) - 2s) / s**3 in s**2, relative error 2^-44.9
_ATANH = (
    0.6666666667597301,
    0.3999999555260802,
    0.2857211751063345,
    0.221758010973165,
    0.1959024274385869,
)
# (2**r - 1) / r for |r| <= 1/2, relative error 2^-34.3
_EXP2 = (
    0.693147180704891,
    0.240226510669882,
    0.055504103649689246,
    0.009618038083013298,
    0.0013333935806082076,
    0.0001546676943496188,
    1.5195995534987181e-05,
)
# (2 atanh(s) - 2s - 2/3 s**3) / s**5 in s**2, relative error 2^-66.2
_TAIL = (
    0.4000000000000233,
    0.28571428570063134,
    0.22222222526748323,
    0.181817837436395,
    0.15386787178001674,
    0.1325609833324165,
    0.13203216922737088,
)
_TWO_THIRDS = 0.6666666666666666, 3.700743415417188e-17


def _magnitude32(a: Value, y: Value) -> Value:
    """a**y for a > 0 finite, |y| finite, with one rounding to float32 at the end."""
    k, m = split(a.to("float64"))  # float32's subnormals are normal there
    f = m - 1.0
    s = f / (f + 2.0)
    z = s * s
    log2 = muladd(muladd(polynomial(z, _ATANH) * z, s, s + s), 1.4426950408889634, k)
    product = log2 * y.to("float64")
    product = select(product > 200.0, 200.0, product)
    product = select(product < -200.0, -200.0, product)
    shift = FORMATS["float64"].magic + FORMATS["float64"].bias
    rounded = product + shift
    r = product - (rounded - shift)
    return scale_once(muladd(polynomial(r, _EXP2), r, 1.0), rounded.bits()).to("float32")


def _log_twice(a: Value) -> tuple[Value, Value]:
    """log(a) as a double-double with a relative error below 2**-63; float64 a > 0."""
    form = FORMATS["float64"]
    k, f = split_any(a)
    # s = f / (2 + f)
    base, base_low = quick_two_sum(f.like(2), f)
    s = f / base
    product, error = two_product(s, base)
    s_low = (((f - product) - error) - s * base_low) / base
    # z = s**2, then z (2/3 + z tail) s
    z, z_error = two_product(s, s)
    z_low = muladd(s + s, s_low, z_error)
    inner, inner_low = quick_two_sum(
        z.like(_TWO_THIRDS[0]), muladd(polynomial(z, _TAIL), z, _TWO_THIRDS[1])
    )
    outer, error = two_product(z, inner)
    outer_low = error + muladd(z, inner_low, z_low * inner)
    cubic, error = two_product(s, outer)
    cubic_low = error + muladd(s, outer_low, s_low * outer)
    high, low = quick_two_sum(s + s, cubic)
    low = low + ((s_low + s_low) + cubic_low)
    # + k log 2; for k = 0 the sum is exact, whichever is larger
    high, error = quick_two_sum(k * form.ln2_hi, high)
    low = muladd(k, form.ln2_lo, low + error)
    return quick_two_sum(high, low)


def _magnitude64(a: Value, y: Value) -> Value:
    """a**y for a > 0 finite, |y| finite."""
    high, low = _log_twice(a)
    product, error = two_product(high, y)
    error = muladd(low, y, error)
    # far beyond over- or underflow the error term means nothing
    return exp_of_sum(product, select(product.abs() < 800.0, error, 0.0))


def _float_power(x: Value, y: Value) -> Value:
    a, magnitude_y = x.abs(), y.abs()
    # beyond 1e20 every x but 1 over- or underflows; the limit keeps inf * 0 away
    limited = select(y > 1e20, 1e20, select(y < -1e20, -1e20, y))
    magnitude = _magnitude32 if x.dtype == "float32" else _magnitude64
    value = magnitude(a, limited)
    to_zero = y > 0
    value = select(a == 0, select(to_zero, x.like(0), inf), value)
    value = select(a == inf, select(to_zero, inf, x.like(0)), value)
    half = magnitude_y * 0.5
    whole = magnitude_y.floor() == magnitude_y
    odd = whole & (half.floor() != half)
    sign = select(odd, x.bits() & (1 << (x.width - 1)), 0)
    value = (value.bits() | sign).bitcast(x.dtype)
    value = select((x < 0) & (a < inf) & ~whole, nan, value)
    value = select((x != x) | (y != y), nan, value)
    return select((y == 0) | (x == 1), 1.0, value)


@define("number", "T T")
def power(x: Value, y: Value) -> Value:
    """x**y: for floats as C's pow; for integers modulo 2**width.

    A negative integer exponent gives the truncated reciprocal: 1 for x = 1, 1 or -1 for x = -1,
    else 0 (also for x = 0).
    """
    if x.floating:
        return _float_power(x, y)
    value, base = x.like(1), x
    for bit in range(x.width):
        value = select((y & (1 << bit)) != 0, value * base, value)
        base = base * base
    if x.signed:
        alternating = select((y & 1) != 0, x, 1)
        unit = (x == 1) | (x == -1)
        value = select(y < 0, select(unit, alternating, 0), value)
    return value
