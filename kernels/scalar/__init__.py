"""Scalar functions of the generated kernels: one definition each, lowered to every back end.

`FUNCTIONS` is the table of names. The definitions (arithmetic.py, exponential.py, ...) are written
once over the values of trace.py. llvm.py and cpu.py lower them for Numba, c.py for CUDA and C,
evaluate.py runs them on NumPy arrays; none of the three is imported from here. README.md states
accuracy and speed.
"""

from symnet.kernels.scalar import (  # noqa: F401  (each fills the table)
    arithmetic,
    bits,
    comparison,
    draws,
    exponential,
    gamma,
    half,
    hyperbolic,
    inverse_trigonometric,
    logarithm,
    philox,
    power,
    rounding,
    special,
    trigonometric,
)
from symnet.kernels.scalar.registry import FUNCTIONS, ScalarFunction

__all__ = ["FUNCTIONS", "ScalarFunction"]
