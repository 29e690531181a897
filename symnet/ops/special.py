"""Special functions of mathematical physics and statistics. Integers become floatX."""

import math

import numpy as np

from symnet.ops.arithmetic import chain, mul, neg, square
from symnet.ops.elementwise import elementwise, to_float
from symnet.ops.exponential import exp

_TWO_BY_ROOT_PI = 2.0 / math.sqrt(math.pi)


def _erf(x: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erf, otypes=[x.dtype])(x)


def _erfc(x: np.ndarray) -> np.ndarray:
    return np.vectorize(math.erfc, otypes=[x.dtype])(x)


erf = elementwise(
    "erf",
    "erf(x)",
    _erf,
    gradient=lambda g, out, x: [chain(g, mul(exp(neg(square(x))), _TWO_BY_ROOT_PI))],
    dtypes=to_float,
    domain=(-3.0, 3.0),
)
erfc = elementwise(
    "erfc",
    "erfc(x)",
    _erfc,
    gradient=lambda g, out, x: [neg(chain(g, mul(exp(neg(square(x))), _TWO_BY_ROOT_PI)))],
    dtypes=to_float,
    domain=(-3.0, 3.0),
)
