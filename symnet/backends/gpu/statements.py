"""From statements of a kernel to CUDA C: what all forms of kernels share."""

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence

from symnet.backends.gpu.prelude import HALVES, MEMORY_TYPES, THREADS
from symnet.backends.gpu.source import Source, Words
from symnet.backends.reductions import OF_BOOLS, needs_wide, neutral
from symnet.kernels.scalar import FUNCTIONS
from symnet.kernels.scalar.c import C_TYPES, CTarget
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
    Statement,
    Store,
    Stride,
)

BLOCKS = 4  # of a multiprocessor: 64 registers a thread
_EXTREME = {"max": "symnet_greatest", "min": "symnet_least"}
_STEP = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum"}


def constant(value: float | int | bool, dtype: str) -> str:
    """A number as C text."""
    return CTarget().constant(value, dtype)


class Emitter:
    """Writes the text of one kernel; each form is a subclass that answers `body`.

    packed  the loop that is taken in packs; -1 if there is none
    width   elements of a pack
    unroll  items that a thread takes together
    """

    meets = False
    packed = -1
    width = 1
    unroll = 1

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
        written = {o.scope for o in kernel.operands if o.written}
        self.fixed = [o.scope not in written and not o.per_thread for o in kernel.operands]

    def body(self) -> None:
        raise NotImplementedError

    def blocks(self) -> int:
        """How many blocks are to fit on a multiprocessor. The compiler takes the registers that
        this leaves; left to itself it saves them, and then loads wait for each other."""
        return BLOCKS

    def source(self) -> Source:
        self.body()
        inside = "\n".join(self.lines)
        self.lines = []
        self._arguments(inside)
        head = (
            f'extern "C" __global__ void __launch_bounds__({THREADS}, {self.blocks()})\n'
            f"ENTRY(const symnet_words<{self.words.count}> words, const long long* live, "
            "long long* error)\n"
        )
        body = "\n".join([head + "{", *self.lines, inside, "}", ""])
        functions = tuple(sorted(self.functions))
        return Source(body, functions, self.words.count, self.width, self.meets, self.unroll)

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
    def block(self, head: str, end: str = "") -> Iterator[None]:
        self.put(f"{head} {{" if head else "{")
        self.depth += 1
        yield
        self.depth -= 1
        self.put("}" + end)

    def call(self, function: str, args: Iterable[str], dtypes: Iterable[str]) -> str:
        self.functions.add((function, *dtypes))
        return f"symnet_{function}({', '.join(args)})"

    def extent(self, loops: Iterable[int]) -> str:
        return " * ".join(f"s{loop}" for loop in loops) or "1"

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

    def value(self, element: str, dtype: str) -> str:
        """The value of an element in memory: its truth, or the float32 that a half is."""
        if dtype in HALVES:
            return self.call(f"{dtype}_from_bits", [element], ["uint16"])
        return f"{element} != 0" if dtype == "bool" else element

    def element(self, operand: int, where: str) -> str:
        """An element of an operand as it is in memory."""
        if self.fixed[operand]:
            return f"symnet_fixed(p{operand} + {where})"
        return f"p{operand}[{where}]"

    def statement(self, s: Statement, packed: str = "") -> None:
        if isinstance(s, Let):
            dtypes = [self.dtype(a) for a in s.args]
            assert FUNCTIONS[s.function].result_dtype(*dtypes) == s.dtype
            self.define(s.name, self.call(s.function, map(self.argument, s.args), dtypes), s.dtype)
        elif isinstance(s, Load):
            element = self.element(s.operand, self.index(s.index, packed))
            dtype = self.kernel.operands[s.operand].dtype
            self.define(s.name, self.value(element, dtype), s.dtype)
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
        half = dtype in HALVES
        if s.add:
            kinds = ["float32" if half else dtype] * 2
            value = self.call("add", [self.value(place, dtype), value], kinds)
        return self.call(f"{dtype}_bits", [value], ["float32"]) if half else value

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
        if dtype == "float32" and a.function in _EXTREME:
            return f"{_EXTREME[a.function]}({', '.join(args)})"
        function = f"logical_{OF_BOOLS[a.function]}" if dtype == "bool" else _STEP[a.function]
        return self.call(function, args, [dtype, dtype])

    def accumulate(self, a: Accumulator) -> None:
        self.put(f"{a.name} = {self.step(a, a.dtype, a.name, self.argument(a.value))};")

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


def indices(emitter: Emitter, position: str, loops: Sequence[int]) -> None:
    """Define the counters of `loops` from their linear position."""
    if len(loops) == 1:
        emitter.put(f"const long long i{loops[0]} = {position};")
    elif loops:
        emitter.put(f"long long left_ = {position};")
        for loop in loops[:0:-1]:
            emitter.put(f"const long long i{loop} = symnet_last(left_, s{loop});")
        emitter.put(f"const long long i{loops[0]} = left_;")


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
