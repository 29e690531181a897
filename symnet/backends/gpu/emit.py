"""From a kernel of the schedule to its CUDA C text.

A kernel's argument words (`Words`) are int64: addresses of the operands, slots (extents of the
loops, then strides, in elements), scalars as bits, and what the launch decides. Words in `live` are
read from device memory, where each call puts them; all others are fixed by the binding.

    map, serial    a thread per point of the (outer) loops, which are one linear range
    rows, columns  a group of lanes per point of the kept loops (see prelude.py); each lane takes
                   every lanes-th item of the reduced loops, and has the row's values for itself
    blocks         a block of threads per block of the reduced loops

The last loop is taken in packs, one memory access of up to 16 bytes, where all that lies along it
is aligned; else, and at its end, in single elements. Both come from one text: a lambda that is
called with either width. An element is always computed by the same lane, in every stage, so what
a lane has written it may read again without waiting for others.
"""

import contextlib
import functools
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from symnet.backends.gpu.prelude import FULL_PACK, MEMORY_TYPES, PRELUDE, THREADS
from symnet.kernels.scalar import FUNCTIONS
from symnet.kernels.scalar.c import C_TYPES, CTarget, c_source
from symnet.ops.elementwise import DEAR
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
    Stride,
    reads,
)

SUM_ITEMS = 128  # items that a lane sums in float32 before it goes on in float64
WIDEST = 8  # elements of a pack
WIDEST_DEAR = 4  # the same where exp and the like would be written out for each

_STEP = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum"}
_OF_BOOLS = {
    "any": "or", "max": "or", "sum": "or", "all": "and", "min": "and", "prod": "and",
}  # fmt: skip


def itemsize(dtype: str) -> int:
    return 1 if dtype == "bool" else np.dtype(dtype).itemsize


class Words:
    """Where things are among a kernel's argument words; -1 for what it does not have.

    operands from 0, slots from `slot`, scalars from `scalar`, then
    check       the number of the first index check of the step
    scratch     for each scratch operand the bytes of one row, then whether rows are in shared
                memory (the operand's word is then an offset there)
    block       iterations of the outer loop in one block of a "blocks" kernel; then their number
    lanes       of the groups that reduce
    """

    def __init__(self, kernel: Kernel):
        self.slot = len(kernel.operands)
        self.scalar = self.slot + kernel.slots
        self.count = self.scalar + len(kernel.scalars)
        scratch = sum(o.per_thread for o in kernel.operands)
        self.check = self._take(kernel.can_fail)
        self.scratch = self._take(scratch and scratch + 1)
        self.block = self._take(2 * (kernel.form == "blocks"))
        self.lanes = self._take(kernel.form in ("rows", "columns"))
        self.in_shared = self.scratch + scratch

    def _take(self, many: int) -> int:
        first, self.count = self.count, self.count + many
        return first if many else -1


@dataclass(frozen=True)
class Source:
    """The text of a kernel.

    body       the text, its entry called ENTRY
    functions  the scalar functions that it calls, with the dtypes of their arguments
    words      number of its argument words
    width      elements that a thread takes at once where memory is aligned
    meets      whether the threads of a block wait for each other
    """

    body: str
    functions: tuple[tuple[str, ...], ...]
    words: int
    width: int
    meets: bool

    @functools.cached_property
    def entry(self) -> str:
        """The name of the function, made of everything it depends on."""
        digest = hashlib.sha256(module_text([self], named=False).encode())
        return f"symnet_{digest.hexdigest()[:24]}"

    @property
    def text(self) -> str:
        return module_text([self])


def module_text(sources: Iterable[Source], prelude: str = PRELUDE, named: bool = True) -> str:
    """A translation unit of several kernels; scalar functions that they share are in it once."""
    sources = list(sources)
    functions = sorted({f for s in sources for f in s.functions})
    parts = [prelude, *(_function(*f) for f in functions)]
    parts += [s.body.replace("ENTRY", s.entry) if named else s.body for s in sources]
    return "\n".join(parts)


_function = functools.cache(c_source)


@functools.lru_cache(4096)
def emit(kernel: Kernel, live: tuple[int, ...] = (), guarded: bool = False) -> Source:
    """The CUDA text of a kernel.

    live     words that are read from device memory, in this order
    guarded  do nothing if a check has failed before: the kernel overwrites shared values
    """
    forms = {
        "map": _Map, "serial": _Serial, "rows": _Rows, "columns": _Rows, "blocks": _Blocks,
    }  # fmt: skip
    return forms[kernel.form](kernel, live, guarded).source()


def constant(value: float | int | bool, dtype: str) -> str:
    """A number as C text."""
    return CTarget().constant(value, dtype)


def initial(a: Accumulator) -> bool | int | float:
    """The neutral element of a reduction."""
    if a.dtype == "bool":
        return _OF_BOOLS[a.function] == "and"
    if a.function in ("sum", "prod"):
        return int(a.function == "prod")
    if a.dtype.startswith("float"):
        return -np.inf if a.function == "max" else np.inf
    limits = np.iinfo(a.dtype)
    return int(limits.min if a.function == "max" else limits.max)


def needs_wide(a: Accumulator) -> bool:
    """Float32 sums are blocked: long running sums would lose digits."""
    return a.function == "sum" and a.dtype == "float32"


class _Emitter:
    """Writes the text of one kernel; each form is a subclass that answers `body`.

    packed  the loop that is taken in packs; -1 if there is none
    """

    meets = False

    def __init__(self, kernel: Kernel, live: tuple[int, ...], guarded: bool):
        self.kernel = kernel
        self.words = Words(kernel)
        self.live = live
        self.guarded = guarded
        self.lines: list[str] = []
        self.depth = 1
        self.dtypes: dict[str, str] = {}
        self.functions: set[tuple[str, ...]] = set()
        self.store_guard = ""  # condition under which this thread may store
        self.packed = self.packed_loop()
        self.width, self.aligned = self._packs()

    def body(self) -> None:
        raise NotImplementedError

    def packed_loop(self) -> int:
        raise NotImplementedError

    def source(self) -> Source:
        self.body()
        inside = "\n".join(self.lines)
        self.lines = []
        self._arguments(inside)
        head = (
            f'extern "C" __global__ void __launch_bounds__({THREADS})\n'
            f"ENTRY(const symnet_words<{self.words.count}> words, const long long* live, "
            "long long* error)\n"
        )
        body = "\n".join([head + "{", *self.lines, inside, "}", ""])
        functions = tuple(sorted(self.functions))
        return Source(body, functions, self.words.count, self.width, self.meets)

    def _arguments(self, inside: str) -> None:
        """What `inside` uses of operands and slots; unused variables would be warned about."""
        used = set(re.findall(r"\b[ps]\d+\b", inside))
        if self.guarded:
            self.put("if (*error != 0) return;")
        for number, operand in enumerate(self.kernel.operands):
            if f"p{number}" in used and not operand.per_thread:
                kind = MEMORY_TYPES[operand.dtype]
                const = "" if operand.written else "const "
                self.put(f"{const}{kind}* const p{number} = ({const}{kind}*){self.word(number)};")
        for slot in range(self.kernel.slots):
            if f"s{slot}" in used:
                self.put(f"const long long s{slot} = {self.word(self.words.slot + slot)};")

    # ---- text

    def put(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    def word(self, number: int) -> str:
        if number in self.live:
            return f"live[{self.live.index(number)}]"
        return f"words.w[{number}]"

    @contextlib.contextmanager
    def block(self, head: str) -> Iterator[None]:
        self.put(f"{head} {{" if head else "{")
        self.depth += 1
        yield
        self.depth -= 1
        self.put("}")

    def call(self, function: str, args: Iterable[str], dtypes: Iterable[str]) -> str:
        self.functions.add((function, *dtypes))
        return f"symnet_{function}({', '.join(args)})"

    def extent(self, loops: Iterable[int]) -> str:
        return " * ".join(f"s{loop}" for loop in loops) or "1"

    # ---- packs

    def varying(self, statements: Iterable[Statement]) -> set[str]:
        """Names that differ between the elements of a pack."""
        found: set[str] = set()
        for s in statements:
            moves = isinstance(s, (Load, Counter)) and s.index.strides[self.packed] != 0
            if not isinstance(s, Store) and (moves or not found.isdisjoint(reads(s))):
                found.add(s.name)
        return found

    def lies_along(self, s: Statement, varying: set[str]) -> bool:
        """Whether a load or store of a pack is one access."""
        return (
            isinstance(s, (Load, Store))
            and s.index.strides[self.packed] == 1
            and varying.isdisjoint(n for n, _ in s.index.values)
        )

    def packed_statements(self) -> Iterator[tuple[Statement, ...]]:
        """The statements inside the packed loop, stage by stage."""
        for stage in self.kernel.stages:
            yield stage.loop

    def _packs(self) -> tuple[int, list[str]]:
        """Elements of a pack, and the conditions under which packs are aligned."""
        if self.packed < 0:
            return 1, []
        along = [
            s
            for statements in self.packed_statements()
            for s in statements
            if self.lies_along(s, self.varying(statements))
        ]
        operands = dict.fromkeys(s.operand for s in along)
        if not operands:
            return 1, []
        sizes = {k: itemsize(self.kernel.operands[k].dtype) for k in operands}
        dear = any(isinstance(s, Let) and s.function in DEAR for s in self.kernel.statements())
        width = min(FULL_PACK // max(sizes.values()), WIDEST_DEAR if dear else WIDEST)
        strides: dict[Stride, None] = {}
        for s in along:
            others = [x for k, x in enumerate(s.index.strides) if k != self.packed]
            strides.update(dict.fromkeys([*others, *(x for _, x in s.index.values)]))
        conditions = []
        for stride in strides:
            if isinstance(stride, str):
                conditions.append(f"{stride} % {width} == 0")
            elif stride % width:
                return 1, []
        for k, size in sizes.items():
            if not self.kernel.operands[k].per_thread:  # rows of scratch are aligned
                conditions.append(f"symnet_aligned(p{k}, {width * size})")
        return width, conditions

    def items(self, first: str = "0", last: str = "") -> None:
        """Variables: how many packs and how many items (packs and single elements) there are in
        the packed loop from `first`, a multiple of the width, to `last`."""
        length = f"({last or f's{self.packed}'} - {first})" if first != "0" else last
        length = length or f"s{self.packed}"
        if self.width > 1:
            self.put(f"const long long packs_ = aligned_ ? {length} / {self.width} : 0;")
            self.put(f"const long long items_ = {length} - packs_ * {self.width - 1};")
        else:
            self.put(f"const long long items_ = {length};")

    def alignment(self) -> None:
        if self.width > 1:
            self.put(f"const bool aligned_ = {' && '.join(self.aligned) or 'true'};")

    def points(self, statements: tuple[Statement, ...], loops: list[int], stage: Stage) -> None:
        """The lambda `points_(width, loops...)`: `statements` for a pack, then accumulation."""
        parameters = [f"const long long i{k}" for k in loops[:-1]] + ["const long long at_"]
        varying = self.varying(statements)
        self.put(f"const auto points_ = [&](auto width_, {', '.join(parameters)}) {{")
        self.depth += 1
        self.put("constexpr int V = decltype(width_)::value;")
        packs: dict[int, str] = {}  # position of the statement: its pack
        for position, s in enumerate(statements):
            if self.lies_along(s, varying):
                packs[position] = f"x{position}_"
                where = self.index(s.index, "at_")
                kind = MEMORY_TYPES[self.kernel.operands[s.operand].dtype]
                if isinstance(s, Load) or s.add:
                    value = f" = symnet_read<V>(p{s.operand} + {where})"
                else:
                    value = ""
                const = "const " if isinstance(s, Load) else ""
                self.put(f"{const}symnet_pack<{kind}, V> {packs[position]}{value};")
                if isinstance(s, Load):
                    self.dtypes[s.name] = s.dtype
            elif not isinstance(s, Store) and s.name not in varying:
                self.statement(s, "at_")
        before, self.lines = self.lines, []
        self.depth += 1
        for position, s in enumerate(statements):
            if position in packs and isinstance(s, Load):
                self.define(s.name, self.truth(f"{packs[position]}.v[e_]", s.dtype), s.dtype)
            elif position in packs:
                place = f"{packs[position]}.v[e_]"
                self.put(f"{place} = {self.stored(s, place)};")
            elif isinstance(s, Store) or s.name in varying:
                self.statement(s)
        for a in stage.accumulators:
            self.accumulate(a)
        self.depth -= 1
        inside, self.lines = self.lines, before
        if inside:
            self.put("#pragma unroll")
            with self.block("for (int e_ = 0; e_ < V; e_++)"):
                if any(re.search(rf"\bi{self.packed}\b", line) for line in inside):
                    self.put(f"const long long i{self.packed} = at_ + e_;")
                self.lines += inside
        for position, s in enumerate(statements):
            if position in packs and isinstance(s, Store):
                guard = f"if ({self.store_guard}) " if self.store_guard else ""
                where = self.index(s.index, "at_")
                self.put(f"{guard}symnet_write(p{s.operand} + {where}, {packs[position]});")
        self.depth -= 1
        self.put("};")

    def call_points(self, indices: list[str], item: str, first: str = "") -> None:
        """`points_` for an item of the packed loop: a pack, or a single element behind them."""
        front = "".join(f"{i}, " for i in indices)
        offset = f"{first} + " if first else ""
        single = f"points_(symnet_width<1>{{}}, {front}{offset}{item});"
        if self.width == 1:
            self.put(single)
            return
        w = self.width
        self.put(
            f"if ({item} < packs_) points_(symnet_width<{w}>{{}}, {front}{offset}{item} * {w});"
        )
        self.put(
            f"else points_(symnet_width<1>{{}}, {front}{offset}packs_ * {w} + {item} - packs_);"
        )

    def split(self, position: str, loops: list[int], last: str) -> list[str]:
        """Cut a linear position into indices: those of `loops` but the last, and an item of that,
        of which there are `last`. Returns the names of all."""
        if len(loops) == 1:
            return [position]
        self.put(f"long long rest_ = {position};")
        self.put(f"const long long item_ = symnet_last(rest_, {last});")
        for loop in loops[-2:0:-1]:
            self.put(f"const long long j{loop}_ = symnet_last(rest_, s{loop});")
        return ["rest_", *(f"j{loop}_" for loop in loops[1:-1]), "item_"]

    # ---- statements

    def argument(self, a: Argument) -> str:
        return constant(a.value, a.dtype) if isinstance(a, Literal) else a

    def dtype(self, a: Argument) -> str:
        return a.dtype if isinstance(a, Literal) else self.dtypes[a]

    def index(self, where: Index, packed: str = "") -> str:
        """The offset of an access; `packed` is what the packed loop's counter is called."""
        terms = []
        for loop, stride in enumerate(where.strides):
            if stride != 0:
                counter = packed if packed and loop == self.packed else f"i{loop}"
                terms.append(counter if stride == 1 else f"{counter} * {_integer(stride)}")
        terms += [n if s == 1 else f"{n} * {_integer(s)}" for n, s in where.values]
        return " + ".join(terms) or "0"

    def define(self, name: str, value: str, dtype: str) -> None:
        self.dtypes[name] = dtype
        self.put(f"const {C_TYPES[dtype]} {name} = {value};")

    def truth(self, element: str, dtype: str) -> str:
        """The value of an element in memory."""
        return f"{element} != 0" if dtype == "bool" else element

    def statement(self, s: Statement, packed: str = "") -> None:
        if isinstance(s, Let):
            dtypes = [self.dtype(a) for a in s.args]
            assert FUNCTIONS[s.function].result_dtype(*dtypes) == s.dtype
            self.define(s.name, self.call(s.function, map(self.argument, s.args), dtypes), s.dtype)
        elif isinstance(s, Load):
            element = f"p{s.operand}[{self.index(s.index, packed)}]"
            self.define(s.name, self.truth(element, s.dtype), s.dtype)
        elif isinstance(s, Store):
            place = f"p{s.operand}[{self.index(s.index, packed)}]"
            guard = f"if ({self.store_guard}) " if self.store_guard else ""
            self.put(f"{guard}{place} = {self.stored(s, place)};")
        elif isinstance(s, Counter):
            offset = "" if s.offset == 0 else f" + {_integer(s.offset)}"
            self.define(s.name, f"{self.index(s.index, packed)}{offset}", "int64")
        elif isinstance(s, Scalar):
            word = self.word(self.words.scalar + s.position)
            self.define(s.name, _from_bits(word, s.dtype), s.dtype)
        else:
            self._check(s)

    def stored(self, s: Store, place: str) -> str:
        """What a store writes."""
        value = self.argument(s.value)
        dtype = self.kernel.operands[s.operand].dtype
        if not s.add:
            return value
        return self.call("add", [self.truth(place, dtype), value], [dtype, dtype])

    def _check(self, s: CheckIndex) -> None:
        value, size = self.argument(s.value), _integer(s.size)
        moved = f"{value} < 0 ? {value} + {size} : {value}" if s.negative else value
        self.dtypes[s.name] = "int64"
        self.put(f"long long {s.name} = {moved};")
        with self.block(f"if ({s.name} < 0 || {s.name} >= {size})"):
            number = f"{self.word(self.words.check)} + {s.number + 1}"
            # a group without a row of its own may read what another has overwritten
            real = "if (real_) " if self.kernel.form in ("rows", "columns") else ""
            self.put(f"{real}symnet_report(error, {number}, {value}, {size});")
            self.put(f"{s.name} = 0;")

    # ---- reductions

    def step(self, a: Accumulator, dtype: str, *args: str) -> str:
        function = f"logical_{_OF_BOOLS[a.function]}" if dtype == "bool" else _STEP[a.function]
        return self.call(function, args, [dtype, dtype])

    def accumulate(self, a: Accumulator) -> None:
        self.put(f"{a.name} = {self.step(a, a.dtype, a.name, self.argument(a.value))};")

    def reduce(
        self, stage: Stage, loops: list[int], lanes: str, lane: str, first: str = ""
    ) -> None:
        """One pass of a lane over `loops`, whose items are counted by `total_` and `items_`, and
        what all lanes found, combined.

        first  where the outermost of the loops starts
        """
        wide = [a for a in stage.accumulators if needs_wide(a)]
        for a in stage.accumulators:
            self.put(f"{C_TYPES[a.dtype]} {a.name} = {constant(initial(a), a.dtype)};")
            self.dtypes[a.name] = a.dtype
        for a in wide:
            self.put(f"double {a.name}_wide = 0;")
        with self.block(""):
            self.points(stage.loop, loops, stage)
            if wide:
                with self.block(f"for (long long from_ = {lane}; from_ < total_;)"):
                    self.put(
                        f"const long long to_ = symnet_min(total_, from_ + {SUM_ITEMS} * {lanes});"
                    )
                    with self.block(f"for (; from_ < to_; from_ += {lanes})"):
                        self._item(loops, "from_", first)
                    for a in wide:
                        self.put(f"{a.name}_wide += (double){a.name};")
                        self.put(f"{a.name} = 0;")
            else:
                with self.block(
                    f"for (long long from_ = {lane}; from_ < total_; from_ += {lanes})"
                ):
                    self._item(loops, "from_", first)
        for a in stage.accumulators:
            self._combine(a, lanes)

    def _item(self, loops: list[int], position: str, first: str) -> None:
        *indices, item = self.split(position, loops, "items_")
        if first and indices:
            indices[0] = f"{first} + {indices[0]}"
        self.call_points(indices, item, "" if indices else first)

    def _combine(self, a: Accumulator, lanes: str) -> None:
        """The lanes' results become that of their group, in all of them."""
        name, dtype = (f"{a.name}_wide", "float64") if needs_wide(a) else (a.name, a.dtype)
        kind = C_TYPES[dtype]
        function = "columns" if self.kernel.form == "columns" else "rows"
        combine = f"[]({kind} x_, {kind} y_) {{ return {self.step(a, dtype, 'x_', 'y_')}; }}"
        self.put(f"{name} = symnet_reduce_{function}({name}, (int){lanes}, shared_, {combine});")


class _Map(_Emitter):
    """Every point of the loops by itself."""

    def packed_loop(self) -> int:
        return self.kernel.kept - 1

    def packed_statements(self) -> Iterator[tuple[Statement, ...]]:
        yield self.kernel.stages[0].row

    def body(self) -> None:
        loops = list(range(self.kernel.kept))
        (stage,) = self.kernel.stages
        if not loops:
            with self.block("if (blockIdx.x == 0 && threadIdx.x == 0)"):
                for s in stage.row:
                    self.statement(s)
            return
        self.alignment()
        self.items()
        self.points(stage.row, loops, Stage())
        self.put(f"const long long total_ = {self.extent(loops[:-1])} * items_;")
        self.put(f"const long long all_ = (long long)gridDim.x * {THREADS};")
        start = f"(long long)blockIdx.x * {THREADS} + threadIdx.x"
        with self.block(f"for (long long from_ = {start}; from_ < total_; from_ += all_)"):
            *indices, item = self.split("from_", loops, "items_")
            self.call_points(indices, item)


class _Serial(_Emitter):
    """A thread per point of the first `outer` loops; the others run in order inside it."""

    def packed_loop(self) -> int:
        return -1

    def body(self) -> None:
        k = self.kernel
        (stage,) = k.stages
        outer = list(range(k.outer))
        self.put(f"const long long total_ = {self.extent(outer)};")
        self.put(f"const long long all_ = (long long)gridDim.x * {THREADS};")
        start = f"(long long)blockIdx.x * {THREADS} + threadIdx.x"
        with self.block(f"for (long long from_ = {start}; from_ < total_; from_ += all_)"):
            _indices(self, "from_", outer)
            heads = [
                f"for (long long i{loop} = 0; i{loop} < s{loop}; i{loop}++)"
                for loop in range(k.outer, k.kept)
            ]
            with contextlib.ExitStack() as stack:
                for head in heads:
                    stack.enter_context(self.block(head))
                for s in stage.row:
                    self.statement(s)


class _Rows(_Emitter):
    """A group of lanes per row: what is reduced, and what is computed from it, all lanes have."""

    meets = True

    def packed_loop(self) -> int:
        return self.kernel.loops - 1 if self.kernel.form == "rows" else -1

    def body(self) -> None:
        k = self.kernel
        w = self.words
        kept, reduced = list(range(k.kept)), list(range(k.kept, k.loops))
        if self.packed < 0:
            self.packed = k.loops - 1  # in single elements
        self.put(f"__shared__ unsigned long long shared_[{THREADS}];")
        self.put(f"const int lanes_ = (int){self.word(w.lanes)}, groups_ = {THREADS} / lanes_;")
        first, second = ("/", "%") if k.form == "rows" else ("%", "/")
        by = "lanes_" if k.form == "rows" else "groups_"
        self.put(f"const int group_ = (int)threadIdx.x {first} {by};")
        self.put(f"const int lane_ = (int)threadIdx.x {second} {by};")
        self._scratch()
        self.alignment()
        self.items()
        self.put(f"const long long total_ = {self.extent(reduced[:-1])} * items_;")
        self.put(f"const long long rows_ = {self.extent(kept)};")
        self.put("const long long tiles_ = (rows_ + groups_ - 1) / groups_;")
        with self.block("for (long long tile_ = blockIdx.x; tile_ < tiles_; tile_ += gridDim.x)"):
            self.put("const long long mine_ = tile_ * groups_ + group_;")
            self.put("const bool real_ = mine_ < rows_;  /* else the last row, without storing */")
            if kept:
                self.put("const long long row_ = real_ ? mine_ : rows_ - 1;")
            _indices(self, "row_", kept)
            for stage in k.stages:
                self._row(stage)
                if stage.loop or stage.accumulators:
                    self.store_guard = "real_"
                    self.reduce(stage, reduced, "lanes_", "lane_")
                    for a in filter(needs_wide, stage.accumulators):
                        self.put(f"{a.name} = (float){a.name}_wide;")

    def _row(self, stage: Stage) -> None:
        self.store_guard = "real_ && lane_ == 0"
        waited = False
        for s in stage.row:
            if isinstance(s, Store) and self._overwrites(s) and not waited:
                self.put("if (lanes_ > 1) __syncthreads();  /* all lanes have read it */")
                waited = True
            elif isinstance(s, Load):
                waited = False
            self.statement(s)

    def _overwrites(self, store: Store) -> bool:
        """Whether a row's store takes the place of what other lanes may be about to read."""
        operands = self.kernel.operands
        scope = operands[store.operand].scope
        return store.add or any(
            isinstance(s, Load) and operands[s.operand].scope == scope
            for s in self.kernel.statements()
        )

    def _scratch(self) -> None:
        """Rows of scratch: in shared memory one per group of the block, else one per group of the
        grid."""
        k, w = self.kernel, self.words
        number = 0
        for position, operand in enumerate(k.operands):
            if not operand.per_thread:
                continue
            kind = MEMORY_TYPES[operand.dtype]
            if number == 0:
                self.put(f"const bool near_ = {self.word(w.in_shared)} != 0;")
                self.put(
                    "const long long slot_ = near_ ? group_ "
                    ": (long long)blockIdx.x * groups_ + group_;"
                )
            row = f"{self.word(position)} + slot_ * {self.word(w.scratch + number)}"
            self.put(
                f"{kind}* const p{position} = ({kind}*)"
                f"(near_ ? symnet_dynamic + ({row}) : (unsigned char*)({row}));"
            )
            number += 1


class _Blocks(_Emitter):
    """A block of threads per block of the outermost loop; each stores what it accumulated."""

    meets = True

    def packed_loop(self) -> int:
        return self.kernel.loops - 1

    def body(self) -> None:
        k = self.kernel
        (stage,) = k.stages
        loops = list(range(k.loops))
        self.put(f"__shared__ unsigned long long shared_[{THREADS}];")
        self.put(f"const long long block_ = {self.word(self.words.block)};")
        self.put(f"const long long blocks_ = {self.word(self.words.block + 1)};")
        self.alignment()
        for s in stage.row:
            self.statement(s)
        with self.block("for (long long b_ = blockIdx.x; b_ < blocks_; b_ += gridDim.x)"):
            self.put("const long long first_ = b_ * block_;")
            self.put("const long long last_ = symnet_min(first_ + block_, s0);")
            if k.loops == 1:
                self.items("first_", "last_")
                self.put("const long long total_ = items_;")
            else:
                self.items()
                inner = "".join(f"s{loop} * " for loop in loops[1:-1])
                self.put(f"const long long total_ = (last_ - first_) * {inner}items_;")
            self.reduce(stage, loops, str(THREADS), "(long long)threadIdx.x", "first_")
            with self.block("if (threadIdx.x == 0)"):
                for number, a in enumerate(stage.accumulators):
                    value = f"{a.name}_wide" if needs_wide(a) else a.name
                    self.put(f"p{k.first_partial + number}[b_] = {value};")


def _indices(emitter: _Emitter, position: str, loops: list[int]) -> None:
    """Define the counters of `loops` from their linear position."""
    if len(loops) == 1:
        emitter.put(f"const long long i{loops[0]} = {position};")
    elif loops:
        emitter.put(f"long long left_ = {position};")
        for loop in loops[:0:-1]:
            emitter.put(f"const long long i{loop} = symnet_last(left_, s{loop});")
        emitter.put(f"const long long i{loops[0]} = left_;")


def _integer(stride: Stride) -> str:
    if isinstance(stride, str):
        return stride
    return f"{stride}ll" if abs(stride) >= 2**31 else str(stride)


def _from_bits(word: str, dtype: str) -> str:
    if dtype == "float64":
        return f"symnet_float((unsigned long long){word})"
    if dtype == "float32":
        return f"symnet_float((unsigned int){word})"
    return f"{word} != 0" if dtype == "bool" else f"({C_TYPES[dtype]}){word}"
