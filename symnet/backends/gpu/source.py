"""The text of a kernel with what its caller must know, and translation units of several."""

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from symnet.backends.gpu.instructions import function_text
from symnet.backends.gpu.prelude import PRELUDE
from symnet.schedule.kernel import Kernel


class Words:
    """Where things are among a kernel's argument words; -1 for what it does not have.

    operands from 0, slots from `slot`, scalars from `scalar`, then
    check       the number of the first index check of the step
    scratch     for each scratch operand the bytes of one row, then whether rows are in shared
                memory (the operand's word is then an offset there)
    block       iterations of the outer loop in one block of a "blocks" kernel; then their number
    lanes       of the groups that reduce, then the number of parts of a row, then the address of
                the parts' results
    owners      of a scatter's destinations
    """

    def __init__(self, kernel: Kernel):
        self.slot = len(kernel.operands)
        self.scalar = self.slot + kernel.slots
        self.count = self.scalar + len(kernel.scalars)
        scratch = sum(o.per_thread for o in kernel.operands)
        self.check = self._take(kernel.can_fail)
        self.scratch = self._take(scratch and scratch + 1)
        self.block = self._take(2 * (kernel.form == "blocks"))
        self.lanes = self._take(3 * (kernel.form in ("rows", "columns")))
        self.owners = self._take(kernel.form == "serial")
        self.in_shared = self.scratch + scratch

    def _take(self, many: int) -> int:
        first, self.count = self.count, self.count + many
        return first if many else -1


@dataclass(frozen=True)
class Source:
    """The text of a kernel.

    body       the text, its entry called ENTRY
    functions  the scalar functions that it calls, with the dtypes of their arguments
    words      number of its argument words
    width      elements that a thread takes at once where memory is aligned
    meets      whether the threads of a block wait for each other
    unroll     items (packs, or single elements) that a thread takes together
    """

    body: str
    functions: tuple[tuple[str, ...], ...]
    words: int
    width: int
    meets: bool
    unroll: int = 1

    @functools.cached_property
    def entry(self) -> str:
        """The name of the function, made of everything it depends on."""
        digest = hashlib.sha256(module_text([self], named=False).encode())
        return f"symnet_{digest.hexdigest()[:24]}"

    @property
    def text(self) -> str:
        return module_text([self])


def module_text(sources: Iterable[Source], prelude: str = PRELUDE, named: bool = True) -> str:
    """A translation unit of several kernels; scalar functions that they share are in it once."""
    sources = list(sources)
    functions = sorted({f for s in sources for f in s.functions})
    parts = [prelude, *(function_text(*f) for f in functions)]
    parts += [s.body.replace("ENTRY", s.entry) if named else s.body for s in sources]
    return "\n".join(parts)
