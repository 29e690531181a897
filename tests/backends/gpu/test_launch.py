"""Launches: everything is covered, once, within what the device has."""

from math import prod

from hypothesis import given
from hypothesis import strategies as st

from symnet.backends.gpu.launch import Device, launch
from symnet.backends.gpu.prelude import THREADS
from symnet.backends.gpu.source import Source
from symnet.schedule.kernel import Kernel, Operand, Stage

H100 = Device(multiprocessors=132)
EXTENTS = st.lists(st.integers(0, 3000) | st.integers(0, 40), min_size=1, max_size=4)
DEVICES = st.sampled_from([H100, Device(1, 4 << 10, waves=1), Device(40)])
WIDTHS = st.sampled_from([1, 2, 4, 8])


def kernel(form, kept, loops, scratch=(), **more):
    operands = tuple(Operand(dtype, k, True, per_thread=True) for k, dtype in enumerate(scratch))
    return Kernel(form, kept, loops - kept, operands, (), loops, (Stage(),), **more)


def source(width):
    return Source("", (), 0, width, True)


@given(EXTENTS, DEVICES, WIDTHS)
def test_maps_have_a_thread_for_what_there_is(extents, device, width):
    how = launch(kernel("map", len(extents), len(extents)), source(width), extents, device)
    items = prod(extents[:-1]) * -(-extents[-1] // width)
    assert (how.grid == 0) == (items == 0)
    assert how.grid <= device.blocks * device.waves
    assert (how.grid - 1) * THREADS < max(items, 1)  # no block without work


@given(EXTENTS, EXTENTS, DEVICES, WIDTHS, st.sampled_from(["rows", "columns"]))
def test_rows_have_groups(kept, reduced, device, width, form):
    k = kernel(form, len(kept), len(kept) + len(reduced))
    how = launch(k, source(width if form == "rows" else 1), kept + reduced, device)
    assert (how.grid == 0) == (prod(kept) == 0)
    if how.grid:
        assert how.lanes in (1, 2, 4, 8, 16, 32, 64, 128, 256)
        groups = THREADS // how.lanes
        assert (how.grid - 1) * groups < prod(kept)
        if form == "columns":
            assert groups >= min(8, kept[-1])  # neighbouring columns in neighbouring threads


@given(
    st.integers(1, 5000), st.integers(0, 100_000), DEVICES, WIDTHS,
    st.lists(st.sampled_from(["float32", "float64", "bool"]), min_size=1, max_size=3),
)  # fmt: skip
def test_scratch_rows(rows, length, device, width, dtypes):
    k = kernel("rows", 1, 2, dtypes)
    how = launch(k, source(width), [rows, length], device, 0, [length] * len(dtypes))
    groups = THREADS // how.lanes
    sizes = {"float32": 4, "float64": 8, "bool": 1}
    for size, dtype in zip(how.scratch, dtypes, strict=True):
        assert size >= length * sizes[dtype] and size % 16 == 0
    if how.in_shared:
        assert how.shared == groups * sum(how.scratch) <= device.shared
        assert how.scratch_rows == 0
    else:
        assert how.shared == 0 and how.scratch_rows == how.grid * groups


@given(st.integers(0, 10**6), DEVICES)
def test_blocks(count, device):
    how = launch(kernel("blocks", 0, 1), source(4), [count * 8192], device, count)
    assert how.grid == min(count, device.blocks * device.waves)


@given(st.integers(0, 5000), st.integers(0, 10**6), DEVICES)
def test_scatter_is_shared_out_among_owners(outer, ordered, device):
    how = launch(kernel("serial", 2, 2, outer=1), source(1), [outer, ordered], device)
    tiles = -(-outer // THREADS)
    assert (how.grid == 0) == (outer * ordered == 0)
    assert how.owners >= 1 and tiles * how.owners <= max(device.blocks, tiles)
    assert how.grid <= tiles * how.owners


def test_a_scatter_whose_indices_nobody_can_see_ahead_has_no_owners():
    text = Source("", (), 0, 1, False)
    how = launch(kernel("serial", 2, 2, outer=1), text, [1000, 100], H100)
    assert (how.grid, how.owners) == (4, 1)


@given(st.integers(1, 40), st.integers(0, 10**7), DEVICES, WIDTHS, st.booleans())
def test_few_long_rows_are_cut_into_parts(rows, length, device, width, scratch):
    k = kernel("rows", 1, 2, ["float32"] * scratch)
    arguments = source(width), [rows, length], device, 0, [length] * scratch
    how = launch(k, *arguments, splits=True)
    assert launch(k, *arguments).parts == 1
    if how.parts > 1:
        tiles = -(-rows * how.lanes // THREADS)
        assert tiles * how.parts <= 4 * device.blocks
        assert how.grid == min(tiles * how.parts, device.blocks * device.waves)
        assert how.lanes <= how.combine <= THREADS
        assert how.tiles == -(-rows * how.combine // THREADS)
        assert not how.in_shared and how.scratch_rows == rows
    elif length > 10**6:
        assert 2 * rows > device.blocks  # there is enough to do without


def test_long_rows_take_blocks_and_short_ones_share_them():
    def lanes(rows, length):
        return launch(kernel("rows", 1, 2), source(4), [rows, length], H100).lanes

    assert lanes(1_000_000, 8) == 1
    assert lanes(1_000_000, 1000) == 32
    assert lanes(100_000, 100_000) == THREADS
    assert lanes(10, 1000) == 128  # few rows: as many lanes as find work
