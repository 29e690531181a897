"""Where the emulated device checks what the CPU's tape checks natively."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from symnet.backends.failure import wrong_index, wrong_input, wrong_sizes
from symnet.graph.variables import Variable
from symnet.schedule.program import Object, Reg


def check_static(variable: Variable, o: Object, shape: Sequence[int]) -> None:
    """Errors: ShapeError where a size is not the one of the type."""
    for axis, (wanted, size) in enumerate(zip(o.shape, shape)):
        if wanted is not None and wanted != size:
            raise wrong_input(variable, axis, size, wanted)


def check_sizes(runner: Any, registers: Sequence[int], arrays: Sequence[np.ndarray]) -> None:
    """The program's checks of sizes. Errors: ShapeError, IndexOutOfBoundsError."""

    def number(ref: Any) -> int:
        return registers[ref.number] if isinstance(ref, Reg) else ref

    for check in runner.program.checks:
        if not number(check.condition):
            raise wrong_sizes(runner, check, *map(number, check.shown), arrays)


def check_device(runner: Any, error: np.ndarray, arrays: Sequence[np.ndarray]) -> None:
    """The error record after a call. Errors: IndexOutOfBoundsError."""
    number, value, size = error.tolist()
    if number:
        origin, _ = runner.linked.checks[number - 1]
        raise wrong_index(runner, origin, value, size, arrays)
