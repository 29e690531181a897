"""Named parameters in safetensors files, see `tensorfile`.

A file holds arrays by name and a few texts, nothing that could execute. Files are written whole or
not at all, and parameters are set all or not at all.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from symnet.errors import DataError
from symnet.graph.variables import SharedVariable
from symnet.nn.tensorfile import parsed, serialised

Parameters = Mapping[str, SharedVariable] | Iterable[SharedVariable]


def save_parameters(
    path: str | os.PathLike, parameters: Parameters, metadata: Mapping[str, str] | None = None
) -> None:
    """Write the values of shared variables, by name, and `metadata` (texts by name).

    parameters  a mapping from names to shared variables, or shared variables with names

    Errors: DataError for a missing name, or one that comes twice; OSError where the file cannot
    be written. An older file of that name is there, whole, until the new one is.
    """
    values = {name: p.get_value(borrow=True) for name, p in _by_name(parameters).items()}
    write_whole(Path(path), serialised(values, metadata))


def read_parameters(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays in a file, by name. Errors: DataError for a file that is truncated, corrupt or
    of another kind; OSError where it cannot be read."""
    return read_parameters_and_metadata(path)[0]


def read_parameters_and_metadata(
    path: str | os.PathLike,
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays in a file by name, and its texts. Errors: those of `read_parameters`."""
    with open(path, "rb") as file:
        content = bytearray(os.fstat(file.fileno()).st_size)
        del content[file.readinto(content) :]
        content += file.read()  # it grew, or it is none of those files that tell their size
    try:
        return parsed(content)
    except DataError as problem:
        raise DataError(
            f"{path}: {len(content)} bytes that are no whole safetensors file: {problem}"
        ) from None


def load_parameters(path: str | os.PathLike, parameters: Parameters) -> None:
    """Set shared variables to the values that a file holds under their names.

    Errors, all before the first parameter is set: those of `read_parameters`; DataError where
    names are missing or left over, or a shape or dtype differs.
    """
    assign(path, _by_name(parameters), read_parameters(path))


def assign(
    path: str | os.PathLike, named: Mapping[str, SharedVariable], values: Mapping[str, np.ndarray]
) -> None:
    """Set shared variables to the values of their names, all or none; `path` is for messages.

    Errors: DataError where names are missing or left over, or a shape or dtype differs.
    """
    missing, extra = sorted(named.keys() - values.keys()), sorted(values.keys() - named.keys())
    problems = []
    if missing:
        problems.append(f"holds no {', '.join(missing)}")
    if extra:
        problems.append(f"holds {', '.join(extra)}, which nobody asked for")
    for name, p in named.items():
        if name in values:
            found, wanted = values[name], p.get_value(borrow=True)
            if (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
                problems.append(
                    f"holds {name} as {found.dtype}{found.shape}, "
                    f"expected {wanted.dtype}{wanted.shape}"
                )
    if problems:
        raise DataError(f"{path} {'; it '.join(problems)}")
    for name, p in named.items():
        p.set_value(values[name])


def _by_name(parameters: Parameters) -> dict[str, SharedVariable]:
    if isinstance(parameters, Mapping):
        return dict(parameters)
    named: dict[str, SharedVariable] = {}
    for p in parameters:
        if not p.name:
            raise DataError(f"parameter {p} ({p.type}) has no name; files keep arrays by name")
        if p.name in named:
            raise DataError(f"two parameters are called {p.name}; files keep arrays by name")
        named[p.name] = p
    return named


def write_whole(path: Path, content: bytes | Iterable[bytes | memoryview]) -> None:
    """Write a file, given whole or in parts, under a temporary name and rename it. Errors:
    OSError, which names the file."""
    try:
        _write_whole(path, [content] if isinstance(content, bytes) else content)
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror, str(path)) from None


def _write_whole(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files for the owner alone
        os.replace(temporary, path)
    except BaseException:  # an interrupt leaves no rubbish either
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
