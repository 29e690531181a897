"""A device without hardware: the CUDA text of a program, built by the host's C++ compiler and run.

Device memory is host memory, threads run one after the other (`shim.py`), matrix products are
NumPy's. For tests: `EmulatedRunner` has the interface of the CPU's `Runner`, and everything but the
launches themselves (texts, argument words, live words, geometry) is what a GPU gets.

Kernels are built in units of several, in parallel; `prepare` builds those of many programs at once.
Built libraries are kept in the cache like kernels.
"""

import atexit
import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from symnet.backends.cpu import cache
from symnet.backends.gpu import failure, shim
from symnet.backends.gpu.bind import Bound, BoundKernel, BoundMatmul
from symnet.backends.gpu.launch import Device
from symnet.backends.gpu.link import Linked, link, registers
from symnet.backends.gpu.prelude import PRELUDE, THREADS
from symnet.backends.gpu.source import Source, module_text
from symnet.backends.words import itemsize
from symnet.errors import BackendError, CompilerError
from symnet.graph.origin import Origin
from symnet.graph.variables import SharedVariable, Variable
from symnet.schedule.access import contiguous_strides
from symnet.schedule.program import Program, Ref, Reg, Storage

UNIT = 24  # kernels that are built together
BINDINGS = 8  # kept per runner
GUARD = 64  # bytes before and behind every buffer that nobody may touch
ALIGN = 256  # bytes, of every buffer, as a device's allocations are aligned

_FLAGS = (
    "-std=c++17", "-O1", "-fPIC", "-ffp-contract=off", "-fno-strict-aliasing", "-Wall", "-Werror",
    "-Wno-unknown-pragmas", "-Wno-unused-function",
)  # fmt: skip
_FORMAT = "symnet emulated 1"

SMALL = Device(multiprocessors=2, shared=8 << 10)
"""A device on which grids have to loop and rows of scratch do not always fit."""

_built: dict[Source, Callable[..., int]] = {}
_lock = threading.RLock()  # the emulated device does one thing at a time


@functools.cache
def compiler() -> str | None:
    """The path of a C++ compiler, or None."""
    return shutil.which("g++") or shutil.which("c++")


def built() -> list[Source]:
    """Every kernel that this process has built."""
    return list(_built)


def prepare(sources: Iterable[Source]) -> None:
    """Build kernels, those not yet built, in few translation units. Errors: BackendError."""
    missing = [s for s in dict.fromkeys(sources) if s not in _built]
    units = [missing[k : k + UNIT] for k in range(0, len(missing), UNIT)]
    if not units:
        return
    with _lock:
        _runtime()
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            for unit, path in zip(units, pool.map(_build_unit, units)):
                library = ctypes.CDLL(str(path))
                for source in unit:
                    _built[source] = getattr(library, f"{source.entry}_launch")


def _build_unit(sources: list[Source]) -> Path:
    parts = [module_text(sources, prelude="")]
    parts += [shim.launcher(s.entry, s.words, s.meets) for s in sources]
    return _library("\n".join(parts), _HEAD)


@functools.cache
def _runtime() -> ctypes.CDLL:
    return ctypes.CDLL(str(_library(shim.RUNTIME, "")), ctypes.RTLD_GLOBAL)


def _complaint() -> str:
    return (ctypes.c_char * 200).in_dll(_runtime(), "symnet_complaint").value.decode()


_HEAD = shim.HEADER + PRELUDE


@functools.cache
def _folder() -> Path:
    """Where this process builds."""
    folder = tempfile.mkdtemp(prefix="symnet-emulated-")
    atexit.register(shutil.rmtree, folder, True)
    return Path(folder)


@functools.cache
def _version() -> str:
    return _compile("--version")


def _compile(*options: str) -> str:
    if compiler() is None:
        raise BackendError("the emulated GPU needs a C++ compiler (g++)")
    done = subprocess.run([compiler() or "", *options], capture_output=True, text=True)
    if done.returncode:
        raise BackendError(f"the host compiler refuses a kernel's text:\n{done.stderr[:3000]}")
    return done.stdout


@functools.cache
def _header(text: str) -> Path:
    """What all units begin with, compiled ahead: that is most of the work for a small one."""
    path = _folder() / f"{_digest(text)}.h"
    path.write_text(text)
    _compile(*_FLAGS, "-x", "c++-header", str(path), "-o", f"{path}.gch")
    return path


def _library(text: str, head: str) -> Path:
    """A shared library of a C++ text, as a file of this process."""
    key = _digest("\0".join((_FORMAT, *_FLAGS, _version(), head, text)))
    target = _folder() / f"{key}.so"
    content = cache.load("kernels", key)
    if content is not None:
        target.write_bytes(content)
        return target
    include = ("-include", str(_header(head))) if head else ()
    source = target.with_suffix(".cpp")
    source.write_text(text)
    _compile(*_FLAGS, "-shared", *include, str(source), "-o", str(target))
    cache.store("kernels", key, target.read_bytes())
    return target


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]


class _Memory:
    """Buffers of one binding, with guards that tell whether something was written beside them.

    offset  bytes by which every buffer misses `ALIGN`
    """

    def __init__(self, offset: int):
        self._offset = offset
        self._blocks: list[tuple[np.ndarray, int, int]] = []

    def allocate(self, size: int) -> int:
        block = np.full(size + ALIGN + 2 * GUARD + self._offset, 0xA5, np.uint8)
        start = -(-(block.ctypes.data + GUARD) // ALIGN) * ALIGN + self._offset
        self._blocks.append((block, start - block.ctypes.data, size))
        return start

    def check(self) -> None:
        for block, start, size in self._blocks:
            before, after = block[start - GUARD : start], block[start + size :][:GUARD]
            if (before != 0xA5).any() or (after != 0xA5).any():
                raise CompilerError(f"something was written beside a buffer of {size} bytes")


def array_at(address: int, shape: Sequence[int], strides: Sequence[int], dtype: str) -> np.ndarray:
    """Memory as an array; strides in elements, none negative."""
    size = itemsize(dtype)
    last = sum((n - 1) * s for n, s in zip(shape, strides)) if all(shape) else -1
    buffer = (ctypes.c_char * ((last + 1) * size)).from_address(address)
    return np.ndarray(shape, dtype, buffer, strides=[s * size for s in strides])


class _Binding:
    """A binding with its memory: input and output buffers, arena, scratch."""

    def __init__(self, runner: "EmulatedRunner", shapes: list[Any], values: list[int]):
        program = runner.program
        self.memory = _Memory(runner.offset)
        addresses: dict[Storage, int] = {}
        for number, o in enumerate(program.objects):
            storage = ("object", number)
            if o.role in ("shared", "constant"):
                addresses[storage] = runner.array(number).ctypes.data
            elif o.role == "input":
                addresses[storage] = self._allocate(shapes[number], o.dtype)

        def number_of(ref: Ref) -> int:
            return values[ref.number] if isinstance(ref, Reg) else ref

        self.outputs = []
        for output in program.outputs:
            shape = tuple(map(number_of, output.shape))
            address = self._allocate(shape, output.dtype)
            addresses["object", output.object] = address
            self.outputs.append((address, shape, output.dtype))
        for number, buffer in enumerate(program.buffers):
            addresses["buffer", number] = self._allocate((number_of(buffer.size),), buffer.dtype)
        self.addresses = addresses
        device, allocate = runner.device, self.memory.allocate
        self.bound = Bound(runner.linked, values, addresses, device, allocate)
        prepare(s.source for s in self.bound.steps if isinstance(s, BoundKernel))

    def _allocate(self, shape: Sequence[int], dtype: str) -> int:
        return self.memory.allocate(int(np.prod(shape, dtype=np.int64)) * itemsize(dtype))


class EmulatedRunner:
    """An executable program on the emulated device, with the arrays it works on.

    `run(arrays)` takes one fitting array per input and returns fresh output arrays. Shared
    variables are read and updated.

    device     what launches are made for
    offset     bytes by which buffers miss their alignment, a multiple of 8
    downwards  whether blocks and threads run from the last to the first
    """

    def __init__(
        self,
        program: Program,
        inputs: Sequence[Variable],
        shared: Sequence[SharedVariable],
        constants: Sequence[np.ndarray],
        origins: Sequence[Origin],
        device: Device = SMALL,
        offset: int = 0,
        downwards: bool = False,
    ):
        self.program = program
        self.linked: Linked = link(program)
        self.inputs = list(inputs)
        self.shared = list(shared)
        self.constants = [np.ascontiguousarray(c).reshape(np.shape(c)) for c in constants]
        self.origins = list(origins)
        self.device = device
        self.offset = offset
        self.downwards = downwards
        self.launched = 0
        self._bindings: OrderedDict[tuple, _Binding] = OrderedDict()

    def array(self, number: int) -> np.ndarray:
        """The array of a shared variable's or constant's object."""
        o = self.program.objects[number]
        return self.shared[o.position].storage if o.role == "shared" else self.constants[o.position]

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One call with fitting arrays. Errors: ShapeError, IndexOutOfBoundsError."""
        program = self.program
        shapes: list[Any] = []
        for number, o in enumerate(program.objects):
            if o.role == "input":
                shapes.append(arrays[o.position].shape)
                failure.check_static(self.inputs[o.position], o, shapes[-1])
            else:
                shapes.append(() if o.role == "output" else self.array(number).shape)

        def value(number: int) -> int:
            o = program.objects[number]
            return int(arrays[o.position] if o.role == "input" else self.array(number))

        values = registers(program, shapes, value)
        failure.check_sizes(self, values, arrays)
        with _lock:
            outputs = self._call(arrays, shapes, values)
        for position, output in program.rebinds:
            self.shared[position].rebind(outputs[output])
        return outputs[len(program.rebinds) :]

    def _call(
        self, arrays: Sequence[np.ndarray], shapes: list[Any], values: list[int]
    ) -> list[np.ndarray]:
        binding = self._bind(shapes, values)
        bound = binding.bound
        for number, o in enumerate(self.program.objects):
            if o.role == "input":
                array = np.ascontiguousarray(arrays[o.position])
                ctypes.memmove(binding.addresses["object", number], array.ctypes.data, array.nbytes)
        live = bound.live(values)
        error = np.zeros(3, np.int64)
        for step in bound.steps:
            if isinstance(step, BoundKernel):
                self._launch(step, live, error)
            elif not (step.guarded and error[0]):
                _multiply(step, live)
        binding.memory.check()
        failure.check_device(self, error, arrays)
        return [
            array_at(address, shape, contiguous_strides(shape), dtype).copy()
            for address, shape, dtype in binding.outputs
        ]

    def _bind(self, shapes: list[Any], values: list[int]) -> _Binding:
        fixed = [
            self.array(number).ctypes.data
            for number, o in enumerate(self.program.objects)
            if o.role == "shared"
        ]
        key = (*shapes, *fixed, *(values[k] for k in self.linked.keys))
        binding = self._bindings.get(key)
        if binding is None:
            binding = self._bindings[key] = _Binding(self, shapes, values)
            while len(self._bindings) > BINDINGS:
                self._bindings.popitem(last=False)
        return binding

    def _launch(self, step: BoundKernel, live: np.ndarray, error: np.ndarray) -> None:
        how = step.launch
        if not how.grid:
            return
        self.launched += 1
        status = _built[step.source](
            ctypes.c_void_p(step.words.ctypes.data),
            ctypes.c_void_p(live.ctypes.data + 8 * step.live),
            ctypes.c_void_p(error.ctypes.data),
            ctypes.c_uint(how.grid),
            ctypes.c_uint(THREADS),
            ctypes.c_size_t(how.shared),
            ctypes.c_int(self.downwards),
        )
        if status:
            raise CompilerError(f"{_complaint()}\n{step.source.text}")


def _multiply(step: BoundMatmul, live: np.ndarray) -> None:
    """A matrix product, by NumPy."""
    m, n, k, batch = step.sizes
    dtype = step.step.dtype
    addresses = live[step.live : step.live + 4].tolist()

    def matrix(address: int, rows: int, columns: int, strides: tuple[int, int, int]) -> np.ndarray:
        row, column, across = strides
        return array_at(address, (batch, rows, columns), (across, row, column), dtype)

    a, b = matrix(addresses[0], m, k, step.a), matrix(addresses[1], k, n, step.b)
    out = matrix(addresses[2], m, n, step.out)
    scale = np.dtype(dtype).type(step.step.alpha_const)
    if addresses[3]:
        scale = scale * array_at(addresses[3], (), (), dtype)[()]
    with np.errstate(all="ignore"):
        product = np.matmul(a, b) * scale
        out[...] = product if step.step.beta == 0 else step.step.beta * out + product
