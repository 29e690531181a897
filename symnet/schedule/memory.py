"""Where every stored value lies: outside arrays, or buffers of the arena that values take over.

A value takes over the buffer of one that dies in the step that computes it, if that step reads each
element just where it writes. `check_memory` verifies the result by other means: it plays the steps
with tokens for the values.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from symnet.errors import CompilerError
from symnet.graph import dims
from symnet.graph.dims import Size
from symnet.graph.variables import Variable
from symnet.schedule.dataflow import Dataflow
from symnet.schedule.program import Storage
from symnet.schedule.steps import FusedStep, LoopStep


@dataclass
class Memory:
    """storage of each stored value that is no reshape; dtype and size of each buffer; the steps
    that are left when identity copies fall away."""

    storage: dict[Variable, Storage]
    buffers: list[tuple[str, Size]] = field(default_factory=list)
    steps: list[FusedStep] = field(default_factory=list)

    def new_buffer(self, dtype: str, size: Size) -> Storage:
        self.buffers.append((dtype, size))
        return ("buffer", len(self.buffers) - 1)


def assign(
    flow: Dataflow, order: Sequence[FusedStep], fixed: dict[Variable, Storage], reuse: bool
) -> Memory:
    """A storage for every value: those of `fixed`, else a buffer, taken over where `reuse` allows.

    fixed   values that lie in outside arrays
    """
    sizes = flow.fusion.shapes.of
    memory = Memory(dict(fixed))
    storage = memory.storage
    last_use: dict[Variable, int] = {}
    for k, step in enumerate(order):
        for v in flow.reads[step.seq]:
            last_use[v] = k
    taken: set[Variable] = set()  # values whose buffer lives on under another name

    def dying(step: LoopStep, target: Variable, now: int) -> Variable | None:
        """A value whose buffer `target` may take over."""
        for source in flow.reads[step.seq]:
            if (
                last_use[source] == now
                and storage[source][0] == "buffer"
                and source not in taken
                and source.type.dtype == target.type.dtype
                and sizes[source] == sizes[target]
                and flow.reads_where_it_writes(step, target, source)
            ):
                return source
        return None

    for now, step in enumerate(order):
        for v in flow.writes[step.seq]:
            if v in storage:
                continue
            source = dying(step, v, now) if reuse and isinstance(step, LoopStep) else None
            if source is None:
                storage[v] = memory.new_buffer(v.type.dtype, dims.product(sizes[v]))
            else:
                storage[v] = storage[source]
                taken.add(source)
        if not _is_identity(flow, step, storage):
            memory.steps.append(step)
    return memory


def _is_identity(flow: Dataflow, step: FusedStep, storage: dict[Variable, Storage]) -> bool:
    """Whether a step copies a value onto itself."""
    if not isinstance(step, LoopStep) or step.copy_of is None:
        return False
    return storage[step.writes[0].target] == storage[flow.root(step.copy_of)]


def check_memory(
    flow: Dataflow,
    order: Sequence[FusedStep],
    storage: dict[Variable, Storage],
    initial: Iterable[Variable],
    final: Iterable[tuple[Storage, Variable]],
) -> None:
    """Play the steps with tokens, and verify that nobody reads what has been overwritten.

    A token is a value and the number of steps that have written it. Whoever reads a value must
    find it complete in its storage; whoever writes a part must find the parts written before. A
    copy onto itself leaves both values in the storage, until somebody changes it.

    initial  values that are in memory before the first step
    final    the value that a storage must hold after the last step

    Errors: CompilerError.
    """
    holds: dict[Storage, dict[Variable, int]] = {}
    parts = {v: len(writers) for v, writers in flow.writers.items()}
    for v in initial:
        holds[storage[v]] = {v: 0}

    def complete(place: Storage, v: Variable) -> bool:
        return holds.get(place, {}).get(v) == parts.get(v, 0)

    for step in order:
        for v in flow.reads[step.seq]:
            if not complete(storage[v], v):
                raise CompilerError(f"step {step.seq} reads {v}, but finds {holds.get(storage[v])}")
        identity = _is_identity(flow, step, storage)
        before = {v: holds.get(storage[v], {}) for v in flow.writes[step.seq]}
        for v, found in before.items():
            written = found.get(v, 0)
            if written and written >= parts[v]:
                raise CompilerError(f"step {step.seq} writes {v} once more than it should")
            holds[storage[v]] = {**(found if identity else {}), v: written + 1}
    for place, v in final:
        if not complete(place, v):
            raise CompilerError(f"{place} holds {holds.get(place)} in the end, not {v}")
