"""The bindings of a program: finding the one for a call, or having it made.

In the order of what it costs: the last one is renewed, if sizes and addresses are as they were; one
of those that are kept is taken; or another is made.
"""

import gc
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from symnet.backends.gpu import failure, moves
from symnet.backends.gpu.binding import SMALL, Binder, Binding
from symnet.backends.gpu.device import DeviceArray, Memory
from symnet.backends.gpu.link import registers
from symnet.backends.gpu.loaded import Loaded
from symnet.backends.gpu.memory import Arena
from symnet.backends.gpu.pending import Pending
from symnet.backends.gpu.residence import DeviceValue
from symnet.backends.words import itemsize
from symnet.errors import OutOfMemoryError
from symnet.graph.variables import SharedVariable

BINDINGS = 16  # kept per program
PLACES = 4  # device arrays per input and size that are read where they lie; others are copied
LARGE = 4 << 20  # bytes of an output that stays from which on it is written where it stays
VARIANTS = 8  # addresses of such outputs that a binding has a recording for; others are copied


class Bindings:
    """The bindings of a program that are kept; iterated over, the oldest first.

    last   the one of the last call
    spare  memory that is given up where there is too little
    """

    def __init__(self, loaded: Loaded, spare: Arena):
        self.last: Binding | None = None
        self._loaded = loaded
        self._spare = spare
        self._binder = Binder(loaded)
        self._kept: OrderedDict[tuple, Binding] = OrderedDict()
        self._met: dict[tuple[int, tuple[int, ...]], set[int]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Binding]:
        return iter(self._kept.values())

    @property
    def pending(self) -> Pending | None:
        """The program's error record; None before the first binding."""
        return self._binder.pending

    def clear(self) -> None:
        """Forget them and give back their memory."""
        self._drop()
        self._met.clear()
        self._spare.release()

    def _drop(self) -> None:
        self._kept.clear()
        self.last = None
        self._binder.arena.release()

    # ---- for a call

    def find(self, arrays: Sequence[Any]) -> Binding:
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
        return self._find_other(arrays)

    def _attached(self, binding: Binding) -> bool:
        """Whether shared variables are where they were, or could be brought there."""
        while binding.epoch != SharedVariable.epoch:
            epoch = SharedVariable.epoch
            for variable, known in zip(self._loaded.variables, binding.residents):
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
        moving = self._loaded.moving
        if not moving.numbers:
            return True
        value = self._loaded.value(arrays)
        values = moving.update(list(binding.values), [value(n) for n in moving.objects])
        for k in moving.sizes:
            if values[k] != binding.values[k]:
                return False
        for k in moving.conditions:
            if not values[k]:
                failure.check_sizes(self._loaded, values, arrays)
        binding.values = values
        if binding.bound.moving:
            binding.live = binding.bound.live(values)
        return True

    def _find_other(self, arrays: Sequence[Any]) -> Binding:
        try:
            return self._found_or_made(arrays)
        except OutOfMemoryError:
            self._drop()
            self._spare.release()
            gc.collect()
        return self._found_or_made(arrays)

    def _found_or_made(self, arrays: Sequence[Any]) -> Binding:
        loaded, program = self._loaded, self._loaded.program
        while True:
            epoch = SharedVariable.epoch
            residents = [self._resident(s) for s in loaded.variables]
            if epoch == SharedVariable.epoch:
                break
        shapes: list[Any] = []
        for number, o in enumerate(program.objects):
            if o.role == "input":
                shapes.append(tuple(arrays[o.position].shape))
                failure.check_static(loaded.inputs[o.position], o, shapes[-1])
            elif o.role == "output":
                shapes.append(())
            elif o.role == "shared":
                shapes.append(residents[loaded.shared_numbers.index(number)].shape)
            else:
                shapes.append(loaded.object(number).shape)
        values = registers(program, shapes, loaded.value(arrays))
        failure.check_sizes(loaded, values, arrays)
        given = [self._read_there(k, a, residents) for k, a in enumerate(arrays)]
        addresses = tuple(r.address for r in residents)
        inputs = tuple(shapes[n] for n in loaded.input_numbers)
        key = (inputs, addresses, tuple(given), tuple(values[k] for k in loaded.linked.keys))
        binding = self._kept.get(key)
        if binding is None:
            binding = self._binder.make(inputs, values, residents, given, self._drop)
            self._kept[key] = binding
            while len(self._kept) > BINDINGS:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
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
        device, remote = self._loaded.device, variable.remote
        ours = isinstance(remote, DeviceValue) and remote.gpu is device
        if ours and variable.remote_current:
            return remote  # type: ignore[return-value]
        host = variable.peek()
        if not ours or remote.shape != host.shape:  # type: ignore[union-attr]
            try:
                remote = DeviceValue.empty(device, host.shape, host.dtype.name)
            except OutOfMemoryError as error:
                raise self._loaded.too_large(error, []) from None
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
        for number in self._loaded.overwritten:
            other = residents[number]
            if array.address < other.address + other.memory.size and other.address < end:
                return -1
        met = self._met.setdefault((k, array.shape), set())
        if array.address not in met and len(met) >= PLACES:
            return -1
        met.add(array.address)
        return array.address

    # ---- outputs that stay

    def variant(self, base: Binding, fresh: Sequence[Memory | None]) -> Binding:
        """The binding whose large outputs are written where they stay: memory that users give back
        is used again, so few addresses take turns."""
        first = len(self._loaded.program.rebinds)
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
            found = base.variants[places] = self._binder.with_outputs(base, places)
        found.values, found.residents = base.values, base.residents
        found.live = found.bound.live(found.values) if found.bound.moving else base.live
        # they have one packet, which another of them may have sent
        base.sent = found.sent = None
        return found
