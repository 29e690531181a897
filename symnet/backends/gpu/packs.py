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
AT_ONCE = 8  # bytes per element of a row that are kept also where only one stage reads them
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


@dataclass
class Kept:
    """A pack per item that a lane of a row keeps in registers from one stage to another.

    loaded    from memory, in the first stage; else it is scratch, and stored there
    register  its number; scratch may take that of what is read for the last time
    """

    operand: int
    index: Index
    first: int
    last: int
    loaded: bool
    register: int = -1


def kept(kernel: Kernel) -> list[Kept]:
    """What lanes may keep of a row: what lies along it and several stages read; what one stage
    reads too, which then is read ahead, unless that is too much. Rows of several loops are not
    kept."""
    if kernel.form != "rows" or kernel.reduced != 1:
        return []
    loop = packed_loop(kernel)
    found: dict[tuple[int, Index], Kept] = {}
    for number, statements in enumerate(inside(kernel)):
        moving = varying(statements, loop)
        defined = {s.name for s in statements if not isinstance(s, Store)}
        for s in statements:
            if not isinstance(s, (Load, Store)):
                continue
            scratch = kernel.operands[s.operand].per_thread
            if scratch and not lies_along(s, loop, moving):
                return []
            if not (isinstance(s, Load) or scratch) or not lies_along(s, loop, moving):
                continue
            if not defined.isdisjoint(n for n, _ in s.index.values):
                continue
            key = s.operand, s.index
            if key in found:
                found[key].last = number
            else:
                found[key] = Kept(s.operand, s.index, number, number, isinstance(s, Load))
    several = [k for k in found.values() if k.last > k.first]
    if not several:
        return []
    for candidates in (list(found.values()), several):
        _number(kernel, candidates)
        if _bytes(kernel, candidates) <= AT_ONCE:
            break
    return candidates


def _number(kernel: Kernel, all_kept: list[Kept]) -> None:
    """Give registers. Scratch takes those of what is read for the last time where it is stored."""
    stages = list(inside(kernel))
    count = 0
    for k in all_kept:
        k.register = -1
    for k in all_kept:
        for other in all_kept if not k.loaded else ():
            same = kernel.operands[other.operand].dtype == kernel.operands[k.operand].dtype
            sharing = [t for t in all_kept if t.register == other.register]
            if same and other.register >= 0 and all(_is_over(t, k, stages) for t in sharing):
                k.register = other.register
                break
        if k.register < 0:
            k.register = count
            count += 1


def _is_over(t: Kept, k: Kept, stages: list[tuple[Statement, ...]]) -> bool:
    """Whether `t` is not needed any more when scratch `k` is first stored."""
    if t.last != k.first:
        return t.last < k.first
    statements = stages[k.first]
    stored = min(n for n, s in enumerate(statements) if _is_of(s, k) and isinstance(s, Store))
    return all(n < stored for n, s in enumerate(statements) if _is_of(s, t))


def _is_of(s: Statement, k: Kept) -> bool:
    return isinstance(s, (Load, Store)) and (s.operand, s.index) == (k.operand, k.index)


def kept_bytes(kernel: Kernel) -> int:
    """What keeping takes of a lane's registers per element; 0 if nothing is kept."""
    return _bytes(kernel, kept(kernel))


def _bytes(kernel: Kernel, found: list[Kept]) -> int:
    sizes = {k.register: itemsize(kernel.operands[k.operand].dtype) for k in found}
    return sum(sizes.values())


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
