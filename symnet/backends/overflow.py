"""Sizes that int64 does not hold."""

from collections.abc import Callable, Iterator

from symnet.errors import ShapeError
from symnet.graph.dims import OPERATORS
from symnet.schedule.program import KernelStep, MatmulStep, Program, Ref, Reg


def check_fit(program: Program, number: Callable[[Ref], int]) -> None:
    """Whether all sizes of a program are what they were computed to be, as `number` tells them.

    The shape program computes as int64 does, which wraps around. Errors: ShapeError.
    """
    pending = [r.number for r in _sizes(program) if isinstance(r, Reg)]
    seen: set[int] = set()
    while pending:
        register = pending.pop()
        if register in seen:
            continue
        seen.add(register)
        op, *args = program.registers[register]
        # what lies behind other operations is arithmetic of the user's own, which may wrap around
        if op in ("add", "sub", "mul"):
            pending += [a.number for a in args if isinstance(a, Reg)]
            numbers = [number(a) if isinstance(a, Reg) else a for a in args]
            if not -(2**63) <= OPERATORS[op](*numbers) < 2**63:
                sign = {"add": "+", "sub": "-", "mul": "*"}[op]
                raise ShapeError(
                    f"a size does not fit into 64 bits: {f' {sign} '.join(map(str, numbers))}"
                )


def _sizes(program: Program) -> Iterator[Ref]:
    for buffer in program.buffers:
        yield buffer.size
    for output in program.outputs:
        yield from output.shape
    for step in program.steps:
        if isinstance(step, KernelStep):
            yield from step.slots
        elif isinstance(step, MatmulStep):
            yield from (step.m, step.n, step.k, step.batch)
        else:
            yield step.n
