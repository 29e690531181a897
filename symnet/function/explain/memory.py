"""Where the values of a program lie, and for how long."""

from collections import Counter

from symnet.backends.arena import rounded
from symnet.backends.words import itemsize
from symnet.function.explain.parts import BufferReport, MemoryPlan, SharedReport
from symnet.function.explain.steps import ProgramSteps
from symnet.schedule.program import KernelStep, accesses
from symnet.schedule.steps import FusedStep, LoopStep


class Placement:
    """The memory of a program whose steps have been entered."""

    def __init__(self, steps: ProgramSteps):
        self.steps = steps
        self.part = steps.part
        self.program = steps.program
        self.planner = steps.planner
        self.binding = steps.binding

    def plan(self) -> MemoryPlan:
        """Buffers with sizes, places and lifetimes, and what becomes of shared variables."""
        program, first, sizes = self.program, self.part.first, self.steps.sizes
        offsets = {} if self.binding is None else self.binding.offsets
        holds: dict[int, list[str]] = {}
        written: dict[int, list[int]] = {}
        in_place: dict[int, list[int]] = {}
        for number, step in enumerate(program.steps):
            report = self.steps.report.steps[first + number]
            reads, writes = accesses(step, program.kernels)
            moved = self.steps.traffic(step)
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
            count = sizes.number(b.size)
            size = None if count is None else count * itemsize(b.dtype)
            buffers.append(
                BufferReport(
                    k, b.dtype, holds.get(k, []), sizes.text(b.size), size, offsets.get(k),
                    first + b.first, first + b.last, written.get(k, []), in_place.get(k, []),
                )
            )  # fmt: skip
        align = self.steps.inspection.ALIGN
        known = [rounded(b.bytes, align) for b in buffers if b.bytes is not None]
        values = Counter(number for kind, number in self.steps.storage.values() if kind == "buffer")
        apart = None
        if len(known) == len(buffers):
            apart = sum(size * max(values[k], 1) for k, size in enumerate(known))
        arena = scratch = None
        besides = 0
        if self.binding is not None:
            arena, scratch = self.binding.arena, self.binding.scratch
            besides = self.binding.besides
            apart = None if apart is None else apart + besides
        steps = range(first, first + len(program.steps))
        return MemoryPlan(steps, buffers, self._updated(), arena, apart, scratch, besides)

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
                reads = self.steps.traffic(step).reads
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
        step = self._fused(number - self.part.first)
        return isinstance(step, LoopStep) and step.copy_of is not None

    def _fused(self, number: int) -> FusedStep:
        """The fused step behind a step of the program."""
        fused = iter(self.planner.memory.steps)
        current = next(fused)
        for step in self.program.steps[:number]:
            if not (isinstance(step, KernelStep) and step.blocks is not None):
                current = next(fused)
        return current
