"""exp and its relatives: e**x = 2**k * (1 + r + r**2 q(r)) with |r| <= ln(2)/2.

Reduction in two steps after Cody and Waite (1980); k is read off the low bits of x*log2(e) plus a
large constant, which needs no conversion and is defined for NaN too. The polynomials are minimax
fits of ours (minimax.py).
"""

from dataclasses import dataclass

from symnet.kernels.scalar.registry import define
from symnet.kernels.scalar.trace import Value, muladd, polynomial, select


@dataclass(frozen=True)
class Format:
    """What the algorithms need to know of a floating-point format."""

    mantissa: int  # stored bits
    bias: int
    ln2_hi: float  # so few bits that k*ln2_hi is exact
    ln2_lo: float
    lowest: float  # below it exp is 0 ...
    highest: float  # ... above it inf
    exp: tuple[float, ...]  # (e**r - 1 - r) / r**2 for |r| <= ln(2)/2
    exp2: tuple[float, ...]  # (2**r - 1 - r ln 2) / r**2 for |r| <= 1/2
    ln2: tuple[float, float]  # ln 2 and what that misses

    @property
    def magic(self) -> float:
        """Adding it rounds to an integer, which then sits in the low bits."""
        return 1.5 * 2.0**self.mantissa

    @property
    def tiny(self) -> float:
        """Where f(x) = x + O(x**2) rounds to x."""
        return 2.0 ** -(self.mantissa + 2)


LOG2_E = 1.4426950408889634

FORMATS = {
    "float32": Format(
        23, 127, 0.693145751953125, 1.428606765330187e-06, -104.0, 88.8,
        # relative error 2^-26.0, in expm1
        (0.4999999701976776, 0.16666539013385773, 0.04166749492287636, 0.008367150090634823,
         0.0013866216177120805),
        # relative error 2^-32.7
        (0.24022650718688965, 0.055504098534584045, 0.009618077427148819,
         0.0013334632385522127, 0.00015456353139597923, 1.5004040506028105e-05),
        (0.6931471824645996, -1.904654299957768e-09),
    ),
    "float64": Format(
        52, 1023, 0.6931471805598903, 5.497923018708371e-14, -746.0, 709.9,
        # relative error 2^-61.5, in expm1
        (0.5, 0.16666666666666677, 0.041666666666666595, 0.008333333333321187,
         0.001388888888893202, 0.00019841269887702808, 2.4801587221646233e-05,
         2.7557242245805406e-06, 2.7557365174251997e-07, 2.5109833800606692e-08,
         2.0886249642766403e-09),
        # relative error 2^-63.1
        (0.24022650695910072, 0.05550410866482164, 0.009618129107628009,
         0.0013333558146401533, 0.00015403530394168775, 1.525273384725099e-05,
         1.3215486202845768e-06, 1.0178054511260273e-07, 7.0551093406538255e-09,
         4.456222636111578e-10, 2.545053497028456e-11),
        (0.6931471805599453, 2.3190468138462996e-17),
    ),
}  # fmt: skip


def clamp(x: Value, low: float, high: float) -> Value:
    """x limited to [low, high]; NaN stays."""
    x = select(x < low, low, x)
    return select(x > high, high, x)


def scale_once(y: Value, biased: Value) -> Value:
    """y * 2**k for k in the normal range; the low bits of `biased` hold k + bias."""
    return y * (biased << FORMATS[y.dtype].mantissa).bitcast(y.dtype)


def scale_twice(y: Value, biased: Value) -> Value:
    """y * 2**k with gradual underflow and overflow; the low bits hold k + 2*bias."""
    half = biased >> 1
    return scale_once(scale_once(y, half), biased - half)


def reduce(x: Value, bias: int) -> tuple[Value, Value]:
    """r and biased with x = k*ln(2) + r; the low bits of `biased` hold k + bias."""
    f = FORMATS[x.dtype]
    shifted = muladd(x, LOG2_E, f.magic + bias)
    k = shifted - (f.magic + bias)
    return muladd(k, -f.ln2_lo, muladd(k, -f.ln2_hi, x)), shifted.bits()


def exp_less_one(r: Value) -> Value:
    """e**r - 1 for |r| <= ln(2)/2."""
    return muladd(polynomial(r, FORMATS[r.dtype].exp), r * r, r)


def half_exp(x: Value) -> Value:
    """e**x / 2, which overflows later than e**x."""
    f = FORMATS[x.dtype]
    r, biased = reduce(clamp(x, f.lowest, f.highest + 1), 2 * f.bias - 1)
    return scale_twice(exp_less_one(r) + 1.0, biased)


def exp_up_to_highest(x: Value) -> Value:
    """e**x for x at most `Format.highest`."""
    f = FORMATS[x.dtype]
    r, biased = reduce(select(x < f.lowest, f.lowest, x), 2 * f.bias)
    return scale_twice(polynomial(r, (1.0, 1.0, *f.exp)), biased)


@define()
def exp(x: Value) -> Value:
    highest = FORMATS[x.dtype].highest
    return exp_up_to_highest(select(x > highest, highest, x))


@define()
def exp2(x: Value) -> Value:
    """2**x, exact at integers."""
    f = FORMATS[x.dtype]
    top = f.bias + 1.0
    x = clamp(x, -f.bias - f.mantissa - 2.0, top)
    shifted = x + (f.magic + 2 * f.bias)
    r = x - (shifted - (f.magic + 2 * f.bias))
    tail = muladd(polynomial(r, f.exp2), r * r, r * f.ln2[1])
    return scale_twice(muladd(r, f.ln2[0], tail) + 1.0, shifted.bits())


def exp_of_sum(high: Value, low: Value) -> Value:
    """e**(high + low) for |low| far below 1."""
    f = FORMATS[high.dtype]
    r, biased = reduce(clamp(high, f.lowest, f.highest), 2 * f.bias)
    return scale_twice(exp_less_one(r + low) + 1.0, biased)


@define()
def expm1(x: Value) -> Value:
    """e**x - 1 = 2 (h p + (h - 1/2)) with h = 2**(k-1), p = e**r - 1."""
    f = FORMATS[x.dtype]
    r, biased = reduce(clamp(x, -40.0, f.highest), f.bias - 1)
    h = (biased << f.mantissa).bitcast(x.dtype)
    y = 2.0 * muladd(h, exp_less_one(r), h - 0.5)
    return select(x.abs() < f.tiny, x, y)


def with_sign_of(value: Value, x: Value) -> Value:
    """The magnitude of a value, with the sign bit of x."""
    sign = 1 << (x.width - 1)
    return ((value.bits() & (sign - 1)) | (x.bits() & sign)).bitcast(x.dtype)


@define()
def tanh(x: Value) -> Value:
    """E / (E + 2) with E = e**(-2|x|) - 1, which is -tanh|x|; it cannot exceed 1.

    Both terms come from h = 2**k and p = e**r - 1 in one rounding. k is small, and an error in E
    counts less the farther E is from 0, so the reduction by k ln(2) needs one step only.
    """
    f = FORMATS[x.dtype]
    limit = -9.1 if x.dtype == "float32" else -20.0
    a = -x.abs()
    a = select(a < limit, limit, a)
    shifted = muladd(a, 2 * LOG2_E, f.magic + f.bias)
    r = muladd(shifted - (f.magic + f.bias), -f.ln2[0], a + a)
    h = (shifted.bits() << f.mantissa).bitcast(x.dtype)
    p = exp_less_one(r)
    return with_sign_of(muladd(h, p, h - 1.0) / muladd(h, p, h + 1.0), x)


@define()
def sigmoid(x: Value) -> Value:
    """1 / (1 + e**-x), through e**-|x| so that the left tail stays accurate."""
    e = exp_up_to_highest(-x.abs())
    return select(x >= 0, 1.0, e) / (e + 1.0)
