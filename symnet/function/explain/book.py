"""Steps, kernels and times of all programs of a function, entered into its report."""

from typing import Any

import numpy as np

from symnet.backends.inspection import Code
from symnet.function.explain.lines import Lines
from symnet.function.explain.measure import Measurement
from symnet.function.explain.parts import Access, KernelReport, Report, StepReport
from symnet.function.explain.planning import value_name
from symnet.function.explain.wording import bytes_text, counted, time_text
from symnet.graph.variables import Apply, Variable
from symnet.schedule.kernel import Kernel

_FORMS = {
    "map": "element by element",
    "rows": "row by row, reducing along the row",
    "columns": "column by column, reducing down the column",
    "blocks": "a reduction of everything, in blocks",
    "serial": "in order, because places may be written twice",
}
MOST_KERNELS = 64  # whose machine code is looked at


class Book:
    """Takes what is found out about the programs of a function, one after the other.

    nodes       the nodes of the graph that each step computes
    inspection  what the back end tells of its programs
    """

    def __init__(
        self, report: Report, lines: Lines, inspection: Any, measurement: Measurement | None
    ):
        self.report = report
        self.lines = lines
        self.inspection = inspection
        self.measurement = measurement
        self.nodes: list[list[Apply]] = []
        self._kernel_of: dict[str, int] = {}  # by text
        self._codes: list[Code] = []
        self._host_times = []
        if measurement is not None and measurement.times is not None:
            self._host_times = list(measurement.times.host.items())

    def times(self, number: int, steps: int) -> np.ndarray | None:
        """Seconds of the steps of a native program, if they were measured."""
        times = None if self.measurement is None else self.measurement.times
        if times is None or len(times.steps[number]) < steps:
            return None
        return times.steps[number]

    @property
    def calls(self) -> int:
        times = None if self.measurement is None else self.measurement.times
        return 0 if times is None else times.calls

    def add_host(self, node: Apply, values: dict[Variable, str]) -> None:
        """A node that runs in Python is a step, too."""
        # the copy that was measured has nodes of its own, in the same order
        same = (
            k
            for k, (n, _) in enumerate(self._host_times)
            if (n.origin, n.op) == (node.origin, node.op)
        )
        place = next(same, None)
        seconds = None if place is None else self._host_times.pop(place)[1]
        read, written = ([value_name(v, values) for v in vs] for vs in (node.inputs, node.outputs))
        accesses = [Access(label, None, 0) for label in read]
        accesses += [Access(label, 0, None) for label in written]
        step = StepReport(
            len(self.report.steps), "Python", None,
            [f"{', '.join(written)} = {node.op}({', '.join(read)})"],
            "", self.lines.numbers(node.origin, ()), accesses, None, seconds, self.calls,
        )  # fmt: skip
        self.report.steps.append(step)
        self.nodes.append([node])

    def kernel(self, kernel: Kernel, code: Code) -> KernelReport:
        """The report of a kernel; those with equal texts, in several programs too, are one."""
        known = self._kernel_of.get(code.text)
        if known is None:
            known = self._kernel_of[code.text] = len(self.report.kernels)
            self._codes.append(code)
            loops = f"{_FORMS[kernel.form]}: {counted(kernel.kept, 'loop')}"
            if kernel.reduced:
                loops += f" and {kernel.reduced} that reduce{'' if kernel.reduced > 1 else 's'}"
            self.report.kernels.append(
                KernelReport(
                    known, kernel.form, loops, code.language, code.text, code.beside, [], [], []
                )
            )
        return self.report.kernels[known]

    def close(self) -> None:
        """Book steps and times by line, and sum up."""
        for kernel, code in list(zip(self.report.kernels, self._codes))[:MOST_KERNELS]:
            kernel.machine = code.look()
        for step in self.report.steps:
            for number in step.lines:
                line = self.lines.found[number]
                line.steps.append(step.number)
                if step.seconds is not None:
                    line.seconds = (line.seconds or 0.0) + step.seconds / len(step.lines)
        self._summarise()

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
