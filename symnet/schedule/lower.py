"""From a step of the fusion pass to its kernel, with what to pass to it."""

from collections.abc import Callable, Iterable

from symnet.errors import CompilerError
from symnet.graph import dims
from symnet.graph.dims import Size
from symnet.graph.variables import Variable
from symnet.ops.elementwise import DEAR
from symnet.schedule.access import Coordinate, Coordinates, contiguous_strides, counting
from symnet.schedule.draft import Address, Call, Draft, Placing, Target
from symnet.schedule.kernel import Accumulator, Index, Let, Load, Stage, Statement, Store
from symnet.schedule.shapes import Shapes
from symnet.schedule.steps import LoopStep, Write
from symnet.schedule.values import Value, Values

BLOCK = 8192  # elements of one partial result of a reduction over everything


class Lowering:
    """Lowers one LoopStep.

    can_fail  whether an index is checked
    """

    def __init__(
        self,
        step: LoopStep,
        shapes: Shapes,
        stored_before: Callable[[Variable, int], bool],
    ):
        self.step = step
        self.shapes = shapes
        self.reduced = step.reduced or frozenset()
        self.values = Values(
            shapes,
            lambda v: v not in step.members and stored_before(v, step.seq),
            self.reduced,
            step.reductions,
        )
        self.targets = [self._target(write) for write in step.writes]
        self.order = _inputs_first(root for t in self.targets for root in t.roots)
        self.addresses = {v: self._address(v) for v in self.order if v.kind in ("load", "counter")}
        self.can_fail = any(v.kind == "check" for v in self.order)

    def _target(self, write: Write) -> Target:
        value = self.values.read(write.source, write.at)
        to = list(write.to)
        for axis, (index, where) in write.gathers.items():
            found = counting(index, where, self.shapes)
            to[axis] = found or Coordinate(value=self.values.read(index, where))
        strides = contiguous_strides(self.shapes.of[write.target])
        dtype = write.target.type.dtype
        if write.add:  # what is added is a half, not only the sum
            value = self.values.cast(value, dtype)
        else:
            value = self.values.to_store(value, dtype)
        return Target(write, value, Address.of(tuple(to), strides))

    def _address(self, value: Value) -> Address:
        if value.kind == "counter":
            return Address.of(value.coordinates, value.detail)
        return Address.of(value.coordinates, contiguous_strides(self.shapes.of[value.detail]))

    # ---- what the planner asks

    def loads(self) -> list[tuple[Variable, Coordinates, int]]:
        """(variable, coordinates, last stage it is read in) of everything that is loaded."""
        last: dict[Value, int] = {}
        for value in self.order:
            if value.kind == "reduce":
                for v in _row_closure(_inputs(value)):
                    last[v] = max(last.get(v, 0), value.depth - 1)
        for target in self.targets:
            for v in _row_closure(target.roots):
                last[v] = max(last.get(v, 0), target.depth)
        return [(v.detail, v.coordinates, last.get(v, 0)) for v in self.order if v.kind == "load"]

    def stage_of(self, variable: Variable) -> int:
        """The stage in which `variable` is written."""
        return next((t.depth for t in self.targets if t.write.target is variable), 0)

    # ---- the kernel

    def run(self, place: Placing) -> list[Call]:
        """The kernel, now that it is known where every stored variable lies.

        A reduction over everything is two kernels: partial results, and what combines them."""
        form = self._form()
        axes = range(len(self.step.axes))
        kept = [a for a in axes if a not in self.reduced]
        outer = 0
        if form == "serial":  # other axes outside, so that slabs never write the same element
            apart = self._merge([a for a in kept if a not in self.step.serial])
            loops = apart + self._merge([a for a in kept if a in self.step.serial])
            outer, count = len(apart), len(loops)
        else:
            loops = self._merge(kept)
            count = len(loops)
            if form != "map":
                loops += self._merge([a for a in axes if a in self.reduced])
        extents = [dims.product(self.step.axes[a] for a in loop) for loop in loops]
        draft = Draft(form, loops, count, extents, place, self.addresses)
        if form == "blocks":
            return self._blocks(draft, place)
        return [draft.call(self._stages(draft), self.step.origin, outer)]

    def _form(self) -> str:
        if self.step.serial:
            return "serial"
        inside = any(v.kind == "reduce" for v in self.order) or any(
            t.is_full(self.reduced) for t in self.targets
        )
        if not inside:  # no reduction, or none whose result is needed
            return "map"
        kept = self.step.kept
        if not kept:
            several = any(v.kind == "reduce" and v.depth > 1 for v in self.order)
            return "rows" if several else "blocks"
        strides = [self.addresses[v].strides for v in self.order if v.kind == "load"]
        strides += [t.address.strides for t in self.targets]
        strides = [s for s in strides if any(a in s for a in self.reduced)]
        last = max(self.reduced)
        by_columns = sum(s.get(kept[-1], 0) == 1 for s in strides)
        by_rows = sum(s.get(last, 0) == 1 for s in strides)
        return "columns" if by_columns > by_rows else "rows"

    def _merge(self, axes: list[int]) -> list[list[int]]:
        """Neighbouring axes become one loop where every array has them in one piece."""
        strides = [a.strides for a in self.addresses.values()]
        strides += [t.address.strides for t in self.targets]
        merged: list[list[int]] = []
        for axis in axes:
            size = self.step.axes[axis] or 1  # as contiguous_strides takes it
            if merged and all(
                s.get(merged[-1][-1], 0) == dims.mul(size, s.get(axis, 0)) for s in strides
            ):
                merged[-1].append(axis)
            else:
                merged.append([axis])
        return merged

    def _stages(self, draft: Draft) -> list[Stage]:
        """Every value goes into the loop, or before the loop, of the stages that need it."""
        count = max((v.depth for v in self.order), default=0) + 1
        loop_roots: list[list[Value]] = [[] for _ in range(count)]
        row_roots: list[list[Value]] = [[] for _ in range(count)]
        for value in self.order:
            if value.kind == "reduce":
                loop_roots[value.depth - 1] += _inputs(value)
        for target in self.targets:
            roots = loop_roots if target.is_full(self.reduced) else row_roots
            roots[target.depth] += target.roots
        stash = self._stash(draft.form, loop_roots)
        scratch: dict[Value, int] = {}  # stashed values whose row has been filled
        names: dict[Value, str] = {}
        position = {v: k for k, v in enumerate(self.order)}
        numbers = iter(range(10**9))
        built: list[Stage] = []
        for depth in range(count):
            row: list[Statement] = []
            loop: list[Statement] = []
            inner = _full_closure(loop_roots[depth], scratch)
            wanted = [v for v in (*inner, *row_roots[depth]) if not v.full]
            for v in sorted(_row_closure(wanted), key=position.__getitem__):
                if v not in names:
                    if v.kind == "reduce":
                        raise CompilerError("a reduction is used before its loop")
                    name = f"v{next(numbers)}"
                    row.append(draft.statement(v, name, names))
                    names[v] = name
            local = dict(names)
            for v in sorted((v for v in inner if v.full), key=position.__getitem__):
                name = f"v{next(numbers)}"
                if v in scratch:
                    loop.append(Load(name, scratch[v], draft.scratch_index(), v.dtype))
                else:
                    loop.append(draft.statement(v, name, local))
                    if v in stash:
                        scratch[v] = draft.new_scratch(v.dtype)
                        loop.append(Store(scratch[v], draft.scratch_index(), name))
                local[v] = name
            accumulators = []
            for v in self.order:
                if v.kind == "reduce" and v.depth == depth + 1:
                    names[v] = f"v{next(numbers)}"
                    reduced = draft.argument(v.args[0], local)
                    accumulators.append(Accumulator(names[v], v.function, reduced, v.dtype))
            for target in self.targets:
                if target.depth == depth:
                    full = target.is_full(self.reduced)
                    (loop if full else row).append(draft.store(target, local if full else names))
            built.append(Stage(tuple(row), tuple(loop), tuple(accumulators)))
        return built

    def _stash(self, form: str, loop_roots: list[list[Value]]) -> set[Value]:
        """Values that several passes over a row need and that are dear enough to be kept."""
        if form != "rows":
            return set()
        seen: set[Value] = set()
        again: set[Value] = set()
        for roots in loop_roots:
            needed = _full_closure(roots, ())
            again |= needed & seen
            seen |= needed
        return {v for v in again if v.full and v.kind == "let" and v.function in DEAR}

    def _blocks(self, draft: Draft, place: Placing) -> list[Call]:
        reductions = [v for v in self.order if v.kind == "reduce"]
        full_targets = [t for t in self.targets if t.is_full(self.reduced)]
        names: dict[Value, str] = {}
        position = {v: k for k, v in enumerate(self.order)}
        loop: list[Statement] = []
        row: list[Statement] = []
        roots = [a for v in reductions for a in _inputs(v)]
        roots += [root for t in full_targets for root in t.roots]
        for v in sorted(_row_closure(roots), key=position.__getitem__):
            name = f"v{len(names)}"
            (loop if v.full else row).append(draft.statement(v, name, names))
            names[v] = name
        accumulators = tuple(
            Accumulator(f"a{k}", v.function, draft.argument(v.args[0], names), v.dtype)
            for k, v in enumerate(reductions)
        )
        loop += [draft.store(t, names) for t in full_targets]
        first_partial = len(draft.operands)
        for k, v in enumerate(reductions):
            draft.new_operand(("partial", k), 0, partial_dtype(v), written=True)
        first, *others = draft.slots[: len(draft.loops)]
        length: Size = BLOCK  # in iterations of the outermost loop
        if others:
            inner = dims.apply("max", dims.product(others), 1)
            length = dims.apply("max", dims.apply("floordiv", BLOCK, inner), 1)
        count = dims.apply("floordiv", dims.add(first, dims.sub(length, 1)), length)
        stage = Stage(tuple(row), tuple(loop), accumulators)
        call = draft.call([stage], self.step.origin, first_partial=first_partial)
        call.blocks = length, count
        call.partials = [(partial_dtype(v), count) for v in reductions]
        return [call, self._combine(reductions, count, place)]

    def _combine(self, reductions: list[Value], count: Size, place: Placing) -> Call:
        """The kernel that reduces the partial results, and computes what needs the totals."""
        draft = Draft("rows", [[-1]], 0, [count], place, self.addresses)
        names: dict[Value, str] = {}
        numbers = iter(range(10**9))
        loop: list[Statement] = []
        accumulators = []
        row: list[Statement] = []
        for k, v in enumerate(reductions):
            partial = draft.new_operand(("partial", k), 0, partial_dtype(v))
            name, total = f"v{next(numbers)}", f"v{next(numbers)}"
            loop.append(Load(name, partial, Index((1,)), partial_dtype(v)))
            accumulators.append(Accumulator(total, v.function, name, partial_dtype(v)))
            names[v] = total
        for v in reductions:
            if partial_dtype(v) != v.dtype:
                name = f"v{next(numbers)}"
                row.append(Let(name, f"cast_{v.dtype}", (names[v],), v.dtype))
                names[v] = name
        targets = [t for t in self.targets if not t.is_full(self.reduced)]
        position = {v: k for k, v in enumerate(self.order)}
        wanted = _row_closure(root for t in targets for root in t.roots)
        for v in sorted(wanted - names.keys(), key=position.__getitem__):
            name = f"v{next(numbers)}"
            row.append(draft.statement(v, name, names))
            names[v] = name
        row += [draft.store(t, names) for t in targets]
        stages = [Stage((), tuple(loop), tuple(accumulators)), Stage(tuple(row))]
        return draft.call(stages, self.step.origin)


def _inputs(value: Value) -> list[Value]:
    """Values that are read to compute a value, those that say where included."""
    found = [a for a in value.args if isinstance(a, Value)]
    return found + [c.value for c in value.coordinates if isinstance(c.value, Value)]


def _inputs_first(roots: Iterable[Value]) -> list[Value]:
    """Everything behind `roots`, in an order in which it can be computed; iterative."""
    order: dict[Value, None] = {}
    for root in roots:
        stack = [root]
        while stack:
            top = stack[-1]
            missing = [] if top in order else [v for v in _inputs(top) if v not in order]
            if missing:
                stack.extend(missing)
            else:
                order.setdefault(stack.pop())
    return list(order)


def _full_closure(roots: Iterable[Value], stop: Iterable[Value]) -> set[Value]:
    """Values behind `roots` that depend on the reduced loops, and the row values they touch first.

    What is in `stop` is there already."""
    known = set(stop)
    found: set[Value] = set()
    stack = list(roots)
    while stack:
        v = stack.pop()
        if v not in found:
            found.add(v)
            if v.full and v not in known:
                stack.extend(_inputs(v))
    return found


def _row_closure(roots: Iterable[Value]) -> set[Value]:
    """Values behind `roots`, up to the results of reductions."""
    found: set[Value] = set()
    stack = list(roots)
    while stack:
        v = stack.pop()
        if v not in found:
            found.add(v)
            if v.kind != "reduce":
                stack.extend(_inputs(v))
    return found


def partial_dtype(value: Value) -> str:
    """Dtype of the partial results of a reduction: float32 sums combine in float64."""
    return "float64" if value.function == "sum" and value.dtype == "float32" else value.dtype
