"""Whole random graphs in every mode: the net under the compiler."""

import pytest

from symnet.errors import AssertionFailedError
from symnet.testing import comparison, random_graph
from symnet.testing.comparison import MODES, check_program

PER_CHUNK = 10


def check(seeds):
    for seed in seeds:
        try:
            check_program(random_graph(seed))
        except AssertionFailedError as error:
            raise AssertionFailedError(f"random_graph({seed}): {error}") from None


@pytest.mark.parametrize("chunk", range(30))
def test_modes_agree(chunk):
    check(range(chunk * PER_CHUNK, (chunk + 1) * PER_CHUNK))


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_modes_agree_on_halves(half):
    programs = [random_graph(seed, half=half) for seed in range(8)]
    assert sum(half in program.source() for program in programs) > 5
    for program in programs:
        check_program(program)


@pytest.mark.nightly
@pytest.mark.skipif("'nightly' not in config.option.markexpr", reason="pytest -m nightly")
@pytest.mark.parametrize("chunk", range(200))
def test_modes_agree_on_many(chunk):
    """20,000 programs of 6 to 17 operations, each mode against the interpreter."""
    modes = ["compiled", "without rewriting", "without reuse"]
    for seed in range(1000 + chunk * 100, 1100 + chunk * 100):
        check_program(random_graph(seed, size=6 + seed % 12), modes)


def test_differences_are_found_and_made_small(monkeypatch):
    """A mode that gets tanh wrong: the report is a program that ends in tanh."""
    program = next(
        p
        for p in map(random_graph, range(300))
        if any("T.tanh" in text and "grad" not in text for _, text in p.lines)
    )

    def wrong(program, mode):
        outputs, updated = program.expected()
        if any("T.tanh" in text for _, text in program.lines):
            outputs[-1] = outputs[-1] + outputs[-1].dtype.type(1)
        return outputs, updated

    monkeypatch.setattr(comparison, "run_program", wrong)
    with pytest.raises(AssertionFailedError, match="off by") as caught:
        check_program(program, ["compiled"])
    lines = str(caught.value).split("\n\nf = ")[0].splitlines()
    assert "T.tanh" in lines[-1]


def test_errors_count_as_differences(monkeypatch):
    def broken(program, mode):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(comparison, "run_program", broken)
    with pytest.raises(AssertionFailedError, match="no such kernel"):
        check_program(random_graph(0), ["compiled"])
    assert set(MODES) >= {"compiled", "without rewriting", "without reuse", "reference"}
