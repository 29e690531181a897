"""A kernel while it is written: operands, slots and scalars are numbered as they are needed."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from symnet.errors import CompilerError
from symnet.graph import dims
from symnet.graph.dims import Size
from symnet.graph.origin import Origin
from symnet.graph.variables import Variable
from symnet.ops.elementwise import DEAR
from symnet.schedule.access import Coordinates
from symnet.schedule.kernel import (
    Argument,
    CheckIndex,
    Counter,
    Index,
    Kernel,
    Let,
    Literal,
    Load,
    Operand,
    Scalar,
    Stage,
    Statement,
    Store,
    Stride,
)
from symnet.schedule.steps import Write
from symnet.schedule.values import Value

Place = tuple[Any, Size]  # storage, offset in elements
Placing = Callable[[Variable], Place]


class Address(NamedTuple):
    """Offset in an array: stride by axis of the step, (value, stride) of gathers, and a rest."""

    strides: dict[int, Size]
    gathers: list[tuple[Value, Size]]
    offset: Size

    @classmethod
    def of(cls, at: Coordinates, strides: Sequence[Size]) -> "Address":
        """The address of coordinates in an array with these strides."""
        along: dict[int, Size] = {}
        gathers: list[tuple[Value, Size]] = []
        offset: Size = 0
        for c, stride in zip(at, strides):
            offset = dims.add(offset, dims.mul(c.offset, stride))
            step = dims.mul(c.step, stride)
            if c.axis is not None:
                along[c.axis] = dims.add(along.get(c.axis, 0), step)
            elif c.value is not None:
                gathers.append((c.value, step))
        return cls(along, gathers, offset)


@dataclass(slots=True)
class Target:
    """A write with its value, a Value or ("num", number, dtype), and where it goes."""

    write: Write
    value: Any
    address: Address

    @property
    def roots(self) -> list[Value]:
        """What the write needs."""
        value = [self.value] if isinstance(self.value, Value) else []
        return value + [g for g, _ in self.address.gathers]

    @property
    def depth(self) -> int:
        """The stage in which it can be made."""
        return max((v.depth for v in self.roots), default=0)

    def is_full(self, reduced: frozenset[int]) -> bool:
        """Whether it goes over the reduced axes."""
        return any(a in self.address.strides for a in reduced) or any(
            g.full for g, _ in self.address.gathers
        )


@dataclass(slots=True)
class Call:
    """A kernel and what to pass to it.

    operands  storage and offset in elements; a scratch row is ("scratch", number) with its size
    slots     the extents of the loops, then strides
    scalars   sizes, or NumPy numbers
    checks    origin and size of each index check
    blocks    of a "blocks" kernel: length and number of blocks
    partials  of a "blocks" kernel: dtype and number of the partial results of each reduction; they
              are the operands ("partial", k) of it and of the call that follows
    """

    kernel: Kernel
    operands: list[Place]
    slots: list[Size]
    scalars: list[Any]
    checks: list[tuple[Origin, Size]]
    origin: Origin
    blocks: tuple[Size, Size] | None = None
    partials: list[tuple[str, Size]] = field(default_factory=list)


class Draft:
    """One kernel. `loops` lists the axes of each loop, kept ones first; merged axes are one loop.

    addresses  of the values that load or count
    """

    def __init__(
        self,
        form: str,
        loops: Sequence[Sequence[int]],
        kept: int,
        extents: Iterable[Size],
        place: Placing,
        addresses: dict[Value, Address],
    ):
        self.form = form
        self.loops = loops
        self.kept = kept
        self.place = place
        self.addresses = addresses
        self.operands: list[Place] = []
        self.slots: list[Size] = list(extents)
        self.scalars: list[Any] = []
        self.checks: list[tuple[Origin, Size]] = []
        self.cost = 0
        self._dtypes: list[str] = []
        self._written: set[int] = set()
        self._number_of: dict[tuple, int] = {}
        self._slot_of: dict[Size, str] = {}
        self._scalar_dtypes: list[str] = []

    # ---- arguments of the kernel

    def operand(self, variable: Variable, offset: Size) -> int:
        """The number of the operand that points at an element of a stored variable."""
        storage, base = self.place(variable)
        offset = dims.add(base, offset)
        key = (storage, offset, variable.type.dtype)
        found = self._number_of.get(key)
        if found is None:
            found = self._number_of[key] = self.new_operand(storage, offset, variable.type.dtype)
        return found

    def new_operand(self, storage: Any, offset: Size, dtype: str, written: bool = False) -> int:
        number = len(self.operands)
        self.operands.append((storage, offset))
        self._dtypes.append(dtype)
        if written:
            self._written.add(number)
        return number

    def new_scratch(self, dtype: str) -> int:
        """An operand of its own for a row of values over the reduced loops, one per thread."""
        size = dims.product(self.slots[self.kept : len(self.loops)])
        return self.new_operand(("scratch", len(self.operands)), size, dtype, written=True)

    def stride(self, size: Size) -> Stride:
        if isinstance(size, int):
            return size
        name = self._slot_of.get(size)
        if name is None:
            name = self._slot_of[size] = f"s{len(self.slots)}"
            self.slots.append(size)
        return name

    # ---- statements

    def index(self, address: Address, names: dict[Value, str]) -> Index:
        along = address.strides
        per_loop = tuple(self.stride(along.get(loop[-1], 0)) for loop in self.loops)
        return Index(per_loop, tuple((names[v], self.stride(s)) for v, s in address.gathers))

    def scratch_index(self) -> Index:
        """Every point of the reduced loops in C order."""
        strides: list[Stride] = []
        total: Size = 1
        for extent in reversed(self.slots[self.kept : len(self.loops)]):
            strides.append(self.stride(total))
            total = dims.mul(extent, total)
        return Index((0,) * self.kept + tuple(reversed(strides)))

    def argument(self, a: Any, names: dict[Value, str]) -> Argument:
        return names[a] if isinstance(a, Value) else Literal(a[1], a[2])

    def statement(self, value: Value, name: str, names: dict[Value, str]) -> Statement:
        """What computes `value`, whose inputs have `names`, under the name `name`."""
        self.cost += 20 if value.function in DEAR else 1
        if value.kind == "let":
            args = tuple(self.argument(a, names) for a in value.args)
            return Let(name, value.function, args, value.dtype)
        if value.kind == "load":
            address = self.addresses[value]
            operand = self.operand(value.detail, address.offset)
            return Load(name, operand, self.index(address, names), value.dtype)
        if value.kind == "counter":
            address = self.addresses[value]
            return Counter(name, self.index(address, names), self.stride(address.offset))
        if value.kind == "check":
            assert value.origin is not None
            self.checks.append((value.origin, value.detail))
            argument = self.argument(value.args[0], names)
            size, negative = self.stride(value.detail), value.function == "check_index"
            return CheckIndex(name, argument, size, len(self.checks) - 1, negative)
        if value.kind == "scalar":
            self.scalars.append(value.detail)
            self._scalar_dtypes.append(value.dtype)
            return Scalar(name, len(self.scalars) - 1, value.dtype)
        raise CompilerError(f"no statement for a value of kind {value.kind}")

    def store(self, target: Target, names: dict[Value, str]) -> Store:
        operand = self.operand(target.write.target, target.address.offset)
        self._written.add(operand)
        value = self.argument(target.value, names)
        return Store(operand, self.index(target.address, names), value, target.write.add)

    # ---- the result

    def call(
        self, stages: Sequence[Stage], origin: Origin, outer: int = 0, first_partial: int = 0
    ) -> Call:
        scopes: dict[Any, int] = {}
        operands = []
        for number, ((storage, _), dtype) in enumerate(zip(self.operands, self._dtypes)):
            scope = scopes.setdefault(storage, len(scopes))
            scratch = storage == ("scratch", number)
            operands.append(Operand(dtype, scope, number in self._written, scratch))
        kernel = Kernel(
            self.form,
            self.kept,
            len(self.loops) - self.kept,
            tuple(operands),
            tuple(self._scalar_dtypes),
            len(self.slots),
            tuple(stages),
            bool(self.checks),
            self.cost,
            outer,
            first_partial,
        )
        return Call(kernel, self.operands, self.slots, self.scalars, self.checks, origin)
