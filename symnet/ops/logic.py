"""Comparisons, tests for special values, logic, and the choice between two values.

Results of comparisons and logic are bool; their derivative is zero.
"""

import numpy as np

from symnet.ops.elementwise import Elementwise, choose, compare, elementwise, logic

lt = elementwise("lt", "x < y", np.less, dtypes=compare)
le = elementwise("le", "x <= y", np.less_equal, dtypes=compare)
gt = elementwise("gt", "x > y", np.greater, dtypes=compare)
ge = elementwise("ge", "x >= y", np.greater_equal, dtypes=compare)
eq = elementwise("eq", "x == y", np.equal, dtypes=compare, commutative=True)
neq = elementwise("neq", "x != y", np.not_equal, dtypes=compare, commutative=True)

isnan = elementwise("isnan", "isnan(x)", np.isnan, dtypes=compare)
isinf = elementwise("isinf", "isinf(x)", np.isinf, dtypes=compare)
isfinite = elementwise("isfinite", "isfinite(x)", np.isfinite, dtypes=compare)

logical_and = elementwise("logical_and", "x & y", np.logical_and, dtypes=logic, commutative=True)
logical_or = elementwise("logical_or", "x | y", np.logical_or, dtypes=logic, commutative=True)
logical_xor = elementwise("logical_xor", "x ^ y", np.logical_xor, dtypes=logic, commutative=True)
logical_not = elementwise("logical_not", "~x", np.logical_not, dtypes=logic)

# The branch that was not taken gets an exact zero, whatever it holds.
where: Elementwise = elementwise(
    "where",
    "where(x, y, z)",
    np.where,
    gradient=lambda g, out, condition, y, z: [
        None,
        where(condition, g, 0),
        where(condition, 0, g),
    ],
    dtypes=choose,
)
