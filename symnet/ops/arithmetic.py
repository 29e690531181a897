"""Arithmetic, and the two products by which gradients stay free of NaN.

Conventions for integers: division by zero gives 0 as in NumPy, `//` and `%` are Python's, results
wrap. Booleans count as int8 in sums and products.

Gradients (design D11): an incoming gradient of exactly 0 must give 0 whatever the local factor is,
so that values masked out by `where` cannot leak. `chain(g, factor)` is the product and
`strong_div(g, divisor)` the quotient that do so. Both are linear in g and their own derivatives are
made of the same two, hence second derivatives are right also where g vanishes.
"""

import math

import numpy as np

from symnet.graph.types import FLOATS
from symnet.graph.variables import Constant, Variable
from symnet.ops.elementwise import Elementwise, elementwise, numeric, to_float
from symnet.ops.logic import eq, ge, gt, le, logical_and, lt, where

# ---- sums and products

add = elementwise(
    "add", "x + y", np.add, gradient=lambda g, out, x, y: [g, g], dtypes=numeric, commutative=True
)
sub = elementwise(
    "sub", "x - y", np.subtract, gradient=lambda g, out, x, y: [g, neg(g)], dtypes=numeric
)
mul = elementwise(
    "mul",
    "x * y",
    np.multiply,
    gradient=lambda g, out, x, y: [chain(g, y), chain(g, x)],
    dtypes=numeric,
    commutative=True,
)
neg: Elementwise = elementwise(
    "neg", "-x", np.negative, gradient=lambda g, out, x: [neg(g)], dtypes=numeric
)


identity = elementwise("identity", "x", np.copy, gradient=lambda g, out, x: [g])


def _strong_mul(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where((x == 0) | (y == 0), np.zeros((), x.dtype), x * y)


def _strong_div(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where(x == 0, np.zeros((), x.dtype), x / y)


strong_mul: Elementwise = elementwise(  # 0 if either factor is 0, also against inf and nan
    "strong_mul",
    "strong_mul(x, y)",
    _strong_mul,
    gradient=lambda g, out, x, y: [strong_mul(g, y), strong_mul(g, x)],
    dtypes=numeric,
    commutative=True,
)
strong_div: Elementwise = elementwise(  # 0 if the dividend is 0, also against 0 and nan
    "strong_div",
    "where(x == 0, 0, x / y)",
    _strong_div,
    gradient=lambda g, out, x, y: [
        strong_div(g, y),
        neg(strong_div(strong_mul(g, out), y)),
    ],
    dtypes=to_float,
)


def chain(g: Variable, factor: Variable) -> Variable:
    """The product `g * factor` of the chain rule, which is 0 where g is 0.

    A plain product where the factor cannot be inf or nan.
    """
    return mul(g, factor) if _is_finite(factor) else strong_mul(g, factor)


def _is_finite(factor: Variable) -> bool:
    if factor.type.dtype not in FLOATS:
        return True
    if not isinstance(factor, Constant):
        return False
    if factor.type.ndim == 0:
        return math.isfinite(factor.data)
    return factor.data.size <= 1024 and bool(np.isfinite(factor.data).all())


def _quotient(g: Variable, divisor: Variable) -> Variable:
    """The quotient `g / divisor` of the chain rule, which is 0 where g is 0."""
    if isinstance(divisor, Constant) and _is_finite(divisor) and divisor.data.all():
        return true_div(g, divisor)
    return strong_div(g, divisor)


# ---- division

true_div = elementwise(
    "true_div",
    "x / y",
    np.true_divide,
    gradient=lambda g, out, x, y: [
        _quotient(g, y),
        neg(_quotient(strong_mul(g, out), y)),
    ],
    dtypes=to_float,
)
floor_div = elementwise("floor_div", "x // y", np.floor_divide, dtypes=numeric)
floor_mod = elementwise(
    "floor_mod",
    "x % y",
    np.mod,
    gradient=lambda g, out, x, y: [g, neg(chain(g, floor_div(x, y)))],
    dtypes=numeric,
)
reciprocal = elementwise(
    "reciprocal",
    "reciprocal(x)",
    np.reciprocal,
    gradient=lambda g, out, x: [neg(chain(g, square(out)))],
    dtypes=to_float,
)

# ---- sign, powers of two

absolute = elementwise("abs", "abs(x)", np.abs, gradient=lambda g, out, x: [chain(g, sign(x))])
sign: Elementwise = elementwise("sign", "sign(x)", np.sign, dtypes=numeric)
square: Elementwise = elementwise(
    "square",
    "square(x)",
    np.square,
    gradient=lambda g, out, x: [chain(g, mul(2, x))],
    dtypes=numeric,
)
sqrt = elementwise(
    "sqrt",
    "sqrt(x)",
    np.sqrt,
    gradient=lambda g, out, x: [strong_div(g, mul(2, out))],
    dtypes=to_float,
    domain=(0.1, 10.0),
)


def _hypot() -> str:
    """Scaled by the larger one, so that squares neither overflow nor vanish."""
    large, small = "maximum(abs(x), abs(y))", "minimum(abs(x), abs(y))"
    scaled = f"{large} * sqrt(1 + square({small} / {large}))"
    return f"where(isinf(x) | isinf(y), 1e999, where({large} == 0, {large}, {scaled}))"


hypot = elementwise(
    "hypot",
    _hypot(),
    np.hypot,
    gradient=lambda g, out, x, y: [
        strong_div(strong_mul(g, x), out),
        strong_div(strong_mul(g, y), out),
    ],
    dtypes=to_float,
    commutative=True,
)

# ---- extrema. At a tie the first argument gets the whole gradient, as in Theano.

maximum = elementwise(
    "maximum",
    "maximum(x, y)",
    np.maximum,
    gradient=lambda g, out, x, y: [where(eq(out, x), g, 0), where(eq(out, x), 0, g)],
    commutative=True,
)
minimum = elementwise(
    "minimum",
    "minimum(x, y)",
    np.minimum,
    gradient=lambda g, out, x, y: [where(eq(out, x), g, 0), where(eq(out, x), 0, g)],
    commutative=True,
)
clip = elementwise(  # arguments: value, low, high
    "clip",
    "minimum(maximum(x, y), z)",
    lambda x, low, high: np.minimum(np.maximum(x, low), high),
    gradient=lambda g, out, x, low, high: [
        where(logical_and(ge(x, low), le(x, high)), g, 0),
        where(lt(x, low), g, 0),
        where(gt(x, high), g, 0),
    ],
)
relu = elementwise(  # the derivative at 0 is 0
    "relu",
    "maximum(x, 0)",
    lambda x: np.maximum(x, np.zeros((), x.dtype)),
    gradient=lambda g, out, x: [where(gt(out, 0), g, 0)],
    dtypes=numeric,
)
