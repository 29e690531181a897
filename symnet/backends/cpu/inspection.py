"""What the CPU tells of its programs (see `backends/inspection.py`).

Of a kernel: on how many numbers its instructions work at a time.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache, partial

from symnet.backends.arena import rounded
from symnet.backends.cpu import tape_layout as layout
from symnet.backends.cpu.bind import ALIGN
from symnet.backends.cpu.compile import assembly
from symnet.backends.cpu.emit import emit
from symnet.backends.cpu.runner import Runner
from symnet.backends.inspection import Binding, Code, Words
from symnet.backends.words import itemsize
from symnet.errors import BackendError
from symnet.schedule.program import KernelStep, Reg

__all__ = ["ALIGN", "WORDS", "binding", "code", "facts", "wait"]

WORDS = Words(
    runs="all threads",
    made="in Python's words; Numba and LLVM make machine code of them, once.",
    part="`lo` and `hi` bound the part that one thread does.",
    products="they call a kernel written by hand, or the BLAS",
)

# arithmetic on vector registers; on x86 what ends in ss or sd takes one number only
_X86 = re.compile(
    r"^\s+v?(?P<name>(?:add|sub|mul|div|max|min|sqrt|fn?m(?:add|sub)\d+|cmp|round|rndscale|scalef|"
    r"p(?:add|sub|mull|max|min|cmp|and|or|xor|sll|srl|sra|ternlog))\w*)\s.*%(?P<kind>[xyz])mm"
)
_ARM = re.compile(r"^\s+f?(?:add|sub|mul|div|mla|mls|max\w*|min\w*|sqrt)\s+v\d+\.(?P<lanes>\w+)")
_BITS = {"x": 128, "y": 256, "z": 512}
_WIDTHS = {"float32": 32, "float64": 64, "integers": 32}


def code(runner: Runner, number: int) -> Code:
    """The text of the kernel of a step."""
    step = runner.program.steps[number]
    assert isinstance(step, KernelStep)
    text = emit(runner.program.kernels[step.kernel])
    return Code(text, "Python", partial(machine, text))


def binding(runner: Runner) -> Binding | None:
    """The sizes with which a program ran last; None if it never ran."""
    if not runner.free:
        return None
    frame, linked = runner.free[-1], runner.linked
    registers = frame.register_values
    values = {k: int(registers[n]) for k, n in enumerate(linked.register_of)}
    offsets: dict[int, int] = {}
    if len(linked.pointer_words):
        addresses = frame.args[linked.pointer_words] - linked.pointer_offsets
        start = int(addresses.min())  # the first buffer begins the arena
        offsets = {int(k): int(a) - start for k, a in zip(linked.pointer_buffers, addresses)}
    ends = [offset + _bytes(runner, k, values) for k, offset in offsets.items()]
    arena = max(ends, default=0)
    rows = frozenset(frame.steps[:, layout.STEP_INDEX].tolist())
    return Binding(values, offsets, arena, frame.arena_bytes - arena, rows)


def _bytes(runner: Runner, number: int, values: dict[int, int]) -> int:
    """The size of a buffer, rounded up."""
    buffer = runner.program.buffers[number]
    count = values[buffer.size.number] if isinstance(buffer.size, Reg) else buffer.size
    return rounded(count * itemsize(buffer.dtype), ALIGN)


def wait(runner: Runner) -> None:
    """Nothing: calls are done when they return."""


def facts(runner: Runner) -> list[tuple[str, str]]:
    """Nothing: every call is one call of native code."""
    return []


@dataclass(frozen=True)
class Machine:
    """The machine code of a kernel.

    instructions  their number
    bits          of the widest registers on which it computes with several numbers at a time; 0:
                  one number after the other
    packed        how many instructions compute so
    numbers       what these mostly compute with: float32, float64 or integers
    """

    instructions: int
    bits: int
    packed: int
    numbers: str = "float32"

    @property
    def short(self) -> str:
        """A few words for a table."""
        if not self.bits:
            return "one at a time"
        return f"{self.bits // _WIDTHS[self.numbers]} {self.numbers} at a time"

    def __str__(self) -> str:
        if not self.bits:
            return f"no SIMD: one number at a time, {self.instructions} instructions"
        return (
            f"SIMD with {self.bits} bits: {self.short} "
            f"({self.packed} of {self.instructions} instructions)"
        )


@lru_cache(maxsize=256)
def machine(text: str) -> Machine | None:
    """Look at the instructions of a kernel's text, compiled anew; None where that fails."""
    try:
        return read_assembly(assembly(text, "kernel"))
    except BackendError:
        return None


def read_assembly(text: str) -> Machine:
    """Count vector instructions in an assembly listing of x86-64 or AArch64."""
    instructions = packed = bits = 0
    numbers: Counter[str] = Counter()
    for line in text.splitlines():
        if not line.startswith(("\t", " ")) or line.lstrip()[:1] in (".", "#", "/"):
            continue
        instructions += 1
        if x86 := _X86.match(line):
            name = x86["name"]
            if name[0] != "p" and name.endswith(("ss", "sd")):
                continue
            bits = max(bits, _BITS[x86["kind"]])
            numbers[{"ps": "float32", "pd": "float64"}.get(name[-2:], "integers")] += 1
            packed += 1
        elif arm := _ARM.match(line):
            bits = 128
            numbers[{"4s": "float32", "2d": "float64"}.get(arm["lanes"], "integers")] += 1
            packed += 1
    floats = (
        numbers
        if not (numbers["float32"] or numbers["float64"])
        else numbers - Counter(integers=numbers["integers"])
    )
    most = floats.most_common(1)
    return Machine(instructions, bits, packed, most[0][0] if most else "float32")
