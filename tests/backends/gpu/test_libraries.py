"""What is said to be missing, and what helps."""

import importlib.util
import types
from pathlib import Path

import pytest

from symnet.backends.gpu import compile as kernels
from symnet.backends.gpu import libraries
from symnet.errors import BackendError, DeviceError


class Runtime:
    """Of a machine with one GPU and CuPy for CUDA 13."""

    count = 1

    def runtimeGetVersion(self):
        return 13000

    def getDeviceCount(self):
        if isinstance(self.count, Exception):
            raise self.count
        return self.count


@pytest.fixture
def machine(monkeypatch):
    """A machine on which nothing is missing."""
    runtime = Runtime()
    cupy = types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime))
    monkeypatch.setattr(libraries, "cupy", lambda: cupy)
    monkeypatch.setattr(libraries, "driver_version", lambda: (13, 2))
    nvrtc = types.SimpleNamespace(version=(13, 1))
    monkeypatch.setattr(libraries.kernels, "nvrtc", lambda: nvrtc)
    monkeypatch.setattr(libraries, "cublas", lambda major: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return types.SimpleNamespace(runtime=runtime, nvrtc=nvrtc)


def refuse(error):
    def refused(*arguments):
        raise error

    return refused


def test_nothing_is_missing(machine):
    assert libraries.missing() == []


def test_no_cupy(machine, monkeypatch):
    monkeypatch.setattr(libraries, "cupy", refuse(DeviceError("CuPy is not installed: pip")))
    assert libraries.missing() == ["CuPy is not installed: pip."]


def test_no_driver(machine, monkeypatch):
    monkeypatch.setattr(libraries, "driver_version", lambda: None)
    (said,) = libraries.missing()
    assert "driver" in said and "install" in said


def test_a_driver_that_is_too_old(machine, monkeypatch):
    monkeypatch.setattr(libraries, "driver_version", lambda: (12, 4))
    (said,) = libraries.missing()
    assert "serves CUDA 12.4" in said and "for CUDA 13" in said and "symnet[gpu12]" in said


@pytest.mark.parametrize(
    "count, visible, words",
    [
        (0, None, "nvidia-smi"),
        (0, "", "CUDA_VISIBLE_DEVICES=''"),
        (0, "7", "CUDA_VISIBLE_DEVICES='7'"),
        (RuntimeError("cudaErrorUnknown"), None, "cudaErrorUnknown"),
    ],
)
def test_no_device(machine, monkeypatch, count, visible, words):
    machine.runtime.count = count
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    (said,) = libraries.missing()
    assert words in said


def test_nvrtc_that_is_newer_than_the_driver(machine, monkeypatch):
    machine.runtime.runtimeGetVersion = lambda: 12090
    monkeypatch.setattr(libraries, "driver_version", lambda: (12, 4))
    (said,) = libraries.missing()
    words = "NVRTC is of CUDA 13, the driver serves CUDA 12: pip install nvidia-cuda-nvrtc-cu12,"
    assert words in said
    machine.nvrtc.version = 12, 9
    assert libraries.missing() == []


def test_nvrtc_that_is_older(machine):
    machine.nvrtc.version = 12, 1
    assert libraries.missing() == []


def test_of_several_wheels_the_newest_is_taken(monkeypatch, tmp_path):
    for name in ("cu13/lib/libnvrtc.so.13", "cuda_nvrtc/lib/libnvrtc.so.12"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    spec = types.SimpleNamespace(submodule_search_locations=[tmp_path])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setenv("SYMNET_NVRTC", "named.so")
    found = [Path(p).name for p in kernels._places()[:3]]
    assert found == ["named.so", "libnvrtc.so.13", "libnvrtc.so.12"]


@pytest.mark.parametrize(
    "driver, named, wanted",
    [
        (None, "", (13, 1)),
        ((13, 0), "", (13, 1)),  # newer within a major version is no matter
        ((12, 4), "", (12, 9)),
        ((12, 4), "13", (13, 1)),
        ((11, 8), "", (13, 1)),  # better than none: tests compile with it, and `missing` tells
    ],
)
def test_of_several_nvrtc_it_is_one_that_the_driver_serves(monkeypatch, driver, named, wanted):
    def load(place):
        if place == "none":
            raise OSError
        return types.SimpleNamespace(version=(13, 1) if place == "13" else (12, 9))

    monkeypatch.setenv("SYMNET_NVRTC", named)
    monkeypatch.setattr(kernels, "_places", lambda: ["none", "13", "12"])
    monkeypatch.setattr(kernels, "driver_version", lambda: driver)
    monkeypatch.setattr(kernels, "ctypes", types.SimpleNamespace(CDLL=load))
    monkeypatch.setattr(kernels, "Nvrtc", lambda library: library)
    assert kernels.nvrtc.__wrapped__().version == wanted


def test_no_nvrtc_and_no_cublas(machine, monkeypatch):
    monkeypatch.setattr(libraries.kernels, "nvrtc", refuse(BackendError("no NVRTC")))
    monkeypatch.setattr(libraries, "cublas", refuse(DeviceError("no cuBLAS")))
    assert libraries.missing() == ["no NVRTC.", "no cuBLAS."]


def test_a_cublas_that_nobody_has():
    with pytest.raises(DeviceError, match="pip install nvidia-cublas-cu7"):
        libraries.cublas(7)


def test_a_cupy_that_cannot_be_imported(monkeypatch, tmp_path):
    text = "raise ImportError('''\n====\nlibX.so is not there\n====\n''')\n"
    (tmp_path / "cupy.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(libraries.sys.modules, "cupy", raising=False)
    with pytest.raises(DeviceError, match=r"cannot be imported \(libX.so is not there\): pip"):
        libraries.cupy()
