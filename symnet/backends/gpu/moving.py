"""Registers that values decide, computed anew for a call, or for many calls at once."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symnet.backends.gpu.link import wrapped
from symnet.graph.dims import OPERATORS
from symnet.schedule.program import Program, Reg

_MANY: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "floordiv": lambda a, b: np.where(b != 0, a // np.where(b == 0, 1, b), 0),
    "mod": lambda a, b: np.where(b != 0, a % np.where(b == 0, 1, b), 0),
    "min": np.minimum,
    "max": np.maximum,
    "eq": lambda a, b: (a == b).astype(np.int64),
    "ne": lambda a, b: (a != b).astype(np.int64),
    "lt": lambda a, b: (a < b).astype(np.int64),
    "le": lambda a, b: (a <= b).astype(np.int64),
    "and": lambda a, b: ((a != 0) & (b != 0)).astype(np.int64),
    "or": lambda a, b: ((a != 0) | (b != 0)).astype(np.int64),
    "select": lambda c, a, b: np.where(c != 0, a, b),
}
"""`symnet.graph.dims.OPERATORS` for arrays of int64."""


class Moving:
    """The registers of a program that do not follow from shapes alone.

    numbers  which they are, in the order in which they are computed
    objects  the objects whose values they come from
    checks   the program's checks that depend on them
    """

    def __init__(self, program: Program):
        self.numbers: list[int] = []
        known: set[int] = set()
        self._steps: list[tuple[int, str, tuple[Any, ...]]] = []
        for number, (op, *args) in enumerate(program.registers):
            if op == "value" or any(isinstance(a, Reg) and a.number in known for a in args):
                known.add(number)
                self.numbers.append(number)
                self._steps.append((number, op, tuple(args)))
        self.objects = [args[0] for _, op, args in self._steps if op == "value"]
        self.checks = [
            check
            for check in program.checks
            if isinstance(check.condition, Reg) and check.condition.number in known
        ]

    def update(self, registers: list[int], values: Callable[[int], int]) -> None:
        """Compute them from objects' values; the others stay."""
        for number, op, args in self._steps:
            if op == "value":
                registers[number] = int(values(args[0]))
            else:
                given = [registers[a.number] if isinstance(a, Reg) else a for a in args]
                registers[number] = wrapped(int(OPERATORS[op](*given)))

    def many(
        self, registers: Sequence[int], values: Callable[[int], np.ndarray]
    ) -> list[int | np.ndarray]:
        """All registers, these as arrays over many calls."""
        found: list[int | np.ndarray] = list(registers)
        with np.errstate(all="ignore"):
            for number, op, args in self._steps:
                if op == "value":
                    found[number] = values(args[0]).astype(np.int64)
                else:
                    given = [
                        found[a.number] if isinstance(a, Reg) else np.int64(wrapped(a))
                        for a in args
                    ]
                    found[number] = np.asarray(_MANY[op](*given), np.int64)
        return found
