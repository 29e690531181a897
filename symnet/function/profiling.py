"""Where the time of a compiled function goes: by step, kernel and the user's line."""

from symnet.backends.cpu.emit import emit
from symnet.backends.cpu.runner import Runner
from symnet.schedule.program import KernelStep, MatmulStep


class Profile:
    """Times of every step since the function was made (or `reset`).

    `str(profile)` is a table: share, microseconds per call, calls, step, user's line.
    """

    def __init__(self, runner: Runner, name: str | None):
        self._runner = runner
        self._name = name

    def reset(self) -> None:
        self._runner.profile[:] = 0  # type: ignore[index]

    def rows(self) -> list[tuple[float, int, str, str]]:
        """(seconds, calls, what the step is, the user's line) per step, in program order."""
        runner = self._runner
        found = []
        for number, step in enumerate(runner.program.steps):
            nanoseconds, calls = runner.profile[number].tolist()  # type: ignore[index]
            if isinstance(step, KernelStep):
                kernel = runner.program.kernels[step.kernel]
                what = f"kernel {step.kernel} ({kernel.form})"
            else:
                what = "gemm" if isinstance(step, MatmulStep) else "permutation"
            name = runner.program.names[number]
            line = runner.origins[step.origin] if step.origin < len(runner.origins) else ""
            found.append((nanoseconds * 1e-9, calls, f"{what} -> {name}", str(line)))
        return found

    def source(self, kernel: int) -> str:
        """The generated text of a kernel of the table."""
        return emit(self._runner.program.kernels[kernel])

    def __str__(self) -> str:
        rows = self.rows()
        total = sum(seconds for seconds, *_ in rows) or 1.0
        lines = [f"profile of {self._name or 'function'}: {total * 1e6:.1f} us in steps"]
        lines.append(f"{'share':>6} {'us/call':>9} {'calls':>7}  {'step':40} line")
        for seconds, calls, what, line in sorted(rows, reverse=True):
            each = seconds / calls * 1e6 if calls else 0.0
            lines.append(f"{seconds / total:6.1%} {each:9.2f} {calls:7d}  {what:40.40} {line}")
        return "\n".join(lines)
