"""Whole processes: imports, and the time to the first result of a training function."""

import re
import subprocess
import sys
import time
from pathlib import Path

_IMPORT = """
import time
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
"""
_NUMPY = "import numpy; print('first')"
_SCRIPTS = Path(__file__).parents[1] / "startup"


class Failed(Exception):
    """The process ended with an error; the message is its exception."""


def measure(
    peer: str, script: str, python: str, env: dict[str, str], env_cold: dict[str, str] | None
) -> float:
    """Seconds: of the import (`script="import"`), or from start to first line less NumPy's.

    `env_cold`, if given, is the environment with an empty cache to use instead of `env`.
    """
    if script == "import":
        module = {"torch-compiled": "torch"}.get(peer, peer)
        return float(_first_line(python, ["-P", "-c", _IMPORT.format(module=module)], env)[1])
    base = min(_first_line(sys.executable, ["-P", "-c", _NUMPY], env)[0] for _ in range(3))
    path = str(_SCRIPTS / f"{script}_{peer}.py")
    seconds, _ = _first_line(python, ["-P", path], env if env_cold is None else env_cold)
    return seconds - base


def _reason(errors: str) -> str:
    """The exception in what a process wrote to standard error, else its last line."""
    lines = [line for line in errors.splitlines() if line.strip()]
    raised = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt)\b", line)]
    return (raised or lines or [""])[-1]


def _first_line(python: str, arguments: list[str], env: dict[str, str]) -> tuple[float, str]:
    """Seconds from the start of a process to its first line of output, and the line."""
    start = time.perf_counter()
    with subprocess.Popen(
        [python, *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        line = process.stdout.readline()
        seconds = time.perf_counter() - start
        _, errors = process.communicate()
    if process.returncode or not line:
        raise Failed(_reason(errors) or f"exit status {process.returncode}")
    return seconds, line
