"""What CudaDevice uses of CuPy, with the host for a device: no more names than that, under the
signatures that CuPy has them (test_cuda.py compares).

It is lazy where hardware may be: orders lie in the queues of their streams until somebody waits,
so what is read too early, given back too early or changed too early shows. It is strict where CUDA
is lenient: copies from memory that is not pinned, addresses that are nobody's, and everything that
a stream that is captured refuses are errors. Kernels run as on the emulated device.
"""

import ctypes
import operator
import re
import threading
import types
import weakref

import numpy as np

from symnet.backends.gpu import compile as kernels
from symnet.backends.gpu import host
from symnet.backends.gpu.compile import Module, Resources

ALIGN = 512
PROCESSORS, SHARED, SHARED_BLOCK = 2, 100 << 10, 99 << 10
NULL = 0


class CUDAError(RuntimeError):
    def __init__(self, status):
        super().__init__(f"cudaError{status}: status {status}")
        self.status = status


class CUDARuntimeError(CUDAError):
    pass


class CUDADriverError(CUDAError):
    pass


class OutOfMemoryError(MemoryError):
    pass


class _Machine:
    """The device: memory, streams, events, functions."""

    def __init__(self):
        self.lock = threading.RLock()
        self.memory = {}  # first byte: bytes
        self.pinned = {}
        self.limit = None
        self.used = 0
        self.queues = {NULL: []}
        self.recorded = {}  # streams that are captured, with their orders
        self.events = {}  # each a pair: stream, number of orders before it there
        self.done = {NULL: 0}  # orders carried out, by stream
        self.functions = {}
        self.modules = {}
        self.sources = {}
        self.allowed = {}
        self.broken = None
        self.uncapturable = None  # the status that begin_capture fails with
        self.current = 0
        self.threads = threading.local()
        self.launched = 0
        self.next = 1000

    def handle(self):
        self.next += 1
        return self.next

    def check(self, kind=CUDARuntimeError):
        if self.broken:
            raise kind(self.broken)
        if kind is CUDADriverError and not getattr(self.threads, "begun", False):
            raise CUDADriverError(201)  # no context in this thread

    def add(self, stream, order, recordable=True):
        """An order for a stream."""
        with self.lock:
            self.check()
            if stream not in self.queues:
                raise CUDARuntimeError(400)
            if stream in self.recorded:
                if not recordable:
                    raise CUDARuntimeError(900)
                self.recorded[stream].append(order)
            else:
                self.queues[stream].append(order)

    def finish(self, stream, number=None):
        """Carry out a stream's orders, up to one."""
        with self.lock:
            if stream in self.recorded:
                raise CUDARuntimeError(900)
            queue = self.queues[stream]
            while queue and (number is None or self.done[stream] < number):
                self.done[stream] += 1
                queue.pop(0)()
            self.check()

    def within(self, address, size):
        if not any(a <= address and address + size <= a + n for a, n in self.memory.items()):
            raise AssertionError(f"{size} bytes at {address:#x} are no memory of the device")


def make():
    """A fresh `cupy`, with a device of its own; `cupy.machine` is that device."""
    machine = _Machine()
    cupy = types.ModuleType("cupy")
    cupy.__version__ = "14.2.0"
    cupy.machine = machine
    cupy.cuda = cuda = types.ModuleType("cupy.cuda")
    cuda.runtime, cuda.driver = _runtime(machine), _driver(machine)
    cuda.memory = types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError)
    for made in (_streams, _memory):
        vars(cuda).update(made(machine, cuda))
    cupy.ndarray = _array(machine, cupy)
    pool = cuda.MemoryPool()
    cupy.get_default_memory_pool = lambda: pool
    return cupy


def _runtime(machine):
    def getDeviceCount():
        return 1

    def runtimeGetVersion():
        return 13000

    def getDevice():
        machine.check()
        return machine.current

    def setDevice(device):
        machine.check()
        machine.threads.begun = True

    def free(ptr):
        assert ptr == 0
        machine.check()
        machine.threads.begun = True

    def deviceGetAttribute(attrib, device):
        assert device == 0
        return attrib

    def memGetInfo():
        machine.check()
        return (machine.limit or 1 << 40) - machine.used, machine.limit or 1 << 40

    def memcpyAsync(dst, src, size, kind, stream):
        operator.index(size)
        if kind == 3:
            machine.within(dst, size)
            machine.within(src, size)
            machine.add(stream, lambda: ctypes.memmove(dst, src, size))
        elif kind == 1:
            machine.within(dst, size)
            pinned = machine.pinned.items()
            assert any(a <= src and src + size <= a + n for a, n in pinned), "not pinned"
            machine.add(stream, lambda: ctypes.memmove(dst, src, size), False)
        else:
            assert kind == 2
            machine.within(src, size)
            machine.add(stream, lambda: ctypes.memmove(dst, src, size), False)

    def memsetAsync(ptr, value, size, stream):
        machine.within(ptr, size)
        machine.add(stream, lambda: ctypes.memset(ptr, value, size))

    def eventRecord(event, stream):
        with machine.lock:
            machine.check()
            assert stream not in machine.recorded, "an event of outside in a capture"
            machine.events[event] = stream, machine.done[stream] + len(machine.queues[stream])

    def streamWaitEvent(stream, event, flags=0):
        if event in machine.events:
            other, number = machine.events[event]
            machine.add(stream, lambda: machine.finish(other, number), False)

    def streamIsCapturing(stream):
        assert stream != NULL
        return stream in machine.recorded

    def pointerGetAttributes(ptr):
        machine.within(ptr, 0)
        return types.SimpleNamespace(device=0, type=2)

    shown = {
        "cudaDevAttrMultiProcessorCount": PROCESSORS,
        "cudaDevAttrMaxSharedMemoryPerBlockOptin": SHARED_BLOCK,
        "cudaDevAttrMaxSharedMemoryPerMultiprocessor": SHARED,
        "memcpyHostToDevice": 1,
        "memcpyDeviceToHost": 2,
        "memcpyDeviceToDevice": 3,
        "streamCaptureModeRelaxed": 2,
    }
    functions = {n: f for n, f in locals().items() if isinstance(f, types.FunctionType)}
    return types.SimpleNamespace(**shown, **functions, CUDARuntimeError=CUDARuntimeError)


def _driver(machine):
    def moduleLoadData(image):
        machine.check(CUDADriverError)
        assert isinstance(image, bytes)
        handle = machine.handle()
        machine.modules[handle] = image
        return handle

    def moduleGetFunction(module, funcname):
        machine.check(CUDADriverError)
        assert isinstance(funcname, str)
        assert funcname.encode() in machine.modules[module]
        handle = machine.handle()
        machine.functions[handle] = machine.sources[funcname]
        return handle

    def funcSetAttribute(f, attribute, value):
        machine.check(CUDADriverError)
        assert attribute == 8
        assert value <= SHARED_BLOCK
        machine.allowed[f] = value

    def launchKernel(
        f, grid_dim_x, grid_dim_y, grid_dim_z, block_dim_x, block_dim_y, block_dim_z,
        shared_mem_bytes, stream, kernel_params, extra,
    ):  # fmt: skip
        machine.check(CUDADriverError)
        assert (grid_dim_y, grid_dim_z, block_dim_y, block_dim_z, extra) == (1, 1, 1, 1, 0)
        assert grid_dim_x > 0
        assert shared_mem_bytes <= machine.allowed.get(f, 48 << 10)
        source = machine.functions[f]
        places = (ctypes.c_void_p * 3).from_address(kernel_params)
        words = ctypes.string_at(places[0], 8 * source.words)  # by value, as of now
        live, error = (ctypes.c_int64.from_address(places[k]).value for k in (1, 2))

        def order():
            copy = ctypes.create_string_buffer(words, len(words))
            machine.launched += 1
            status = host.launchers[source](
                ctypes.addressof(copy), live, error, grid_dim_x, block_dim_x, shared_mem_bytes,
                False,
            )  # fmt: skip
            if status:
                machine.broken = 719

        machine.add(stream, order)

    functions = {n: f for n, f in locals().items() if isinstance(f, types.FunctionType)}
    return types.SimpleNamespace(
        **functions,
        CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES=8,
        CUDADriverError=CUDADriverError,
    )


def _streams(machine, cuda):
    current = threading.local()

    class Stream:
        def __init__(self, null=False, non_blocking=False, ptds=False):
            self.ptr = NULL if null else machine.handle()
            assert null or non_blocking
            machine.queues.setdefault(self.ptr, [])
            machine.done.setdefault(self.ptr, 0)

        def __enter__(self):
            stack = current.__dict__.setdefault("stack", [])
            stack.append(self)
            return self

        def __exit__(self, *args):
            current.stack.pop()

        def synchronize(self):
            machine.finish(self.ptr)

        def begin_capture(self, mode=None):
            assert mode == cuda.runtime.streamCaptureModeRelaxed
            machine.check()
            if machine.uncapturable:
                raise CUDARuntimeError(machine.uncapturable)
            machine.recorded[self.ptr] = []

        def end_capture(self):
            return Graph(machine.recorded.pop(self.ptr))

    class Event:
        def __init__(self, block=False, disable_timing=False, interprocess=False):
            self.ptr = machine.handle()
            self.timing = not disable_timing

        def record(self, stream=None):
            cuda.runtime.eventRecord(self.ptr, stream.ptr)

        def synchronize(self):
            if self.ptr in machine.events:
                machine.finish(*machine.events[self.ptr])

        @property
        def done(self):
            assert not machine.recorded, "an event is asked for in a capture"
            if self.ptr not in machine.events:
                return True
            stream, number = machine.events[self.ptr]
            return machine.done[stream] >= number

    class Graph:
        def __init__(self, orders):
            self.orders = orders
            self.uploaded = False

        def upload(self, stream=None):
            machine.check()
            assert stream.ptr not in machine.recorded
            self.uploaded = True

        def launch(self, stream=None):
            assert self.uploaded
            for order in self.orders:
                machine.add(stream.ptr, order, False)

    class Device:
        compute_capability = "90"

        def __init__(self, device=None):
            assert device == 0

    null = Stream(null=True)

    def get_current_stream(device_id=-1):
        stack = getattr(current, "stack", None)
        return stack[-1] if stack else null

    def get_elapsed_time(start_event, end_event):
        assert start_event.timing and end_event.timing
        begin, end = (machine.events[e.ptr] for e in (start_event, end_event))
        assert begin[1] <= end[1] <= machine.done[end[0]]
        return 0.25 * (end[1] - begin[1])

    return {
        "Stream": Stream, "Event": Event, "Graph": Graph, "Device": Device,
        "get_current_stream": get_current_stream, "get_elapsed_time": get_elapsed_time,
    }  # fmt: skip


def _memory(machine, cuda):
    class UnownedMemory:
        def __init__(self, ptr, size, owner, device_id=-1):
            assert device_id == 0
            self.ptr, self.size, self._owner, self.device_id = ptr, size, owner, device_id

    class MemoryPointer:
        def __init__(self, mem, offset):
            self.mem, self.ptr, self.device_id = mem, mem.ptr + offset, mem.device_id

    class Block:
        """A block of the pool."""

        device_id = 0

        def __init__(self, ptr, free):
            self.ptr = ptr
            weakref.finalize(self, free.append, ptr).atexit = False

    class MemoryPool:
        def __init__(self, allocator=None):
            self.arenas = {}  # (stream, size): addresses
            self.blocks = []

        def malloc(self, size):
            size = -(-size // ALIGN) * ALIGN
            stream = cuda.get_current_stream().ptr
            free = self.arenas.setdefault((stream, size), [])
            if not free:
                if machine.limit is not None and machine.used + size > machine.limit:
                    raise OutOfMemoryError(f"Out of memory allocating {size:,} bytes.")
                machine.used += size
                self.blocks.append(np.full(size + ALIGN, 0xA5, np.uint8))
                free.append(-(-self.blocks[-1].ctypes.data // ALIGN) * ALIGN)
                machine.memory[free[-1]] = size
            return MemoryPointer(Block(free.pop(), free), 0)

    class PinnedMemoryPointer:
        def __init__(self, memory):
            self.memory, self.ptr = memory, ctypes.addressof(memory)

    def alloc_pinned_memory(size):
        memory = PinnedMemoryPointer((ctypes.c_ubyte * size)())
        machine.pinned[memory.ptr] = size
        return memory

    return {
        "UnownedMemory": UnownedMemory, "MemoryPointer": MemoryPointer, "MemoryPool": MemoryPool,
        "alloc_pinned_memory": alloc_pinned_memory,
    }  # fmt: skip


def _array(machine, cupy):
    class ndarray:
        """An array on the fake device, of a user of CuPy."""

        def __init__(self, shape, dtype=float, memptr=None, strides=None, order="C"):
            self.shape, self.dtype, self.data = shape, np.dtype(dtype), memptr
            count = int(np.prod(shape, dtype=np.int64))
            empty = np.empty(shape, dtype)
            self.strides = empty.strides if strides is None else strides
            machine.within(memptr.ptr, count * self.dtype.itemsize)

        def view(self):
            """The memory itself."""
            size = sum((n - 1) * s for n, s in zip(self.shape, self.strides)) if self.size else -1
            buffer = (ctypes.c_ubyte * (size + self.dtype.itemsize)).from_address(self.data.ptr)
            return np.ndarray(self.shape, self.dtype, buffer, strides=self.strides)

        def __dlpack_device__(self):
            return 2, 0

        def __dlpack__(self, *, stream=None):
            raise BufferError("NumPy asks, but the array is not on the host")

        @property
        def size(self):
            return int(np.prod(self.shape, dtype=np.int64))

        def get(self):
            """The values, when what the current stream has to do is done."""
            machine.finish(cupy.cuda.get_current_stream().ptr)
            return self.view().copy()

    ndarray.__module__ = "cupy"
    return ndarray


def array(cupy, value, order=None):
    """A user's array on the device, filled by an order on the current stream."""
    value = np.asarray(value, order=order).copy(order="K")
    pool = cupy.get_default_memory_pool()
    found = cupy.ndarray(value.shape, value.dtype, pool.malloc(max(value.nbytes, 1)), value.strides)
    view = found.view()
    cupy.machine.add(cupy.cuda.get_current_stream().ptr, lambda: np.copyto(view, value))
    return found


def compile_module(machine):
    """Stands in for NVRTC: the kernels are built for the host, the module holds their names."""

    def compile_module(sources, architecture=kernels.HOPPER):
        host.prepare(sources)
        machine.sources.update({s.entry: s for s in sources})
        resources = {s.entry: Resources(32, 1024, 0, 0) for s in sources}
        return Module("\n".join(resources).encode(), resources)

    return compile_module


class Cublas:
    """A library with cuBLAS's functions over host memory, behind the streams of the fake device."""

    def __init__(self, machine, library):
        self.machine, self.library = machine, library
        self.stream, self.mode = NULL, 0

    def __getitem__(self, name):
        return _OnStream(self, name, self.library[name])


class _OnStream:
    """A function of it. Products are orders; what mode they are called in is known at the call."""

    def __init__(self, blas, name, function):
        vars(self).update(blas=blas, name=name, function=function)

    def __setattr__(self, name, value):
        setattr(self.function, name, value)

    def __call__(self, *arguments):
        blas = self.blas
        if self.name == "cublasSetStream_v2":
            blas.stream = arguments[1]
        elif self.name == "cublasSetPointerMode_v2":
            blas.mode = arguments[1]
        if "Gemm" not in self.name:
            return self.function(*arguments)
        mode = blas.mode

        def order():
            set_mode = blas.library["cublasSetPointerMode_v2"]
            set_mode.argtypes = ctypes.c_void_p, ctypes.c_int
            assert set_mode(arguments[0], mode) == 0
            assert self.function(*arguments) == 0
            assert set_mode(arguments[0], blas.mode) == 0

        blas.machine.add(blas.stream, order)
        return 0


def parameters(text):
    """Names and defaults of the parameters in a line such as "f(int a, b=0, *, tuple c=None)"."""
    inside = text[text.index("(") + 1 : text.rindex(")")]
    found = []
    for part in filter(None, (p.strip() for p in inside.split(","))):
        name, _, default = part.partition("=")
        name = name.strip().split()[-1]
        if name not in ("self", "*"):
            found.append((name, default.strip() or None))
    return found


def line(function):
    """The first line of a Cython function's documentation, which is its signature."""
    found = next(s for s in (function.__doc__ or "").splitlines() if s.strip())
    return re.sub(r"\s*->.*$", "", found.strip())
