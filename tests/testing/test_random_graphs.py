import numpy as np
import pytest

from symnet.backends.reference import evaluate, evaluate_all
from symnet.graph import TensorType
from symnet.rewrite.phases import stabilise
from symnet.testing import RandomProgram, random_graph
from symnet.testing.check import check_shapes

SEEDS = range(40)


def test_equal_seeds_give_equal_programs():
    for seed in range(10):
        assert random_graph(seed).source() == random_graph(np.random.default_rng(seed)).source()
    assert random_graph(1).source() != random_graph(2).source()


@pytest.mark.parametrize("seed", SEEDS)
def test_programs_are_valid_and_well_behaved(seed):
    program = random_graph(seed)
    outputs, new_values = program.expected()
    assert outputs
    for value in outputs + new_values:
        assert np.isfinite(value).all()
    built = program.build()
    values = program.input_values()
    known = evaluate_all(
        [*built.outputs, *(new for _, new in built.updates)],
        {v: values[v.name] for v in built.inputs},
    )
    check_shapes(list(known), known)


@pytest.mark.parametrize("seed", SEEDS)
def test_tolerances_hold_for_another_order_of_operations(seed):
    """Decisions do not hang on rounding: the stabilised graph agrees, and so does float64."""
    program = random_graph(seed)
    built = program.build()
    values = program.input_values()
    rewritten = evaluate(stabilise(built.outputs), {v: values[v.name] for v in built.inputs})
    exact, _ = program.expected("float64")
    expected, _ = program.expected()
    for a, b, c, bound in zip(rewritten, expected, exact, program.tolerances()[0], strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        if a.dtype.kind == "f" and a.size:
            assert np.abs(a - b).max() <= bound and np.abs(b - c).max() <= bound
        else:
            assert np.array_equal(a, b) and np.array_equal(b, c)


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_halves(half):
    """Programs of halves are valid, and within their tolerances of float64."""
    for seed in range(15):
        program = random_graph(seed, half=half)
        found, new = program.expected()
        exact, _ = program.expected("float64")
        assert all(np.isfinite(v.astype("float64")).all() for v in found + new)
        for a, b, bound in zip(found, exact, program.tolerances()[0], strict=True):
            if a.size:
                assert np.abs(a.astype("float64") - b).max() <= bound
    space = {}
    exec(program.source(), space)
    assert any(v.dtype == half for v in program.values.values())


def test_vocabulary_is_met():
    text = "\n".join(line for seed in range(150) for _, line in random_graph(seed, 25).lines)
    words = (
        "T.dot T.matmul dimshuffle reshape set_subtensor inc_subtensor symnet.grad symnet.shared "
        "T.where T.cast T.concatenate softmax logsumexp T.argmax T.max T.arange T.prod ::-1 [np."
    )
    for word in words.split():
        assert word in text, word


def test_source_is_the_program():
    program = random_graph(5)
    space = {}
    body = program.source().split("\nf = ")[0].replace("import symnet\n", "")
    from symnet.testing.random_graphs import _SYMNET

    space["symnet"] = _SYMNET
    exec(body, space)
    built = program.build()
    inputs = [space[v.name] for v in built.inputs]
    given = {v: space[f"value_of_{v.name}"] for v in inputs}
    found = evaluate([space[name] for name in program.outputs], given)
    for a, b in zip(found, program.expected()[0], strict=True):
        assert np.array_equal(a, b)


def test_shrinking_finds_the_line():
    program = next(
        p
        for p in map(random_graph, range(200))
        if any("T.tanh" in text and "grad" not in text for _, text in p.lines)
        and len(p.outputs) > 1
    )

    def fails(candidate: RandomProgram) -> bool:
        candidate.expected()  # every candidate is a valid program
        return any("T.tanh" in text for _, text in candidate.lines)

    small = program.shrink(fails)
    assert "T.tanh" in small.lines[-1][1]
    assert len(small.outputs) == 1 and not small.updates
    assert small.without_unused().lines == small.lines


def test_float64_version():
    built = random_graph(3).build("float64")
    assert all(v.type != TensorType("float32", v.type.shape) for v in built.variables.values())
