"""The ends of a step of `map`, on their own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symnet.backends.gpu import host, moves
from symnet.backends.gpu.emulated import EmulatedDevice
from symnet.backends.gpu.launch import Device

pytestmark = pytest.mark.skipif(host.compiler() is None, reason="no C++ compiler")

CALLS = 3
SIZES = (
    st.integers(0, 40)
    | st.integers(1, 40).map(lambda n: 16 * n)
    | st.integers(moves.SMALL - 20, moves.SMALL + 20)
    | st.sampled_from([moves.SMALL, 3 * moves.SMALL, 5 * moves.SMALL + 4])
)


class Step:
    """A step of nothing but its ends; they make moves of these sizes, from and to places so many
    bytes behind aligned ones. `copied` are what each should have copied, of all calls."""

    def __init__(self, sizes, shifts, heads, **circumstances):
        self.device = device = EmulatedDevice(**circumstances)
        random = np.random.default_rng(0)
        self.values, self.kept, self.targets, table = [], [], [], []
        for size, shift in zip(sizes, shifts, strict=True):
            row = size + shift  # from call to call, so that rows are not aligned either
            value = random.integers(0, 256, CALLS * row + shift).astype(np.uint8)
            source, target = device.allocate(value.size), device.allocate(value.size)
            device.put(source.address, value)
            device.clear(target.address, target.size)
            table.append((source.address + shift, row, target.address + shift, row, size))
            self.values.append((value, row, shift, size))
            self.kept.append(source)
            self.targets.append(target)
        self.table, self.state, self.error = (
            device.allocate(n) for n in (8 * moves.WORDS * max(len(table), 1), 16, 24)
        )
        device.put(self.table.address, np.array(table, np.int64).reshape(-1))
        for memory in (self.state, self.error):
            device.clear(memory.address, memory.size)
        behind = self.table.address + 8 * moves.WORDS * heads
        where = self.state.address
        self.ends = (
            moves.end(self.table.address, table[:heads], where, False, device.geometry),
            moves.end(behind, table[heads:], where, True, device.geometry),
        )
        device.load([self.ends[0].source])

    def call(self):
        for end in self.ends:
            self.device.launch(end, 0, self.error.address)

    def counts(self):
        found = np.empty(2, np.int64)
        self.device.get(found, self.state.address)
        return found.tolist()

    def check(self, calls):
        for (value, row, shift, size), target in zip(self.values, self.targets):
            wanted, found = np.zeros_like(value), np.empty_like(value)
            for call in range(calls):
                part = slice(shift + call * row, shift + call * row + size)
                wanted[part] = value[part]
            self.device.get(found, target.address)
            assert np.array_equal(found, wanted)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.lists(SIZES, max_size=12), st.integers(1, 3), st.booleans())
def test_a_call_makes_its_moves_and_no_others(data, sizes, multiprocessors, downwards):
    shifts = [data.draw(st.sampled_from([0, 0, 1, 4, 16])) for _ in sizes]
    heads = data.draw(st.integers(0, len(sizes)))
    geometry = Device(multiprocessors, 8 << 10)
    step = Step(sizes, shifts, heads, geometry=geometry, downwards=downwards)
    for call in range(CALLS):
        step.call()
        assert step.counts() == [call + 1, call]
        step.check(call + 1)


def test_after_a_failed_check_the_count_stays():
    step = Step([8, 3 * moves.SMALL], [0, 0], 1)
    step.call()
    step.device.put(step.error.address, np.array([5, 0, 0]))
    for _ in range(2):
        step.call()
        assert step.counts() == [1, 1]


def test_small_moves_have_a_block_each():
    geometry = Device(2, 8 << 10)

    def blocks(*sizes):
        table = [(0, 0, 0, 0, size) for size in sizes]
        return moves.end(0, table, 0, True, geometry).launch.grid

    assert blocks() == 1
    assert blocks(4) == 1
    assert blocks(4, 4, 4) == 3
    assert blocks(4, 5 * moves.SMALL) == 6
    assert blocks(*[8] * 1000) == geometry.blocks
