"""Operations on the bits of integers; on booleans they are the logical ones."""

from collections.abc import Sequence

import numpy as np

from symnet.ops.elementwise import elementwise, integral

bit_and = elementwise("bit_and", "bit_and(x, y)", np.bitwise_and, dtypes=integral, commutative=True)
bit_or = elementwise("bit_or", "bit_or(x, y)", np.bitwise_or, dtypes=integral, commutative=True)
bit_xor = elementwise("bit_xor", "bit_xor(x, y)", np.bitwise_xor, dtypes=integral, commutative=True)
bit_not = elementwise("bit_not", "bit_not(x)", np.bitwise_not, dtypes=integral)


def _shift(dtypes: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """As `integral`, but booleans count as int8."""
    _, meet = integral(dtypes)
    meet = "int8" if meet == "bool" else meet
    return (meet,) * len(dtypes), meet


# A count that is negative or at least the width shifts everything out.
shift_left = elementwise("shift_left", "shift_left(x, y)", np.left_shift, dtypes=_shift)
shift_right = elementwise("shift_right", "shift_right(x, y)", np.right_shift, dtypes=_shift)
