"""Matrix products at binding: from a step's strided matrices to a call that cuBLAS takes.

cuBLAS knows matrices whose columns are contiguous, so out = a b is computed as out' = b' a'. Where
nothing moves, a product is called with addresses and numbers; also where it is only factors that
move, of at most `FIXED` bytes: they are copied ahead. Otherwise pointers to the matrices are read
from device memory when the product runs, so that a graph captured of it stays as it is:

    live words  where they suffice: one matrix whose address moves
    `prepare`   a kernel (kernels/gemm/gpu.cu) writes pointers and scalars: of batches, where alpha
                is on the device, and where the product overwrites shared values. If a check has
                failed or alpha is 0, the pointers to the result lead to spare memory: a factor of 0
                would not do, since 0 * NaN is NaN. One launch serves many products

What cuBLAS does not take is copied ahead by a kernel: matrices without contiguous rows or columns,
and, where it cannot see addresses but loads 16 bytes at once (float16, bfloat16, TF32), those that
are not known to be aligned.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from math import gcd
from pathlib import Path
from typing import NamedTuple

import numpy as np

from symnet.backends.arena import rounded
from symnet.backends.gpu.link import Linked, LinkedStep
from symnet.backends.gpu.prelude import THREADS
from symnet.backends.gpu.source import Source
from symnet.backends.words import itemsize, scalar_bits
from symnet.config import config
from symnet.kernels import gemm
from symnet.schedule.program import KernelStep, MatmulStep, Matrix, Place, Ref, Reg, accesses

LIVE = 13  # words of a product that move, at most: of two calls and of what is copied
ENTRIES = 8  # products that one launch prepares
FIXED = 4 << 20  # bytes of moving factors that are copied at most, so that addresses are known
PACK = 16  # bytes that cuBLAS's kernels for half types and TF32 may load at once
COPY_BLOCKS = 512  # of a grid, at most
COPIED = {2: "unsigned short", 4: "unsigned int", 8: "unsigned long long"}
FLOATS = ("float32", "float64", "float16", "bfloat16")


class Entry(IntEnum):
    """Words of a product that is prepared.

    LIVE      place among the live words of the addresses of a, b, out and alpha
    BATCH     number of matrices; 0: no product
    STEP_*    bytes from one matrix to the next
    POINTERS  address of 3 * batch pointers: to the matrices a, then b, then out
    SCALARS   address of alpha and, 8 bytes on, beta; 0 where there is no alpha on the device
    KIND      dtype of alpha, a place in `FLOATS`; scalars are float64 for float64, else float32
    ALPHA     float64, the factor of alpha; BETA too
    GUARDED   whether nothing may be written once a check has failed
    SPARE     address of a matrix that may be overwritten
    """

    LIVE = 0
    BATCH = 1
    STEP_A = 2
    STEP_B = 3
    STEP_OUT = 4
    POINTERS = 5
    SCALARS = 6
    KIND = 7
    ALPHA = 8
    BETA = 9
    GUARDED = 10
    SPARE = 11
    ENTRY_WORDS = 12


class Copy(IntEnum):
    """Words of a copy: addresses, or their places among the live words; sizes; three strides in
    elements each. SOURCE = 0 stands for zeros."""

    SOURCE = 0
    SOURCE_MOVES = 1
    TARGET = 2
    TARGET_MOVES = 3
    MATRICES = 4
    ROWS = 5
    COLUMNS = 6
    FROM = 7
    TO = 10
    ONLY_IF_WELL = 13
    COPY_WORDS = 14


class Helper(NamedTuple):
    """A launch ahead of a product, or after it."""

    source: Source
    grid: int
    words: np.ndarray


@dataclass(frozen=True)
class Operand:
    """A matrix as cuBLAS gets it: elements from column to column and from matrix to matrix.

    address  of the matrix, of its pointers, or the place of its address among the live words
    """

    transposed: bool
    ld: int
    stride: int
    address: int


@dataclass(frozen=True)
class BoundMatmul:
    """A call of cuBLAS: out = beta * out + alpha * left right, `batch` times, of sizes m, n, k, as
    cuBLAS counts.

    step     what it computes, as the schedule has it
    by       what `address` of the operands is: "address", "pointers" or "live"
    scalars  address of alpha and, 8 bytes on, beta on the device; 0: the numbers given here
    tf32     whether factors may be rounded to TF32
    """

    step: MatmulStep
    m: int
    n: int
    k: int
    batch: int
    left: Operand
    right: Operand
    out: Operand
    by: str
    alpha: float
    beta: float
    scalars: int
    tf32: bool


@dataclass(frozen=True)
class Side:
    """A batch of matrices in device memory, `offset` elements behind `base`: a register's number of
    them if the place moves. Strides in elements."""

    base: int
    offset: Reg | None
    rows: int
    columns: int
    row: int
    column: int
    across: int

    @property
    def transpose(self) -> "Side":
        return replace(self, rows=self.columns, columns=self.rows, row=self.column, column=self.row)

    def layout(self) -> tuple[bool, int] | None:
        """Whether it is its columns that are contiguous, and the stride of the others; None if
        neither rows nor columns are."""
        for transposed, side in ((False, self), (True, self.transpose)):
            if side.column != 1 and side.columns > 1:
                continue
            if side.rows == 1:
                return transposed, side.columns
            if side.row >= side.columns:
                return transposed, side.row
        return None


class Products:
    """Binds the products of a program, in their order.

    number    the number of a ref
    base      the address of a storage
    live      a new live word, base + offset * size: its place
    allocate  bytes -> address
    """

    def __init__(
        self,
        linked: Linked,
        number: Callable[[Ref], int],
        base: Callable[[Place], int],
        live: Callable[[int, Ref, int], int],
        allocate: Callable[[int], int],
    ):
        self._linked = linked
        self._number = number
        self._base = base
        self._live = live
        self._allocate = allocate
        self._fixed = frozenset(linked.keys)
        self._group: np.ndarray | None = None  # words of the launch that prepares
        self._begun, self._used = 0, 0  # the step before which it runs, its entries

    def bind(self, position: int) -> list[Helper | BoundMatmul]:
        """What the step at a position of the program becomes."""
        linked = self._linked.steps[position]
        step: MatmulStep = linked.step
        m, n, k, batch = (self._number(r) for r in (step.m, step.n, step.k, step.batch))
        if m == 0 or n == 0 or batch == 0:
            return []
        out = self._side(step.out, m, n, step.dtype)
        product = _Product(self, position, linked, batch, out)
        if k == 0 or step.alpha_const == 0:
            return product.scale(step.beta)
        a, b = self._side(step.a, m, k, step.dtype), self._side(step.b, k, n, step.dtype)
        if step.alpha is None or step.beta == 1:
            return product.multiply(a, b, step.alpha, step.alpha_const, step.beta)
        # out has to be scaled even if alpha turns out to be 0
        return [
            *product.scale(step.beta),
            *product.multiply(a, b, step.alpha, step.alpha_const, 1.0),
        ]

    def _side(self, matrix: Matrix, rows: int, columns: int, dtype: str) -> Side:
        base, offset = self.place(matrix.place, dtype)
        strides = map(self._number, (matrix.row, matrix.column, matrix.batch))
        return Side(base, offset, rows, columns, *strides)

    def place(self, place: Place, dtype: str) -> tuple[int, Reg | None]:
        """A base and, if the place moves, the register of its offset."""
        base, offset = self._base(place), place[1]
        if isinstance(offset, Reg) and offset.number not in self._fixed:
            return base, offset
        return base + self._number(offset) * itemsize(dtype), None

    def divisor(self, ref: Ref) -> int:
        """A number that divides a ref whatever the registers that move hold; 0 if it is 0."""
        if not isinstance(ref, Reg) or ref.number in self._fixed:
            return abs(self._number(ref))
        op, *args = self._linked.program.registers[ref.number]
        if op == "mul":
            return self.divisor(args[0]) * self.divisor(args[1])
        if op in ("add", "sub", "min", "max"):
            return gcd(self.divisor(args[0]), self.divisor(args[1]))
        if op == "select":
            return gcd(self.divisor(args[1]), self.divisor(args[2]))
        return 1

    @functools.cached_property
    def spare(self) -> int:
        """Memory for any one result that must not be written."""
        most = 0
        for linked in self._linked.steps:
            step = linked.step
            if isinstance(step, MatmulStep) and (linked.guarded or step.alpha is not None):
                m, n = self._number(step.m), self._number(step.n)
                row, column = self._number(step.out.row), self._number(step.out.column)
                elements = max((m - 1) * row + (n - 1) * column + 1, m * n)
                most = max(most, elements * itemsize(step.dtype))
        return self.allocate(most)

    def live(self, base: int, offset: Reg | None, size: int) -> int:
        """A new live word with an address, `offset` elements behind `base`: its place."""
        return self._live(base, 0 if offset is None else offset, size)

    def allocate(self, size: int) -> int:
        """Memory of the binding, aligned to `PACK`."""
        return rounded(self._allocate(size + PACK), PACK)

    def prepare(self, position: int, alpha: Place | None, words: dict[Entry, int]) -> list[Helper]:
        """A product's pointers and scalars, made by a launch that is there already or a new one."""
        before = []
        if not self._joins(position, alpha, bool(words[Entry.GUARDED])):
            self._group = np.zeros((ENTRIES, Entry.ENTRY_WORDS), np.int64)
            self._begun, self._used = position, 0
            before = [Helper(helper("prepare", str(ENTRIES)), ENTRIES, self._group.ravel())]
        assert self._group is not None
        for word, value in words.items():
            self._group[self._used, word] = value
        self._used += 1
        return before

    def _joins(self, position: int, alpha: Place | None, guarded: bool) -> bool:
        """Whether what the current launch finds is what is there at this position."""
        if self._group is None or self._used == ENTRIES:
            return False
        between = [s.step for s in self._linked.steps[self._begun : position]]
        if guarded and any(isinstance(s, KernelStep) and s.checks for s in between):
            return False
        kernels = self._linked.program.kernels
        return alpha is None or not any(alpha[0] in accesses(s, kernels)[1] for s in between)


class _Product:
    """One product; what `out` is and whether it is guarded."""

    def __init__(
        self, products: Products, position: int, linked: LinkedStep, batch: int, out: Side
    ):
        self.products = products
        self.position = position
        self.step: MatmulStep = linked.step
        self.guarded = linked.guarded
        self.batch = batch
        self.out = out
        self.dtype = self.step.dtype
        self.size = itemsize(self.dtype)
        self.tf32 = self.dtype == "float32" and config.float32_matmul_precision == "high"

    def scale(self, beta: float) -> list[Helper | BoundMatmul]:
        """out = beta * out."""
        if beta == 1:
            return []
        if beta == 0:
            return [self._copied(None, self.out, self.guarded)]
        # cuBLAS knows the arithmetic of all dtypes: add the product of two vectors of zeros
        m, n = self.out.rows, self.out.columns
        zeros = Side(self.products.allocate(max(m, n) * self.size), None, m, 1, 1, 1, 0)
        clear = self._copied(None, replace(zeros, rows=max(m, n)), False)
        b = replace(zeros, rows=1, columns=n)
        return [clear, *self.multiply(zeros, b, None, 1.0, beta)]

    def multiply(
        self, a: Side, b: Side, alpha: Place | None, alpha_const: float, beta: float
    ) -> list[Helper | BoundMatmul]:
        """out = beta * out + alpha_const * alpha * a @ b."""
        before: list[Helper | BoundMatmul] = []
        after: list[Helper | BoundMatmul] = []
        out, guarded = self.out, self.guarded
        idle = guarded or alpha is not None  # sometimes
        moved = sum(s.rows * s.columns * self.size for s in (a, b) if s.offset)
        fixed = self.batch == 1 and not idle and not out.offset and 0 < moved <= FIXED
        hidden = idle or (any(s.offset for s in (a, b, out)) and not fixed)
        if out.layout() is None or not self._aligned(out, hidden):
            scratch = self._scratch(out)
            if beta != 0:
                before.append(self._copied(out, scratch, False))
            after.append(self._copied(scratch, out, guarded))
            out, guarded = scratch, False
        factors = []
        for factor in (a, b):
            moves = fixed and factor.offset
            if moves or factor.layout() is None or not self._aligned(factor, hidden):
                scratch = self._scratch(factor)
                before.append(self._copied(factor, scratch, False))
                factor = scratch
            factors.append(factor)
        return [*before, *self._call(*factors, out, guarded, alpha, alpha_const, beta), *after]

    def _call(
        self,
        a: Side,
        b: Side,
        out: Side,
        guarded: bool,
        alpha: Place | None,
        alpha_const: float,
        beta: float,
    ) -> list[Helper | BoundMatmul]:
        """The call, and what writes its pointers; all matrices have a layout."""
        products, size, batch = self.products, self.size, self.batch
        layout = out.layout()
        if layout is not None and layout[0]:  # out' = b' a'
            a, b, out = b.transpose, a.transpose, out.transpose
        sides = a, b, out
        before: list[Helper | BoundMatmul] = []
        by, addresses, scalars = "address", [s.base for s in sides], 0
        idle = guarded or alpha is not None  # sometimes
        if idle or any(s.offset for s in sides):
            by, addresses = "live", [products.live(s.base, s.offset, size) for s in sides]
        if idle or (by == "live" and batch > 1):
            if alpha is not None:
                products.live(*products.place(alpha, self.dtype), size)
                scalars = products.allocate(16)
            pointers = products.allocate(3 * 8 * batch)
            words = {
                Entry.LIVE: addresses[0],
                Entry.BATCH: batch,
                Entry.STEP_A: a.across * size,
                Entry.STEP_B: b.across * size,
                Entry.STEP_OUT: out.across * size,
                Entry.POINTERS: pointers,
                Entry.SCALARS: scalars,
                Entry.KIND: FLOATS.index(self.dtype),
                Entry.ALPHA: scalar_bits("float64", alpha_const),
                Entry.BETA: scalar_bits("float64", beta),
                Entry.GUARDED: int(guarded),
                Entry.SPARE: products.spare if idle else 0,
            }
            before += products.prepare(self.position, alpha, words)
            by, addresses = "pointers", [pointers + 8 * batch * k for k in range(3)]
        left, right, result = map(self._operand, (b, a, out), (addresses[k] for k in (1, 0, 2)))
        product = BoundMatmul(
            self.step, out.columns, out.rows, a.columns, batch, left, right, result, by,
            alpha_const, beta, scalars, self.tf32,
        )  # fmt: skip
        return [*before, product]

    def _operand(self, side: Side, address: int) -> Operand:
        layout = side.layout()
        assert layout is not None
        return Operand(*layout, side.across if self.batch > 1 else 0, address)

    def _aligned(self, side: Side, hidden: bool) -> bool:
        """Whether cuBLAS may take it for aligned, as it does where it cannot see addresses."""
        if not hidden or not (self.tf32 or self.size == 2):
            return True
        steps = [side.base, side.across * self.size if self.batch > 1 else 0]
        if side.offset is not None:
            steps.append(self.products.divisor(side.offset) * self.size)
        return all(step % PACK == 0 for step in steps)

    def _scratch(self, side: Side) -> Side:
        """New memory for a matrix, the axis contiguous along which it is closest to being so."""
        if side.columns > 1 and (side.rows == 1 or abs(side.column) <= abs(side.row)):
            row, column = side.columns, 1
        else:
            row, column = 1, side.rows
        pack = PACK // self.size
        across = -(-side.rows * side.columns // pack) * pack
        many = self.batch if side.across else 1
        base = self.products.allocate(many * across * self.size)
        return replace(
            side, base=base, offset=None, row=row, column=column, across=across * (many > 1)
        )

    def _copied(self, source: Side | None, target: Side, guarded: bool) -> Helper:
        """A copy of all matrices; of zeros without a source."""
        words = np.zeros(Copy.COPY_WORDS, np.int64)
        for side, place in ((source, Copy.SOURCE), (target, Copy.TARGET)):
            if side is not None:
                words[place] = side.base
                if side.offset is not None:
                    words[place] = self.products.live(side.base, side.offset, self.size)
                    words[place + 1] = 1
        many = self.batch if target.across else 1
        rows, columns = target.rows, target.columns
        sides = [source or target, target]
        if abs(target.row) < abs(target.column):  # threads follow what is contiguous
            rows, columns, sides = columns, rows, [s.transpose for s in sides]
        words[Copy.MATRICES : Copy.FROM] = many, rows, columns
        words[Copy.FROM : Copy.TO] = [sides[0].across, sides[0].row, sides[0].column]
        words[Copy.TO : Copy.ONLY_IF_WELL] = [sides[1].across, sides[1].row, sides[1].column]
        words[Copy.ONLY_IF_WELL] = guarded
        grid = min(-(-many * rows * columns // THREADS), COPY_BLOCKS)
        return Helper(helper("copy", COPIED[self.size]), grid, words)


@functools.cache
def helper(function: str, parameter: str) -> Source:
    """The text of a helper: one of gpu.cu's functions, as an entry."""
    count = ENTRIES * Entry.ENTRY_WORDS if function == "prepare" else Copy.COPY_WORDS
    floats = ", ".join(f"{dtype.upper()} = {k}" for k, dtype in enumerate(FLOATS))
    names = ", ".join(
        f"{name} = {value}" for words in (Entry, Copy) for name, value in words.__members__.items()
    )
    text = Path(gemm.__file__).with_name("gpu.cu").read_text()
    body = f"""\
#ifndef SYMNET_GEMM
#define SYMNET_GEMM
namespace symnet_gemm {{ enum : int {{ {floats}, {names} }}; }}
{text}
#endif
extern "C" __global__ void __launch_bounds__({THREADS})
ENTRY(const symnet_words<{count}> words, const long long* live, const long long* error)
{{
    symnet_gemm::{function}<{parameter}>(words, live, error);
}}
"""
    return Source(body, (), int(count), 1, False)
