"""Circular and hyperbolic functions and their inverses. Integers become floatX."""

import math

import numpy as np

from symnet.ops.arithmetic import (
    add,
    chain,
    hypot,
    mul,
    neg,
    reciprocal,
    sqrt,
    square,
    strong_div,
    strong_mul,
    sub,
)
from symnet.ops.elementwise import Elementwise, elementwise, to_float

sin = elementwise(
    "sin", "sin(x)", np.sin, gradient=lambda g, out, x: [chain(g, cos(x))], dtypes=to_float
)
cos: Elementwise = elementwise(
    "cos", "cos(x)", np.cos, gradient=lambda g, out, x: [neg(chain(g, sin(x)))], dtypes=to_float
)
tan = elementwise(
    "tan",
    "tan(x)",
    np.tan,
    gradient=lambda g, out, x: [chain(g, add(1, square(out)))],
    dtypes=to_float,
    domain=(-1.2, 1.2),
)
arcsin = elementwise(
    "arcsin",
    "arcsin(x)",
    np.arcsin,
    gradient=lambda g, out, x: [strong_div(g, sqrt(sub(1, square(x))))],
    dtypes=to_float,
    domain=(-0.9, 0.9),
)
arccos = elementwise(
    "arccos",
    "arccos(x)",
    np.arccos,
    gradient=lambda g, out, x: [neg(strong_div(g, sqrt(sub(1, square(x)))))],
    dtypes=to_float,
    domain=(-0.9, 0.9),
)
arctan = elementwise(
    "arctan",
    "arctan(x)",
    np.arctan,
    gradient=lambda g, out, x: [strong_div(g, add(1, square(x)))],
    dtypes=to_float,
)
arctan2 = elementwise(  # the angle of the point (y, x), arguments in that order
    "arctan2",
    "arctan2(x, y)",
    np.arctan2,
    gradient=lambda g, out, y, x: [
        strong_div(strong_mul(g, x), add(square(x), square(y))),
        neg(strong_div(strong_mul(g, y), add(square(x), square(y)))),
    ],
    dtypes=to_float,
    domain=(0.3, 3.0),
)
sinh = elementwise(
    "sinh",
    "sinh(x)",
    np.sinh,
    gradient=lambda g, out, x: [chain(g, cosh(x))],
    dtypes=to_float,
    domain=(-3.0, 3.0),
)
cosh: Elementwise = elementwise(
    "cosh",
    "cosh(x)",
    np.cosh,
    gradient=lambda g, out, x: [chain(g, sinh(x))],
    dtypes=to_float,
    domain=(-3.0, 3.0),
)
tanh = elementwise(
    "tanh",
    "tanh(x)",
    np.tanh,
    gradient=lambda g, out, x: [chain(g, sub(1, square(out)))],
    dtypes=to_float,
    domain=(-4.0, 4.0),
)
arcsinh = elementwise(
    "arcsinh",
    "arcsinh(x)",
    np.arcsinh,
    gradient=lambda g, out, x: [chain(g, reciprocal(hypot(1, x)))],
    dtypes=to_float,
)
arccosh = elementwise(
    "arccosh",
    "arccosh(x)",
    np.arccosh,
    gradient=lambda g, out, x: [strong_div(g, sqrt(mul(sub(x, 1), add(x, 1))))],
    dtypes=to_float,
    domain=(1.2, 8.0),
)
arctanh = elementwise(
    "arctanh",
    "arctanh(x)",
    np.arctanh,
    gradient=lambda g, out, x: [strong_div(g, mul(sub(1, x), add(1, x)))],
    dtypes=to_float,
    domain=(-0.9, 0.9),
)
deg2rad: Elementwise = elementwise(
    "deg2rad",
    f"x * {math.pi / 180!r}",
    np.deg2rad,
    gradient=lambda g, out, x: [deg2rad(g)],
    dtypes=to_float,
)
rad2deg: Elementwise = elementwise(
    "rad2deg",
    f"x * {180 / math.pi!r}",
    np.rad2deg,
    gradient=lambda g, out, x: [rad2deg(g)],
    dtypes=to_float,
)
