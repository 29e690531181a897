"""NumPy's own functions on symbolic variables: `np.concatenate([x, y])` builds an expression.

Those of NumPy's ufuncs are in variable.py; these are the others, by NumPy's dispatch protocol.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from symnet.ops import contraction
from symnet.tensor import assembly, elementwise, movement, reduction
from symnet.tensor.variable import use_numpy_functions

_BY_NAME = {
    assembly: "concatenate diag diagonal flip full_like hstack ones_like roll split take trace "
    "tril triu vstack zeros_like",
    contraction: "dot outer tensordot",
    elementwise: "clip isclose nan_to_num round where",
    movement: "atleast_1d atleast_2d broadcast_to expand_dims moveaxis ravel repeat reshape shape "
    "size squeeze swapaxes tile transpose",
    reduction: "allclose argmax argmin count_nonzero mean prod ptp std var",
}

FUNCTIONS: dict[Any, Callable[..., Any]] = {
    getattr(np, name): getattr(module, name)
    for module, names in _BY_NAME.items()
    for name in names.split()
}
FUNCTIONS.update(
    {
        np.stack: lambda arrays, axis=0: assembly.stack(list(arrays), axis=axis),
        np.sum: reduction.sum_,
        np.max: reduction.max_,
        np.min: reduction.min_,
        np.any: reduction.any_,
        np.all: reduction.all_,
        np.linalg.norm: reduction.norm,
        np.ndim: lambda x: x.ndim,
    }
)
use_numpy_functions(FUNCTIONS)
