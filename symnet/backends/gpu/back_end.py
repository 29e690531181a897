"""The GPU back end, as `symnet.function` asks for it (see backends/choice.py)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from symnet.backends.gpu import link as linking
from symnet.backends.gpu import moves
from symnet.backends.gpu.device import DeviceArray, GpuDevice
from symnet.backends.gpu.devices import device
from symnet.backends.gpu.link import Linked
from symnet.backends.gpu.residence import DeviceValue
from symnet.backends.gpu.runner import GpuRunner
from symnet.graph.origin import Origin
from symnet.graph.variables import Residence, SharedVariable, Variable


class BackEnd:
    """What compiles for the device `name`."""

    native_half_products = True
    link = staticmethod(linking.link)

    def __init__(self, name: str):
        self.name = name
        self.device = device(name)

    def make_runner(
        self,
        linked: Linked,
        inputs: Sequence[Variable],
        shared: Sequence[SharedVariable],
        constants: Sequence[np.ndarray],
        origins: Sequence[Origin],
        profile: bool = False,
    ) -> GpuRunner:
        return GpuRunner(linked, inputs, shared, constants, origins, profile, self.device)

    def identity(self) -> str:
        """What linked programs depend on: they are the same for all devices."""
        return "gpu"

    def resident(self, value: Any, into: Residence | None = None) -> DeviceValue:
        """A copy of an array in the device's memory; in that of `into`, if it fits there.
        Errors: TypeMismatchError, OutOfMemoryError."""
        gpu = self.device
        with gpu.lock:
            if isinstance(value, np.ndarray):
                found = DeviceValue.empty(gpu, value.shape, value.dtype.name)
                gpu.put(found.address, np.ascontiguousarray(value))
                return found
            given = gpu.adopt(value)
            if isinstance(into, DeviceValue) and _can_hold(into, gpu, given):
                found = into
            else:
                found = DeviceValue.empty(gpu, given.shape, given.dtype)
            moves.copy(gpu, found.address, given)
            gpu.hand_over()
            return found

    def fetch(self, value: Any) -> np.ndarray:
        """A copy of a device array as NumPy array. Errors: TypeMismatchError; those of
        `DeviceValue.fetch`."""
        with self.device.lock:
            found = self.resident(value)
            host = np.empty(found.shape, found.dtype)
            found.fetch(host)
            return host


def _can_hold(value: DeviceValue, gpu: GpuDevice, array: DeviceArray) -> bool:
    """Whether an array may be copied into a value's memory: it fits, and lies elsewhere."""
    if value.gpu is not gpu or (value.shape, value.dtype) != (array.shape, array.dtype):
        return False
    size = value.memory.size
    behind = array.address >= value.address + size or array.address + size <= value.address
    return behind and moves.contiguous(array)


def back_end(name: str) -> BackEnd:
    """The back end of a device. Errors: DeviceError where it is missing."""
    return BackEnd(name)
