"""What became of a function: from the user's lines to machine code, as text and as a page.

collect   the compilation done again, with everything noted:
  planning  the programs, and what their arrays are called
  lines     the user's lines
  steps     the steps of a program in words
  traffic   bytes and operations of a step
  memory    buffers, lifetimes, what is in place
  measure   times of copies that touch nobody's values
  book      all of that in one report
parts     the report as data
text      the report as a page of text
page      the report as an HTML page, in `style`
wording   expressions, sizes and quantities in a few words
"""

from pathlib import Path

from symnet.backends.choice import Executable
from symnet.function.arguments import Signature
from symnet.function.explain.collect import collect
from symnet.function.explain.measure import Measurement
from symnet.function.explain.page import fragment, page
from symnet.function.explain.parts import (
    KernelReport,
    Line,
    Listing,
    MemoryPlan,
    PhaseReport,
    StepReport,
)
from symnet.function.explain.text import (
    kernels_text,
    lines_text,
    memories_text,
    page_text,
    phases_text,
    steps_text,
)
from symnet.function.modes import Mode
from symnet.graph.export import to_graphviz

__all__ = ["Explanation"]


class Explanation:
    """What a function does, where it comes from, and what it costs; see `Function.explain`.

    `str()` is the whole page as text. Its sections print alone, too, and hold the same as data:

    lines      the user's lines: nodes built, steps they are part of, time
    written    the graph as it was written (`debugprint`); `rewritten` the one that was compiled
    rules      the phases of rewriting and the rules they applied, with both sides
    steps      the program in order: equations over arrays, time, bytes moved, speed
    kernels    the generated kernels: source, lines, what the compiler made of them
    memory     one plan for each native program (one, mostly): buffers, lifetimes, what is in place

    Steps fused of several lines count for each of these in equal parts. Bytes are counted once for
    each element that a step reads and once for each that it writes.
    """

    def __init__(
        self,
        signature: Signature,
        mode: Mode,
        name: str | None,
        runner: Executable | None,
        measurement: Measurement | None,
        device: str,
    ):
        report, self._drawing = collect(signature, mode, name, runner, device, measurement)
        self._report = report
        self._compiled = runner is not None
        self.name = report.facts.name
        self.written = report.written
        self.rewritten = report.rewritten
        self.lines: Listing[Line] = Listing(report.lines, lambda: lines_text(report))
        self.rules: Listing[PhaseReport] = Listing(report.phases, lambda: phases_text(report))
        self.steps: Listing[StepReport] = Listing(report.steps, lambda: steps_text(report))
        self.kernels: Listing[KernelReport] = Listing(report.kernels, lambda: kernels_text(report))
        self.memory: Listing[MemoryPlan] = Listing(
            report.memory, lambda: memories_text(report.memory)
        )

    def __str__(self) -> str:
        sections = [("Your lines", str(self.lines)), ("The graph as you wrote it", self.written)]
        if self._compiled:
            sections += [
                ("Rules that were applied", str(self.rules)),
                ("The graph that is compiled", self.rewritten),
                ("The program, step by step", str(self.steps)),
                ("The kernels", str(self.kernels) or "none: all steps are matrix products"),
                ("Memory", str(self.memory)),
            ]
        return page_text(self._report, sections)

    def __repr__(self) -> str:
        return f"<explanation of {self.name}: print it, or .html('page.html')>"

    def html(self, path: str | Path | None = None) -> str:
        """The page as HTML: one file that needs no network. Written to `path`, if there is one."""
        text = page(self._report)
        if path is not None:
            Path(path).write_text(text, "utf-8")
        return text

    def dot(self) -> str:
        """The compiled graph in the language of Graphviz, a frame around what a step computes.

        `symnet.to_graphviz(f)` is the graph as it was written.
        """
        drawing = self._drawing
        return to_graphviz(drawing.roots, titles=drawing.titles, groups=drawing.groups)

    def _repr_html_(self) -> str:
        """For notebooks."""
        return fragment(self._report)
