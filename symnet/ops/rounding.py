"""Rounding to whole numbers; integers stay as they are. The derivative is zero."""

from collections.abc import Callable

import numpy as np

from symnet.ops.elementwise import elementwise, numeric


def _of_floats(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """NumPy releases differ in what they do to integers."""
    return lambda x: function(x) if x.dtype.kind == "f" else x


floor = elementwise("floor", "floor(x)", _of_floats(np.floor))
ceil = elementwise("ceil", "ceil(x)", _of_floats(np.ceil))
trunc = elementwise("trunc", "trunc(x)", _of_floats(np.trunc))
round_even = elementwise("round_even", "round_even(x)", _of_floats(np.rint))
round_away = elementwise(
    "round_away",
    # adding 0.5 would carry 0.49999997 up to 1; the fraction is doubled so that no literal is a
    # float and the text holds for integers too
    "where(abs(x - trunc(x)) + abs(x - trunc(x)) >= 1, trunc(x) + sign(x), trunc(x))",
    _of_floats(lambda x: np.trunc(x) + np.where(abs(x - np.trunc(x)) >= 0.5, np.sign(x), 0)),
    dtypes=numeric,
)
