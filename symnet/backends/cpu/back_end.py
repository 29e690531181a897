"""The host's processor as a back end: see `backends/choice.py`."""

from typing import Any

import numpy as np

from symnet.backends.cpu import link as linking
from symnet.backends.cpu.runner import Runner
from symnet.errors import DeviceError
from symnet.graph.variables import Residence


class CpuBackEnd:
    """Programs for the host's processor. It has no memory apart from the host's."""

    native_half_products = False
    link = staticmethod(linking.link)
    make_runner = staticmethod(Runner)

    def identity(self) -> str:
        """Linked programs are the same for every processor; their kernels are stored apart."""
        return "cpu"

    def resident(self, value: Any, into: Residence | None = None) -> Any:
        raise DeviceError("the host's memory is no device's")

    def fetch(self, value: Any) -> np.ndarray:
        raise DeviceError("the host's memory is no device's")


_back_end = CpuBackEnd()


def back_end(device: str) -> CpuBackEnd:
    """The back end for "cpu"."""
    return _back_end
