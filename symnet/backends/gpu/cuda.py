"""A GPU, through CuPy: the device that the runner works on where there is hardware.

Everything is ordered on one stream of its own, which does not wait for the default stream nor keep
it waiting; `adopt` and `hand_over` put arrays of other libraries in order by events. Memory comes
from CuPy's pool, in the arena of that stream: a block that is given back is used again by what is
ordered later. It is the first visible device (CUDA_VISIBLE_DEVICES chooses).

An error that CUDA reports late leaves nothing that could be trusted: from then on every order
raises DeviceLostError at once. A forked child cannot use its parent's device either.
"""

import contextlib
import ctypes
import functools
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any, NoReturn

import numpy as np

from symnet.backends.arena import rounded
from symnet.backends.gpu import arguments, dlpack, launch, libraries
from symnet.backends.gpu.bind import BoundKernel, BoundMatmul
from symnet.backends.gpu.blas import Blas
from symnet.backends.gpu.compile import compile_module, nvrtc
from symnet.backends.gpu.device import DeviceArray, Memory, Recording
from symnet.backends.gpu.libraries import missing
from symnet.backends.gpu.prelude import THREADS
from symnet.backends.gpu.source import Source
from symnet.errors import (
    BackendError,
    CompilerError,
    DeviceError,
    DeviceLostError,
    OutOfMemoryError,
    RecordingError,
    SymnetError,
    TypeMismatchError,
)

__all__ = ["INDEX", "CudaDevice", "missing"]

INDEX = 0  # of the device, among those that are visible
UNIT = 4  # kernels that are compiled together; several units at the same time
STAGE = 4 << 20  # bytes of each half of the pinned memory that copies from the host go through
REPLY = 64 << 10  # bytes of pinned memory that small copies to the host go through
WORKSPACE = 32 << 20  # bytes for cuBLAS: what it takes itself on Hopper
LINE = 64  # bytes; pieces of a half begin at multiples
BY_ARGUMENT = arguments.MOST  # bytes that are copied from the host by a kernel; 0: by engines only
BACK = 16 << 20  # bytes that came back from users, and wait for what others have ordered on them

_ON_STREAMS = "cupy", "torch"  # libraries that use memory again in the order of their streams
LEGACY = 1  # the default stream's other name; it is never captured, and 2 is a thread's own
_OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation
_LOST = frozenset(
    (3, 4, 100, 101, 214, 219, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 999)
)
"""Errors after which CUDA does nothing more in this process (driver_types.h, cudaError)."""

_living: "weakref.WeakSet[CudaDevice]" = weakref.WeakSet()


class _Memory:
    """A block of CuPy's pool; it goes back when nobody holds this."""

    def __init__(self, pointer: Any, size: int):
        self._pointer = pointer
        self.address: int = pointer.ptr
        self.size = size


class _Given:
    """Memory that an array of the user's lies in. What other libraries have ordered on it must be
    done before the pool gives it to somebody else, so the device takes it back first: see
    `CudaDevice._take_back`."""

    def __init__(self, memory: Memory, returned: deque):
        self._memory, self._returned = memory, returned

    def __del__(self) -> None:
        self._returned.append(self._memory)


class _Graph:
    """Recorded orders, as a CUDA graph."""

    def __init__(self, device: "CudaDevice", graph: Any):
        self._device, self._graph = device, graph

    def replay(self) -> None:
        with self._device._ordering:
            self._graph.launch(stream=self._device._stream)


class _Ordering:
    """Around whatever is asked of CUDA: one thread at a time, and errors in symnet's words.

    recordable  whether it may be asked while orders are recorded
    """

    def __init__(self, device: "CudaDevice", recordable: bool):
        self._device, self._recordable = device, recordable

    def __enter__(self) -> None:
        device = self._device
        device.lock.acquire()
        try:
            if device._broken:
                raise type(device._broken)(*device._broken.args)
            if device._recording and not self._recordable:
                raise RecordingError("something was asked that cannot be part of a recording")
            device._enter_thread()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._device.lock.release()
        if isinstance(error, Exception):
            own = self._device._in_own_words(error)
            if own is not None:
                raise own from error


class CudaDevice:
    """See `device.GpuDevice`. Errors: DeviceError with what is missing on this machine."""

    name = "cuda"
    apart = False

    def __init__(self, cupy: ModuleType | None = None, blas: ctypes.CDLL | None = None):
        """cupy, blas: stand-ins for the libraries, for tests."""
        if cupy is None:
            if lacks := missing():
                raise DeviceError("\n".join(["no GPU can be used:", *lacks]))
            cupy = libraries.cupy()
        self._cupy = cupy
        self._runtime, self._driver = cupy.cuda.runtime, cupy.cuda.driver
        self.lock = threading.RLock()
        self._threads = threading.local()
        self._broken: DeviceError | None = None
        self._recording = False
        self._ordering = _Ordering(self, recordable=True)
        self._directly = _Ordering(self, recordable=False)
        self._functions: dict[Source, int] = {}
        self._arguments: dict[int, arguments.Argument] = {}
        self._returned: deque[Memory] = deque()
        self._back: deque[tuple[list[Any], list[Memory]]] = deque()
        self._back_size = 0
        self._reading: list[Any] = []
        self._held: deque[tuple[Any, list[Any]]] = deque()
        self._events: list[Any] = []  # that can be used again
        with self._directly:
            self.architecture, self.geometry = self._examine()
            self._stream = cupy.cuda.Stream(non_blocking=True)
            self._pool = cupy.get_default_memory_pool()
            self._mark = cupy.cuda.Event(disable_timing=True)
            self._reply = cupy.cuda.alloc_pinned_memory(REPLY)
            self._stages = [cupy.cuda.alloc_pinned_memory(STAGE) for _ in range(2)]
            self._left = [cupy.cuda.Event(disable_timing=True) for _ in range(2)]
            self._stage = self._used = 0
            major = int(self._runtime.runtimeGetVersion()) // 1000
            library = libraries.cublas(major) if blas is None else blas
            self._workspace = self.allocate(WORKSPACE)
            place = self._workspace.address, WORKSPACE
            self._blas = Blas(library, self._stream.ptr, place)
        _living.add(self)

    def _examine(self) -> tuple[int, launch.Device]:
        """The architecture to compile for, and the geometry."""
        runtime = self._runtime

        def attribute(name: str) -> int:
            return int(runtime.deviceGetAttribute(getattr(runtime, f"cudaDevAttr{name}"), INDEX))

        processors = attribute("MultiProcessorCount")
        most = attribute("MaxSharedMemoryPerBlockOptin")
        all_of_one = attribute("MaxSharedMemoryPerMultiprocessor")
        reserved = most and max(all_of_one - most, 0)
        # so much that the threads that hide the memory's latency still fit
        share = all_of_one // (launch.BUSY // THREADS) - reserved
        shared = max(min(share, most), 48 << 10) // 1024 * 1024
        capable = int(self._cupy.cuda.Device(INDEX).compute_capability)
        known = [a for a in nvrtc().architectures if a <= capable and a // 10 == capable // 10]
        if not known:
            version = ".".join(map(str, nvrtc().version))
            raise DeviceError(
                f"NVRTC {version} does not compile for this GPU (sm_{capable}), only for "
                f"{', '.join(f'sm_{a}' for a in nvrtc().architectures)}"
            )
        return known[-1], launch.Device(processors, shared, most)

    # ---- memory

    def allocate(self, size: int) -> Memory:
        with self._directly:
            others = self._others()  # first: in a capture, events must not even be asked for
            self._let_go()
            self._take_back(others)
            try:
                return self._block(size)
            except self._cupy.cuda.memory.OutOfMemoryError:
                if not self._back:
                    raise
            self._await_back()
            return self._block(size)

    def _block(self, size: int) -> Memory:
        with self._stream:
            return _Memory(self._pool.malloc(max(size, 1)), size)

    def _take_back(self, others: Sequence[int]) -> None:
        """Memory of arrays that users have dropped may be used again when what other libraries have
        ordered by now is done. The stream does not wait for that, or it would at every call whose
        result the user drops; unless it is much memory."""
        if self._returned:
            memories = [self._returned.popleft() for _ in range(len(self._returned))]
            events = [self._event() for _ in others]
            for event, stream in zip(events, others):
                self._runtime.eventRecord(event.ptr, stream)
            self._back.append((events, memories))
            self._back_size += sum(m.size for m in memories)
        while self._back and all(event.done for event in self._back[0][0]):
            self._give_back()
        if self._back_size > BACK:
            self._await_back()

    def _await_back(self) -> None:
        """All that came back may be used again, since the stream waits for the others."""
        while self._back:
            for event in self._back[0][0]:
                self._runtime.streamWaitEvent(self._stream.ptr, event.ptr)
            self._give_back()

    def _give_back(self) -> None:
        events, memories = self._back.popleft()
        self._events += events
        self._back_size -= sum(m.size for m in memories)

    def _event(self) -> Any:
        """One that nobody waits for any more."""
        if self._events:
            return self._events.pop()
        return self._cupy.cuda.Event(disable_timing=True)

    def put(self, address: int, array: np.ndarray) -> None:
        size, source = array.nbytes, array.ctypes.data
        with self._directly:
            if size <= BY_ARGUMENT and arguments.fits(address, size):
                argument = self._argument(size)
                argument.fill(address, source, size)
                self._launch(self._functions[argument.source], 1, 0, argument.parameters)
                return
            done = 0
            while done < size:
                if self._used >= STAGE:
                    self._turn()
                piece = min(size - done, STAGE - self._used)
                place = self._stages[self._stage].ptr + self._used
                ctypes.memmove(place, source + done, piece)
                kind, stream = self._runtime.memcpyHostToDevice, self._stream.ptr
                self._runtime.memcpyAsync(address + done, place, piece, kind, stream)
                done += piece
                self._used += rounded(piece, LINE)

    def _argument(self, size: int) -> arguments.Argument:
        size = arguments.smallest(size)
        found = self._arguments.get(size)
        if found is None:
            self.load(map(arguments.source, arguments.SIZES))
            found = self._arguments[size] = arguments.Argument(size)
        return found

    def _turn(self) -> None:
        """To the other half of the staging memory, when what was copied from it has left it."""
        self._left[self._stage].record(self._stream)
        self._stage, self._used = 1 - self._stage, 0
        self._left[self._stage].synchronize()

    def get(self, array: np.ndarray, address: int) -> None:
        size, target = array.nbytes, array.ctypes.data
        with self._directly:
            small = size <= REPLY  # the driver takes longer for memory that is not pinned
            place = self._reply.ptr if small else target
            if size:
                kind, stream = self._runtime.memcpyDeviceToHost, self._stream.ptr
                self._runtime.memcpyAsync(place, address, size, kind, stream)
            self._stream.synchronize()
            if small:
                ctypes.memmove(target, place, size)

    def copy(self, target: int, source: int, size: int) -> None:
        if size:
            with self._ordering:
                kind, stream = self._runtime.memcpyDeviceToDevice, self._stream.ptr
                self._runtime.memcpyAsync(target, source, size, kind, stream)

    def clear(self, address: int, size: int) -> None:
        if size:
            with self._ordering:
                self._runtime.memsetAsync(address, 0, size, self._stream.ptr)

    # ---- kernels

    def load(self, sources: Iterable[Source]) -> None:
        wanted = list(dict.fromkeys(s for s in sources if s not in self._functions))
        if not wanted:
            return
        with self._directly:
            units = [wanted[k : k + UNIT] for k in range(0, len(wanted), UNIT)]
            build = functools.partial(compile_module, architecture=self.architecture)
            with ThreadPoolExecutor(min(len(units), os.cpu_count() or 1)) as pool:
                modules = list(pool.map(build, units))
            for unit, module in zip(units, modules):
                handle = self._driver.moduleLoadData(module.code)
                for source in unit:
                    function = self._driver.moduleGetFunction(handle, source.entry)
                    taken = module.resources[source.entry].shared
                    self._allow_shared(function, self.geometry.most_shared - taken)
                    self._functions[source] = function

    def _allow_shared(self, function: int, most: int) -> None:
        """More than 48 KB of dynamic shared memory are had by those who say so ahead."""
        if most > 48 << 10:
            attribute = self._driver.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
            self._driver.funcSetAttribute(function, attribute, most)

    def launch(self, kernel: BoundKernel, live: int, error: int) -> None:
        how = kernel.launch
        if not how.grid:
            return
        function = self._functions.get(kernel.source)
        if function is None:
            raise CompilerError("a kernel is launched that was not loaded")
        words = np.ascontiguousarray(kernel.words)
        addresses = np.array([live + 8 * kernel.live, error], np.int64)
        first = addresses.ctypes.data
        parameters = np.array([words.ctypes.data, first, first + 8], np.int64)
        with self._ordering:
            self._launch(function, how.grid, how.shared, parameters.ctypes.data)

    def _launch(self, function: int, grid: int, shared: int, parameters: int) -> None:
        self._driver.launchKernel(
            function, grid, 1, 1, THREADS, 1, 1, shared, self._stream.ptr, parameters, 0
        )

    def multiply(self, product: BoundMatmul, live: int) -> None:
        with self._ordering:
            self._blas.multiply(product, live)

    # ---- order

    def wait(self) -> None:
        with self._directly:
            self._stream.synchronize()

    def record(self, orders: Callable[[], None]) -> Recording:
        with self._directly:
            problem: BaseException | None = None
            graph = None
            try:
                # relaxed: calls of CUDA that cannot be recorded, of whoever else, stay allowed
                self._stream.begin_capture(self._runtime.streamCaptureModeRelaxed)
            except Exception as e:
                self._not_recorded(e)
            self._recording = True
            try:
                orders()
            except BaseException as e:
                problem = e
            finally:
                self._recording = False
            try:
                graph = self._stream.end_capture()
                if graph is not None and problem is None:
                    graph.upload(self._stream)  # or the first replay would
            except Exception as e:
                problem = problem or e
            if graph is None:
                problem = problem or DeviceError("CUDA gave no graph")
            if problem is not None:
                self._not_recorded(problem)
            return _Graph(self, graph)

    def _not_recorded(self, problem: BaseException) -> NoReturn:
        """Errors: RecordingError where it is no more than that something cannot be recorded: orders
        are given one by one then. A bug, a lost device or an interrupt is more."""
        own = self._in_own_words(problem) if isinstance(problem, Exception) else None
        problem = own or problem
        if isinstance(problem, DeviceError) and not isinstance(problem, DeviceLostError):
            raise RecordingError(str(problem)) from problem
        if isinstance(problem, Exception) and not isinstance(problem, SymnetError):
            raise RecordingError(str(problem)) from problem
        raise problem

    def timed(self, orders: Sequence[Callable[[], None]]) -> list[int]:
        cuda = self._cupy.cuda
        with self._directly:
            begun = [cuda.Event() for _ in orders]
            ended = [cuda.Event() for _ in orders]
            for before, order, after in zip(begun, orders, ended):
                before.record(self._stream)
                order()
                after.record(self._stream)
            self._stream.synchronize()
            return [
                round(cuda.get_elapsed_time(before, after) * 1e6)
                for before, after in zip(begun, ended)
            ]

    # ---- arrays of others

    def array(self, memory: Memory, shape: Sequence[int], dtype: str, offset: int = 0) -> Any:
        cuda = self._cupy.cuda
        with self._ordering:
            owner = _Given(memory, self._returned)
            block = cuda.UnownedMemory(memory.address, max(memory.size, 1), owner, INDEX)
            pointer = cuda.MemoryPointer(block, offset)
            return self._cupy.ndarray(tuple(shape), np.dtype(dtype), pointer)

    def adopt(self, value: Any) -> DeviceArray:
        with self._directly:
            if isinstance(value, self._cupy.ndarray):
                self._check_place(dlpack.CUDA, value.data.device_id)
                self._after(self._free_to_order(self._cupy.cuda.get_current_stream().ptr))
                found = DeviceArray(
                    value.data.ptr,
                    tuple(value.shape),
                    tuple(value.strides),
                    value.dtype.name,
                    value,
                )
            elif hasattr(value, "__dlpack__"):
                self._check_place(*value.__dlpack_device__())
                self._others()  # none is captured, or this stream would be
                found = dlpack.from_capsule(_capsule(value, self._stream.ptr))
            elif hasattr(value, "__cuda_array_interface__"):
                found = dlpack.from_interface(value)
                self._check_place(dlpack.CUDA, self._device_of(found.address))
                stream = value.__cuda_array_interface__.get("stream")
                self._after(*([] if stream is None else [self._free_to_order(stream)]))
            else:
                raise TypeMismatchError(
                    f"{type(value).__name__} is no array in a GPU's memory: it speaks neither "
                    "DLPack nor __cuda_array_interface__"
                )
            self._let_go()
            if type(value).__module__.partition(".")[0] not in _ON_STREAMS:
                self._reading.append(found.owner)
            return found

    def hand_over(self) -> None:
        with self._directly:
            others = self._others()
            self._mark.record(self._stream)
            for stream in others:
                self._runtime.streamWaitEvent(stream, self._mark.ptr)
            if self._reading:
                done = self._event()
                done.record(self._stream)
                self._held.append((done, self._reading))
                self._reading = []

    def _others(self) -> list[int]:
        """The streams that other libraries order on, as far as can be known: the default one and
        this thread's current ones. Errors: DeviceError, where one is captured."""
        found = [0, self._cupy.cuda.get_current_stream().ptr]
        torch = sys.modules.get("torch")
        with contextlib.suppress(Exception):  # a PyTorch that does not know CUDA, or half imported
            if torch is not None and torch.cuda.is_initialized():
                found.append(torch.cuda.current_stream(INDEX).cuda_stream)
        return [self._free_to_order(s) for s in dict.fromkeys(found) if s != self._stream.ptr]

    def _free_to_order(self, stream: int) -> int:
        """The stream. Errors: DeviceError where it is captured: events would draw this device's
        stream into the capture, which neither of the two would survive."""
        if stream > LEGACY and self._runtime.streamIsCapturing(stream):
            raise DeviceError(
                "a symnet function cannot be called while its caller's stream is captured "
                "(torch.cuda.graph, cupy's begin_capture): its calls are recordings of their own"
            )
        return stream

    def _after(self, *streams: int) -> None:
        """What is ordered here from now on comes after what was ordered there by now."""
        for stream in streams:
            self._runtime.eventRecord(self._mark.ptr, stream)
            self._runtime.streamWaitEvent(self._stream.ptr, self._mark.ptr)

    def _let_go(self) -> None:
        """Arrays of others that have been read are theirs alone again."""
        while self._held and self._held[0][0].done:
            self._events.append(self._held.popleft()[0])

    def _check_place(self, kind: int, index: int) -> None:
        """Errors: TypeMismatchError where an array is not in this device's memory."""
        if kind not in (dlpack.CUDA, dlpack.CUDA_MANAGED):
            where = "the host's memory" if kind in (dlpack.CPU, dlpack.CUDA_HOST) else (
                f"memory of DLPack's device kind {kind}"
            )  # fmt: skip
            raise TypeMismatchError(f"the array lies in {where}, not in a CUDA device's")
        if kind == dlpack.CUDA and index != INDEX:
            raise TypeMismatchError(
                f"the array lies on CUDA device {index}, symnet works on device {INDEX}"
            )

    def _device_of(self, address: int) -> int:
        return int(self._runtime.pointerGetAttributes(address).device) if address else INDEX

    # ---- failures

    def _enter_thread(self) -> None:
        """The device must be this thread's; whoever works with others may have changed that. At a
        thread's first order CUDA's driver knows no device yet."""
        current = self._runtime.getDevice()
        if current != INDEX:
            raise DeviceError(
                f"CUDA device {current} is current in this thread; symnet works on device "
                f"{INDEX}, and CUDA_VISIBLE_DEVICES says which GPU that is"
            )
        if not getattr(self._threads, "ready", False):
            self._runtime.setDevice(INDEX)
            self._runtime.free(0)  # what makes older versions of CUDA begin
            self._threads.ready = True

    def _in_own_words(self, error: Exception) -> DeviceError | None:
        """What to raise in place of an error of CuPy's; None for others."""
        if isinstance(error, BackendError | TypeMismatchError):
            return None
        status = getattr(error, "status", None)
        if isinstance(error, self._cupy.cuda.memory.OutOfMemoryError) or status == _OUT_OF_MEMORY:
            return OutOfMemoryError(f"{str(error).rstrip('.')}; {self._left_over()}")
        if status is None:
            return None
        if status in _LOST:
            self._broken = DeviceLostError(
                f"the GPU stopped working ({error}); what was in its memory is lost, and this "
                "process cannot use it any more"
            )
            return self._broken
        return DeviceError(f"CUDA refuses: {error}")

    def _left_over(self) -> str:
        try:
            free, total = self._runtime.memGetInfo()
        except Exception as e:
            return f"what is free is not known ({e})"
        return f"{free:,} of the GPU's {total:,} bytes are free"

    def _after_fork(self) -> None:
        self.lock = threading.RLock()
        self._broken = DeviceError(
            "a forked process cannot use its parent's GPU: start it with the method 'spawn', or "
            "use the device in the child alone"
        )


def _capsule(value: Any, stream: int) -> Any:
    """A DLPack capsule that is ready for the stream. Errors: TypeMismatchError."""
    try:
        return value.__dlpack__(stream=stream)
    except (BufferError, NotImplementedError, RuntimeError) as e:
        if getattr(e, "status", None) is not None:
            raise
        raise TypeMismatchError(f"{type(value).__name__} does not hand over its memory: {e}") from e


def _after_fork() -> None:
    for device in _living:
        device._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
