"""The kernel IR: one fused loop nest.

Grammar::

    Kernel    = form, kept loops, reduced loops, operands, scalars, slots, stages
    form      = "map"      all loops kept; the outermost is cut into slabs
              | "rows"     reductions innermost, row values are scalars
              | "columns"  the last kept loop innermost, row values are short arrays
              | "blocks"   no kept loop: the outermost reduced loop is cut into blocks, each block
                           stores its partial results; a second kernel combines them
              | "serial"   like map, but the loops `serial` run inside one slab in order (scatter)
    Stage     = row statements (once per row, before the loop), loop statements, accumulators
    Statement = Let(name, function, args, dtype)        function of ops.scalar.FUNCTIONS
              | Load(name, operand, index, dtype)
              | Store(operand, index, value)
              | Counter(name, index)                    int64 from loop counters
              | CheckIndex(name, value, size)           value, if it is valid; else the error
              | Scalar(name, position)                  a run-time scalar argument
    argument  = name of a statement | Literal(value, dtype)
    Index     = sum of loop counter * stride + sum of value * stride, in elements

Half types are storage types. "float16" and "bfloat16" occur as the dtype of an operand only, never
of a statement, a literal, a scalar, an accumulator or a scratch operand:

    Load(name, operand, index, "float32") of a half operand gives its elements as float32, exactly
    Store (add included) into one rounds a float32 to the nearest half, ties to even; it is never
        given another dtype. NaN stays NaN, what is too large becomes inf, subnormal halves are kept
    Let(name, "round_float16" | "round_bfloat16", (value,), "float32") rounds in the same way what
        stays in the kernel: the nearest half, as a float32. `value` is float32 or float64; float64
        is rounded once to float16, and by way of float32 to bfloat16, as NumPy and ml_dtypes do

So the result of each op of the graph is a half, stored or not, and fusion does not change it.

Strides and sizes are integers known when compiled (0 and 1, mostly), or slots "s0", "s1", ...:
words of the argument block. So a kernel serves every size; only rank, contiguity and broadcasting
shape its code. Names are numbered by position, so equal kernels are equal texts.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from symnet.errors import CompilerError
from symnet.graph.types import HALVES

Stride = int | str


@dataclass(frozen=True, slots=True)
class Index:
    """Offset into an operand: loop l times strides[l], plus row values times strides."""

    strides: tuple[Stride, ...]
    values: tuple[tuple[str, Stride], ...] = ()

    def __str__(self) -> str:
        terms = [
            f"i{loop}" if stride == 1 else f"i{loop}*{stride}"
            for loop, stride in enumerate(self.strides)
            if stride != 0
        ]
        terms += [n if s == 1 else f"{n}*{s}" for n, s in self.values]
        return " + ".join(terms) or "0"


@dataclass(frozen=True, slots=True)
class Literal:
    value: float | int | bool
    dtype: str

    def __str__(self) -> str:
        return f"{self.value!r}:{self.dtype}"


Argument = str | Literal


@dataclass(frozen=True, slots=True)
class Let:
    name: str
    function: str
    args: tuple[Argument, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype} = {self.function}({', '.join(map(str, self.args))})"


@dataclass(frozen=True, slots=True)
class Load:
    name: str
    operand: int
    index: Index
    dtype: str

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype} = p{self.operand}[{self.index}]"


@dataclass(frozen=True, slots=True)
class Store:
    operand: int
    index: Index
    value: Argument
    add: bool = False  # accumulate into what is there

    def __str__(self) -> str:
        return f"p{self.operand}[{self.index}] {'+=' if self.add else '='} {self.value}"


@dataclass(frozen=True, slots=True)
class Counter:
    name: str
    index: Index
    offset: Stride = 0

    def __str__(self) -> str:
        return f"{self.name}: int64 = {self.index} + {self.offset}"


@dataclass(frozen=True, slots=True)
class CheckIndex:
    name: str
    value: Argument
    size: Stride
    number: int
    negative: bool  # whether negative values count from the end

    def __str__(self) -> str:
        function = "check_index" if self.negative else "check_label"
        return f"{self.name}: int64 = {function}({self.value}, {self.size})"


@dataclass(frozen=True, slots=True)
class Scalar:
    name: str
    position: int
    dtype: str

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype} = scalar {self.position}"


Statement = Let | Load | Store | Counter | CheckIndex | Scalar


@dataclass(frozen=True, slots=True)
class Accumulator:
    """`name` = reduction of `value` over the reduced loops."""

    name: str
    function: str  # sum prod max min any all
    value: Argument
    dtype: str

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype} = {self.function} of {self.value}"


@dataclass(frozen=True, slots=True)
class Stage:
    row: tuple[Statement, ...] = ()
    loop: tuple[Statement, ...] = ()
    accumulators: tuple[Accumulator, ...] = ()


@dataclass(frozen=True, slots=True)
class Operand:
    """A pointer argument. Operands of one `scope` may overlap each other, of others never.

    The only dtype that may be a half type; see the module."""

    dtype: str
    scope: int
    written: bool
    per_thread: bool = False  # a scratch row, one per thread

    def __str__(self) -> str:
        return f"{self.dtype}*{' scratch' if self.per_thread else ''} scope {self.scope}"


@dataclass(frozen=True, slots=True)
class Kernel:
    """One fused loop nest; see the module's grammar.

    kept, reduced   number of loops of each kind; loops are numbered kept first
    slots           number of integer arguments: the extents of the loops, in order, then strides
    """

    form: str
    kept: int
    reduced: int
    operands: tuple[Operand, ...]
    scalars: tuple[str, ...]
    slots: int
    stages: tuple[Stage, ...]
    can_fail: bool = False
    cost: int = field(default=0, compare=False)  # rough operations per element, for slab sizes
    outer: int = 0  # "serial": the number of kept loops that may be cut into slabs
    first_partial: int = 0  # "blocks": the operand of the first accumulator's partial results

    @property
    def loops(self) -> int:
        return self.kept + self.reduced

    def statements(self) -> Iterator[Statement]:
        for stage in self.stages:
            yield from stage.row
            yield from stage.loop

    def __str__(self) -> str:
        lines = [f"kernel {self.form}, {self.kept} kept and {self.reduced} reduced loops"]
        lines += [
            f"  p{k}: {o}{' written' if o.written else ''}" for k, o in enumerate(self.operands)
        ]
        kept = " ".join(f"i{k}<s{k}" for k in range(self.kept))
        inner = " ".join(f"i{k}<s{k}" for k in range(self.kept, self.loops))
        lines.append(f"  for {kept or 'once'}:")
        for stage in self.stages:
            lines += [f"    {s}" for s in stage.row]
            if stage.loop or stage.accumulators:
                lines.append(f"    for {inner}:")
                lines += [f"      {s}" for s in stage.loop]
                lines += [f"      {a}" for a in stage.accumulators]
        return "\n".join(lines)


def reads(s: Statement) -> list[str]:
    """Names that a statement reads."""
    if isinstance(s, Let):
        found = [a for a in s.args if isinstance(a, str)]
    elif isinstance(s, (Store, CheckIndex)) and isinstance(s.value, str):
        found = [s.value]
    else:
        found = []
    if isinstance(s, (Load, Store, Counter)):
        found += [name for name, _ in s.index.values]
    return found


def still_names(kernel: Kernel) -> set[str]:
    """Row values that are the same in all iterations: numbers, and functions of them."""
    still: set[str] = set()
    for stage in kernel.stages:
        for s in stage.row:
            moves = isinstance(s, (Load, Counter)) and any(s.index.strides)
            if not isinstance(s, Store) and not moves and still.issuperset(reads(s)):
                still.add(s.name)
    return still


def check_kernel(kernel: Kernel) -> None:
    """Verify that a kernel is well formed, and that what it overwrites is read before.

    Errors: CompilerError with the kernel printed.
    """
    if kernel.form not in ("map", "rows", "columns", "blocks", "serial"):
        raise _malformed(kernel, f"form {kernel.form!r}")
    if kernel.form in ("map", "serial"):
        stage, *more = kernel.stages
        if kernel.reduced or more or stage.loop or stage.accumulators:
            raise _malformed(kernel, "a map has no reductions")
    if kernel.form == "blocks" and (kernel.kept or len(kernel.stages) != 1):
        raise _malformed(kernel, "blocks reduce everything, in one stage")
    if kernel.slots < kernel.loops:
        raise _malformed(kernel, f"{kernel.slots} slots for the extents of {kernel.loops} loops")
    _check_names(kernel)
    _check_halves(kernel)
    _check_memory(kernel)


def _malformed(kernel: Kernel, why: str) -> CompilerError:
    return CompilerError(f"malformed kernel: {why}\n{kernel}")


def _check_names(kernel: Kernel) -> None:
    """Every name is defined once, before its uses; operands, slots and scalars exist."""
    slots = {f"s{k}" for k in range(kernel.slots)}

    def known(argument: Argument, names: set[str]) -> None:
        if isinstance(argument, str) and argument not in names:
            raise _malformed(kernel, f"{argument} is used before it is defined")

    def stride(given: Stride) -> None:
        if isinstance(given, str) and given not in slots:
            raise _malformed(kernel, f"there is no slot {given}")

    def index(where: Index, names: set[str], row: bool) -> None:
        if len(where.strides) != kernel.loops:
            raise _malformed(kernel, f"index {where} does not have {kernel.loops} strides")
        if row and any(s != 0 for s in where.strides[kernel.kept :]):
            raise _malformed(kernel, f"row statement with index {where} over reduced loops")
        for name, _ in where.values:
            known(name, names)
        for given in (*where.strides, *(s for _, s in where.values)):
            stride(given)

    row_names: set[str] = set()
    checks = 0
    for stage in kernel.stages:
        for row, statements in ((True, stage.row), (False, stage.loop)):
            names = row_names if row else set(row_names)
            for s in statements:
                if isinstance(s, (Load, Store, Counter)):
                    index(s.index, names, row)
                if isinstance(s, (Load, Store)) and not 0 <= s.operand < len(kernel.operands):
                    raise _malformed(kernel, f"no operand {s.operand}")
                if isinstance(s, Store):
                    known(s.value, names)
                    if not kernel.operands[s.operand].written:
                        raise _malformed(
                            kernel, f"store into operand {s.operand}, which is not written"
                        )
                    continue
                if s.name in names:
                    raise _malformed(kernel, f"{s.name} is defined twice")
                if isinstance(s, Let):
                    for a in s.args:
                        known(a, names)
                elif isinstance(s, CheckIndex):
                    known(s.value, names)
                    stride(s.size)
                    checks += 1
                elif isinstance(s, Counter):
                    stride(s.offset)
                elif isinstance(s, Scalar) and not 0 <= s.position < len(kernel.scalars):
                    raise _malformed(kernel, f"no scalar {s.position}")
                names.add(s.name)
            if not row:
                for result in stage.accumulators:
                    known(result.value, names)
                    if result.name in row_names:
                        raise _malformed(kernel, f"{result.name} is defined twice")
                    row_names.add(result.name)
    if kernel.can_fail != (checks > 0):
        raise _malformed(kernel, "it says that it can fail, or that it cannot, and that is wrong")


def _check_halves(kernel: Kernel) -> None:
    """Half types are those of operands in memory, and what is stored there is float32."""
    dtypes: dict[str, str] = {}
    for s in kernel.statements():
        if isinstance(s, (Let, Load, Scalar)):
            dtypes[s.name] = s.dtype
        elif not isinstance(s, Store):
            dtypes[s.name] = "int64"
    dtypes.update((a.name, a.dtype) for stage in kernel.stages for a in stage.accumulators)
    scratch = [o.dtype for o in kernel.operands if o.per_thread]
    literals = [
        a.dtype
        for s in kernel.statements()
        for a in (s.args if isinstance(s, Let) else (s.value,) if isinstance(s, Store) else ())
        if isinstance(a, Literal)
    ]
    if not HALVES.isdisjoint([*dtypes.values(), *kernel.scalars, *scratch, *literals]):
        raise _malformed(kernel, "halves are computed with")
    for s in kernel.statements():
        if isinstance(s, Store) and kernel.operands[s.operand].dtype in HALVES:
            stored = s.value.dtype if isinstance(s.value, Literal) else dtypes[s.value]
            if stored != "float32":
                raise _malformed(kernel, f"{s} stores {stored} into an array of halves")


def _check_memory(kernel: Kernel) -> None:
    """What is overwritten is read just there, and before; no two points write one element.

    This is the kernel's half of the proof that values may lie in place; `check_memory` of the
    plan gives the other."""
    accesses: dict[int, list[tuple[bool, Load | Store]]] = {}  # by scope, in order
    for stage in kernel.stages:
        for row, statements in ((True, stage.row), (False, stage.loop)):
            for s in statements:
                if isinstance(s, (Load, Store)) and not kernel.operands[s.operand].per_thread:
                    scope = kernel.operands[s.operand].scope
                    accesses.setdefault(scope, []).append((row, s))
    still = still_names(kernel)
    for found in accesses.values():
        for place, (row, store) in enumerate(found):
            if not isinstance(store, Store):
                continue
            for other_place, (_, other) in enumerate(found):
                if other_place == place:
                    continue
                if isinstance(other, Store):
                    raise _malformed(kernel, f"{store} and {other} write one array")
                if (other.operand, other.index) != (store.operand, store.index):
                    raise _malformed(kernel, f"{store} overwrites what {other} reads elsewhere")
                if other_place > place:
                    raise _malformed(kernel, f"{other} reads what {store} has overwritten")
            ordered = kernel.outer if kernel.form == "serial" else kernel.loops
            if kernel.form != "serial" and not still.issuperset(n for n, _ in store.index.values):
                raise _malformed(kernel, f"{store} may write an element twice, in any order")
            loops = range(min(kernel.kept if row else kernel.loops, ordered))
            if any(store.index.strides[loop] == 0 for loop in loops):
                raise _malformed(kernel, f"{store} writes an element many times, in any order")
