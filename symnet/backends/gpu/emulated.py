"""A device without hardware: the CUDA text of a program, built by the host's C++ compiler and run.

Device memory is host memory, orders are carried out at once, and threads run one after the other
(`shim.py`). It is stricter than hardware: what is written beside a piece of memory, accesses that
are not aligned, threads that wait for others that do not come, and addresses that are nobody's are
errors, and while it records everything that a CUDA stream refuses then is refused.
"""

import bisect
import ctypes
import functools
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import Any

import numpy as np

from symnet.backends.arena import rounded
from symnet.backends.gpu import host, host_blas, launch
from symnet.backends.gpu.bind import BoundKernel, BoundMatmul
from symnet.backends.gpu.blas import Blas
from symnet.backends.gpu.compile import HOPPER
from symnet.backends.gpu.device import DeviceArray
from symnet.backends.gpu.prelude import THREADS
from symnet.backends.gpu.source import Source
from symnet.errors import CompilerError, OutOfMemoryError, RecordingError, TypeMismatchError
from symnet.graph.capsule import contiguous

GUARD = 64  # bytes before and behind every piece of memory that nobody may touch
ALIGN = 256  # bytes, as a device's allocations are aligned

_PATTERN = 0xA5
_BEYOND = bytes([_PATTERN]) * GUARD

SMALL = launch.Device(multiprocessors=2, shared=8 << 10)
"""A device on which grids have to loop and rows of scratch do not always fit."""


class EmulatedMemory:
    """A piece of memory between two guards."""

    def __init__(self, device: "EmulatedDevice", size: int):
        self.device = device
        block = np.full(size + ALIGN + 2 * GUARD + device.offset, _PATTERN, np.uint8)
        start = block.ctypes.data + GUARD
        self.address = rounded(start, ALIGN) + device.offset
        self.size = size
        self._block = block
        self._first = self.address - block.ctypes.data
        self._released = weakref.finalize(self, device.forget, self.address, size)
        self._released.atexit = False

    def bytes(self) -> np.ndarray:
        """Its content, not a copy."""
        return self._block[self._first : self._first + self.size]

    def check(self) -> None:
        """Errors: CompilerError if something was written beside it."""
        block, first, last = self._block, self._first, self._first + self.size
        before, after = block[first - GUARD : first], block[last : last + GUARD]
        if before.tobytes() != _BEYOND or after.tobytes() != _BEYOND:
            raise CompilerError(f"something was written beside a buffer of {self.size} bytes")


class EmulatedRecording:
    """Orders, to be carried out again."""

    def __init__(self, orders: list[tuple]):
        self._orders = orders

    def replay(self) -> None:
        for order, *arguments in self._orders:
            order(*arguments)


class EmulatedArray:
    """An array on the emulated device, as users get it: DLPack and NumPy read it where it lies."""

    symnet_device = "emulated"

    def __init__(self, memory: EmulatedMemory, shape: Sequence[int], dtype: str, offset: int):
        self.memory = memory
        self.address = memory.address + offset
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        size = prod(self.shape) * self.dtype.itemsize
        self._array = memory.bytes()[offset : offset + size].view(dtype).reshape(self.shape)

    def copy(self) -> "EmulatedArray":
        """An array of its own."""
        memory = self.memory.device.allocate(self._array.nbytes)
        found = EmulatedArray(memory, self.shape, self.dtype.name, 0)
        found._array[...] = self._array
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._array, dtype, copy=copy)

    def __dlpack__(self, **wishes: Any) -> Any:
        given = {k: wish for k, wish in wishes.items() if wish is not None and k != "stream"}
        return self._array.__dlpack__(**given)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0

    def __repr__(self) -> str:
        return f"EmulatedArray({self._array!r})"


class EmulatedDevice:
    """The device. It counts its launches in `launched`.

    geometry   what launches are made for
    offset     bytes by which memory misses its alignment, a multiple of 8
    downwards  whether blocks and threads run from the last to the first
    apart      see `GpuDevice`
    limit      bytes that there are; None: as many as the host has
    """

    name = "emulated"
    architecture = HOPPER

    def __init__(
        self,
        geometry: launch.Device = SMALL,
        offset: int = 0,
        downwards: bool = False,
        apart: bool = False,
        limit: int | None = None,
    ):
        self.geometry = geometry
        self.offset = offset
        self.downwards = downwards
        self.apart = apart
        self.limit = limit
        self.lock = threading.RLock()
        self.launched = 0
        self.used = 0
        self._starts: list[int] = []  # of all memory, sorted
        self._memories: dict[int, weakref.ref[EmulatedMemory]] = {}
        self._book = threading.RLock()  # memory is given back in any thread, at any time
        self._recorded: list[tuple] | None = None
        self._unchecked = False

    # ---- memory

    def allocate(self, size: int) -> EmulatedMemory:
        self._outside("memory is asked for")
        if self.limit is not None and self.used + size > self.limit:
            raise OutOfMemoryError(f"the emulated device has no {size} bytes left")
        try:
            memory = EmulatedMemory(self, size)
        except (MemoryError, OverflowError, ValueError):  # the latter: more than addresses reach
            raise OutOfMemoryError(f"the host has no {size} bytes left") from None
        with self._book:
            self.used += size
            bisect.insort(self._starts, memory.address)
            self._memories[memory.address] = weakref.ref(memory)
        return memory

    def forget(self, address: int, size: int) -> None:
        """The memory at this address is gone."""
        with self._book:
            self.used -= size
            del self._memories[address]
            del self._starts[bisect.bisect_left(self._starts, address)]

    def put(self, address: int, array: np.ndarray) -> None:
        self._outside("an array is copied to the device")
        self._within(address, array.nbytes)
        ctypes.memmove(address, array.ctypes.data, array.nbytes)

    def get(self, array: np.ndarray, address: int) -> None:
        self.wait()
        self._within(address, array.nbytes)
        ctypes.memmove(array.ctypes.data, address, array.nbytes)

    def copy(self, target: int, source: int, size: int) -> None:
        self._within(target, size)
        self._do(ctypes.memmove, target, source, size)

    def clear(self, address: int, size: int) -> None:
        self._within(address, size)
        self._do(ctypes.memset, address, 0, size)

    def _within(self, address: int, size: int) -> None:
        with self._book:
            position = bisect.bisect_right(self._starts, address) - 1
            if position >= 0:
                memory = self._memories[self._starts[position]]()
                if memory is not None and address + size <= memory.address + memory.size:
                    return
        if size:
            raise CompilerError(f"{size} bytes at {address:#x} are no memory of the device")

    # ---- kernels

    def load(self, sources: Iterable[Source]) -> None:
        missing = [s for s in sources if s not in host.launchers]
        if missing:
            self._outside("a kernel is loaded")
            host.prepare(missing)

    def launch(self, kernel: BoundKernel, live: int, error: int) -> None:
        self._do(self._launch, kernel, live, error)

    def _launch(self, kernel: BoundKernel, live: int, error: int) -> None:
        how = kernel.launch
        if not how.grid:
            return
        self.launched += 1
        self._unchecked = True
        status = host.launchers[kernel.source](
            kernel.words.ctypes.data,
            live + 8 * kernel.live,
            error,
            how.grid,
            THREADS,
            how.shared,
            self.downwards,
        )
        if status:
            raise CompilerError(f"{host.complaint()}\n{kernel.source.text}")

    def multiply(self, product: BoundMatmul, live: int) -> None:
        self._do(self._multiply, product, live)

    def _multiply(self, product: BoundMatmul, live: int) -> None:
        self._unchecked = True
        self._blas.multiply(product, live)

    @functools.cached_property
    def _blas(self) -> Blas:
        self._workspace = np.empty(2 * ALIGN, np.uint8)
        start = self._workspace.ctypes.data
        return Blas(host_blas.library(), 0, (rounded(start, ALIGN), ALIGN))

    # ---- time

    def wait(self) -> None:
        self._outside("the host waits")
        if self._unchecked:
            self._unchecked = False
            with self._book:
                memories = [reference() for reference in self._memories.values()]
            for memory in memories:
                if memory is not None:
                    memory.check()

    def record(self, orders: Callable[[], None]) -> EmulatedRecording:
        self._outside("another recording begins")
        recorded = self._recorded = []
        try:
            orders()
        finally:
            self._recorded = None
        return EmulatedRecording(recorded)

    def timed(self, orders: Sequence[Callable[[], None]]) -> list[int]:
        self._outside("orders are timed")
        found = []
        for order in orders:
            begin = time.perf_counter_ns()
            order()
            found.append(time.perf_counter_ns() - begin)
        self.wait()
        return found

    def _do(self, order: Callable[..., Any], *arguments: Any) -> None:
        if self._recorded is None:
            order(*arguments)
        else:
            self._recorded.append((order, *arguments))

    def _outside(self, what: str) -> None:
        if self._recorded is not None:
            raise RecordingError(f"{what} while orders are recorded")

    # ---- other libraries

    def array(
        self, memory: EmulatedMemory, shape: Sequence[int], dtype: str, offset: int = 0
    ) -> EmulatedArray:
        return EmulatedArray(memory, shape, dtype, offset)

    def adopt(self, value: Any) -> DeviceArray:
        if isinstance(value, EmulatedArray):
            strides = contiguous(value.shape, value.dtype.itemsize)
            return DeviceArray(value.address, value.shape, strides, value.dtype.name, value)
        if not hasattr(value, "__dlpack__") or isinstance(value, np.ndarray):
            raise TypeMismatchError(
                f"{type(value).__name__} is no array in the memory of the emulated device"
            )
        array = np.from_dlpack(value)
        address = array.__array_interface__["data"][0]
        return DeviceArray(address, array.shape, array.strides, array.dtype.name, array)

    def hand_over(self) -> None:
        pass
