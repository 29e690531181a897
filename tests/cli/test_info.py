"""`symnet info`: facts, and what is wrong."""

import importlib.metadata
import os
import sys
from pathlib import Path

import pytest

import symnet
from symnet.cli import info, machine
from symnet.cli.info import Problem


@pytest.fixture
def healthy(monkeypatch, tmp_path, data):
    """A machine on which nothing is wrong, wherever the tests run."""
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path))
    monkeypatch.setenv("SYMNET_DATA", data)
    monkeypatch.delenv("SYMNET_OFFLINE", raising=False)
    monkeypatch.setattr(machine, "busy", lambda: 0.0)
    monkeypatch.setattr(machine, "free", lambda folder: 1e6)
    monkeypatch.setattr(machine, "simd", lambda: ("fast", ["avx2", "avx512f"]))
    monkeypatch.setattr(machine, "affinity", lambda: os.cpu_count())
    monkeypatch.setattr(info, "available_threads", lambda: os.cpu_count())
    monkeypatch.setattr(info, "PLAIN_CORES", set())
    return tmp_path


def facts(out):
    lines = out.partition("\n\n")[0].splitlines()
    return {line[:18].rstrip(): line[19:] for line in lines}


def test_it_names_versions_threads_and_folders(run, healthy, data):
    with symnet.config.change(threads=1):
        status, out, err = run("info")
    assert (status, err) == (0, "")
    found = facts(out)
    assert found["symnet"] == symnet.__version__
    assert found["threads"].startswith("1 of ")
    assert found["processors"].startswith(f"{os.cpu_count()}, ")
    assert found["cache folder"] == f"{healthy} (0 files, 0.0 MiB, writable)"
    assert found["MNIST"] == f"660 and 200 images in {data}"
    assert found["SYMNET_DATA"] == data
    assert found["SIMD"] == "avx2 avx512f (LLVM: fast)"
    assert "openblas" in found["BLAS"]
    assert found["Python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert found["numpy"] == importlib.metadata.version("numpy")
    assert out.endswith("\n\nnothing is wrong\n")
    assert list(healthy.iterdir()) == []  # looking changes nothing


def test_it_works_on_the_machine_as_it_is(run):
    status, out, err = run("info")
    assert (status, err) == (0, "")
    assert facts(out)["GPU"]


def test_it_works_without_blas_and_packages(run, healthy, monkeypatch):
    monkeypatch.setattr(info, "PACKAGES", ("numba", "no-such-package"))
    monkeypatch.setattr(info, "NEEDED", {"no-such-package"})
    with symnet.config.change(blas="/no/such/library"):
        status, out, _ = run("info")
    assert status == 0
    assert "no-such-package    not installed" in out
    assert "cannot load the BLAS library /no/such/library" in out
    assert "- no-such-package is not installed, and symnet needs it\n" in out
    assert "  take blas=... out of SYMNET_FLAGS" in out


# ---- problems


def wrong(text, mend):
    """Whether exactly this is wrong."""
    (found,) = info.problems()
    return text in found.what and mend in found.mend


def test_a_healthy_machine_has_no_problems(healthy):
    assert list(info.problems()) == []


def test_a_cache_that_cannot_be_written(healthy, monkeypatch):
    (healthy / "file").write_text("in the way")
    monkeypatch.setenv("SYMNET_CACHE", str(healthy / "file"))
    assert wrong(f"cannot be stored in {healthy / 'file'}: ", "set SYMNET_CACHE")


def test_a_full_disk(healthy, monkeypatch):
    monkeypatch.setattr(machine, "free", lambda folder: 12.3)
    assert wrong("only 12 MiB are free", "make room")


@pytest.mark.skipif(os.name != "posix", reason="permissions")
def test_a_cache_that_everybody_may_write(healthy):
    healthy.chmod(0o777)
    assert wrong("runs in your processes", f"chmod o-w {healthy}")


def test_a_cache_that_is_off(healthy):
    with symnet.config.change(cache="off"):
        assert wrong("switched off", "cache=off")


def test_data_that_are_not_there(healthy, monkeypatch, tmp_path):
    monkeypatch.setenv("SYMNET_DATA", "/no/such/folder")
    assert wrong("SYMNET_DATA=/no/such/folder holds no MNIST files", "SYMNET_DATA")
    assert info._data()[0] == "not here"
    monkeypatch.delenv("SYMNET_DATA")
    assert info._data() == ("not here yet; `symnet mnist` downloads it", None)
    monkeypatch.setenv("SYMNET_OFFLINE", "1")
    assert wrong("SYMNET_OFFLINE forbids", "unset SYMNET_OFFLINE")


def test_data_that_are_not_whole(healthy, monkeypatch):
    folder = healthy / "half"
    folder.mkdir()
    (folder / machine.DIGITS[0]).write_bytes(b"\0\0\x08\x03")
    monkeypatch.setenv("SYMNET_DATA", str(folder))
    assert wrong("incomplete", "four idx files")
    assert info._data()[0] == f"not whole, in {folder}"


def test_a_compiler_that_does_not_work(healthy, monkeypatch):
    def broken(*_):
        raise RuntimeError("LLVM is not what it was")

    monkeypatch.setattr(info, "function", broken)
    assert wrong("RuntimeError: LLVM is not what it was", "numba")
    monkeypatch.setattr(info, "function", lambda *_: lambda values: 0.0)
    assert wrong("computed 0.0 instead of 33", "symnet cache clear")


def test_packages_that_are_missing_or_old(healthy, monkeypatch):
    version = info._version
    monkeypatch.setattr(info, "_version", lambda name: version(name) if name != "rich" else "")
    assert wrong("not installed: rich; `symnet mnist`", "'symnet[cli]'")
    monkeypatch.setattr(info, "_version", version)
    monkeypatch.setattr(
        importlib.metadata,
        "requires",
        lambda _: ["numpy>=999.1", 'rich>=13; extra == "cli"', "numba >= 0.61", "odd"],
    )
    assert wrong("is older than 999.1", "pip install 'numpy>=999.1'")


@pytest.mark.parametrize(
    "older, newer", [("1.9", "1.10"), ("2.0.0rc1", "2.1"), ("0.9.9", "1"), ("1.2", "1.2.1")]
)
def test_versions_are_compared_by_number(older, newer):
    assert info._numbers(older) < info._numbers(newer)


def test_a_python_that_is_not_meant(healthy, monkeypatch):
    monkeypatch.setattr(info, "TESTED", ((2, 6), (2, 7)))
    assert wrong("symnet is meant for 2.6 to 2.7", "virtual environment")


def test_a_slow_processor(healthy, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(machine, "simd", lambda: ("old", ["sse4.2"]))
    assert wrong("no AVX2", "-cpu host")


def test_a_core_that_openblas_does_not_know(healthy, monkeypatch):
    from symnet.backends.cpu.blas import blas

    monkeypatch.setattr(info, "PLAIN_CORES", {blas().core.lower()})
    assert wrong(f"takes this processor for a {blas().core}", "OPENBLAS_CORETYPE=SkylakeX")


def test_threads(healthy, monkeypatch):
    with symnet.config.change(threads=os.cpu_count() + 1):
        assert wrong(f"threads={os.cpu_count() + 1}, but", "threads=...")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(info, "available_threads", lambda: 1)
    assert wrong("1 of 8 processors", "taskset")
    monkeypatch.setattr(info, "available_threads", lambda: 8)
    monkeypatch.setattr(machine, "busy", lambda: 20.0)
    assert wrong("20.0 threads want to run on 8 processors", "top")


def test_quotas_are_named(healthy, monkeypatch):
    monkeypatch.setattr(machine, "affinity", lambda: 8)
    monkeypatch.setattr(info, "available_threads", lambda: 3)
    assert info._processors().endswith("8 by affinity, 3 by the control group's quota")


def test_gpus(monkeypatch):
    monkeypatch.setattr(machine, "gpus", list)
    assert list(info._gpu()) == [("GPU", "no NVIDIA GPU found; functions run on cpu")]
    monkeypatch.setattr(machine, "gpus", lambda: ["H100", "H100"])
    versions = {"cupy-cuda13x": "14.0", "nvidia-cublas": "13.1"}
    monkeypatch.setattr(info, "_version", lambda name: versions.get(name, ""))
    assert dict(info._gpu()) == {
        "GPU": "H100, H100; functions run on cpu",
        "CuPy": "cupy-cuda13x 14.0",
        "NVRTC": "not installed as a package",
        "cuBLAS": "nvidia-cublas 13.1",
    }
    monkeypatch.setattr(machine, "gpus", list)
    with symnet.config.change(device="cuda"):
        assert "no NVIDIA GPU found; functions are to run on cuda" in dict(info._gpu())["GPU"]
        assert len(list(info._gpu())) == 4


def test_problems_are_printed_with_what_mends_them(run, monkeypatch):
    monkeypatch.setattr(info, "facts", lambda: [("a", "b")])
    monkeypatch.setattr(
        info, "problems", lambda *_: [Problem("x " * 80, "do y"), Problem("p", "q")]
    )
    lines = run("info")[1].splitlines()
    assert lines[:3] == ["a                  b", "", "what is wrong, and how to mend it"]
    assert max(map(len, lines)) <= 100
    assert lines[3].startswith("- x x") and lines[4].startswith("  x x")
    assert lines[-3:] == ["  do y", "- p", "  q"]


# ---- the machine


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions")
def test_where_files_can_be_made(tmp_path):
    assert machine.why_not_writable(tmp_path) == ""
    assert machine.why_not_writable(tmp_path / "a" / "b") == ""
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    assert "is no folder" in machine.why_not_writable(tmp_path / "file" / "b")
    if os.geteuid():  # root may write anywhere
        tmp_path.chmod(0o500)
        assert machine.why_not_writable(tmp_path) == "Permission denied"
        assert f"{tmp_path} cannot be written" in machine.why_not_writable(tmp_path / "a")
        tmp_path.chmod(0o700)
    if os.path.isdir("/proc/self"):  # where even root cannot make a file
        assert machine.why_not_writable(Path("/proc/none")).startswith("/proc cannot be written: ")


def test_the_processor_has_a_name_and_known_instruction_sets():
    assert machine.processor()
    name, sets = machine.simd()
    assert name and set(sets) <= {*machine.X86, *machine.ARM}


def test_nvidia_smi_is_asked(monkeypatch, tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho NVIDIA A\necho NVIDIA B\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert machine.gpus() == ["NVIDIA A", "NVIDIA B"]
    tool.write_text("#!/bin/sh\nexit 9\n")
    there = Path("/proc/driver/nvidia/version").exists()
    assert machine.gpus() in ([["unknown"]] if there else [[], ["unknown"]])
