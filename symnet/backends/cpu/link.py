"""From a program to what binding needs: the shape program, argument blocks with gaps, step table.

All argument blocks of a program lie in one int64 array. A word of it is one of

    fixed         the same for every binding (in the template)
    a size        a register that the binding is keyed on (extents, strides)
    a pointer     into the arena, known once the arena is planned
    patched       written by the shape program before each call: addresses in objects, offsets and
                  integers that change from call to call

Everything here is plain data: a linked program is stored in the cache and used by later processes.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from symnet.backends.cpu import emit, tape_layout
from symnet.backends.cpu.pairing import Pair, find_pairs
from symnet.backends.cpu.tape import ShapeProgram
from symnet.backends.words import itemsize, scalar_bits
from symnet.errors import CompilerError
from symnet.graph.types import HALVES, NUMPY_DTYPES
from symnet.kernels import gemm, permutation
from symnet.schedule.program import (
    KernelStep,
    MatmulStep,
    Matrix,
    Place,
    Program,
    Ref,
    Reg,
    ShuffleStep,
)

ALWAYS = -1  # extent of a step without loops


@dataclass(slots=True)
class StepPlan:
    """What binding decides about one step: its slabs.

    kind     "kernel" (number: which), "gemm", "shuffle"
    first    first word of its argument block
    extent   what lo..hi counts (a ref), or ALWAYS
    work     refs whose product is the number of elements, and operations per element
    """

    kind: str
    number: int
    first: int
    extent: Ref
    work: tuple[Ref, ...]
    cost: int
    can_fail: bool


@dataclass(slots=True)
class Linked:
    program: Program
    code: np.ndarray = field(default_factory=lambda: np.zeros((0, 6), np.int64))
    patched_rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    registers: int = 0
    register_of: tuple[int, ...] = ()
    template: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    size_words: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    size_registers: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    pointer_words: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    pointer_buffers: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    pointer_offsets: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    error_words: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    # of each scratch operand: pointer word, stride word, bytes, size, its number within the step
    scratch: tuple[tuple[int, int, int, Ref, int], ...] = ()
    keys: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    steps: tuple[StepPlan, ...] = ()
    pairs: dict[int, Pair] = field(default_factory=dict)
    checks: tuple[Any, ...] = (None,)  # by id: ("static", ...), ("size", n), ("index", ...)

    def local_code(self) -> np.ndarray:
        """The shape program for this process, in which dtypes have other addresses."""
        code = self.code.copy()
        for row in np.flatnonzero(code[:, 0] == tape_layout.OP_OBJ_CHECK):
            code[row, 2] = id(NUMPY_DTYPES[self.program.objects[code[row, 1]].dtype])
        return code


class Linker:
    """Builds a Linked from a Program."""

    def __init__(self, program: Program):
        self.program = program
        self.vm = ShapeProgram()
        self.words: list[int] = []
        self.sizes: list[tuple[int, int]] = []
        self.pointers: list[tuple[int, int, int]] = []
        self.errors: list[int] = []
        self.scratch: list[tuple[int, int, int, Ref, int]] = []
        self.key_registers: dict[int, None] = {}
        self.steps: list[StepPlan] = []
        self.checks: list[Any] = [None]
        self.late: list[tuple[int, int, Ref, int]] = []

    def run(self) -> Linked:
        self._objects()
        self._registers()
        for number, step in enumerate(self.program.steps):
            if isinstance(step, KernelStep):
                self._kernel(number, step)
            elif isinstance(step, MatmulStep):
                self._matmul(step)
            else:
                self._shuffle(step)
        self._late_pointers()
        for buffer in self.program.buffers:
            self._key(buffer.size)
        for output in self.program.outputs:
            for size in output.shape:
                self._key(size)
        code = self.vm.code
        linked = Linked(self.program)
        linked.code = code
        patched = (code[:, 0] == tape_layout.OP_STORE) | (code[:, 0] == tape_layout.OP_RAW)
        linked.patched_rows = np.flatnonzero(patched)
        linked.registers = self.vm.registers
        linked.register_of = tuple(self.register_of)
        linked.template = np.array(self.words, np.int64)
        if self.sizes:
            linked.size_words, linked.size_registers = np.array(self.sizes, np.int64).T.copy()
        if self.pointers:
            table = np.array(self.pointers, np.int64).T.copy()
            linked.pointer_words, linked.pointer_buffers, linked.pointer_offsets = table
        linked.error_words = np.array(self.errors, np.int64)
        linked.scratch = tuple(self.scratch)
        linked.keys = np.array(list(self.key_registers), np.int64)
        linked.steps = tuple(self.steps)
        linked.pairs = find_pairs(self.program)
        linked.checks = tuple(self.checks)
        return linked

    # ---- the shape program

    def _objects(self) -> None:
        for number, o in enumerate(self.program.objects):
            if o.role != "input":
                continue
            self.vm.check_object(number, NUMPY_DTYPES[o.dtype], len(o.shape))
            for axis, size in enumerate(o.shape):
                if size is not None:
                    self.checks.append(("static", number, axis, size))
                    actual = self.vm.size(number, axis)
                    wanted = self.vm.constant(size)
                    same = self.vm.binary("EQ", actual, wanted)
                    self.vm.check(same, len(self.checks) - 1, actual, wanted)

    def _registers(self) -> None:
        self.register_of: list[int] = []
        vm = self.vm
        zero = None
        for op, *args in self.program.registers:
            if op == "dim":
                found = vm.size(args[0], args[1])
            elif op == "value":
                dtype = self.program.objects[args[0]].dtype
                found = vm.load(vm.data(args[0]), dtype)
            else:
                values = [self._value(a) for a in args]
                if op in ("floordiv", "mod"):
                    # division by zero gives 0, as in the size expressions
                    zero = vm.constant(0)
                    nothing = vm.binary("EQ", values[1], zero)
                    safe = vm.select(nothing, vm.constant(1), values[1])
                    found = vm.divide(op.upper(), values[0], safe, 0)
                    found = vm.select(nothing, zero, found)
                elif op == "select":
                    found = vm.select(*values)
                else:
                    found = vm.binary(op.upper(), *values)
            self.register_of.append(found)
        for number, check in enumerate(self.program.checks):
            self.checks.append(("size", number))
            shown = [self._value(s) for s in check.shown]
            vm.check(self._value(check.condition), len(self.checks) - 1, *shown)

    def _value(self, ref: Ref) -> int:
        if isinstance(ref, Reg):
            return self.register_of[ref.number]
        return self.vm.constant(ref)

    # ---- words of argument blocks

    def _word(self, value: int = 0) -> int:
        self.words.append(value)
        return len(self.words) - 1

    def _key(self, ref: Ref) -> None:
        if isinstance(ref, Reg):
            self.key_registers.setdefault(self.register_of[ref.number])

    def _size(self, ref: Ref) -> int:
        """A word that holds a size the binding is keyed on."""
        if not isinstance(ref, Reg):
            return self._word(ref)
        register = self.register_of[ref.number]
        self.key_registers.setdefault(register)
        word = self._word()
        self.sizes.append((word, register))
        return word

    def _patched(self, register: int) -> int:
        """A word that the shape program writes before each call."""
        word = self._word()
        self.vm.store(word * tape_layout.WORD, register)
        return word

    def _pointer(self, place: Place, dtype: str) -> int:
        (kind, number), offset = place
        size = itemsize(dtype)
        word = self._word()
        if kind == "object":
            self._patch(word, self.vm.data(number), offset, size)
        elif isinstance(offset, Reg):
            self.late.append((word, number, offset, size))
        else:
            self.pointers.append((word, number, offset * size))
        return word

    def _patch(self, word: int, address: int, offset: Ref, size: int) -> None:
        if isinstance(offset, Reg) or offset:
            scaled = self.vm.binary("MUL", self._value(offset), self.vm.constant(size))
            address = self.vm.binary("ADD", address, scaled)
        self.vm.store(word * tape_layout.WORD, address)

    def _late_pointers(self) -> None:
        """Pointers into the arena whose offset changes from call to call: words behind all blocks
        hold the buffers' addresses, from which the shape program computes."""
        for word, number, offset, size in self.late:
            base = self._word()
            self.pointers.append((base, number, 0))
            self._patch(word, self.vm.raw(base * tape_layout.WORD), offset, size)

    # ---- steps

    def _kernel(self, number: int, step: KernelStep) -> None:
        kernel = self.program.kernels[step.kernel]
        first = len(self.words)
        self.errors.append(self._word())
        self._word(len(self.checks) - 1)
        for origin, size in step.checks:
            self.checks.append(("index", number, origin, size))
        scratch: list[tuple[int, int, Ref]] = []
        for place, operand in zip(step.operands, kernel.operands):
            if operand.per_thread:
                self._key(place[1])
                scratch.append((self._word(), itemsize(operand.dtype), place[1]))
            else:
                self._pointer(place, operand.dtype)
        for slot in step.slots:
            self._size(slot)
        for value in step.scalars:
            if isinstance(value, tuple) and not isinstance(value, Reg):
                self._word(scalar_bits(value[1], value[2]))
            elif isinstance(value, Reg):
                self._patched(self.register_of[value.number])
            else:
                self._word(value)
        for row, (word, size, length) in enumerate(scratch):
            self.scratch.append((word, self._word(), size, length, row))
        extent: Ref = ALWAYS
        if step.blocks is not None:
            self._size(step.blocks[0])
            extent = step.blocks[1]
            self._key(extent)
        elif kernel.form == "columns":
            extent = step.slots[0 if kernel.kept > 1 else kernel.kept - 1]
        elif kernel.form == "serial":
            extent = step.slots[0] if kernel.outer else ALWAYS
        elif kernel.kept:
            extent = step.slots[0]
        work = step.slots[: kernel.loops]
        cost = kernel.cost + len(kernel.operands)
        self.steps.append(
            StepPlan("kernel", step.kernel, first, extent, work, cost, bool(step.checks))
        )
        assert len(self.words) - first == emit.words(kernel)

    def _matmul(self, step: MatmulStep) -> None:
        if step.dtype in HALVES:
            raise CompilerError(f"a product of {step.dtype} should have been rewritten")
        first = len(self.words)
        ta, lda = _layout(step.a)
        tb, ldb = _layout(step.b)
        fill: dict[int, Any] = {
            gemm.M: step.m, gemm.N: step.n, gemm.K: step.k, gemm.LDA: lda, gemm.LDB: ldb,
            gemm.LDC: step.out.row, gemm.TA: ta, gemm.TB: tb, gemm.BATCH: step.batch,
            gemm.STRIDE_A: step.a.batch, gemm.STRIDE_B: step.b.batch, gemm.STRIDE_C: step.out.batch,
            gemm.ALPHA_CONST: gemm.bits(step.alpha_const), gemm.BETA: gemm.bits(step.beta),
        }  # fmt: skip
        pointers: dict[int, Place] = {
            gemm.A: step.a.place, gemm.B: step.b.place, gemm.C: step.out.place,
        }  # fmt: skip
        if step.alpha is not None:
            pointers[gemm.ALPHA] = step.alpha
        for word in range(gemm.WORDS):
            if word in pointers:
                self._pointer(pointers[word], step.dtype)
            elif word in fill:
                self._size(fill[word])
            else:
                self._word()
        self.steps.append(
            StepPlan(
                "gemm", itemsize(step.dtype), first, ALWAYS, (step.m, step.n, step.k, step.batch),
                tb, False,
            )
        )  # fmt: skip

    def _shuffle(self, step: ShuffleStep) -> None:
        first = len(self.words)
        self._pointer(step.out, "int64")
        self._size(step.n)
        for value in step.words:
            if isinstance(value, tuple) and not isinstance(value, Reg):
                self._pointer(value, "int64")
                self._word(1)
            elif isinstance(value, Reg):
                self._patched(self.register_of[value.number])
                self._word(0)
            else:
                self._word(value)
                self._word(0)
        self.steps.append(StepPlan("shuffle", 0, first, ALWAYS, (step.n,), 10, False))
        assert len(self.words) - first == permutation.WORDS


def _layout(matrix: Matrix) -> tuple[int, Ref]:
    """(transposed, leading dimension) for BLAS."""
    return (0, matrix.row) if matrix.column == 1 else (1, matrix.column)


def link(program: Program) -> Linked:
    return Linker(program).run()
