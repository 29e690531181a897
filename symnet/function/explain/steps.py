"""The steps of one program in words."""

from collections.abc import Collection, Iterable, Sequence

from symnet.backends.choice import Runner
from symnet.function.explain.book import Book
from symnet.function.explain.parts import Access, KernelReport, StepReport
from symnet.function.explain.planning import Part
from symnet.function.explain.traffic import Traffic, traffic
from symnet.function.explain.wording import Named, Sizes, brief, constant_text
from symnet.graph.variables import Apply, Constant, Variable
from symnet.ops.contraction import Gemm
from symnet.schedule.lower import Lowering
from symnet.schedule.program import KernelStep, MatmulStep, Step, Storage
from symnet.schedule.reading import tensor_inputs
from symnet.schedule.steps import FusedStep, LoopStep, Write


class ProgramSteps:
    """Enters the steps of a program into a book.

    runner  the one whose last sizes count
    plain   one whose steps were not measured apart, or None
    """

    def __init__(
        self,
        book: Book,
        part: Part,
        runner: Runner,
        plain: Runner | None,
    ):
        assert part.program is not None and part.planner is not None
        self.book = book
        self.report = book.report
        self.lines = book.lines
        self.part = part
        self.program = part.program
        self.planner = part.planner
        self.flow = part.planner.flow
        self.fusion = part.planner.fusion
        self.storage = part.planner.memory.storage
        self.times = book.times(part.number, len(part.program.steps))
        self.runner = runner
        self.inspection = book.inspection
        self.binding = self.inspection.binding(runner)
        values = None if self.binding is None else self.binding.values
        self.sizes = Sizes(self.program, part.labels, values)
        alone = None if plain is None else self.inspection.binding(plain)
        self.paired: set[int] = set()
        if alone is not None:
            self.paired = set(range(len(self.program.steps))) - alone.rows

    def run(self) -> None:
        fused = iter(self.planner.memory.steps)
        partials: list[Storage] = []
        current: FusedStep | None = None
        for number, step in enumerate(self.program.steps):
            if not partials:
                current = next(fused)
            assert current is not None
            combine, partials = partials, []
            if isinstance(step, KernelStep) and step.blocks is not None:
                kernel = self.program.kernels[step.kernel]
                partials = [p[0] for p, o in zip(step.operands, kernel.operands) if o.written][
                    -self._reductions(current) :
                ]
            self._step(number, step, current, partials, combine)

    def _reductions(self, step: FusedStep) -> int:
        lowering = self.flow.lowerings[step.seq]
        assert isinstance(lowering, Lowering)
        return sum(v.kind == "reduce" for v in lowering.order)

    # ---- what things are called

    def label(self, storage: Storage) -> str:
        kind, number = storage
        return self.part.labels[number] if kind == "object" else f"buf{number}"

    def _named(self, step: FusedStep) -> Named:
        """Names of what is in memory when a step runs."""

        def named(variable: Variable) -> str | None:
            inside = isinstance(step, LoopStep) and variable in step.members
            if not inside and self.fusion.stored_before(variable, step.seq):
                storage = self.storage.get(self.flow.root(variable))
                if storage is not None:
                    return self.label(storage)
                if isinstance(variable, Constant):
                    return constant_text(variable)
            return None

        return named

    # ---- steps

    def traffic(self, step: Step) -> Traffic:
        """What a step moves."""
        return traffic(self.program, step, self.sizes.number, self.sizes.bytes)

    def _step(
        self,
        number: int,
        step: Step,
        fused: FusedStep,
        partials: Sequence[Storage],
        combine: Sequence[Storage],
    ) -> None:
        own = self.part.first + number
        results, nodes = self._results(fused, partials, combine)
        lines = self.lines.numbers(fused.origin, nodes)
        self.book.nodes.append(nodes)
        moved = self.traffic(step)
        arrays = [
            Access(self.label(s), moved.reads.get(s, 0), moved.writes.get(s, 0))
            for s in dict.fromkeys([*moved.reads, *moved.writes])
        ]
        kernel: KernelReport | None = None
        if isinstance(step, KernelStep):
            code = self.inspection.code(self.runner, number)
            kernel = self.book.kernel(self.program.kernels[step.kernel], code)
            kernel.steps.append(own)
            kernel.lines = list(dict.fromkeys([*kernel.lines, *lines]))
            loops = self.program.kernels[step.kernel].loops
            shape = " × ".join(map(self.sizes.shown, step.slots[:loops]))
            operands = self.program.kernels[step.kernel].operands
            kernel.operands.append(
                [
                    "a row of scratch" if o.per_thread else self.label(p[0])
                    for p, o in zip(step.operands, operands)
                ]
            )
            kind = self.program.kernels[step.kernel].form
        elif isinstance(step, MatmulStep):
            m, n, k = (self.sizes.shown(r) for r in (step.m, step.n, step.k))
            many = "" if step.batch == 1 else f"{self.sizes.shown(step.batch)} × "
            shape = f"{many}({m} × {k}) @ ({k} × {n})"
            kind = "gemm"
        else:
            shape, kind = self.sizes.shown(step.n), "permutation"
        seconds = None if self.times is None else float(self.times[number])
        launch = ""
        if self.binding is not None and self.binding.launches:
            launch = self.binding.launches[number]
        self.report.steps.append(
            StepReport(
                own, kind, None if kernel is None else kernel.number, results, shape, lines,
                arrays, moved.operations, seconds, self.book.calls, number in self.paired, launch,
            )
        )  # fmt: skip

    def _results(
        self, fused: FusedStep, partials: Sequence[Storage], combine: Sequence[Storage]
    ) -> tuple[list[str], list[Apply]]:
        """What a step computes as equations, and the nodes it comes from."""
        named = self._named(fused)
        if not isinstance(fused, LoopStep):
            out = fused.node.outputs[0]
            nodes = self._behind([(out, True)], named)
            left = self.label(self.storage[out])
            if isinstance(fused.node.op, Gemm):  # what is added to lies there already
                named = _also({fused.node.inputs[0]: left}, named)
            return [f"{left} = {self._text(out, named)}"], nodes
        writes = list(fused.writes)
        reductions = list(fused.reductions)
        if not partials and not combine:
            nodes = self._behind([(w.source, w.source is w.target) for w in writes], named)
            return [self._equation(fused, w, named) for w in writes], nodes
        lowering = self.flow.lowerings[fused.seq]
        assert isinstance(lowering, Lowering)
        full = {id(t.write) for t in lowering.targets if t.is_full(fused.reduced or frozenset())}
        if partials:
            inside = [w for w in writes if id(w) in full]
            nodes = self._behind([(w.source, w.source is w.target) for w in inside], named)
            nodes += self._behind([(v, True) for v in reductions], named)
            said = [self._equation(fused, w, named) for w in inside]
            for variable, label in self._parts(fused, partials).items():
                text = self._text(variable, named)
                said.append(f"{label} = partial results, block by block, of {text}")
            return said, nodes
        outside = [w for w in writes if id(w) not in full]

        totals = {
            v: f"{str(v.owner.op).partition('{')[0] if v.owner else ''}({label})"
            for v, label in self._parts(fused, combine).items()
        }
        total = _also(totals, named)
        nodes = self._behind([(w.source, w.source is w.target) for w in outside], total)
        return [self._equation(fused, w, total, totals) for w in outside], nodes

    def _parts(self, fused: LoopStep, partials: Sequence[Storage]) -> dict[Variable, str]:
        """The reductions of a step in blocks, each with the array of its partial results."""
        lowering = self.flow.lowerings[fused.seq]
        assert isinstance(lowering, Lowering)
        values = [v for v in lowering.order if v.kind == "reduce"]
        found = {}
        for variable, (_, at) in fused.reductions.items():
            value = lowering.values.read(variable, at)
            if value in values:
                found[variable] = self.label(partials[values.index(value)])
        return found

    def _text(self, variable: Variable, named: Named) -> str:
        return brief(variable, named, 84, loose=True)

    def _equation(
        self,
        fused: LoopStep,
        write: Write,
        named: Named,
        totals: Collection[Variable] = (),
    ) -> str:
        """What is written where; `totals` have names although this step computes them."""
        storage = self.storage.get(self.flow.root(write.target))
        left = "?" if storage is None else self.label(storage)
        source = write.source
        if write.gathers:
            indices = (named(v) or self._text(v, named) for v, _ in write.gathers.values())
            left += f"[{', '.join(indices)}]"
        elif self.fusion.shapes.of[write.target] != self.fusion.shapes.of[source]:
            left += "[part]"
        own = source is write.target
        if fused.copy_of is not None:
            right = self.label(self.storage[self.flow.root(fused.copy_of)])
        elif own and source not in totals:
            right = self._text(source, named)
        else:
            right = named(source) or self._text(source, named)
        return f"{left} {'+=' if write.add else '='} {right}"

    def _behind(self, starts: Iterable[tuple[Variable, bool]], named: Named) -> list[Apply]:
        """Nodes that a step computes: all behind its results up to what is in memory."""
        found: dict[Apply, None] = {}
        stack = [v for v, own in starts if own or named(v) is None]
        while stack:
            node = stack.pop().owner
            if node is None or node in found:
                continue
            found[node] = None
            for v in tensor_inputs(node):
                if v.owner is not None and named(v) is None and not self.fusion.reading.is_size(v):
                    stack.append(v)
        return list(found)


def _also(names: dict[Variable, str], named: Named) -> Named:
    """`named`, with further names."""
    return lambda variable: names.get(variable) or named(variable)
