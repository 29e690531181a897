"""What to say where memory does not suffice: what was wanted, the largest first."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from symnet.graph.origin import UNKNOWN, Origin
from symnet.schedule.program import Program, Storage, accesses

SHOWN = 5  # buffers in the message of an error


class Want(Protocol):
    """Bytes, and for messages what they are for."""

    @property
    def size(self) -> int: ...
    @property
    def what(self) -> Callable[[], str]: ...


def too_large(device: str, reason: str, wants: Iterable[Want]) -> str:
    """The message of an OutOfMemoryError."""
    largest = sorted((w for w in wants if w.size), key=lambda w: -w.size)
    lines = [f"not enough memory on device {device!r}: {reason}", "  the largest it has to hold:"]
    lines += [f"    {in_units(w.size):>9}  {w.what()}" for w in largest[:SHOWN]]
    if len(largest) > SHOWN:
        rest = sum(w.size for w in largest[SHOWN:])
        lines.append(f"    {in_units(rest):>9}  {len(largest) - SHOWN} others together")
    return "\n".join(lines)


def made_by(program: Program, origins: Sequence[Origin], storage: Storage) -> str:
    """What computes a buffer or an output, and the user's line: " of exp, built at ..."."""
    for number, step in enumerate(program.steps):
        if storage in accesses(step, program.kernels)[1]:
            name = f" of {program.names[number]}" if number < len(program.names) else ""
            origin = origins[step.origin] if step.origin < len(origins) else UNKNOWN
            return name + ("" if origin is UNKNOWN else f", built at {origin}")
    return ""


def in_units(size: int) -> str:
    """Bytes for people: "1.5 GB"."""
    for unit, bytes_ in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= bytes_:
            return f"{size / bytes_:.1f} {unit}"
    return f"{size} B"
