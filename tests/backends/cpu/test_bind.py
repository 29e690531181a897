"""Binding: memory for every buffer, and slabs by shape."""

from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet.backends.cpu import tape_layout
from symnet.backends.cpu.bind import ALIGN, SHARE_NS, Frame
from symnet.schedule.program import Buffer

x = T.matrix("x")

BUFFERS = st.lists(
    st.tuples(
        st.sampled_from(["float32", "float64", "int64", "bool"]),
        st.sampled_from([0, 1, 7, 100, 101, 1000, 4096, 5000]),
        st.integers(0, 12),
        st.integers(0, 6),
    ),
    max_size=25,
).map(lambda rows: [Buffer(d, size, first, first + more) for d, size, first, more in rows])


def arena(buffers, scratch=(), threads=2):
    """(addresses, the frame) of the arena for these buffers."""
    frame = object.__new__(Frame)
    frame.linked = SimpleNamespace(program=SimpleNamespace(buffers=buffers), scratch=scratch)
    return frame._plan_arena(lambda ref: ref, threads), frame


def extent(buffer):
    return buffer.size * np.dtype(buffer.dtype).itemsize


@given(BUFFERS)
def test_buffers_that_are_alive_together_lie_apart(buffers):
    addresses, frame = arena(buffers)
    start = frame._arena.ctypes.data
    for a, (here, address) in enumerate(zip(buffers, addresses)):
        assert address % ALIGN == 0
        assert start <= address <= address + extent(here) <= start + frame._arena.nbytes
        for there, other in zip(buffers[:a], addresses):
            if here.first <= there.last and there.first <= here.last:
                assert address + extent(here) <= other or other + extent(there) <= address


def test_memory_of_the_dead_is_used_again():
    chain = [Buffer("float32", 10_000, k, k + 1) for k in range(200)]
    _, frame = arena(chain)
    assert frame.arena_bytes <= 5 * 4 * 10_000 + 5 * ALIGN


def test_every_thread_and_scratch_operand_has_a_row():
    """Two scratch operands in one step, one in another: rows of steps may coincide, no others."""
    scratch = ((10, 11, 4, 33, 0), (12, 13, 8, 7, 1), (20, 21, 4, 5, 0))
    _, frame = arena([Buffer("float32", 100, 0, 1)], scratch, threads=3)
    row = frame._row
    assert row >= 4 * 33 and row % ALIGN == 0
    assert frame._scratch % ALIGN == 0
    end = frame._arena.ctypes.data + frame._arena.nbytes
    assert frame._scratch + 2 * 3 * row <= end


def slabs(expression, shape, threads):
    """Slabs of the first step of a function of a float32 matrix."""
    with symnet.config.change(threads=threads):
        f = symnet.function([x], expression)
        f(np.ones(shape, "float32"))
        (frame,) = f._runner.free
        return int(frame.steps[0, tape_layout.STEP_SLABS])


def test_small_steps_are_not_shared():
    assert slabs(T.exp(x), (10, 10), 2) == 1
    assert slabs(T.exp(x), (0, 10), 2) == 1
    assert slabs(x.sum(axis=1), (10, 10), 2) == 1


def test_large_steps_are_shared_in_slabs_for_every_thread():
    for threads in (2, 3):
        found = slabs(T.exp(x), (2000, 1000), threads)
        assert found >= threads
        assert found % threads == 0
    assert slabs(T.exp(x), (2000, 1000), 1) == 1


def test_there_are_no_more_slabs_than_iterations():
    assert slabs(x.sum(axis=1), (3, 400_000), 2) <= 3
    assert slabs(T.nnet.softmax(x), (1, 400_000), 2) == 1


def test_slabs_depend_on_shapes_only():
    with symnet.config.change(threads=2):
        tables = []
        for seed in range(3):
            f = symnet.function([x], T.dot(T.exp(x), x.T).sum(axis=0))
            f(np.random.default_rng(seed).normal(size=(300, 200)).astype("float32"))
            (frame,) = f._runner.free
            columns = [tape_layout.STEP_EXTENT, tape_layout.STEP_SLABS, tape_layout.STEP_ALIGN]
            tables.append(frame.steps[:, columns].tolist())
    assert tables[0] == tables[1] == tables[2]


def test_sharing_is_worth_a_wake_up():
    """The threshold is some microseconds: what waking a thread costs."""
    assert 1_000 <= SHARE_NS <= 20_000
