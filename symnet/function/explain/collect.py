"""From a function's graph to its report: the compilation is done again, with a trace kept."""

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from symnet.backends.choice import Executable, Runner, back_end, inspection
from symnet.function.arguments import Signature
from symnet.function.explain.book import Book
from symnet.function.explain.lines import Lines
from symnet.function.explain.measure import Measurement
from symnet.function.explain.memory import Placement
from symnet.function.explain.parts import Facts, PhaseReport, Report, RuleUses, Use
from symnet.function.explain.planning import Part, output_labels, plan_again
from symnet.function.explain.steps import ProgramSteps
from symnet.function.explain.text import clipped_tree
from symnet.function.explain.wording import equation, typed
from symnet.function.modes import Mode
from symnet.graph.printing import debugprint
from symnet.graph.traversal import toposort
from symnet.graph.variables import Apply, Variable
from symnet.rewrite import Phase, optimise, tracing
from symnet.rewrite.phases import RULES_BY_PHASE

_WHY = {
    "simplify": "one spelling for equal things, and forms that neither overflow nor cancel",
    "specialise": "cheaper ops for special arguments; softmax and its kin taken apart",
    "halves": "products of halves become products of float32 between casts",
    "blas": "matrix products absorb what scales them and what they are added to",
    "expand": "only what the schedule cannot do without",
}
MOST_USES = 200  # of one rule that are written out


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
    runner: Executable | None,
    device: str,
    measurement: Measurement | None,
) -> tuple[Report, Drawing]:
    """The report of a function, and the graph to be drawn. Without `runner` there is nothing
    compiled: the report ends with the graph."""
    roots = [*signature.outputs, *(v for _, v in signature.updates)]
    nodes = toposort(roots, stop=set(signature.variables))
    lines = Lines(signature, nodes, roots)
    labels = output_labels(signature)
    known = itertools.chain(*([*node.inputs, *node.outputs] for node in nodes))
    names = {v.name for v in known if v.name}
    titles = [
        *labels,
        *(f"new {s.name or f'value {k}'}" for k, (s, _) in enumerate(signature.updates)),
    ]
    written = _tree(roots, titles)
    phases: list[Phase] = []
    rewritten = roots
    if runner is not None:
        with tracing() as phases:
            native = back_end(device).native_half_products
            rewritten, _ = optimise(roots, level=mode.rewrite, native_half_products=native)
    report = Report(
        facts=_facts(signature, mode, name, labels),
        words=inspection(device).WORDS,
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
        book = Book(report, lines, inspection(device), measurement)
        _fill(book, plan_again(signature, rewritten, mode, runner, labels), runner)
        drawing.groups += [
            (f"step {step.number}: {step.what}", nodes)
            for step, nodes in zip(report.steps, book.nodes)
        ]
    return report, drawing


def _fill(book: Book, parts: Sequence[Part], runner: Executable) -> None:
    """Enter all programs, with the sizes and times of the last or the measured calls."""
    measurement = book.measurement
    last = (runner if measurement is None else measurement.runner).runners
    plain: Sequence[Runner | None] = [None] * len(last)
    if measurement is not None and measurement.plain is not None:
        plain = measurement.plain.runners
    for part in parts:
        if part.program is not None:
            own = last[part.number]
            assert own is not None
            alone = plain[part.number]
            for fact in book.inspection.facts(alone or own):
                if fact not in book.report.facts.summary:  # of another program of the function
                    book.report.facts.summary.append(fact)
            steps = ProgramSteps(book, part, own, alone)
            steps.run()
            book.report.memory.append(Placement(steps).plan())
        for node in part.host:
            book.add_host(node, part.values)
    book.close()


def _tree(roots: Sequence[Variable], titles: Sequence[str]) -> str:
    """The printed graph, with the title of each root above it."""
    lines = str(debugprint(list(roots), "str")).splitlines()
    starts = [k for k, text in enumerate(lines) if text[:1] not in "├└│ [" or text[:2] == "[["]
    if len(starts) == len(roots) > 1:
        for start, title in reversed(list(zip(starts, titles))):
            lines.insert(start, f"{title}:")
    return clipped_tree("\n".join(lines))


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
