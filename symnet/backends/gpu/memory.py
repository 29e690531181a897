"""The memory of a program's bindings.

All bindings of a program lie in one piece of memory, as large as the largest needs: only one is
used at a time, and everything in it is written anew by each call. A larger one is a new piece, and
bindings made before are then void.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from symnet.backends.arena import place, rounded
from symnet.backends.gpu.device import GpuDevice, Memory
from symnet.backends.words import itemsize

ALIGN = 256  # bytes, of every buffer


@dataclass(frozen=True)
class Wish:
    """Memory for something that lives from step `first` to step `last`; `what` it is, for
    messages."""

    size: int
    first: int
    last: int
    what: Callable[[], str]

    @classmethod
    def of_array(
        cls, what: str, dtype: str, shape: Sequence[int], first: int = 0, last: int = 0
    ) -> "Wish":
        """Memory for an array."""
        size = prod(shape) * itemsize(dtype)
        return cls(size, first, last, lambda: f"{what}: {dtype}{tuple(shape)}")


class Arena:
    """A piece of memory of a program; none at first."""

    def __init__(self, device: GpuDevice):
        self._device = device
        self.memory: Memory | None = None

    @property
    def address(self) -> int:
        return 0 if self.memory is None else self.memory.address

    @property
    def size(self) -> int:
        return 0 if self.memory is None else self.memory.size

    def grow(self, size: int) -> None:
        """A new piece of this size. Errors: OutOfMemoryError; then there is none."""
        self.memory = None
        self.memory = self._device.allocate(size)

    def release(self) -> None:
        """Give the memory back."""
        self.memory = None


class Places:
    """Where the buffers of one binding lie.

    addresses  of the wishes, in order
    sizes      of the wishes, in order
    offsets    of the wishes from the beginning of the arena; each its own where they lie apart
    size       bytes of the arena that it takes, scratch included; `wished` without
    """

    def __init__(self, device: GpuDevice, wishes: Sequence[Wish]):
        self._device = device
        self.sizes = [w.size for w in wishes]
        lives = [(w.first, w.last) for w in wishes]
        self.offsets, self.size = place(self.sizes, lives, ALIGN)
        self.wished = self.size
        self.addresses: list[int] = []
        self._kept: list[Memory] = []

    def settle(self, arena: Arena) -> None:
        """Find out the addresses, in an arena of that size or larger. Errors: OutOfMemoryError,
        where buffers lie apart."""
        self._arena = arena
        if self._device.apart:
            self.addresses = [self._own(size) for size in self.sizes]
        else:
            self.addresses = [arena.address + offset for offset in self.offsets]

    def scratch(self, size: int) -> int:
        """An address for that many bytes more, which may lie behind the arena's end: see `fits`.

        Errors: OutOfMemoryError, where buffers lie apart."""
        begin = self.size
        self.size += rounded(size, ALIGN)
        return self._own(size) if self._device.apart else self._arena.address + begin

    @property
    def fits(self) -> bool:
        """Whether the arena is as large as it has to be."""
        return self._device.apart or self.size <= self._arena.size

    def _own(self, size: int) -> int:
        memory = self._device.allocate(size)
        self._kept.append(memory)
        return memory.address
