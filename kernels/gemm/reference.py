"""NumPy reference of the gemm step."""

import numpy as np

from symnet.kernels.gemm import BY_COLUMNS, BY_MATRICES, BY_ROWS


def gemm(a, b, c, lo, hi, *, ta=False, tb=False, alpha=1.0, beta=0.0, axis=BY_ROWS):
    """C after the slab lo..hi: alpha op(a) op(b) + beta c inside it, c outside, in float64.

    a, b and c are matrices, or stacks of them on a leading axis; a and b of 2 dimensions serve all
    matrices of c. With beta = 0 the values of c inside the slab do not matter, NaN included; with
    alpha = 0 those of a and b do not.
    """
    a, b = (np.asarray(x, np.float64) for x in (a, b))
    old = np.array(c, np.float64)
    value = np.zeros_like(old)
    if alpha != 0:
        left = np.swapaxes(a, -1, -2) if ta else a
        right = np.swapaxes(b, -1, -2) if tb else b
        value += alpha * np.matmul(left, right)
    if beta != 0:
        value += beta * old
    where = {
        BY_ROWS: np.s_[..., lo:hi, :],
        BY_COLUMNS: np.s_[..., lo:hi],
        BY_MATRICES: np.s_[lo:hi],
    }[axis]
    old[where] = value[where]
    return old
