"""Packs: elements that lie side by side and are moved by one memory access of up to 16 bytes.

What of a kernel can be: decided from its statements alone, before any text is written.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from symnet.backends.gpu.prelude import FULL_PACK
from symnet.backends.words import itemsize
from symnet.ops.elementwise import DEAR
from symnet.schedule.kernel import Counter, Index, Kernel, Let, Load, Statement, Store, reads

WIDEST = 8  # elements of a pack
WIDEST_DEAR = 4  # the same of bytes, where exp and the like would be written out for each


def packed_loop(kernel: Kernel) -> int:
    """The loop that is taken in packs, the last one; -1 if there is none."""
    if kernel.form in ("serial", "columns"):
        return -1
    return kernel.loops - 1


def inside(kernel: Kernel) -> Iterator[tuple[Statement, ...]]:
    """The statements in the packed loop, stage by stage."""
    for stage in kernel.stages:
        yield stage.row if kernel.form == "map" else stage.loop


def varying(statements: Iterable[Statement], loop: int) -> set[str]:
    """Names that differ from one iteration of a loop to the next."""
    found: set[str] = set()
    for s in statements:
        moves = isinstance(s, (Load, Counter)) and s.index.strides[loop] != 0
        if not isinstance(s, Store) and (moves or not found.isdisjoint(reads(s))):
            found.add(s.name)
    return found


def lies_along(s: Statement, loop: int, moving: set[str]) -> bool:
    """Whether a load or store of a pack is one access."""
    return (
        isinstance(s, (Load, Store))
        and s.index.strides[loop] == 1
        and moving.isdisjoint(n for n, _ in s.index.values)
    )


def is_dear(kernel: Kernel) -> bool:
    return any(isinstance(s, Let) and s.function in DEAR for s in kernel.statements())


def packs(kernel: Kernel) -> tuple[int, list[str]]:
    """Elements of a pack, and the conditions under which all packs are aligned, as C text."""
    loop = packed_loop(kernel)
    if loop < 0:
        return 1, []
    along = [
        s
        for statements in inside(kernel)
        for s in statements
        if lies_along(s, loop, varying(statements, loop))
    ]
    operands = dict.fromkeys(s.operand for s in along)  # type: ignore[union-attr]
    if not operands:
        return 1, []
    sizes = {k: itemsize(kernel.operands[k].dtype) for k in operands}
    widest = max(sizes.values())
    width = min(FULL_PACK // widest, WIDEST_DEAR if is_dear(kernel) and widest == 1 else WIDEST)
    strides = dict.fromkeys(
        stride
        for s in along
        for stride in (
            *(x for k, x in enumerate(s.index.strides) if k != loop),  # type: ignore[union-attr]
            *(x for _, x in s.index.values),  # type: ignore[union-attr]
        )
    )
    conditions = []
    for stride in strides:
        if isinstance(stride, str):
            conditions.append(f"{stride} % {width} == 0")
        elif stride % width:
            return 1, []
    for k, size in sizes.items():
        if not kernel.operands[k].per_thread:  # rows of scratch are aligned
            conditions.append(f"symnet_aligned(p{k}, {width * size})")
    return width, conditions


@dataclass(frozen=True)
class Kept:
    """A pack that a lane of a row keeps in registers, from one stage of the kernel to another."""

    operand: int
    index: Index
    first: int
    last: int
    loaded: bool  # from memory, in the first stage; else it is scratch, and stored there


def kept(kernel: Kernel) -> list[Kept]:
    """What lanes may keep of a row: all that lies along it. Rows whose elements only one stage
    reads have nothing to keep, and rows of several loops are not kept."""
    if kernel.form != "rows" or kernel.reduced != 1:
        return []
    loop = packed_loop(kernel)
    found: dict[tuple[int, Index], Kept] = {}
    for number, statements in enumerate(inside(kernel)):
        moving = varying(statements, loop)
        defined = {s.name for s in statements if not isinstance(s, Store)}
        for s in statements:
            scratch = isinstance(s, (Load, Store)) and kernel.operands[s.operand].per_thread
            if scratch and not lies_along(s, loop, moving):
                return []
            if not (isinstance(s, Load) or scratch) or not lies_along(s, loop, moving):
                continue
            assert isinstance(s, (Load, Store))
            if not defined.isdisjoint(n for n, _ in s.index.values):
                continue
            before = found.get((s.operand, s.index))
            first = before.first if before else number
            loaded = before.loaded if before else isinstance(s, Load)
            found[s.operand, s.index] = Kept(s.operand, s.index, first, number, loaded)
    again = any(k.last > k.first for k in found.values())
    return list(found.values()) if again else []


def kept_registers(kernel: Kernel) -> int:
    """Registers of 4 bytes that keeping takes per item of a lane; 0 if nothing is kept."""
    found = kept(kernel)
    width, _ = packs(kernel)
    most = 0
    for number in range(len(kernel.stages)):
        live = [k for k in found if k.first <= number <= k.last]
        sizes = [itemsize(kernel.operands[k.operand].dtype) for k in live]
        most = max(most, sum(-(-size * width // 4) for size in sizes))
    return most


def fetched(statements: Sequence[Statement]) -> dict[int, Load | Store]:
    """Reads that depend on nothing that is computed in the loop, by position: they can be made
    ahead, those of several items together."""
    defined = {s.name for s in statements if not isinstance(s, Store)}
    return {
        position: s
        for position, s in enumerate(statements)
        if (isinstance(s, Load) or (isinstance(s, Store) and s.add))
        and defined.isdisjoint(n for n, _ in s.index.values)
    }
