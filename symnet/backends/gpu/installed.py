"""Where NVIDIA's libraries may be: those that come as wheels, or with a CUDA toolkit."""

import importlib.util
import os
import re
from collections.abc import Iterable
from pathlib import Path


def library_places(variable: str, wheels: Iterable[str], toolkit: str) -> list[str]:
    """Files of a library, the likeliest first: what an environment variable names; in wheels, the
    newest first; in a toolkit. The latter two as patterns of paths there."""
    named = os.environ.get(variable)
    found = [named] if named else []
    spec = importlib.util.find_spec("nvidia")
    for folder in map(Path, (spec.submodule_search_locations or []) if spec else []):
        for pattern in wheels:
            files = sorted(folder.glob(pattern))
            found += map(str, sorted(files, key=_version, reverse=True))
    home = os.environ.get("CUDA_PATH") or os.environ.get("CUDA_HOME") or "/usr/local/cuda"
    return [*found, *map(str, sorted(Path(home).glob(toolkit)))]


def _version(library: Path) -> list[int]:
    """The numbers in a file's name."""
    return [int(n) for n in re.findall(r"\d+", library.name)]
