"""The program IR: a flat list of steps over storages, with the sizes they need as registers.

Grammar::

    Program  = objects, registers, checks, buffers, steps, outputs
    Object   = an array that exists outside: input, shared, constant, output
    Register = an int64 that the shape program computes before each call: (op, operands)
    Ref      = int | Reg(number)
    Storage  = ("object", k) | ("buffer", k)           a buffer lies in the arena
    Place    = (Storage, Ref)                          offset in elements
    Step     = KernelStep | MatmulStep | ShuffleStep

It holds no variable of the graph, only positions, so it is stored in the cache as it is and used by
every function with the same graph. Origins are given as positions in the list of origins of the
graph before rewriting.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from symnet.errors import CompilerError
from symnet.schedule.kernel import Kernel, Load, Store


class Reg(NamedTuple):
    """A register of the shape program."""

    number: int


Ref = int | Reg
Storage = tuple[str, int]
Place = tuple[Storage, Ref]


@dataclass(frozen=True, slots=True)
class Object:
    """An array outside the program: `position` counts within its role."""

    role: str  # input shared constant output
    position: int
    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Buffer:
    """Arena memory: `size` elements, alive from step `first` to step `last`, both included."""

    dtype: str
    size: Ref
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class SizeCheck:
    """Register `condition` must be nonzero."""

    condition: Ref
    message: str
    origin: int
    index: bool
    shown: tuple[Ref, Ref]


@dataclass(frozen=True, slots=True)
class KernelStep:
    kernel: int
    operands: tuple[Place, ...]  # a scratch row: (("scratch", operand), size)
    slots: tuple[Ref, ...]
    scalars: tuple[Any, ...]  # Ref, or ("constant", dtype, number)
    checks: tuple[tuple[int, Ref], ...]  # origin and size of each index check
    blocks: tuple[Ref, Ref] | None
    origin: int


class Matrix(NamedTuple):
    """A strided matrix, or a batch of them; strides in elements."""

    place: Place
    row: Ref
    column: Ref
    batch: Ref


@dataclass(frozen=True, slots=True)
class MatmulStep:
    """out = beta * out + alpha_const * alpha * a @ b for each of `batch` matrices."""

    dtype: str
    m: Ref
    n: Ref
    k: Ref
    batch: Ref
    a: Matrix
    b: Matrix
    out: Matrix
    alpha: Place | None
    alpha_const: float
    beta: float
    origin: int


@dataclass(frozen=True, slots=True)
class ShuffleStep:
    """A random permutation of 0..n-1; seed, stream and step are refs or places of int64 scalars."""

    out: Place
    n: Ref
    words: tuple[Any, ...]
    origin: int


Step = KernelStep | MatmulStep | ShuffleStep


@dataclass(frozen=True, slots=True)
class Output:
    """Object `object` is a fresh array of `shape` at each call."""

    object: int
    shape: tuple[Ref, ...]
    dtype: str


@dataclass(slots=True)
class Program:
    objects: tuple[Object, ...]
    registers: tuple[tuple, ...]
    checks: tuple[SizeCheck, ...]
    buffers: tuple[Buffer, ...]
    kernels: tuple[Kernel, ...]
    steps: tuple[Step, ...]
    outputs: tuple[Output, ...]
    rebinds: tuple[tuple[int, int], ...]  # (position of shared, output) with another shape
    names: tuple[str, ...] = ()  # what each step computes, for printouts
    notes: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        def ref(r: Any) -> str:
            return f"r{r.number}" if isinstance(r, Reg) else str(r)

        def place(p: Place) -> str:
            (kind, number), offset = p
            plus = "" if offset == 0 else f"+{ref(offset)}"
            return f"{kind} {number}{plus}"

        lines = ["objects"]
        lines += [
            f"  object {k}: {o.role} {o.position} {o.dtype}{o.shape}"
            for k, o in enumerate(self.objects)
        ]
        lines.append("sizes")
        lines += [
            f"  r{k} = {op}({', '.join(map(ref, args))})"
            for k, (op, *args) in enumerate(self.registers)
        ]
        lines += [f"  check {ref(c.condition)}: {c.message}" for c in self.checks]
        lines.append("buffers")
        lines += [
            f"  buffer {k}: {ref(b.size)} {b.dtype}, steps {b.first} to {b.last}"
            for k, b in enumerate(self.buffers)
        ]
        lines.append("steps")
        for number, step in enumerate(self.steps):
            if isinstance(step, KernelStep):
                operands = self.kernels[step.kernel].operands
                reads = [place(p) for p, o in zip(step.operands, operands) if not o.written]
                writes = [place(p) for p, o in zip(step.operands, operands) if o.written]
                what = f"kernel {step.kernel} {self.kernels[step.kernel].form}"
                slots = ", ".join(map(ref, step.slots))
                lines.append(
                    f"  {number}: {what}({', '.join(reads)}; {slots}) -> {', '.join(writes)}"
                )
            elif isinstance(step, MatmulStep):
                beta = "" if step.beta == 0 else f" + {step.beta:g} * itself"
                alpha = "" if step.alpha_const == 1 else f"{step.alpha_const:g} * "
                alpha += "" if step.alpha is None else f"{place(step.alpha)} * "
                shape = f"{ref(step.m)}x{ref(step.k)} @ {ref(step.k)}x{ref(step.n)}"
                lines.append(
                    f"  {number}: gemm {alpha}{place(step.a.place)} @ {place(step.b.place)} "
                    f"({shape}){beta} -> {place(step.out.place)}"
                )
            else:
                lines.append(f"  {number}: permutation of {ref(step.n)} -> {place(step.out)}")
        lines += [
            f"output {o.object}: {o.dtype}({', '.join(map(ref, o.shape))})" for o in self.outputs
        ]
        return "\n".join(lines)


def accesses(step: Step, kernels: tuple[Kernel, ...]) -> tuple[list[Storage], list[Storage]]:
    """Storages that a step reads and writes."""
    if isinstance(step, KernelStep):
        operands = kernels[step.kernel].operands
        reads = [p[0] for p, o in zip(step.operands, operands) if not o.written]
        writes = [p[0] for p, o in zip(step.operands, operands) if o.written]
        return reads, writes
    if isinstance(step, MatmulStep):
        reads = [p[0] for p in _sources(step)]
        if step.beta != 0:
            reads.append(step.out.place[0])
        return reads, [step.out.place[0]]
    return [p[0] for p in _sources(step)], [step.out[0]]


def written(program: Program) -> set[Storage]:
    """Storages that a step of the program writes."""
    return {storage for step in program.steps for storage in accesses(step, program.kernels)[1]}


def _sources(step: MatmulStep | ShuffleStep) -> list[Place]:
    """What a step that is no loop reads, but for a result that it adds to."""
    if isinstance(step, MatmulStep):
        return [step.a.place, step.b.place, *([] if step.alpha is None else [step.alpha])]
    return [w for w in step.words if isinstance(w, tuple) and not isinstance(w, Reg)]


def _changed(kernel: Kernel) -> list[int]:
    """Operands that a kernel writes and whose old values it needs."""
    needed = {
        s.operand
        for s in kernel.statements()
        if isinstance(s, Load) or (isinstance(s, Store) and s.add)
    }
    operands = enumerate(kernel.operands)
    return [k for k, o in operands if o.written and not o.per_thread and k in needed]


def storages(step: Step) -> list[Storage]:
    """Everything that a step touches."""
    if isinstance(step, KernelStep):
        return [p[0] for p in step.operands]
    out = step.out.place if isinstance(step, MatmulStep) else step.out
    return [out[0], *(p[0] for p in _sources(step))]


def check_program(program: Program) -> None:
    """Verify a program: every read was written, lifetimes hold, what can fail comes first, and what
    kernels may take for separate arrays is separate.

    Errors: CompilerError with the program printed.
    """

    def fail(number: int, why: str) -> None:
        raise CompilerError(f"malformed program, step {number}: {why}\n{program}")

    filled: set[Storage] = {
        ("object", k) for k, o in enumerate(program.objects) if o.role != "output"
    }
    shared = {("object", k) for k, o in enumerate(program.objects) if o.role == "shared"}
    fixed = {
        ("object", k) for k, o in enumerate(program.objects) if o.role in ("input", "constant")
    }
    changed = [_changed(kernel) for kernel in program.kernels]
    destroyed = False
    for number, step in enumerate(program.steps):
        reads, writes = accesses(step, program.kernels)
        if isinstance(step, KernelStep):
            reads += [step.operands[position][0] for position in changed[step.kernel]]
        for storage in reads:
            if storage[0] in ("buffer", "object") and storage not in filled:
                fail(number, f"{storage} is read before it is written")
        for storage in reads + writes:
            if storage[0] == "buffer":
                buffer = program.buffers[storage[1]]
                if not buffer.first <= number <= buffer.last:
                    fail(number, f"{storage} is used outside its lifetime")
        for storage in writes:
            if storage in fixed:
                fail(number, f"{storage} must not be written")
            destroyed |= storage in shared
            filled.add(storage)
        if isinstance(step, KernelStep):
            if step.checks and destroyed:
                fail(number, "it can fail after a shared value was overwritten")
            kernel = program.kernels[step.kernel]
            if len(step.operands) != len(kernel.operands) or len(step.slots) != kernel.slots:
                fail(number, "its arguments do not fit its kernel")
            pairs = {(p[0], o.scope) for p, o in zip(step.operands, kernel.operands)}
            if not len(pairs) == len({s for s, _ in pairs}) == len({k for _, k in pairs}):
                fail(number, "operands of several scopes share an array")
        elif writes[0] in [p[0] for p in _sources(step)]:
            fail(number, "it reads what it overwrites")
    for output in program.outputs:
        if ("object", output.object) not in filled:
            fail(len(program.steps), f"output object {output.object} is not written")
