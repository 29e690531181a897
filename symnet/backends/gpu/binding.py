"""Making a binding: a program with its addresses and launches for the sizes of a call."""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from math import prod

import numpy as np

from symnet.backends.arena import rounded
from symnet.backends.gpu import moves
from symnet.backends.gpu.bind import Bound, BoundKernel
from symnet.backends.gpu.device import Memory, Recording
from symnet.backends.gpu.loaded import Loaded
from symnet.backends.gpu.memory import Arena, Places, Wish
from symnet.backends.gpu.pending import Pending
from symnet.backends.gpu.products import LIVE
from symnet.backends.gpu.residence import DeviceValue
from symnet.backends.overflow import check_fit
from symnet.backends.words import itemsize
from symnet.errors import CompilerError, OutOfMemoryError
from symnet.schedule.program import Ref, Reg, Storage

SMALL = 1024  # bytes of an input or output that goes with the packet or the reply
PIECE = 16  # bytes, of what lies in a packet or a reply
REPLY = 4096  # bytes of small outputs, at most


class Binding:
    """A program with its addresses and launches for the sizes of a call.

    shapes     of the inputs
    values     registers
    pending    the program's error record, and the reply behind it
    epoch      SharedVariable.epoch when the addresses of shared variables were looked up
    residents  their values there
    targets    address of each input, and whether the array is read where it is (then no copy)
    outputs    (address, shape, dtype, offset in the reply or -1) of each
    recording  of a call; None before the second one, or where recording failed
    mapping    the same of a call of `map`
    refusals   how often recording failed: what others do on the device meanwhile can spoil it
    variants   this binding with large outputs where they stay, by their addresses
    """

    def __init__(self, shapes: tuple[tuple[int, ...], ...], values: list[int], pending: Pending):
        self.shapes = shapes
        self.values = values
        self.pending = pending
        self.epoch = -1
        self.residents: list[DeviceValue] = []
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


class Binder:
    """Makes bindings, and has what they share.

    arena    their memory
    pending  the program's error record; None before the first binding
    """

    def __init__(self, loaded: Loaded):
        self._loaded = loaded
        self.arena = Arena(loaded.device)
        self.pending: Pending | None = None
        self._constants: list[Memory] | None = None

    def make(
        self,
        shapes: tuple[tuple[int, ...], ...],
        values: list[int],
        residents: Sequence[DeviceValue],
        given: Sequence[int],
        void: Callable[[], None],
    ) -> Binding:
        """A binding for inputs of these shapes, of which some are read where they are given.

        given  address of each of those, -1 for others
        void   is called before the arena is replaced: bindings made before are then void

        Errors: ShapeError for sizes that no int64 holds, OutOfMemoryError."""
        loaded = self._loaded
        check_fit(loaded.program, lambda r: values[r.number] if isinstance(r, Reg) else r)
        layout = _Layout(loaded, shapes, values, given)
        wishes = layout.wishes
        try:
            pending, constants = self._common()
            binding = Binding(shapes, values, pending)
            binding.large, binding.reply = layout.large, layout.reply
            places = self._places(wishes, void)
            self._enter(binding, places, layout, constants, residents, given)
            if not places.fits:  # with the scratch that launches turned out to want
                scratch = places.size - places.wished
                wishes.append(Wish(scratch, 0, 0, lambda: "scratch of kernels and products"))
                places = self._places(wishes[:-1], void, places.size)
                self._enter(binding, places, layout, constants, residents, given)
        except OutOfMemoryError as error:
            raise loaded.too_large(error, wishes) from None
        sources = [s.source for s in binding.bound.steps if isinstance(s, BoundKernel)]
        loaded.device.load(dict.fromkeys(sources))
        return binding

    def _common(self) -> tuple[Pending, list[Memory]]:
        """What all bindings have: the error record, constants."""
        loaded, device = self._loaded, self._loaded.device
        if self.pending is None:
            self.pending = Pending(
                device, 0 if device.apart else REPLY, loaded.inputs, loaded.shared, loaded.origins,
                loaded.linked.checks,
            )  # fmt: skip
        if self._constants is None:
            kept = []
            for number in loaded.constant_numbers:
                array = np.ascontiguousarray(loaded.object(number))
                memory = device.allocate(array.nbytes)
                device.put(memory.address, array)
                kept.append(memory)
            self._constants = kept
        return self.pending, self._constants

    def _places(self, wishes: Sequence[Wish], void: Callable[[], None], size: int = 0) -> Places:
        """Places in an arena of at least `size` bytes."""
        device = self._loaded.device
        places = Places(device, wishes)
        size = max(size, places.size)
        if not device.apart and size > self.arena.size:
            void()
            self.arena.grow(size)
        places.settle(self.arena)
        return places

    def _enter(
        self,
        binding: Binding,
        places: Places,
        layout: "_Layout",
        constants: Sequence[Memory],
        residents: Sequence[DeviceValue],
        given: Sequence[int],
    ) -> None:
        """Addresses and launches."""
        loaded, program = self._loaded, self._loaded.program
        addresses: dict[Storage, int] = {}
        rest = iter(places.addresses)
        binding.packet_at, binding.table = next(rest), next(rest)
        packet = binding.packet = np.zeros(layout.packet, np.uint8)
        binding.pieces, binding.targets, binding.outputs = [], [], []
        for k, (shape, dtype) in enumerate(zip(binding.shapes, loaded.dtypes)):
            at = layout.offsets[k]
            if at >= 0:
                view = packet[at : at + prod(shape) * itemsize(dtype)].view(dtype).reshape(shape)
                binding.pieces.append((k, at, view))
                target = binding.packet_at + at, False
            elif given[k] >= 0:
                target = given[k], True
            else:
                target = next(rest), False
            binding.targets.append(target)
            addresses["object", loaded.input_numbers[k]] = target[0]
        for output, (shape, dtype, at) in zip(program.outputs, layout.outputs):
            address = binding.pending.outputs + at if at >= 0 else next(rest)
            binding.outputs.append((address, shape, dtype, at))
            addresses["object", output.object] = address
        for k, address in enumerate(rest):
            addresses["buffer", k] = address
        for number, resident in zip(loaded.shared_numbers, residents):
            addresses["object", number] = resident.address
        for number, memory in zip(loaded.constant_numbers, constants):
            addresses["object", number] = memory.address
        binding.places = places
        binding.storage, binding.scratch = addresses, []

        def scratch(size: int) -> int:
            binding.scratch.append(places.scratch(size))
            return binding.scratch[-1]

        geometry = loaded.device.geometry
        binding.bound = Bound(loaded.linked, binding.values, addresses, geometry, scratch)
        if 8 * len(binding.bound.moving) > layout.packet:
            raise CompilerError("more words move than were counted")

    def with_outputs(self, base: Binding, places: Sequence[int]) -> Binding:
        """A binding with outputs at these addresses, where they are not 0; the rest is shared."""
        loaded = self._loaded
        found = copy.copy(base)
        found.outputs, found.storage = list(base.outputs), dict(base.storage)
        for k, address in enumerate(places):
            if address:
                found.outputs[k] = address, *base.outputs[k][1:]
                found.storage["object", loaded.program.outputs[k].object] = address
        scratch = iter(base.scratch)
        found.bound = Bound(
            loaded.linked,
            base.values,
            found.storage,
            loaded.device.geometry,
            lambda size: next(scratch),
        )
        found.recording = found.mapping = None
        found.calls = found.refusals = 0
        found.variants = {}
        return found


class _Layout:
    """What a binding wants memory for, and what goes in the packet and the reply.

    wishes   packet, table of moves, inputs, outputs, buffers
    packet   bytes of it
    offsets  for each input the one in the packet, or -1 where it has memory of its own, or is read
             where it is
    large    inputs that have memory of their own
    outputs  (shape, dtype, offset in the reply or -1) of each
    reply    bytes of it
    """

    def __init__(
        self,
        loaded: Loaded,
        shapes: Sequence[tuple[int, ...]],
        values: Sequence[int],
        given: Sequence[int],
    ):
        program = loaded.program
        small = 0 if loaded.device.apart else SMALL
        steps = len(program.steps)

        def number_of(ref: Ref) -> int:
            return values[ref.number] if isinstance(ref, Reg) else ref

        live = sum(LIVE if s.source is None else len(s.live) for s in loaded.linked.steps)
        self.packet = rounded(8 * live, PIECE)
        self.offsets: list[int] = []
        self.large: list[int] = []
        wishes = []
        for k, (shape, dtype) in enumerate(zip(shapes, loaded.dtypes)):
            size = prod(shape) * itemsize(dtype)
            if given[k] < 0 and size <= small:
                self.offsets.append(self.packet)
                self.packet += rounded(size, PIECE)
                continue
            self.offsets.append(-1)
            if given[k] < 0:
                self.large.append(k)
                wishes.append(Wish.of_array(f"input {loaded.inputs[k]}", dtype, shape, -1, steps))
        self.outputs: list[tuple[tuple[int, ...], str, int]] = []
        self.reply = 0
        for position, output in enumerate(program.outputs):
            shape = tuple(map(number_of, output.shape))
            size = prod(shape) * itemsize(output.dtype)
            at = -1
            if size <= small and self.reply + size <= REPLY:
                at, self.reply = self.reply, self.reply + rounded(size, PIECE)
            else:
                wishes.append(Wish.of_array(f"output {position}", output.dtype, shape, -1, steps))
            self.outputs.append((shape, output.dtype, at))
        for k, buffer in enumerate(program.buffers):
            size = number_of(buffer.size) * itemsize(buffer.dtype)
            wishes.append(Wish(size, buffer.first, buffer.last, partial(loaded.buffer, k)))
        ends = 8 * moves.WORDS * (len(shapes) + 1 + len(program.outputs))
        self.wishes = [
            Wish(self.packet, -1, steps, lambda: "arguments"),
            Wish(ends, -1, steps, lambda: "map"),
            *wishes,
        ]
