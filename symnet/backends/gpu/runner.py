"""Running a linked program on a device: binding, what a call moves, recordings, `map`.

A binding is a program made for the sizes of a call: all addresses and launches. Its first call
orders the launches one by one; then they are recorded, and a call moves what has changed, replays
the recording, and reads the results back. What is small goes in one piece each way:

    packet  words that move, and small inputs       to the device, if it is not as it was
    reply   the error record, and small outputs     from the device

A call without results for the host does not wait; what fails then is told later (pending.py).
"""

import copy
import gc
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from symnet.backends.arena import rounded
from symnet.backends.gpu import failure, moves
from symnet.backends.gpu.bind import Bound, BoundKernel
from symnet.backends.gpu.device import DeviceArray, GpuDevice, Memory, Recording
from symnet.backends.gpu.link import Linked, registers
from symnet.backends.gpu.memory import ALIGN, Arena, Places, Wish
from symnet.backends.gpu.moving import Moving
from symnet.backends.gpu.pending import ERROR, STATE, Pending, unsettled
from symnet.backends.gpu.products import LIVE
from symnet.backends.gpu.residence import DeviceValue
from symnet.backends.gpu.whole import Whole
from symnet.backends.overflow import check_fit
from symnet.backends.shortage import made_by, too_large
from symnet.backends.words import itemsize
from symnet.errors import CompilerError, OutOfMemoryError, RecordingError, ShapeError
from symnet.graph.origin import Origin
from symnet.graph.variables import SharedVariable, Variable
from symnet.schedule.program import Program, Ref, Reg, Storage, accesses

BINDINGS = 16  # kept per program
PLACES = 4  # device arrays per input and size that are read where they lie; others are copied
SMALL = 1024  # bytes of an input or output that goes with the packet or the reply
LARGE = 4 << 20  # bytes of an output that stays from which on it is written where it stays
VARIANTS = 8  # addresses of such outputs that a binding has a recording for; others are copied
PIECE = 16  # bytes, of what lies in a packet or a reply
REPLY = 4096  # bytes of small outputs, at most
STAGE = 64 << 20  # bytes of the sequences of `map` that are on the device at a time
REFUSALS = 3  # recordings of a binding that fail before no more are tried
GROWTH = 4  # times as many calls of `map` between two looks at the clock as before, at most


class Binding:
    """A program with its addresses and launches for the sizes of a call.

    shapes     of the inputs
    values     registers
    epoch      SharedVariable.epoch when the addresses of shared variables were looked up
    residents  their values there
    targets    address of each input, and whether the array is read where it is (then no copy)
    outputs    (address, shape, dtype, offset in the reply or -1) of each
    recording  of a call; None before the second one, or where it failed
    refusals   how often it failed: what others do to CUDA meanwhile can spoil one
    variants   the same with large outputs where they stay, by their addresses
    """

    def __init__(self, shapes: tuple[tuple[int, ...], ...], values: list[int]):
        self.shapes = shapes
        self.values = values
        self.epoch = -1
        self.residents: list[DeviceValue] = []
        self.addresses: tuple[int, ...] = ()
        self.targets: list[tuple[int, bool]] = []
        self.outputs: list[tuple[int, tuple[int, ...], str, int]] = []
        self.reply = 0  # bytes
        self.packet = np.zeros(0, np.uint8)
        self.packet_at = 0
        self.pieces: list[tuple[int, int, np.ndarray]] = []  # input, offset, view in the packet
        self.large: list[int] = []  # inputs that are copied by themselves
        self.sent: bytes | None = None  # the packet as it lies on the device
        self.live: np.ndarray = np.zeros(0, np.int64)
        self.bound: Bound
        self.storage: dict[Storage, int] = {}
        self.scratch: list[int] = []
        self.variants: dict[tuple[int, ...], Binding] = {}
        self.places: Places
        self.table = 0
        self.calls = 0
        self.recording: Recording | None = None
        self.mapping: Recording | None = None
        self.refusals = 0
        self.pace: float | None = None  # nanoseconds of a call in `map`
        self.many = 0  # calls of the last part of `map`


class GpuRunner:
    """An executable program on a device, with the arrays it works on.

    `run(arrays)` takes one fitting array per input, on the host or (as `adopt` gives them) on the
    device, and returns fresh output arrays. Shared variables are read and updated.

    kept              positions of outputs that are given back as device arrays, without waiting
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
        self.program: Program = linked.program
        self.linked = linked
        self.inputs = list(inputs)
        self.shared = list(shared)
        self.constants = list(constants)
        self.origins = list(origins)
        self.device = device
        self.kept: set[int] = set()
        program = self.program
        steps = max(len(program.steps), 1)
        self.profile = np.zeros((steps, 2), np.int64) if profile else None
        self.recorded: bool | None = None
        self.why_not_recorded = ""
        self.last: Binding | None = None
        self._bindings: OrderedDict[tuple, Binding] = OrderedDict()
        self._arena = Arena(device)
        self._met: dict[tuple[int, tuple[int, ...]], set[int]] = {}
        self._moving = Moving(program, linked.keys)
        numbers: dict[str, list[int]] = {"input": [], "shared": [], "constant": [], "output": []}
        for number, o in enumerate(program.objects):
            numbers[o.role].append(number)
        self._input_numbers = numbers["input"]
        self._shared_numbers = numbers["shared"]
        self._constant_numbers = numbers["constant"]
        self._dtypes = [program.objects[n].dtype for n in self._input_numbers]
        written = {
            storage for step in program.steps for storage in accesses(step, program.kernels)[1]
        }
        self._overwritten = [
            k for k, n in enumerate(self._shared_numbers) if ("object", n) in written
        ]
        self._variables = [self.shared[program.objects[n].position] for n in self._shared_numbers]
        self._written = [self._variables[k] for k in self._overwritten]
        self._rebound = {position for position, _ in program.rebinds}
        # a value that decides about a call, and that the call before may have changed
        self._chained = any(
            program.objects[n].role == "shared"
            and (("object", n) in written or program.objects[n].position in self._rebound)
            for n in self._moving.objects
        )
        self._constants: list[Memory] | None = None
        self._pending: Pending | None = None
        self._unsettled = unsettled(device)
        self._stage: Memory | None = None

    @property
    def runners(self) -> "list[GpuRunner]":
        return [self]

    def adopt(self, value: Any) -> DeviceArray:
        """An array of another library in the device's memory. Errors: TypeMismatchError."""
        with self.device.lock:
            return self.device.adopt(value)

    def clear(self) -> None:
        """Forget the bindings and give back their memory."""
        with self.device.lock:
            self._drop()
            self._met.clear()
            self._stage = None

    def _drop(self) -> None:
        self._bindings.clear()
        self.last = None
        self._arena.memory = None

    # ---- binding

    def _object(self, number: int) -> Any:
        """The variable of a shared object, or a constant's array."""
        o = self.program.objects[number]
        return self.shared[o.position] if o.role == "shared" else self.constants[o.position]

    def _value(self, arrays: Sequence[Any]) -> Callable[[int], int]:
        """A function from an object's number to its value, an integer."""

        def value(number: int) -> int:
            o = self.program.objects[number]
            if o.role == "shared":
                return int(self.shared[o.position].peek())
            if o.role == "constant":
                return int(self.constants[o.position])
            given = arrays[o.position]
            if isinstance(given, DeviceArray):
                host = np.empty((), given.dtype)
                self.device.get(host, given.address)
                return int(host)
            return int(given)

        return value

    def _bind(self, arrays: Sequence[Any]) -> Binding:
        """The binding for a call, with `values` and `live` as they are for it.

        Errors: ShapeError, IndexOutOfBoundsError; OutOfMemoryError."""
        binding = self.last
        if binding is not None and self._attached(binding):
            for k, (array, shape) in enumerate(zip(arrays, binding.shapes)):
                if array.shape != shape:
                    break
                if type(array) is DeviceArray or binding.targets[k][1]:
                    address, there = binding.targets[k]
                    if self._read_there(k, array, binding.residents) != (address if there else -1):
                        break
            else:
                if self._renew(binding, arrays):
                    return binding
        return self._bind_anew(arrays)

    def _attached(self, binding: Binding) -> bool:
        """Whether shared variables are where they were, or could be brought there."""
        while binding.epoch != SharedVariable.epoch:
            epoch = SharedVariable.epoch
            for variable, known in zip(self._variables, binding.residents):
                if variable.remote is known and variable.remote_current:
                    continue
                try:
                    if self._resident(variable) is not known:
                        return False
                except OutOfMemoryError:
                    return False
            if epoch == SharedVariable.epoch:
                binding.epoch = epoch
        return True

    def _renew(self, binding: Binding, arrays: Sequence[Any]) -> bool:
        """Compute what moves; False if it changes sizes."""
        moving = self._moving
        if not moving.numbers:
            return True
        value = self._value(arrays)
        values = moving.update(list(binding.values), [value(n) for n in moving.objects])
        for k in moving.sizes:
            if values[k] != binding.values[k]:
                return False
        for k in moving.conditions:
            if not values[k]:
                failure.check_sizes(self, values, arrays)
        binding.values = values
        if binding.bound.moving:
            binding.live = binding.bound.live(values)
        return True

    def _bind_anew(self, arrays: Sequence[Any]) -> Binding:
        try:
            return self._found_or_made(arrays)
        except OutOfMemoryError:
            self._drop()
            self._stage = None
            gc.collect()
        return self._found_or_made(arrays)

    def _found_or_made(self, arrays: Sequence[Any]) -> Binding:
        program = self.program
        while True:
            epoch = SharedVariable.epoch
            residents = [self._resident(s) for s in self._variables]
            if epoch == SharedVariable.epoch:
                break
        shapes: list[Any] = []
        for number, o in enumerate(program.objects):
            if o.role == "input":
                shapes.append(tuple(arrays[o.position].shape))
                failure.check_static(self.inputs[o.position], o, shapes[-1])
            elif o.role == "output":
                shapes.append(())
            elif o.role == "shared":
                shapes.append(residents[self._shared_numbers.index(number)].shape)
            else:
                shapes.append(self._object(number).shape)
        values = registers(program, shapes, self._value(arrays))
        failure.check_sizes(self, values, arrays)
        given = [self._read_there(k, a, residents) for k, a in enumerate(arrays)]
        addresses = tuple(r.address for r in residents)
        inputs = tuple(shapes[n] for n in self._input_numbers)
        key = (inputs, addresses, tuple(given), tuple(values[k] for k in self.linked.keys))
        binding = self._bindings.get(key)
        if binding is None:
            binding = self._make(Binding(inputs, values), residents, given)
            self._bindings[key] = binding
            while len(self._bindings) > BINDINGS:
                self._bindings.popitem(last=False)
        else:
            self._bindings.move_to_end(key)
        binding.values = values
        binding.residents = residents
        binding.live = binding.bound.live(values)
        binding.epoch = epoch
        if self.last is not binding:
            binding.sent = None  # others have used the memory
        self.last = binding
        return binding

    def _resident(self, variable: SharedVariable) -> DeviceValue:
        """The variable's value on this device, brought there if need be."""
        device, remote = self.device, variable.remote
        ours = isinstance(remote, DeviceValue) and remote.gpu is device
        if ours and variable.remote_current:
            return remote  # type: ignore[return-value]
        host = variable.peek()
        if not ours or remote.shape != host.shape:  # type: ignore[union-attr]
            try:
                remote = DeviceValue.empty(device, host.shape, host.dtype.name)
            except OutOfMemoryError as error:
                raise self._too_large(error, []) from None
        assert isinstance(remote, DeviceValue)
        device.put(remote.address, np.ascontiguousarray(host))
        variable.place(remote)
        return remote

    def _read_there(self, k: int, array: Any, residents: Sequence[DeviceValue]) -> int:
        """The address of an input that the program reads where it is; or -1."""
        if type(array) is not DeviceArray:
            return -1
        size = prod(array.shape) * itemsize(array.dtype)
        if not moves.contiguous(array) or size <= SMALL:
            return -1
        end = array.address + size
        for number in self._overwritten:
            other = residents[number]
            if array.address < other.address + other.memory.size and other.address < end:
                return -1
        met = self._met.setdefault((k, array.shape), set())
        if array.address not in met and len(met) >= PLACES:
            return -1
        met.add(array.address)
        return array.address

    def _make(
        self, binding: Binding, residents: Sequence[DeviceValue], given: Sequence[int]
    ) -> Binding:
        """Fill in a binding. Errors: ShapeError for sizes that no int64 holds, OutOfMemoryError."""
        values = binding.values
        check_fit(self.program, lambda r: values[r.number] if isinstance(r, Reg) else r)
        wishes, offsets = self._wishes(binding, given)
        try:
            self._setrounded()
            places = self._places(wishes)
            self._enter(binding, places, wishes[0].size, offsets, residents, given)
            if not places.fits:  # with the scratch that launches turned out to want
                scratch = places.size - places.wished
                wishes.append(Wish(scratch, 0, 0, lambda: "scratch of kernels and products"))
                places = self._places(wishes[:-1], places.size)
                self._enter(binding, places, wishes[0].size, offsets, residents, given)
        except OutOfMemoryError as error:
            raise self._too_large(error, wishes) from None
        sources = [s.source for s in binding.bound.steps if isinstance(s, BoundKernel)]
        self.device.load(dict.fromkeys(sources))
        return binding

    def _places(self, wishes: Sequence[Wish], size: int = 0) -> Places:
        """Places in an arena of at least `size` bytes; a larger one makes other bindings void."""
        places = Places(self.device, wishes)
        size = max(size, places.size)
        if not self.device.apart and size > self._arena.size:
            self._drop()
            self._arena.grow(size)
        places.settle(self._arena)
        return places

    def _setrounded(self) -> None:
        """What all bindings have: constants, the error record."""
        device = self.device
        if self._pending is None:
            self._pending = Pending(
                device, 0 if device.apart else REPLY, self.inputs, self.shared, self.origins,
                self.linked.checks,
            )  # fmt: skip
        if self._constants is None:
            kept = []
            for number in self._constant_numbers:
                array = np.ascontiguousarray(self._object(number))
                memory = device.allocate(array.nbytes)
                device.put(memory.address, array)
                kept.append(memory)
            self._constants = kept

    def _wishes(self, binding: Binding, given: Sequence[int]) -> tuple[list[Wish], list[int]]:
        """Memory that a binding wants: packet, table of moves, inputs, outputs, buffers. And for
        each input the offset in the packet, or -1 where it has memory of its own, or is read where
        it is."""
        program, values = self.program, binding.values
        small = 0 if self.device.apart else SMALL
        steps = len(program.steps)

        def number_of(ref: Ref) -> int:
            return values[ref.number] if isinstance(ref, Reg) else ref

        live = sum(LIVE if s.source is None else len(s.live) for s in self.linked.steps)
        packet = rounded(8 * live, PIECE)
        offsets = []
        wishes = []
        binding.large = []
        for k, (shape, dtype) in enumerate(zip(binding.shapes, self._dtypes)):
            size = prod(shape) * itemsize(dtype)
            if given[k] < 0 and size <= small:
                offsets.append(packet)
                packet += rounded(size, PIECE)
                continue
            offsets.append(-1)
            if given[k] < 0:
                binding.large.append(k)
                what = partial(_array, f"input {self.inputs[k]}", dtype, shape)
                wishes.append(Wish(size, -1, steps, what))
        reply, binding.outputs = 0, []
        for position, output in enumerate(program.outputs):
            shape = tuple(map(number_of, output.shape))
            size = prod(shape) * itemsize(output.dtype)
            at = -1
            if size <= small and reply + size <= REPLY:
                at, reply = reply, reply + rounded(size, PIECE)
            else:
                what = partial(_array, f"output {position}", output.dtype, shape)
                wishes.append(Wish(size, -1, steps, what))
            binding.outputs.append((0, shape, output.dtype, at))
        binding.reply = reply
        for k, buffer in enumerate(program.buffers):
            size = number_of(buffer.size) * itemsize(buffer.dtype)
            wishes.append(Wish(size, buffer.first, buffer.last, partial(self._buffer, k)))
        ends = 8 * moves.WORDS * (len(binding.shapes) + 1 + len(program.outputs))
        head = [Wish(packet, -1, steps, lambda: "arguments"), Wish(ends, -1, steps, lambda: "map")]
        return [*head, *wishes], offsets

    def _enter(
        self,
        binding: Binding,
        places: Places,
        size: int,
        offsets: Sequence[int],
        residents: Sequence[DeviceValue],
        given: Sequence[int],
    ) -> None:
        """Addresses and launches. size: bytes of the packet."""
        program, pending = self.program, self._pending
        assert pending is not None and self._constants is not None
        addresses: dict[Storage, int] = {}
        rest = iter(places.addresses)
        binding.packet_at, binding.table = next(rest), next(rest)
        packet = binding.packet = np.zeros(size, np.uint8)
        binding.pieces, binding.targets = [], []
        for k, (shape, dtype) in enumerate(zip(binding.shapes, self._dtypes)):
            at = offsets[k]
            if at >= 0:
                view = packet[at : at + prod(shape) * itemsize(dtype)].view(dtype).reshape(shape)
                binding.pieces.append((k, at, view))
                target = binding.packet_at + at, False
            elif given[k] >= 0:
                target = given[k], True
            else:
                target = next(rest), False
            binding.targets.append(target)
            addresses["object", self._input_numbers[k]] = target[0]
        for k, (_, shape, dtype, at) in enumerate(binding.outputs):
            address = pending.outputs + at if at >= 0 else next(rest)
            binding.outputs[k] = address, shape, dtype, at
            addresses["object", program.outputs[k].object] = address
        for k, address in enumerate(rest):
            addresses["buffer", k] = address
        for number, resident in zip(self._shared_numbers, residents):
            addresses["object", number] = resident.address
        for number, memory in zip(self._constant_numbers, self._constants):
            addresses["object", number] = memory.address
        binding.addresses = tuple(r.address for r in residents)
        binding.places = places
        binding.storage, binding.scratch = addresses, []

        def scratch(size: int) -> int:
            binding.scratch.append(places.scratch(size))
            return binding.scratch[-1]

        binding.bound = Bound(self.linked, binding.values, addresses, self.device.geometry, scratch)
        if 8 * len(binding.bound.moving) > size:
            raise CompilerError("more words move than were counted")

    def _buffer(self, k: int) -> str:
        """What an intermediate result is, for messages."""
        program = self.program
        return f"{program.buffers[k].dtype} result{made_by(program, self.origins, ('buffer', k))}"

    def _too_large(self, error: OutOfMemoryError, wishes: Sequence[Wish]) -> OutOfMemoryError:
        shared = [
            Wish(
                prod(s.current_shape) * itemsize(s.dtype), 0, 0,
                partial(_array, f"shared variable {s}", s.dtype, s.current_shape),
            )
            for s in self.shared
        ]  # fmt: skip
        return OutOfMemoryError(too_large(self.device.name, str(error), [*wishes, *shared]))

    # ---- calls

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        """One call with fitting arrays: of NumPy, or as `adopt` gives them.

        Errors: ShapeError, IndexOutOfBoundsError; OutOfMemoryError, DeviceLostError."""
        with self.device.lock:
            if len(self._unsettled) and self._waits():
                self._unsettled.settle(but=self._pending)
            base = self._bind(arrays)
            fresh = self._fresh(base)
            binding = self._variant(base, fresh) if self.kept else base
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
        self._writes(binding)
        self._order(binding)
        return self._results(binding, arrays, fresh)

    def _fresh(self, binding: Binding) -> list[Memory | None]:
        """Memory for outputs that stay on the device: taken before anything is changed."""
        first = len(self.program.rebinds)
        if not first and not self.kept:
            return []
        found: list[Memory | None] = []
        try:
            for position, (_, shape, dtype, _) in enumerate(binding.outputs):
                stays = position < first or position - first in self.kept
                size = prod(shape) * itemsize(dtype)
                found.append(self.device.allocate(size) if stays else None)
        except OutOfMemoryError as error:
            wishes = [
                Wish(
                    prod(shape) * itemsize(dtype),
                    0,
                    0,
                    partial(_array, f"output {k}", dtype, shape),
                )
                for k, (_, shape, dtype, _) in enumerate(binding.outputs)
            ]
            raise self._too_large(error, wishes) from None
        return found

    def _variant(self, base: Binding, fresh: Sequence[Memory | None]) -> Binding:
        """The binding whose large outputs are written where they stay: memory that users give back
        is used again, so few addresses take turns."""
        first = len(self.program.rebinds)
        places = tuple(
            memory.address if k >= first and memory is not None and memory.size >= LARGE else 0
            for k, memory in enumerate(fresh)
        )
        if not any(places):
            return base
        found = base.variants.get(places)
        if found is None:
            if len(base.variants) >= VARIANTS:
                return base
            found = base.variants[places] = self._with_outputs(base, places)
        found.values, found.residents = base.values, base.residents
        found.live = found.bound.live(found.values) if found.bound.moving else base.live
        # they have one packet, which another of them may have sent
        base.sent = found.sent = None
        return found

    def _with_outputs(self, base: Binding, places: Sequence[int]) -> Binding:
        """A binding with outputs at these addresses, where they are not 0; the rest is shared."""
        found = copy.copy(base)
        found.outputs, found.storage = list(base.outputs), dict(base.storage)
        for k, address in enumerate(places):
            if address:
                found.outputs[k] = address, *base.outputs[k][1:]
                found.storage["object", self.program.outputs[k].object] = address
        scratch = iter(base.scratch)
        found.bound = Bound(
            self.linked,
            base.values,
            found.storage,
            self.device.geometry,
            lambda size: next(scratch),
        )
        found.recording = found.mapping = None
        found.calls = found.refusals = 0
        found.variants = {}
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

    def _writes(self, binding: Binding) -> None:
        """The device is about to overwrite shared variables."""
        for variable in self._written:
            variable.moved()

    def _unasked(self, binding: Binding, arrays: Sequence[Any]) -> None:
        """Calls were ordered and nobody waited: whoever waits next asks for their errors."""
        assert self._pending is not None
        self._pending.called(arrays)

    def _order(self, binding: Binding) -> None:
        """Everything between upload and results."""
        assert self._pending is not None
        if self.profile is not None:
            spans = binding.bound.spans
            times = self.device.timed(
                [partial(self._launches, binding, first, last) for first, last in spans]
            )
            self.profile[: len(times), 0] += times
            self.profile[: len(times), 1] += 1
            return
        if binding.recording is None and binding.calls and binding.refusals < REFUSALS:
            binding.recording = self._record(binding, partial(self._launches, binding))
        binding.calls += 1
        if binding.recording is not None:
            binding.recording.replay()
        else:
            self._launches(binding)

    def _record(self, binding: Binding, orders: Callable[[], None]) -> Recording | None:
        try:
            found = self.device.record(orders)
        except RecordingError as error:
            binding.refusals += 1
            self.recorded, self.why_not_recorded = False, str(error)
            return None
        self.recorded, self.why_not_recorded = True, ""
        return found

    def _launches(self, binding: Binding, first: int = 0, last: int | None = None) -> None:
        """Order steps of a binding."""
        device, live = self.device, binding.packet_at
        assert self._pending is not None
        error = self._pending.error
        for step in binding.bound.steps[first:last]:
            if isinstance(step, BoundKernel):
                device.launch(step, live, error)
            else:
                device.multiply(step, live, error)

    # ---- results

    def _results(
        self, binding: Binding, arrays: Sequence[Any], fresh: Sequence[Memory | None]
    ) -> list[Any]:
        device, pending, program = self.device, self._pending, self.program
        assert pending is not None
        first = len(program.rebinds)
        outputs: list[Any] = []
        for k, (address, shape, dtype, _) in enumerate(binding.outputs):
            memory = fresh[k] if fresh else None
            if memory is not None and memory.address != address:
                device.copy(memory.address, address, prod(shape) * itemsize(dtype))
        if self._waits():
            earlier = pending.calls
            try:
                pending.read(binding.reply)
            except BaseException:  # an interrupt while waiting
                self._unasked(binding, arrays)
                raise
            pending.check(() if earlier else arrays)
        elif self.linked.checks:
            self._unasked(binding, arrays)
        for k, (address, shape, dtype, at) in enumerate(binding.outputs):
            memory = fresh[k] if fresh else None
            if k < first:
                continue
            if memory is not None:
                outputs.append(device.array(memory, shape, dtype))
                continue
            out = np.empty(shape, dtype)
            if at >= 0:
                begin = ERROR + STATE + at
                out[...] = pending.host[begin : begin + out.nbytes].view(dtype).reshape(shape)
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
        if self.program.rebinds or self._chained or self.profile is not None:
            return self._one_by_one(sequences, count, between)
        sequences = [np.ascontiguousarray(s) for s in sequences]
        stacked: list[Any] = []
        shapes: list[tuple[int, ...]] | None = None
        done = 0
        try:
            while done < count:
                with self.device.lock:
                    if len(self._unsettled):
                        self._unsettled.settle(but=self._pending)
                    binding = self._bind([s[done, ...] for s in sequences])
                    found = [shape for _, shape, _, _ in binding.outputs]
                    if shapes is None:
                        shapes = found
                        stacked = self._stacks(binding, count)
                    elif shapes != found:
                        raise _unlike(done, found, shapes)
                    done += self._part(binding, sequences, done, count, stacked, limit_ns)
                if between is not None and between(done):
                    break
        finally:
            self._stage = None
        if shapes is None:
            return [np.empty((0, *(0 for _ in o.shape)), o.dtype) for o in self.program.outputs]
        return [self._stack(s, done) for s in stacked]

    def _one_by_one(
        self, sequences: Sequence[np.ndarray], count: int, between: Callable[[int], bool] | None
    ) -> list[Any]:
        results = []
        for done in range(count):
            results.append(self.run([s[done, ...] for s in sequences]))
            if between is not None and between(done + 1):
                break
        outputs = self.program.outputs[len(self.program.rebinds) :]
        if not results:
            return [np.empty((0, *(0 for _ in o.shape)), o.dtype) for o in outputs]
        for done, arrays in enumerate(results):
            found, before = [a.shape for a in arrays], [a.shape for a in results[0]]
            if found != before:
                raise _unlike(done, found, before)
        return [np.stack([np.asarray(a) for a in r]) for r in zip(*results)]

    def _stacks(self, binding: Binding, count: int) -> list[Any]:
        """Where the outputs of all calls go: NumPy arrays, or for those that are kept memory."""
        found: list[Any] = []
        for k, (_, shape, dtype, _) in enumerate(binding.outputs):
            if k in self.kept:
                memory = self.device.allocate(count * prod(shape) * itemsize(dtype))
                found.append((memory, shape, dtype))
            else:
                found.append(np.empty((count, *shape), dtype))
        return found

    def _stack(self, stack: Any, done: int) -> Any:
        if isinstance(stack, np.ndarray):
            return stack[:done]
        memory, shape, dtype = stack
        with self.device.lock:
            self.device.hand_over()
            return self.device.array(memory, (done, *shape), dtype)

    def _part(
        self,
        binding: Binding,
        sequences: Sequence[np.ndarray],
        done: int,
        count: int,
        stacked: list[Any],
        limit_ns: int,
    ) -> int:
        """Some calls from number `done` on, and the wait for them; how many there were."""
        device, pending = self.device, self._pending
        assert pending is not None
        begin = time.perf_counter_ns()
        many = 1
        if binding.pace is not None:
            many = int(min(limit_ns / max(binding.pace, 1.0), GROWTH * binding.many)) or 1
        sizes = [
            len(binding.packet),
            *(sequences[k][0].nbytes for k in binding.large),
            *(prod(shape) * itemsize(dtype) for _, shape, dtype, _ in binding.outputs),
        ]
        many = min(many, count - done, max(1, STAGE // max(sum(sizes), 1)))
        while True:
            starts = _starts(many, sizes)
            if self._stage is not None and self._stage.size >= starts[-1]:
                break
            self._stage = None
            try:
                self._stage = device.allocate(starts[-1])
            except OutOfMemoryError as error:
                if many > 1:
                    many //= 2
                    continue
                wish = Wish(starts[-1], 0, 0, lambda: "what a call of map takes and gives")
                raise self._too_large(error, [wish]) from None
        many, rows = self._rows(binding, sequences, done, many)
        base = self._stage.address
        table: list[moves.Move] = [(base, sizes[0], binding.packet_at, 0, sizes[0])]
        if rows.size:
            device.put(base, rows)
        for k, start, size in zip(binding.large, starts[1:], sizes[1:]):
            if size:
                device.put(base + start, sequences[k][done : done + many])
            table.append((base + start, size, binding.targets[k][0], 0, size))
        heads = len(table)
        for (address, _, _, _), start, size in zip(binding.outputs, starts[heads:], sizes[heads:]):
            table.append((address, 0, base + start, size, size))
        device.put(binding.table, np.array(table, np.int64))
        device.clear(pending.state, 16)
        ends = self._ends(binding, table, heads)
        self._writes(binding)
        binding.sent = None
        device.load([ends[0].source])
        earlier = pending.calls
        try:
            self._repeat(binding, ends, many)
            pending.read()
        except BaseException:  # an interrupt, in the middle of it
            self._unasked(binding, ())
            raise
        completed = pending.completed
        for stack, start, size in zip(stacked, starts[heads:], sizes[heads:]):
            if isinstance(stack, np.ndarray):
                if stack.size:
                    device.get(stack[done : done + completed], base + start)
            elif completed * size:
                device.copy(stack[0].address + done * size, base + start, completed * size)
        failed = min(done + completed, count - 1)
        pending.check(() if earlier else [s[failed, ...] for s in sequences])
        binding.pace = (time.perf_counter_ns() - begin) / many
        binding.many = many
        return many

    def _repeat(self, binding: Binding, ends: tuple[BoundKernel, BoundKernel], many: int) -> None:
        """Order that many calls of `map`."""
        with Whole() as interrupts:
            if not binding.calls:
                self._mapped(binding, ends)
                binding.calls += 1
                many -= 1
            if many and binding.mapping is None and binding.refusals < REFUSALS:
                binding.mapping = self._record(binding, partial(self._mapped, binding, ends))
            for _ in range(many):
                interrupts.check()
                if binding.mapping is not None:
                    binding.mapping.replay()
                else:
                    self._mapped(binding, ends)

    def _rows(
        self, binding: Binding, sequences: Sequence[np.ndarray], done: int, many: int
    ) -> tuple[int, np.ndarray]:
        """Packets of the next calls, as many as this binding is good for."""
        moving = self._moving
        parts = [s[done : done + many] for s in sequences]
        values: Sequence[Any] = binding.values
        if moving.numbers:

            def value(number: int) -> np.ndarray:
                o = self.program.objects[number]
                if o.role == "input":
                    return parts[o.position]
                host = self._object(number)
                array = host.peek() if o.role == "shared" else host
                return np.broadcast_to(array, (many,))

            values = moving.many(binding.values, value)
            good = np.ones(many, bool)
            for k in moving.sizes:
                good &= np.asarray(values[k]) == binding.values[k]
            for k in moving.conditions:
                good &= np.asarray(values[k]) != 0
            if not good.all():
                many = max(1, int(np.argmin(good)))  # the first one was looked at by binding
        rows = np.zeros((many, len(binding.packet)), np.uint8)
        if binding.bound.moving:
            words = rows[:, : 8 * len(binding.bound.moving)].view(np.int64)
            for k, rule in enumerate(binding.bound.moving):
                found = rule(values)
                words[:, k] = found[:many] if isinstance(found, np.ndarray) else found
        for k, at, view in binding.pieces:
            if view.size:
                piece = rows[:, at : at + view.nbytes].view(view.dtype)
                piece[...] = parts[k][:many].reshape(many, view.size)
        return many, rows

    def _ends(
        self, binding: Binding, table: Sequence[moves.Move], heads: int
    ) -> tuple[BoundKernel, BoundKernel]:
        """Head and tail of a step of `map`."""
        assert self._pending is not None
        state, geometry = self._pending.state, self.device.geometry
        behind = binding.table + 8 * moves.WORDS * heads
        return (
            moves.end(binding.table, table[:heads], state, False, geometry),
            moves.end(behind, table[heads:], state, True, geometry),
        )

    def _mapped(self, binding: Binding, ends: tuple[BoundKernel, BoundKernel]) -> None:
        """Order one call of `map`."""
        assert self._pending is not None
        head, tail = ends
        self.device.launch(head, binding.packet_at, self._pending.error)
        self._launches(binding)
        self.device.launch(tail, binding.packet_at, self._pending.error)


def _starts(many: int, sizes: Sequence[int]) -> list[int]:
    """Offsets of `many` rows of each size, one after the other; last the bytes of all."""
    found = [0]
    for size in sizes:
        found.append(found[-1] + rounded(many * size, ALIGN))
    return found


def _array(what: str, dtype: str, shape: Sequence[int]) -> str:
    return f"{what}: {dtype}{tuple(shape)}"


def _unlike(call: int, shapes: Sequence[Any], before: Sequence[Any]) -> ShapeError:
    return ShapeError(
        f"map: outputs of call {call} have shapes {shapes}, those before had {before}; they cannot "
        "be stacked"
    )
