"""Back ends, chosen by the device on which a function shall run.

A back end is imported when somebody asks for a device of it, so that nobody without a GPU imports
anything of one. Each has a module `back_end` with a function of that name.
"""

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from symnet.errors import DeviceError
from symnet.graph.foreign import device_of
from symnet.graph.origin import Origin
from symnet.graph.variables import Residence, SharedVariable, Variable
from symnet.schedule.program import Program

_ELSEWHERE = "symnet.backends.gpu.back_end"
_MODULES = {"cpu": "symnet.backends.cpu.back_end", "cuda": _ELSEWHERE, "emulated": _ELSEWHERE}


class Executable(Protocol):
    """A program with the arrays on which it works.

    program  None where Python runs between several native ones; `runners` has those, in order
             (None for a piece without native code)
    kept     positions of outputs that are given back as device arrays, without waiting; the CPU
             has only one kind of array
    profile  nanoseconds and calls of each step, int64 (steps, 2), if they are measured
    """

    inputs: list[Variable]
    kept: set[int]

    @property
    def program(self) -> Program | None: ...

    @property
    def runners(self) -> "Sequence[Runner | None]": ...

    def run(self, arrays: Sequence[Any]) -> list[Any]:
        """One call. `arrays` are fitting NumPy arrays, or what `adopt` gave; outputs are fresh.
        Errors: ShapeError, IndexOutOfBoundsError; those of the device, DeviceError."""

    def adopt(self, value: Any) -> Any:
        """A device array of any library, as `run` takes it: with a `dtype` (or its name) and a
        `shape`. Errors: TypeMismatchError."""

    def clear(self) -> None:
        """Give back the memory that is kept for the next call."""


class Runner(Executable, Protocol):
    """A native program."""

    program: Program
    linked: Any
    shared: list[SharedVariable]
    constants: list[np.ndarray]
    origins: list[Origin]
    profile: np.ndarray | None

    def map(
        self,
        sequences: Sequence[np.ndarray],
        count: int,
        between: Callable[[int], bool] | None = None,
        limit_ns: int = 50_000_000,
    ) -> list[np.ndarray]:
        """`count` calls, the k-th with element k of every sequence; outputs stacked. Not where
        shared variables change their shape."""


class BackEnd(Protocol):
    """What makes programs run on a device.

    native_half_products  whether it multiplies matrices of halves; see `rewrite.optimise`
    """

    native_half_products: bool

    def identity(self) -> str:
        """What linked programs depend on, apart from symnet's own sources."""

    def link(self, program: Program) -> Any:
        """The program with everything that binding needs; it can be pickled."""

    def make_runner(
        self,
        linked: Any,
        inputs: Sequence[Variable],
        shared: Sequence[SharedVariable],
        constants: Sequence[np.ndarray],
        origins: Sequence[Origin],
        profile: bool = False,
    ) -> Runner:
        """The executable program of a linked one. Errors: BackendError."""

    def resident(self, value: Any, into: Residence | None = None) -> Residence:
        """A copy, in the device's memory, of a NumPy array or of a device array of any library;
        in the memory of `into`, where it can be. Errors: TypeMismatchError, OutOfMemoryError."""

    def fetch(self, value: Any) -> np.ndarray:
        """A copy of a device array of any library as NumPy array. Errors: TypeMismatchError."""


def back_end(device: str) -> BackEnd:
    """The back end of a device. Errors: DeviceError with what is missing for it."""
    try:
        module = importlib.import_module(_MODULES[device])
    except ModuleNotFoundError as problem:
        raise DeviceError(f"there is no back end for {device}: {problem}") from None
    found: BackEnd = module.back_end(device)
    return found


def resident(value: Any, into: Residence | None = None) -> Residence | None:
    """A copy of a device array where it lies; None for any other array, and where there is no back
    end for that device. Errors: those of `BackEnd.resident`."""
    device = device_of(value)
    if device not in _MODULES:
        return None
    try:
        target = back_end(device)
    except DeviceError:
        return None
    return target.resident(value, into)


def fetch(value: Any) -> np.ndarray:
    """A copy of a device array on the host. Errors: DeviceError where there is no back end for that
    device; those of `BackEnd.fetch`."""
    device = device_of(value)
    if device not in _MODULES:
        raise DeviceError(f"an array ({type(value).__name__}) on {device}, which symnet cannot use")
    return back_end(device).fetch(value)


def on_host(value: Any) -> Any:
    """A copy of a device array on the host; anything else as it is. Errors: those of `fetch`."""
    return value if device_of(value) is None else fetch(value)


def inspection(device: str) -> Any:
    """What the back end of a device tells of its programs: a module, see `inspection.py`."""
    return importlib.import_module(f"{_MODULES[device].rpartition('.')[0]}.inspection")
