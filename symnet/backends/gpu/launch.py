"""How a kernel is launched: blocks, lanes of a group, and where rows of scratch lie.

Everything follows from the kernel, the sizes and the device. Results depend on the lanes, so equal
sizes on equal devices give equal bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from symnet.backends.gpu.emit import Source, itemsize
from symnet.backends.gpu.prelude import THREADS, WARP
from symnet.schedule.kernel import Kernel

WAVES = 4  # blocks of a grid, in times of what the device holds; the rest is a loop
BUSY = 1024  # threads of a multiprocessor that hide its memory's latency
LANE_ITEMS = 8  # items of a lane below which a row takes no more lanes, if the device is busy
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
    """

    grid: int
    lanes: int = 0
    shared: int = 0
    in_shared: bool = False
    scratch: tuple[int, ...] = ()
    scratch_rows: int = 0


def launch(
    kernel: Kernel,
    source: Source,
    extents: Sequence[int],
    device: Device,
    blocks: int = 0,
    scratch: Sequence[int] = (),
) -> Launch:
    """The launch of a kernel whose loops have these extents.

    blocks   of a "blocks" kernel
    scratch  elements of a row of each scratch operand
    """
    most = device.blocks * WAVES
    if kernel.form == "blocks":
        return Launch(min(blocks, most))
    if kernel.form in ("map", "serial"):
        if kernel.form == "serial":
            points = prod(extents[: kernel.outer])
        else:
            points = _items(extents[: kernel.kept], source.width)
        return Launch(min(_ceil(points, THREADS), most))
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
    if not row_bytes:
        return Launch(min(_ceil(rows * lanes, THREADS), most), lanes)
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
