"""The GPU as what `symnet.function` compiles for."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), os.pardir, "backends", "gpu"))

import emulating
import hardware
from emulating import agree, run  # noqa: F401  (fixtures)

from symnet.backends.gpu import back_end, host
from symnet.config import config


@pytest.fixture
def device():
    return hardware.device()


@pytest.fixture
def cupy(device):
    return hardware.cupy()


@pytest.fixture
def gpu(device):
    """Inside a test, `symnet.function` compiles for the GPU."""
    with config.change(device="cuda"):
        yield device


@pytest.fixture
def on_device(gpu, monkeypatch):
    """For tests of other rooms: errors are told at once, as the CPU does, and programs for the
    emulated device run on the GPU."""
    monkeypatch.setattr(emulating, "EmulatedDevice", hardware.Adjusted)
    monkeypatch.setattr(back_end, "GpuRunner", emulating.Settling)
    if not hardware.FAKE:
        monkeypatch.setattr(host, "prepare", lambda sources: None)
    yield gpu
    emulating.later.run(1)
