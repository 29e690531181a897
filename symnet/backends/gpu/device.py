"""What the runner asks of a device: memory, copies, launches, recordings; nothing else is special.

`cuda.CudaDevice` is a GPU through CuPy; `emulated.EmulatedDevice` runs the same text on the host.
Orders are carried out one after the other, as on a CUDA stream: an order may return before it is
done, and what the device computed is known to the host after `get` or `wait` only. Addresses are
those of device memory. Whoever gives several orders that belong together holds `lock`.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from symnet.backends.gpu import launch
from symnet.backends.gpu.bind import BoundKernel, BoundMatmul
from symnet.backends.gpu.source import Source


class Memory(Protocol):
    """A piece of device memory, aligned to 256 bytes. It is given back when nobody holds the
    object: not before what was ordered by then is done with it."""

    address: int
    size: int


class Recording(Protocol):
    """Orders that were recorded once. It does not keep the memory that they work on."""

    def replay(self) -> None:
        """Order all of them again."""


@dataclass(frozen=True)
class DeviceArray:
    """An array in device memory, of whichever library.

    strides  in bytes
    owner    keeps the memory alive
    """

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    owner: Any


class GpuDevice(Protocol):
    """A device.

    name          "cuda" or "emulated"
    geometry      what launches are made for
    architecture  90 is sm_90
    apart         whether every buffer gets memory of its own, where it can be watched, instead of
                  a place in a common one
    lock          one call at a time
    """

    name: str
    geometry: launch.Device
    architecture: int
    apart: bool
    lock: threading.RLock

    def allocate(self, size: int) -> Memory:
        """Memory with anything in it; `size` may be 0. Errors: OutOfMemoryError."""

    def put(self, address: int, array: np.ndarray) -> None:
        """Copy a contiguous array to the device. It may be changed once this has returned."""

    def get(self, array: np.ndarray, address: int) -> None:
        """Fill a contiguous array from the device, when all before is done. Errors: as `wait`."""

    def copy(self, target: int, source: int, size: int) -> None:
        """Copy bytes within the device; the places do not overlap."""

    def clear(self, address: int, size: int) -> None:
        """Fill with zero bytes."""

    def load(self, sources: Iterable[Source]) -> None:
        """Get kernels ready to be launched, those that are not yet. Errors: BackendError."""

    def launch(self, kernel: BoundKernel, live: int, error: int) -> None:
        """Launch a loaded kernel. `live` is the address of the first live word of its binding,
        `error` that of the error record."""

    def multiply(self, product: BoundMatmul, live: int) -> None:
        """Order a matrix product; `live` as for `launch`."""

    def wait(self) -> None:
        """Return when everything that was ordered is done. Errors: DeviceLostError."""

    def record(self, orders: Callable[[], None]) -> Recording:
        """Call `orders` and keep what it orders instead of doing it. Meanwhile `allocate`, `put`,
        `get`, `load` of new kernels and `wait` are errors. Errors: RecordingError."""

    def timed(self, orders: Sequence[Callable[[], None]]) -> list[int]:
        """Call each of them, wait, and return the nanoseconds that each took on the device."""

    def array(self, memory: Memory, shape: Sequence[int], dtype: str, offset: int = 0) -> Any:
        """The array for the user at that byte of the memory, contiguous; no copy."""

    def adopt(self, value: Any) -> DeviceArray:
        """An array of another library in this device's memory, after whatever that library still
        has to do to it; no copy. Errors: TypeMismatchError with where it lies or what it is."""

    def hand_over(self) -> None:
        """What other libraries order from now on, on their default stream, comes after what has
        been ordered here: called when they get an array, and when theirs have been read."""
