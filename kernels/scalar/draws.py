"""Random bits to numbers. All are `strict`: every back end gives the same bits."""

from math import pi

from symnet.kernels.scalar.logarithm import log_of, split
from symnet.kernels.scalar.philox import wide_product
from symnet.kernels.scalar.registry import define
from symnet.kernels.scalar.trace import Value, select
from symnet.kernels.scalar.trigonometric import cos_near_zero, sin_near_zero


def _integer_to(word: Value, dtype: str) -> Value:
    """A uint32 below 2**31 as a float, through the signed conversion that every CPU has."""
    return word.bitcast("int32").to(dtype)


def _fraction(high: Value, low: Value) -> Value:
    """A whole number of 53 bits, as float64: 27 bits of one word, then 26 of the other."""
    return _integer_to(high >> 5, "float64") * 2.0**26 + _integer_to(low >> 6, "float64")


@define("uint32", "uint32", "float32", strict=True)
def uniform_from_bits_float32(word: Value) -> Value:
    """Uniform in [0, 1) on the multiples of 2**-24."""
    return _integer_to(word >> 8, "float32") * 2.0**-24


@define("uint32", "uint32 uint32", "float64", strict=True)
def uniform_from_bits_float64(high: Value, low: Value) -> Value:
    """Uniform in [0, 1) on the multiples of 2**-53."""
    return _fraction(high, low) * 2.0**-53


def _radius(u: Value) -> Value:
    """sqrt(-2 log u) for 0 < u <= 1."""
    k, m = split(u)
    return (log_of(k, m - 1.0) * -2.0).abs().sqrt()


def _cosine(word: Value, extra: Value | None, dtype: str) -> Value:
    """cos of 2 pi times word / 2**32 (and a fraction of a word, in float64)."""
    quadrant = (word + (1 << 29)) >> 30
    rest = (word - (quadrant << 30)).bitcast("int32").to(dtype)
    if extra is not None:
        rest = rest + _integer_to(extra >> 1, dtype) * 2.0**-31
    angle = rest * (2 * pi / 2.0**32)
    odd = (quadrant & 1) != 0
    value = select(odd, sin_near_zero(angle), cos_near_zero(angle))
    negative = ((quadrant + 1) & 2) != 0
    return select(negative, -value, value)


@define("uint32", "uint32 uint32", "float32", strict=True)
def normal_from_bits_float32(word0: Value, word1: Value) -> Value:
    """Standard normal: the cosine branch of Box and Muller (1958), |value| up to 6.7."""
    u = (word0.to("float32") + 0.5) * 2.0**-32
    return _radius(u) * _cosine(word1, None, "float32")


@define("uint32", "uint32 uint32 uint32 uint32", "float64", strict=True)
def normal_from_bits_float64(word0: Value, word1: Value, word2: Value, word3: Value) -> Value:
    """Standard normal from four words, |value| up to 8.6."""
    u = (_fraction(word0, word1) + 1.0) * 2.0**-53
    return _radius(u) * _cosine(word2, word3, "float64")


@define("wide", "uint32 uint32 T")
def bounded_from_bits(high: Value, low: Value, n: Value) -> Value:
    """floor(n * (high, low) / 2**64), an integer in [0, n) (Lemire 2019, without rejection)."""
    n_low, n_high = n.to("uint32"), (n.bitcast("uint64") >> 32).to("uint32")
    carry = wide_product(low, n_low)[0].to("uint64")
    middle = high.to("uint64") * n_low.to("uint64") + carry
    other = low.to("uint64") * n_high.to("uint64") + (middle & 0xFFFFFFFF)
    top = high.to("uint64") * n_high.to("uint64") + (middle >> 32) + (other >> 32)
    return top.bitcast(n.dtype)
