"""Arithmetic: every operation rounds once, as IEEE 754 and NumPy have it; integers wrap."""

from symnet.kernels.scalar.registry import define
from symnet.kernels.scalar.trace import Value, select


@define("any", "T T", inline=True)
def add(a: Value, b: Value) -> Value:
    """a + b; `or` of bools, as in NumPy."""
    return a | b if a.dtype == "bool" else a + b


@define("number", "T T", inline=True)
def sub(a: Value, b: Value) -> Value:
    return a - b


@define("any", "T T", inline=True)
def mul(a: Value, b: Value) -> Value:
    """a * b; `and` of bools, as in NumPy."""
    return a & b if a.dtype == "bool" else a * b


@define("any", "T T", inline=True)
def strong_mul(a: Value, b: Value) -> Value:
    """a * b, but 0 where either factor is 0, whatever the other is (inf and nan included)."""
    if not a.floating:
        return mul(a, b)
    return select((a == 0) | (b == 0), 0.0, a * b)


@define("float", "T T", inline=True)
def true_div(a: Value, b: Value) -> Value:
    return a / b


@define("number", inline=True)
def neg(a: Value) -> Value:
    return -a


@define("any", inline=True)
def abs_(a: Value) -> Value:
    """|a|; the least signed integer is its own absolute value, as in NumPy."""
    if a.floating:
        return a.abs()
    return select(a < 0, -a, a) if a.signed else a


@define("number", inline=True)
def sign(a: Value) -> Value:
    """-1, 0 or 1; NaN stays NaN and -0 becomes 0."""
    if not a.floating:
        positive = (a > 0).to(a.dtype)
        return positive - (a < 0).to(a.dtype) if a.signed else positive
    return select(a > 0, 1.0, select(a < 0, -1.0, select(a == 0, 0.0, a)))


@define("any", "T T", inline=True)
def maximum(a: Value, b: Value) -> Value:
    """The larger one; NaN if either is NaN."""
    if a.dtype == "bool":
        return a | b
    return select((a >= b) | (a != a), a, b) if a.floating else select(a > b, a, b)


@define("any", "T T", inline=True)
def minimum(a: Value, b: Value) -> Value:
    """The smaller one; NaN if either is NaN."""
    if a.dtype == "bool":
        return a & b
    return select((a <= b) | (a != a), a, b) if a.floating else select(a < b, a, b)


@define("number", inline=True)
def square(a: Value) -> Value:
    return a * a


@define("float", inline=True)
def sqrt(a: Value) -> Value:
    return a.sqrt()


@define("float", inline=True)
def reciprocal(a: Value) -> Value:
    return 1.0 / a


def _truncated(a: Value, b: Value) -> tuple[Value, Value, Value]:
    """Quotient towards zero and remainder of integers, 0 and 0 where b is 0; whether b is 0."""
    zero = b == 0
    if a.width < 64:
        # exact: a quotient that is no integer is further from one than half a float64 step
        divisor = select(zero, 1, b)
        quotient = (a.to("float64") / divisor.to("float64")).trunc()
        quotient = quotient.to("int64").to(a.dtype)
    else:
        divisor = select(zero | (b == -1), 1, b) if a.signed else select(zero, 1, b)
        quotient = a.quotient(divisor)
        if a.signed:
            quotient = select(b == -1, -a, quotient)
    quotient = select(zero, 0, quotient)
    return quotient, select(zero, 0, a - quotient * b), zero


def _remainder(a: Value, b: Value) -> Value:
    """C's fmod, exact. float32 divides in ten steps of 28 bits, each exact in float64."""
    if a.dtype == "float64":
        return a.remainder(b)
    rest, divisor = a.abs().to("float64"), b.abs().to("float64")
    inverse = 1.0 / divisor
    for step in range(9, -1, -1):
        scale = 2.0 ** (28 * step)
        quotient = (rest * (inverse * (1.0 / scale))).round_even()
        rest = rest - quotient * (divisor * scale)
    rest = select(rest < 0, rest + divisor, rest).to("float32")
    rest = select((b.abs() == float("inf")) & (a.abs() < float("inf")), a.abs(), rest)
    return (rest.bits() | (a.bits() & (1 << 31))).bitcast("float32")


def _differs_in_sign(a: Value, b: Value) -> Value:
    return (a < 0) ^ (b < 0)


@define("number", "T T")
def floor_div(a: Value, b: Value) -> Value:
    """Floor of the quotient. Integers: 0 for b = 0, and least // -1 wraps.

    Floats as NumPy's `floor_divide`: from the exact remainder, not from the rounded quotient.
    """
    if not a.floating:
        quotient, rest, _ = _truncated(a, b)
        if not a.signed:
            return quotient
        return quotient - ((rest != 0) & _differs_in_sign(rest, b)).to(a.dtype)
    rest = _remainder(a, b)
    quotient = (a - rest) / b
    quotient = quotient - select((rest != 0) & _differs_in_sign(rest, b), 1.0, a.like(0))
    floor = quotient.floor()
    floor = floor + select(quotient - floor > 0.5, 1.0, a.like(0))
    ratio = a / b
    signed_zero = select(ratio.bits() >> (a.width - 1) == 1, -0.0, a.like(0))
    floor = select(quotient == 0, signed_zero, floor)
    return select(b == 0, ratio, floor)


@define("number", "T T")
def floor_mod(a: Value, b: Value) -> Value:
    """a - floor(a / b) * b with the sign of b, as Python's %. Integers: 0 for b = 0."""
    if not a.floating:
        _, rest, _ = _truncated(a, b)
        if not a.signed:
            return rest
        return select((rest != 0) & _differs_in_sign(rest, b), rest + b, rest)
    rest = _remainder(a, b)
    moved = select(_differs_in_sign(rest, b), rest + b, rest)
    negative = b.bits() >> (a.width - 1) == 1
    zero = select(negative, -0.0, a.like(0))
    return select(rest == 0, zero, moved)
