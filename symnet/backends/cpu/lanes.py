"""Short rows: many rows of a "rows" kernel side by side.

A loop over ten columns leaves most of a vector register empty, or a remainder that runs element by
element. Where the rows are short, `LANES` of them are copied, transposed, into arrays on the stack;
every statement then runs over the lanes, and what was stored is copied back. A lane computes what
its row alone would: results depend neither on the slabs nor on where in a slab a row lies.

Every access (operand, index) that differs from row to row has such a buffer, unless it is a value
per row that nobody writes. Lanes behind the last row of a slab compute that row once more, and are
not copied back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from symnet.schedule.kernel import (
    Accumulator,
    CheckIndex,
    Index,
    Kernel,
    Let,
    Load,
    Scalar,
    Statement,
    Store,
    reads,
)

LANES = 64  # rows at a time: four vectors of float32, the most that LLVM interleaves
VECTOR = 16  # the number of lanes is a multiple of this, a vector of float32
SHORT = 128  # columns of the longest row that is processed this way
MANY = 4096  # rows from which it pays to have compiled another kernel for them
DEAR = 25  # operations per element from which transposing does not count
BUFFERS = 6  # accesses of a kernel, so that its stack stays small

Access = tuple[int, Index]


@dataclass(frozen=True)
class Part:
    """What shares one loop over the lanes, which is inside the loop over columns if `inner`.

    starting  accumulators of the next part, to be set to their neutral elements
    """

    inner: bool
    statements: tuple[Statement, ...] = ()
    accumulators: tuple[Accumulator, ...] = ()
    starting: tuple[Accumulator, ...] = ()


def suits(kernel: Kernel) -> bool:
    """Whether short rows of a kernel can be processed in lanes."""
    if kernel.form != "rows" or (kernel.kept, kernel.reduced) != (1, 1):
        return False
    accesses: dict[int, set[Access]] = {}
    written = set()
    for s in kernel.statements():
        if isinstance(s, (Load, Store)):
            scope = kernel.operands[s.operand].scope
            accesses.setdefault(scope, set()).add((s.operand, s.index))
            if isinstance(s, Store):
                in_rows = kernel.operands[s.operand].per_thread or s.index.strides[0] != 0
                if s.add or s.index.values or not in_rows:
                    return False
                written.add(scope)
    if any(len(accesses[scope]) > 1 for scope in written):
        return False
    return 0 < len(buffered(kernel)) <= BUFFERS


def pays(kernel: Kernel, sizes: Sequence[int]) -> bool:
    """Whether lanes are worth it, and worth compiling, for these extents of the loops, if they
    suit the kernel. Transposing costs the same whatever is computed."""
    if kernel.form != "rows" or len(sizes) != 2:
        return False
    rows, columns = sizes
    longest = SHORT if kernel.cost >= DEAR else 12 + 3 * kernel.cost // 2
    return rows >= MANY and columns <= longest


def buffered(kernel: Kernel) -> dict[Access, bool]:
    """The accesses that have buffers, and whether the first one reads."""
    found: dict[Access, bool] = {}
    for s in kernel.statements():
        if isinstance(s, (Load, Store)) and not s.index.values:
            operand = kernel.operands[s.operand]
            rowwise, along = (stride != 0 for stride in s.index.strides)
            if operand.per_thread or (rowwise and (along or operand.written)):
                found.setdefault((s.operand, s.index), isinstance(s, Load))
    return found


def parts(kernel: Kernel, still: set[str]) -> list[Part]:
    """The statements of a kernel by the loops they run in, less those of `still`.

    A check, which branches, is by itself, so that the others become vector code."""
    found: list[Part] = []
    for stage in kernel.stages:
        together: list[Statement] = []
        for s in stage.row:
            if isinstance(s, CheckIndex):
                found += [Part(False, tuple(together)), Part(False, (s,))]
                together = []
            elif isinstance(s, Store) or s.name not in still:
                together.append(s)
        found.append(Part(False, tuple(together), starting=stage.accumulators))
        found.append(Part(True, stage.loop, stage.accumulators))
    return [p for p in found if p.statements or p.accumulators or p.starting]


def crossing(given: list[Part]) -> dict[str, str]:
    """Names that are read in another part than they are defined in, with their dtypes.
    Accumulators always are."""
    home: dict[str, int] = {}
    dtypes: dict[str, str] = {}
    found: dict[str, str] = {}
    for number, part in enumerate(given):
        for s in part.statements:
            found.update((n, dtypes[n]) for n in reads(s) if home.get(n, number) != number)
            if not isinstance(s, Store):
                home[s.name] = number
                dtypes[s.name] = s.dtype if isinstance(s, (Let, Load, Scalar)) else "int64"
        for a in part.accumulators:
            if isinstance(a.value, str) and home.get(a.value, number) != number:
                found[a.value] = dtypes[a.value]
            home[a.name] = -1
            found[a.name] = dtypes[a.name] = a.dtype
    return found


def storage(kernel: Kernel, given: list[Part]) -> dict[Access, int]:
    """Number of the array that is the buffer of each access. What is first stored when another
    buffer has been read for the last time takes its place: an iteration touches one element of
    each, and reads before it stores."""
    order = [s for part in given for s in part.statements]
    spans = []
    for access, loaded in buffered(kernel).items():
        operand = kernel.operands[access[0]]
        uses = [
            position
            for position, s in enumerate(order)
            if isinstance(s, (Load, Store)) and (s.operand, s.index) == access
        ]
        leaves = operand.written and not operand.per_thread
        kind = operand.dtype, access[1].strides[1] != 0
        span = -1 if loaded else uses[0], len(order) if leaves else uses[-1]
        spans.append((*span, kind, access))
    arrays: list[tuple[tuple[str, bool], int]] = []  # kind, position of the last use
    found: dict[Access, int] = {}
    for first, last, kind, access in sorted(spans, key=lambda span: span[0]):
        free = (n for n, (held, until) in enumerate(arrays) if held == kind and until < first)
        number = next(free, len(arrays))
        arrays[number : number + 1] = [(kind, last)]
        found[access] = number
    return found
