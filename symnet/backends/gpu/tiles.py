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
from collections.abc import Callable, Container, Iterator, Sequence
from math import prod

from symnet.backends.gpu.prelude import MEMORY_TYPES, THREADS
from symnet.backends.gpu.statements import Emitter, integer
from symnet.backends.words import itemsize
from symnet.schedule.kernel import Index, Kernel, Load, Statement, Store

TILE = 2048  # points
READ = 32  # points along the other loop
LEAST = 8  # points along either loop at least, so that a thread's points differ in one only
PLACES = TILE + TILE // LEAST  # in shared memory, at most
EACH = TILE // THREADS  # points of a thread
AHEAD = 2  # reads along the last loop that are made ahead
SHARED = 40 << 10  # bytes of all tiles of a block

Along = Callable[[Sequence[tuple[int, Index]]], contextlib.AbstractContextManager]


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
    along = TILE // min(max(power_of_two(extents[other]), LEAST), READ)
    along = min(along, max(power_of_two(extents[last]), LEAST))
    across = -(-extents[other] // (TILE // along)) * -(-extents[last] // along)
    return across * prod(extents[:last]) // max(extents[other], 1)


def power_of_two(n: int) -> int:
    """The least power of two that is not smaller."""
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
            ahead = self._ahead(stage.row, names)
            self._declare(ahead)
            with self.block(""):
                across = {key: f"found{names[key]}" for key in names if key in loads}
                self._declare(across)
                self._fetch(across, self._across)
                self._fetch(ahead, self._along)
                self._share(across, names)
            if loads:
                self.put("__syncthreads();")
            self._points(stage.row, names, ahead)
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

    def _ahead(
        self, statements: Sequence[Statement], names: Container[tuple[int, Index]]
    ) -> dict[tuple[int, Index], str]:
        """What is read along the last loop, before it is waited for what is read across."""
        found: dict[tuple[int, Index], str] = {}
        for s in statements:
            if isinstance(s, Load) and _is_access(s) and s.index.strides[self.last] != 0:
                key = s.operand, s.index
                if key not in names and len(found) < AHEAD:
                    found.setdefault(key, f"ahead{len(found)}_")
        return found

    def _declare(self, arrays: dict[tuple[int, Index], str]) -> None:
        for (operand, _), name in arrays.items():
            kind = MEMORY_TYPES[self.kernel.operands[operand].dtype]
            self.put(f"{kind} {name}[{EACH}];")

    def _fetch(self, arrays: dict[tuple[int, Index], str], along: Along) -> None:
        """A thread's points of arrays, all on their way together."""
        for key, name in arrays.items():
            kind = MEMORY_TYPES[self.kernel.operands[key[0]].dtype]
            with along([key]):
                # a plain read, which no compiler moves behind the barrier that follows
                self.put(f"{name}[n_] = {self.inside} ? *q0_ : ({kind})0;")

    def _share(
        self, arrays: dict[tuple[int, Index], str], names: dict[tuple[int, Index], str]
    ) -> None:
        for key, name in arrays.items():
            with self._across([]):
                self.put(f"{names[key]}[place_] = {name}[n_];")

    def _write(self, operand: int, index: Index, name: str) -> None:
        """A tile to memory."""
        with self._across([(operand, index)]):
            self.put(f"if ({self.inside}) *q0_ = {name}[place_];")

    @contextlib.contextmanager
    def _across(self, accesses: Sequence[tuple[int, Index]]) -> Iterator[None]:
        """A loop over a thread's points where neighbours lie along the other loop."""
        with self._each("a_", "other", "b_", "last", accesses):
            yield

    @contextlib.contextmanager
    def _along(self, accesses: Sequence[tuple[int, Index]]) -> Iterator[None]:
        """The same where they lie along the last loop."""
        with self._each("b_", "last", "a_", "other", accesses):
            yield

    @contextlib.contextmanager
    def _each(
        self, still: str, along: str, moves: str, over: str, accesses: Sequence[tuple[int, Index]]
    ) -> Iterator[None]:
        """A loop over a thread's points, which differ in `moves`; a_ and b_ are their places in
        the tile, `inside` says whether there are such, q0_, ... point at the elements of
        `accesses`, and `place_` is where they are in shared memory."""
        loops = {"other": self.other, "last": self.last}
        self.inside = f"{moves} < many_"
        with self.block(""):
            before, self.lines = self.lines, []
            self.depth += 1
            yield
            self.depth -= 1
            inside, self.lines = self.lines, before
            step = f"({THREADS} >> log_{along}_)"
            starts = [f"p{operand} + {self.index(index)}" for operand, index in accesses]
            starts = [re.sub(rf"\bi{loops[over]}\b", "start_", text) for text in starts]
            self.put(f"const int {still} = (int)threadIdx.x & (size_{along}_ - 1);")
            self.put(f"const int begin_ = (int)threadIdx.x >> log_{along}_;")
            if any("many_" in line for line in inside):
                self.put(f"const int many_ = {still} < many_{along}_ ? many_{over}_ : 0;")
            if _used(loops[along], [*inside, *starts]):
                self.put(f"const long long i{loops[along]} = first_{along}_ + {still};")
            if any("start_" in text for text in starts):
                self.put(f"const long long start_ = first_{over}_ + begin_;")
            for number, ((operand, index), start) in enumerate(zip(accesses, starts)):
                kind = MEMORY_TYPES[self.kernel.operands[operand].dtype]
                const = "" if self.kernel.operands[operand].written else "const "
                stride = integer(index.strides[loops[over]])
                self.put(f"{const}{kind}* q{number}_ = {start};")
                self.put(f"const long long hop{number}_ = {stride} * (long long){step};")
            self.put("#pragma unroll")
            with self.block(f"for (int n_ = 0; n_ < {EACH}; n_++)"):
                if _mentions(moves, inside) or _mentions("place_", inside):
                    self.put(f"const int {moves} = begin_ + n_ * {step};")
                if _mentions("place_", inside):
                    self.put("const int place_ = b_ * (size_other_ + 1) + a_;")
                if _used(loops[over], inside):
                    self.put(f"const long long i{loops[over]} = first_{over}_ + {moves};")
                self.lines += inside
                for number in range(len(accesses)):
                    self.put(f"q{number}_ += hop{number}_;")

    def _points(
        self,
        statements: Sequence[Statement],
        names: dict[tuple[int, Index], str],
        ahead: dict[tuple[int, Index], str],
    ) -> None:
        """What is computed."""
        accesses = [s for s in statements if isinstance(s, (Load, Store)) and _is_access(s)]
        through = {key: f"{name}[place_]" for key, name in names.items()}
        known = through | {key: f"{name}[n_]" for key, name in ahead.items()}
        places = [known if isinstance(s, Load) else through for s in accesses]
        keys = [(s.operand, s.index) for s in accesses]
        pointers = list(dict.fromkeys(k for k, found in zip(keys, places) if k not in found))
        direct = {key: f"*q{number}_" for number, key in enumerate(pointers)}
        with self._along(pointers), self.block(f"if ({self.inside})"):
            for s in statements:
                if not isinstance(s, (Load, Store)) or not _is_access(s):
                    self.statement(s)
                    continue
                key = s.operand, s.index
                if isinstance(s, Load):
                    dtype = self.kernel.operands[s.operand].dtype
                    place = known.get(key) or direct[key]
                    self.define(s.name, self.value(place, dtype), s.dtype)
                else:
                    place = through.get(key) or direct[key]
                    self.put(f"{place} = {self.stored(s, place)};")


def _mentions(name: str, text: list[str]) -> bool:
    return any(re.search(rf"\b{name}\b", line) for line in text)


def _used(loop: int, text: list[str]) -> bool:
    return _mentions(f"i{loop}", text)
