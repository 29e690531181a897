"""Comparisons, tests for special values, logic, and the choice between two values."""

from symnet.kernels.scalar.registry import define
from symnet.kernels.scalar.trace import Value, select


@define("any", "T T", "bool", inline=True)
def lt(a: Value, b: Value) -> Value:
    return a < b


@define("any", "T T", "bool", inline=True)
def le(a: Value, b: Value) -> Value:
    return a <= b


@define("any", "T T", "bool", inline=True)
def gt(a: Value, b: Value) -> Value:
    return a > b


@define("any", "T T", "bool", inline=True)
def ge(a: Value, b: Value) -> Value:
    return a >= b


@define("any", "T T", "bool", inline=True)
def eq(a: Value, b: Value) -> Value:
    return a == b


@define("any", "T T", "bool", inline=True)
def neq(a: Value, b: Value) -> Value:
    """True with NaN, also with itself."""
    return a != b


def _bool(a: Value, value: bool) -> Value:
    return Value(a.target, a.target.constant(value, "bool"), "bool")


@define("any", result="bool", inline=True)
def isnan(a: Value) -> Value:
    return a != a if a.floating else _bool(a, False)


@define("any", result="bool", inline=True)
def isinf(a: Value) -> Value:
    return a.abs() == float("inf") if a.floating else _bool(a, False)


@define("any", result="bool", inline=True)
def isfinite(a: Value) -> Value:
    return a.abs() < float("inf") if a.floating else _bool(a, True)


@define("bool", "T T", inline=True)
def logical_and(a: Value, b: Value) -> Value:
    return a & b


@define("bool", "T T", inline=True)
def logical_or(a: Value, b: Value) -> Value:
    return a | b


@define("bool", "T T", inline=True)
def logical_xor(a: Value, b: Value) -> Value:
    return a ^ b


@define("bool", inline=True)
def logical_not(a: Value) -> Value:
    return ~a


@define("any", "bool T T", inline=True)
def where(condition: Value, a: Value, b: Value) -> Value:
    return select(condition, a, b)
