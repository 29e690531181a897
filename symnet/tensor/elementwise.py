"""Element-wise functions, under Theano's names and NumPy's.

Arguments are variables, arrays, lists or Python numbers; the last are weakly typed. Shapes
broadcast along missing leading dimensions and dimensions of static size 1; an integer mixed with a
float keeps the float's dtype. Where a function is said to be floating, integers become floatX.

Errors: ShapeError for static sizes that do not fit; TypeMismatchError for what is not numeric, and
for floats where bits are asked for.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from symnet.errors import TypeMismatchError
from symnet.graph.types import FLOATS
from symnet.graph.types import largest as largest_of
from symnet.ops import (
    arithmetic,
    bits,
    casting,
    exponential,
    logic,
    rounding,
    special,
    trigonometric,
)
from symnet.ops.conversion import as_variable, as_variables

if TYPE_CHECKING:
    from symnet.tensor.variable import TensorVariable


def abs_(x: Any) -> TensorVariable:
    """Absolute value. Its derivative at 0 is 0."""
    return arithmetic.absolute(x)


def neg(x: Any) -> TensorVariable:
    """-x."""
    return arithmetic.neg(x)


def sign(x: Any) -> TensorVariable:
    """-1, 0 or 1; NaN for NaN."""
    return arithmetic.sign(x)


def square(x: Any) -> TensorVariable:
    """x * x."""
    return arithmetic.square(x)


def sqrt(x: Any) -> TensorVariable:
    """Square root, floating."""
    return arithmetic.sqrt(x)


def reciprocal(x: Any) -> TensorVariable:
    """1 / x, floating."""
    return arithmetic.reciprocal(x)


# ---- Exponentials and logarithms


def exp(x: Any) -> TensorVariable:
    """e**x, floating."""
    return exponential.exp(x)


def exp2(x: Any) -> TensorVariable:
    """2**x, floating."""
    return exponential.exp2(x)


def expm1(x: Any) -> TensorVariable:
    """e**x - 1, accurate near 0; floating."""
    return exponential.expm1(x)


def log(x: Any) -> TensorVariable:
    """Natural logarithm, floating."""
    return exponential.log(x)


def log2(x: Any) -> TensorVariable:
    """Logarithm to base 2, floating."""
    return exponential.log2(x)


def log10(x: Any) -> TensorVariable:
    """Logarithm to base 10, floating."""
    return exponential.log10(x)


def log1p(x: Any) -> TensorVariable:
    """log(1 + x), accurate near 0; floating."""
    return exponential.log1p(x)


def sigmoid(x: Any) -> TensorVariable:
    """1 / (1 + e**-x), floating."""
    return exponential.sigmoid(x)


def softplus(x: Any) -> TensorVariable:
    """log(1 + e**x) without overflow, floating."""
    return exponential.softplus(x)


# ---- Trigonometric and hyperbolic functions, all floating


def sin(x: Any) -> TensorVariable:
    """Sine."""
    return trigonometric.sin(x)


def cos(x: Any) -> TensorVariable:
    """Cosine."""
    return trigonometric.cos(x)


def tan(x: Any) -> TensorVariable:
    """Tangent."""
    return trigonometric.tan(x)


def arcsin(x: Any) -> TensorVariable:
    """Inverse sine, in [-pi/2, pi/2]."""
    return trigonometric.arcsin(x)


def arccos(x: Any) -> TensorVariable:
    """Inverse cosine, in [0, pi]."""
    return trigonometric.arccos(x)


def arctan(x: Any) -> TensorVariable:
    """Inverse tangent, in [-pi/2, pi/2]."""
    return trigonometric.arctan(x)


def sinh(x: Any) -> TensorVariable:
    """Hyperbolic sine."""
    return trigonometric.sinh(x)


def cosh(x: Any) -> TensorVariable:
    """Hyperbolic cosine."""
    return trigonometric.cosh(x)


def tanh(x: Any) -> TensorVariable:
    """Hyperbolic tangent."""
    return trigonometric.tanh(x)


def arcsinh(x: Any) -> TensorVariable:
    """Inverse hyperbolic sine."""
    return trigonometric.arcsinh(x)


def arccosh(x: Any) -> TensorVariable:
    """Inverse hyperbolic cosine, NaN below 1."""
    return trigonometric.arccosh(x)


def arctanh(x: Any) -> TensorVariable:
    """Inverse hyperbolic tangent, NaN outside [-1, 1]."""
    return trigonometric.arctanh(x)


def deg2rad(x: Any) -> TensorVariable:
    """Degrees to radians."""
    return trigonometric.deg2rad(x)


def rad2deg(x: Any) -> TensorVariable:
    """Radians to degrees."""
    return trigonometric.rad2deg(x)


# ---- Special functions, floating


def erf(x: Any) -> TensorVariable:
    """Error function."""
    return special.erf(x)


def erfc(x: Any) -> TensorVariable:
    """1 - erf(x), accurate in the right tail."""
    return special.erfc(x)


# ---- Rounding; integers stay as they are


def floor(x: Any) -> TensorVariable:
    """The largest whole number up to x."""
    return rounding.floor(x)


def ceil(x: Any) -> TensorVariable:
    """The smallest whole number from x on."""
    return rounding.ceil(x)


def trunc(x: Any) -> TensorVariable:
    """The whole number next to x towards 0."""
    return rounding.trunc(x)


def rint(x: Any) -> TensorVariable:
    """The nearest whole number, halves to the even one."""
    return rounding.round_even(x)


# ---- Tests and logic; the result is bool


def isnan(x: Any) -> TensorVariable:
    """Whether x is NaN."""
    return logic.isnan(x)


def isinf(x: Any) -> TensorVariable:
    """Whether x is inf or -inf."""
    return logic.isinf(x)


def isfinite(x: Any) -> TensorVariable:
    """Whether x is neither infinite nor NaN."""
    return logic.isfinite(x)


def logical_not(x: Any) -> TensorVariable:
    """Whether x is 0."""
    return logic.logical_not(x)


# ---- Two arguments


def sub(x: Any, y: Any) -> TensorVariable:
    """x - y."""
    return arithmetic.sub(x, y)


def true_div(x: Any, y: Any) -> TensorVariable:
    """x / y, floating."""
    return arithmetic.true_div(x, y)


def floor_div(x: Any, y: Any) -> TensorVariable:
    """floor(x / y), Python's //; integers by 0 give 0."""
    return arithmetic.floor_div(x, y)


def mod(x: Any, y: Any) -> TensorVariable:
    """x - floor(x / y) * y, Python's %; integers by 0 give 0."""
    return arithmetic.floor_mod(x, y)


def power(x: Any, y: Any) -> TensorVariable:
    """x**y. An integer to a negative power is truncated: see `true_div` for the inverse."""
    return exponential.power(x, y)


def maximum(x: Any, y: Any) -> TensorVariable:
    """The larger one, NaN if either is. At a tie x gets the gradient."""
    return arithmetic.maximum(x, y)


def minimum(x: Any, y: Any) -> TensorVariable:
    """The smaller one, NaN if either is. At a tie x gets the gradient."""
    return arithmetic.minimum(x, y)


def hypot(x: Any, y: Any) -> TensorVariable:
    """sqrt(x**2 + y**2) without overflow, floating."""
    return arithmetic.hypot(x, y)


def logaddexp(x: Any, y: Any) -> TensorVariable:
    """log(e**x + e**y) without overflow, floating."""
    return exponential.logaddexp(x, y)


def xlogy(x: Any, y: Any) -> TensorVariable:
    """x * log(y), and 0 where x is 0; floating."""
    return exponential.xlogy(x, y)


def xlog1py(x: Any, y: Any) -> TensorVariable:
    """x * log(1 + y), and 0 where x is 0; floating."""
    return exponential.xlog1py(x, y)


def arctan2(x: Any, y: Any) -> TensorVariable:
    """Angle of the point with ordinate x and abscissa y, in [-pi, pi]; floating."""
    return trigonometric.arctan2(x, y)


def lt(x: Any, y: Any) -> TensorVariable:
    """x < y, bool."""
    return logic.lt(x, y)


def le(x: Any, y: Any) -> TensorVariable:
    """x <= y, bool."""
    return logic.le(x, y)


def gt(x: Any, y: Any) -> TensorVariable:
    """x > y, bool."""
    return logic.gt(x, y)


def ge(x: Any, y: Any) -> TensorVariable:
    """x >= y, bool."""
    return logic.ge(x, y)


def eq(x: Any, y: Any) -> TensorVariable:
    """Whether x equals y, bool (`==` compares identity)."""
    return logic.eq(x, y)


def neq(x: Any, y: Any) -> TensorVariable:
    """Whether x differs from y, bool (`!=` compares identity)."""
    return logic.neq(x, y)


def logical_and(x: Any, y: Any) -> TensorVariable:
    """Whether both are nonzero, bool."""
    return logic.logical_and(x, y)


def logical_or(x: Any, y: Any) -> TensorVariable:
    """Whether either is nonzero, bool."""
    return logic.logical_or(x, y)


def logical_xor(x: Any, y: Any) -> TensorVariable:
    """Whether just one is nonzero, bool."""
    return logic.logical_xor(x, y)


def bitwise_and(x: Any, y: Any) -> TensorVariable:
    """Bits set in both integers; `and` of booleans."""
    return bits.bit_and(x, y)


def bitwise_or(x: Any, y: Any) -> TensorVariable:
    """Bits set in either integer; `or` of booleans."""
    return bits.bit_or(x, y)


def bitwise_xor(x: Any, y: Any) -> TensorVariable:
    """Bits set in just one integer; `xor` of booleans."""
    return bits.bit_xor(x, y)


def left_shift(x: Any, y: Any) -> TensorVariable:
    """Bits of x moved up by y, 0 if y is out of range."""
    return bits.shift_left(x, y)


def right_shift(x: Any, y: Any) -> TensorVariable:
    """Bits of x moved down by y, the sign repeated."""
    return bits.shift_right(x, y)


def bitwise_not(x: Any) -> TensorVariable:
    """Every bit of an integer turned over; `not` of booleans."""
    return bits.bit_not(x)


# ---- several arguments


def _fold(op: Any, x: Any, others: tuple[Any, ...]) -> Any:
    return functools.reduce(op, others, x) if others else as_variable(x)


def add(x: Any, *others: Any) -> TensorVariable:
    """The sum of all arguments."""
    return _fold(arithmetic.add, x, others)


def mul(x: Any, *others: Any) -> TensorVariable:
    """The product of all arguments."""
    return _fold(arithmetic.mul, x, others)


def largest(x: Any, *others: Any) -> TensorVariable:
    """The largest of all arguments, element by element."""
    return _fold(arithmetic.maximum, x, others)


def smallest(x: Any, *others: Any) -> TensorVariable:
    """The smallest of all arguments, element by element."""
    return _fold(arithmetic.minimum, x, others)


def divmod(x: Any, y: Any) -> tuple[TensorVariable, TensorVariable]:
    """`floor_div` and `mod`."""
    return floor_div(x, y), mod(x, y)


def clip(x: Any, min: Any, max: Any) -> TensorVariable:
    """x where it lies in [min, max], else the nearer bound. Its derivative at the bounds is 1."""
    return arithmetic.clip(x, min, max)


def where(condition: Any, if_true: Any, if_false: Any) -> TensorVariable:
    """Element by element `if_true` where `condition` is nonzero, else `if_false`.

    Nothing of the other choice gets into the result or its gradient, not even NaN.
    """
    condition = casting.cast(as_variable(condition), "bool")
    return logic.where(condition, *as_variables([if_true, if_false]))


def ceil_intdiv(x: Any, y: Any) -> TensorVariable:
    """ceil(x / y) of integers, without the way through floats."""
    quotient = floor_div(x, y)
    return add(quotient, cast(neq(mod(x, y), 0), quotient.dtype))


def round(x: Any, mode: str = "half_to_even") -> TensorVariable:
    """The nearest whole number, of the same dtype.

    Halves go to the even one, or with mode="half_away_from_zero" to the larger magnitude.
    """
    if mode == "half_to_even":
        return rounding.round_even(x)
    if mode == "half_away_from_zero":
        return rounding.round_away(x)
    raise TypeMismatchError(f"mode={mode!r} is neither 'half_to_even' nor 'half_away_from_zero'")


def iround(x: Any, mode: str = "half_to_even") -> TensorVariable:
    """`round`, as int64."""
    return cast(round(x, mode), "int64")


def cast(x: Any, dtype: Any) -> TensorVariable:
    """x with another dtype; x itself if it has it already.

    Floats become integers by truncation; out of range they saturate, NaN becomes 0. Integers wrap.
    The gradient passes from float to float only.
    """
    return casting.cast(x, dtype)  # type: ignore[return-value]


def identity(x: Any) -> TensorVariable:
    """Another variable of the same value."""
    return arithmetic.identity(x)


# ---- compositions


def isclose(
    x: Any, y: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> TensorVariable:
    """Whether |x - y| <= atol + rtol * |y|, or both are the same infinity. bool."""
    x, y = as_variables([x, y])
    if x.type.dtype not in FLOATS and y.type.dtype not in FLOATS:
        x, y = casting.cast(x, "float64"), casting.cast(y, "float64")
    bound = atol + rtol * abs_(y)
    close = logical_or(eq(x, y), logical_and(le(abs_(sub(x, y)), bound), isfinite(y)))
    return logical_or(close, logical_and(isnan(x), isnan(y))) if equal_nan else close


def nan_to_num(
    x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> TensorVariable:
    """x with NaN replaced, and infinities by the largest finite numbers or those given."""
    x = as_variable(x)
    if x.type.dtype not in FLOATS:
        return x  # type: ignore[return-value]
    most = largest_of(x.type.dtype)
    high = most if posinf is None else posinf
    low = -most if neginf is None else neginf
    finite = where(isnan(x), nan, x)
    return where(eq(x, np.inf), high, where(eq(x, -np.inf), low, finite))


# ---- Theano's other names, and NumPy's

abs = absolute = abs_
negative = neg
sgn = sign
sqr = square
inv = reciprocal
floor_divide = int_div = floor_div
remainder = floor_mod = mod
divide = true_divide = true_div
subtract = sub
multiply = mul
pow = power
expit = sigmoid
less, less_equal, greater, greater_equal = lt, le, gt, ge
equal, not_equal = eq, neq
switch = where
and_ = bitwise_and
or_ = bitwise_or
xor = bitwise_xor
invert = bitwise_not
