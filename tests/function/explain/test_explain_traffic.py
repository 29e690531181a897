"""Bytes and operations against counting by hand, and against NumPy's sizes for any shape."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symnet
import symnet.tensor as T


def steps_of(inputs, outputs, arrays, updates=()):
    return symnet.function(inputs, outputs, updates=updates).explain(*arrays).steps


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["float32", "float64", "int64"]))
def test_elementwise_reads_and_writes_each_array_once(rows, columns, dtype):
    x, y = T.matrix("x", dtype=dtype), T.matrix("y", dtype=dtype)
    arrays = [np.ones((rows, columns), dtype)] * 2
    f = symnet.function([x, y], x * y + x)
    f(*arrays)
    (step,) = f.explain().steps
    size = np.dtype(dtype).itemsize
    assert step.bytes == 3 * rows * columns * size
    assert step.operations == 2 * rows * columns


def test_broadcasts_are_read_once():
    x, b = T.matrix("x"), T.vector("b")
    (step,) = steps_of([x, b], x + b, [np.ones((30, 20), "float32"), np.ones(20, "float32")])
    assert {a.label: a.reads for a in step.accesses if a.reads} == {"x": 2400, "b": 80}


def test_several_passes_over_a_row_count_once():
    x = T.matrix("x")
    (step,) = steps_of([x], T.nnet.softmax(x), [np.ones((30, 20), "float32")])
    assert step.bytes == 2 * 2400


def test_partial_sums_count():
    x = T.vector("x")
    first, second = steps_of([x], x.sum(), [np.ones(20000, "float32")])
    blocks = -(-20000 // 8192)
    assert first.bytes == 4 * 20000 + 8 * blocks
    assert second.bytes == 8 * blocks + 4


def test_gathers_read_what_they_take_but_no_more_than_there_is():
    table, rows = T.matrix("table"), T.lvector("rows")
    values = np.ones((10, 6), "float32")
    (few,) = steps_of([table, rows], table[rows] * 2, [values, np.array([1, 2])])
    read = {a.label: a.reads for a in few.accesses}
    assert read["table"] == 4 * 2 * 6 and read["rows"] == 16
    (many,) = steps_of([table, rows], table[rows] * 2, [values, np.zeros(500, "int64")])
    assert {a.label: a.reads for a in many.accesses}["table"] == 4 * 60


def test_batched_products():
    a, b = T.tensor3("a"), T.tensor3("b")
    arrays = np.ones((4, 5, 6), "float32"), np.ones((4, 6, 7), "float32")
    (step,) = steps_of([a, b], T.batched_dot(a, b), arrays)
    assert step.bytes == 4 * 4 * (5 * 6 + 6 * 7 + 5 * 7)
    assert step.operations == 2 * 4 * 5 * 6 * 7


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_accumulating_products_read_their_result(scale):
    x = T.matrix("x")
    W = symnet.shared(np.ones((3, 4), "float32"), name="W")
    f = symnet.function([x], [], updates=[(W, W - scale * T.dot(x.T, T.dot(x, W)))])
    steps = f.explain(np.ones((2, 3), "float32")).steps
    (access,) = [a for a in steps[-1].accesses if a.label == "W"]
    assert (access.reads, access.writes, access.kind) == (48, 48, "changes")
