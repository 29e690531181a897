"""The value of a shared variable in device memory."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from symnet.backends.gpu.device import GpuDevice, Memory
from symnet.backends.gpu.pending import unsettled
from symnet.backends.words import itemsize


class DeviceValue:
    """A `Residence`: a contiguous array in device memory.

    device  the device's name
    """

    def __init__(self, gpu: GpuDevice, memory: Memory, shape: Sequence[int], dtype: str):
        self.gpu = gpu
        self.device = gpu.name
        self.memory = memory
        self.shape = tuple(shape)
        self.dtype = dtype

    @classmethod
    def empty(cls, gpu: GpuDevice, shape: Sequence[int], dtype: str) -> "DeviceValue":
        """One with anything in it. Errors: OutOfMemoryError."""
        return cls(gpu, gpu.allocate(prod(shape) * itemsize(dtype)), shape, dtype)

    @property
    def address(self) -> int:
        return self.memory.address

    def fetch(self, host: np.ndarray) -> None:
        """Fill `host` when everything that was ordered is done. Errors: those of all programs of
        the device that nobody asked for since they were called: IndexOutOfBoundsError."""
        with self.gpu.lock:
            self.gpu.get(host, self.memory.address)
            unsettled(self.gpu).settle()

    def array(self) -> Any:
        """The device's array of it; no copy, no waiting."""
        with self.gpu.lock:
            self.gpu.hand_over()
            return self.gpu.array(self.memory, self.shape, self.dtype)
