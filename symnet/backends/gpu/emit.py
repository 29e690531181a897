"""From a kernel of the schedule to its CUDA C text.

    map            a thread per point of the loops, which are one linear range; where reads and
                   writes lie along different loops, by tiles in shared memory (tiles.py)
    rows, columns  a group of lanes per point of the kept loops (rows.py); each lane takes every
                   lanes-th item of the reduced loops, and has the row's values for itself. Rows
                   that fit are kept (kept_rows.py, `keep`). Few long rows are cut into parts: a
                   launch per stage, each of which begins by combining what the parts found in the
                   stages before (`phase`)
    blocks         a block of threads per block of the reduced loops
    serial         the destinations of a scatter are shared out among blocks, its owners; a block
                   looks at all indices and takes those of its own, in order

An element is always computed by the same lane, in every stage, so what a lane has written it may
read again without waiting for others.
"""

import contextlib
import functools

from symnet.backends.gpu.kept_rows import KeptRows
from symnet.backends.gpu.prelude import THREADS, WARP
from symnet.backends.gpu.rows import Part, Rows, loops_over_rows, phases
from symnet.backends.gpu.source import Source
from symnet.backends.gpu.statements import Emitter, indices
from symnet.backends.gpu.sweep import Sweeping
from symnet.backends.gpu.tiles import Tiles, is_crossed
from symnet.backends.reductions import needs_wide
from symnet.schedule.kernel import Counter, Index, Kernel, Load, Stage, Statement, Store, reads

__all__ = ["emit", "loops_over_rows", "phases"]


@functools.lru_cache(4096)
def emit(
    kernel: Kernel,
    live: tuple[int, ...] = (),
    guarded: bool = False,
    phase: int | None = None,
    keep: tuple[int, int, int] | None = None,
) -> Source:
    """The CUDA text of a kernel.

    live     words that are read from device memory, in this order
    guarded  do nothing if a check has failed before: the kernel overwrites shared values
    phase    the stage that is computed, of rows that are cut into parts (see `rows.phases`)
    keep     of rows that are kept: lanes, items of a lane (0: any number, in shared memory),
             elements of an item
    """
    if phase is not None:
        return Part(kernel, live, guarded, phase).source()
    if keep is not None:
        return KeptRows(kernel, live, guarded, keep).source()
    if is_crossed(kernel):
        return Tiles(kernel, live, guarded).source()
    forms = {
        "map": _Map, "serial": _Serial, "rows": Rows, "columns": Rows, "blocks": _Blocks,
    }  # fmt: skip
    return forms[kernel.form](kernel, live, guarded).source()


class _Map(Sweeping):
    """Every point of the loops by itself."""

    def body(self) -> None:
        loops = list(range(self.kernel.kept))
        (stage,) = self.kernel.stages
        if not loops:
            with self.block("if (blockIdx.x == 0 && threadIdx.x == 0)"):
                for s in stage.row:
                    self.statement(s)
            return
        self.alignment()
        self.put(f"const long long all_ = (long long)gridDim.x * {THREADS};")
        start = f"(long long)blockIdx.x * {THREADS} + threadIdx.x"
        self.sweep(stage.row, loops, Stage(), "all_", (start, "total_"))
        self.sweep_packs()


class _Serial(Emitter):
    """A thread per point of the first `outer` loops; the others run in order inside it.

    Where indices say what is written, and do not depend on the outer loops, several blocks share
    the work: each has its own destinations. `keys` are the statements that compute the indices.
    """

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
            indices(self, "from_", outer)
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
            indices(self, "point_", outer)
            steps = f"first_ < ordered_; first_ += {THREADS}"
            with self.block(f"for (long long first_ = 0; {steps})"):
                self.put("const long long candidate_ = first_ + threadIdx.x;")
                self.put("bool own_ = false;")
                with self.block("if (candidate_ < ordered_)"):
                    indices(self, "candidate_", ordered)
                    for s in keys:
                        self.statement(s)
                    self.put(f"own_ = symnet_owner({place}, owners_) == owner_;")
                self.put("const int many_ = symnet_choose(own_, chosen_, warps_);")
                with self.block("for (int k_ = 0; k_ < many_; k_++)"):
                    self.put("const long long next_ = first_ + chosen_[k_];")
                    indices(self, "next_", ordered)
                    self.store_guard = "real_"
                    for s in stage.row:
                        self.statement(s)
                self.put("__syncthreads();")


class _Blocks(Sweeping):
    """A block of threads per block of the outermost loop; each stores what it accumulated."""

    meets = True

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
            bounds = "(long long)threadIdx.x", "total_"
            if k.loops == 1:
                self.reduce(stage, loops, str(THREADS), bounds, range_=("first_", "last_"))
            else:
                outer = "".join(f" * s{loop}" for loop in loops[1:-1])
                outer = f"(last_ - first_){outer}"
                self.reduce(stage, loops, str(THREADS), bounds, outer, "first_")
            with self.block("if (threadIdx.x == 0)"):
                for number, a in enumerate(stage.accumulators):
                    value = f"{a.name}_wide" if needs_wide(a) else a.name
                    self.put(f"p{k.first_partial + number}[b_] = {value};")
