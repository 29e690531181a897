"""The GPU as what `symnet.function` compiles for."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), os.pardir, "backends", "gpu"))

import emulating
import hardware

from symnet.config import config


@pytest.fixture
def device():
    return hardware.device()


@pytest.fixture
def cupy(device):
    return hardware.cupy()


@pytest.fixture
def on_device(device, monkeypatch):
    """Inside a test, `symnet.function` runs on the GPU, and so do programs that tests of the
    emulated device make for it."""
    monkeypatch.setattr(emulating, "EmulatedDevice", hardware.Adjusted)
    with config.change(device="cuda"):
        yield device
