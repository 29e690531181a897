"""From a function's graph to its report: the compilation is done again, with a trace kept."""

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from symnet.backends.cpu import tape_layout as layout
from symnet.backends.cpu.bind import ALIGN
from symnet.backends.cpu.emit import emit
from symnet.backends.cpu.runner import Runner
from symnet.backends.cpu.segments import SegmentedRunner, split
from symnet.function.arguments import Signature
from symnet.function.explain.machine import machine
from symnet.function.explain.measure import Measurement, last_frame, runners_of
from symnet.function.explain.parts import (
    Access,
    BufferReport,
    Facts,
    KernelReport,
    Line,
    MemoryPlan,
    PhaseReport,
    Report,
    RuleUses,
    SharedReport,
    StepReport,
    Use,
    clipped_tree,
)
from symnet.function.explain.traffic import Traffic, traffic
from symnet.function.explain.wording import (
    Named,
    Sizes,
    brief,
    bytes_text,
    constant_text,
    counted,
    equation,
    time_text,
    typed,
)
from symnet.function.modes import Mode
from symnet.graph.origin import UNKNOWN, Origin
from symnet.graph.printing import debugprint
from symnet.graph.traversal import toposort
from symnet.graph.variables import Apply, Constant, Variable
from symnet.ops.contraction import Gemm
from symnet.rewrite import Phase, optimise, tracing
from symnet.rewrite.phases import RULES_BY_PHASE
from symnet.schedule.buffers import Planner, plan
from symnet.schedule.lower import Lowering
from symnet.schedule.program import KernelStep, MatmulStep, Program, Step, Storage, accesses
from symnet.schedule.reading import tensor_inputs
from symnet.schedule.steps import FusedStep, LoopStep, Write

_WHY = {
    "simplify": "one spelling for equal things, and forms that neither overflow nor cancel",
    "specialise": "cheaper ops for special arguments; softmax and its kin taken apart",
    "blas": "matrix products absorb what scales them and what they are added to",
    "expand": "only what the schedule cannot do without",
}
_FORMS = {
    "map": "element by element",
    "rows": "row by row, reducing along the row",
    "columns": "column by column, reducing down the column",
    "blocks": "a reduction of everything, in blocks",
    "serial": "in order, because places may be written twice",
}
MOST_USES = 200  # of one rule that are written out
MOST_KERNELS = 64  # whose machine code is looked at


@dataclass(eq=False)
class Drawing:
    """The compiled graph, and which of its nodes each step computes."""

    roots: list[Variable]
    titles: list[str]
    groups: list[tuple[str, list[Apply]]]


def collect(
    signature: Signature,
    mode: Mode,
    name: str | None,
    runner: Runner | SegmentedRunner | None,
    measurement: Measurement | None,
) -> tuple[Report, Drawing]:
    """The report of a function, and the graph to be drawn. Without `runner` there is nothing
    compiled: the report ends with the graph."""
    roots = [*signature.outputs, *(v for _, v in signature.updates)]
    nodes = toposort(roots, stop=set(signature.variables))
    lines = _Lines(signature, nodes, roots)
    labels = _output_labels(signature)
    known = itertools.chain(*([*node.inputs, *node.outputs] for node in nodes))
    names = {v.name for v in known if v.name}
    titles = [
        *labels,
        *(f"new {s.name or f'value {k}'}" for k, (s, _) in enumerate(signature.updates)),
    ]
    written = _tree(roots, titles)
    phases: list[Phase] = []
    rewritten = roots
    parts: list[Part] = []
    if runner is not None:
        with tracing() as phases:
            rewritten, _ = optimise(roots, level=mode.rewrite)
        parts = _parts(signature, rewritten, mode, runner, labels)
    report = Report(
        facts=_facts(signature, mode, name, labels),
        lines=lines.found,
        written=written,
        rewritten=_tree(rewritten, titles) if phases else "",
        phases=[_phase(phase, names) for phase in phases],
        kernels=[],
        steps=[],
        memory=[],
        nodes=len(nodes),
    )
    drawing = Drawing(rewritten, titles, [])
    if runner is not None:
        filling = _Filling(report, lines, parts, runner, measurement)
        filling.run()
        drawing.groups += [
            (f"step {step.number}: {step.what}", nodes)
            for step, nodes in zip(report.steps, filling.nodes)
        ]
    return report, drawing


def _tree(roots: Sequence[Variable], titles: Sequence[str]) -> str:
    """The printed graph, with the title of each root above it."""
    lines = str(debugprint(list(roots), "str")).splitlines()
    starts = [k for k, text in enumerate(lines) if text[:1] not in "├└│ [" or text[:2] == "[["]
    if len(starts) == len(roots) > 1:
        for start, title in reversed(list(zip(starts, titles))):
            lines.insert(start, f"{title}:")
    return clipped_tree("\n".join(lines))


@dataclass(eq=False)
class Part:
    """A native program as planned again, with its place in the function; or Python nodes.

    first    number of its first step
    labels   what its objects are called
    host     nodes that run in Python behind it
    number   of the segment
    values   what arrays are called that go from segment to segment
    """

    program: Program | None
    planner: Planner | None
    first: int
    labels: list[str]
    host: list[Apply]
    number: int
    values: dict[Variable, str]


# ---- lines


class _Lines:
    """The user's lines in the order of the program, by file and number."""

    def __init__(self, signature: Signature, nodes: Sequence[Apply], roots: Sequence[Variable]):
        built: dict[Origin, int] = {}
        makes: dict[Origin, list[str]] = {}
        sources: dict[Variable, None] = dict.fromkeys(signature.variables)
        for node in nodes:
            built[node.origin] = built.get(node.origin, 0) + 1
            sources.update(dict.fromkeys(v for v in node.inputs if v.owner is None))
        sources.update(dict.fromkeys(s for s, _ in signature.updates))
        sources.update(dict.fromkeys(v for v in roots if v.owner is None))
        for variable in sources:
            if isinstance(variable, Constant):
                continue
            makes.setdefault(variable.origin, []).append(str(variable))
        origins = sorted({*built, *makes} - {UNKNOWN}, key=lambda o: (o.file, o.line))
        self.found = [
            Line(k, origin, built.get(origin, 0), makes.get(origin, []))
            for k, origin in enumerate(origins)
        ]
        self._number = {origin: k for k, origin in enumerate(origins)}

    def numbers(self, origin: Origin, nodes: Iterable[Apply]) -> list[int]:
        """The lines of a step: the one it is booked under first."""
        others = sorted({n.origin for n in nodes} - {origin}, key=lambda o: (o.file, o.line))
        return [self._at(o) for o in [origin, *others] if o != UNKNOWN]

    def _at(self, origin: Origin) -> int:
        known = self._number.get(origin)
        if known is None:
            known = self._number[origin] = len(self.found)
            self.found.append(Line(known, origin))
        return known


# ---- rules


def _phase(phase: Phase, names: Collection[str]) -> PhaseReport:
    equations = {rule.name: _first_line(rule.doc) for rule in RULES_BY_PHASE[phase.name]}
    rules: dict[str, RuleUses] = {}
    for step in phase.steps:
        uses = rules.setdefault(step.rule, RuleUses(step.rule, equations.get(step.rule, ""), []))
        if len(uses.uses) < MOST_USES:
            uses.uses.append(Use(step.origin, *equation(step.before, step.after, names)))
    sizes = len(toposort(phase.before)), len(toposort(phase.after))
    return PhaseReport(phase.name, _WHY.get(phase.name, ""), sizes, list(rules.values()))


def _first_line(doc: str) -> str:
    return doc.split("\n\n")[0].replace("\n", " ")


# ---- programs


def _parts(
    signature: Signature,
    rewritten: Sequence[Variable],
    mode: Mode,
    runner: Runner | SegmentedRunner,
    labels: Sequence[str],
) -> list[Part]:
    """The programs of a function, planned again."""
    inputs = signature.variables
    results = list(rewritten[: len(signature.outputs)])
    updates = list(zip([s for s, _ in signature.updates], rewritten[len(signature.outputs) :]))
    if isinstance(runner, Runner):
        program, planner = plan(inputs, results, updates, reuse=mode.reuse, fuse=mode.fuse)
        return [Part(program, planner, 0, _labels(planner, program, inputs, labels, {}), [], 0, {})]
    parts: list[Part] = []
    values: dict[Variable, str] = {}
    segments = split(inputs, results, updates)
    first = 0
    for number, segment in enumerate(segments):
        last = number == len(segments) - 1
        part = Part(None, None, first, [], segment.host, number, values)
        if segment.outputs or last:
            own = updates if last else ()
            program, planner = plan(
                segment.inputs, segment.outputs, own, reuse=mode.reuse, fuse=mode.fuse
            )
            own_labels = labels if last else [_value(v, values) for v in segment.outputs]
            part.program, part.planner = program, planner
            part.labels = _labels(planner, program, inputs, own_labels, values)
            first += len(program.steps)
        first += len(segment.host)
        parts.append(part)
    return parts


def _value(variable: Variable, values: dict[Variable, str]) -> str:
    """The name of an array between native programs and Python."""
    if variable.owner is None:
        return str(variable)
    return values.setdefault(variable, variable.name or f"val{len(values)}")


def _output_labels(signature: Signature) -> list[str]:
    """What the outputs are called: the keys of a dict, names, or numbers."""
    if isinstance(signature.form, list):
        return [str(key) for key in signature.form]
    if len(signature.outputs) == 1:
        return [signature.outputs[0].name or "output"]
    return [v.name or f"output {k}" for k, v in enumerate(signature.outputs)]


def _labels(
    planner: Planner,
    program: Program,
    inputs: Sequence[Variable],
    outputs: Sequence[str],
    values: dict[Variable, str],
) -> list[str]:
    """What a program's objects are called, each another way."""
    found: list[str] = []
    rebound = {output: planner.shared[position] for position, output in program.rebinds}
    for o in program.objects:
        if o.role == "input":
            variable = planner.inputs[o.position]
            if variable in inputs:
                label = variable.name or f"input {list(inputs).index(variable)}"
            else:
                label = _value(variable, values)
        elif o.role == "shared":
            label = planner.shared[o.position].name or f"shared {o.position}"
        elif o.role == "constant":
            label = planner.constants[o.position].name or f"constant {o.position}"
        elif o.position in rebound:
            label = f"new {rebound[o.position].name or 'value'}"
        else:
            label = outputs[o.position - len(rebound)]
        again = label
        for number in itertools.count(2):
            if again not in found:
                break
            again = f"{label} ({number})"
        found.append(again)
    return found


class _Filling:
    """Enters steps, kernels and memory of all programs into a report."""

    def __init__(
        self,
        report: Report,
        lines: _Lines,
        parts: list[Part],
        runner: Runner | SegmentedRunner,
        measurement: Measurement | None,
    ):
        self.report = report
        self.lines = lines
        self.parts = parts
        self.runner = runner
        self.measurement = measurement
        self.texts: dict[str, int] = {}  # kernels by source
        self.nodes: list[list[Apply]] = []  # of each step

    def run(self) -> None:
        last = self.runner if self.measurement is None else self.measurement.runner
        plain = None if self.measurement is None else self.measurement.plain
        bound = runners_of(last)
        together = runners_of(plain) if plain is not None else [None] * len(bound)
        for part in self.parts:
            if part.program is not None:
                one = bound[part.number]
                times = self._times(part.number, len(part.program.steps))
                _Part(self, part, one, together[part.number], times).run()
            for node in part.host:
                self._host(node, part.values)
        for kernel in self.report.kernels[:MOST_KERNELS]:
            kernel.machine = machine(kernel.source)
        self._book()
        self._summarise()

    def _times(self, number: int, steps: int) -> np.ndarray | None:
        times = None if self.measurement is None else self.measurement.times
        if times is None or len(times.steps[number]) < steps:
            return None
        return times.steps[number]

    @property
    def calls(self) -> int:
        times = None if self.measurement is None else self.measurement.times
        return 0 if times is None else times.calls

    def _host(self, node: Apply, values: dict[Variable, str]) -> None:
        times = None if self.measurement is None else self.measurement.times
        host = {} if times is None else times.host
        # the copy that was measured has nodes of its own, in the same order
        seconds = None
        if host:
            same = [s for n, s in host.items() if n.origin == node.origin and n.op == node.op]
            seconds = same[0] if same else None
        read, written = ([_value(v, values) for v in vs] for vs in (node.inputs, node.outputs))
        accesses = [Access(label, None, 0) for label in read]
        accesses += [Access(label, 0, None) for label in written]
        step = StepReport(
            len(self.report.steps), "Python", None,
            [f"{', '.join(written)} = {node.op}({', '.join(read)})"],
            "", self.lines.numbers(node.origin, ()), accesses, None, seconds, self.calls,
        )  # fmt: skip
        self.report.steps.append(step)
        self.nodes.append([node])

    def kernel(self, program: Program, number: int) -> KernelReport:
        """The report of a kernel; equal ones of several programs are one."""
        kernel = program.kernels[number]
        source = emit(kernel)
        known = self.texts.get(source)
        if known is None:
            known = self.texts[source] = len(self.report.kernels)
            loops = f"{_FORMS[kernel.form]}: {counted(kernel.kept, 'loop')}"
            if kernel.reduced:
                loops += f" and {kernel.reduced} that reduce{'' if kernel.reduced > 1 else 's'}"
            self.report.kernels.append(KernelReport(known, kernel.form, loops, source, [], [], []))
        return self.report.kernels[known]

    def _book(self) -> None:
        """Steps and times by line."""
        for step in self.report.steps:
            for number in step.lines:
                line = self.lines.found[number]
                line.steps.append(step.number)
                if step.seconds is not None:
                    line.seconds = (line.seconds or 0.0) + step.seconds / len(step.lines)

    def _summarise(self) -> None:
        report, facts = self.report, self.report.facts
        kinds = [step.kind for step in report.steps]
        said = [counted(len(kinds), "step")]
        products = kinds.count("gemm")
        if products:
            said.append(counted(products, "matrix product"))
        said.append(counted(len(report.kernels), "generated kernel"))
        if "Python" in kinds:
            said.append(f"{counted(kinds.count('Python'), 'op')} in Python")
        facts.summary.append(("program", ", ".join(said)))
        moved = [step.bytes for step in report.steps if step.kind != "Python"]
        known = [b for b in moved if b is not None]
        if len(known) == len(moved):
            facts.summary.append(("moves", f"{bytes_text(sum(known))} per call"))
        else:
            facts.notes.append(
                "Sizes are not known before the first call; f.explain(arguments...) shows them, "
                "with times."
            )
        if report.measured:
            self._say_times()

    def _say_times(self) -> None:
        report, facts = self.report, self.report.facts
        call = None if self.measurement is None else self.measurement.call
        steps = time_text(report.total)
        if call is not None:
            said = f"{time_text(call)} per call; {steps} in its steps, each measured apart"
            facts.notes.append(
                f"Times are those of the fastest quarter of {self.calls} calls of a private copy, "
                "so shared variables keep their values."
            )
        else:
            said = (
                f"{steps} in the steps of a call, by its profile of {counted(self.calls, 'call')}"
            )
        facts.summary.append(("time", said))
        if any(step.paired for step in report.steps):
            facts.notes.append(
                "Joined steps: a thread goes on with a slab while it is in its cache. To be "
                "measured the steps are parted, so in sum they may take longer than a call."
            )


class _Part:
    """Steps and memory of one program."""

    def __init__(
        self,
        filling: _Filling,
        part: Part,
        runner: Runner | None,
        plain: Runner | None,
        times: np.ndarray | None,
    ):
        assert part.program is not None and part.planner is not None
        self.filling = filling
        self.report = filling.report
        self.lines = filling.lines
        self.part = part
        self.program = part.program
        self.planner = part.planner
        self.flow = part.planner.flow
        self.fusion = part.planner.fusion
        self.storage = part.planner.memory.storage
        self.times = times
        self.frame = last_frame(runner)
        self.runner = runner
        values = None
        if runner is not None and self.frame is not None:
            numbers = self.frame.register_values
            register_of = runner.linked.register_of
            values = {k: int(numbers[register_of[k]]) for k in range(len(register_of))}
        self.sizes = Sizes(self.program, part.labels, values)
        alone = last_frame(plain)
        self.paired: set[int] = set()
        if alone is not None:
            rows = set(alone.steps[:, layout.STEP_INDEX].tolist())
            self.paired = set(range(len(self.program.steps))) - rows

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
        self.report.memory.append(self._memory())

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

    def _traffic(self, step: Step) -> Traffic:
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
        self.filling.nodes.append(nodes)
        moved = self._traffic(step)
        arrays = [
            Access(self.label(s), moved.reads.get(s, 0), moved.writes.get(s, 0))
            for s in dict.fromkeys([*moved.reads, *moved.writes])
        ]
        kernel: KernelReport | None = None
        if isinstance(step, KernelStep):
            kernel = self.filling.kernel(self.program, step.kernel)
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
        self.report.steps.append(
            StepReport(
                own, kind, None if kernel is None else kernel.number, results, shape, lines,
                arrays, moved.operations, seconds, self.filling.calls, number in self.paired,
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

    # ---- memory

    def _memory(self) -> MemoryPlan:
        program, first = self.program, self.part.first
        offsets = self._offsets()
        holds: dict[int, list[str]] = {}
        written: dict[int, list[int]] = {}
        in_place: dict[int, list[int]] = {}
        for number, step in enumerate(program.steps):
            report = self.report.steps[first + number]
            reads, writes = accesses(step, program.kernels)
            moved = self._traffic(step)
            for storage in dict.fromkeys(writes):
                if storage[0] != "buffer":
                    continue
                k = storage[1]
                written.setdefault(k, []).append(first + number)
                if storage in reads or storage in moved.reads:
                    in_place.setdefault(k, []).append(first + number)
                for text in report.results:
                    left, sign, right = text.partition(" = ")
                    if not sign:
                        left, sign, right = text.partition(" += ")
                        right = f"+ {right}"
                    if f"buf{k}" in (target.partition("[")[0] for target in left.split(", ")):
                        holds.setdefault(k, []).append(right)
        buffers = []
        for k, b in enumerate(program.buffers):
            count = self.sizes.number(b.size)
            size = None if count is None else count * np.dtype(b.dtype).itemsize
            buffers.append(
                BufferReport(
                    k, b.dtype, holds.get(k, []), self.sizes.text(b.size), size, offsets.get(k),
                    first + b.first, first + b.last, written.get(k, []), in_place.get(k, []),
                )
            )  # fmt: skip
        rounded = [None if b.bytes is None else -(-b.bytes // ALIGN) * ALIGN for b in buffers]
        known = [r for r in rounded if r is not None]
        values = Counter(number for kind, number in self.storage.values() if kind == "buffer")
        apart = None
        if len(known) == len(rounded):
            apart = sum(size * max(values[k], 1) for k, size in enumerate(known))
        arena = scratch = None
        if self.frame is not None:
            ends = [offsets[k] + r for k, r in enumerate(rounded) if r is not None and k in offsets]
            arena = max(ends, default=0)
            scratch = self.frame.arena_bytes - arena
        steps = range(first, first + len(program.steps))
        return MemoryPlan(steps, buffers, self._updated(), arena, apart, scratch)

    def _offsets(self) -> dict[int, int]:
        """Where the buffers lie in the arena of the last call, in bytes."""
        if self.frame is None:
            return {}
        linked = self.frame.linked
        if not len(linked.pointer_words):
            return {}
        addresses = self.frame.args[linked.pointer_words] - linked.pointer_offsets
        start = int(addresses.min())  # the first buffer begins the arena
        return {int(k): int(a) - start for k, a in zip(linked.pointer_buffers, addresses)}

    def _updated(self) -> list[SharedReport]:
        """What becomes of the shared variables that the program updates."""
        found = []
        rebound = {position for position, _ in self.program.rebinds}
        for k, o in enumerate(self.program.objects):
            if o.role != "shared":
                continue
            label = self.part.labels[k]
            steps = [
                (self.part.first + n, s)
                for n, s in enumerate(self.program.steps)
                if ("object", k) in accesses(s, self.program.kernels)[1]
            ]
            if o.position in rebound:
                found.append(
                    SharedReport(label, "takes the new array of each call as its own", None)
                )
            elif steps:
                number, step = steps[-1]
                reads = self._traffic(step).reads
                copy = self._is_copy(number)
                if copy:
                    how = "computed in the arena and copied when everything has succeeded"
                elif ("object", k) in reads:
                    how = "updated in place"
                else:
                    how = "overwritten in place"
                found.append(SharedReport(label, how, number))
        return found

    def _is_copy(self, number: int) -> bool:
        step = self.planner_step(number - self.part.first)
        return isinstance(step, LoopStep) and step.copy_of is not None

    def planner_step(self, number: int) -> FusedStep:
        """The fused step behind a step of the program."""
        fused = iter(self.planner.memory.steps)
        current = next(fused)
        for step in self.program.steps[:number]:
            if not (isinstance(step, KernelStep) and step.blocks is not None):
                current = next(fused)
        return current


def _also(names: dict[Variable, str], named: Named) -> Named:
    """`named`, with further names."""
    return lambda variable: names.get(variable) or named(variable)


# ---- the head


def _facts(signature: Signature, mode: Mode, name: str | None, labels: list[str]) -> Facts:
    inputs = [
        f"{i.name or f'input {k}'}: {typed(i.variable.type)}"
        for k, i in enumerate(signature.inputs)
    ]
    outputs = [f"{k}: {typed(v.type)}" for k, v in zip(labels, signature.outputs)]
    targets = [s for s, _ in signature.updates]
    shared = [f"{s.name or 'a shared variable'}: {typed(s.type)}" for s in targets]
    summary = [("updates", ", ".join(shared) or "nothing")]
    if mode.backend != "compiled":
        said = f"{mode.backend}: nodes run one by one in NumPy, nothing is compiled"
        summary.append(("mode", said))
    return Facts(name or "function", mode.backend, inputs, outputs, shared, summary, [])
