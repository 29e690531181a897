"""Values and the target they are built on: what a definition of a scalar function may use.

A definition is a Python function over `Value` objects, for instance ::

    def sigmoid(x):
        e = exponential(-x.abs())
        return select(x >= 0, x.like(1), e) / (e + 1)

It holds no Python branch on a value (only on dtypes), so running it once writes straight-line code
into a `Target`: LLVM IR (llvm.py), C text (c.py), or NumPy arrays (evaluate.py). Operators keep the
dtype; a Python number takes the dtype of the other operand.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
SIGNED = INTEGERS[:4]
FLOATS = ("float32", "float64")
DTYPES = ("bool", *INTEGERS, *FLOATS)

Number = int | float


def bits_of(dtype: str) -> int:
    """Width of a dtype in bits; bool counts as one."""
    return 1 if dtype == "bool" else int("".join(filter(str.isdigit, dtype)))


def same_width(dtype: str, kind: str) -> str:
    """The dtype of the given kind ("int", "uint", "float") as wide as `dtype`."""
    return f"{kind}{bits_of(dtype)}"


class Target(ABC):
    """Where a trace is written. Handles are the target's own; dtypes are checked by `Value`."""

    fused = True  # whether `muladd` may round once; see `strict`

    @abstractmethod
    def constant(self, value: Number, dtype: str) -> Any:
        """A literal."""

    @abstractmethod
    def binary(self, op: str, a: Value, b: Value) -> Any:
        """add sub mul div rem (numbers), and or xor (bool, integers), shl shr (integers).

        Integers wrap; div and rem of integers truncate towards zero and need a divisor that is
        neither 0 nor, for the least integer, -1; rem of floats is C's fmod; shift counts must be
        less than the width; shr keeps the sign of signed integers.
        """

    @abstractmethod
    def unary(self, op: str, a: Value) -> Any:
        """neg (numbers), invert (bool, integers), abs sqrt floor ceil trunc round_even (floats)."""

    @abstractmethod
    def compare(self, op: str, a: Value, b: Value) -> Any:
        """lt le gt ge eq ne as IEEE 754 has them: with NaN only ne holds."""

    @abstractmethod
    def select(self, condition: Value, a: Value, b: Value) -> Any:
        """a where the condition holds, else b; both are computed."""

    @abstractmethod
    def muladd(self, a: Value, b: Value, c: Value) -> Any:
        """a*b + c, rounded once where that is cheap, else twice."""

    @abstractmethod
    def product_error(self, a: Value, b: Value, product: Value) -> Any:
        """The exact error a*b - product of the rounded product (barring under- and overflow)."""

    @abstractmethod
    def convert(self, a: Value, dtype: str) -> Any:
        """To another dtype: integers wrap; floats truncate and must fit, else it is undefined."""

    @abstractmethod
    def bitcast(self, a: Value, dtype: str) -> Any:
        """The same bits read as another dtype of equal width."""


class Value:
    """One scalar in a trace: a target's handle and a dtype."""

    __slots__ = ("dtype", "handle", "target")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, target: Target, handle: Any, dtype: str):
        self.target, self.handle, self.dtype = target, handle, dtype

    @property
    def floating(self) -> bool:
        return self.dtype in FLOATS

    @property
    def signed(self) -> bool:
        return self.dtype in SIGNED

    @property
    def width(self) -> int:
        return bits_of(self.dtype)

    def like(self, value: Number) -> Value:
        """A constant of this value's dtype."""
        return Value(self.target, self.target.constant(value, self.dtype), self.dtype)

    def _lift(self, other: Value | Number) -> Value:
        if not isinstance(other, Value):
            return self.like(other)
        assert other.dtype == self.dtype, f"{self.dtype} meets {other.dtype}"
        return other

    def _binary(self, op: str, other: Value | Number) -> Value:
        other = self._lift(other)
        return Value(self.target, self.target.binary(op, self, other), self.dtype)

    def _compare(self, op: str, other: Value | Number) -> Value:
        other = self._lift(other)
        return Value(self.target, self.target.compare(op, self, other), "bool")

    def _unary(self, op: str) -> Value:
        return Value(self.target, self.target.unary(op, self), self.dtype)

    def __add__(self, other: Value | Number) -> Value:
        return self._binary("add", other)

    def __sub__(self, other: Value | Number) -> Value:
        return self._binary("sub", other)

    def __mul__(self, other: Value | Number) -> Value:
        return self._binary("mul", other)

    def __truediv__(self, other: Value | Number) -> Value:
        assert self.floating
        return self._binary("div", other)

    def __radd__(self, other: Number) -> Value:
        return self.like(other) + self

    def __rsub__(self, other: Number) -> Value:
        return self.like(other) - self

    def __rmul__(self, other: Number) -> Value:
        return self.like(other) * self

    def __rtruediv__(self, other: Number) -> Value:
        return self.like(other) / self

    def __and__(self, other: Value | Number) -> Value:
        return self._binary("and", other)

    def __or__(self, other: Value | Number) -> Value:
        return self._binary("or", other)

    def __xor__(self, other: Value | Number) -> Value:
        return self._binary("xor", other)

    def __lshift__(self, other: Value | Number) -> Value:
        return self._binary("shl", other)

    def __rshift__(self, other: Value | Number) -> Value:
        return self._binary("shr", other)

    def __neg__(self) -> Value:
        return self._unary("neg")

    def __invert__(self) -> Value:
        return self._unary("invert")

    def __lt__(self, other: Value | Number) -> Value:
        return self._compare("lt", other)

    def __le__(self, other: Value | Number) -> Value:
        return self._compare("le", other)

    def __gt__(self, other: Value | Number) -> Value:
        return self._compare("gt", other)

    def __ge__(self, other: Value | Number) -> Value:
        return self._compare("ge", other)

    def __eq__(self, other: Value | Number) -> Value:  # type: ignore[override]
        return self._compare("eq", other)

    def __ne__(self, other: Value | Number) -> Value:  # type: ignore[override]
        return self._compare("ne", other)

    def abs(self) -> Value:
        return self._unary("abs")

    def sqrt(self) -> Value:
        return self._unary("sqrt")

    def floor(self) -> Value:
        return self._unary("floor")

    def ceil(self) -> Value:
        return self._unary("ceil")

    def trunc(self) -> Value:
        return self._unary("trunc")

    def round_even(self) -> Value:
        return self._unary("round_even")

    def quotient(self, other: Value) -> Value:
        """Truncated integer quotient; see `Target.binary` for what the divisor must be."""
        return self._binary("div", other)

    def remainder(self, other: Value) -> Value:
        """Remainder with the sign of `self` (C's % and fmod)."""
        return self._binary("rem", other)

    def to(self, dtype: str) -> Value:
        if dtype == self.dtype:
            return self
        return Value(self.target, self.target.convert(self, dtype), dtype)

    def bits(self) -> Value:
        """The bits of a float as an unsigned integer of the same width."""
        return self.bitcast(same_width(self.dtype, "uint"))

    def bitcast(self, dtype: str) -> Value:
        return Value(self.target, self.target.bitcast(self, dtype), dtype)


def select(condition: Value, a: Value | Number, b: Value | Number) -> Value:
    """a where the condition holds, else b. At least one of them is a `Value`."""
    if not isinstance(a, Value):
        assert isinstance(b, Value)
        a = b.like(a)
    b = a._lift(b)
    return Value(a.target, a.target.select(condition, a, b), a.dtype)


def muladd(a: Value, b: Value | Number, c: Value | Number) -> Value:
    """a*b + c: fused where that is cheap, and never inside a `strict` target."""
    b, c = a._lift(b), a._lift(c)
    if not a.target.fused:
        return a * b + c
    return Value(a.target, a.target.muladd(a, b, c), a.dtype)


def polynomial(x: Value, coefficients: tuple[float, ...]) -> Value:
    """c[0] + c[1] x + c[2] x**2 + ... by Horner's rule."""
    value = x.like(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        value = muladd(value, x, c)
    return value


def two_product(a: Value, b: Value) -> tuple[Value, Value]:
    """The rounded product and its exact error (Dekker 1971; one fma where there is one)."""
    product = a * b
    return product, Value(a.target, a.target.product_error(a, b, product), a.dtype)


def two_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """The rounded sum and its exact error (Knuth, TAOCP 2, 4.2.2)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def quick_two_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """As `two_sum` where |a| >= |b| (Dekker 1971)."""
    total = a + b
    return total, b - (total - a)
