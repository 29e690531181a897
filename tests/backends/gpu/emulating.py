"""Functions on the emulated device, and tests of other rooms with their functions there."""

import functools
import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from symnet.backends import reference
from symnet.backends.gpu import compile as cuda
from symnet.backends.gpu import devices, host
from symnet.backends.gpu.emulated import EmulatedDevice
from symnet.backends.gpu.link import link
from symnet.backends.gpu.runner import GpuRunner
from symnet.config import config
from symnet.function.debugging import RELATIVE
from symnet.graph.traversal import shared_inputs
from symnet.graph.variables import Constant
from symnet.rewrite import optimise
from symnet.schedule.buffers import NotNative, plan
from symnet.schedule.shapes import NotASize
from symnet.testing import assert_close

FEW = 3
MOST = 6
EXAMPLES = 10  # of a property, on the device
everything = False  # as in the nightly run
TESTS = Path(__file__).resolve().parents[2]
UNIT = 16  # kernels of a module
TOGETHER = 96  # kernels that are built together
WORST = 3  # kernels with the most registers are named,
MANY = 128  # if a multiprocessor has room for one of their blocks only
calls = tests = 0
compiled = {}  # kernels that NVRTC takes, by architecture


class Settling(GpuRunner):
    """Tells errors at once, as the CPU does, also of calls without a result. Counts calls."""

    def run(self, arrays):
        global calls
        calls += 1
        results = super().run(arrays)
        self.bindings.pending.settle()
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


def runner(inputs, outputs, updates=(), profile=False, on=None, rewrite="full", **circumstances):
    """A program on an emulated device, without what `symnet.function` does."""
    roots = [*outputs, *(v for _, v in updates)]
    results, _ = optimise(roots, level=rewrite, native_half_products=True)
    new = list(zip([s for s, _ in updates], results[len(outputs) :]))
    program, planner = plan(inputs, results[: len(outputs)], new)
    constants = [c.data for c in planner.constants]
    return GpuRunner(
        link(program), inputs, planner.shared, constants, planner.origins, profile,
        on or EmulatedDevice(**circumstances),
    )  # fmt: skip


def values(*shape, seed=0):
    """Normal numbers, float32."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


class Later:
    """Programs to run on the device and what they should give, until there are many: their kernels
    are built together then, which is most of the work for each.

    A `FEW` of those that are the same kernels are enough, and so are `MOST` kernels of a test, but
    in the nightly run.
    """

    def __init__(self):
        self.entries, self.missing, self.met, self.of_test, self.done = [], set(), {}, {}, 0

    def add(self, outputs, given):
        name = os.environ.get("PYTEST_CURRENT_TEST", "")
        inputs = [v for v in given if not isinstance(v, Constant)]
        # rewriting may make it more accurate, so both get the same
        rewritten, _ = optimise(outputs, native_half_products=True)
        try:
            one = runner(inputs, rewritten, rewrite="none", apart=True)
        except (NotNative, NotASize):
            return  # it takes several programs, with Python between them
        sources = one.linked.sources
        shapes = tuple(np.shape(given[v]) for v in inputs)
        met = self.met.setdefault(tuple(s.entry for s in sources), set())
        kernels = self.of_test.setdefault(name.partition("[")[0].partition(" ")[0], set())
        if not everything:
            new = [s for s in sources if s not in host.launchers and s not in self.missing]
            if len(met) >= FEW or shapes in met or (new and len(kernels) + len(new) > MOST):
                return
            kernels.update(new)
        met.add(shapes)
        expected = reference.evaluate(rewritten, given)
        arrays = [np.array(given[v], v.type.numpy_dtype, order="C") for v in inputs]
        self.entries.append((name, one, arrays, expected))
        self.missing.update(s for s in sources if s not in host.launchers)

    def run(self, least=0):
        """Run all if they are as many kernels. Errors: AssertionError with the names of the tests
        that gave what is wrong."""
        if len(self.missing) < least:
            return
        entries, self.entries, self.missing = self.entries, [], set()
        host.prepare(s for _, one, _, _ in entries for s in one.linked.sources)
        wrong = []
        for name, one, arrays, expected in entries:
            try:
                for a, e in zip(one.run(arrays), expected, strict=True):
                    bound = RELATIVE.get(e.dtype.name, 0.0)
                    with np.errstate(invalid="ignore"):  # ml_dtypes' isfinite complains of NaN
                        finite = np.abs(e[np.isfinite(e)].astype("float64"))
                        largest = float(finite.max()) if finite.size else 0.0
                        assert_close(a, e, rtol=bound, atol=bound * largest)
            except Exception as error:
                wrong.append(f"{name}: {type(error).__name__}: {error}\n{one.program}")
            self.done += 1
        assert not wrong, f"{len(wrong)} of {len(entries)} programs:\n" + "\n".join(wrong[:5])


later = Later()


def evaluate(outputs, given=None):
    """What the interpreter says; sooner or later the device is asked the same.

    Of inputs with known sizes only in the nightly run: most tests have them both ways."""
    expected = reference.evaluate(outputs, given)
    given = dict(given or {})
    if everything or not any(v.type.shape and None not in v.type.shape for v in given):
        shared = {v: v.peek() for v in shared_inputs(outputs) if v not in given}
        later.add(outputs, {**given, **shared})
    return expected


@functools.cache
def of_ops(name):
    """A check of the tests of ops, asking the device, too."""
    ops = loaded("ops/conftest.py")
    ops.evaluate = evaluate
    ops.verify_grad = lambda *arguments, **options: None
    return getattr(ops, name) if name == "agree_" else ops.run.__wrapped__()


@pytest.fixture(scope="session")
def agree():
    return of_ops("agree_")


@pytest.fixture(scope="session")
def run():
    return of_ops("run_")


def loaded(path):
    """A module of the tests by its path, under a name of its own."""
    file = TESTS / path
    spec = importlib.util.spec_from_file_location(f"mirrored_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fewer(test):
    """Properties are tried with fewer examples, but in the nightly run."""
    before = getattr(test, "_hypothesis_internal_use_settings", None)
    if hasattr(test, "hypothesis"):
        before = before or settings()
        few = settings(before, max_examples=min(before.max_examples, EXAMPLES), deadline=None)
        test._hypothesis_internal_use_settings = before if everything else few


def mirrored(path, skip=(), only=()):
    """The test functions of a module, to run on the emulated device, under names of their own; and
    the fixtures that they use.

    skip, only  where some test what only the CPU's runtime does: those, or the others
    """
    module = loaded(path)
    if hasattr(module, "evaluate"):
        module.evaluate = evaluate
    if hasattr(module, "verify_grad"):
        module.verify_grad = lambda *arguments, **options: None
    yield from ((n, f) for n, f in vars(module).items() if hasattr(f, "_fixture_function_marker"))
    found = {n: t for n, t in vars(module).items() if n.startswith("test_")}
    unknown = {*skip, *only} - found.keys()
    assert not unknown, f"{path} has no {unknown}"
    for name, test in found.items():
        if name not in skip and (not only or name in only):
            fewer(test)
            yield f"{name}__{Path(path).stem}", pytest.mark.usefixtures("on_device")(test)


def counted():
    """What this process has done, for `tests/conftest.py` to add up."""
    return {
        "tests": tests,
        "calls": calls,
        "expressions": later.done,
        "kernels": [s.entry for s in host.built()],
        "compiled": compiled,
    }


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
            compiled[str(architecture)] = sorted(found)
            if quickly:
                continue
            spilling = {n: r for n, r in found.items() if r.stores or r.loads}
            most = max((r.registers for r in found.values()), default=0)
            version = ".".join(map(str, cuda.nvrtc().version))
            lines.append(
                f"NVRTC {version}, sm_{architecture}: {len(found)} kernels of this process, "
                f"at most {most} registers, {len(spilling)} spill"
            )
            lines += [f"    {n}: {r}" for n, r in spilling.items()]
            worst = sorted(found, key=lambda n: -found[n].registers)[:WORST]
            lines += [f"    {n}: {found[n]}" for n in worst if found[n].registers > MANY]
    return lines
