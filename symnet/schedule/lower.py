"""From a step of the fusion pass to its kernel, with what to pass to it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from symnet.errors import CompilerError
from symnet.graph import dims
from symnet.graph.dims import Size
from symnet.graph.origin import Origin
from symnet.graph.variables import Variable
from symnet.ops.elementwise import DEAR
from symnet.schedule.access import Coordinate, Coordinates, contiguous_strides, counting
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
    Operand,
    Scalar,
    Stage,
    Statement,
    Store,
    Stride,
)
from symnet.schedule.shapes import Shapes
from symnet.schedule.steps import LoopStep
from symnet.schedule.values import Value, Values

BLOCK = 8192  # elements of one partial result of a reduction over everything

Place = tuple[Any, Size]  # storage, offset in elements


@dataclass(slots=True)
class Call:
    """A kernel and what to pass to it.

    operands  storage and offset in elements; a scratch row is ("scratch", size in elements)
    slots     the extents of the loops, then strides
    scalars   sizes, or NumPy numbers
    checks    origin and size of each index check
    """

    kernel: Kernel
    operands: list[Place]
    slots: list[Size]
    scalars: list[Any]
    checks: list[tuple[Origin, Size]]
    origin: Origin
    blocks: tuple[Size, Size] | None = None  # of a "blocks" kernel: length and number of blocks
    partials: list[tuple[str, Size]] = field(default_factory=list)  # dtype and number


class Lowering:
    """Lowers one LoopStep. `place(variable)` says where a stored variable lies."""

    def __init__(
        self,
        step: LoopStep,
        shapes: Shapes,
        stored_before: Callable[[Variable, int], bool],
    ):
        self.step = step
        self.shapes = shapes
        self.place: Callable[[Variable], Place] = lambda v: (v, 0)
        self.reduced = step.reduced or frozenset()
        self.values = Values(
            shapes,
            lambda v: v not in step.members and stored_before(v, step.seq),
            self.reduced,
            step.reductions,
        )
        self.operands: list[Place] = []
        self._operand_of: dict[tuple, int] = {}
        self._operand_dtypes: list[str] = []
        self.written: set[int] = set()
        self.scratch: list[tuple[str, int]] = []
        self.checks: list[tuple[Origin, Size]] = []
        self.scalars: list[Any] = []
        self.scalar_dtypes: list[str] = []
        self.cost = 0
        self.outer = 0
        self.first_partial = 0

    # ---- strides over the group's axes, before loops are merged

    def _address(self, sizes: tuple[Size, ...], at: Coordinates) -> tuple[dict, list, Size]:
        """(axis -> stride, [(value, stride)], offset) of coordinates in a C-contiguous array."""
        strides: dict[int, Size] = {}
        gathers: list[tuple[Value, Size]] = []
        offset: Size = 0
        for c, stride in zip(at, contiguous_strides(sizes)):
            offset = dims.add(offset, dims.mul(c.offset, stride))
            step = dims.mul(c.step, stride)
            if c.axis is not None:
                known = strides.get(c.axis)
                strides[c.axis] = step if known is None else dims.add(known, step)
            elif c.value is not None:
                gathers.append((c.value, step))  # type: ignore[arg-type]
        return strides, gathers, offset

    def _operand(self, variable: Variable, offset: Size) -> int:
        storage, base = self.place(variable)
        offset = dims.add(base, offset)
        key = (storage, offset if isinstance(offset, int) else id(offset), variable.type.dtype)
        found = self._operand_of.get(key)
        if found is None:
            found = self._operand_of[key] = len(self.operands)
            self.operands.append((storage, offset))
            self._operand_dtypes.append(variable.type.dtype)
        return found

    def prepare(self) -> None:
        """Find the values that are needed; after this `loads` and `can_fail` are known."""
        step = self.step
        writes = self.writes = []
        for write in step.writes:
            value = self.values.read(write.source, write.at)
            to = list(write.to)
            for axis, (index, where) in write.gathers.items():
                found = counting(index, where, self.shapes)
                to[axis] = found or Coordinate(value=self.values.read(index, where))
            strides, gathers, offset = self._address(self.shapes.of[write.target], tuple(to))
            value = self.values.cast(value, write.target.type.dtype)
            writes.append((write, value, strides, gathers, offset))
        self._collect(writes)
        self.can_fail = any(v.kind == "check" for v in self.order)

    def loads(self) -> list[tuple[Variable, Coordinates, int]]:
        """(variable, coordinates, last stage it is read in) of everything that is loaded."""
        last: dict[Value, int] = {}
        for value in self.order:
            if value.kind == "reduce":
                for v in self._row_closure([a for a in value.args if isinstance(a, Value)]):
                    last[v] = max(last.get(v, 0), value.depth - 1)
        for _, value, _, gathers, _ in self.writes:
            roots = [v for v in [value] if isinstance(v, Value)] + [g for g, _ in gathers]
            depth = max((v.depth for v in roots), default=0)
            for v in self._row_closure(roots):
                last[v] = max(last.get(v, 0), depth)
        return [(v.detail, v.coordinates, last.get(v, 0)) for v in self.order if v.kind == "load"]

    def stage_of(self, target: Variable) -> int:
        """The stage in which `target` is written."""
        for write, value, _, gathers, _ in self.writes:
            if write.target is target:
                roots = [v for v in [value] if isinstance(v, Value)] + [g for g, _ in gathers]
                return max((v.depth for v in roots), default=0)
        return 0

    def run(self, place: Callable[[Variable], Place]) -> list[Call]:
        """The kernel, now that it is known where every stored variable lies."""
        self.place = place
        writes = self.writes
        self._choose_loops(writes)
        if self.form == "blocks":
            return self._blocks(writes)
        stages = self._stages(writes)
        return [self._call(stages)]

    # ---- the values that are needed, and which loops they allow to merge

    def _collect(self, writes: list) -> None:
        """All values behind the writes, inputs first; addresses of loads and counters."""
        self.order: list[Value] = []
        self.address: dict[Value, tuple[dict, list, Size]] = {}
        seen: set[Value] = set()
        roots = [value for _, value, *_ in writes if isinstance(value, Value)]
        roots += [g for _, _, _, gathers, _ in writes for g, _ in gathers]
        for root in roots:
            stack = [root]
            while stack:
                top = stack[-1]
                if top in seen:
                    stack.pop()
                    continue
                missing = [v for v in self._inputs(top) if v not in seen]
                if missing:
                    stack.extend(missing)
                    continue
                stack.pop()
                seen.add(top)
                self.order.append(top)
                if top.kind == "load":
                    sizes = self.shapes.of[top.detail]
                    self.address[top] = self._address(sizes, top.coordinates)
                elif top.kind == "counter":
                    strides: dict[int, Size] = {}
                    gathers = []
                    offset: Size = 0
                    for c, stride in zip(top.coordinates, top.detail):
                        offset = dims.add(offset, dims.mul(c.offset, stride))
                        if c.axis is not None:
                            more = dims.mul(c.step, stride)
                            known = strides.get(c.axis)
                            strides[c.axis] = more if known is None else dims.add(known, more)
                        elif c.value is not None:
                            gathers.append((c.value, dims.mul(c.step, stride)))
                    self.address[top] = (strides, gathers, offset)

    @staticmethod
    def _inputs(value: Value) -> list[Value]:
        found = [a for a in value.args if isinstance(a, Value)]
        found += [c.value for c in value.coordinates if c.value is not None]  # type: ignore[misc]
        return found

    def _choose_loops(self, writes: list) -> None:
        axes = range(len(self.step.axes))
        kept = [a for a in axes if a not in self.reduced]
        reduced = [a for a in axes if a in self.reduced]
        serial = self.step.serial
        addresses = [strides for strides, _, _ in self.address.values()]
        addresses += [strides for _, _, strides, _, _ in writes]
        if serial:  # other axes outside, so that slabs never write the same element
            kept = [a for a in kept if a not in serial] + [a for a in kept if a in serial]
        self.form = "map"
        if serial:
            self.form = "serial"
        elif reduced and not kept:
            self.form = "blocks"
        elif reduced:
            unit_kept = unit_reduced = 0
            for strides in addresses:
                if any(a in strides for a in reduced):
                    unit_kept += strides.get(kept[-1], 0) == 1
                    unit_reduced += strides.get(reduced[-1], 0) == 1
            self.form = "columns" if unit_kept > unit_reduced else "rows"

        extents = self.step.axes

        def merge(group: list[int], keep_apart: int | None = None) -> list[list[int]]:
            merged: list[list[int]] = []
            for axis in group:
                if merged and axis != keep_apart:
                    last = merged[-1][-1]
                    if all(
                        _same(s.get(last, 0), dims.mul(extents[axis], s.get(axis, 0)))
                        for s in addresses
                    ):
                        merged[-1].append(axis)
                        continue
                merged.append([axis])
            return merged

        if serial:
            outer = merge([a for a in kept if a not in serial])
            self.loops = outer + merge([a for a in kept if a in serial])
            self.kept = len(self.loops)
            self.outer = len(outer)
        else:
            kept_loops = merge(kept)
            self.loops = kept_loops + merge(reduced)
            self.kept = len(kept_loops)
        self.slots: list[Size] = [dims.product(extents[a] for a in loop) for loop in self.loops]
        self._slot_of: dict[Any, str] = {}

    # ---- building statements

    def _stride(self, size: Size) -> Stride:
        if isinstance(size, int):
            return size
        name = self._slot_of.get(size)
        if name is None:
            name = self._slot_of[size] = f"s{len(self.slots)}"
            self.slots.append(size)
        return name

    def _index(self, strides: dict[int, Size], gathers: list, names: dict[Value, str]) -> Index:
        per_loop = tuple(self._stride(strides.get(loop[-1], 0)) for loop in self.loops)
        values = tuple((names[v], self._stride(s)) for v, s in gathers)
        return Index(per_loop, values)

    def _argument(self, a: Any, names: dict[Value, str]) -> Argument:
        if isinstance(a, Value):
            return names[a]
        return Literal(a[1], a[2])

    def _statement(self, value: Value, name: str, names: dict[Value, str]) -> Statement:
        self.cost += 20 if value.function in DEAR else 1
        if value.kind == "let":
            args = tuple(self._argument(a, names) for a in value.args)
            return Let(name, value.function, args, value.dtype)
        if value.kind == "load":
            strides, gathers, offset = self.address[value]
            operand = self._operand(value.detail, offset)
            return Load(name, operand, self._index(strides, gathers, names), value.dtype)
        if value.kind == "counter":
            strides, gathers, offset = self.address[value]
            return Counter(name, self._index(strides, gathers, names), self._stride(offset))
        if value.kind == "check":
            assert value.origin is not None
            self.checks.append((value.origin, value.detail))
            argument = self._argument(value.args[0], names)
            size, negative = self._stride(value.detail), value.function == "check_index"
            return CheckIndex(name, argument, size, len(self.checks) - 1, negative)
        if value.kind == "scalar":
            self.scalars.append(value.detail)
            self.scalar_dtypes.append(value.dtype)
            return Scalar(name, len(self.scalars) - 1, value.dtype)
        raise CompilerError(f"no statement for a value of kind {value.kind}")

    def _stages(self, writes: list) -> list[Stage]:
        """Place every value in the loop, or before the loop, of the stage that needs it."""
        count = max((v.depth for v in self.order), default=0) + 1
        loop_roots: list[list[Value]] = [[] for _ in range(count)]
        row_roots: list[list[Value]] = [[] for _ in range(count)]
        for value in self.order:
            if value.kind == "reduce":
                loop_roots[value.depth - 1] += [a for a in value.args if isinstance(a, Value)]
        for _, value, strides, gathers, _ in writes:
            full = any(a in self.reduced for a in strides) or any(g.full for g, _ in gathers)
            values = [v for v in [value] if isinstance(v, Value)] + [g for g, _ in gathers]
            depth = max((v.depth for v in values), default=0)
            (loop_roots if full else row_roots)[depth] += values
        needed = [self._closure(roots) for roots in loop_roots]
        stash: dict[Value, int] = {}
        if self.form == "rows":
            for value in self.order:
                stages = [d for d in range(count) if value in needed[d]]
                if len(stages) > 1 and value.kind == "let" and value.function in DEAR:
                    stash[value] = -1

        names: dict[Value, str] = {}
        counter = 0
        built: list[Stage] = []
        position = {v: k for k, v in enumerate(self.order)}

        def fresh() -> str:
            nonlocal counter
            counter += 1
            return f"v{counter - 1}"

        def define_row(wanted: list[Value], statements: list[Statement]) -> None:
            for v in sorted(self._row_closure(wanted), key=position.__getitem__):
                if v not in names:
                    if v.kind == "reduce":
                        raise CompilerError("a reduction is used before its loop")
                    name = fresh()
                    statements.append(self._statement(v, name, names))
                    names[v] = name

        for depth in range(count):
            row: list[Statement] = []
            loop: list[Statement] = []
            inner = self._closure(loop_roots[depth], stop={s for s, o in stash.items() if o >= 0})
            rows_needed = [v for v in inner if not v.full]
            rows_needed += [v for v in loop_roots[depth] if not v.full]
            define_row(rows_needed + row_roots[depth], row)
            local = dict(names)
            for v in sorted((v for v in inner if v.full), key=position.__getitem__):
                name = fresh()
                if v in stash and stash[v] >= 0:
                    loop.append(Load(name, stash[v], self._scratch_index(), v.dtype))
                else:
                    loop.append(self._statement(v, name, local))
                local[v] = name
                if v in stash and stash[v] < 0:
                    stash[v] = self._new_scratch(v.dtype)
                    loop.append(Store(stash[v], self._scratch_index(), name))
            accumulators = []
            for v in self.order:
                if v.kind == "reduce" and v.depth == depth + 1:
                    name = fresh()
                    where = self._argument(v.args[1], local) if len(v.args) > 1 else None
                    accumulators.append(
                        Accumulator(
                            name, v.function, self._argument(v.args[0], local), v.dtype, where
                        )
                    )
                    names[v] = name
            for write, value, strides, gathers, offset in writes:
                full = any(a in self.reduced for a in strides) or any(g.full for g, _ in gathers)
                values = [v for v in [value] if isinstance(v, Value)] + [g for g, _ in gathers]
                if max((v.depth for v in values), default=0) != depth:
                    continue
                operand = self._operand(write.target, offset)
                self.written.add(operand)
                table = local if full else names
                store = Store(
                    operand,
                    self._index(strides, gathers, table),
                    self._argument(value, table),
                    write.add,
                )
                (loop if full else row).append(store)
            built.append(Stage(tuple(row), tuple(loop), tuple(accumulators)))
        return built

    def _closure(
        self, roots: list[Value], stop: set[Value] | frozenset = frozenset()
    ) -> set[Value]:
        """Full values behind roots, and the row values they touch first."""
        found: set[Value] = set()
        stack = list(roots)
        while stack:
            v = stack.pop()
            if v in found:
                continue
            found.add(v)
            if v.full and v not in stop:
                stack.extend(self._inputs(v))
        return found

    def _row_closure(self, roots: list[Value]) -> set[Value]:
        found: set[Value] = set()
        stack = list(roots)
        while stack:
            v = stack.pop()
            if v in found:
                continue
            found.add(v)
            if v.kind != "reduce":
                stack.extend(self._inputs(v))
        return found

    def _new_scratch(self, dtype: str) -> int:
        number = len(self.operands)
        size = dims.product(self.step.axes[a] for a in sorted(self.reduced))
        self.operands.append((("scratch", number), size))
        self._operand_dtypes.append(dtype)
        self.scratch.append((dtype, number))
        self.written.add(number)
        return number

    def _scratch_index(self) -> Index:
        strides: list[Stride] = [0] * self.kept
        sizes = tuple(
            dims.product(self.step.axes[a] for a in loop) for loop in self.loops[self.kept :]
        )
        strides += [self._stride(s) for s in contiguous_strides(sizes)]
        return Index(tuple(strides))

    # ---- results

    def _operand_list(self) -> tuple[Operand, ...]:
        scopes: dict[Any, int] = {}
        found = []
        for k, ((storage, _), dtype) in enumerate(zip(self.operands, self._operand_dtypes)):
            scope = scopes.setdefault(storage, len(scopes))
            scratch = isinstance(storage, tuple) and storage[0] == "scratch"
            found.append(Operand(dtype, scope, k in self.written, scratch))
        return tuple(found)

    def _call(self, stages: list[Stage]) -> Call:
        kernel = Kernel(
            self.form,
            self.kept,
            len(self.loops) - self.kept,
            self._operand_list(),
            tuple(self.scalar_dtypes),
            len(self.slots),
            tuple(stages),
            bool(self.checks),
            self.cost,
            self.outer,
            self.first_partial,
        )
        return Call(kernel, self.operands, self.slots, self.scalars, self.checks, self.step.origin)

    def _blocks(self, writes: list) -> list[Call]:
        """Partial results per block, then a kernel that combines them and does the rest."""
        reductions = [v for v in self.order if v.kind == "reduce"]
        full_writes = [w for w in writes if any(a in self.reduced for a in w[2])]
        row_writes = [w for w in writes if not any(a in self.reduced for a in w[2])]
        names: dict[Value, str] = {}
        position = {v: k for k, v in enumerate(self.order)}
        loop: list[Statement] = []
        row: list[Statement] = []
        roots = [a for v in reductions for a in v.args if isinstance(a, Value)]
        roots += [w[1] for w in full_writes if isinstance(w[1], Value)]
        roots += [g for w in full_writes for g, _ in w[3]]
        for v in sorted(self._row_closure(roots), key=position.__getitem__):
            name = f"v{len(names)}"
            (loop if v.full else row).append(self._statement(v, name, names))
            names[v] = name
        accumulators = []
        for k, v in enumerate(reductions):
            where = self._argument(v.args[1], names) if len(v.args) > 1 else None
            accumulators.append(
                Accumulator(f"a{k}", v.function, self._argument(v.args[0], names), v.dtype, where)
            )
        for write, value, strides, gathers, offset in full_writes:
            operand = self._operand(write.target, offset)
            self.written.add(operand)
            index = self._index(strides, gathers, names)
            loop.append(Store(operand, index, self._argument(value, names), write.add))
        # one more operand per accumulator: its partial results (and, for arg-reductions, positions)
        partials: list[tuple[str, Size]] = []
        inputs: list[tuple[Value, list[int]]] = []
        for v in reductions:
            own = []
            dtypes = [partial_dtype(v)] + (["int64"] if len(v.args) > 1 else [])
            for dtype in dtypes:
                own.append(len(partials))
                partials.append((dtype, 0))
            inputs.append((v, own))
        self.form = "blocks"
        self.first_partial = len(self.operands)
        for k, (dtype, _) in enumerate(partials):
            self.written.add(len(self.operands))
            self.operands.append((("partial", k), 0))
            self._operand_dtypes.append(dtype)
        rest = dims.product(self.slots[1 : len(self.loops)])
        length = dims.apply(
            "max", 1, dims.apply("floordiv", dims.add(rest, BLOCK - 1), dims.apply("max", rest, 1))
        )
        if rest != 1:
            length = dims.apply("max", 1, dims.apply("floordiv", BLOCK, dims.apply("max", rest, 1)))
        else:
            length = BLOCK
        count = dims.apply("floordiv", dims.add(self.slots[0], dims.sub(length, 1)), length)
        first = self._call([Stage(tuple(row), tuple(loop), tuple(accumulators))])
        first.blocks = (length, count)
        first.partials = [(dtype, count) for dtype, _ in partials]
        self.first_partial = 0
        return [first, self._combine(inputs, first.partials, row_writes, count)]

    def _combine(
        self, inputs: list, partials: list[tuple[str, Size]], row_writes: list, count: Size
    ) -> Call:
        self.operands = [(("partial", k), 0) for k in range(len(partials))]
        self._operand_dtypes = [dtype for dtype, _ in partials]
        self._operand_of = {}
        self.written = set()
        self.checks, self.scalars, self.scalar_dtypes = [], [], []
        self.loops = [[0]]
        self.kept = 0
        self.form = "rows"
        self.slots = [count]
        self._slot_of = {}
        names: dict[Value, str] = {}
        loop: list[Statement] = []
        accumulators = []
        counter = 0
        for v, own in inputs:
            loaded = []
            for k in own:
                loop.append(Load(f"v{counter}", k, Index((1,)), partials[k][0]))
                loaded.append(f"v{counter}")
                counter += 1
            where = loaded[1] if len(loaded) > 1 else None
            dtype = v.dtype if where is not None else partials[own[0]][0]
            accumulators.append(Accumulator(f"v{counter}", v.function, loaded[0], dtype, where))
            names[v] = f"v{counter}"
            counter += 1
        row: list[Statement] = []
        for (v, _), a in zip(inputs, accumulators):
            if a.dtype != v.dtype:
                row.append(Let(f"v{counter}", f"cast_{v.dtype}", (names[v],), v.dtype))
                names[v] = f"v{counter}"
                counter += 1
        position = {v: k for k, v in enumerate(self.order)}
        roots = [w[1] for w in row_writes if isinstance(w[1], Value)]
        for v in sorted(self._row_closure(roots), key=position.__getitem__):
            if v not in names:
                names[v] = f"v{counter}"
                row.append(self._statement(v, names[v], names))
                counter += 1
        self.loops = [[-1]]
        for write, value, _strides, _gathers, offset in row_writes:
            operand = self._operand(write.target, offset)
            self.written.add(operand)
            row.append(Store(operand, Index((0,), ()), self._argument(value, names), write.add))
        return self._call([Stage((), tuple(loop), tuple(accumulators)), Stage(tuple(row))])


def partial_dtype(value: Value) -> str:
    """Dtype of the partial results of a reduction: float32 sums combine in float64."""
    source = value.args[0]
    dtype = source.dtype if isinstance(source, Value) else source[2]
    if value.function in ("argmax", "argmin"):
        return dtype
    return "float64" if value.function == "sum" and value.dtype == "float32" else value.dtype


def _same(a: Size, b: Size) -> bool:
    return a is b or (isinstance(a, int) and isinstance(b, int) and a == b)
