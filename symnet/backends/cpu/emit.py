"""From a kernel of the schedule to the Numba text of its step.

Argument block of a generated kernel, int64 words in this order:

    0                 address of the frame's ERROR word
    1                 number of the first index check of this step
    2 ...             addresses of the operands
    ...               slots: extents of the loops, then strides, in elements
    ...               scalars, as bits
    ...               for each scratch operand: bytes of one thread's row
    last              "blocks" only: iterations of the outer loop in one block

lo..hi counts the outermost loop (map, rows, serial), the last kept loop if it is the only one or
else the outermost (columns), or the blocks.
"""

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


class Emitter:
    """Writes the text of one kernel."""

    def __init__(self, kernel: Kernel):
        self.kernel = kernel
        self.lines: list[str] = []
        self.depth = 1
        self.used: set[str] = set()
        self.row_arrays: dict[str, str] = {}  # "columns": row value -> where it is read
        self.still: set[str] = set()  # "columns": row values computed once

    def text(self) -> str:
        k = self.kernel
        self._prologue()
        getattr(self, f"_{k.form}")()
        body = "\n".join(self.lines)
        machine = sorted(u for u in self.used if u not in scalar.FUNCTIONS)
        functions = sorted(u for u in self.used if u in scalar.FUNCTIONS)
        head = ["import numpy as np", f"from symnet.kernels.intrinsics import {', '.join(machine)}"]
        if functions:
            head.append(f"from symnet.kernels.scalar.cpu import {', '.join(functions)}")
        return "\n".join([*head, "", "", "def kernel(args, lo, hi, thread):", body, ""])

    # ---- pieces

    def put(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    def use(self, name: str) -> str:
        self.used.add(name)
        return name

    def _prologue(self) -> None:
        k = self.kernel
        word = self.use("invariant_word")
        scratch = 0
        for number, operand in enumerate(k.operands):
            address = f"{word}(args, {FIRST_OPERAND + number})"
            if operand.per_thread:
                address += f" + thread * {word}(args, {scratch_word(k, scratch)})"
                scratch += 1
            self.put(f"p{number} = {self.use('as_ptr_' + operand.dtype)}({address})")
        needed = {f"s{n}" for n in range(k.loops)}
        for slot in range(k.slots):
            if f"s{slot}" in needed or slot >= k.loops:
                self.put(f"s{slot} = {word}(args, {slot_word(k, slot)})")
        if k.form == "blocks":
            self.put(f"block = {word}(args, {words(k) - 1})")
        if k.can_fail:
            self.put("bad = 0")
            self.put("bad_value = 0")
            self.put("bad_size = 0")

    def _epilogue(self) -> None:
        if self.kernel.can_fail:
            word = self.use("invariant_word")
            self.put("if bad:")
            self.depth += 1
            self.put(f"error = {self.use('as_ptr_int64')}({word}(args, 0))")
            self.put(f"{self.use('store')}(error, 1, bad_value)")
            self.put(f"{self.use('store')}(error, 2, bad_size)")
            self.put(f"{self.use('store')}(error, 0, {word}(args, 1) + bad)")
            self.depth -= 1

    def argument(self, a: Argument) -> str:
        if isinstance(a, Literal):
            return literal(a)
        return self.row_arrays.get(a, a)

    def index(self, where: Index, skip: frozenset[int] = frozenset()) -> str:
        terms = []
        for loop, stride in enumerate(where.strides):
            if stride == 0 or loop in skip:
                continue
            terms.append(f"i{loop}" if stride == 1 else f"i{loop} * {stride}")
        terms += [
            self.argument(n) if s == 1 else f"{self.argument(n)} * {s}" for n, s in where.values
        ]
        return " + ".join(terms) or "0"

    def statement(self, s: Statement) -> None:
        k = self.kernel
        if isinstance(s, Let):
            args = ", ".join(self.argument(a) for a in s.args)
            self.put(f"{s.name} = {self.use(s.function)}({args})")
        elif isinstance(s, Load):
            scope = k.operands[s.operand].scope
            self.put(f"{s.name} = {self.load(scope)}(p{s.operand}, {self.index(s.index)})")
        elif isinstance(s, Store):
            operand = k.operands[s.operand]
            where, value = self.index(s.index), self.argument(s.value)
            if s.add:
                here = f"{self.load(operand.scope)}(p{s.operand}, {where})"
                function = "logical_or" if operand.dtype == "bool" else "add"
                value = f"{self.use(function)}({here}, {value})"
            self.put(f"{self.store(operand.scope)}(p{s.operand}, {where}, {value})")
        elif isinstance(s, Counter):
            offset = "" if s.offset == 0 else f" + {s.offset}"
            self.put(f"{s.name} = {self.use('cast_int64')}({self.index(s.index)}{offset})")
        elif isinstance(s, Scalar):
            word = f"{self.use('invariant_word')}(args, {scalar_word(k, s.position)})"
            self.put(f"{s.name} = {self.from_bits(word, s.dtype)}")
        elif isinstance(s, CheckIndex):
            value = self.argument(s.value)
            moved = f" + {s.size} if {value} < 0 else {value}" if s.negative else ""
            self.put(f"{s.name} = {value}{moved}")
            self.put(f"if {s.name} < 0 or {s.name} >= {s.size}:")
            self.depth += 1
            self.put(f"bad = {s.number + 1}")
            self.put(f"bad_value = {value}")
            self.put(f"bad_size = {s.size}")
            self.put(f"{s.name} = 0")
            self.depth -= 1

    def from_bits(self, word: str, dtype: str) -> str:
        if dtype == "float64":
            return f"{self.use('bits_to_float64')}({word})"
        if dtype == "float32":
            return f"{self.use('bits_to_float32')}({self.use('cast_int32')}({word}))"
        return f"{self.use('cast_' + dtype)}({word})"

    def load(self, scope: int) -> str:
        return self.use(f"load_{scope}" if scope < 24 else "load")

    def store(self, scope: int) -> str:
        return self.use(f"store_{scope}" if scope < 24 else "store")

    def loops(self, first: int, last: int) -> int:
        """Open loops first..last-1 over their full extents; the number opened."""
        for loop in range(first, last):
            self.put(f"for i{loop} in range(s{loop}):")
            self.depth += 1
        return last - first

    def close(self, count: int) -> None:
        self.depth -= count

    # ---- forms

    def _map(self) -> None:
        k = self.kernel
        (stage,) = k.stages
        if k.kept == 0:
            opened = 0
        else:
            self.put("for i0 in range(lo, hi):")
            self.depth += 1
            opened = 1 + self.loops(1, k.kept)
        for s in stage.row:
            self.statement(s)
        self.close(opened)
        self._epilogue()

    def _serial(self) -> None:
        """The first `outer` loops are cut into slabs; if there is none, one slab does it all."""
        k = self.kernel
        (stage,) = k.stages
        if k.outer == 0:
            opened = self.loops(0, k.kept)
        else:
            self.put("for i0 in range(lo, hi):")
            self.depth += 1
            opened = 1 + self.loops(1, k.kept)
        for s in stage.row:
            self.statement(s)
        self.close(opened)
        self._epilogue()

    def _rows(self) -> None:
        k = self.kernel
        opened = 0
        if k.kept:
            self.put("for i0 in range(lo, hi):")
            self.depth += 1
            opened = 1 + self.loops(1, k.kept)
        for stage in k.stages:
            for s in stage.row:
                self.statement(s)
            if stage.loop or stage.accumulators:
                self._reduce_loop(stage)
        self.close(opened)
        self._epilogue()

    def _reduce_loop(self, stage: Stage) -> None:
        """One pass over the reduced loops; the last one in blocks where float sums need it."""
        k = self.kernel
        for a in stage.accumulators:
            self.put(f"{a.name} = {self.initial(a)}")
        wide = [a for a in stage.accumulators if needs_wide(a)]
        for a in wide:
            self.put(f"{a.name}_wide = np.float64(0)")
        opened = self.loops(k.kept, k.loops - 1)
        last = k.loops - 1
        if wide:
            self.put(f"for from_ in range(0, s{last}, {SUM_BLOCK}):")
            self.depth += 1
            opened += 1
            for a in wide:
                self.put(f"{a.name} = np.float32(0)")
            self.put(f"to_ = min(from_ + {SUM_BLOCK}, s{last})")
            self.put(f"for i{last} in range(from_, to_):")
        else:
            self.put(f"for i{last} in range(s{last}):")
        self.depth += 1
        for s in stage.loop:
            self.statement(s)
        for a in stage.accumulators:
            self.accumulate(a)
        self.depth -= 1
        for a in wide:
            self.put(f"{a.name}_wide += np.float64({a.name})")
        self.close(opened)
        for a in wide:
            self.put(f"{a.name} = np.float32({a.name}_wide)")

    def initial(self, a: Accumulator) -> str:
        if a.function in ("any", "all"):
            return str(a.function == "all")
        if a.function == "sum":
            return f"np.{a.dtype}(0)"
        if a.function == "prod":
            return f"np.{a.dtype}(1)"
        return self.extreme(a)

    def extreme(self, a: Accumulator) -> str:
        """The neutral element of max or min."""
        dtype = a.dtype
        low = a.function == "max"
        if dtype == "bool":
            return str(not low)
        if dtype.startswith("float"):
            return f"np.{dtype}({'-' if low else ''}np.inf)"
        bits = int(dtype.lstrip("uint"))
        if dtype.startswith("u"):
            return f"np.{dtype}({0 if low else 2**bits - 1})"
        return f"np.{dtype}({-(2 ** (bits - 1)) if low else 2 ** (bits - 1) - 1})"

    def accumulate(self, a: Accumulator) -> None:
        value, name = self.argument(a.value), a.name
        if a.function in ("any", "all"):
            operator = "or" if a.function == "any" else "and"
            self.put(f"{name} = {self.use('logical_' + operator)}({name}, {value})")
        elif a.dtype == "bool":
            operator = "or" if a.function in ("max", "sum") else "and"
            self.put(f"{name} = {self.use('logical_' + operator)}({name}, {value})")
        else:
            self.put(f"{name} = {self.use(_STEP_FUNCTION[a.function])}({name}, {value})")

    def _blocks(self) -> None:
        """lo..hi are blocks; each stores what it accumulated into its place of the partials."""
        k = self.kernel
        (stage,) = k.stages
        for s in stage.row:
            self.statement(s)
        self.put("for b in range(lo, hi):")
        self.depth += 1
        self.put("first = b * block")
        self.put("last = min(first + block, s0)")
        wide = [a for a in stage.accumulators if needs_wide(a)]
        for a in stage.accumulators:
            self.put(f"{a.name} = {self.initial(a)}")
        for a in wide:
            self.put(f"{a.name}_wide = np.float64(0)")
        inner = k.loops - 1
        if k.loops > 1:
            self.put("for i0 in range(first, last):")
            self.depth += 1
            opened = 1 + self.loops(1, inner)
            lower, upper = "0", f"s{inner}"
        else:
            opened = 0
            lower, upper = "first", "last"
        if wide:
            self.put(f"for from_ in range({lower}, {upper}, {SUM_BLOCK}):")
            self.depth += 1
            opened += 1
            for a in wide:
                self.put(f"{a.name} = np.float32(0)")
            self.put(f"to_ = min(from_ + {SUM_BLOCK}, {upper})")
            lower, upper = "from_", "to_"
        self.put(f"for i{inner} in range({lower}, {upper}):")
        self.depth += 1
        for s in stage.loop:
            self.statement(s)
        for a in stage.accumulators:
            self.accumulate(a)
        self.depth -= 1
        for a in wide:
            self.put(f"{a.name}_wide += np.float64({a.name})")
        self.close(opened)
        operand = k.first_partial
        for a in stage.accumulators:
            value = f"{a.name}_wide" if a in wide else a.name
            scope = k.operands[operand].scope
            self.put(f"{self.store(scope)}(p{operand}, b, {value})")
            operand += 1
        self.depth -= 1
        self._epilogue()

    def _columns(self) -> None:
        """Row values are arrays over a chunk of the last kept loop, which runs innermost."""
        k = self.kernel
        chunked = k.kept - 1
        self.still = still_names(k)
        for stage in k.stages:
            for s in stage.row:
                if getattr(s, "name", None) in self.still:
                    self.statement(s)
        arrays: dict[str, str] = {}  # row value -> array that holds it over the chunk
        dtypes = self._row_dtypes()
        needed = self._row_values_needed_later()
        for name in needed:
            dtype = dtypes[name]
            self.put(f"{name}_r = {self.use('stack_' + dtype)}({CHUNK})")
            arrays[name] = f"{self.use('load')}({name}_r, c)"
        for stage in k.stages:
            for a in stage.accumulators:
                if needs_wide(a):
                    self.put(f"{a.name}_w = {self.use('stack_float64')}({CHUNK})")
        if k.kept > 1:
            self.put("for i0 in range(lo, hi):")
            self.depth += 1
            opened = 1 + self.loops(1, chunked)
            lower, upper = "0", f"s{chunked}"
        else:
            opened = 0
            lower, upper = "lo", "hi"
        self.put(f"for from_ in range({lower}, {upper}, {CHUNK}):")
        self.depth += 1
        self.put(f"width = min({CHUNK}, {upper} - from_)")
        known: dict[str, str] = {}
        for stage in k.stages:
            row = [s for s in stage.row if getattr(s, "name", None) not in self.still]
            if row:
                self._over_chunk(chunked)
                self.row_arrays = dict(known)
                for s in row:
                    self.statement(s)
                    name = getattr(s, "name", None)
                    if name in arrays:
                        self.put(f"{self.use('store')}({name}_r, c, {name})")
                self.depth -= 1
                known.update({n: arrays[n] for n in arrays if self._defined_in(n, stage)})
            self.row_arrays = dict(known)
            if stage.loop or stage.accumulators:
                self._column_loop(stage, chunked)
            known.update({a.name: arrays[a.name] for a in stage.accumulators if a.name in arrays})
        self.row_arrays = {}
        self.depth -= 1
        self.close(opened)
        self._epilogue()

    def _defined_in(self, name: str, stage: Stage) -> bool:
        return any(getattr(s, "name", None) == name for s in stage.row)

    def _over_chunk(self, chunked: int) -> None:
        self.put("for c in range(width):")
        self.depth += 1
        self.put(f"i{chunked} = from_ + c")

    def _row_dtypes(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for stage in self.kernel.stages:
            for s in stage.row:
                if isinstance(s, (Let, Load, Scalar)):
                    found[s.name] = s.dtype
                elif isinstance(s, (Counter, CheckIndex)):
                    found[s.name] = "int64"
            for a in stage.accumulators:
                found[a.name] = a.dtype
        return found

    def _row_values_needed_later(self) -> list[str]:
        """Row values that are read outside the loop over the chunk that defines them."""
        needed: dict[str, None] = {}
        rows: set[str] = set()
        for stage in self.kernel.stages:
            here = {getattr(s, "name", "") for s in stage.row} - self.still
            for s in stage.row:
                needed.update(dict.fromkeys(n for n in reads(s) if n in rows and n not in here))
            rows |= here
            for s in stage.loop:
                needed.update(dict.fromkeys(n for n in reads(s) if n in rows))
            for a in stage.accumulators:
                if a.value in rows:
                    needed.setdefault(str(a.value))
                needed.setdefault(a.name)
            rows |= {a.name for a in stage.accumulators}
        return list(needed)

    def _column_loop(self, stage: Stage, chunked: int) -> None:
        k = self.kernel
        load, store = self.use("load"), self.use("store")
        wide = [a for a in stage.accumulators if needs_wide(a)]
        if stage.accumulators:
            self.put("for c in range(width):")
            self.depth += 1
            for a in stage.accumulators:
                self.put(f"{store}({a.name}_r, c, {self.initial(a)})")
            for a in wide:
                self.put(f"{store}({a.name}_w, c, np.float64(0))")
            self.depth -= 1
        first, last = k.kept, k.loops
        opened = self.loops(first, last - 1)
        if wide:
            self.put(f"for row_ in range(0, s{last - 1}, {ROW_BLOCK}):")
            self.depth += 1
            self.put(f"for i{last - 1} in range(row_, min(row_ + {ROW_BLOCK}, s{last - 1})):")
            self.depth += 1
        else:
            self.put(f"for i{last - 1} in range(s{last - 1}):")
            self.depth += 1
        self._over_chunk(chunked)
        for s in stage.loop:
            self.statement(s)
        for a in stage.accumulators:
            name = a.name
            self.put(f"{name} = {load}({name}_r, c)")
            self.accumulate(a)
            self.put(f"{store}({name}_r, c, {name})")
        self.depth -= 2
        if wide:
            self.put("for c in range(width):")
            self.depth += 1
            for a in wide:
                here, there = f"{load}({a.name}_r, c)", f"{load}({a.name}_w, c)"
                self.put(f"{store}({a.name}_w, c, {there} + np.float64({here}))")
                self.put(f"{store}({a.name}_r, c, np.float32(0))")
            self.depth -= 2
        self.close(opened)
        if wide:
            self.put("for c in range(width):")
            self.depth += 1
            for a in wide:
                self.put(f"{store}({a.name}_r, c, np.float32({load}({a.name}_w, c)))")
            self.depth -= 1


def needs_wide(a: Accumulator) -> bool:
    """Float32 sums are blocked: long running sums would lose digits."""
    return a.function == "sum" and a.dtype == "float32"


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


def emit(kernel: Kernel) -> str:
    """The Numba text of a kernel; its entry is called `kernel`."""
    return Emitter(kernel).text()
