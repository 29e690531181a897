"""Random whole programs: every way to compile them agrees with the reference interpreter.

A CI run takes 300 programs, the nightly profile 20,000 (`-m nightly`); SYMNET_FUZZ_START and
SYMNET_FUZZ_COUNT choose others. A failure prints a small program that still fails.
"""

import os

import numpy as np
import pytest

import symnet
from symnet.testing import RandomProgram, random_graph

MODES = {
    "compiled": symnet.Mode(),
    "without rewriting": symnet.Mode(rewrite="none"),
    "without reuse": symnet.Mode(reuse=False),
}
BATCH = 10  # programs per test


def results(program: RandomProgram, mode: symnet.Mode) -> list[np.ndarray]:
    """Outputs, then new shared values, of a compiled program."""
    built, values = program.build(), program.input_values()
    f = symnet.function(
        built.inputs, built.outputs, updates=built.updates, mode=mode, on_unused_input="ignore"
    )
    outputs = f(*[values[v.name] for v in built.inputs])
    return list(outputs) + [shared.get_value() for shared, _ in built.updates]


def difference(program: RandomProgram, mode: symnet.Mode) -> str:
    """What differs from the reference, or an empty text."""
    expected = [array for part in program.expected() for array in part]
    allowed = [bound for part in program.tolerances() for bound in part]
    for number, (got, wanted, bound) in enumerate(zip(results(program, mode), expected, allowed)):
        if got.dtype != wanted.dtype or got.shape != wanted.shape:
            return f"result {number} is {got.dtype}{got.shape}, not {wanted.dtype}{wanted.shape}"
        if wanted.dtype.kind != "f":
            if not np.array_equal(got, wanted):
                return f"result {number} is {got}, not {wanted}"
        elif wanted.size and not (np.abs(got.astype("float64") - wanted) <= bound).all():
            return f"result {number} is off by {np.abs(got - wanted).max()}, {bound} is allowed"
    return ""


def check(seed: int, size: int) -> None:
    program = random_graph(seed, size)
    for name, mode in MODES.items():
        if problem := _problem(program, mode):
            small = program.shrink(lambda p, mode=mode: bool(_problem(p, mode)))
            pytest.fail(f"seed {seed}, {name}: {problem}\n{small.source()}")


def _problem(program: RandomProgram, mode: symnet.Mode) -> str:
    try:
        return difference(program, mode)
    except symnet.errors.SymnetError as error:
        return f"{type(error).__name__}: {error}"


START = int(os.environ.get("SYMNET_FUZZ_START", "0"))
COUNT = int(os.environ.get("SYMNET_FUZZ_COUNT", "300"))


@pytest.mark.parametrize("first", range(START, START + COUNT, BATCH))
def test_every_mode_agrees_with_the_reference(first):
    for seed in range(first, min(first + BATCH, START + COUNT)):
        check(seed, size=14)


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(10**6, 10**6 + 20_000, 100))
def test_twenty_thousand(first):
    for seed in range(first, first + 100):
        check(seed, size=12)
