"""Kernels of rows that are kept from stage to stage, in registers or in shared memory."""

import contextlib
from collections.abc import Container, Iterable, Iterator

from symnet.backends.gpu.packs import Kept, kept
from symnet.backends.gpu.prelude import MEMORY_TYPES, THREADS, WARP
from symnet.backends.gpu.rows import Rows
from symnet.backends.gpu.statements import BLOCKS
from symnet.backends.reductions import needs_wide
from symnet.backends.words import itemsize
from symnet.schedule.kernel import Index, Kernel, Load, Stage, Store

REGISTERS = 1 << 16  # of a multiprocessor
OTHERS = 32  # registers of a lane for all but its row
UNROLLED = 4  # items that are taken together where their number is not known


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
