"""What a failed check of the device becomes: the same errors as on the CPU."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from symnet.errors import IndexOutOfBoundsError, ShapeError
from symnet.graph.origin import UNKNOWN
from symnet.graph.variables import Variable
from symnet.schedule.program import Object, Reg


def check_static(variable: Variable, o: Object, shape: Sequence[int]) -> None:
    """Errors: ShapeError where a size is not the one of the type."""
    for axis, (wanted, size) in enumerate(zip(o.shape, shape)):
        if wanted not in (None, size):
            raise ShapeError(
                f"input {variable} has size {size} in dimension {axis}; "
                f"{variable.type} wants {wanted}"
            )


def check_sizes(runner: Any, registers: Sequence[int], arrays: Sequence[np.ndarray]) -> None:
    """The program's checks of sizes. Errors: ShapeError, IndexOutOfBoundsError."""

    def number(ref: Any) -> int:
        return registers[ref.number] if isinstance(ref, Reg) else ref

    for check in runner.program.checks:
        if not number(check.condition):
            a, b = map(number, check.shown)
            shown = f": {a} and {b}" if a != b else ""  # equal ones: no equation failed
            text = f"{check.message}{shown}{_given(runner, arrays)}{_line(runner, check.origin)}"
            raise (IndexOutOfBoundsError if check.index else ShapeError)(text)


def check_device(runner: Any, error: np.ndarray, arrays: Sequence[np.ndarray]) -> None:
    """The error record after a call. Errors: IndexOutOfBoundsError."""
    number, value, size = error.tolist()
    if number:
        origin, _ = runner.linked.checks[number - 1]
        raise IndexOutOfBoundsError(
            f"index {value} is out of bounds for a dimension of size {size}"
            f"{_given(runner, arrays)}{_line(runner, origin)}"
        )


def _given(runner: Any, arrays: Sequence[np.ndarray]) -> str:
    shown = [(v, a) for v, a in zip(runner.inputs, arrays)]
    shown += [(s, s.storage) for s in runner.shared]
    texts = [
        f"{v} = {a} ({a.dtype})" if not a.shape else f"{v}: {a.dtype}{a.shape}" for v, a in shown
    ]
    return f"\n  with {', '.join(texts)}" if texts else ""


def _line(runner: Any, origin: int) -> str:
    where = runner.origins[origin] if origin < len(runner.origins) else UNKNOWN
    return "" if where is UNKNOWN else f"\n  built at {where}"
