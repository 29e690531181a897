"""Where buffers lie in one piece of memory: those that live at different times share places."""

import heapq
from collections.abc import Sequence

TRIED = 8  # free places that are looked at for a buffer
SMALL = 4096  # bytes; smaller places are not kept for small buffers


def place(
    sizes: Sequence[int], lives: Sequence[tuple[int, int]], align: int, apart: int = 0
) -> tuple[list[int], int]:
    """Offsets of buffers, and the bytes of all: first fit, in the order of their first step.

    sizes  in bytes; places are multiples of `align`
    lives  first and last step of each, both included
    apart  steps that have to be between two lives in one place: 0 where steps run one by one
    """
    offsets = [0] * len(sizes)
    free: list[tuple[int, int]] = []  # (size, offset), a heap by size
    dying: list[tuple[int, int, int]] = []  # (last step, offset, size), a heap
    top = 0
    for k in sorted(range(len(sizes)), key=lambda k: lives[k][0]):
        first, last = lives[k]
        size = rounded(sizes[k], align)
        while dying and dying[0][0] < first - apart:
            _, offset, released = heapq.heappop(dying)
            heapq.heappush(free, (released, offset))
        offset = -1
        passed = []
        while free and len(passed) < TRIED:
            available, where = heapq.heappop(free)
            if available >= size and (available <= 2 * size or available <= SMALL):
                offset = where
                break
            passed.append((available, where))
        else:
            available = size
        for item in passed:
            heapq.heappush(free, item)
        if offset < 0:
            offset, available = top, size
            top += size
        heapq.heappush(dying, (last, offset, available))
        offsets[k] = offset
    return offsets, top


def rounded(size: int, align: int) -> int:
    """The next multiple of `align`."""
    return (size + align - 1) // align * align
