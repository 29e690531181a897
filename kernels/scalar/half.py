"""Halves: float16 and bfloat16, in memory as 16 bits, in kernels as the float32 of the same value.

Rounding is to the nearest, ties to even, in integer arithmetic that every vector unit has; where
subnormal results are rounded, an addition does it, whose last place is the least subnormal half.
Processors with F16C, and those of ARM, have instructions for float16, which llvm.py takes instead.
NaN stays NaN (the quiet one of its sign), and what rounds beyond the largest half becomes inf.
"""

from symnet.kernels.scalar.registry import define
from symnet.kernels.scalar.trace import Value, select

_INF = 0x7F800000  # of float32
_LEAST_NORMAL = 0x38800000  # 2**-14, of float16
_TOO_LARGE = 0x47800000  # 2**16; what rounds up to it is inf as well
_MOVED = (127 - 15) << 23  # between the exponents of float32 and float16


def _parts(a: Value) -> tuple[Value, Value]:
    """The sign bit and the bits of |a|."""
    bits = a.bitcast("uint32")
    return bits & 0x80000000, bits & 0x7FFFFFFF


def _nearest(bits: Value, dropped: int) -> Value:
    """Bits rounded to the nearest without the `dropped` last ones, which may be anything."""
    return bits + ((1 << (dropped - 1)) - 1) + ((bits >> dropped) & 1)


@define("float32", "float32", result="uint16")
def float16_bits(a: Value) -> Value:
    """The bits of the nearest float16."""
    sign, size = _parts(a)
    tiny = (size.bitcast("float32") + 0.5).bitcast("uint32") - 0x3F000000
    normal = (_nearest(size, 13) - _MOVED) >> 13
    large = select(size > _INF, size.like(0x7E00), 0x7C00)
    rounded = select(size < _LEAST_NORMAL, tiny, select(size >= _TOO_LARGE, large, normal))
    return ((sign >> 16) | rounded).to("uint16")


@define("uint16", "uint16", result="float32")
def float16_from_bits(a: Value) -> Value:
    """The value of a float16, exactly."""
    bits = a.to("uint32")
    moved = (bits & 0x7FFF) << 13
    finite = (moved.bitcast("float32") * 2.0**112).bitcast("uint32")  # right for subnormals too
    size = select(moved >= 0x0F800000, moved | _INF, finite)
    return (size | ((bits & 0x8000) << 16)).bitcast("float32")


def _round_float16(a: Value) -> Value:
    sign, size = _parts(a)
    tiny = ((size.bitcast("float32") + 0.5) - 0.5).bitcast("uint32")
    normal = _nearest(size, 13) & 0xFFFFE000
    normal = select(normal >= _TOO_LARGE, _INF, normal)
    rounded = select(size < _LEAST_NORMAL, tiny, select(size > _INF, size, normal))
    return (rounded | sign).bitcast("float32")


def _to_odd(a: Value) -> Value:
    """A float64 as the float32 next to it towards 0, or if it is not exact the odd one of its two
    neighbours: rounding that again to fewer digits is as rounding once."""
    near = a.to("float32")
    back = near.to("float64")
    bits = near.bitcast("uint32")
    bits = select(back.abs() > a.abs(), bits - 1, bits)
    inexact = (back != a) & (a == a)
    return select(inexact, bits | 1, bits).bitcast("float32")


@define("float", result="float32")
def round_float16(a: Value) -> Value:
    """The nearest float16, as a float32."""
    return _round_float16(a if a.dtype == "float32" else _to_odd(a))


@define("float32", "float32", result="uint16")
def bfloat16_bits(a: Value) -> Value:
    """The bits of the nearest bfloat16."""
    bits = a.bitcast("uint32")
    nan = (bits & 0x7FFFFFFF) > _INF
    return (select(nan, bits | 0x400000, _nearest(bits, 16)) >> 16).to("uint16")


@define("uint16", "uint16", result="float32")
def bfloat16_from_bits(a: Value) -> Value:
    """The value of a bfloat16, exactly."""
    return (a.to("uint32") << 16).bitcast("float32")


@define("float", result="float32")
def round_bfloat16(a: Value) -> Value:
    """The nearest bfloat16, as a float32; a float64 becomes float32 first, as in ml_dtypes."""
    single = a.to("float32")
    bits = single.bitcast("uint32")
    nan = (bits & 0x7FFFFFFF) > _INF
    return select(nan, bits, _nearest(bits, 16) & 0xFFFF0000).bitcast("float32")
