"""Where the time of a compiled function goes: by step, kernel and the user's line."""

from dataclasses import dataclass

from symnet.backends.choice import Executable, Runner, inspection
from symnet.backends.cpu.segments import SegmentedRunner
from symnet.function.explain.wording import counted
from symnet.schedule.program import KernelStep, MatmulStep, Step


@dataclass(frozen=True)
class Row:
    """A step of a function: time since the profile began, calls, what it does, the user's line."""

    seconds: float
    calls: int
    step: str
    line: str


class Profile:
    """Times of every step since the function was made (or `reset`).

    `str(profile)` is a table, the longest first: share, microseconds per call, calls, step, line.
    """

    def __init__(self, runner: Executable, name: str | None, device: str):
        self._segments = runner if isinstance(runner, SegmentedRunner) else None
        self._runners = [r for r in runner.runners if r is not None]
        self._name = name
        self._device = device

    def reset(self) -> None:
        """Begin anew."""
        for runner in self._runners:
            assert runner.profile is not None
            runner.profile[:] = 0
        if self._segments is not None:
            self._segments.host_times.clear()

    def rows(self) -> list[Row]:
        """The steps of the native programs in order, then the ops that ran in Python."""
        found = []
        for runner in self._runners:
            assert runner.profile is not None
            for number, step in enumerate(runner.program.steps):
                nanoseconds, calls = runner.profile[number].tolist()
                what = f"{_kind(runner, step)} -> {runner.program.names[number]}"
                known = step.origin < len(runner.origins)
                line = str(runner.origins[step.origin]) if known else ""
                found.append(Row(nanoseconds * 1e-9, calls, what, line))
        if self._segments is not None:
            for node, (nanoseconds, calls) in self._segments.host_times.items():
                what = f"Python -> {node.op}"
                found.append(Row(nanoseconds * 1e-9, calls, what, str(node.origin)))
        return found

    def source(self, kernel: int) -> str:
        """The generated text of a kernel of the table (of the first native program)."""
        runner = self._runners[0]
        first = next(
            k
            for k, step in enumerate(runner.program.steps)
            if isinstance(step, KernelStep) and step.kernel == kernel
        )
        found: str = inspection(self._device).code(runner, first).text
        return found

    def __str__(self) -> str:
        rows = self.rows()
        name = self._name or "function"
        calls = max((row.calls for row in rows), default=0)
        if not calls:
            return f"profile of {name}: {counted(len(rows), 'step')}, not called yet"
        total = sum(row.seconds for row in rows)
        lines = [
            f"profile of {name}: {total / calls * 1e6:.1f} µs per call, {counted(calls, 'call')}, "
            f"{counted(len(rows), 'step')}"
        ]
        lines.append(f"{'share':>6} {'µs/call':>9} {'calls':>7}  {'step':40} line")
        for row in sorted(rows, key=lambda row: -row.seconds):
            each = row.seconds / row.calls * 1e6 if row.calls else 0.0
            share = row.seconds / total if total else 0.0
            lines.append(f"{share:6.1%} {each:9.2f} {row.calls:7d}  {row.step:40.40} {row.line}")
        lines.append(f"what each step computes and moves: print({self._name or 'f'}.explain())")
        return "\n".join(lines)


def _kind(runner: Runner, step: Step) -> str:
    if isinstance(step, KernelStep):
        return f"kernel {step.kernel} ({runner.program.kernels[step.kernel].form})"
    return "gemm" if isinstance(step, MatmulStep) else "permutation"
