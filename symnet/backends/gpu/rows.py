"""Kernels that reduce rows or columns: a group of lanes for each.

Rows   any sizes, in one launch; a row that several stages read is read again
Part   one stage of few long rows, each of which several groups share

Rows that are read once are in kept_rows.py.
"""

from collections.abc import Iterable, Sequence

from symnet.backends.gpu.prelude import MEMORY_TYPES, THREADS
from symnet.backends.gpu.statements import indices
from symnet.backends.gpu.sweep import Sweeping
from symnet.backends.reductions import needs_wide
from symnet.schedule.kernel import (
    Accumulator,
    Kernel,
    Load,
    Stage,
    Statement,
    Store,
    reads,
)


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
