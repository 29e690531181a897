"""What the host checks before a call, as the CPU's tape does natively."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from symnet.backends.failure import wrong_input, wrong_sizes
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
