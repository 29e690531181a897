"""Functions on the emulated device, and tests of other rooms with their functions there."""

import functools
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from symnet.backends.gpu import compile as cuda
from symnet.backends.gpu import devices, host
from symnet.backends.gpu.emulated import EmulatedDevice
from symnet.backends.gpu.link import link
from symnet.backends.gpu.runner import GpuRunner
from symnet.config import config
from symnet.rewrite import optimise
from symnet.schedule.buffers import plan

TESTS = Path(__file__).resolve().parents[2]
UNIT = 16  # kernels of a module
WORST = 3  # kernels with the most registers are named,
MANY = 128  # if a multiprocessor has room for one of their blocks only
calls = 0


class Settling(GpuRunner):
    """Tells errors at once, as the CPU does, also of calls without a result. Counts calls."""

    def run(self, arrays):
        global calls
        calls += 1
        results = super().run(arrays)
        self._pending.settle()
        return results

    def map(self, sequences, count, *args, **kwargs):
        global calls
        calls += count
        return super().map(sequences, count, *args, **kwargs)


@contextmanager
def device(**circumstances):
    """`symnet.function` compiles for an emulated device of its own."""
    made = EmulatedDevice(**circumstances)
    before = devices.use("emulated", made)
    try:
        with config.change(device="emulated"):
            yield made
    finally:
        devices.use("emulated", before)


def runner(inputs, outputs, updates=(), profile=False, on=None, **circumstances):
    """A program on an emulated device, without what `symnet.function` does."""
    results, _ = optimise([*outputs, *(v for _, v in updates)])
    new = list(zip([s for s, _ in updates], results[len(outputs) :]))
    program, planner = plan(inputs, results[: len(outputs)], new)
    constants = [c.data for c in planner.constants]
    return GpuRunner(
        link(program), inputs, planner.shared, constants, planner.origins, profile,
        on or EmulatedDevice(**circumstances),
    )  # fmt: skip


def mirrored(path, skip=(), only=()):
    """The test functions of a module, to run on the emulated device, under names of their own; and
    the fixtures that they use.

    skip, only  where some test what only the CPU's runtime does: those, or the others
    """
    file = TESTS / path
    spec = importlib.util.spec_from_file_location(f"mirrored_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield from ((n, f) for n, f in vars(module).items() if hasattr(f, "_fixture_function_marker"))
    found = {n: t for n, t in vars(module).items() if n.startswith("test_")}
    unknown = {*skip, *only} - found.keys()
    assert not unknown, f"{path} has no {unknown}"
    for name, test in found.items():
        if name not in skip and (not only or name in only):
            yield f"{name}__{file.stem}", pytest.mark.usefixtures("on_device")(test)


def summary():
    return f"emulated GPU: {len(host.built())} kernels built, {calls} calls of functions"


def compile_everything():
    """NVRTC over all kernels built so far: as users get them for the architecture that performance
    is about; the lowest and the newest have to take the texts, too. Returns what to print."""
    sources = sorted(host.built(), key=lambda s: s.entry)
    units = [sources[k : k + UNIT] for k in range(0, len(sources), UNIT)]
    known = cuda.nvrtc().architectures
    lines = []
    with ThreadPoolExecutor(2) as pool:
        for architecture in sorted({known[0], cuda.HOPPER, known[-1]}):
            quickly = architecture != cuda.HOPPER
            build = functools.partial(
                cuda.compile_module, architecture=architecture, quickly=quickly
            )
            found = {}
            for module in pool.map(build, units):
                found.update(module.resources)
            assert len(found) == len(sources)
            line = f"NVRTC {'.'.join(map(str, cuda.nvrtc().version))}, sm_{architecture}: "
            lines.append(f"{line}{len(found)} of {len(sources)} kernels compile")
            if quickly:
                continue
            spilling = {n: r for n, r in found.items() if r.stores or r.loads}
            most = max((r.registers for r in found.values()), default=0)
            lines[-1] += f", at most {most} registers, {len(spilling)} spill"
            lines += [f"    {n}: {r}" for n, r in spilling.items()]
            worst = sorted(found, key=lambda n: -found[n].registers)[:WORST]
            lines += [f"    {n}: {found[n]}" for n in worst if found[n].registers > MANY]
    return lines
