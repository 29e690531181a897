"""Kernels that reduce rows or columns: a group of lanes for each.

Rows       any sizes, in one launch; a row that several stages read is read again
KeptRows   rows that fit into the registers of their lanes
Part       one stage of few long rows, each of which several groups share
"""

import contextlib
from collections.abc import Container, Iterable, Iterator, Sequence

from symnet.backends.gpu.packs import Kept, kept
from symnet.backends.gpu.prelude import MEMORY_TYPES, THREADS, WARP
from symnet.backends.gpu.statements import BLOCKS, indices
from symnet.backends.gpu.sweep import Sweeping
from symnet.backends.reductions import needs_wide
from symnet.backends.words import itemsize
from symnet.schedule.kernel import (
    Accumulator,
    Index,
    Kernel,
    Load,
    Stage,
    Statement,
    Store,
    reads,
)

REGISTERS = 1 << 16  # of a multiprocessor
OTHERS = 32  # registers of a lane for all but its row
UNROLLED = 4  # items that are taken together where their number is not known


def phases(kernel: Kernel) -> int:
    """How many launches a kernel is whose rows are cut into parts; 0 if they cannot be.

    Every part computes the rows' values anew, so nothing may be written that they come from."""
    if kernel.form not in ("rows", "columns"):
        return 0
    again = {
        kernel.operands[s.operand].scope
        for stage in kernel.stages
        for s in (*stage.row, *stage.loop)
        if isinstance(s, Load) and not any(s.index.strides[kernel.kept :])
    }
    written = {
        kernel.operands[s.operand].scope
        for stage in kernel.stages
        for s in stage.row
        if isinstance(s, Store)
    }
    return 0 if again & written or _adds(kernel) else len(kernel.stages)


def loops_over_rows(kernel: Kernel, phase: int) -> bool:
    """Whether a phase goes over the rows' elements, part by part."""
    stage = kernel.stages[phase]
    return bool(stage.loop or stage.accumulators)


def _adds(kernel: Kernel) -> bool:
    return any(isinstance(s, Store) and s.add for stage in kernel.stages for s in stage.row)


class Rows(Sweeping):
    """A group of lanes per row: what is reduced, and what is computed from it, all lanes have."""

    meets = True

    def body(self) -> None:
        kept = list(range(self.kernel.kept))
        self.head()
        self.scratch()
        with self.block("for (long long tile_ = blockIdx.x; tile_ < tiles_; tile_ += gridDim.x)"):
            self.row_of_tile(kept)
            for stage in self.kernel.stages:
                self.row(stage.row, "real_ && lane_ == 0")
                if stage.loop or stage.accumulators:
                    self.store_guard = "real_"
                    self.reduce(stage, self.reduced, "lanes_", ("lane_", "total_"))
                    self.narrow(stage)

    def head(self) -> None:
        """Variables: groups, lanes, and how many items, rows and tiles of rows there are."""
        k = self.kernel
        self.reduced = list(range(k.kept, k.loops))
        if self.packed < 0:
            self.packed = k.loops - 1  # in single elements
        self.put(f"__shared__ unsigned long long shared_[{THREADS}];")
        lanes = self.word(self.words.lanes)
        self.put(f"const int lanes_ = (int){lanes}, groups_ = {THREADS} / lanes_;")
        first, second = ("/", "%") if k.form == "rows" else ("%", "/")
        by = "lanes_" if k.form == "rows" else "groups_"
        self.put(f"const int group_ = (int)threadIdx.x {first} {by};")
        self.put(f"const int lane_ = (int)threadIdx.x {second} {by};")
        self.put(f"const long long rows_ = {self.extent(range(k.kept))};")
        self.put("const long long tiles_ = (rows_ + groups_ - 1) / groups_;")
        if any(stage.loop or stage.accumulators for stage in self.swept()):
            self.alignment()

    def swept(self) -> Sequence[Stage]:
        """The stages that this text computes."""
        return self.kernel.stages

    def row_of_tile(self, kept: list[int]) -> None:
        """Variables: this group's row; where there is none, the last one, without storing."""
        self.put("const long long mine_ = tile_ * groups_ + group_;")
        self.put("const bool real_ = mine_ < rows_;")
        if kept:
            self.put("const long long row_ = real_ ? mine_ : rows_ - 1;")
        indices(self, "row_", kept)

    def narrow(self, stage: Stage) -> None:
        for a in filter(needs_wide, stage.accumulators):
            self.put(f"{a.name} = (float){a.name}_wide;")

    def row(self, statements: Iterable[Statement], guard: str) -> None:
        """Statements of the row, which all lanes compute; stores are made under a condition."""
        self.store_guard = guard
        waited = False
        for s in statements:
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

    def scratch(self) -> None:
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


class KeptRows(Rows):
    """Rows whose elements stay in registers from stage to stage: memory is read once.

    A lane has `items` of the row at most, packs or (of rows whose length is no multiple of a pack)
    single elements; their loads are on their way together. The number of lanes is known, so that
    addresses differ by constants and exchanges need no loop.

    Longer rows (`items` is 0) stay in shared memory: a row per block, any number of items. Lanes
    have their own elements there, too, and need not wait for others.
    """

    def __init__(
        self,
        kernel: Kernel,
        live: tuple[int, ...],
        guarded: bool,
        keep: tuple[int, int, int],
    ):
        super().__init__(kernel, live, guarded)
        self.lanes, self.items, self.width = keep
        self.kept = kept(kernel)
        if self.width > 1:
            self.if_aligned = ", aligned_"

    def body(self) -> None:
        k = self.kernel
        loops = list(range(k.kept))
        if self.lanes > WARP:
            self.put(f"__shared__ unsigned long long shared_[{THREADS // WARP}];")
        else:
            self.put("unsigned long long* const shared_ = nullptr;")
        self.put(f"constexpr int V = {self.width};")
        self.put(f"constexpr int lanes_ = {self.lanes}, groups_ = {THREADS} / lanes_;")
        self.put("const int group_ = (int)threadIdx.x / lanes_;")
        self.put("const int lane_ = (int)threadIdx.x % lanes_;")
        self.put(f"const long long rows_ = {self.extent(loops)};")
        self.put("const long long tiles_ = (rows_ + groups_ - 1) / groups_;")
        self.put(f"const int length_ = (int)s{self.packed};")
        self.alignment()
        if not self.items:
            self._share()
        tiles = "long long tile_ = blockIdx.x; tile_ < tiles_; tile_ += gridDim.x"
        with self.block(f"for ({tiles})"):
            self.row_of_tile(loops)
            for number, stage in enumerate(k.stages):
                self.row(stage.row, "real_ && lane_ == 0")
                if stage.loop or stage.accumulators:
                    self.store_guard = "real_"
                    self._stage(number, stage)

    def blocks(self) -> int:
        kinds = {k.register: self.kernel.operands[k.operand].dtype for k in self.kept}
        held = sum(map(itemsize, kinds.values())) * self.items * self.width // 4
        others = OTHERS if self.width > 1 else 2 * OTHERS  # addresses of single elements
        return max(1, min(BLOCKS, REGISTERS // (THREADS * (held + others))))

    def _share(self) -> None:
        """Variables: items of a lane, and where the kept packs are."""
        self.put("const int items_ = (length_ + V * lanes_ - 1) / (V * lanes_);")
        kinds = {k.register: self.kernel.operands[k.operand].dtype for k in self.kept}
        before = 0
        for register, dtype in kinds.items():
            kind = f"symnet_pack<{MEMORY_TYPES[dtype]}, V>"
            offset = f" + {before} * V * lanes_ * items_" if before else ""
            self.put(f"{kind}* const k{register}_ = ({kind}*)(symnet_dynamic{offset});")
            before += itemsize(dtype)

    def _stage(self, number: int, stage: Stage) -> None:
        self.begin_all(stage.accumulators)
        here = [k for k in self.kept if k.first == number]
        loads = [k for k in here if k.loaded]
        defined = {k.register for k in self.kept if k.first < number}
        for k in here:
            if k.register not in defined and self.items:
                kind = MEMORY_TYPES[self.kernel.operands[k.operand].dtype]
                self.put(f"symnet_pack<{kind}, V> k{k.register}_[{self.items}] = {{}};")
                defined.add(k.register)
        if loads and self.width > 1:
            with self.block("if (aligned_)"):
                self._load(loads, "read")
            with self.block("else"):
                self._load(loads, "gather")
        elif loads:
            self._load(loads, "read")
        place = "n_" if self.items else "n_ * lanes_ + lane_"
        names = {(k.operand, k.index): f"k{k.register}_[{place}]" for k in self.kept}
        # what nobody reads again is in no register, and there is no row of scratch either
        loop = [s for s in stage.loop if not (isinstance(s, Store) and self._dead(s, names))]
        packed = {
            position: names[s.operand, s.index]
            for position, s in enumerate(loop)
            if isinstance(s, (Load, Store)) and self._in_registers(s, names)
        }
        with self._each():
            self.point(loop, stage, packed)
        for a in stage.accumulators:
            if needs_wide(a):
                self.put(f"{a.name}_wide = (double){a.name};")
            self.combine(a, "lanes_")
        self.narrow(stage)

    def _load(self, loads: Iterable[Kept], how: str) -> None:
        with self._each():
            for k in loads:
                fixed = "_fixed" if self.fixed[k.operand] else ""
                where = f"p{k.operand} + {self.index(k.index, 'at_')}"
                stride = ", 1" if how == "gather" else ""
                place = "n_" if self.items else "n_ * lanes_ + lane_"
                self.put(f"k{k.register}_[{place}] = symnet_{how}{fixed}<V>({where}{stride});")

    @contextlib.contextmanager
    def _each(self) -> Iterator[None]:
        """A loop over a lane's items."""
        self.put("#pragma unroll" if self.items else f"#pragma unroll {UNROLLED}")
        with self.block(f"for (int n_ = 0; n_ < {self.items or 'items_'}; n_++)"):
            self.put("const int at_ = (n_ * lanes_ + lane_) * V;")
            with self.block("if (at_ < length_)"):
                yield

    def _dead(self, s: Store, names: Container[tuple[int, Index]]) -> bool:
        return self.kernel.operands[s.operand].per_thread and (s.operand, s.index) not in names

    def _in_registers(self, s: Load | Store, names: Container[tuple[int, Index]]) -> bool:
        scratch = self.kernel.operands[s.operand].per_thread
        return (s.operand, s.index) in names and (isinstance(s, Load) or scratch)

    def pack_in_memory(self, s: Load | Store) -> str:
        if self.width == 1:
            return super().pack_in_memory(s)
        aligned = super().pack_in_memory(s)
        where = f"p{s.operand} + {self.index(s.index, 'at_')}"
        fixed = "_fixed" if self.fixed[s.operand] else ""
        return f"aligned_ ? {aligned} : symnet_gather{fixed}<V>({where}, 1)"


class Part(Rows):
    """One stage of rows that are cut into parts. What earlier stages reduced lies in memory, a
    result per row and part, and is combined again by every group; the values of a row that come
    from it are computed again."""

    def __init__(self, kernel: Kernel, live: tuple[int, ...], guarded: bool, phase: int):
        self.phase = phase
        super().__init__(kernel, live, guarded)

    def body(self) -> None:
        k = self.kernel
        stage = k.stages[self.phase]
        self.over = loops_over_rows(k, self.phase)
        self.head()
        w = self.words.lanes
        self.put(f"const long long parts_ = {self.word(w + 1)};")
        if self.phase or stage.accumulators:
            self.put(f"unsigned char* const partials_ = (unsigned char*){self.word(w + 2)};")
        needed = self._needed()
        work = "tiles_"
        if self.over:
            work = "tiles_ * parts_"
        with self.block(f"for (long long work_ = blockIdx.x; work_ < {work}; work_ += gridDim.x)"):
            if self.over:
                self.put("const long long tile_ = symnet_quotient(work_, parts_);")
                self.put("const long long part_ = work_ - tile_ * parts_;")
            else:
                self.put("const long long tile_ = work_;")
            self.row_of_tile(list(range(k.kept)))
            number = 0
            for before in k.stages[: self.phase]:
                kept = [s for s in before.row if not isinstance(s, Store) and s.name in needed]
                self.row(kept, "false")
                for a in before.accumulators:
                    if a.name in needed:
                        self._restore(a, number)
                    number += 1
            first = " && part_ == 0" if self.over else ""
            own = [s for s in stage.row if isinstance(s, Store) or s.name in needed]
            self.row(own, f"real_ && lane_ == 0{first}")
            if self.over:
                self.scratch()
                self.store_guard = "real_"
                bounds = "part_ * share_ + lane_", "total_"
                self.reduce(stage, self.reduced, "lanes_", bounds)
                with self.block("if (real_ && lane_ == 0)"):
                    for k_, a in enumerate(stage.accumulators):
                        self.put(f"{self._partial(a, number + k_, 'part_')} = {self.total(a)[0]};")

    def swept(self) -> Sequence[Stage]:
        return [self.kernel.stages[self.phase]]

    def bounds(self, total: str, given: tuple[str, str]) -> None:
        self.put(f"const long long total_ = {total};")
        self.put("const long long share_ = (symnet_quotient(total_ + parts_ - 1, parts_)")
        self.put("                          + lanes_ - 1) / lanes_ * lanes_;")
        self.put("const long long end_ = symnet_min(total_, (part_ + 1) * share_);")
        self.put(f"long long from_ = {given[0]};")

    def _needed(self) -> set[str]:
        """Names that this phase's stage needs, directly or not."""
        stages = self.kernel.stages[: self.phase + 1]
        stage = stages[-1]
        needed = {n for s in stage.loop for n in reads(s)}
        needed |= {a.value for a in stage.accumulators if isinstance(a.value, str)}
        for before in reversed(stages):
            for s in reversed(before.row):
                wanted = before is stage if isinstance(s, Store) else s.name in needed
                if wanted:
                    needed.update(reads(s))
        return needed

    def _partial(self, a: Accumulator, number: int, part: str) -> str:
        kind = MEMORY_TYPES[self.total(a)[1]]
        row = "row_" if self.kernel.kept else "0"
        base = f"partials_ + {8 * number} * rows_ * parts_"
        return f"(({kind}*)({base}))[{part} * rows_ + {row}]"

    def _restore(self, a: Accumulator, number: int) -> None:
        name, dtype = self.total(a)
        self.begin(a)
        self.put("#pragma unroll 4")
        with self.block("for (long long k_ = lane_; k_ < parts_; k_ += lanes_)"):
            found = self.value(self._partial(a, number, "k_"), dtype)
            self.put(f"{name} = {self.step(a, dtype, name, found)};")
        self.combine(a, "lanes_")
        if needs_wide(a):
            self.put(f"const float {a.name} = (float){name};")

    def scratch(self) -> None:
        """A row of scratch per row, which the next phase finds again."""
        used = {
            s.operand
            for s in self.kernel.stages[self.phase].loop
            if isinstance(s, (Load, Store)) and self.kernel.operands[s.operand].per_thread
        }
        scratch = [k for k, o in enumerate(self.kernel.operands) if o.per_thread]
        for position in sorted(used):
            kind = MEMORY_TYPES[self.kernel.operands[position].dtype]
            size = self.word(self.words.scratch + scratch.index(position))
            row = "row_" if self.kernel.kept else "0"
            self.put(
                f"{kind}* const p{position} = ({kind}*)({self.word(position)} + {row} * {size});"
            )
