"""Tools to test ops, functions and layers with: shipped, since users write ops and layers too.

The modules are read when a name of theirs is asked for: symnet itself needs `verify_grad` only.
Hypothesis strategies are in `symnet.testing.strategies`, which needs hypothesis.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
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

_MODULES = {
    "TOLERANCES": "tolerance",
    "RandomProgram": "random_graphs",
    "assert_close": "tolerance",
    "check_op": "check",
    "check_program": "comparison",
    "random_graph": "random_graphs",
    "verify_grad": "derivative",
}


def __getattr__(name: str) -> typing.Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
