"""From a kernel of the schedule to its CUDA C text.

    map            a thread per point of the loops, which are one linear range
    rows, columns  a group of lanes per point of the kept loops (see prelude.py); each lane takes
                   every lanes-th item of the reduced loops, and has the row's values for itself.
                   Few long rows are cut into parts: a launch per stage, each of which begins by
                   combining what the parts found in the stages before (`phase`)
    blocks         a block of threads per block of the reduced loops
    serial         the destinations of a scatter are shared out among blocks, its owners; a block
                   looks at all indices and takes those of its own, in order

An element is always computed by the same lane, in every stage, so what a lane has written it may
read again without waiting for others.
"""

import contextlib
import functools
from collections.abc import Iterable, Iterator

from symnet.backends.gpu.prelude import MEMORY_TYPES, THREADS, WARP
from symnet.backends.gpu.source import Source
from symnet.backends.gpu.statements import Emitter
from symnet.backends.reductions import needs_wide
from symnet.schedule.kernel import (
    Accumulator,
    Counter,
    Index,
    Kernel,
    Load,
    Stage,
    Statement,
    Store,
    reads,
)


@functools.lru_cache(4096)
def emit(
    kernel: Kernel, live: tuple[int, ...] = (), guarded: bool = False, phase: int | None = None
) -> Source:
    """The CUDA text of a kernel.

    live     words that are read from device memory, in this order
    guarded  do nothing if a check has failed before: the kernel overwrites shared values
    phase    the stage that is computed, of rows that are cut into parts (see `phases`)
    """
    if phase is not None:
        return _Part(kernel, live, guarded, phase).source()
    forms = {
        "map": _Map, "serial": _Serial, "rows": _Rows, "columns": _Rows, "blocks": _Blocks,
    }  # fmt: skip
    return forms[kernel.form](kernel, live, guarded).source()


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


class _Map(Emitter):
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


class _Serial(Emitter):
    """A thread per point of the first `outer` loops; the others run in order inside it.

    Where indices say what is written, and do not depend on the outer loops, several blocks share
    the work: each has its own destinations. `keys` are the statements that compute the indices.
    """

    def packed_loop(self) -> int:
        return -1

    def body(self) -> None:
        k = self.kernel
        (stage,) = k.stages
        outer, ordered = list(range(k.outer)), list(range(k.outer, k.kept))
        keys = self._keys()
        self.put(f"const long long total_ = {self.extent(outer)};")
        if keys:
            self._shared_out(keys, outer, ordered)
            return
        self.put(f"const long long all_ = (long long)gridDim.x * {THREADS};")
        start = f"(long long)blockIdx.x * {THREADS} + threadIdx.x"
        with self.block(f"for (long long from_ = {start}; from_ < total_; from_ += all_)"):
            _indices(self, "from_", outer)
            with contextlib.ExitStack() as stack:
                for loop in ordered:
                    head = f"for (long long i{loop} = 0; i{loop} < s{loop}; i{loop}++)"
                    stack.enter_context(self.block(head))
                for s in stage.row:
                    self.statement(s)

    def _keys(self) -> list[Statement]:
        """The statements that say where is written; none if they depend on the outer loops, or on
        what is written."""
        k = self.kernel
        (stage,) = k.stages
        stores = [s for s in stage.row if isinstance(s, Store)]
        if len(stores) != 1:
            return []
        needed = {name for name, _ in stores[0].index.values}
        found: list[Statement] = []
        for s in reversed(stage.row):
            if isinstance(s, Store) or s.name not in needed:
                continue
            if isinstance(s, (Load, Counter)) and any(s.index.strides[: k.outer]):
                return []
            scope = k.operands[stores[0].operand].scope
            if isinstance(s, Load) and k.operands[s.operand].scope == scope:
                return []
            needed.update(reads(s))
            found.append(s)
        return found[::-1]

    def _shared_out(self, keys: list[Statement], outer: list[int], ordered: list[int]) -> None:
        self.meets = True
        (stage,) = self.kernel.stages
        (store,) = (s for s in stage.row if isinstance(s, Store))
        along = (0,) * len(outer) + store.index.strides[len(outer) :]
        place = self.index(Index(along, store.index.values))
        self.put(f"__shared__ int chosen_[{THREADS}], warps_[{THREADS // WARP}];")
        self.put(f"const long long ordered_ = {self.extent(ordered)};")
        self.put(f"const long long owners_ = {self.word(self.words.owners)};")
        self.put(f"const long long tiles_ = (total_ + {THREADS - 1}) / {THREADS};")
        work = "work_ < tiles_ * owners_; work_ += gridDim.x"
        with self.block(f"for (long long work_ = blockIdx.x; {work})"):
            self.put("const long long tile_ = symnet_quotient(work_, owners_);")
            self.put("const long long owner_ = work_ - tile_ * owners_;")
            self.put(f"const long long mine_ = tile_ * {THREADS} + threadIdx.x;")
            self.put("const bool real_ = mine_ < total_;")
            if outer:
                self.put("const long long point_ = real_ ? mine_ : total_ - 1;")
            _indices(self, "point_", outer)
            steps = f"first_ < ordered_; first_ += {THREADS}"
            with self.block(f"for (long long first_ = 0; {steps})"):
                self.put("const long long candidate_ = first_ + threadIdx.x;")
                self.put("bool own_ = false;")
                with self.block("if (candidate_ < ordered_)"):
                    _indices(self, "candidate_", ordered)
                    for s in keys:
                        self.statement(s)
                    self.put(f"own_ = symnet_owner({place}, owners_) == owner_;")
                self.put("const int many_ = symnet_choose(own_, chosen_, warps_);")
                with self.block("for (int k_ = 0; k_ < many_; k_++)"):
                    self.put("const long long next_ = first_ + chosen_[k_];")
                    _indices(self, "next_", ordered)
                    self.store_guard = "real_"
                    for s in stage.row:
                        self.statement(s)
                self.put("__syncthreads();")


class _Rows(Emitter):
    """A group of lanes per row: what is reduced, and what is computed from it, all lanes have."""

    meets = True

    def packed_loop(self) -> int:
        return self.kernel.loops - 1 if self.kernel.form == "rows" else -1

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
                    self.reduce(stage, self.reduced, "lanes_", "lane_")
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
        self.count()

    def count(self) -> None:
        self.alignment()
        self.items()
        self.put(f"const long long total_ = {self.extent(self.reduced[:-1])} * items_;")

    def row_of_tile(self, kept: list[int]) -> None:
        """Variables: this group's row; where there is none, the last one, without storing."""
        self.put("const long long mine_ = tile_ * groups_ + group_;")
        self.put("const bool real_ = mine_ < rows_;")
        if kept:
            self.put("const long long row_ = real_ ? mine_ : rows_ - 1;")
        _indices(self, "row_", kept)

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


class _Part(_Rows):
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
            self.put("const long long share_ = (symnet_quotient(total_ + parts_ - 1, parts_)")
            self.put("                          + lanes_ - 1) / lanes_ * lanes_;")
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
                self.put("const long long begin_ = part_ * share_;")
                self.put("const long long end_ = symnet_min(total_, begin_ + share_);")
                self.store_guard = "real_"
                self.reduce(stage, self.reduced, "lanes_", "begin_ + lane_", "end_")
                with self.block("if (real_ && lane_ == 0)"):
                    for k_, a in enumerate(stage.accumulators):
                        self.put(f"{self._partial(a, number + k_, 'part_')} = {self.total(a)[0]};")

    def count(self) -> None:
        if self.over:
            super().count()

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
        return f"(({kind}*)({base}))[{row} * parts_ + {part}]"

    def _restore(self, a: Accumulator, number: int) -> None:
        name, dtype = self.total(a)
        self.begin(a)
        with self.block("for (long long k_ = lane_; k_ < parts_; k_ += lanes_)"):
            found = self.truth(self._partial(a, number, "k_"), dtype)
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


class _Blocks(Emitter):
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
            self.reduce(stage, loops, str(THREADS), "(long long)threadIdx.x", first="first_")
            with self.block("if (threadIdx.x == 0)"):
                for number, a in enumerate(stage.accumulators):
                    value = f"{a.name}_wide" if needs_wide(a) else a.name
                    self.put(f"p{k.first_partial + number}[b_] = {value};")


def _indices(emitter: Emitter, position: str, loops: list[int]) -> None:
    """Define the counters of `loops` from their linear position."""
    if len(loops) == 1:
        emitter.put(f"const long long i{loops[0]} = {position};")
    elif loops:
        emitter.put(f"long long left_ = {position};")
        for loop in loops[:0:-1]:
            emitter.put(f"const long long i{loop} = symnet_last(left_, s{loop});")
        emitter.put(f"const long long i{loops[0]} = left_;")
