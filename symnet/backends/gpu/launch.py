"""How a kernel is launched: blocks, lanes of a group, and where rows of scratch lie.

Everything follows from the kernel, the sizes and the device. Results depend on the lanes, so equal
sizes on equal devices give equal bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from symnet.backends.arena import rounded
from symnet.backends.gpu.packs import kept_bytes
from symnet.backends.gpu.prelude import FULL_PACK, THREADS, WARP
from symnet.backends.gpu.source import Source
from symnet.backends.gpu.tiles import is_crossed, power_of_two, tiles_of
from symnet.backends.words import itemsize
from symnet.schedule.kernel import Kernel

BUSY = 1024  # threads of a multiprocessor that hide its memory's latency
LANE_ITEMS = 8  # items of a lane below which a row takes no more lanes, if the device is busy
PART_ITEMS = 16  # items of a lane, of rows that are cut into parts: a launch more has to pay
PART_WAVES = 4  # blocks of all parts, in times of what the device holds
COMBINED = 4  # results of parts that a lane combines where nothing else is done
SEGMENT = 8  # lanes whose packs are a line of memory
NARROW = 8  # columns side by side that a block takes at least: a sector of memory
KEPT = 128  # bytes of a row that a lane keeps in registers, where more lanes would do as well
SINGLES_KEPT = 64  # the same of single elements, whose addresses take registers too
MOST_KEPT = 256  # where they would not
STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # items of a lane for which there is a text
OWNER_ITEMS = 8  # indices of a scatter per owner, at least
ROW_ALIGN = 16  # bytes, of a row of scratch


@dataclass(frozen=True)
class Device:
    """What launching depends on.

    multiprocessors  how many there are
    shared           bytes of shared memory that a block may have where several are to fit
    most_shared      bytes that it may have at most; 0: as many
    waves            blocks of a grid, in times of what the device holds; the rest is a loop. Many,
                     since the last wave is seldom full
    """

    multiprocessors: int
    shared: int = 48 << 10
    most_shared: int = 0
    waves: int = 32

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
    tiles      blocks of those stages that only combine what parts have found
    combine    lanes of a group in them
    owners     of a scatter's destinations
    keep       of rows that are kept: lanes, items of a lane (0: in shared memory), elements of each
    """

    grid: int
    lanes: int = 0
    shared: int = 0
    in_shared: bool = False
    scratch: tuple[int, ...] = ()
    scratch_rows: int = 0
    parts: int = 1
    tiles: int = 0
    combine: int = 0
    owners: int = 0
    keep: tuple[int, int, int] | None = None


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
    most = device.blocks * device.waves
    if kernel.form == "blocks":
        return Launch(min(blocks, most))
    if kernel.form == "map":
        if is_crossed(kernel):
            return Launch(min(tiles_of(kernel, extents), most))
        items = _items(extents[: kernel.kept], source.width)
        spread = min(_ceil(items, THREADS), device.blocks)  # a device that is not full: one item
        return Launch(min(max(_ceil(items, THREADS * source.unroll), spread), most))
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
    busy = device.multiprocessors * BUSY
    length = extents[-1] if extents else 0
    keep = _kept(kernel, rows, length, source.width, busy)
    shared = 0
    if keep is None and rows >= device.multiprocessors:
        shared = _shared(kernel, length, device)
        keep = (THREADS, 0, 1 if length % source.width else source.width) if shared else None
    if keep is not None:
        lanes = keep[0]
        none = (0,) * sum(o.per_thread for o in kernel.operands)
        grid = min(_ceil(rows * lanes, THREADS), most)
        return Launch(grid, lanes, shared, bool(none), none, keep=keep)
    widest = THREADS
    if kernel.form == "columns":
        # lines of memory are read whole: a warp's lanes are neighbours, if that leaves enough to do
        side = WARP
        while side > NARROW and _threads(rows, items, side, splits) < busy:
            side //= 2
        widest = THREADS // min(side, power_of_two(extents[kernel.kept - 1]))
    lanes = 1
    while 2 * lanes <= min(widest, items) and (items > LANE_ITEMS * lanes or rows * lanes < busy):
        lanes *= 2
    sizes = [o.dtype for o in kernel.operands if o.per_thread]
    row_bytes = tuple(rounded(n * itemsize(dtype), ROW_ALIGN) for n, dtype in zip(scratch, sizes))
    tiles = _ceil(rows * lanes, THREADS)
    if splits and lanes == widest:
        parts = min(PART_WAVES * device.blocks // tiles, items // (lanes * PART_ITEMS))
        if parts > 1:
            grid = min(tiles * parts, most)
            most_lanes = THREADS
            if kernel.form == "columns":
                most_lanes //= min(NARROW, power_of_two(extents[kernel.kept - 1]))
            combine = min(most_lanes, max(lanes, power_of_two(_ceil(parts, COMBINED))))
            return Launch(
                grid,
                lanes,
                0,
                False,
                row_bytes,
                rows,
                parts,
                _ceil(rows * combine, THREADS),
                combine,
            )
    if not row_bytes:
        return Launch(min(tiles, most), lanes)
    while lanes < widest and THREADS // lanes * sum(row_bytes) > device.shared:
        lanes *= 2
    groups = THREADS // lanes
    near = groups * sum(row_bytes) <= device.shared
    grid = min(_ceil(rows, groups), most if near else device.blocks)
    shared = groups * sum(row_bytes) if near else 0
    return Launch(grid, lanes, shared, near, row_bytes, 0 if near else grid * groups)


def _kept(
    kernel: Kernel, rows: int, length: int, width: int, busy: int
) -> tuple[int, int, int] | None:
    """How rows are kept in registers; None if they are not."""
    each = kept_bytes(kernel)
    if not each or not length:
        return None
    if length % width:  # the next row is not aligned
        width = 1
    items = _ceil(length, width)
    few = max((KEPT if width > 1 else SINGLES_KEPT) // (each * width), 1)
    lanes = min(SEGMENT, power_of_two(_ceil(items, 2)))
    if width == 1:
        lanes = min(WARP, power_of_two(_ceil(items, 4)))
    while lanes < THREADS and (items > few * lanes or (2 * lanes <= items and rows * lanes < busy)):
        lanes *= 2
    count = next((n for n in STEPS if n * lanes >= items), 0)
    fits = count and count * each * width <= MOST_KEPT
    return (lanes, count, width) if fits else None


def _shared(kernel: Kernel, length: int, device: Device) -> int:
    """Bytes of shared memory that keep a row; 0 if that is too much, or nothing is kept."""
    size = kept_bytes(kernel) * rounded(length, FULL_PACK * THREADS)
    return size if size <= max(device.most_shared, device.shared) - THREADS else 0


def _threads(columns: int, items: int, side: int, splits: bool) -> int:
    """How many have work where a block takes `side` columns, all parts taken together."""
    lanes = THREADS // side
    return columns * lanes * max(1, items // (lanes * PART_ITEMS) if splits else 1)


def _items(extents: Sequence[int], width: int) -> int:
    """Packs of all loops, if packs are aligned."""
    return prod(extents[:-1]) * _ceil(extents[-1], width) if extents else 1


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
