"""The devices of this process by their names; each is made when it is first asked for."""

import importlib
import threading

from symnet.backends.gpu.device import GpuDevice
from symnet.errors import DeviceError

_CLASSES = {
    "cuda": ("symnet.backends.gpu.cuda", "CudaDevice"),
    "emulated": ("symnet.backends.gpu.emulated", "EmulatedDevice"),
}
_made: dict[str, GpuDevice] = {}
_lock = threading.Lock()


def device(name: str) -> GpuDevice:
    """The device "cuda" or "emulated". Errors: DeviceError where it is missing."""
    with _lock:
        found = _made.get(name)
        if found is None:
            if name not in _CLASSES:
                raise DeviceError(f"no device is called {name!r}; there are {', '.join(_CLASSES)}")
            module, kind = _CLASSES[name]
            found = _made[name] = getattr(importlib.import_module(module), kind)()
        return found


def use(name: str, made: GpuDevice | None) -> GpuDevice | None:
    """Let this one be the device of that name (None: the next that is asked for), for functions
    compiled from now on. Returns the one before. For tests."""
    with _lock:
        before = _made.pop(name, None)
        if made is not None:
            _made[name] = made
        return before
