"""Running a linked program on a device: what a call moves, its launches, its results.

A binding is a program made for the sizes of a call: all addresses and launches (bindings.py finds
one, binding.py makes one). Its first call orders the launches one by one; then they are recorded
(orders.py), and a call moves what has changed, replays the recording, and reads the results back.
What is small goes in one piece each way:

    packet  words that move, and small inputs       to the device, if it is not as it was
    reply   the error record, and small outputs     from the device

A call without results for the host does not wait; what fails then is told later (pending.py).
`map` is in repeating.py.
"""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from symnet.backends.gpu import moves
from symnet.backends.gpu.binding import Binding
from symnet.backends.gpu.bindings import Bindings
from symnet.backends.gpu.device import DeviceArray, GpuDevice, Memory
from symnet.backends.gpu.link import Linked
from symnet.backends.gpu.loaded import Loaded
from symnet.backends.gpu.memory import Arena, Wish
from symnet.backends.gpu.orders import Orders
from symnet.backends.gpu.pending import unsettled
from symnet.backends.gpu.repeating import Repeating, one_by_one
from symnet.backends.gpu.residence import DeviceValue
from symnet.backends.gpu.whole import Whole
from symnet.backends.words import itemsize
from symnet.errors import OutOfMemoryError
from symnet.graph.origin import Origin
from symnet.graph.variables import SharedVariable, Variable
from symnet.schedule.program import Program


class GpuRunner:
    """An executable program on a device, with the arrays it works on.

    `run(arrays)` takes one fitting array per input, on the host or (as `adopt` gives them) on the
    device, and returns fresh output arrays. Shared variables are read and updated.

    kept              positions of outputs that are given back as device arrays, without waiting
    last              the binding of the last call
    profile           (steps, 2) of nanoseconds and calls, with profile=True: then steps are ordered
                      one by one
    recorded          whether the last call replayed a recording; None before there was a second
    why_not_recorded  the reason, where it cannot be recorded
    """

    def __init__(
        self,
        linked: Linked,
        inputs: Sequence[Variable],
        shared: Sequence[SharedVariable],
        constants: Sequence[np.ndarray],
        origins: Sequence[Origin],
        profile: bool,
        device: GpuDevice,
    ):
        self.loaded = Loaded(linked, inputs, shared, constants, origins, device)
        self.program: Program = linked.program
        self.linked = linked
        self.inputs = self.loaded.inputs
        self.shared = self.loaded.shared
        self.constants = self.loaded.constants
        self.origins = self.loaded.origins
        self.device = device
        self.kept: set[int] = set()
        steps = max(len(self.program.steps), 1)
        self.profile = np.zeros((steps, 2), np.int64) if profile else None
        stage = Arena(device)
        self.bindings = Bindings(self.loaded, stage)
        self.orders = Orders(device, self.profile)
        self._repeating = Repeating(self.loaded, self.bindings, self.orders, stage)
        self._unsettled = unsettled(device)

    @property
    def runners(self) -> "list[GpuRunner]":
        return [self]

    @property
    def last(self) -> Binding | None:
        return self.bindings.last

    @property
    def recorded(self) -> bool | None:
        return self.orders.recorded

    @property
    def why_not_recorded(self) -> str:
        return self.orders.why_not_recorded

    def adopt(self, value: Any) -> DeviceArray:
        """An array of another library in the device's memory. Errors: TypeMismatchError."""
        with self.device.lock:
            return self.device.adopt(value)

    def clear(self) -> None:
        """Forget the bindings and give back their memory."""
        with self.device.lock:
            self.bindings.clear()

    # ---- calls

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        """One call with fitting arrays: of NumPy, or as `adopt` gives them.

        Errors: ShapeError, IndexOutOfBoundsError; OutOfMemoryError, DeviceLostError."""
        with self.device.lock:
            if len(self._unsettled) and self._waits():
                self._unsettled.settle(but=self.bindings.pending)
            base = self.bindings.find(arrays)
            fresh = self._fresh(base)
            binding = self.bindings.variant(base, fresh) if self.kept else base
            if binding.recording is not None:  # a replay is whole
                return self._call(binding, arrays, fresh)
            with Whole():
                return self._call(binding, arrays, fresh)

    def _waits(self) -> bool:
        """Whether a call waits for its end: for outputs, or to know whether values are replaced."""
        program = self.program
        first = len(program.rebinds)
        wanted = len(program.outputs) - first > len(self.kept)
        return wanted or bool(first and self.linked.checks)

    def _call(
        self, binding: Binding, arrays: Sequence[Any], fresh: Sequence[Memory | None]
    ) -> list[Any]:
        self._upload(binding, arrays)
        self.loaded.writes()
        self.orders.call(binding)
        return self._results(binding, arrays, fresh)

    def _fresh(self, binding: Binding) -> list[Memory | None]:
        """For each output memory, if it stays on the device: taken before anything is changed."""
        first = len(self.program.rebinds)
        if not first and not self.kept:
            return [None] * len(binding.outputs)
        found: list[Memory | None] = []
        try:
            for position, (_, shape, dtype, _) in enumerate(binding.outputs):
                stays = position < first or position - first in self.kept
                size = prod(shape) * itemsize(dtype)
                found.append(self.device.allocate(size) if stays else None)
        except OutOfMemoryError as error:
            wishes = [
                Wish.of_array(f"output {k}", dtype, shape)
                for k, (_, shape, dtype, _) in enumerate(binding.outputs)
            ]
            raise self.loaded.too_large(error, wishes) from None
        return found

    def _upload(self, binding: Binding, arrays: Sequence[Any]) -> None:
        """Copy to the device what it does not have."""
        device, packet = self.device, binding.packet
        if len(packet):
            live = binding.live
            if len(live):
                packet[: live.nbytes].view(np.int64)[...] = live
            late = []
            for k, at, view in binding.pieces:
                array = arrays[k]
                if type(array) is DeviceArray:
                    late.append((k, at))
                else:
                    view[...] = array
            content = packet.tobytes()
            if content != binding.sent or late:
                device.put(binding.packet_at, packet)
                binding.sent = content
            for k, at in late:
                moves.copy(device, binding.packet_at + at, arrays[k])
                binding.sent = None
        for k in binding.large:
            array, (address, _) = arrays[k], binding.targets[k]
            if type(array) is DeviceArray:
                moves.copy(device, address, array)
            else:
                device.put(address, np.ascontiguousarray(array))

    # ---- results

    def _results(
        self, binding: Binding, arrays: Sequence[Any], fresh: Sequence[Memory | None]
    ) -> list[Any]:
        device, pending, program = self.device, binding.pending, self.program
        first = len(program.rebinds)
        outputs: list[Any] = []
        for (address, shape, dtype, _), memory in zip(binding.outputs, fresh):
            if memory is not None and memory.address != address:
                device.copy(memory.address, address, prod(shape) * itemsize(dtype))
        if self._waits():
            earlier = pending.calls
            try:
                pending.read(binding.reply)
            except BaseException:  # an interrupt while waiting
                pending.called(arrays)
                raise
            pending.check(() if earlier else arrays)
        elif self.linked.checks:
            pending.called(arrays)
        for (address, shape, dtype, at), memory in zip(binding.outputs[first:], fresh[first:]):
            if memory is not None:
                outputs.append(device.array(memory, shape, dtype))
                continue
            out = np.empty(shape, dtype)
            if at >= 0:
                out[...] = pending.output(at, out.nbytes).view(dtype).reshape(shape)
            else:
                device.get(out, address)
            outputs.append(out)
        for position, output in program.rebinds:
            _, shape, dtype, _ = binding.outputs[output]
            self.shared[position].replace(DeviceValue(device, fresh[output], shape, dtype))
        if self.kept or any(type(a) is DeviceArray for a in arrays):
            device.hand_over()
        return outputs

    # ---- many calls

    def map(
        self,
        sequences: Sequence[np.ndarray],
        count: int,
        between: Callable[[int], bool] | None = None,
        limit_ns: int = 50_000_000,
    ) -> list[Any]:
        """`count` calls, the k-th with element k of every sequence; outputs stacked.

        The device counts; the host waits about every `limit_ns` and calls `between(calls done)`,
        which ends it early by returning True. Each call is atomic; after an error or an interrupt
        the calls before it have happened.
        """
        if self.program.rebinds or self.loaded.chained or self.profile is not None:
            return one_by_one(self.run, self.program, sequences, count, between)
        return self._repeating.map(sequences, count, self.kept, between, limit_ns)
