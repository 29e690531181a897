"""Explanations of random programs: what they say about arrays is what the program does."""

import re

import numpy as np
import pytest

import symnet
from symnet.backends.gpu.host import compiler
from symnet.testing import random_graph

CASES = [("cpu", seed) for seed in (3, 31, 142, 150, 175, 180, 231, 245, 262)]
CASES += [("emulated", seed) for seed in (3, 31, 180)]


@pytest.mark.parametrize("device, seed", CASES)
def test_equations_name_the_arrays_that_are_read_and_written(device, seed):
    if device == "emulated" and compiler() is None:
        pytest.skip("needs a C++ compiler")
    program = random_graph(seed, 25)
    built = program.build()
    f = symnet.function(
        built.inputs,
        built.outputs,
        updates=built.updates,
        on_unused_input="ignore",
        device=device,
    )
    values = program.input_values()
    f(*[values[v.name] for v in built.inputs])
    before = [s.get_value() for s in f.get_shared()]
    found = f.explain()
    for shared, value in zip(f.get_shared(), before):
        np.testing.assert_array_equal(shared.get_value(), value)
    assert len(found.steps) == len(f.program.steps)
    for step in found.steps:
        assert step.bytes is not None and step.results
        read = {a.label for a in step.accesses if a.reads}
        written = {a.label for a in step.accesses if a.writes}
        for text in step.results:
            left, _, right = text.replace(" += ", " = ").partition(" = ")
            right = re.sub(r"\w+\.shape", "", right)  # known before the call, not read
            assert step.bytes == 0 or set(re.findall(r"\bbuf\d+\b", right)) <= read
            assert step.bytes == 0 or left.partition("[")[0] in written
    (plan,) = found.memory
    for b in plan.buffers:
        assert b.offset + b.bytes <= plan.arena and (b.holds or b.bytes == 0)
        for other in plan.buffers[: b.number]:
            if b.first <= other.last and other.first <= b.last and b.bytes and other.bytes:
                assert b.offset + b.bytes <= other.offset or other.offset + other.bytes <= b.offset
