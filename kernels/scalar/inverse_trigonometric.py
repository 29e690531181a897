"""arcsin, arccos, arctan and arctan2, each by one odd polynomial after a reduction."""

from math import inf, sqrt

from symnet.kernels.scalar.exponential import with_sign_of
from symnet.kernels.scalar.registry import define
from symnet.kernels.scalar.trace import Value, muladd, polynomial, select

# (arctan(t) - t) / t**3 in t**2 for |t| <= tan(pi/8)
_ARCTAN = {
    # relative error 2^-30.4, 2^-59.4
    "float32": (
        -0.33333316445350647,
        0.1999852955341339,
        -0.14244425296783447,
        0.10599415749311447,
        -0.060906171798706055,
    ),
    "float64": (
        -0.333333333333332,
        0.1999999999995366,
        -0.14285714280196468,
        0.11111110783247445,
        -0.09090897748045423,
        0.07692060002778854,
        -0.06663101338331766,
        0.058478680692277844,
        -0.05039204183903107,
        0.03806191940205196,
        -0.01790424917473334,
    ),
}
# (arcsin(s) - s) / s**3 in s**2 for |s| <= 1/2
_ARCSIN = {
    # relative error 2^-27.6, 2^-59.8
    "float32": (
        0.16666753590106964,
        0.07495250552892685,
        0.04547666758298874,
        0.02414645440876484,
        0.04222586005926132,
    ),
    "float64": (
        0.16666666666666763,
        0.0749999999997009,
        0.04464285717533315,
        0.03038194267110167,
        0.022372216076866975,
        0.017351591499544752,
        0.013981077263905893,
        0.011396727500103608,
        0.010792951006589084,
        0.0036567954119692235,
        0.021832044205698207,
        -0.021180723249036557,
        0.03274547816282511,
    ),
}
# pi/4 and pi/2 in two parts; small multiples of the first part are exact
_QUARTER = {
    "float32": (0.7853984832763672, -3.1987891887788434e-07),
    "float64": (0.7853981633974492, -8.575622497214414e-16),
}


def _multiple(k: Value, rest: Value) -> Value:
    """k*pi/4 + rest."""
    hi, lo = _QUARTER[k.dtype]
    return muladd(k, hi, muladd(k, lo, rest))


def _arctan_ratio(n: Value, d: Value, negative: Value | None = None) -> Value:
    """arctan(n/d) for n, d >= 0, not both 0 or inf; pi minus it where `negative` holds.

    Folded to at most 1 by taking the reciprocal and to tan(pi/8) by (t - 1)/(t + 1), in the
    numerator and denominator, so that there is one division.
    """
    swap = n > d
    low, high = select(swap, d, n), select(swap, n, d)
    fold = low > high * (sqrt(2) - 1)
    t = select(fold, low - high, low) / select(fold, low + high, high)
    z = t * t
    angle = muladd(polynomial(z, _ARCTAN[t.dtype]) * z, t, t)
    k = select(fold, 1.0, select(swap, 2.0, t.like(0)))
    flip = swap
    if negative is not None:
        k, flip = select(negative, 4.0 - k, k), flip ^ negative
    return _multiple(k, select(flip, -angle, angle))


@define()
def arctan(x: Value) -> Value:
    return with_sign_of(_arctan_ratio(x.abs(), x.like(1)), x)


@define(parameters="T T")
def arctan2(y: Value, x: Value) -> Value:
    """The angle of the point (x, y), in all quadrants, with C's answers at 0 and inf."""
    n, d = y.abs(), x.abs()
    # the sum n + d must not overflow, and subnormals are too coarse for the folding
    largest = select(n > d, n, d)
    scale = select(largest > 1e30, 0.25, select(largest < 1e-30, 2.0**64, n.like(1)))
    n, d = n * scale, d * scale
    same = ((n == 0) & (d == 0)) | ((n == inf) & (d == inf))
    zero = n == 0
    n, d = select(same & ~zero, 1.0, n), select(same, 1.0, d)
    negative = (x.bits() >> (x.width - 1)) == 1
    return with_sign_of(_arctan_ratio(n, d, negative), y)


def _arcsin_half(a: Value) -> tuple[Value, Value]:
    """Whether a > 1/2, and arcsin of a, or of sqrt((1 - a)/2) there; for 0 <= a <= 1."""
    big = a > 0.5
    z = select(big, (1.0 - a) * 0.5, a * a)
    s = select(big, z.sqrt(), a)
    return big, muladd(polynomial(z, _ARCSIN[a.dtype]) * z, s, s)


@define()
def arcsin(x: Value) -> Value:
    """arcsin(a) = pi/2 - 2 arcsin(sqrt((1 - a)/2)) beyond 1/2."""
    a = x.abs()
    big, angle = _arcsin_half(a)
    return with_sign_of(select(big, _multiple(x.like(2), angle * -2.0), angle), x)


@define()
def arccos(x: Value) -> Value:
    """pi/2 - arcsin(x), and 2 arcsin(sqrt((1 - a)/2)) or pi minus that beyond 1/2."""
    big, angle = _arcsin_half(x.abs())
    positive = x > 0
    k = select(big, select(positive, x.like(0), 4.0), 2.0)
    rest = select(big, angle + angle, angle)
    return _multiple(k, select(positive ^ big, -rest, rest))
