"""What a GPU, or the emulated one, tells of its programs (see `backends/inspection.py`).

Of a kernel: what it takes of a multiprocessor, if NVRTC is installed; of a step: its launches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from symnet.backends.arena import rounded
from symnet.backends.cpu.emit import emit as cpu_text
from symnet.backends.gpu.bind import BoundKernel, BoundMatmul
from symnet.backends.gpu.binding import Binding as GpuBinding
from symnet.backends.gpu.compile import Resources, available, compile_module
from symnet.backends.gpu.memory import ALIGN
from symnet.backends.gpu.prelude import THREADS
from symnet.backends.gpu.runner import GpuRunner
from symnet.backends.gpu.source import Source
from symnet.backends.inspection import Binding, Code, Words
from symnet.errors import BackendError
from symnet.schedule.program import KernelStep

__all__ = ["ALIGN", "WORDS", "binding", "code", "facts", "wait"]

WORDS = Words(
    runs="the whole device",
    made="in CUDA C++; NVRTC makes machine code of them, once.",
    part=f"a block has {THREADS} threads, and the launch says how many blocks there are.",
    products="they call cuBLAS",
)


@dataclass(frozen=True)
class Occupied:
    """What the kernels of a step take of a multiprocessor of an architecture (90 is sm_90)."""

    kernels: tuple[Resources, ...]
    architecture: int

    @property
    def short(self) -> str:
        return f"{max(k.registers for k in self.kernels)} registers"

    def __str__(self) -> str:
        each = list(map(_taken, self.kernels))
        if len(each) > 1:
            each = [f"stage {k}: {text}" for k, text in enumerate(each)]
        return f"{'; '.join(each)} (sm_{self.architecture})"


def _taken(found: Resources) -> str:
    said = [f"{found.registers} registers per thread"]
    said.append(
        f"{found.stores} bytes of them spilled" if found.stores or found.loads else "none spilled"
    )
    if found.shared:
        said.append(f"{found.shared} bytes of shared memory per block")
    return ", ".join(said)


def code(runner: GpuRunner, number: int) -> Code:
    """The text of a step's kernel: of all its launches, where rows were cut into parts."""
    linked = runner.linked.steps[number]
    assert isinstance(linked.step, KernelStep) and linked.source is not None
    sources = [linked.source]
    if runner.last is not None:
        sources = [b.source for b in _launches(runner.last, number) if isinstance(b, BoundKernel)]
    text = "\n".join(
        s.body.replace("ENTRY", "kernel" if len(sources) == 1 else f"stage_{k}")
        for k, s in enumerate(sources)
    )
    look = partial(_look, tuple(sources), runner.device.architecture)
    return Code(text, "CUDA", look, cpu_text(runner.program.kernels[linked.step.kernel]))


def _look(sources: Sequence[Source], architecture: int) -> Occupied | None:
    """Compile a kernel; None where NVRTC is not installed."""
    if not available():
        return None
    try:
        found = compile_module(sources, architecture).resources
    except BackendError:
        return None
    return Occupied(tuple(found[s.entry] for s in sources), architecture)


def binding(runner: GpuRunner) -> Binding | None:
    """The sizes with which a program ran last; None if it never ran."""
    last, program = runner.last, runner.program
    if last is None:
        return None
    places = last.places
    first = len(places.offsets) - len(program.buffers)
    offsets = dict(enumerate(places.offsets[first:]))
    return Binding(
        dict(enumerate(last.values)),
        offsets,
        places.wished,
        places.size - places.wished,
        frozenset(range(len(program.steps))),
        tuple(_told(_launches(last, number)) for number in range(len(program.steps))),
        sum(rounded(size, ALIGN) for size in places.sizes[:first]),
    )


def _launches(last: GpuBinding, number: int) -> list[BoundKernel | BoundMatmul]:
    """What is ordered for a step of the program."""
    return last.bound.steps[slice(*last.bound.spans[number])]


def _told(launches: Sequence[BoundKernel | BoundMatmul]) -> str:
    """The launches of a step in words."""
    said: list[str] = []
    for found in launches:
        said.append(_blocks(found) if isinstance(found, BoundKernel) else _product(found))
    return ", then ".join(said) or "nothing to do"


def _blocks(kernel: BoundKernel) -> str:
    how = kernel.launch
    if not how.grid:
        return "no block: a size is 0"
    said = [f"{how.grid} block{'s' if how.grid > 1 else ''} of {THREADS} threads"]
    if how.lanes:
        said.append(f"{how.lanes} thread{'s' if how.lanes > 1 else ''} per row")
    if how.keep:
        said.append(f"rows kept in {'registers' if how.keep[1] else 'shared memory'}")
    if how.parts > 1:
        said.append(f"rows in {how.parts} parts")
    if how.shared:
        said.append(f"{how.shared} bytes of shared memory")
    return " with ".join([said[0], ", ".join(said[1:])]) if said[1:] else said[0]


def _product(found: BoundMatmul) -> str:
    return "cuBLAS, in TF32" if found.tf32 else "cuBLAS"


def wait(runner: GpuRunner) -> None:
    """Calls that give nothing to the host return before they are done."""
    runner.device.wait()


def facts(runner: GpuRunner) -> list[tuple[str, str]]:
    """The device, and whether calls are recorded."""
    device = runner.device
    where = f"{device.name}, sm_{device.architecture}, {device.geometry.multiprocessors} "
    if device.name == "emulated":
        where = "emulated (the CUDA text on the host), "
        where += f"as if with {device.geometry.multiprocessors} "
    found = [("device", f"{where}multiprocessors")]
    if runner.profile is not None:
        call = "steps are ordered one by one, to be measured"
    elif runner.why_not_recorded:
        call = f"steps are ordered one by one: {runner.why_not_recorded}"
    elif runner.recorded:
        call = "replays one CUDA graph"
    else:
        call = "will be recorded as one CUDA graph"
    return [*found, ("call", call)]
