"""The emulated device as what `symnet.function` compiles for, and NVRTC over all that was built."""

import os
import sys

import pytest

from symnet.backends.gpu import back_end, host
from symnet.backends.gpu import compile as cuda

sys.path.insert(0, os.path.dirname(__file__))

import emulating
from emulating import agree, run  # noqa: F401  (fixtures)


@pytest.fixture
def on_device(monkeypatch):
    """Inside a test, `symnet.function` runs on an emulated device that watches every buffer."""
    if host.compiler() is None:
        pytest.skip("the emulated device needs a C++ compiler")
    monkeypatch.setattr(back_end, "GpuRunner", emulating.Settling)
    with emulating.device(apart=True) as made:
        yield made
    emulating.later.run(emulating.TOGETHER)


def pytest_configure(config):
    emulating.everything = config.option.markexpr == "nightly"


def pytest_runtest_logreport(report):
    if report.when == "call" and report.passed and "test_mirrored" in report.nodeid:
        emulating.tests += 1


@pytest.fixture(scope="session", autouse=True)
def every_text_compiles(request):
    """When all tests are done: NVRTC takes every text of this process for every architecture that
    counts, without a warning. What kernels take is printed; the counts are added up at the end."""
    yield
    emulating.later.run()
    if cuda.available():
        lines = emulating.compile_everything()
    else:
        lines = ["NVRTC is not installed: the texts were not compiled for real devices"]
    # where pytest-xdist takes what a process hands over, and where there is one process only
    handed = getattr(request.config, "workeroutput", vars(request.config))
    handed["emulated_gpu"] = emulating.counted()
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n" + "\n".join(lines), file=sys.stderr)
