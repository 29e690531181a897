"""What a failed check of a running program becomes: the same words from every back end."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from symnet.errors import IndexOutOfBoundsError, ShapeError, SymnetError
from symnet.graph.origin import UNKNOWN, Origin
from symnet.graph.variables import SharedVariable, Variable
from symnet.schedule.program import SizeCheck


class Running(Protocol):
    """A program with the variables and the user's lines that messages name."""

    inputs: list[Variable]
    shared: list[SharedVariable]
    origins: list[Origin]


def wrong_input(variable: Variable, axis: int, size: int, wanted: int) -> ShapeError:
    """An argument's size is not the one of its type."""
    return ShapeError(
        f"input {variable} has size {size} in dimension {axis}; {variable.type} wants {wanted}"
    )


def wrong_sizes(
    running: Running, check: SizeCheck, a: int, b: int, arrays: Sequence[np.ndarray]
) -> SymnetError:
    """Sizes do not fulfil a check of the program; `a` and `b` are what it shows."""
    shown = f": {a} and {b}" if a != b else ""  # equal ones: no equation failed
    text = f"{check.message}{shown}{_given(running, arrays)}{_line(running, check.origin)}"
    return (IndexOutOfBoundsError if check.index else ShapeError)(text)


def wrong_index(
    running: Running, origin: int, index: int, size: int, arrays: Sequence[np.ndarray]
) -> IndexOutOfBoundsError:
    """A kernel met an index outside its dimension."""
    return IndexOutOfBoundsError(
        f"index {index} is out of bounds for a dimension of size {size}"
        f"{_given(running, arrays)}{_line(running, origin)}"
    )


def _given(running: Running, arrays: Sequence[np.ndarray]) -> str:
    shown = [_shown(v, a) for v, a in zip(running.inputs, arrays)]
    shown += [
        f"{s}: {s.dtype}{s.current_shape}" if s.current_shape else _shown(s, s.peek())
        for s in running.shared
    ]
    return f"\n  with {', '.join(shown)}" if shown else ""


def _shown(variable: Variable, array: Any) -> str:
    if array.shape:
        return f"{variable}: {array.dtype}{tuple(array.shape)}"
    return f"{variable} = {array} ({array.dtype})"


def _line(running: Running, origin: int) -> str:
    where = running.origins[origin] if origin < len(running.origins) else UNKNOWN
    return "" if where is UNKNOWN else f"\n  built at {where}"
