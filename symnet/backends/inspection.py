"""What back ends tell of their programs, for explanations and profiles.

Each has a module `inspection` with

    ALIGN             bytes of which every buffer of an arena begins at a multiple
    WORDS             about all programs: see `Words`
    code(runner, k)   the text of the kernel of step k
    binding(runner)   what is known since the last call
    wait(runner)      returns when all calls are done
    facts(runner)     titles and texts about where and how calls run; none of what is usual
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Machine(Protocol):
    """What became of a text; `str` says it in a line."""

    @property
    def short(self) -> str:
        """A few words for a table."""


@dataclass(frozen=True)
class Words:
    """What a reader of programs has to know; names of the text are between backquotes.

    runs      who works on a step
    made      in which language kernels are, and what makes machine code of them
    part      what of a kernel a thread does
    products  what matrix products are
    """

    runs: str
    made: str
    part: str
    products: str


@dataclass(frozen=True)
class Code:
    """The text of a kernel.

    language  of the text
    look      looks at what the compiler makes of it; None where that cannot be found out
    beside    the text of the same loops for another back end, or empty
    """

    text: str
    language: str
    look: Callable[[], Machine | None]
    beside: str = ""


@dataclass(frozen=True)
class Binding:
    """A program bound to the sizes of a call.

    values    registers of the shape program
    offsets   of the buffers in the arena, in bytes
    arena     bytes of the arena, and of the rows that kernels keep for themselves (`scratch`)
    rows      the steps that run by themselves, not as a part of the step before
    launches  of each step in words; empty where there are none
    besides   bytes of the arena that are not of buffers
    """

    values: dict[int, int]
    offsets: dict[int, int]
    arena: int
    scratch: int
    rows: frozenset[int]
    launches: tuple[str, ...] = ()
    besides: int = 0
