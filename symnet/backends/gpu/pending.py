"""Errors that a program met on the device and that nobody has asked for yet.

Kernels write the first failed check into the error record, which lies in device memory, and what
overwrites shared values does nothing from then on. Whenever the host waits for a result of the
device, it looks at the records of all programs that were called since it looked: then the error is
raised, and the record is cleared. Where there is none, looking costs nothing.
"""

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from symnet.backends.failure import wrong_index
from symnet.backends.gpu.device import GpuDevice
from symnet.graph.origin import Origin
from symnet.graph.variables import SharedVariable, Variable
from symnet.schedule.program import Ref

ERROR = 32  # bytes of the record: number of the check or 0, index, size, nothing
STATE = 16  # bytes behind it: the counters of `map` (moves.py)


class Unsettled:
    """Programs of a device whose errors nobody has asked for since they were called, in the order
    of their calls. Whoever uses it holds the device's lock."""

    def __init__(self) -> None:
        self._programs: dict[Pending, None] = {}
        self._telling = False

    def __len__(self) -> int:
        return len(self._programs)

    def enter(self, pending: "Pending") -> None:
        self._programs.setdefault(pending)

    def forget(self, pending: "Pending") -> None:
        self._programs.pop(pending, None)

    def settle(self, but: "Pending | None" = None) -> None:
        """Wait, and raise the error of the first program that met one; those of others are told
        when somebody waits again. Errors: IndexOutOfBoundsError."""
        if self._telling:  # the message of an error shows values
            return
        for pending in list(self._programs):
            if pending is not but:
                pending.settle()

    def telling(self, message: Callable[[], Exception]) -> Exception:
        """An error, made without looking for others."""
        self._telling = True
        try:
            return message()
        finally:
            self._telling = False


_unsettled: "weakref.WeakKeyDictionary[GpuDevice, Unsettled]" = weakref.WeakKeyDictionary()


def unsettled(device: GpuDevice) -> Unsettled:
    """Those of a device."""
    found = _unsettled.get(device)
    if found is None:
        found = _unsettled.setdefault(device, Unsettled())
    return found


class Pending:
    """A program's error record, and the counters of `map`, at the front of its `reply`.

    A reply is memory that a call reads back in one piece: the record, the counters, and small
    outputs. `calls` counts those since the record was looked at.
    """

    def __init__(
        self,
        device: GpuDevice,
        size: int,
        inputs: Sequence[Variable],
        shared: Sequence[SharedVariable],
        origins: Sequence[Origin],
        checks: Sequence[tuple[int, Ref]],
    ):
        self.device = device
        self.memory = device.allocate(ERROR + STATE + size)
        self.error = self.memory.address
        self.state = self.error + ERROR
        self.outputs = self.state + STATE
        self.host = np.zeros(ERROR + STATE + size, np.uint8)
        self.inputs = list(inputs)
        self.origins = list(origins)
        self.calls = 0
        self.arrays: Sequence[Any] = ()
        self._shared = [weakref.ref(s) for s in shared]  # the device holds this object
        self._checks = checks
        self._words = self.host[: ERROR + STATE].view(np.int64)
        self.unsettled = unsettled(device)  # of all programs
        device.clear(self.error, ERROR + STATE)

    @property
    def shared(self) -> list[SharedVariable]:
        found = [reference() for reference in self._shared]
        return [s for s in found if s is not None]

    @property
    def completed(self) -> int:
        """The counter of `map`, as read last."""
        return int(self._words[ERROR // 8])

    def called(self, arrays: Sequence[Any]) -> None:
        """A call was ordered whose result nobody waits for."""
        self.calls += 1
        self.unsettled.enter(self)
        # which of several calls failed nobody knows
        self.arrays = [_Shown(a) for a in arrays] if self.calls == 1 else ()

    def read(self, size: int = 0) -> None:
        """Wait, and read the reply with the first bytes of outputs."""
        self.device.get(self.host[: ERROR + STATE + size], self.error)

    def output(self, at: int, size: int) -> np.ndarray:
        """Bytes of the outputs, as read last; the next reading overwrites them."""
        begin = ERROR + STATE + at
        return self.host[begin : begin + size]

    def check(self, arrays: Sequence[Any]) -> None:
        """Raise the error that the reply tells of. Errors: IndexOutOfBoundsError."""
        self.calls = 0
        self.unsettled.forget(self)
        number, value, size = self._words[:3].tolist()
        if number:
            self._words[:3] = 0
            self.device.clear(self.error, ERROR)
            origin, _ = self._checks[number - 1]
            raise self.unsettled.telling(partial(wrong_index, self, origin, value, size, arrays))

    def settle(self) -> None:
        """Wait, and raise the error of an earlier call, if there was one."""
        if self.calls:
            self.read()
            arrays, self.arrays = self.arrays, ()
            self.check(arrays)


class _Shown:
    """What messages say of an argument, without keeping it."""

    def __init__(self, array: Any):
        self.shape, self.dtype = array.shape, array.dtype
        self._text = str(array) if not array.shape else ""

    def __str__(self) -> str:
        return self._text
