"""sin, cos and tan, right for every argument.

float32 multiplies by 2/pi in float64, with three pieces of 2/pi chosen by the argument's exponent
so that all but the last product are exact. float64 does it in integers: 192 bits of 2/pi, shifted
by the exponent, times the mantissa (Payne and Hanek 1983), without a table look-up: the bits are
chosen by a tree of selects, so that loops still vectorise.
"""

from math import pi

from symnet.kernels.scalar.registry import define
from symnet.kernels.scalar.trace import (
    Value,
    muladd,
    polynomial,
    quick_two_sum,
    select,
    two_product,
    two_sum,
)

# (sin(r) - r) / r**3 and (cos(r) - 1 + r**2/2) / r**4 in r**2 for |r| <= pi/4
_SIN = {
    # relative error 2^-27.8, 2^-57.8
    "float32": (-0.16666653752326965, 0.008332114666700363, -0.00019509623234625906),
    "float64": (
        -0.1666666666666663,
        0.008333333333321757,
        -0.00019841269829251298,
        2.7557313491475682e-06,
        -2.505072585612716e-08,
        1.5894884527388946e-10,
    ),
}
_COS = {
    # relative error 2^-32.9, 2^-63.8
    "float32": (0.04166664555668831, -0.0013887304812669754, 2.4431425117654726e-05),
    "float64": (
        0.04166666666666659,
        -0.0013888888888872197,
        2.4801587288306818e-05,
        -2.7557314019415767e-07,
        2.087567877272363e-09,
        -1.135737667019078e-11,
    ),
}

# Bits of 2/pi: two pieces of 29 bits and the float64 after them, starting at bit 0, 29, 58, 87.
_PIECES = (
    (0.636619770899415, 1.4681663246252086e-09, 2.276010073078396e-18),
    (1.4681663246252086e-09, 2.2760100671971816e-18, 5.881214749119912e-27),
    (2.2760100671971816e-18, 5.8812147387730434e-27, 1.0346868704619472e-35),
    (5.8812147387730434e-27, 1.0346868700836215e-35, 3.7832563882960676e-45),
)
# The argument from which the leading 29 bits only add multiples of 4 quarter turns.
_NEXT_PIECE = (2.0**54, 2.0**83, 2.0**112)

# 64 zero bits and the first 1216 bits of 2/pi.
_TWO_OVER_PI = (
    0x0000000000000000, 0xA2F9836E4E441529, 0xFC2757D1F534DDC0, 0xDB6295993C439041,
    0xFE5163ABDEBBC561, 0xB7246E3A424DD2E0, 0x06492EEA09D1921C, 0xFE1DEB1CB129A73E,
    0xE88235F52EBB4484, 0xE99C7026B45F7E41, 0x3991D639835339F4, 0x9C845F8BBDF9283B,
    0x1FF897FFDE05980F, 0xEF2F118B5A0A6D1F, 0x6D367ECF27CB09B7, 0x4F463F669E5FEA2D,
    0x7527BAC7EBE5F17B, 0x3D0739F78A5292EA, 0x6BFB5FB11F8D5D08, 0x56033046FC7B6BAB,
)  # fmt: skip
_TWO_PI = 6.283185307179586, 2.4492935982947064e-16


def sin_near_zero(r: Value) -> Value:
    """sin(r) for |r| <= pi/4."""
    z = r * r
    return muladd(polynomial(z, _SIN[r.dtype]) * z, r, r)


def cos_near_zero(r: Value) -> Value:
    """cos(r) for |r| <= pi/4; what 1 - r**2/2 loses in rounding is added back."""
    z = r * r
    half = z * 0.5
    w = 1.0 - half
    return w + muladd(z * z, polynomial(z, _COS[r.dtype]), (1.0 - w) - half)


def _reduce32(a: Value) -> tuple[Value, Value, Value]:
    """As `_reduce`, for float32."""
    x = a.to("float64")
    first, second, third = (x.like(c) for c in _PIECES[0])
    for limit, row in zip(_NEXT_PIECE, _PIECES[1:]):
        beyond = x >= limit
        first, second, third = (
            select(beyond, c, before) for c, before in zip(row, (first, second, third))
        )
    leading = x * first
    leading = leading - (leading * 0.25).round_even() * 4.0
    total, error = two_sum(leading, x * second)
    turns = total.round_even()
    fraction = total - turns
    small = muladd(x, third, error)
    more = (fraction + small).round_even()
    fraction = (fraction - more) + small
    quadrant = ((turns + more) + 1.5 * 2.0**52).bits().to("uint32")
    return quadrant, (fraction * (pi / 2)).to("float32"), a.like(0)


def _high_product(a: Value, b: Value) -> Value:
    """High word of a uint64 product."""
    a0, a1, b0, b1 = a & 0xFFFFFFFF, a >> 32, b & 0xFFFFFFFF, b >> 32
    middle = a1 * b0 + (a0 * b0 >> 32)
    other = a0 * b1 + (middle & 0xFFFFFFFF)
    return a1 * b1 + (middle >> 32) + (other >> 32)


def _small_to_float(word: Value) -> Value:
    """A uint64 below 2**32 as float64, without a 64-bit conversion."""
    return (word | 0x4330000000000000).bitcast("float64") - 2.0**52


def _reduce64(a: Value) -> tuple[Value, Value, Value]:
    """As `_reduce`, for float64."""
    bits = a.bits()
    mantissa = (bits & ((1 << 52) - 1)) | (1 << 52)
    # a = mantissa * 2**(e - 52); bits of 2/pi worth whole turns of the product are skipped
    offset = select(bits < 1022 << 52, 1022, bits >> 52) - (1023 + 52 + 2 - 64)
    index, shift = offset >> 6, offset & 63
    words = [bits.like(w) for w in _TWO_OVER_PI]
    for step in (16, 8, 4, 2, 1):
        chosen = (index & step) != 0
        wanted = step + 3
        words = [
            select(chosen, words[j + step], words[j]) if j + step < len(words) else words[j]
            for j in range(wanted)
        ]
    w0, w1, w2 = (
        (words[j] << shift) | ((words[j + 1] >> 1) >> (bits.like(63) - shift)) for j in range(3)
    )
    low = mantissa * w1
    t1 = low + _high_product(mantissa, w2)
    t0 = mantissa * w0 + _high_product(mantissa, w1) + (t1 < low).to("uint64")
    # t0, t1: the product in turns, as a 128-bit fraction
    quadrant = (t0 + (1 << 61)) >> 62
    t0 = t0 - (quadrant << 62)
    # the high part is signed: 2**31 is added before and taken away after the conversion
    p0 = _small_to_float((t0 + (1 << 63)) >> 32) - 2.0**31
    p1 = _small_to_float(t0 & 0xFFFFFFFF)
    p2, p3 = _small_to_float(t1 >> 32), _small_to_float(t1 & 0xFFFFFFFF)
    high, error = quick_two_sum(p0 * 2.0**-32, p1 * 2.0**-64)
    tail = error + (p2 * 2.0**-96 + p3 * 2.0**-128)
    high, tail = quick_two_sum(high, tail)
    r, rest = two_product(high, high.like(_TWO_PI[0]))
    rest = rest + muladd(high, _TWO_PI[1], tail * _TWO_PI[0])
    near = a < pi / 4
    zero = a.like(0)
    r = select(a < float("inf"), r, float("nan"))
    return (
        select(near, 0, quadrant),
        select(near, a, r),
        select(near, zero, rest),
    )


def _reduce(a: Value) -> tuple[Value, Value, Value]:
    """Quadrant, r and a correction to r, for a = quadrant pi/2 + r.

    The quadrant is an unsigned integer as wide as a; its low two bits count.
    """
    return _reduce32(a) if a.dtype == "float32" else _reduce64(a)


def _sin_cos(a: Value) -> tuple[Value, Value, Value]:
    """Quadrant, sin and cos of the reduced argument, for a >= 0."""
    quadrant, r, rest = _reduce(a)
    sine, cosine = sin_near_zero(r), cos_near_zero(r)
    if a.dtype == "float64":
        sine, cosine = sine + rest * muladd(r * r, -0.5, 1.0), cosine - rest * r
    return quadrant, sine, cosine


def _flip(value: Value, sign: Value) -> Value:
    """Negated where the top bit of `sign` is set."""
    return (value.bits() ^ (sign & (1 << (value.width - 1)))).bitcast(value.dtype)


def _of_quadrant(quadrant: Value, even: Value, odd: Value) -> Value:
    """even, odd, -even, -odd in quadrants 0, 1, 2, 3."""
    value = select((quadrant & 1) != 0, odd, even)
    return _flip(value, quadrant << (value.width - 2))


@define()
def sin(x: Value) -> Value:
    quadrant, sine, cosine = _sin_cos(x.abs())
    return _flip(_of_quadrant(quadrant, sine, cosine), x.bits())


@define()
def cos(x: Value) -> Value:
    quadrant, sine, cosine = _sin_cos(x.abs())
    return _of_quadrant(quadrant + 1, sine, cosine)


@define()
def tan(x: Value) -> Value:
    quadrant, sine, cosine = _sin_cos(x.abs())
    odd = (quadrant & 1) != 0
    ratio = select(odd, -cosine, sine) / select(odd, sine, cosine)
    return _flip(ratio, x.bits())
