"""Functions on the emulated device, and tests of other rooms with their functions there."""

import importlib
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from symnet.backends.cpu.runner import Runner
from symnet.backends.gpu import compile as cuda
from symnet.backends.gpu import emulated
from symnet.backends.gpu.emulated import SMALL, EmulatedRunner

TESTS = Path(__file__).resolve().parents[2]
UNIT = 16  # kernels of a module

build = importlib.import_module("symnet.function.build")
calls = 0


class Emulating(Runner):
    """Takes the place of the CPU's runner in `symnet.function`; all calls go to the device."""

    device = SMALL
    downwards = False

    def __init__(self, linked, inputs, shared, constants, origins, profile=False):
        super().__init__(linked, inputs, shared, constants, origins, profile)
        self.emulated = EmulatedRunner(
            linked.program, inputs, shared, constants, origins, self.device, 0, self.downwards
        )

    def run(self, arrays):
        global calls
        calls += 1
        return self.emulated.run(arrays)

    def map(self, sequences, count, between=None, limit_ns=0):
        results = []
        sequences = [s.copy() for s in sequences]  # what is updated may be among them
        for k in range(count):
            results.append(self.run([s[k, ...] for s in sequences]))
            if between is not None and between(k + 1):
                break
        outputs = self.program.outputs
        if not results:
            return [np.empty((0, *(0 for _ in o.shape)), o.dtype) for o in outputs]
        return [np.stack(r) for r in zip(*results)]


def mirrored(path, skip=(), only=()):
    """The test functions of a module, to run on the emulated device, under names of its own.

    skip, only  where some test what only the CPU's runtime does: those, or the others
    """
    file = TESTS / path
    spec = importlib.util.spec_from_file_location(f"mirrored_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = {n: t for n, t in vars(module).items() if n.startswith("test_")}
    unknown = {*skip, *only} - found.keys()
    assert not unknown, f"{path} has no {unknown}"
    for name, test in found.items():
        if name not in skip and (not only or name in only):
            yield f"{name}__{file.stem}", pytest.mark.usefixtures("on_device")(test)


def summary():
    return f"emulated GPU: {len(emulated.built())} kernels built, {calls} calls of functions"


def compile_everything():
    """NVRTC over all kernels built so far. Returns what to print."""
    sources = sorted(emulated.built(), key=lambda s: s.entry)
    units = [sources[k : k + UNIT] for k in range(0, len(sources), UNIT)]
    known = cuda.nvrtc().architectures
    lines = []
    with ThreadPoolExecutor(2) as pool:
        for architecture in sorted({known[0], cuda.HOPPER, known[-1]}):
            found = {}
            for module in pool.map(cuda.compile_module, units, [architecture] * len(units)):
                found.update(module.resources)
            assert len(found) == len(sources)
            spilling = {n: r for n, r in found.items() if r.stores or r.loads}
            most = max((r.registers for r in found.values()), default=0)
            lines.append(
                f"NVRTC {'.'.join(map(str, cuda.nvrtc().version))}, sm_{architecture}: "
                f"{len(found)} kernels, at most {most} registers, {len(spilling)} spill"
            )
            lines += [f"    {n}: {r}" for n, r in spilling.items()]
    return lines
