"""An explanation as data."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from symnet.backends.inspection import Machine, Words
from symnet.function.explain.wording import (
    file_text,
    place,
    rate_text,
)
from symnet.graph.origin import Origin

TINY = 4096  # bytes, of which the speed says nothing


# ---- what there is to say (compared by identity: that makes a quarter less to import)


@dataclass(eq=False)
class Line:
    """A line of the user's program.

    nodes    how many nodes of the graph it built
    makes    inputs and shared variables that it made
    steps    steps that compute something of it
    seconds  its part of the measured time: a step fused of several lines counts in equal parts
    """

    number: int
    origin: Origin
    nodes: int = 0
    makes: list[str] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    seconds: float | None = None

    @property
    def where(self) -> str:
        return place(self.origin)


@dataclass(eq=False)
class Use:
    """One application of a rule: the line, both sides, and what letters in them stand for."""

    line: Origin
    before: str
    after: str
    legend: list[str]


@dataclass(eq=False)
class RuleUses:
    """A rule, its equation in words if its name does not say it, and where it was applied."""

    rule: str
    equation: str
    uses: list[Use]


@dataclass(eq=False)
class PhaseReport:
    """A phase of rewriting: nodes before and after, and rules in the order of their first use."""

    name: str
    why: str
    nodes: tuple[int, int]
    rules: list[RuleUses]


@dataclass(eq=False)
class Access:
    """An array that a step reads, writes, or (in place) both; bytes moved, None if not known."""

    label: str
    reads: int | None = 0
    writes: int | None = 0

    @property
    def kind(self) -> str:
        if self.reads == 0:
            return "writes"
        return "reads" if self.writes == 0 else "changes"


@dataclass(eq=False)
class StepReport:
    """A step of the program.

    kind        "gemm", "permutation", "Python", or the form of a kernel
    kernel      which, or None
    results     what it computes, as equations over arrays
    shape       sizes of its loops or of its matrix product
    lines       numbers of the lines it comes from, the one it is booked under first
    seconds     measured per call; None if not measured
    operations  multiplications, additions, functions; None if sizes are not known
    paired      a thread runs its slabs right after its slabs of the step before (but not while
                steps are measured)
    launch      on a device: how it was launched last; else empty
    """

    number: int
    kind: str
    kernel: int | None
    results: list[str]
    shape: str
    lines: list[int]
    accesses: list[Access]
    operations: int | None = None
    seconds: float | None = None
    calls: int = 0
    paired: bool = False
    launch: str = ""

    @property
    def bytes(self) -> int | None:
        found = 0
        for access in self.accesses:
            if access.reads is None or access.writes is None:
                return None
            found += access.reads + access.writes
        return found

    @property
    def what(self) -> str:
        return self.kind if self.kernel is None else f"kernel {self.kernel} ({self.kind})"

    @property
    def speed(self) -> str:
        """Bytes or (for products) operations per second; nothing for what is over at once."""
        if not self.seconds or (self.bytes or 0) < TINY:
            return ""
        if self.kind == "gemm":
            rate = self.operations
            return "" if rate is None else rate_text(rate / self.seconds, "FLOP/s")
        rate = self.bytes
        return "" if rate is None else rate_text(rate / self.seconds, "B/s")


@dataclass(eq=False)
class KernelReport:
    """A generated kernel: its loops, the text that is compiled, the lines and steps it serves.

    language  of the text: the back end's
    beside    of a device's text: the same loops as the CPU would run them
    operands  for each step the arrays behind p0, p1, ...
    machine   what the compiler made of the text
    """

    number: int
    form: str
    loops: str
    language: str
    source: str
    beside: str
    lines: list[int]
    steps: list[int]
    operands: list[list[str]]
    machine: Machine | None = None


@dataclass(eq=False)
class BufferReport:
    """A piece of the arena.

    holds     what is stored in it, one after the other
    size      its number of elements as a formula; `bytes` for the sizes of the last call
    first, last   steps between which it is in use
    offset    its place in the arena, in bytes
    written   steps that write it, and of those the ones that read it too (`in_place`)
    """

    number: int
    dtype: str
    holds: list[str]
    size: str
    bytes: int | None
    offset: int | None
    first: int
    last: int
    written: list[int] = field(default_factory=list)
    in_place: list[int] = field(default_factory=list)


@dataclass(eq=False)
class SharedReport:
    """A shared variable that the function updates, and how: "in place", "copied at the end", ..."""

    label: str
    how: str
    step: int | None


@dataclass(eq=False)
class MemoryPlan:
    """The arena of one native program. `arena` and `apart` are bytes: with and without reuse.

    besides  bytes in it of arguments and outputs, which on a device lie there too
    """

    steps: range
    buffers: list[BufferReport]
    updated: list[SharedReport]
    arena: int | None
    apart: int | None
    scratch: int | None = None
    besides: int = 0


Item = TypeVar("Item")


class Listing(list[Item]):
    """A list that prints as a part of the page."""

    def __init__(self, items: Sequence[Item], written: Callable[[], list[str]]):
        super().__init__(items)
        self._written = written

    def __str__(self) -> str:
        return "\n".join(self._written())

    __hash__ = None  # type: ignore[assignment]


@dataclass(eq=False)
class Facts:
    """The head of the page: names, arguments, how long a call takes, how much it moves."""

    name: str
    mode: str
    inputs: list[str]
    outputs: list[str]
    shared: list[str]
    summary: list[tuple[str, str]]
    notes: list[str]


@dataclass(eq=False)
class Report:
    """Everything that an explanation says, before it is put into a form."""

    facts: Facts
    words: Words
    lines: list[Line]
    written: str
    rewritten: str
    phases: list[PhaseReport]
    kernels: list[KernelReport]
    steps: list[StepReport]
    memory: list[MemoryPlan]
    nodes: int

    def files(self) -> list[tuple[str, list[Line]]]:
        """The lines by the file they are in."""
        found: dict[str, list[Line]] = {}
        for line in sorted(self.lines, key=lambda line: line.origin):
            found.setdefault(file_text(line.origin.file), []).append(line)
        return list(found.items())

    def line_label(self, number: int) -> str:
        """A line by its number, and its file where there are several."""
        origin = self.lines[number].origin
        files = {line.origin.file for line in self.lines}
        names = {os.path.basename(file) for file in files}
        if len(files) == 1:
            return str(origin.line)
        return (
            f"{os.path.basename(origin.file)}:{origin.line}"
            if len(names) == len(files)
            else place(origin)
        )

    def line_labels(self, numbers: Sequence[int]) -> str:
        """`line 7`, `lines 7, 9`, `a.py:7, b.py:9`."""
        labels = [self.line_label(k) for k in numbers]
        if not labels:
            return ""
        kind = "" if ":" in "".join(labels) else "line " if len(labels) == 1 else "lines "
        return kind + ", ".join(labels)

    def origin_label(self, origin: Origin) -> str:
        known = [line.number for line in self.lines if line.origin == origin]
        return self.line_labels(known) if known else place(origin)

    @property
    def measured(self) -> bool:
        return any(step.seconds is not None for step in self.steps)

    @property
    def total(self) -> float:
        return sum(step.seconds or 0.0 for step in self.steps)
