"""From statements of a kernel to CUDA C: what all forms of kernels share.

The last loop is taken in packs, one memory access of up to 16 bytes, where all that lies along it
is aligned; else, and at its end, in single elements. Both come from one text: a lambda that is
called with either width.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator

from symnet.backends.gpu.prelude import FULL_PACK, MEMORY_TYPES, THREADS
from symnet.backends.gpu.source import Source, Words
from symnet.backends.reductions import OF_BOOLS, needs_wide, neutral
from symnet.backends.words import itemsize
from symnet.kernels.scalar import FUNCTIONS
from symnet.kernels.scalar.c import C_TYPES, CTarget
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


def constant(value: float | int | bool, dtype: str) -> str:
    """A number as C text."""
    return CTarget().constant(value, dtype)


class Emitter:
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
                terms.append(counter if stride == 1 else f"{counter} * {integer(stride)}")
        terms += [n if s == 1 else f"{n} * {integer(s)}" for n, s in where.values]
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
            offset = "" if s.offset == 0 else f" + {integer(s.offset)}"
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
        value, size = self.argument(s.value), integer(s.size)
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
        function = f"logical_{OF_BOOLS[a.function]}" if dtype == "bool" else _STEP[a.function]
        return self.call(function, args, [dtype, dtype])

    def accumulate(self, a: Accumulator) -> None:
        self.put(f"{a.name} = {self.step(a, a.dtype, a.name, self.argument(a.value))};")

    def reduce(
        self,
        stage: Stage,
        loops: list[int],
        lanes: str,
        start: str,
        end: str = "total_",
        first: str = "",
    ) -> None:
        """One pass of a lane over `loops`, whose items in the last loop `items_` counts, and what
        all lanes found, combined.

        start, end  the lane's first item, and where items end
        first       where the outermost of the loops starts
        """
        wide = [a for a in stage.accumulators if needs_wide(a)]
        for a in stage.accumulators:
            self.begin(a)
        for a in wide:
            self.put(f"{C_TYPES[a.dtype]} {a.name} = 0;")
        with self.block(""):
            self.points(stage.loop, loops, stage)
            if wide:
                with self.block(f"for (long long from_ = {start}; from_ < {end};)"):
                    self.put(
                        f"const long long to_ = symnet_min({end}, from_ + {SUM_ITEMS} * {lanes});"
                    )
                    with self.block(f"for (; from_ < to_; from_ += {lanes})"):
                        self._item(loops, "from_", first)
                    for a in wide:
                        self.put(f"{a.name}_wide += (double){a.name};")
                        self.put(f"{a.name} = 0;")
            else:
                with self.block(
                    f"for (long long from_ = {start}; from_ < {end}; from_ += {lanes})"
                ):
                    self._item(loops, "from_", first)
        for a in stage.accumulators:
            self.combine(a, lanes)

    def _item(self, loops: list[int], position: str, first: str) -> None:
        *indices, item = self.split(position, loops, "items_")
        if first and indices:
            indices[0] = f"{first} + {indices[0]}"
        self.call_points(indices, item, "" if indices else first)

    def total(self, a: Accumulator) -> tuple[str, str]:
        """Name and dtype of what an accumulator's partial results are added up in."""
        return (f"{a.name}_wide", "float64") if needs_wide(a) else (a.name, a.dtype)

    def begin(self, a: Accumulator) -> None:
        """Define what an accumulator is added up in."""
        name, dtype = self.total(a)
        self.dtypes[a.name] = a.dtype
        self.put(f"{C_TYPES[dtype]} {name} = {constant(neutral(a), dtype)};")

    def combine(self, a: Accumulator, lanes: str) -> None:
        """The lanes' results become that of their group, in all of them."""
        name, dtype = self.total(a)
        kind = C_TYPES[dtype]
        function = "columns" if self.kernel.form == "columns" else "rows"
        combine = f"[]({kind} x_, {kind} y_) {{ return {self.step(a, dtype, 'x_', 'y_')}; }}"
        self.put(f"{name} = symnet_reduce_{function}({name}, (int){lanes}, shared_, {combine});")


def integer(stride: Stride) -> str:
    if isinstance(stride, str):
        return stride
    return f"{stride}ll" if abs(stride) >= 2**31 else str(stride)


def _from_bits(word: str, dtype: str) -> str:
    if dtype == "float64":
        return f"symnet_float((unsigned long long){word})"
    if dtype == "float32":
        return f"symnet_float((unsigned int){word})"
    return f"{word} != 0" if dtype == "bool" else f"({C_TYPES[dtype]}){word}"
