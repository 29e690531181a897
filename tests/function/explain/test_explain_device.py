"""Explanations and profiles of functions on a device: texts, launches, recordings, memory."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.backends.gpu.compile import available
from symnet.backends.gpu.host import compiler
from symnet.graph import Apply, Op

pytestmark = pytest.mark.skipif(compiler() is None, reason="needs a C++ compiler")


class Training:
    """A softmax regression and its step of gradient descent, on the emulated device."""

    def __init__(self, profile=False):
        x, y = T.matrix("x"), T.lvector("y")
        self.W = symnet.shared(np.ones((4, 3), "float32"), name="W")
        p = T.nnet.softmax(T.dot(x, self.W))
        cost = T.nnet.categorical_crossentropy(p, y).mean()
        updates = {self.W: self.W - 0.1 * symnet.grad(cost, self.W)}
        self.train = symnet.function(
            [x, y], cost, updates=updates, device="emulated", profile=profile, name="train"
        )
        self.given = np.ones((50, 4), "float32"), np.arange(50) % 3


@pytest.fixture(scope="module")
def training():
    return Training()


@pytest.fixture(scope="module")
def explained(training):
    """After two calls; measured, on a copy."""
    for _ in range(2):
        training.train(*training.given)
    before = training.W.get_value()
    found = training.train.explain(*training.given)
    np.testing.assert_array_equal(training.W.get_value(), before)
    return found


def fact(explanation, title):
    """A line of the head."""
    (found,) = [
        line.partition(": ")[2]
        for line in str(explanation).splitlines()
        if line.startswith(f"  {title}: ")
    ]
    return found


def test_kernels_are_cuda_and_beside_them_is_the_text_of_the_cpu(explained):
    assert explained.kernels
    text = str(explained)
    for kernel in explained.kernels:
        assert kernel.language == "CUDA"
        assert "__global__" in kernel.source and "ENTRY" not in kernel.source
        assert "def kernel(args, lo, hi, thread):" in kernel.beside
        assert all(line in text for line in kernel.source.splitlines())
    assert "def kernel(args" not in text  # that is on the page only


@pytest.mark.skipif(not available(), reason="needs NVRTC")
def test_registers_are_those_of_nvrtc(explained):
    for kernel in explained.kernels:
        (found,) = kernel.machine.kernels
        assert 8 <= found.registers <= 255 and found.stores == 0
        assert str(kernel.machine) in str(explained)
        assert f"{found.registers} registers per thread, none spilled" in str(kernel.machine)
        assert str(kernel.machine).endswith("(sm_90)")


def test_every_step_says_how_it_is_launched(explained):
    for step in explained.steps:
        wanted = "cuBLAS" if step.kind == "gemm" else "of 256 threads"
        assert wanted in step.launch
        assert step.launch.split(",")[0] in str(explained.steps)
        assert step.seconds > 0


def test_launches_are_those_of_the_binding():
    x = T.matrix("x")
    for result in (T.exp(x), x.sum(1)):
        f = symnet.function([x], result, device="emulated")
        for sizes in ((2000, 3), (20, 3)):
            f(np.ones(sizes, "float32"))
            how = f._runner.last.bound.steps[0].launch
            (step,) = f.explain().steps
            assert step.launch.startswith(f"{how.grid} block{'s' * (how.grid > 1)} of 256 threads")
            assert (f"{how.lanes} thread" in step.launch) == (how.lanes > 0)
        f(np.ones((0, 3), "float32"))
        (step,) = f.explain().steps
        assert step.launch == "no block: a size is 0"


def test_rows_in_parts_are_several_launches_of_one_kernel():
    x = T.matrix("x")
    f = symnet.function([x], x.sum(1), device="emulated")
    assert "stage_1" not in f.explain().kernels[0].source
    f(np.ones((3, 200_000), "float32"))
    found = f.explain()
    first, then = found.steps[0].launch.split(", then ")
    assert all(re.search(r"rows in \d+ parts", text) for text in (first, then))
    (kernel,) = found.kernels
    assert kernel.source.count("__global__") == 2
    assert "stage_0(" in kernel.source and "stage_1(" in kernel.source
    if available():
        assert "stage 0: " in str(kernel.machine) and "; stage 1: " in str(kernel.machine)


def test_whether_calls_are_recorded_is_said(training, explained):
    assert fact(explained, "device").startswith("emulated (the CUDA text on the host)")
    assert fact(explained, "call") == "replays one CUDA graph"
    fresh = Training()
    assert fact(fresh.train.explain(), "call") == "will be recorded as one CUDA graph"
    fresh.train._runner.orders.why_not_recorded = "step 3 is in the way"
    assert fact(fresh.train.explain(), "call").endswith("one by one: step 3 is in the way")
    assert "measured" in fact(Training(profile=True).train.explain(), "call")


def test_memory_is_that_of_the_binding(explained):
    (plan,) = explained.memory
    assert plan.besides > 0 and plan.arena <= plan.apart
    for b in plan.buffers:
        assert b.offset >= 0 and b.offset + b.bytes <= plan.arena
    assert "with arguments and outputs" in str(explained.memory)
    (updated,) = plan.updated
    assert (updated.label, updated.how) == ("W", "updated in place")


def test_arguments_may_be_on_the_device(training, explained):
    given = [symnet.transfer(a, "emulated") for a in training.given]
    found = training.train.explain(*given)
    assert [s.results for s in found.steps] == [s.results for s in explained.steps]
    assert all(s.seconds > 0 for s in found.steps)


def test_the_page_has_both_texts(explained):
    page = explained.html()
    tree = ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>\n"))
    body = "".join(tree.find("body/div").itertext())
    for kernel in explained.kernels:
        assert kernel.source.strip() in body and kernel.beside.strip() in body
    for step in explained.steps:
        assert step.launch in body
    assert "NVRTC makes machine code" in body and "cuBLAS" in body
    assert "Numba" not in body.replace("import numba", "") and "all threads" not in body
    assert "replays one CUDA graph" in body


class Tripled(Op):
    """An op without lowering: it runs in Python."""

    def make_node(self, x):
        return Apply(self, [x], [x.type], None)

    def perform(self, node, inputs):
        return [inputs[0] * 3]


def test_python_between_programs_of_a_device():
    v = T.vector("v")
    out = T.tanh(Tripled().make_node(T.exp(v)).out).sum()
    found = symnet.function([v], out, device="emulated").explain(np.ones(4, "float32"))
    assert [step.kind for step in found.steps[:3]] == ["map", "Python", "blocks"]
    assert [bool(step.launch) for step in found.steps[:3]] == [True, False, True]
    assert all(step.seconds > 0 for step in found.steps)
    assert fact(found, "device")  # once, though there are two programs


def test_a_call_that_returns_at_once_is_measured_to_its_end():
    x = T.matrix("x")
    W = symnet.shared(np.ones((30, 30), "float32"), name="W")
    f = symnet.function([x], [], updates=[(W, T.tanh(W + x))], device="emulated")
    waits = []
    with pytest.MonkeyPatch.context() as counted:
        wait = type(f._runner.device).wait
        counted.setattr(type(f._runner.device), "wait", lambda d: (waits.append(1), wait(d))[1])
        found = f.explain(np.ones((30, 30), "float32"))
    assert len(waits) >= found.steps[0].calls > 0
    assert (W.get_value() == 1).all()


def test_profiles_time_the_steps_of_a_device():
    measured = Training(profile=True)
    for _ in range(3):
        measured.train(*measured.given)
    rows = measured.train.profile.rows()
    assert len(rows) == len(measured.train.program.steps)
    assert all(row.calls == 3 and row.seconds > 0 for row in rows)
    assert "__global__" in measured.train.profile.source(0)
    times = [s.seconds for s in measured.train.explain().steps]
    np.testing.assert_allclose(times, [row.seconds / 3 for row in rows])
    measured.train.profile.reset()
    assert "not called yet" in str(measured.train.profile)


def test_explaining_for_the_cpu_loads_nothing_of_a_gpu():
    code = (
        "import sys, symnet, symnet.tensor as T\n"
        "x = T.matrix('x')\n"
        "f = symnet.function([x], T.exp(x).sum(0), profile=True)\n"
        "str(f.explain([[1, 2]])), f.explain().html(), str(f.profile), f.profile.source(0)\n"
        "print([m for m in sys.modules if '.gpu' in m or 'cupy' in m])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
