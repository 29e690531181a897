"""The host's processor as a back end: see `backends/choice.py`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from symnet.backends.cpu import link as linking
from symnet.backends.cpu.link import Linked
from symnet.backends.cpu.runner import Runner
from symnet.errors import DeviceError
from symnet.graph.origin import Origin
from symnet.graph.variables import Residence, SharedVariable, Variable
from symnet.schedule.program import Program


class CpuBackEnd:
    """Programs for the host's processor. It has no memory apart from the host's."""

    native_half_products = False

    def identity(self) -> str:
        """Linked programs are the same for every processor; their kernels are stored apart."""
        return "cpu"

    def link(self, program: Program) -> Linked:
        return linking.link(program)

    def make_runner(
        self,
        linked: Linked,
        inputs: Sequence[Variable],
        shared: Sequence[SharedVariable],
        constants: Sequence[np.ndarray],
        origins: Sequence[Origin],
        profile: bool = False,
    ) -> Runner:
        return Runner(linked, inputs, shared, constants, origins, profile)

    def resident(self, value: Any, into: Residence | None = None) -> Any:
        raise DeviceError("the host's memory is no device's")

    def fetch(self, value: Any) -> np.ndarray:
        raise DeviceError("the host's memory is no device's")


_back_end = CpuBackEnd()


def back_end(device: str) -> CpuBackEnd:
    """The back end for "cpu"."""
    return _back_end
