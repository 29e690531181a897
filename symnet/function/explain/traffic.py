"""How many bytes a step moves and how much it computes, for given sizes.

Each element that a step touches counts once for reading and once for writing, whatever the caches
make of it: what must move at least, as long as it comes from memory. Rows that a kernel keeps for
itself (scratch) do not count.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from symnet.backends.words import itemsize
from symnet.schedule.kernel import (
    Argument,
    Counter,
    Index,
    Kernel,
    Let,
    Load,
    Statement,
    Store,
    Stride,
)
from symnet.schedule.kernel import reads as names_read
from symnet.schedule.program import (
    KernelStep,
    MatmulStep,
    Matrix,
    Place,
    Program,
    Reg,
    Step,
    Storage,
)

Number = Callable[[object], int | None]
SizeOf = Callable[[Storage], int | None]


@dataclass(eq=False)
class Traffic:
    """Bytes read and written by storage, in the order met; None where a size is not known.

    operations  multiplications, additions and other functions: 2 m n k for a matrix product
    """

    reads: dict[Storage, int | None] = field(default_factory=dict)
    writes: dict[Storage, int | None] = field(default_factory=dict)
    operations: int | None = 0

    def capped(self, size_of: SizeOf) -> "Traffic":
        """No more elements than an array has: indices may meet the same one again."""
        for table in (self.reads, self.writes):
            for storage, count in table.items():
                size = size_of(storage)
                if count is not None and size is not None:
                    table[storage] = min(count, size)
        return self

    def read(self, storage: Storage, count: int | None) -> None:
        self.reads[storage] = _plus(self.reads.get(storage, 0), count)

    def write(self, storage: Storage, count: int | None) -> None:
        self.writes[storage] = _plus(self.writes.get(storage, 0), count)


def traffic(program: Program, step: Step, number: Number, size_of: SizeOf) -> Traffic:
    """What `step` moves and computes.

    number   the value of a size, or None
    size_of  bytes of an array or buffer, or None
    """
    if isinstance(step, KernelStep):
        return _Loops(program.kernels[step.kernel], step, number).found.capped(size_of)
    found = Traffic()
    if isinstance(step, MatmulStep):
        m, n, k, batch = (number(r) for r in (step.m, step.n, step.k, step.batch))
        size = itemsize(step.dtype)
        for matrix, rows, columns in ((step.a, m, k), (step.b, k, n)):
            found.read(
                matrix.place[0], _times(size, _elements(matrix, rows, columns, batch, number))
            )
        if step.alpha is not None:
            found.read(step.alpha[0], size)
        if step.beta != 0:
            found.read(step.out.place[0], _times(size, m, n, batch))
        found.write(step.out.place[0], _times(size, m, n, batch))
        found.operations = _times(2, m, n, k, batch)
        return found
    count = number(step.n)
    found.write(step.out[0], _times(8, count))
    for word in step.words:
        if isinstance(word, tuple) and not isinstance(word, Reg):
            found.read(word[0], 8)
    found.operations = count
    return found


def _elements(
    matrix: Matrix, rows: int | None, columns: int | None, batch: int | None, number: Number
) -> int | None:
    """Different elements of a strided matrix: a stride of 0 repeats them."""
    count: int | None = 1
    for extent, stride in ((rows, matrix.row), (columns, matrix.column), (batch, matrix.batch)):
        if number(stride) != 0:
            count = _times(count, extent)
    return count


class _Loops:
    """The traffic of a kernel: each access has an element per point of the loops it depends on."""

    def __init__(self, kernel: Kernel, step: KernelStep, number: Number):
        self.kernel = kernel
        self.number = number
        self.slots = step.slots
        self.extents = [number(r) for r in step.slots[: kernel.loops]]
        self.found = Traffic()
        self._depends: dict[str, frozenset[int]] = {}  # loops that a value depends on
        self._met: set[tuple[bool, Place, Index]] = set()
        rows = frozenset(range(kernel.kept))
        everything = frozenset(range(kernel.loops))
        for stage in kernel.stages:
            for statement in stage.row:
                self._statement(statement, step, rows)
            for statement in stage.loop:
                self._statement(statement, step, everything)
            for result in stage.accumulators:
                self._count(everything)
                self._depends[result.name] = rows
        if step.blocks is not None:
            blocks = number(step.blocks[1])
            for place, operand in list(zip(step.operands, kernel.operands))[kernel.first_partial :]:
                if operand.written:
                    self.found.write(place[0], _times(itemsize(operand.dtype), blocks))

    def _statement(self, s: Statement, step: KernelStep, loops: frozenset[int]) -> None:
        if isinstance(s, (Load, Store)):
            operand, place = self.kernel.operands[s.operand], step.operands[s.operand]
            depends = self._index(s.index)
            if isinstance(s, Load):
                self._depends[s.name] = depends
            if operand.per_thread:
                return
            size = itemsize(operand.dtype)
            count = _times(size, *(self.extents[loop] for loop in depends))
            for written in (
                (False, True) if isinstance(s, Store) and s.add else (isinstance(s, Store),)
            ):
                key = written, place, s.index
                if key not in self._met:
                    self._met.add(key)
                    note = self.found.write if written else self.found.read
                    note(place[0], count)
            return
        if isinstance(s, Counter):
            self._depends[s.name] = self._index(s.index)
        else:
            self._depends[s.name] = frozenset().union(*map(self._of, names_read(s)))
            if isinstance(s, Let):
                self._count(loops)

    def _index(self, index: Index) -> frozenset[int]:
        along = {loop for loop, stride in enumerate(index.strides) if self._moves(stride)}
        return frozenset(along).union(*(self._of(name) for name, _ in index.values))

    def _moves(self, stride: Stride) -> bool:
        if isinstance(stride, str):
            return self.number(self.slots[int(stride[1:])]) != 0
        return stride != 0

    def _of(self, name: Argument) -> frozenset[int]:
        return self._depends.get(name, frozenset()) if isinstance(name, str) else frozenset()

    def _count(self, loops: frozenset[int]) -> None:
        operations = _times(1, *(self.extents[loop] for loop in loops))
        self.found.operations = _plus(self.found.operations, operations)


def _times(*factors: int | None) -> int | None:
    product = 1
    for factor in factors:
        if factor is None:
            return None
        product *= factor
    return product


def _plus(*terms: int | None) -> int | None:
    total = 0
    for term in terms:
        if term is None:
            return None
        total += term
    return total
