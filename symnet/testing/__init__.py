"""Tools to test ops, functions and layers with: shipped, since users write ops and layers too.

Hypothesis strategies are in `symnet.testing.strategies`, which needs hypothesis.
"""

from symnet.testing.check import check_op
from symnet.testing.comparison import check_program
from symnet.testing.derivative import verify_grad
from symnet.testing.random_graphs import RandomProgram, random_graph
from symnet.testing.tolerance import TOLERANCES, assert_close

__all__ = [
    "TOLERANCES",
    "RandomProgram",
    "assert_close",
    "check_op",
    "check_program",
    "random_graph",
    "verify_grad",
]
