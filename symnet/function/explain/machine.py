"""What the processor's instructions of a kernel say: on how many numbers it works at a time."""

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from symnet.backends.cpu.compile import assembly
from symnet.errors import BackendError

# arithmetic on vector registers; on x86 what ends in ss or sd takes one number only
_X86 = re.compile(
    r"^\s+v?(?P<name>(?:add|sub|mul|div|max|min|sqrt|fn?m(?:add|sub)\d+|cmp|round|rndscale|scalef|"
    r"p(?:add|sub|mull|max|min|cmp|and|or|xor|sll|srl|sra|ternlog))\w*)\s.*%(?P<kind>[xyz])mm"
)
_ARM = re.compile(r"^\s+f?(?:add|sub|mul|div|mla|mls|max\w*|min\w*|sqrt)\s+v\d+\.(?P<lanes>\w+)")
_BITS = {"x": 128, "y": 256, "z": 512}
_WIDTHS = {"float32": 32, "float64": 64, "integers": 32}


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
