"""From a program to what binding needs: the shape program, and the text of every step.

Registers that only sizes decide are the same as long as a binding is used, and so are the argument
words made of them. Registers that values decide (the minibatch's number, say) are `moving`: words
made of them are read from device memory, where each call writes them first, so that the launches
of a binding, and a graph captured of them, stay as they are.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from symnet.backends.gpu import shuffle
from symnet.backends.gpu.emit import emit
from symnet.backends.gpu.source import Source, Words
from symnet.graph.dims import OPERATORS
from symnet.kernels import permutation
from symnet.schedule.program import (
    KernelStep,
    MatmulStep,
    Program,
    Ref,
    Reg,
    ShuffleStep,
    accesses,
)


@dataclass(frozen=True)
class LinkedStep:
    """A step with its text.

    source   None for a matrix product
    live     argument words that are read from device memory
    guarded  whether it does nothing once a check has failed
    checks   number of the step's first index check among those of the program
    """

    step: Any
    source: Source | None
    live: tuple[int, ...]
    guarded: bool
    checks: int


@dataclass
class Linked:
    """A program with its texts.

    keys    the registers that do not move, and those of the moving ones that decide about sizes:
            what a binding is made for
    checks  (origin, size) of each index check
    """

    program: Program
    keys: tuple[int, ...]
    steps: tuple[LinkedStep, ...]
    checks: tuple[tuple[int, Ref], ...]

    @property
    def sources(self) -> list[Source]:
        """The texts, each once."""
        return list(dict.fromkeys(s.source for s in self.steps if s.source is not None))


def link(program: Program) -> Linked:
    moving = moving_registers(program)
    shared = {("object", k) for k, o in enumerate(program.objects) if o.role == "shared"}
    can_fail = any(isinstance(s, KernelStep) and s.checks for s in program.steps)
    steps: list[LinkedStep] = []
    checks: list[tuple[int, Ref]] = []
    for step in program.steps:
        guarded = can_fail and not shared.isdisjoint(accesses(step, program.kernels)[1])
        live = tuple(k for k, r in _words(step, program) if _moves(r, moving))
        source: Source | None = None
        if isinstance(step, KernelStep):
            source = emit(program.kernels[step.kernel], live, guarded)
        elif isinstance(step, ShuffleStep):
            source = shuffle.source(live)
        steps.append(LinkedStep(step, source, live, guarded, len(checks)))
        if isinstance(step, KernelStep):
            checks += step.checks
    sized = {r.number for r in _sizes(program) if isinstance(r, Reg)}
    keys = tuple(k for k in range(len(program.registers)) if k not in moving or k in sized)
    return Linked(program, keys, tuple(steps), tuple(checks))


def moving_registers(program: Program) -> dict[int, None]:
    """The registers that values decide, in the order in which they are computed."""
    found: dict[int, None] = {}
    for number, (op, *args) in enumerate(program.registers):
        if op == "value" or any(_moves(a, found) for a in args):
            found[number] = None
    return found


def _words(step: Any, program: Program) -> list[tuple[int, Ref]]:
    """The words of a step that may move, with what decides."""
    if isinstance(step, KernelStep):
        kernel = program.kernels[step.kernel]
        found = [
            (k, offset)
            for k, ((_, offset), o) in enumerate(zip(step.operands, kernel.operands))
            if not o.per_thread
        ]
        first = Words(kernel).scalar
        found += [(first + k, v) for k, v in enumerate(step.scalars)]
        return [(k, r) for k, r in found if isinstance(r, Reg)]
    if isinstance(step, ShuffleStep):
        places = permutation.SEED, permutation.STREAM, permutation.STEP
        return [(k, v) for k, v in zip(places, step.words) if isinstance(v, Reg)]
    return []


def _moves(ref: Ref, moving: Container[int]) -> bool:
    return isinstance(ref, Reg) and ref.number in moving


def _sizes(program: Program) -> list[Ref]:
    """Refs that decide about memory, launches and words that do not move."""
    found: list[Ref] = [b.size for b in program.buffers]
    found += [size for output in program.outputs for size in output.shape]
    for step in program.steps:
        if isinstance(step, KernelStep):
            found += step.slots
            found += step.blocks or ()
            operands = program.kernels[step.kernel].operands
            found += [p[1] for p, o in zip(step.operands, operands) if o.per_thread]
        elif isinstance(step, MatmulStep):
            found += [step.m, step.n, step.k, step.batch]
            for matrix in (step.a, step.b, step.out):
                found += [matrix.row, matrix.column, matrix.batch]
        else:
            found += [step.n, step.out[1]]
            found += [w[1] for w in step.words if isinstance(w, tuple) and not isinstance(w, Reg)]
    return found


def registers(program: Program, shapes: Sequence[Sequence[int]], values: Any) -> list[int]:
    """Run the shape program.

    shapes  of each object
    values  function from an object's number to its value, an integer scalar
    """
    found: list[int] = []
    for op, *args in program.registers:
        if op == "dim":
            found.append(shapes[args[0]][args[1]])
        elif op == "value":
            found.append(int(values(args[0])))
        else:
            numbers = [found[a.number] if isinstance(a, Reg) else a for a in args]
            found.append(wrapped(int(OPERATORS[op](*numbers))))
    return found


def wrapped(number: int) -> int:
    """A number as int64 arithmetic leaves it."""
    return (number + 2**63) % 2**64 - 2**63
