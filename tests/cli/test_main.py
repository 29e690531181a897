"""The command line itself: help, errors, interrupts, closed pipes."""

import os
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import symnet
from symnet.cli import COMMANDS
from symnet.cli import info as info_command
from symnet.errors import DataError

ROOT = Path(__file__).resolve().parent.parent.parent


def test_help_lists_the_commands(run):
    status, out, _ = run("--help")
    assert status == 0
    assert "example:" in out
    assert all(f"  {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("name", ["mnist", "predict", "info", "cache"])
def test_each_command_explains_itself(run, name):
    status, out, _ = run(name, "--help")
    assert status == 0
    assert f"usage: symnet {name}" in out
    assert re.search(rf"\nexamples?:\n(  .*\n)*?  symnet {name}\b", out)


def test_bench_is_handed_its_arguments(run):
    status, out, _ = run("bench", "--list")
    assert status == 0
    assert any(line.startswith("chain") for line in out.splitlines())
    status, _, err = run("bench", "--rounds", "0")
    assert status == 2
    assert "--rounds" in err
    assert "--rounds: 'x' is no whole number\n" in run("bench", "--rounds", "x")[2]
    assert "--seconds: 'x' is no number\n" in run("bench", "--seconds", "x")[2]


def test_without_arguments_it_helps(run):
    assert run() == run("--help")


def test_version(run):
    assert run("--version") == (0, f"symnet {symnet.__version__}\n", "")


@pytest.mark.parametrize("arguments", [["train"], ["cache", "burn"], ["info", "x"]])
def test_usage_errors(run, arguments):
    status, _, err = run(*arguments)
    assert status == 2
    assert "usage: symnet" in err


@pytest.mark.parametrize(
    "error, status, text",
    [
        (DataError("a file\n  is bad"), 2, "symnet: a file is bad\n"),
        (FileNotFoundError(2, "No such file", "x"), 2, "symnet: x: No such file\n"),
        (OSError("odd"), 2, "symnet: odd\n"),
        (MemoryError("Unable to\nallocate"), 2, "symnet: not enough memory: Unable to allocate\n"),
        (MemoryError(), 2, "symnet: not enough memory\n"),
        (KeyboardInterrupt(), 130, "symnet: interrupted\n"),
    ],
)
def test_errors_are_one_line(run, monkeypatch, error, status, text):
    def fail():
        raise error

    monkeypatch.setattr(info_command, "facts", fail)
    assert run("info") == (status, "", text)


def test_warnings_are_one_line(run, monkeypatch):
    def warn():
        warnings.warn("something\n  is odd", RuntimeWarning, stacklevel=1)
        return [("name", "value")]

    monkeypatch.setattr(info_command, "facts", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        status, out, err = run("info")
    assert (status, err) == (0, "symnet: warning: something is odd\n")
    assert out.startswith("name               value\n")


def test_bugs_are_not_hidden(run, monkeypatch):
    monkeypatch.setattr(info_command, "facts", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("info")


def test_as_a_module_into_a_closed_pipe():
    command = [sys.executable, "-m", "symnet", "info"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 141
    assert err == b""


@pytest.mark.skipif(os.name != "posix", reason="closes a descriptor by the shell")
@pytest.mark.parametrize("arguments", ["info", "cache", "mnist --help", "--version"])
def test_a_standard_output_that_is_closed_is_no_error(arguments):
    command = f"exec {shlex.quote(sys.executable)} -m symnet {arguments} >&-"
    done = subprocess.run(command, shell=True, cwd=ROOT, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr


# ---- where the command starts

START = """
import sys
sys.argv = ["symnet", *sys.argv[1:]]
from symnet.cli import main
sys.exit(main())
"""


def start(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", START, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_starts():
    out, err = (process := start("--version")).communicate(timeout=60)
    assert (process.returncode, out, err) == (0, f"symnet {symnet.__version__}\n", "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_standard_output_is_named(unbuffered):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "symnet", "info"],
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 2
    assert done.stderr == "symnet: standard output: No space left on device\n"
