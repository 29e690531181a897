"""Values from one device to another, when the user says so."""

from typing import Any

import numpy as np

from symnet.backends.choice import back_end, on_host
from symnet.errors import TypeMismatchError
from symnet.function.modes import as_device
from symnet.graph.foreign import as_array, device_of, not_numeric
from symnet.graph.types import DTYPES
from symnet.graph.variables import SharedVariable, Variable


def transfer(value: Any, device: str | None = None) -> Any:
    """An array, or the value of a shared variable, in the memory of a device.

    value   a shared variable, whose value moves there, and which is given back; or an array of any
            library, of which a copy is made: a NumPy array for "cpu", else a device array. What
            lies there already is given back as it is
    device  "cpu", "cuda" or "emulated"; None: config.device

    Functions take what they need wherever it lies, so this is for choosing when, and for arguments
    that are used often. Errors: DeviceError where there is no such device; TypeMismatchError for
    what is no array, and for dtypes that symnet has not; OutOfMemoryError.
    """
    device = as_device(device)
    if isinstance(value, SharedVariable):
        return _move(value, device)
    if isinstance(value, Variable):
        raise TypeMismatchError(f"transfer: {value} is symbolic; functions choose their device")
    if device_of(value) == device:
        return value
    array = as_array(on_host(value), "the array to transfer")
    if array.dtype.name not in DTYPES:
        raise TypeMismatchError(
            f"transfer: {value!r:.60} {not_numeric(value, array)}; there are {', '.join(DTYPES)}"
        )
    if device == "cpu":
        return array
    native = np.require(array, array.dtype.newbyteorder("="), "C").reshape(array.shape)
    return back_end(device).resident(native).array()


def _move(shared: SharedVariable, device: str) -> SharedVariable:
    remote = shared.remote if shared.remote_current else None
    if device == "cpu":
        if remote is not None:
            shared.rebind(shared.storage)
        shared.remote = None  # its memory is given back
    elif remote is None or remote.device != device:
        shared.place(back_end(device).resident(shared.peek()))
    return shared
