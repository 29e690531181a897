"""From a kernel of the schedule to the Numba text of its step.

Argument block of a generated kernel, int64 words in this order:

    0                 address of the frame's ERROR word
    1                 number of the first index check of this step
    2 ...             addresses of the operands
    ...               slots: extents of the loops, then strides, in elements
    ...               scalars, as bits
    ...               for each scratch operand: bytes of one thread's row
    last              "blocks" only: iterations of the outer loop in one block

Half operands are pointers to uint16; every load and store converts (kernels/scalar/half.py).

lo..hi counts the outermost loop (map, rows), the first of the loops that may be shared (serial),
the last kept loop if it is the only one or else the outermost (columns), or the blocks.
"""

import contextlib
from collections.abc import Iterable, Iterator

from symnet.backends.cpu import lanes
from symnet.backends.reductions import OF_BOOLS, needs_wide, neutral
from symnet.graph.types import HALVES, compute_dtype
from symnet.ops import scalar
from symnet.schedule.kernel import (
    Accumulator,
    Argument,
    CheckIndex,
    Counter,
    Index,
    Kernel,
    Let,
    Literal,
    Load,
    Scalar,
    Stage,
    Statement,
    Store,
    reads,
    still_names,
)

CHUNK = 512  # row values of a "columns" kernel that are kept on the stack at a time
SUM_BLOCK = 2048  # float32 terms summed in float32 before they are added in float64
ROW_BLOCK = 64  # the same for "columns", in rows
SCOPES = 24  # alias scopes that the intrinsics have; accesses beyond may overlap all

FIRST_OPERAND = 2

_STEP_FUNCTION = {
    "sum": "add_reassoc", "prod": "mul_reassoc", "max": "max_step", "min": "min_step",
}  # fmt: skip


def slot_word(kernel: Kernel, slot: int) -> int:
    return FIRST_OPERAND + len(kernel.operands) + slot


def scalar_word(kernel: Kernel, position: int) -> int:
    return slot_word(kernel, kernel.slots) + position


def scratch_word(kernel: Kernel, number: int) -> int:
    """Word with the bytes per thread of the number-th scratch operand."""
    return scalar_word(kernel, len(kernel.scalars)) + number


def words(kernel: Kernel) -> int:
    """Length of the argument block."""
    scratch = sum(o.per_thread for o in kernel.operands)
    return scratch_word(kernel, scratch) + (kernel.form == "blocks")


def emit(kernel: Kernel, variant: str = "") -> str:
    """The Numba text of a kernel; its entry is called `kernel`.

    variant  "across": of a map over two loops, lo..hi counts the inner one
             "lanes": of rows that `lanes.suits`, for at most `lanes.SHORT` columns
    """
    if variant:
        return {"across": _Across, "lanes": _Lanes}[variant](kernel).text()
    forms = {
        "map": _Map, "serial": _Serial, "rows": _Rows, "blocks": _Blocks, "columns": _Columns,
    }  # fmt: skip
    return forms[kernel.form](kernel).text()


class _Emitter:
    """Writes the text of one kernel; each form is a subclass that answers `body`."""

    def __init__(self, kernel: Kernel):
        self.kernel = kernel
        self.lines: list[str] = []
        self.depth = 1
        self.used: set[str] = set()
        self.elsewhere: dict[str, str] = {}  # name of a value -> expression that reads it

    def body(self) -> None:
        raise NotImplementedError

    def text(self) -> str:
        self._arguments()
        self.body()
        if self.kernel.can_fail:
            self._report()
        body = "\n".join(self.lines)
        machine = sorted(u for u in self.used if u not in scalar.FUNCTIONS)
        functions = sorted(u for u in self.used if u in scalar.FUNCTIONS)
        head = ["import numpy as np", f"from symnet.kernels.intrinsics import {', '.join(machine)}"]
        if functions:
            head.append(f"from symnet.kernels.scalar.cpu import {', '.join(functions)}")
        return "\n".join([*head, "", "", "def kernel(args, lo, hi, thread):", body, ""])

    def _arguments(self) -> None:
        k = self.kernel
        scratch = 0
        for number, operand in enumerate(k.operands):
            address = self.word(FIRST_OPERAND + number)
            if operand.per_thread:
                address += f" + thread * {self.word(scratch_word(k, scratch))}"
                scratch += 1
            kind = "uint16" if operand.dtype in HALVES else operand.dtype
            self.put(f"p{number} = {self.use('as_ptr_' + kind)}({address})")
        for slot in range(k.slots):
            self.put(f"s{slot} = {self.word(slot_word(k, slot))}")
        if k.can_fail:
            self.put("bad = 0")
            self.put("bad_value = 0")
            self.put("bad_size = 0")

    def _report(self) -> None:
        """Tell the frame about an index that is out of bounds."""
        with self.block("if bad:"):
            self.put(f"error = {self.use('as_ptr_int64')}({self.word(0)})")
            self.put(f"{self.use('store')}(error, 1, bad_value)")
            self.put(f"{self.use('store')}(error, 2, bad_size)")
            self.put(f"{self.use('store')}(error, 0, {self.word(1)} + bad)")

    # ---- text

    def put(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    def use(self, name: str) -> str:
        self.used.add(name)
        return name

    def word(self, number: int) -> str:
        return f"{self.use('invariant_word')}(args, {number})"

    @contextlib.contextmanager
    def block(self, *heads: str) -> Iterator[None]:
        """Everything inside is nested in the given lines."""
        for head in heads:
            self.put(head)
            self.depth += 1
        yield
        self.depth -= len(heads)

    def over(self, loops: Iterable[int]) -> list[str]:
        """Heads of loops over their full extents."""
        return [f"for i{loop} in range(s{loop}):" for loop in loops]

    # ---- statements

    def argument(self, a: Argument) -> str:
        return literal(a) if isinstance(a, Literal) else self.elsewhere.get(a, a)

    def index(self, where: Index) -> str:
        terms = [
            f"i{loop}" if stride == 1 else f"i{loop} * {stride}"
            for loop, stride in enumerate(where.strides)
            if stride != 0
        ]
        terms += [
            self.argument(n) if s == 1 else f"{self.argument(n)} * {s}" for n, s in where.values
        ]
        return " + ".join(terms) or "0"

    def load(self, operand: int, where: str) -> str:
        scope, dtype = self.kernel.operands[operand].scope, self.kernel.operands[operand].dtype
        read = f"{self.use(f'load_{scope}' if scope < SCOPES else 'load')}(p{operand}, {where})"
        return f"{self.use(f'{dtype}_from_bits')}({read})" if dtype in HALVES else read

    def store(self, operand: int, where: str, value: str) -> str:
        scope, dtype = self.kernel.operands[operand].scope, self.kernel.operands[operand].dtype
        if dtype in HALVES:
            value = f"{self.use(f'{dtype}_bits')}({value})"
        function = self.use(f"store_{scope}" if scope < SCOPES else "store")
        return f"{function}(p{operand}, {where}, {value})"

    def statements(self, given: Iterable[Statement]) -> None:
        for s in given:
            if isinstance(s, Let):
                args = ", ".join(self.argument(a) for a in s.args)
                self.put(f"{s.name} = {self.use(s.function)}({args})")
            elif isinstance(s, Load):
                self.put(f"{s.name} = {self.load(s.operand, self.index(s.index))}")
            elif isinstance(s, Store):
                self._store(s)
            elif isinstance(s, Counter):
                offset = "" if s.offset == 0 else f" + {s.offset}"
                self.put(f"{s.name} = {self.use('cast_int64')}({self.index(s.index)}{offset})")
            elif isinstance(s, Scalar):
                word = self.word(scalar_word(self.kernel, s.position))
                self.put(f"{s.name} = {self._from_bits(word, s.dtype)}")
            else:
                self._check(s)

    def _store(self, s: Store) -> None:
        where, value = self.index(s.index), self.argument(s.value)
        if s.add:
            boolean = self.kernel.operands[s.operand].dtype == "bool"
            function = self.use("logical_or" if boolean else "add")
            value = f"{function}({self.load(s.operand, where)}, {value})"
        self.put(self.store(s.operand, where, value))

    def _check(self, s: CheckIndex) -> None:
        value = self.argument(s.value)
        moved = f" + {s.size} if {value} < 0 else {value}" if s.negative else ""
        self.put(f"{s.name} = {value}{moved}")
        with self.block(f"if {s.name} < 0 or {s.name} >= {s.size}:"):
            self.put(f"bad = {s.number + 1}")
            self.put(f"bad_value = {value}")
            self.put(f"bad_size = {s.size}")
            self.put(f"{s.name} = 0")

    def _from_bits(self, word: str, dtype: str) -> str:
        if dtype == "float64":
            return f"{self.use('bits_to_float64')}({word})"
        if dtype == "float32":
            return f"{self.use('bits_to_float32')}({self.use('cast_int32')}({word}))"
        return f"{self.use('cast_' + dtype)}({word})"

    def accumulate(self, a: Accumulator) -> None:
        if a.dtype == "bool":
            function = f"logical_{OF_BOOLS[a.function]}"
        else:
            function = _STEP_FUNCTION[a.function]
        self.put(f"{a.name} = {self.use(function)}({a.name}, {self.argument(a.value)})")

    def reduce(self, stage: Stage, loops: list[str], last: int, lower: str, upper: str) -> None:
        """One pass over `loops` and, innermost, loop `last` from `lower` to `upper`.

        Float32 sums are blocked: the result is in `<name>_wide`, a float64."""
        wide = [a for a in stage.accumulators if needs_wide(a)]
        for a in stage.accumulators:
            self.put(f"{a.name} = {initial(a)}")
        for a in wide:
            self.put(f"{a.name}_wide = np.float64(0)")
        if wide:
            loops = [*loops, f"for from_ in range({lower}, {upper}, {SUM_BLOCK}):"]
        with self.block(*loops):
            if wide:
                for a in wide:
                    self.put(f"{a.name} = np.float32(0)")
                self.put(f"to_ = min(from_ + {SUM_BLOCK}, {upper})")
                lower, upper = "from_", "to_"
            with self.block(f"for i{last} in range({lower}, {upper}):"):
                self.statements(stage.loop)
                for a in stage.accumulators:
                    self.accumulate(a)
            for a in wide:
                self.put(f"{a.name}_wide += np.float64({a.name})")


class _Map(_Emitter):
    """Every point of the loops by itself."""

    def body(self) -> None:
        k = self.kernel
        shared = ["for i0 in range(lo, hi):"] if k.kept else []
        with self.block(*shared, *self.over(range(1, k.kept))):
            self.statements(k.stages[0].row)


class _Across(_Emitter):
    """A map cut along its inner loop, for a product that is cut by columns."""

    def body(self) -> None:
        (stage,) = self.kernel.stages
        with self.block(*self.over([0]), "for i1 in range(lo, hi):"):
            self.statements((*stage.row, *stage.loop))


class _Serial(_Emitter):
    """The first `outer` loops are cut into slabs; if there is none, one slab does it all.

    Where the others run does not matter for the result, as long as they keep their order: outside
    if the shared loops go through memory in one piece."""

    def body(self) -> None:
        k = self.kernel
        (stage,) = k.stages
        ordered = self.over(range(k.outer, k.kept))
        shared = [*["for i0 in range(lo, hi):"][: k.outer], *self.over(range(1, k.outer))]
        written = next(s for s in stage.row if isinstance(s, Store))
        inside = k.outer and written.index.strides[k.outer - 1] == 1
        with self.block(*(ordered + shared if inside else shared + ordered)):
            self.statements(stage.row)


class _Rows(_Emitter):
    """Reductions innermost: what is reduced, and what is computed from it, are scalars."""

    def body(self) -> None:
        k = self.kernel
        shared = ["for i0 in range(lo, hi):"] if k.kept else []
        last = k.loops - 1
        with self.block(*shared, *self.over(range(1, k.kept))):
            for stage in k.stages:
                self.statements(stage.row)
                if stage.loop or stage.accumulators:
                    self.reduce(stage, self.over(range(k.kept, last)), last, "0", f"s{last}")
                    for a in filter(needs_wide, stage.accumulators):
                        self.put(f"{a.name} = np.float32({a.name}_wide)")


class _Lanes(_Emitter):
    """Short rows side by side, see lanes.py: `b0`, `b1`, ... hold what is loaded and stored,
    `v_r` a row value `v` that is read in another loop than it is computed in."""

    def body(self) -> None:
        k = self.kernel
        still = still_names(k)
        buffers = lanes.buffered(k)
        parts = lanes.parts(k, still)
        arrays = lanes.storage(k, parts)
        self.buffers = {access: f"b{number}" for access, number in arrays.items()}
        kept = lanes.crossing(parts)
        for stage in k.stages:
            row = [s for s in stage.row if not isinstance(s, Store)]
            self.statements(s for s in row if s.name in still)
        kinds = {name: access for access, name in self.buffers.items()}
        for name, (operand, index) in sorted(kinds.items()):
            size = lanes.LANES * (lanes.SHORT if index.strides[1] else 1)
            dtype = compute_dtype(k.operands[operand].dtype)
            self.put(f"{name} = {self.use('stack_' + dtype)}({size})")
        for name, dtype in kept.items():
            self.put(f"{name}_r = {self.use('stack_' + dtype)}({lanes.LANES})")
        with self.block(f"for from_ in range(lo, hi, {lanes.LANES}):"):
            self.put(f"rows = min({lanes.LANES}, hi - from_)")
            self.put(f"width = (rows + {lanes.VECTOR - 1}) & {-lanes.VECTOR}")
            for access, loaded in buffers.items():
                if loaded:
                    self._copy(access, "width")
            for part in parts:
                self._part(part, kept)
            for operand, index in buffers:
                if k.operands[operand].written and not k.operands[operand].per_thread:
                    self._copy((operand, index), "rows")

    def _copy(self, access: lanes.Access, count: str) -> None:
        """Fill the buffer of an access, for `width` lanes, or write it back, for `rows`."""
        operand, index = access
        fill = count == "width"
        if self.kernel.operands[operand].dtype == "float32" and index.strides[1] == 1:
            self._copy_tiles(access, fill)
            return
        with self.block(f"for c in range({count}):"):
            self.put(f"i0 = from_ + {'min(c, rows - 1)' if fill else 'c'}")
            with self.block(*(self.over([1]) if index.strides[1] else [])):
                if fill:
                    self._write(access, self.load(operand, self.index(index)))
                else:
                    self.put(self.store(operand, self.index(index), self._read(access)))

    def _copy_tiles(self, access: lanes.Access, fill: bool) -> None:
        """The same by squares, where the columns lie one behind the other."""
        operand, index = access
        tile = lanes.VECTOR
        with self.block(f"for c in range(0, rows, {tile}):", f"for i1 in range(0, s1, {tile}):"):
            self.put("i0 = from_ + c")
            buffer = f"{self.buffers[access]}, i1 * {lanes.LANES} + c, {lanes.LANES}"
            memory = f"p{operand}, {self.index(index)}, {index.strides[0]}"
            if fill:
                call = f"{self.use('transpose_in')}({buffer}, {memory}, rows - c, s1 - i1)"
            else:
                call = f"{self.use('transpose_out')}({memory}, {buffer}, rows - c, s1 - i1)"
            self.put(call)

    def _read(self, access: lanes.Access) -> str:
        return f"{self.use('load')}({self.buffers[access]}, {self._place(access)})"

    def _write(self, access: lanes.Access, value: str) -> None:
        self.put(f"{self.use('store')}({self.buffers[access]}, {self._place(access)}, {value})")

    def _place(self, access: lanes.Access) -> str:
        return f"i1 * {lanes.LANES} + c" if access[1].strides[1] else "c"

    def _keep(self, name: str, value: str) -> None:
        self.put(f"{self.use('store')}({name}_r, c, {value})")

    def _part(self, part: lanes.Part, kept: dict[str, str]) -> None:
        """One loop over the lanes."""
        loop = "for c in range(width):"
        with self.block(*(["for i1 in range(s1):"] if part.inner else []), loop):
            if any(self._needs_row(s) for s in part.statements):
                self.put("i0 = from_ + min(c, rows - 1)")
            for s in part.statements:
                if not isinstance(s, (Load, Store)) or (s.operand, s.index) not in self.buffers:
                    self.statements([s])
                elif isinstance(s, Load):
                    self.put(f"{s.name} = {self._read((s.operand, s.index))}")
                else:
                    self._write((s.operand, s.index), self.argument(s.value))
                if not isinstance(s, Store) and s.name in kept:
                    self._keep(s.name, s.name)
            for a in part.starting:
                self._keep(a.name, initial(a))
            for a in part.accumulators:
                self.put(f"{a.name} = {self.use('load')}({a.name}_r, c)")
                self.accumulate(a)
                self._keep(a.name, a.name)
        names = [s.name for s in part.statements if not isinstance(s, Store)]
        for name in [*names, *(a.name for a in part.accumulators)]:
            if name in kept:
                self.elsewhere[name] = f"{self.use('load')}({name}_r, c)"

    def _needs_row(self, s: Statement) -> bool:
        """Whether a statement reads the number of the row."""
        if not isinstance(s, (Load, Counter)) or s.index.strides[0] == 0:
            return False
        return isinstance(s, Counter) or (s.operand, s.index) not in self.buffers


class _Blocks(_Emitter):
    """lo..hi are blocks; each stores what it accumulated into its place of the partials."""

    def body(self) -> None:
        k = self.kernel
        (stage,) = k.stages
        self.put(f"block = {self.word(words(k) - 1)}")
        self.statements(stage.row)
        with self.block("for b in range(lo, hi):"):
            self.put("first = b * block")
            self.put("last = min(first + block, s0)")
            if k.loops == 1:
                self.reduce(stage, [], 0, "first", "last")
            else:
                inner = k.loops - 1
                loops = ["for i0 in range(first, last):", *self.over(range(1, inner))]
                self.reduce(stage, loops, inner, "0", f"s{inner}")
            for number, a in enumerate(stage.accumulators):
                value = f"{a.name}_wide" if needs_wide(a) else a.name
                self.put(self.store(k.first_partial + number, "b", value))


class _Columns(_Emitter):
    """The last kept loop innermost: row values are arrays over a chunk of it, on the stack.

    A row value `v` that is needed outside the loop over the chunk that defines it lies in `v_r`,
    and the sum so far of a float32 accumulator in `v_w`."""

    def body(self) -> None:
        k = self.kernel
        self.still = still_names(k)
        self.inner = k.kept - 1
        for stage in k.stages:
            row = [s for s in stage.row if not isinstance(s, Store)]
            self.statements(s for s in row if s.name in self.still)
        kept = self._kept()
        for name, dtype in kept.items():
            self.put(f"{name}_r = {self.use('stack_' + dtype)}({CHUNK})")
        for stage in k.stages:
            for a in filter(needs_wide, stage.accumulators):
                self.put(f"{a.name}_w = {self.use('stack_float64')}({CHUNK})")
        if k.kept > 1:
            shared = ["for i0 in range(lo, hi):", *self.over(range(1, self.inner))]
            lower, upper = "0", f"s{self.inner}"
        else:
            shared, lower, upper = [], "lo", "hi"
        with self.block(*shared, f"for from_ in range({lower}, {upper}, {CHUNK}):"):
            self.put(f"width = min({CHUNK}, {upper} - from_)")
            for stage in k.stages:
                self._row(stage, kept)
                if stage.loop or stage.accumulators:
                    self._pass(stage)
                for a in stage.accumulators:
                    self.elsewhere[a.name] = self._read(a.name)

    def _read(self, name: str) -> str:
        return f"{self.use('load')}({name}_r, c)"

    def _write(self, array: str, value: str) -> None:
        self.put(f"{self.use('store')}({array}, c, {value})")

    def _kept(self) -> dict[str, str]:
        """Row values that lie in arrays, with their dtypes: those read in other loops."""
        kept: dict[str, str] = {}
        dtypes: dict[str, str] = {}  # of the row values of the stages so far

        def need(names: Iterable[str]) -> None:
            kept.update((n, dtypes[n]) for n in names if n in dtypes)

        for stage in self.kernel.stages:
            for s in stage.row:
                need(reads(s))
            here = [s for s in stage.row if not isinstance(s, Store) and s.name not in self.still]
            for s in here:
                dtypes[s.name] = s.dtype if isinstance(s, (Let, Load, Scalar)) else "int64"
            for s in stage.loop:
                need(reads(s))
            for a in stage.accumulators:
                need([a.value] if isinstance(a.value, str) else [])
                kept[a.name] = dtypes[a.name] = a.dtype
        return kept

    def _row(self, stage: Stage, kept: dict[str, str]) -> None:
        """The row statements of a stage, over the chunk."""
        row = [s for s in stage.row if isinstance(s, Store) or s.name not in self.still]
        if not row:
            return
        with self.block("for c in range(width):"):
            self.put(f"i{self.inner} = from_ + c")
            for s in row:
                self.statements([s])
                if not isinstance(s, Store) and s.name in kept:
                    self._write(f"{s.name}_r", s.name)
        for s in row:
            if not isinstance(s, Store) and s.name in kept:
                self.elsewhere[s.name] = self._read(s.name)

    def _pass(self, stage: Stage) -> None:
        """One pass over the reduced loops."""
        k = self.kernel
        wide = [a for a in stage.accumulators if needs_wide(a)]
        if stage.accumulators:
            with self.block("for c in range(width):"):
                for a in stage.accumulators:
                    self._write(f"{a.name}_r", initial(a))
                for a in wide:
                    self._write(f"{a.name}_w", "np.float64(0)")
        last = k.loops - 1
        loops = self.over(range(k.kept, last))
        lower, upper = "0", f"s{last}"
        if wide:
            loops.append(f"for row_ in range(0, s{last}, {ROW_BLOCK}):")
            lower, upper = "row_", f"min(row_ + {ROW_BLOCK}, s{last})"
        with self.block(*loops):
            heads = f"for i{last} in range({lower}, {upper}):", "for c in range(width):"
            with self.block(*heads):
                self.put(f"i{self.inner} = from_ + c")
                self.statements(stage.loop)
                for a in stage.accumulators:
                    self.put(f"{a.name} = {self._read(a.name)}")
                    self.accumulate(a)
                    self._write(f"{a.name}_r", a.name)
            if wide:
                with self.block("for c in range(width):"):
                    for a in wide:
                        so_far = f"{self.use('load')}({a.name}_w, c)"
                        more = f"np.float64({self._read(a.name)})"
                        self._write(f"{a.name}_w", f"{so_far} + {more}")
                        self._write(f"{a.name}_r", "np.float32(0)")
        if wide:
            with self.block("for c in range(width):"):
                for a in wide:
                    self._write(f"{a.name}_r", f"np.float32({self.use('load')}({a.name}_w, c))")


def initial(a: Accumulator) -> str:
    """The neutral element of a reduction in Numba text."""
    value = str(neutral(a)).replace("inf", "np.inf")
    return value if a.dtype == "bool" else f"np.{a.dtype}({value})"


def literal(a: Literal) -> str:
    """A typed literal in Numba text."""
    if a.dtype == "bool":
        return str(bool(a.value))
    value = a.value
    if a.dtype.startswith("float"):
        value = float(value)
        if value != value:
            return f"np.{a.dtype}(np.nan)"
        if value in (float("inf"), float("-inf")):
            return f"np.{a.dtype}({'-' if value < 0 else ''}np.inf)"
        return f"np.{a.dtype}({value!r})"
    return f"np.{a.dtype}({int(value)})"
