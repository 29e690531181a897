"""Maps whose reads and writes lie along different loops: transposes, and what is fused with them.

A block takes a tile of the two loops. What lies along the other loop is read along that, into
shared memory, and taken from there; what is to be written along the other loop goes the same way
back. So neighbouring threads always have neighbouring elements of memory.

A tile has `TILE` points, `READ` of them along the other loop, fewer where that loop is shorter, so
that few threads are idle. Rows of a tile in shared memory are one element longer than they need to
be: elements of a column lie in different banks.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from math import prod

from symnet.backends.gpu.packs import is_dear
from symnet.backends.gpu.prelude import MEMORY_TYPES, THREADS
from symnet.backends.gpu.statements import Emitter
from symnet.backends.words import itemsize
from symnet.schedule.kernel import Index, Kernel, Load, Statement, Store

TILE = 2048  # points
READ = 32  # points along the other loop
LEAST = TILE // THREADS  # points along either loop: a thread's points differ in the other one
PLACES = TILE + TILE // LEAST  # in shared memory, at most
SHARED = 40 << 10  # bytes of all tiles of a block


def is_crossed(kernel: Kernel) -> bool:
    """Whether a kernel's map should go by tiles."""
    return kernel.form == "map" and kernel.kept > 1 and _other_loop(kernel) >= 0


def _other_loop(kernel: Kernel) -> int:
    """The loop along which most of what does not lie along the last loop does; or -1."""
    last = kernel.kept - 1
    counts = [0] * (last + 1)
    for s in kernel.stages[0].row:
        if _is_access(s) and s.index.strides[last] not in (0, 1):
            for loop in range(last):
                counts[loop] += s.index.strides[loop] == 1
    most = max(counts, default=0)
    return counts.index(most) if most else -1


def _is_access(s: object) -> bool:
    """Whether a statement's place in memory depends on the loops alone."""
    return isinstance(s, (Load, Store)) and not s.index.values


def tiles_of(kernel: Kernel, extents: Sequence[int]) -> int:
    """The number of tiles, as the text counts them."""
    last, other = kernel.kept - 1, _other_loop(kernel)
    along = TILE // min(max(_power_of_two(extents[other]), LEAST), READ)
    along = min(along, max(_power_of_two(extents[last]), LEAST))
    across = -(-extents[other] // (TILE // along)) * -(-extents[last] // along)
    return across * prod(extents[:last]) // max(extents[other], 1)


def _power_of_two(n: int) -> int:
    """The least one that is not smaller."""
    return 1 << max(n - 1, 0).bit_length()


class Tiles(Emitter):
    """The text of such a map."""

    meets = True

    def body(self) -> None:
        k = self.kernel
        self.last, self.other = k.kept - 1, _other_loop(k)
        (stage,) = k.stages
        tiles = self._tiles()
        loads = {key for key, (load, _) in tiles.items() if load}
        stores = {key for key, (_, store) in tiles.items() if store}
        names = {key: f"t{number}_" for number, key in enumerate(tiles)}
        for (operand, _), name in names.items():
            kind = MEMORY_TYPES[k.operands[operand].dtype]
            self.put(f"__shared__ {kind} {name}[{PLACES}];")
        self._geometry()
        work = "work_ < tiles_; work_ += gridDim.x"
        with self.block(f"for (long long work_ = blockIdx.x; {work})"):
            self._place()
            for operand, index in tiles:
                if (operand, index) in loads:
                    self._read(operand, index, names[operand, index])
            if loads:
                self.put("__syncthreads();")
            self._points(stage.row, names)
            if stores:
                self.put("__syncthreads();")
            for operand, index in tiles:
                if (operand, index) in stores:
                    self._write(operand, index, names[operand, index])
            self.put("__syncthreads();")

    def _tiles(self) -> dict[tuple[int, Index], tuple[bool, bool]]:
        """What goes through shared memory, as (operand, index): whether it is read, written."""
        found: dict[tuple[int, Index], tuple[bool, bool]] = {}
        size = 0
        for s in self.kernel.stages[0].row:
            if not (_is_access(s) and isinstance(s, (Load, Store))):
                continue
            strides = s.index.strides
            if strides[self.other] != 1 or strides[self.last] in (0, 1):
                continue
            key = s.operand, s.index
            load, store = found.get(key, (False, False))
            if key not in found:
                more = PLACES * itemsize(self.kernel.operands[s.operand].dtype)
                if size + more > SHARED:
                    continue
                size += more
            adds = isinstance(s, Store) and s.add
            found[key] = load or isinstance(s, Load) or adds, store or isinstance(s, Store)
        return found

    def _geometry(self) -> None:
        """Variables: the sizes of a tile, powers of two, and how many tiles there are."""
        a, b = f"s{self.other}", f"s{self.last}"
        least, most = LEAST.bit_length() - 1, TILE.bit_length() - 1
        self.put(f"int log_other_ = {least};")
        self.put(f"while ((1 << log_other_) < {READ} && (1 << log_other_) < {a}) log_other_++;")
        self.put(f"int log_last_ = {most} - log_other_;")
        self.put(f"while (log_last_ > {least} && (1 << (log_last_ - 1)) >= {b}) log_last_--;")
        self.put(f"log_other_ = {most} - log_last_;")
        self.put("const int size_other_ = 1 << log_other_, size_last_ = 1 << log_last_;")
        self.put(f"const long long across_ = ({a} + size_other_ - 1) >> log_other_;")
        self.put(f"const long long along_ = ({b} + size_last_ - 1) >> log_last_;")
        outer = "".join(f" * s{loop}" for loop in self._outer())
        self.put(f"const long long tiles_ = across_ * along_{outer};")

    def _outer(self) -> list[int]:
        return [loop for loop in range(self.last) if loop != self.other]

    def _place(self) -> None:
        """Variables: where the tile is, and how many points of its loops there are."""
        self.put("long long rest_ = work_;")
        self.put("const long long first_last_ = symnet_last(rest_, along_) << log_last_;")
        outer = self._outer()
        last = "symnet_last(rest_, across_)" if outer else "rest_"
        self.put(f"const long long first_other_ = {last} << log_other_;")
        for loop in outer[:0:-1]:
            self.put(f"const long long i{loop} = symnet_last(rest_, s{loop});")
        if outer:
            self.put(f"const long long i{outer[0]} = rest_;")
        for name, loop in (("other", self.other), ("last", self.last)):
            size = f"symnet_min((long long)size_{name}_, s{loop} - first_{name}_)"
            self.put(f"const int many_{name}_ = (int){size};")

    def _read(self, operand: int, index: Index, name: str) -> None:
        """A tile from memory: all loads of a thread come before it waits for the first."""
        kind = MEMORY_TYPES[self.kernel.operands[operand].dtype]
        with self.block(""):
            self.put(f"{kind} found_[{TILE // THREADS}];")
            self._across()
            with self._each():
                self._point_across()
                value = self.element(operand, self.index(index))
                self.put(f"found_[n_] = b_ < many_ ? {value} : ({kind})0;")
            with self._each():
                self.put(f"{name}[b_ * (size_other_ + 1) + a_] = found_[n_];")

    def _write(self, operand: int, index: Index, name: str) -> None:
        """A tile to memory."""
        with self.block(""):
            self._across()
            with self._each():
                self._point_across()
                place = f"{name}[b_ * (size_other_ + 1) + a_]"
                self.put(f"if (b_ < many_) p{operand}[{self.index(index)}] = {place};")

    def _across(self) -> None:
        """Variables: a thread's first point where neighbours lie along the other loop, and how many
        there are."""
        self.put("const int a_ = (int)threadIdx.x & (size_other_ - 1);")
        self.put("const int first_ = (int)threadIdx.x >> log_other_;")
        self.put(f"const int step_ = {THREADS} >> log_other_;")
        self.put("const int many_ = a_ < many_other_ ? many_last_ : 0;")
        self.put(f"const long long i{self.other} = first_other_ + a_;")

    def _point_across(self) -> None:
        self.put(f"const long long i{self.last} = first_last_ + b_;")

    def _points(self, statements: Sequence[Statement], names: dict[tuple[int, Index], str]) -> None:
        """What is computed: neighbours are neighbours along the last loop."""
        before, self.lines = self.lines, []
        self.depth += 3
        for s in statements:
            name = names.get((s.operand, s.index)) if isinstance(s, (Load, Store)) else None
            if name is None or not isinstance(s, (Load, Store)):
                self.statement(s)
                continue
            place = f"{name}[b_ * (size_other_ + 1) + a_]"
            if isinstance(s, Load):
                dtype = self.kernel.operands[s.operand].dtype
                self.define(s.name, self.value(place, dtype), s.dtype)
            else:
                self.put(f"{place} = {self.stored(s, place)};")
        self.depth -= 3
        inside, self.lines = self.lines, before
        with self.block(""):
            self.put("const int b_ = (int)threadIdx.x & (size_last_ - 1);")
            self.put("const int first_ = (int)threadIdx.x >> log_last_;")
            self.put(f"const int step_ = {THREADS} >> log_last_;")
            self.put("const int many_ = b_ < many_last_ ? many_other_ : 0;")
            if _used(self.last, inside):
                self.put(f"const long long i{self.last} = first_last_ + b_;")
            with (
                self._each("a_", 2 if is_dear(self.kernel) else TILE // THREADS),
                self.block("if (a_ < many_)"),
            ):
                if _used(self.other, inside):
                    self.put(f"const long long i{self.other} = first_other_ + a_;")
                self.lines += inside

    @contextlib.contextmanager
    def _each(self, name: str = "b_", unrolled: int = TILE // THREADS) -> Iterator[None]:
        """A loop over a thread's points; `name` is where they are in the loop they differ in."""
        self.put(f"#pragma unroll {unrolled}")
        with self.block(f"for (int n_ = 0; n_ < {TILE // THREADS}; n_++)"):
            self.put(f"const int {name} = first_ + n_ * step_;")
            yield


def _used(loop: int, text: list[str]) -> bool:
    return any(re.search(rf"\bi{loop}\b", line) for line in text)
