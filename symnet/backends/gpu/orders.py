"""Ordering the launches of bindings: one by one, or as recordings."""

from collections.abc import Callable
from functools import partial

import numpy as np

from symnet.backends.gpu.bind import BoundKernel
from symnet.backends.gpu.binding import Binding
from symnet.backends.gpu.device import GpuDevice, Recording
from symnet.errors import RecordingError

REFUSALS = 3  # recordings of a binding that fail before no more are tried


class Orders:
    """How a program's launches get to its device.

    profile           as of GpuRunner
    recorded          whether the last call replayed a recording; None before there was a second
    why_not_recorded  the reason, where it cannot be recorded
    """

    def __init__(self, device: GpuDevice, profile: np.ndarray | None):
        self.device = device
        self.profile = profile
        self.recorded: bool | None = None
        self.why_not_recorded = ""

    def call(self, binding: Binding) -> None:
        """A call: everything between upload and results."""
        if self.profile is not None:
            spans = binding.bound.spans
            times = self.device.timed(
                [partial(self.launch, binding, first, last) for first, last in spans]
            )
            self.profile[: len(times), 0] += times
            self.profile[: len(times), 1] += 1
            return
        if binding.recording is None and binding.calls:
            binding.recording = self.record(binding, partial(self.launch, binding))
        binding.calls += 1
        if binding.recording is not None:
            binding.recording.replay()
        else:
            self.launch(binding)

    def record(self, binding: Binding, orders: Callable[[], None]) -> Recording | None:
        """A recording of what is ordered for a binding; None where it cannot be recorded."""
        if binding.refusals >= REFUSALS:
            return None
        try:
            found = self.device.record(orders)
        except RecordingError as error:
            binding.refusals += 1
            self.recorded, self.why_not_recorded = False, str(error)
            return None
        self.recorded, self.why_not_recorded = True, ""
        return found

    def launch(self, binding: Binding, first: int = 0, last: int | None = None) -> None:
        """Order steps of a binding."""
        device, live, error = self.device, binding.packet_at, binding.pending.error
        for step in binding.bound.steps[first:last]:
            if isinstance(step, BoundKernel):
                device.launch(step, live, error)
            else:
                device.multiply(step, live)
