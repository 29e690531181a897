"""Random programs through every mode of `function`, against the interpreter."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symnet.errors import AssertionFailedError
from symnet.function import Mode, function
from symnet.graph.types import is_float
from symnet.testing.random_graphs import RandomProgram

# Compiled as users get it; each great transformation switched off alone; and the oracle through
# the same door.
MODES: dict[str, Mode] = {
    "compiled": Mode(),
    "without rewriting": Mode(rewrite="none"),
    "without reuse": Mode(reuse=False),
    "without fusion": Mode(fuse=False),
    "reference": Mode("reference"),
}


def run_program(program: RandomProgram, mode: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Outputs and new shared values of one call of the program, compiled in `mode`."""
    built = program.build()
    values = program.input_values()
    call = function(
        built.inputs, built.outputs, mode=mode, updates=built.updates, on_unused_input="ignore"
    )
    outputs = call(*[values[v.name] for v in built.inputs])  # type: ignore[index]
    return [np.asarray(a) for a in outputs], [w.get_value() for w, _ in built.updates]


def difference(program: RandomProgram, mode: Any) -> str | None:
    """What `mode` gives another value for than the interpreter does, or None."""
    expected = [a for part in program.expected() for a in part]
    bounds = [b for part in program.tolerances() for b in part]
    found = [a for part in run_program(program, mode) for a in part]
    names = [*program.outputs, *(f"new {shared}" for shared, _ in program.updates)]
    for name, a, b, bound in zip(names, found, expected, bounds, strict=True):
        if a.dtype != b.dtype or a.shape != b.shape:
            return f"{name} is {a.dtype} {a.shape}, not {b.dtype} {b.shape}"
        if not is_float(b):
            if not np.array_equal(a, b):
                return f"{name} is {a!r:.200}, not {b!r:.200}"
        elif b.size:
            error = np.abs(a.astype("float64") - b.astype("float64")).max()
            if not error <= bound:  # also when NaN
                return f"{name} is off by {error:.3g}, allowed {bound:.3g}"
    return None


def check_program(
    program: RandomProgram, modes: Sequence[str] = tuple(MODES), shrink: bool = True
) -> None:
    """Run a random program in several modes (names in MODES).

    Errors: AssertionFailedError with the mode, the difference or the error raised, and a small
    program that shows it (with shrink=False: the program itself).
    """
    for name in modes:
        mode = MODES[name]
        problem = _problem(program, mode)
        if problem is None:
            continue
        if shrink:
            program = program.shrink(_same_problem(mode, problem))
            problem = _problem(program, mode)
        raise AssertionFailedError(f"mode {name!r}: {problem}\n\n{program.source()}")


def _problem(program: RandomProgram, mode: Any) -> str | None:
    try:
        return difference(program, mode)
    except Exception as error:  # whatever it is, the interpreter had no objection
        return f"raised {type(error).__name__}: {error}"


def _same_problem(mode: Any, problem: str) -> Callable[[RandomProgram], bool]:
    """Whether a program has a problem of the same kind: shrinking must not slide into another."""

    def kind(found: str | None) -> str | None:
        if found is None:
            return None
        return found.split(":")[0] if found.startswith("raised ") else "value"

    return lambda program: kind(_problem(program, mode)) == kind(problem)
