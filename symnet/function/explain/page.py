"""The report as an HTML page: one file, no network, readable without JavaScript."""

import hashlib
import html
import re
from collections.abc import Iterable, Sequence

from symnet.function.explain.parts import (
    Access,
    BufferReport,
    KernelReport,
    Line,
    MemoryPlan,
    PhaseReport,
    Report,
    RuleUses,
    StepReport,
    Use,
)
from symnet.function.explain.style import CSS, JS, KINDS
from symnet.function.explain.text import (
    MOST_OPERANDS,
    held_text,
    numbers_text,
    operands_text,
    scratch_text,
)
from symnet.function.explain.wording import bytes_text, counted, time_text, times_text

MOST_STEPS = 1500  # that are listed
FEW_RULES = 3  # of a phase that are shown at once
SMALL_TREE = 30  # lines of a graph that are
MOST_BUFFERS = 200
_TOKENS = re.compile(
    r"(?P<w>\b(?:def|for|in|if|import|from|or|and|not|while|else|return|const|void|float|double"
    r"|auto|bool|int|long|unsigned|constexpr|extern)\b)"
    r"|(?P<d>\b\d+(?:\.\d+)?(?:e[+-]?\d+)?\b)|(?P<f>\b[a-z_]\w*(?=\())"
)
_KIND_WORDS = {
    "gemm": "matrix product",
    "map": "element by element",
    "rows": "reduces along rows",
    "columns": "reduces down columns",
    "blocks": "reduces everything, in blocks",
    "serial": "in order",
    "permutation": "random permutation",
    "Python": "op in Python",
}


def page(report: Report) -> str:
    """The whole document."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        f"<title>{_e(report.facts.name)}, explained</title>"
        "<style>body { margin:0; background:#ffffff; } @media (prefers-color-scheme: dark) "
        "{ body { background:#0f1419; } }</style></head>\n"
        f"<body>{fragment(report)}</body></html>\n"
    )


def fragment(report: Report) -> str:
    """The page without its frame, for notebooks: styles and names clash with nobody's."""
    return _Page(report).text()


def _e(text: object) -> str:
    return html.escape(str(text))


def _code(text: str) -> str:
    return f"<code>{_e(text)}</code>"


class _Page:
    """Writes the sections; ids of one page begin alike and are no other page's."""

    def __init__(self, report: Report):
        self.report = report
        known = repr((report.facts, report.lines, report.steps)).encode()
        self.id = f"sx-{hashlib.blake2b(known, digest_size=4).hexdigest()}"
        self.compiled = bool(report.steps) or report.facts.mode == "compiled"

    def text(self) -> str:
        sections = [("lines", "Lines", self._lines()), ("graph", "Graph", self._graph())]
        if self.compiled:
            sections += [
                ("rules", "Rules", self._rules()),
                ("program", "Program", self._program()),
                ("kernels", "Kernels", self._kernels()),
                ("memory", "Memory", self._memory()),
            ]
        links = "".join(f'<a href="#{self.id}-{key}">{name}</a>' for key, name, _ in sections)
        body = "".join(
            f'<section id="{self.id}-{key}">{text}</section>' for key, _, text in sections
        )
        script = JS.replace("ROOT", self.id)
        return (
            f"<style>{CSS}</style>\n"
            f'<div class="sx" id="{self.id}"><div class="sx-body">{self._head()}'
            f"<nav>{links}</nav>{body}{self._notes()}</div></div>\n"
            f"<script>//<![CDATA[\n{script}\n//]]></script>"
        )

    # ---- pieces

    def _chip(self, number: int) -> str:
        """A step, as a link."""
        kind = self.report.steps[number].kind
        return f'<a class="chip" style="{_kind(kind)}" href="#{self.id}-step-{number}">{number}</a>'

    def _chips(self, numbers: Sequence[int], most: int = 16) -> str:
        chips = "".join(self._chip(k) for k in numbers[:most])
        more = (
            f'<span class="soft">and {len(numbers) - most} more</span>'
            if len(numbers) > most
            else ""
        )
        return f'<span class="chips">{chips}{more}</span>'

    def _from(self, numbers: Sequence[int]) -> str:
        """Lines as links."""
        if not numbers:
            return ""
        label = self.report.line_label
        links = ", ".join(f'<a href="#{self.id}-line-{k}">{_e(label(k))}</a>' for k in numbers)
        several = "lines" if len(numbers) > 1 else "line"
        return f"from {'' if ':' in label(numbers[0]) else several + ' '}{links}"

    def _time(self, seconds: float | None, kind: str | None = None) -> str:
        """A time with its share of the total as a bar."""
        if seconds is None:
            return ""
        share = seconds / self.report.total if self.report.total else 0.0
        style = "" if kind is None else f' style="{_kind(kind)}"'
        return (
            f"{_e(time_text(seconds))} <small>{share:.1%}</small>"
            f'<span class="bar"{style}><i style="width:{share:.1%}"></i></span>'
        )

    # ---- the head

    def _head(self) -> str:
        facts = self.report.facts
        inputs, outputs = (", ".join(map(_code, items)) for items in (facts.inputs, facts.outputs))
        rows = [("arguments", inputs or "none"), ("outputs", outputs or "none")]
        if facts.shared:
            rows.append(("updates", ", ".join(map(_code, facts.shared))))
        rows += [(k, _e(v)) for k, v in facts.summary if k not in ("updates", "program")]
        told = "".join(f"<dt>{_e(k)}</dt><dd>{v}</dd>" for k, v in rows)
        return (
            f"<h1>{_e(facts.name)}<span class='soft'>, from your lines to machine code</span></h1>"
            f'<dl class="facts">{told}</dl>{self._flow()}'
        )

    def _flow(self) -> str:
        """The way of a program through the compiler, in numbers."""
        report = self.report
        uses = sum(len(rule.uses) for phase in report.phases for rule in phase.rules)
        stations = [
            ("lines", counted(len(report.lines), "line"), "of your program"),
            ("graph", counted(report.nodes, "node"), "of the graph they build"),
        ]
        if self.compiled:
            left = report.phases[-1].nodes[1] if report.phases else report.nodes
            kinds = [step.kind for step in report.steps]
            products = kinds.count("gemm")
            made = [counted(len(report.kernels), "generated kernel")] if report.kernels else []
            made += [counted(products, "matrix product")] if products else []
            stations += [
                (
                    "rules",
                    counted(uses, "rewriting"),
                    f"to {counted(left, 'node')}, equal in value",
                ),
                (
                    "program",
                    counted(len(report.steps), "step"),
                    " and ".join(made) or "nothing to do",
                ),
            ]
            if report.measured:
                stations.append(("program", time_text(report.total), "in these steps, per call"))
        items = "".join(
            f'<li><a href="#{self.id}-{key}"><b>{_e(big)}</b><small>{_e(small)}</small></a></li>'
            for key, big, small in stations
        )
        return f'<ol class="flow">{items}</ol>'

    # ---- lines

    def _lines(self) -> str:
        measured = self.report.measured
        found = ["<h2>Your lines</h2>"]
        lead = "Every line that built a part of the graph, with the steps it became."
        if measured:
            lead += " A step fused of several lines counts for each in equal parts."
        found.append(f'<p class="lead">{lead}</p>')
        for file, lines in self.report.files():
            time = "<th>time</th>" if measured else ""
            steps = "<th>steps</th>" if self.compiled else ""
            found.append(
                f'<h3><code>{_e(file)}</code></h3><table><tr><th class="n">line</th><th></th>'
                f'<th class="n">nodes</th>{steps}{time}</tr>'
            )
            found += [self._line(line) for line in lines]
            found.append("</table>")
        return "".join(found)

    def _line(self, line: Line) -> str:
        text = line.origin.text or ("(source not at hand)" if line.nodes else "")
        made = (
            ""
            if not line.makes or line.nodes
            else f'<span class="soft">  makes {_e(", ".join(line.makes))}</span>'
        )
        time = f'<td class="time">{self._time(line.seconds)}</td>' if self.report.measured else ""
        steps = f'<td class="steps">{self._chips(line.steps)}</td>' if self.compiled else ""
        return (
            f'<tr id="{self.id}-line-{line.number}" data-steps="{_joined(line.steps)}">'
            f'<td class="n soft">{line.origin.line}</td><td class="code">{_e(text)}{made}</td>'
            f'<td class="n">{line.nodes or ""}</td>{steps}{time}</tr>'
        )

    # ---- graph

    def _graph(self) -> str:
        report = self.report
        found = [
            "<h2>The graph</h2>",
            '<p class="lead">An expression is a graph: each node is an operation applied to those '
            "indented below it; <code>...</code> stands for a part that was shown before. In angle "
            "brackets: dtype and sizes, <code>?</code> where only a call tells.</p>",
            self._fold(f"as you wrote it: {counted(report.nodes, 'node')}", report.written),
        ]
        if report.rewritten:
            left = report.phases[-1].nodes[1] if report.phases else report.nodes
            found.append(
                self._fold(f"as it is compiled: {counted(left, 'node')}", report.rewritten)
            )
        return "".join(found)

    def _fold(self, title: str, text: str) -> str:
        small = " open=''" if text.count("\n") < SMALL_TREE else ""
        return (
            f'<details class="box"{small}><summary>{_e(title)}</summary><pre>{_e(text)}</pre>'
            "</details>"
        )

    # ---- rules

    def _rules(self) -> str:
        lead = (
            "Rules replace a part of the graph by an equal one that is cheaper or numerically "
            "safer. Letters stand for parts that both sides share."
        )
        found = [f'<h2>Rules that were applied</h2><p class="lead">{lead}</p>']
        found += [self._phase(phase) for phase in self.report.phases]
        return "".join(found)

    def _phase(self, phase: PhaseReport) -> str:
        count = sum(len(rule.uses) for rule in phase.rules)
        before, after = phase.nodes
        said = (
            f"{counted(count, 'rewriting')}, {before} → {after} nodes"
            if count
            else "no rule applies"
        )
        head = f"<b>{_e(phase.name)}</b> <span class='soft'>· {_e(phase.why)}</span>"
        if not count:
            return f'<div class="box">{head}<div class="soft">{said}</div></div>'
        rules = "".join(self._rule(rule) for rule in phase.rules)
        names = ", ".join(_e(rule.rule) for rule in phase.rules)
        few = " open=''" if len(phase.rules) <= FEW_RULES else ""
        return (
            f'<details class="box"{few}><summary>{head}<div class="soft inset">{said}: {names}'
            f"</div></summary>{rules}</details>"
        )

    def _rule(self, rule: RuleUses) -> str:
        equation = f" · {_e(rule.equation)}".replace("-&gt;", "→") if rule.equation else ""
        first, rest = rule.uses[:1], rule.uses[1:]
        more = ""
        if rest:
            uses = "".join(map(self._use, rest))
            said = counted(len(rest), "more use")
            more = f"<details><summary class='soft'>{said}</summary>{uses}</details>"
        return (
            f'<div class="rule"><span class="name">{_e(rule.rule)}</span> '
            f'<span class="soft">· {times_text(len(rule.uses))}{equation}</span>'
            f"{''.join(map(self._use, first))}{more}</div>"
        )

    def _use(self, use: Use) -> str:
        known = [line.number for line in self.report.lines if line.origin == use.line]
        legend = "".join(f"<br/>{_code(text)}" for text in use.legend)
        legend = f'<span class="soft">{legend}</span>' if legend else ""
        return (
            f'<div class="use"><div class="eq">{_code(use.before)}<span class="to">→</span>'
            f'{_code(use.after)}{legend}</div><div class="where">{self._from(known)}</div></div>'
        )

    # ---- program

    def _program(self) -> str:
        report = self.report
        lead = (
            f"The steps run one after the other, each on {_e(report.words.runs)}. "
            "<code>buf0</code>, <code>buf1</code> ... are buffers in the arena (see Memory). Bytes "
            "count each element a step reads once, and each it writes once."
        )
        found = [f'<h2>The program, step by step</h2><p class="lead">{lead}</p>']
        if report.measured and report.total:
            found.append(self._spent())
        kinds = [kind for kind in KINDS if any(step.kind == kind for step in report.steps)]
        legend = "".join(
            f'<span style="{_kind(kind)}">{kind}: {_KIND_WORDS[kind]}</span>' for kind in kinds
        )
        found.append(f'<div class="legend">{legend}</div>')
        found.append(f'<div class="{"steps" if report.measured else "steps unmeasured"}">')
        found += [self._step(step) for step in report.steps[:MOST_STEPS]]
        found.append("</div>")
        if len(report.steps) > MOST_STEPS:
            found.append(f"<p>and {len(report.steps) - MOST_STEPS} steps more</p>")
        return "".join(found)

    def _spent(self) -> str:
        """The time of a call as one bar."""
        pieces = []
        for step in self.report.steps:
            share = (step.seconds or 0.0) / self.report.total
            label = f"{step.number}" if share > 0.025 else ""
            if share > 0.12:
                label = f"step {step.number}: {time_text(step.seconds)}"
            title = f"step {step.number}: {'; '.join(step.results)}, {time_text(step.seconds)}"
            if share >= 0.0005:
                pieces.append(
                    f'<a style="{_kind(step.kind)};flex-grow:{share * 1000:.1f}" '
                    f'href="#{self.id}-step-{step.number}" title="{_e(title)}" '
                    f'data-steps="{step.number}">{_e(label)}</a>'
                )
        return f'<div class="spent">{"".join(pieces)}</div>'

    def _step(self, step: StepReport) -> str:
        results = "".join(map(_code, step.results))
        kernel = (
            f'<span class="tag" style="{_kind(step.kind)}">{_e(step.kind)}</span>'
            if step.kernel is None
            else f'<a href="#{self.id}-kernel-{step.kernel}">kernel {step.kernel}</a> '
            f'(<span class="tag" style="{_kind(step.kind)}">{_e(step.kind)}</span>)'
        )
        shape = f" {'' if step.kind == 'gemm' else 'over '}{_e(step.shape)}" if step.shape else ""
        together = f" · joined to step {step.number - 1}, slab by slab" if step.paired else ""
        arrays = " · ".join(
            f"{kind} {_arrays(found)}"
            for kind in ("reads", "changes", "writes")
            if (found := [a for a in step.accesses if a.kind == kind])
        )
        launch = f'<div class="meta">{_e(step.launch)}</div>' if step.launch else ""
        moves = [f"{bytes_text(step.bytes)} moved"] if step.bytes is not None else []
        moves += [step.speed] if step.speed else []
        return (
            f'<div class="step" id="{self.id}-step-{step.number}" data-steps="{step.number}">'
            f'<div><span class="chip" style="{_kind(step.kind)}">{step.number}</span></div>'
            f'<div><div class="eq">{results}</div>'
            f'<div class="meta">{kernel}{shape} · {self._from(step.lines)}{together}</div>'
            f'<div class="meta">{arrays}</div>{launch}</div>'
            f'<div class="amount">{self._time(step.seconds, step.kind)}'
            f'<small class="moves">{"".join(f"<span>{_e(m)}</span>" for m in moves)}</small>'
            "</div></div>"
        )

    # ---- kernels

    def _kernels(self) -> str:
        words = self.report.words
        part = re.sub("`(.*?)`", r"<code>\1</code>", _e(words.part))
        lead = (
            f"Loops that symnet wrote for this function, {_e(words.made)} "
            "<code>p0</code>, <code>p1</code> ... are the arrays, "
            "<code>s0</code>, <code>s1</code> ... sizes and strides, so the same code serves all "
            f"sizes; {part} Matrix products are not generated: {_e(words.products)}."
        )
        found = [f'<h2>The kernels</h2><p class="lead">{lead}</p>']
        if not self.report.kernels:
            found.append("<p>None: this program needs none.</p>")
        found += [self._kernel(kernel) for kernel in self.report.kernels]
        return "".join(found)

    def _kernel(self, kernel: KernelReport) -> str:
        said = [kernel.loops, self._from(kernel.lines)]
        simd = "" if kernel.machine is None else f" · {_e(kernel.machine.short)}"
        several = len(kernel.steps) > 1
        arrays = "".join(
            f"<br/>{f'in step {step}: ' if several else ''}{_code(operands_text(a))}"
            for step, a in list(zip(kernel.steps, kernel.operands))[:MOST_OPERANDS]
        )
        machine = "" if kernel.machine is None else f"<br/>{_e(kernel.machine)}"
        beside = ""
        if kernel.beside:
            beside = (
                '<details><summary class="soft">the same loops for the CPU</summary>'
                f'<pre class="source">{_highlighted(kernel.beside)}</pre></details>'
            )
        return (
            f'<details class="box" id="{self.id}-kernel-{kernel.number}" '
            f'data-steps="{_joined(kernel.steps)}"><summary>kernel {kernel.number} '
            f'(<span class="tag" style="{_kind(kernel.form)}">{kernel.form}</span>)'
            f'<span class="soft">{simd} · step{"s" if len(kernel.steps) > 1 else ""} '
            f"{_e(numbers_text(kernel.steps))}</span></summary>"
            f'<p class="soft">{_e(said[0])} · {said[1]}{machine}{arrays}</p>'
            f'<pre class="source">{_highlighted(kernel.source)}</pre>{beside}</details>'
        )

    # ---- memory

    def _memory(self) -> str:
        lead = (
            "Values between steps lie in buffers of one block of memory, the arena. A buffer is "
            "free again after its last reader, and a step writes over what it reads where that "
            "is safe."
        )
        found = [f'<h2>Memory</h2><p class="lead">{lead}</p>']
        several = len(self.report.memory) > 1
        for number, plan in enumerate(self.report.memory):
            title = f"<h3>native program {number}</h3>" if several else ""
            found.append(title + self._plan(plan))
        return "".join(found)

    def _plan(self, plan: MemoryPlan) -> str:
        found: list[str] = []
        if plan.buffers:
            said = counted(len(plan.buffers), "buffer")
            if plan.arena is not None:
                said += f", {bytes_text(plan.arena)} in all"
                said += ", arguments and outputs included" if plan.besides else ""
            if plan.apart is not None:
                said += f"; {bytes_text(plan.apart)} if every value had its own"
            if plan.scratch:
                said += f"; and {scratch_text(plan)}"
            found.append(f"<p>{_e(said)}.</p>")
            found.append(
                '<div class="legend"><div><i class="swatch w"></i>written</div>'
                '<div><i class="swatch c"></i>changed in place</div>'
                '<div><i class="swatch"></i>kept for a later step</div>'
                "<div>from left to right: the steps</div></div>"
            )
            found.append(self._gantt(plan))
            if plan.arena and len(plan.buffers) <= 60:
                found.append(self._arena(plan))
        else:
            found.append("<p>No buffers: every value lies in an output or a shared variable.</p>")
        if plan.updated:
            rows = "".join(
                f"<tr><td>{_code(u.label)}</td><td>{_e(u.how)}</td>"
                f"<td>{'' if u.step is None else self._chip(u.step)}</td></tr>"
                for u in plan.updated
            )
            found.append(
                "<h3>Shared variables</h3><table><tr><th>variable</th><th>its new value</th>"
                f"<th>step</th></tr>{rows}</table>"
            )
        return "".join(found)

    def _gantt(self, plan: MemoryPlan) -> str:
        count = max(len(plan.steps), 1)
        every = -(-count // 24)
        axis = "".join(
            f'<span style="left:{(k + 0.5) / count:.3%}">{step}</span>'
            for k, step in enumerate(plan.steps)
            if k % every == 0
        )
        found = [f'<div></div><div class="axis">{axis}</div>']
        for b in plan.buffers[:MOST_BUFFERS]:
            size = bytes_text(b.bytes) if b.bytes is not None else f"{b.size} {b.dtype}"
            marks = "".join(
                f'<i class="{kind}" style="left:{(first - plan.steps.start) / count:.3%};'
                f'width:{length / count:.3%}"></i>'
                for kind, first, length in _marks(b)
            )
            found.append(
                f'<div class="name"><code>buf{b.number}</code><small>{_e(size)}</small></div>'
                f'<div class="track" style="--cell:{1 / count:.4%}" '
                f'data-steps="{_joined(b.written)}" '
                f'title="steps {b.first} to {b.last}">{marks}</div>'
                f'<div class="holds">{_code(held_text(b))}</div>'
            )
        more = len(plan.buffers) - MOST_BUFFERS
        tail = f"<p>and {more} buffers more</p>" if more > 0 else ""
        return f'<div class="gantt">{"".join(found)}</div>{tail}'

    def _arena(self, plan: MemoryPlan) -> str:
        """Where in the arena the buffers lie, over the steps."""
        assert plan.arena
        count = max(len(plan.steps), 1)
        boxes = []
        for b in plan.buffers:
            if b.offset is None or b.bytes is None:
                continue
            height = b.bytes / plan.arena
            label = f"buf{b.number}" if height > 0.07 else ""
            boxes.append(
                f'<div style="left:{(b.first - plan.steps.start) / count:.3%};'
                f"width:{(b.last - b.first + 1) / count:.3%};bottom:{b.offset / plan.arena:.3%};"
                f'height:{height:.3%}" data-steps="{_joined(b.written)}" '
                f'title="buf{b.number}: {_e(bytes_text(b.bytes))} at {b.offset}">{label}</div>'
            )
        return (
            '<details class="box"><summary>The arena to scale: addresses upwards, steps to the '
            f'right</summary><div class="arena">{"".join(boxes)}</div></details>'
        )

    def _notes(self) -> str:
        notes = "".join(f"<li>{_e(note)}</li>" for note in self.report.facts.notes)
        return f'<h2>Notes</h2><ul class="notes">{notes}</ul>' if notes else ""


def _kind(kind: str) -> str:
    return f"--kind:var(--{kind.lower() if kind in KINDS else 'map'})"


def _joined(numbers: Iterable[int]) -> str:
    return " ".join(map(str, numbers))


def _arrays(found: Sequence[Access]) -> str:
    def size(access: Access) -> str:
        if access.reads is None or access.writes is None:
            return ""
        both = access.reads and access.writes
        return f" {bytes_text(max(access.reads, access.writes))}{' each way' if both else ''}"

    return ", ".join(f"{_code(a.label)}{size(a)}" for a in found)


def _marks(b: BufferReport) -> list[tuple[str, int, int]]:
    """Runs of steps in which the same happens to a buffer: class, first, length."""
    runs: list[tuple[str, int, int]] = []
    for step in range(b.first, b.last + 1):
        kind = "c" if step in b.in_place else "w" if step in b.written else "k"
        if runs and runs[-1][0] == kind == "k":
            runs[-1] = (kind, runs[-1][1], runs[-1][2] + 1)
        else:
            runs.append((kind, step, 1))
    return runs


def _highlighted(source: str) -> str:
    pieces: list[str] = []
    end = 0
    text = source.rstrip()
    for found in _TOKENS.finditer(text):
        pieces.append(_e(text[end : found.start()]))
        pieces.append(f'<span class="{found.lastgroup}">{_e(found[0])}</span>')
        end = found.end()
    return "".join([*pieces, _e(text[end:])])
