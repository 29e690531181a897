"""Bitwise operations, and shifts that are defined for every count."""

from symnet.kernels.scalar.registry import define
from symnet.kernels.scalar.trace import Value, same_width, select


@define("bits", "T T", inline=True)
def bit_and(a: Value, b: Value) -> Value:
    return a & b


@define("bits", "T T", inline=True)
def bit_or(a: Value, b: Value) -> Value:
    return a | b


@define("bits", "T T", inline=True)
def bit_xor(a: Value, b: Value) -> Value:
    return a ^ b


@define("bits", inline=True)
def bit_not(a: Value) -> Value:
    return ~a


def _count(a: Value, count: Value) -> tuple[Value, Value]:
    """Whether the count is in range, and the count as a's dtype, 0 where it is not."""
    unsigned = count.to(same_width(count.dtype, "uint"))  # negative counts become huge
    valid = unsigned < a.width
    return valid, select(valid, unsigned, 0).to(a.dtype)


@define("integer", "T I", inline=True)
def shift_left(a: Value, count: Value) -> Value:
    """a << count; 0 if the count is negative or at least the width, as in NumPy."""
    valid, count = _count(a, count)
    return select(valid, a << count, 0)


@define("integer", "T I", inline=True)
def shift_right(a: Value, count: Value) -> Value:
    """a >> count; 0, or -1 for negative a, if the count is negative or at least the width."""
    valid, count = _count(a, count)
    return select(valid, a >> count, a >> (a.width - 1) if a.signed else a.like(0))
