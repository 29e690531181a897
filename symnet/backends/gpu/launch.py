"""How a kernel is launched: blocks, lanes of a group, and where rows of scratch lie.

Everything follows from the kernel, the sizes and the device. Results depend on the lanes, so equal
sizes on equal devices give equal bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from symnet.backends.gpu.prelude import THREADS, WARP
from symnet.backends.gpu.source import Source
from symnet.backends.words import itemsize
from symnet.schedule.kernel import Kernel

WAVES = 4  # blocks of a grid, in times of what the device holds; the rest is a loop
BUSY = 1024  # threads of a multiprocessor that hide its memory's latency
LANE_ITEMS = 8  # items of a lane below which a row takes no more lanes, if the device is busy
OWNER_ITEMS = 8  # indices of a scatter per owner, at least
ROW_ALIGN = 16  # bytes, of a row of scratch


@dataclass(frozen=True)
class Device:
    """What launching depends on.

    multiprocessors  how many there are
    shared           bytes of shared memory that a block may ask for
    """

    multiprocessors: int
    shared: int = 48 << 10

    @property
    def blocks(self) -> int:
        """Blocks of `THREADS` that it works on at the same time."""
        return self.multiprocessors * (2048 // THREADS)


@dataclass(frozen=True)
class Launch:
    """A launch. `threads` of a block are `THREADS`.

    grid       blocks; 0 where there is nothing to do
    lanes      of a group, in kernels that reduce rows
    shared     bytes of dynamic shared memory
    in_shared  whether scratch lies there
    scratch    bytes of one row, of each scratch operand; and rows that there must be in memory
    parts      of a row: with more than one a kernel is as many launches as it has stages
    tiles      sets of rows that a block has at the same time
    owners     of a scatter's destinations
    """

    grid: int
    lanes: int = 0
    shared: int = 0
    in_shared: bool = False
    scratch: tuple[int, ...] = ()
    scratch_rows: int = 0
    parts: int = 1
    tiles: int = 0
    owners: int = 0


def launch(
    kernel: Kernel,
    source: Source,
    extents: Sequence[int],
    device: Device,
    blocks: int = 0,
    scratch: Sequence[int] = (),
    splits: bool = False,
) -> Launch:
    """The launch of a kernel whose loops have these extents.

    blocks   of a "blocks" kernel
    scratch  elements of a row of each scratch operand
    splits   whether rows may be cut into parts
    """
    most = device.blocks * WAVES
    if kernel.form == "blocks":
        return Launch(min(blocks, most))
    if kernel.form == "map":
        return Launch(min(_ceil(_items(extents[: kernel.kept], source.width), THREADS), most))
    if kernel.form == "serial":
        tiles = _ceil(prod(extents[: kernel.outer]), THREADS)
        ordered = prod(extents[kernel.outer : kernel.kept])
        if not source.meets:
            return Launch(min(tiles, most), owners=1)
        owners = max(1, min(device.blocks // max(tiles, 1), ordered // OWNER_ITEMS))
        return Launch(min(tiles * owners, most) if ordered else 0, owners=owners)
    rows = prod(extents[: kernel.kept])
    if rows == 0:
        return Launch(0, 1)
    items = _items(extents[kernel.kept : kernel.loops], source.width)
    widest = THREADS
    if kernel.form == "columns":
        # lines of memory are read whole: a warp's lanes are neighbours
        widest = THREADS // min(WARP, _power_of_two(extents[kernel.kept - 1]))
    lanes = 1
    busy = device.multiprocessors * BUSY
    while 2 * lanes <= min(widest, items) and (items > LANE_ITEMS * lanes or rows * lanes < busy):
        lanes *= 2
    sizes = [o.dtype for o in kernel.operands if o.per_thread]
    row_bytes = tuple(
        _ceil(n * itemsize(dtype), ROW_ALIGN) * ROW_ALIGN for n, dtype in zip(scratch, sizes)
    )
    tiles = _ceil(rows * lanes, THREADS)
    if splits and lanes == widest:
        parts = min(device.blocks // tiles, items // (lanes * LANE_ITEMS))
        if parts > 1:
            grid = min(tiles * parts, most)
            return Launch(grid, lanes, 0, False, row_bytes, rows, parts, tiles)
    if not row_bytes:
        return Launch(min(tiles, most), lanes)
    while lanes < widest and THREADS // lanes * sum(row_bytes) > device.shared:
        lanes *= 2
    groups = THREADS // lanes
    near = groups * sum(row_bytes) <= device.shared
    grid = min(_ceil(rows, groups), most if near else device.blocks)
    shared = groups * sum(row_bytes) if near else 0
    return Launch(grid, lanes, shared, near, row_bytes, 0 if near else grid * groups)


def _items(extents: Sequence[int], width: int) -> int:
    """Packs of all loops, if packs are aligned."""
    return prod(extents[:-1]) * _ceil(extents[-1], width) if extents else 1


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def _power_of_two(n: int) -> int:
    """The least one that is not smaller."""
    return 1 << max(n - 1, 0).bit_length()
