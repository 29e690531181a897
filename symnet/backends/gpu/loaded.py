"""A linked program on a device, with the variables it works on: what does not change from call to
call."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symnet.backends.gpu.device import DeviceArray, GpuDevice
from symnet.backends.gpu.link import Linked
from symnet.backends.gpu.memory import Wish
from symnet.backends.gpu.moving import Moving
from symnet.backends.shortage import made_by, too_large
from symnet.errors import OutOfMemoryError
from symnet.graph.origin import Origin
from symnet.graph.variables import SharedVariable, Variable
from symnet.schedule.program import Program, written


class Loaded:
    """A program, its device, and what its objects are.

    input_numbers, shared_numbers, constant_numbers  its objects of each role
    dtypes       of the inputs
    variables    of `shared_numbers`, in that order
    overwritten  positions in `variables` of those that steps write
    moving       registers that values decide
    chained      a value that decides about a call is one that the call before may have changed
    """

    def __init__(
        self,
        linked: Linked,
        inputs: Sequence[Variable],
        shared: Sequence[SharedVariable],
        constants: Sequence[np.ndarray],
        origins: Sequence[Origin],
        device: GpuDevice,
    ):
        program = linked.program
        self.program: Program = program
        self.linked = linked
        self.inputs = list(inputs)
        self.shared = list(shared)
        self.constants = list(constants)
        self.origins = list(origins)
        self.device = device
        numbers: dict[str, list[int]] = {"input": [], "shared": [], "constant": [], "output": []}
        for number, o in enumerate(program.objects):
            numbers[o.role].append(number)
        self.input_numbers = numbers["input"]
        self.shared_numbers = numbers["shared"]
        self.constant_numbers = numbers["constant"]
        self.dtypes = [program.objects[n].dtype for n in self.input_numbers]
        changed = written(program)
        self.overwritten = [
            k for k, n in enumerate(self.shared_numbers) if ("object", n) in changed
        ]
        self.variables = [self.shared[program.objects[n].position] for n in self.shared_numbers]
        self._written = [self.variables[k] for k in self.overwritten]
        self.moving = Moving(program, linked.keys)
        rebound = {position for position, _ in program.rebinds}
        self.chained = any(
            program.objects[n].role == "shared"
            and (("object", n) in changed or program.objects[n].position in rebound)
            for n in self.moving.objects
        )

    def object(self, number: int) -> Any:
        """The variable of a shared object, or a constant's array."""
        o = self.program.objects[number]
        return self.shared[o.position] if o.role == "shared" else self.constants[o.position]

    def value(self, arrays: Sequence[Any]) -> Callable[[int], int]:
        """A function from an object's number to its value, an integer."""

        def value(number: int) -> int:
            o = self.program.objects[number]
            if o.role == "shared":
                return int(self.shared[o.position].peek())
            if o.role == "constant":
                return int(self.constants[o.position])
            given = arrays[o.position]
            if isinstance(given, DeviceArray):
                host = np.empty((), given.dtype)
                self.device.get(host, given.address)
                return int(host)
            return int(given)

        return value

    def writes(self) -> None:
        """The device is about to overwrite shared variables."""
        for variable in self._written:
            variable.moved()

    def too_large(self, error: OutOfMemoryError, wishes: Sequence[Wish]) -> OutOfMemoryError:
        """What says who wanted how much."""
        shared = [
            Wish.of_array(f"shared variable {s}", s.dtype, s.current_shape) for s in self.shared
        ]
        return OutOfMemoryError(too_large(self.device.name, str(error), [*wishes, *shared]))

    def buffer(self, k: int) -> str:
        """What an intermediate result is, for messages."""
        program = self.program
        return f"{program.buffers[k].dtype} result{made_by(program, self.origins, ('buffer', k))}"
