"""Errors before `symnet.cli.main` is reached."""

import os
import subprocess
import sys

import pytest

# As the installed command does; what fails here fails as an import of symnet would.
PROGRAM = """
import sys
sys.argv = [{name!r}]
import symnet.cli.startup
from symnet.errors import ConfigError
raise {error}
"""


def run(name, error):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(name=name, error=error)],
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("name", ["symnet", "/usr/bin/symnet", "symnet.exe"])
@pytest.mark.parametrize(
    "error, expected",
    [
        ("ConfigError('a flag\\n  is odd')", (2, "", "symnet: a flag is odd\n")),
        ("KeyboardInterrupt", (130, "", "symnet: interrupted\n")),
    ],
)
def test_the_command_has_one_line_for_what_the_user_did(name, error, expected):
    assert run(name, error) == expected


def test_bugs_keep_their_traceback():
    status, _, err = run("symnet", "ZeroDivisionError('x')")
    assert status == 1
    assert err.startswith("Traceback") and err.endswith("ZeroDivisionError: x\n")


@pytest.mark.parametrize("name", ["", "-c", "-m", "program.py", "symnetlike"])
def test_other_programs_keep_theirs(name):
    status, _, err = run(name, "ConfigError('x')")
    assert status == 1
    assert err.startswith("Traceback") and err.endswith("symnet.errors.ConfigError: x\n")


def test_settings_that_are_wrong():
    """`python -m symnet` imports the package first."""
    done = subprocess.run(
        [sys.executable, "-m", "symnet", "info"],
        env={**os.environ, "SYMNET_FLAGS": "threads=many"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "symnet: threads='many' is not a whole number\n"
