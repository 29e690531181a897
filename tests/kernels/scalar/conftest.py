"""`native(names, *arrays)`: our functions in a loop that Numba compiled."""

import functools

import numpy as np
import pytest

from symnet.kernels.scalar import FUNCTIONS


@functools.cache
def _loop(names, count):
    import numba

    from symnet.kernels.scalar import cpu

    arguments = [f"x{i}" for i in range(count)]
    outputs = [f"o{i}" for i in range(len(names))]
    values = ", ".join(f"{a}[i]" for a in arguments)
    lines = [f"def loop({', '.join(arguments + outputs)}):", "    for i in range(x0.size):"]
    lines += [f"        {o}[i] = {name}({values})" for o, name in zip(outputs, names)]
    scope = {name: getattr(cpu, name) for name in names}
    exec("\n".join(lines), scope)
    return numba.njit(error_model="numpy")(scope["loop"])


def run_native(names, *arrays):
    """The functions `names` (one name or several) at 1-d arrays of one length."""
    several = (names,) if isinstance(names, str) else tuple(names)
    arrays = [np.ascontiguousarray(a) for a in np.broadcast_arrays(*arrays)]
    dtypes = [a.dtype.name for a in arrays]
    outputs = [np.empty(arrays[0].shape, FUNCTIONS[n].result_dtype(*dtypes)) for n in several]
    _loop(several, len(arrays))(*arrays, *outputs)
    return outputs[0] if isinstance(names, str) else dict(zip(several, outputs))


@pytest.fixture(scope="session")
def native():
    return run_native
