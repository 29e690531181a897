"""An explanation as a page of text."""

from collections.abc import Iterator, Sequence

from symnet.function.explain.parts import (
    Access,
    BufferReport,
    MemoryPlan,
    Report,
    StepReport,
    Use,
)
from symnet.function.explain.wording import bytes_text, counted, table, time_text, times_text

WIDTH = 100  # of the page
TREE = 400  # lines of a printed graph that are shown
USES = 3  # of a rule that are
MOST_OPERANDS = 4  # steps of a kernel whose arrays are named
BARS = 72  # columns of the memory plan


def lines_text(report: Report) -> list[str]:
    """The user's lines by file, each with what became of it."""
    found: list[str] = []
    for file, lines in report.files():
        rows = [["line", "", "nodes", "steps", *(["time", "share"] if report.measured else [])]]
        for line in lines:
            steps = numbers_text(line.steps)
            row = [str(line.origin.line), _clip(line.origin.text, 70), str(line.nodes or "")]
            row.append(_clip(steps, 18))
            if report.measured:
                row += [time_text(line.seconds), _share(line.seconds, report.total)]
            rows.append(row)
        found += [file, *table(rows, "r.r.rr"), ""]
    return found[:-1]


def phases_text(report: Report) -> list[str]:
    """The rules by phase, each with its first uses."""
    found: list[str] = []
    for phase in report.phases:
        before, after = phase.nodes
        count = sum(len(r.uses) for r in phase.rules)
        found.append(f"{phase.name}: {phase.why}")
        if count:
            found.append(f"  {counted(count, 'rewriting')}, {before} -> {after} nodes")
        else:
            found.append("  no rule applies")
        for rule in phase.rules:
            equation = f": {rule.equation}" if rule.equation else ""
            found += _wrapped(f"  {rule.rule}, {times_text(len(rule.uses))}{equation}", "      ")
            for use in rule.uses[:USES]:
                found += _use(use, report.origin_label(use.line))
            if len(rule.uses) > USES:
                found.append(f"      ... and {len(rule.uses) - USES} more")
        found.append("")
    return found[:-1]


def _use(use: Use, where: str) -> Iterator[str]:
    one = f"      {use.before}  ->  {use.after}"
    if len(one) + len(where) + 3 <= WIDTH + 10:
        yield f"{one}   [{where}]"
    else:
        yield f"      {use.before}"
        yield f"        ->  {use.after}   [{where}]"
    for text in use.legend:
        yield f"            {text}"


def steps_text(report: Report) -> list[str]:
    """The steps in the order in which they run, then the arrays each touches."""
    measured = report.measured
    head = [
        "step",
        "",
        *(["time", "share"] if measured else []),
        "moves",
        *(["speed"] if measured else []),
    ]
    rows = [[*head, "from"]]
    for step in report.steps:
        row = [str(step.number), step.what]
        if measured:
            row += [time_text(step.seconds), _share(step.seconds, report.total)]
        row.append(bytes_text(step.bytes))
        if measured:
            row.append(step.speed)
        row.append(report.line_labels(step.lines))
        rows.append(row)
    right = "r.rrrr." if measured else "r.r."
    found = table(rows, right)
    found.append("")
    for step in report.steps:
        found.append(f"step {step.number}: {step.what}{_over(step)}")
        found += [f"    {result}" for result in step.results]
        for kind in ("reads", "changes", "writes"):
            arrays = [a for a in step.accesses if a.kind == kind]
            if arrays:
                listed = ", ".join(f"{a.label}{_moved(a)}" for a in arrays)
                found += _wrapped(f"    {kind:8}{listed}", " " * 12)
        if step.launch:
            found += _wrapped(f"    {step.launch}", "      ")
        if step.paired:
            found.append(f"    joined to step {step.number - 1}, slab by slab")
    return found


def kernels_text(report: Report) -> list[str]:
    """The generated kernels with their source."""
    found: list[str] = []
    for kernel in report.kernels:
        steps = numbers_text(kernel.steps)
        found.append(f"kernel {kernel.number} ({kernel.form}), {kernel.loops}")
        where = report.line_labels(kernel.lines)
        found.append(f"  step{'s' if len(kernel.steps) > 1 else ''} {steps}; from {where}")
        for step, arrays in list(zip(kernel.steps, kernel.operands))[:MOST_OPERANDS]:
            told = f"in step {step} " if len(kernel.steps) > 1 else ""
            found += _wrapped(f"  {told}{operands_text(arrays)}", "    ")
        if kernel.machine is not None:
            found += _wrapped(f"  {kernel.machine}", "    ")
        found.append("")
        found += [f"    {text}".rstrip() for text in kernel.source.rstrip().splitlines()]
        found.append("")
    return found[:-1]


def operands_text(arrays: Sequence[str]) -> str:
    """`p0 = x, p1 = buf0`."""
    return ", ".join(f"p{k} = {label}" for k, label in enumerate(arrays))


def memories_text(plans: Sequence[MemoryPlan]) -> list[str]:
    """The memory of one native program after the other."""
    found: list[str] = []
    for plan in plans:
        found += [*([""] if found else []), *memory_text(plan)]
    return found


def scratch_text(plan: MemoryPlan) -> str:
    """What lies in the arena besides buffers while a step runs. Arguments and outputs lie in it
    (`besides`) on a device only, and what its steps need there belongs to no thread."""
    whose = "of rows that threads keep for themselves"
    if plan.besides:
        whose = "that steps need while they run"
    return f"{bytes_text(plan.scratch or 0)} {whose}"


def memory_text(plan: MemoryPlan) -> list[str]:
    """Buffers with their lifetimes as bars, and what becomes of shared variables."""
    found: list[str] = []
    if plan.buffers:
        saved = ""
        if plan.arena is not None and plan.apart:
            saved = f": {bytes_text(plan.arena)}, {bytes_text(plan.apart)} without reuse"
        besides = ", with arguments and outputs" if plan.besides else ""
        found.append(f"{counted(len(plan.buffers), 'buffer')} in one arena{besides}{saved}")
        scale, width = _axis(plan.steps)
        rows = [["buffer", "bytes", "at", scale, "holds"]]
        for b in plan.buffers:
            rows.append(
                [
                    f"buf{b.number}",
                    bytes_text(b.bytes) if b.bytes is not None else f"{b.dtype}·{b.size}",
                    "" if b.offset is None else str(b.offset),
                    _bar(b, plan.steps, width),
                    held_text(b),
                ]
            )
        found += table(rows, "rrr.")
        found.append("█ written, ▓ changed in place, ░ kept for a later step")
    else:
        found.append("no buffers: every value lies in an output or a shared variable")
    if plan.scratch:
        found.append(f"and {scratch_text(plan)}")
    for updated in plan.updated:
        step = "" if updated.step is None else f" in step {updated.step}"
        found.append(f"{updated.label}: {updated.how}{step}")
    return found


def _axis(steps: range) -> tuple[str, int]:
    """Numbers of the steps as a heading, and columns per step; 0: a column is several steps."""
    count = max(len(steps), 1)
    if count > BARS:
        return f"steps {steps.start} to {steps.stop - 1}".ljust(BARS), 0
    width = min(4, BARS // count)
    if width > len(str(steps.stop - 1)):
        return "".join(str(k).ljust(width) for k in steps), width
    return f"steps {steps.start} to {steps.stop - 1}".ljust(count * width), width


def _bar(b: BufferReport, steps: range, width: int) -> str:
    if width == 0:
        pieces = [steps[k * len(steps) // BARS : (k + 1) * len(steps) // BARS] for k in range(BARS)]
        return "".join(_mark(b, piece) for piece in pieces)
    marks = [_mark(b, steps[k : k + 1]) for k in range(len(steps))]
    return "".join(mark.ljust(width) if mark == "·" else mark * width for mark in marks)


def _mark(b: BufferReport, steps: range) -> str:
    """What becomes of a buffer in some steps: the most that happens to it."""
    if steps.stop <= b.first or b.last < steps.start:
        return "·"
    if any(step in steps for step in b.in_place):
        return "▓"
    return "█" if any(step in steps for step in b.written) else "░"


def numbers_text(numbers: Sequence[int], most: int = 24) -> str:
    """`1, 4 to 7, 9`; of very many the first."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    pieces: list[str] = []
    for first, last in runs:
        if last > first + 1:
            pieces.append(f"{first} to {last}")
        else:
            pieces += [str(k) for k in range(first, last + 1)]
    if len(pieces) > most:
        pieces[most:] = [f"... {len(numbers)} in all"]
    return ", ".join(pieces)


def held_text(b: BufferReport, most: int = 3) -> str:
    """What a buffer holds, one after the other."""
    texts = [_clip(text, 72) for text in b.holds[:most]]
    if len(b.holds) > most:
        texts.append(f"{len(b.holds) - most} more")
    return "; then ".join(texts)


def page_text(report: Report, sections: Sequence[tuple[str, str]]) -> str:
    """The whole page: the head, then sections with titles."""
    facts = report.facts
    found = [f"{facts.name}: {_plain_list(facts.inputs)} -> {_plain_list(facts.outputs)}"]
    found += [f"  {key}: {value}" for key, value in facts.summary]
    for number, (title, text) in enumerate(sections, 1):
        found += ["", "", f"{number}. {title}", "=" * (len(title) + len(str(number)) + 2), "", text]
    if facts.notes:
        found += ["", ""]
        for note in facts.notes:
            found += _wrapped(f"* {note}", "  ")
    return "\n".join(found) + "\n"


def clipped_tree(text: str) -> str:
    lines = text.rstrip("\n").splitlines()
    if len(lines) > TREE:
        lines[TREE:] = [f"... {len(lines) - TREE} more lines"]
    return "\n".join(lines)


def _plain_list(items: Sequence[str]) -> str:
    return ", ".join(items) if items else "nothing"


def _over(step: StepReport) -> str:
    if not step.shape:
        return ""
    return f" {step.shape}" if step.kind == "gemm" else f" over {step.shape}"


def _moved(access: Access) -> str:
    """The bytes in brackets, where they are known."""
    if access.reads is None or access.writes is None:
        return ""
    if access.reads and access.writes:
        if access.reads == access.writes:
            return f" ({bytes_text(access.reads)} each way)"
        return f" ({bytes_text(access.reads)} read, {bytes_text(access.writes)} written)"
    return f" ({bytes_text(access.reads + access.writes)})"


def _share(seconds: float | None, total: float) -> str:
    return "" if seconds is None or not total else f"{seconds / total:.1%}"


def _clip(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _wrapped(text: str, indent: str) -> list[str]:
    """Lines of at most `WIDTH`, broken at spaces; those after the first begin with `indent`."""
    found: list[str] = []
    start = text[: len(text) - len(text.lstrip())]
    current = ""
    for word in text.split():
        candidate = f"{current} {word}" if current else start + word
        if current and len(candidate) > WIDTH:
            found.append(current)
            candidate = indent + word
        current = candidate
    return [*found, current]
