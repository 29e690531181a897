"""Registers that values decide, computed anew for a call, or for many calls at once."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symnet.backends.gpu.link import moving_registers, wrapped
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


_ONE = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "floordiv": "{0} // {1} if {1} else 0",
    "mod": "{0} % {1} if {1} else 0",
    "min": "{0} if {0} <= {1} else {1}",
    "max": "{0} if {0} >= {1} else {1}",
    "eq": "1 if {0} == {1} else 0",
    "ne": "1 if {0} != {1} else 0",
    "lt": "1 if {0} < {1} else 0",
    "le": "1 if {0} <= {1} else 0",
    "and": "1 if {0} and {1} else 0",
    "or": "1 if {0} or {1} else 0",
    "select": "{1} if {0} else {2}",
}
"""The same as Python."""

_MAY_OVERFLOW = {"add", "sub", "mul", "floordiv"}


class Moving:
    """The registers of a program that do not follow from shapes alone.

    numbers     which they are, in the order in which they are computed
    objects     the objects whose values they come from, one for each "value"
    sizes       those that decide about sizes: with others another binding is wanted
    conditions  those that must not be 0
    """

    def __init__(self, program: Program, keys: Sequence[int]):
        self.numbers = moving_registers(program)
        self._steps = [(number, *program.registers[number]) for number in self.numbers]
        self.objects = [args[0] for _, op, *args in self._steps if op == "value"]
        self.sizes = [k for k in keys if k in self.numbers]
        conditions = [c.condition for c in program.checks if isinstance(c.condition, Reg)]
        self.conditions = [c.number for c in conditions if c.number in self.numbers]

    @functools.cached_property
    def update(self) -> Callable[[list[int], list[int]], list[int]]:
        """A function of all registers and of the objects' values that computes these registers, in
        place, and returns all: straight code, since it is run by every call."""
        lines = ["def update(r, values):"]
        taken = 0
        for number, op, *args in self._steps:
            if op == "value":
                lines.append(f"    r{number} = r[{number}] = values[{taken}]")
                taken += 1
                continue
            text = _ONE[op].format(*(self._operand(a) for a in args))
            lines.append(f"    r{number} = {text}")
            if op in _MAY_OVERFLOW:
                lines.append(f"    if not {-(2**63)} <= r{number} < {2**63}:")
                lines.append(f"        r{number} = wrapped(r{number})")
            lines.append(f"    r[{number}] = r{number}")
        lines.append("    return r")
        scope: dict[str, Any] = {"wrapped": wrapped}
        exec("\n".join(lines), scope)
        found: Callable[[list[int], list[int]], list[int]] = scope["update"]
        return found

    def _operand(self, a: Any) -> str:
        if not isinstance(a, Reg):
            return f"({a})"
        return f"r{a.number}" if a.number in self.numbers else f"r[{a.number}]"

    def many(
        self, registers: Sequence[int], values: Callable[[int], np.ndarray]
    ) -> list[int | np.ndarray]:
        """All registers, these as arrays over many calls."""
        found: list[int | np.ndarray] = list(registers)
        with np.errstate(all="ignore"):
            for number, op, *args in self._steps:
                if op == "value":
                    found[number] = values(args[0]).astype(np.int64)
                else:
                    given = [
                        found[a.number] if isinstance(a, Reg) else np.int64(wrapped(a))
                        for a in args
                    ]
                    found[number] = np.asarray(_MANY[op](*given), np.int64)
        return found
