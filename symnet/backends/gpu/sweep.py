"""Sweeps: how a thread goes over its share of the points of some loops.

The last loop is taken in packs where all that lies along it is aligned; else, and at its end, in
single elements. Both come from one text: lambdas that are called with either width. An item is a
pack or a single element. What an item reads is fetched ahead, that of several items together, so
that enough loads are on their way to hide the memory's latency:

    fetch_(width, item)   -> the item's indices and what it reads
    points_(width, got)   computes, accumulates and stores
    sweep_(width, items, start)   all items of a thread, `unroll` at a time
"""

import re
from collections.abc import Iterable, Sequence

from symnet.backends.gpu.packs import fetched, lies_along, packed_loop, packs, varying
from symnet.backends.gpu.prelude import MEMORY_TYPES
from symnet.backends.gpu.statements import Emitter, integer
from symnet.backends.reductions import needs_wide
from symnet.backends.words import itemsize
from symnet.kernels.scalar.c import C_TYPES
from symnet.ops.elementwise import DEAR
from symnet.schedule.kernel import Accumulator, Kernel, Let, Load, Stage, Statement, Store

SUM_ITEMS = 128  # items that a lane sums in float32 before it goes on in float64
AHEAD = 64  # bytes that a thread fetches ahead
MOST_AHEAD = 8  # items of them
WRITTEN_OUT = 64  # operations that are written out for the items taken together, at most
DEAR_COST = 8  # of exp and the like, in operations


class Sweeping(Emitter):
    """An emitter of kernels that go over points in packs."""

    if_aligned = ""  # an argument of writes: packs are aligned where they are used

    def __init__(self, kernel: Kernel, live: tuple[int, ...], guarded: bool):
        super().__init__(kernel, live, guarded)
        self.packed = packed_loop(kernel)
        self.width, self.aligned = packs(kernel)

    def alignment(self) -> None:
        if self.width > 1:
            self.put(f"const bool aligned_ = {' && '.join(self.aligned) or 'true'};")

    # ---- functions of an item

    def item_functions(
        self, statements: Sequence[Statement], loops: Sequence[int], stage: Stage, first: str = ""
    ) -> None:
        """The lambdas `fetch_` and `points_`. `first`: where the outermost loop starts."""
        reads = fetched(statements)
        moving = varying(statements, self.packed)
        along = {k for k, s in enumerate(statements) if lies_along(s, self.packed, moving)}
        outer = [f"i{loop}" for loop in loops[:-1]]
        self.walked = self._walked(reads, loops)
        for position, s in self.walked.items():
            kind = MEMORY_TYPES[self.kernel.operands[s.operand].dtype]
            const = "" if self.kernel.operands[s.operand].written else "const "
            self.put(f"{const}{kind}* q{position}_ = p{s.operand};")
        fields = [f"long long {', '.join([*outer, 'at_'])};"]
        values = [*outer, "at_"]
        packed: dict[int, str] = {}  # position of a statement: its pack
        still: dict[int, str] = {}  # position of a load that is the same for all elements
        for position, s in reads.items():
            name = f"x{position}_"
            kind = MEMORY_TYPES[self.kernel.operands[s.operand].dtype]
            if position in along or (isinstance(s, Load) and s.name in moving):
                fields.append(f"symnet_pack<{kind}, V> {name};")
                values.append(
                    self._read_on(position, s)
                    if position in self.walked
                    else self.pack_in_memory(s)
                )
                packed[position] = f"got_.{name}"
            elif isinstance(s, Load):
                fields.append(f"{kind} {name};")
                values.append(self.element(s.operand, self.index(s.index, "at_")))
                still[position] = f"got_.{name}"
        parameters = "long long from_, long long items_, long long start_"
        with self._lambda("fetch_", f"auto width_, {parameters}"):
            self.put("constexpr int V = decltype(width_)::value;")
            with self.block("struct symnet_got", ";"):
                for field in fields:
                    self.put(field)
            self._split(loops, first)
            with self.block("return symnet_got", ";"):
                for value in values:
                    self.put(f"{value},")
        before, self.lines = self.lines, []
        self.depth += 1
        for position, element in still.items():
            s = statements[position]
            dtype = self.kernel.operands[s.operand].dtype  # type: ignore[union-attr]
            self.define(s.name, self.value(element, dtype), s.dtype)  # type: ignore[union-attr]
        self.point(statements, stage, packed, still)
        self.depth -= 1
        text, self.lines = self.lines, before
        whole = "\n".join(text)
        with self._lambda("points_", "auto width_, const auto& got_"):
            if re.search(r"\bV\b", whole):
                self.put("constexpr int V = decltype(width_)::value;")
            for name in (*outer, "at_"):
                if re.search(rf"\b{name}\b", whole):
                    self.put(f"const long long {name} = got_.{name};")
            self.lines += text

    def _lambda(self, name: str, parameters: str):  # type: ignore[no-untyped-def]
        return self.block(f"const auto {name} = [&]({parameters})", ";")

    def pack_in_memory(self, s: Load | Store) -> str:
        """A pack from memory; `at_` is where it starts."""
        fixed = "_fixed" if self.fixed[s.operand] else ""
        where = f"p{s.operand} + {self.index(s.index, 'at_')}"
        stride = s.index.strides[self.packed]
        if stride == 1:
            return f"symnet_read{fixed}<V>({where})"
        return f"symnet_gather{fixed}<V>({where}, {integer(stride)})"

    def _walked(self, reads: dict[int, Load | Store], loops: Sequence[int]) -> dict[int, Load]:
        """Loads down a column. Their pointers walk along with the items, which come in order: that
        takes fewer registers than an address for each that is on its way."""
        if self.kernel.form != "columns" or len(loops) > 1:
            return {}
        return {
            position: s
            for position, s in reads.items()
            if isinstance(s, Load) and s.index.strides[self.packed] not in (0, 1)
        }

    def _read_on(self, position: int, s: Load) -> str:
        """An element down a column; its pointer goes on to the next."""
        read = "symnet_fixed_on" if self.fixed[s.operand] else "symnet_on"
        return f"{{{read}(q{position}_, lanes_ * {integer(s.index.strides[self.packed])})}}"

    def _split(self, loops: Sequence[int], first: str) -> None:
        """An item's indices, from its position `from_` among all of the sweep."""
        if len(loops) == 1:
            self.put("const long long at_ = start_ + from_ * V;")
            return
        self.put("long long rest_ = from_;")
        self.put("const long long at_ = start_ + symnet_last(rest_, items_) * V;")
        for loop in loops[-2:0:-1]:
            self.put(f"const long long i{loop} = symnet_last(rest_, s{loop});")
        self.put(f"const long long i{loops[0]} = {f'{first} + ' if first else ''}rest_;")

    # ---- an item's points

    def point(
        self,
        statements: Sequence[Statement],
        stage: Stage,
        packed: dict[int, str],
        known: Iterable[int] = (),
    ) -> None:
        """Text of the points of an item of V elements that starts at `at_`.

        packed  packs that are at hand, by the position of the statement that reads or (scratch)
                writes them
        known   positions of statements that are there already
        """
        moving = varying(statements, self.packed)
        known = set(known)
        written: dict[int, str] = {}  # position of a store of a pack: the pack
        packed = dict(packed)
        for position, s in enumerate(statements):
            if position in known:
                continue
            if lies_along(s, self.packed, moving):
                if position not in packed:
                    self._local_pack(position, s, packed)
                if isinstance(s, Store) and not packed[position].startswith("k"):
                    written[position] = f"x{position}_"
            elif not isinstance(s, Store) and s.name not in moving:
                self.statement(s, "at_")
        for position in written:
            if packed[position] != written[position]:  # it adds to what was fetched
                self.put(f"auto {written[position]} = {packed[position]};")
                packed[position] = written[position]
        before, self.lines = self.lines, []
        self.depth += 1
        for position, s in enumerate(statements):
            if position in known:
                continue
            if position in packed:
                self._packed_element(s, f"{packed[position]}.v[e_]")
            elif isinstance(s, Store) or s.name in moving:
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
        for position, name in written.items():
            s = statements[position]
            guard = f"if ({self.store_guard}) " if self.store_guard else ""
            where = self.index(s.index, "at_")  # type: ignore[union-attr]
            self.put(f"{guard}symnet_write(p{s.operand} + {where}, {name}{self.if_aligned});")  # type: ignore[union-attr]

    def _local_pack(self, position: int, s: Statement, packed: dict[int, str]) -> None:
        """Define the pack of a load that could not be made ahead, or of a store."""
        assert isinstance(s, (Load, Store))
        kind = MEMORY_TYPES[self.kernel.operands[s.operand].dtype]
        name = packed[position] = f"x{position}_"
        const = "const " if isinstance(s, Load) else ""
        value = f" = {self.pack_in_memory(s)}" if isinstance(s, Load) or s.add else ""
        self.put(f"{const}symnet_pack<{kind}, V> {name}{value};")

    def _packed_element(self, s: Statement, place: str) -> None:
        assert isinstance(s, (Load, Store))
        if isinstance(s, Load):
            dtype = self.kernel.operands[s.operand].dtype
            self.define(s.name, self.value(place, dtype), s.dtype)
        else:
            self.put(f"{place} = {self.stored(s, place)};")

    # ---- all items

    def taken_together(self, statements: Sequence[Statement]) -> int:
        """How many items' reads are made before the first of them is computed."""
        moving = varying(statements, self.packed)
        ahead = 0
        for s in fetched(statements).values():
            if isinstance(s, Store) or s.name in moving:
                ahead += self.width * itemsize(self.kernel.operands[s.operand].dtype)
        functions = [s.function for s in statements if isinstance(s, Let)]
        cost = self.width * max(1, sum(DEAR_COST if f in DEAR else 1 for f in functions))
        return max(1, min(AHEAD // max(ahead, 1), MOST_AHEAD, WRITTEN_OUT // cost) if ahead else 1)

    def sweep(
        self,
        statements: Sequence[Statement],
        loops: Sequence[int],
        stage: Stage,
        step: str,
        bounds: tuple[str, str],
        outer: str | None = None,
        first: str = "",
    ) -> None:
        """The three lambdas. Defines `sweep_`, which `sweep_packs` calls.

        step    distance of a thread's items
        bounds  its first item, and where they end; `total_` is the number of all
        outer   number of iterations of all loops but the last
        """
        self.item_functions(statements, loops, stage, first)
        many = self.taken_together(statements)
        self.unroll = max(self.unroll, many)
        wide = [a for a in stage.accumulators if needs_wide(a)]
        parameters = "auto width_, long long items_, long long start_"
        with self._lambda("sweep_", parameters):
            outer = self.extent(loops[:-1]) if outer is None else outer
            total = "items_" if outer == "1" else f"{outer} * items_"
            self.bounds(total, bounds)
            for position, s in self.walked.items():
                where = re.sub(r"\bat_\b", "(start_ + from_)", self.index(s.index, "at_"))
                self.put(f"q{position}_ = p{s.operand} + {where};")
            if wide:
                with self.block("while (from_ < end_)"):
                    self.put(
                        f"const long long to_ = symnet_min(end_, from_ + {SUM_ITEMS} * {step});"
                    )
                    self._items(many, step, "to_")
                    for a in wide:
                        self.put(f"{a.name}_wide += (double){a.name};")
                        self.put(f"{a.name} = 0;")
            else:
                self._items(many, step, "end_")

    def bounds(self, total: str, given: tuple[str, str]) -> None:
        """Define `from_` and `end_`."""
        if re.search(r"\btotal_\b", " ".join(given)) and given[1] != "total_":
            self.put(f"const long long total_ = {total};")
            total = given[1]
        self.put(f"const long long end_ = {total};")
        self.put(f"long long from_ = {given[0]};")

    def _items(self, many: int, step: str, end: str) -> None:
        item = "items_, start_)"
        if many > 1:
            last = f"from_ + {many - 1} * {step}"
            with self.block(f"for (; {last} < {end}; from_ += {many} * {step})"):
                for k in range(many):
                    at = f"from_ + {k} * {step}" if k else "from_"
                    self.put(f"const auto got{k}_ = fetch_(width_, {at}, {item};")
                for k in range(many):
                    self.put(f"points_(width_, got{k}_);")
        with self.block(f"for (; from_ < {end}; from_ += {step})"):
            self.put(f"points_(width_, fetch_(width_, from_, {item});")

    def sweep_packs(self, first: str = "0", last: str = "") -> None:
        """Call `sweep_` for the packs of the packed loop from `first`, a multiple of the width, to
        `last`, and for the single elements behind them."""
        last = last or f"s{self.packed}"
        length = last if first == "0" else f"{last} - {first}"
        if self.width == 1:
            self.put(f"sweep_(symnet_width<1>{{}}, {length}, {first});")
            return
        w = self.width
        bracketed = length if first == "0" else f"({length})"
        front = "" if first == "0" else f"{first} + "
        self.put(f"const long long packs_ = aligned_ ? {bracketed} / {w} : 0;")
        self.put(f"sweep_(symnet_width<{w}>{{}}, packs_, {first});")
        self.put(f"sweep_(symnet_width<1>{{}}, {length} - packs_ * {w}, {front}packs_ * {w});")

    def reduce(
        self,
        stage: Stage,
        loops: Sequence[int],
        lanes: str,
        bounds: tuple[str, str],
        outer: str | None = None,
        first: str = "",
        range_: tuple[str, str] = ("0", ""),
    ) -> None:
        """One pass of a lane over `loops`, and what all lanes found, combined.

        bounds, outer, first  as of `sweep`
        range_  where the packed loop begins and ends
        """
        self.begin_all(stage.accumulators)
        with self.block(""):
            self.sweep(stage.loop, loops, stage, lanes, bounds, outer, first)
            self.sweep_packs(*range_)
        for a in stage.accumulators:
            self.combine(a, lanes)

    def begin_all(self, accumulators: Iterable[Accumulator]) -> None:
        """Define what a stage accumulates."""
        for a in accumulators:
            self.begin(a)
            if needs_wide(a):
                self.put(f"{C_TYPES[a.dtype]} {a.name} = 0;")
