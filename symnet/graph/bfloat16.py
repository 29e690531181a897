"""NumPy's dtype of bfloat16, which the package ml_dtypes brings."""

import numpy as np

from symnet.errors import TypeMismatchError


def bfloat16() -> np.dtype:
    """The dtype. Errors: TypeMismatchError without the package."""
    try:
        import ml_dtypes  # noqa: PLC0415  (optional)
    except ImportError as problem:
        raise TypeMismatchError(
            f"bfloat16 needs the package ml_dtypes ({problem}): pip install 'symnet[half]'"
        ) from None
    return np.dtype(ml_dtypes.bfloat16)
