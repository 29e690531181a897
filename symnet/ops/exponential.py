"""Exponentials, logarithms, powers, and the sigmoid family. Integers become floatX."""

import numpy as np

from symnet.graph.types import FLOATS
from symnet.graph.variables import Constant, Variable
from symnet.ops.arithmetic import add, chain, mul, neg, strong_div, strong_mul, sub
from symnet.ops.casting import cast
from symnet.ops.elementwise import Elementwise, elementwise, numeric, to_float
from symnet.ops.logic import eq, isnan, where

LN2 = float(np.log(2.0))
LN10 = float(np.log(10.0))

exp = elementwise(
    "exp",
    "exp(x)",
    np.exp,
    gradient=lambda g, out, x: [chain(g, out)],
    dtypes=to_float,
    domain=(-5.0, 5.0),
)
exp2 = elementwise(
    "exp2",
    "exp2(x)",
    np.exp2,
    gradient=lambda g, out, x: [chain(g, mul(out, LN2))],
    dtypes=to_float,
    domain=(-5.0, 5.0),
)
expm1 = elementwise(
    "expm1",
    "expm1(x)",
    np.expm1,
    gradient=lambda g, out, x: [chain(g, exp(x))],
    dtypes=to_float,
    domain=(-5.0, 5.0),
)
log = elementwise(
    "log",
    "log(x)",
    np.log,
    gradient=lambda g, out, x: [strong_div(g, x)],
    dtypes=to_float,
    domain=(0.1, 10.0),
)
log2 = elementwise(
    "log2",
    "log2(x)",
    np.log2,
    gradient=lambda g, out, x: [strong_div(g, mul(x, LN2))],
    dtypes=to_float,
    domain=(0.1, 10.0),
)
log10 = elementwise(
    "log10",
    "log10(x)",
    np.log10,
    gradient=lambda g, out, x: [strong_div(g, mul(x, LN10))],
    dtypes=to_float,
    domain=(0.1, 10.0),
)
log1p = elementwise(
    "log1p",
    "log1p(x)",
    np.log1p,
    gradient=lambda g, out, x: [strong_div(g, add(1, x))],
    dtypes=to_float,
    domain=(-0.9, 10.0),
)

# ---- powers


def _power(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """NumPy's; an integer to a negative power is the truncated quotient, and 0 for 0."""
    if x.dtype.kind == "f":
        return np.power(x, y)
    if x.dtype.kind == "u":
        return np.power(x, y)
    whole = np.power(x, np.maximum(y, 0))
    inverse = np.where(x == 1, 1, np.where(x == -1, np.where(y % 2 == 0, 1, -1), 0))
    return np.where(y < 0, inverse, whole).astype(x.dtype)


def _power_gradient(g: Variable, out: Variable, x: Variable, y: Variable) -> list[Variable | None]:
    """g y x**(y-1) and g x**y log(x).

    With strong products 0 * 0**-1 is 0, so x**0, x**1, x**2 have all their derivatives at 0. The
    derivative with respect to the exponent is taken as 0 at x = 0.
    """
    if isinstance(y, Constant) and y.data.size == 1:
        return [_fixed_power_gradient(g, x, y), None]
    if y.type.dtype not in FLOATS:
        y = cast(y, out.type.dtype)
        by_exponent = None
    else:
        by_exponent = chain(g, strong_mul(out, log(where(eq(x, 0), 1, x))))
    return [chain(g, strong_mul(y, power(x, sub(y, 1)))), by_exponent]


def _fixed_power_gradient(g: Variable, x: Variable, y: Constant) -> Variable:
    exponent = y.data.item()
    if exponent == 2:
        return chain(g, mul(2, x))
    product = mul if exponent else strong_mul
    return chain(g, product(exponent, power(x, exponent - 1)))


power = elementwise(
    "power",
    "power(x, y)",
    _power,
    gradient=_power_gradient,
    dtypes=numeric,
    domain=(0.3, 3.0),
)

# ---- sums of exponentials


def _safe_difference(x: Variable, y: Variable) -> Variable:
    """x - y, and 0 for equal infinities."""
    difference = sub(x, y)
    return where(isnan(difference), 0, difference)


logaddexp = elementwise(
    "logaddexp",
    f"where(x == y, x + {LN2!r}, maximum(x, y) + log1p(exp(-abs(x - y))))",
    np.logaddexp,
    gradient=lambda g, out, x, y: [
        chain(g, sigmoid(_safe_difference(x, y))),
        chain(g, sigmoid(_safe_difference(y, x))),
    ],
    dtypes=to_float,
    commutative=True,
)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, np.ones((), x.dtype), e) / (1 + e)


sigmoid: Elementwise = elementwise(
    "sigmoid",
    "sigmoid(x)",
    _sigmoid,
    # not 1 - out, which cancels in the right tail
    gradient=lambda g, out, x: [chain(g, mul(out, sigmoid(neg(x))))],
    dtypes=to_float,
    domain=(-8.0, 8.0),
)
softplus = elementwise(  # log(1 + e**x)
    "softplus",
    "softplus(x)",
    lambda x: np.logaddexp(x, np.zeros((), x.dtype)),
    gradient=lambda g, out, x: [chain(g, sigmoid(x))],
    dtypes=to_float,
    domain=(-8.0, 8.0),
)


# ---- products with logarithms, 0 where the factor is 0


def _xlogy(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where((x == 0) & ~np.isnan(y), np.zeros((), x.dtype), x * np.log(y))


def _xlog1py(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where((x == 0) & ~np.isnan(y), np.zeros((), x.dtype), x * np.log1p(y))


xlogy = elementwise(
    "xlogy",
    "where((x == 0) & ~isnan(y), 0, x * log(y))",
    _xlogy,
    gradient=lambda g, out, x, y: [chain(g, log(y)), strong_div(strong_mul(g, x), y)],
    dtypes=to_float,
    domain=(0.1, 10.0),
)
xlog1py = elementwise(
    "xlog1py",
    "where((x == 0) & ~isnan(y), 0, x * log1p(y))",
    _xlog1py,
    gradient=lambda g, out, x, y: [
        chain(g, log1p(y)),
        strong_div(strong_mul(g, x), add(1, y)),
    ],
    dtypes=to_float,
    domain=(0.1, 10.0),
)
