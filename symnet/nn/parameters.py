"""Named parameters in safetensors files: https://huggingface.co/docs/safetensors.

A file holds arrays by name and a few texts, nothing that could execute. Files are written whole or
not at all, and parameters are set all or not at all.
"""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from symnet.errors import DataError
from symnet.graph.types import NUMPY_DTYPES
from symnet.graph.variables import SharedVariable

# as files call dtypes
_DTYPES = {
    "BOOL": "bool", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64", "U8": "uint8",
    "U16": "uint16", "U32": "uint32", "U64": "uint64", "F16": "float16", "BF16": "bfloat16",
    "F32": "float32", "F64": "float64",
}  # fmt: skip

Parameters = Mapping[str, SharedVariable] | Iterable[SharedVariable]


def save_parameters(
    path: str | os.PathLike, parameters: Parameters, metadata: Mapping[str, str] | None = None
) -> None:
    """Write the values of shared variables, by name, and `metadata` (texts by name).

    parameters  a mapping from names to shared variables, or shared variables with names

    Errors: DataError for a missing name, or one that comes twice; OSError where the file cannot
    be written; ImportError without safetensors. An older file of that name is there, whole, until
    the new one is.
    """
    values = {name: p.peek() for name, p in _by_name(parameters).items()}
    write_whole(Path(path), serialised(values, metadata))


def read_parameters(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays in a file, by name. Errors: DataError for a file that is truncated, corrupt or
    of another kind; OSError where it cannot be read."""
    return read_parameters_and_metadata(path)[0]


def read_parameters_and_metadata(
    path: str | os.PathLike,
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays in a file by name, and its texts. Errors: those of `read_parameters`;
    TypeMismatchError for bfloat16 without ml_dtypes."""
    content = Path(path).read_bytes()
    with _safetensors():
        from safetensors import SafetensorError, deserialize  # noqa: PLC0415
    try:  # safetensors.numpy reads no bfloat16
        found = [(name, part, _DTYPES[part["dtype"]]) for name, part in deserialize(content)]
    except (SafetensorError, KeyError, ValueError, TypeError) as problem:
        raise DataError(
            f"{path}: {len(content)} bytes that are no whole safetensors file: {problem}"
        ) from None
    values = {
        name: np.frombuffer(part["data"], NUMPY_DTYPES[dtype]).reshape(part["shape"])
        for name, part, dtype in found
    }
    return values, _header(content).get("__metadata__", {})


def serialised(
    values: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> bytes:
    """The content of a file with these arrays and texts; equal ones make equal files.

    Errors: DataError for dtypes and names that files cannot hold, and for metadata that are no
    texts; ImportError without safetensors.
    """
    with _safetensors():
        from safetensors import SafetensorError  # noqa: PLC0415
        from safetensors.numpy import save  # noqa: PLC0415
    texts = dict(metadata or {})
    if not all(isinstance(text, str) for pair in texts.items() for text in pair):
        raise DataError(f"metadata are texts by name, not {texts!r:.60}")
    if "__metadata__" in values:  # the format's own word
        raise DataError("no safetensors file can hold an array under the name __metadata__")
    # the library writes arrays as they lie in memory
    whole = {
        name: np.ascontiguousarray(v, v.dtype.newbyteorder("=")).reshape(v.shape)
        for name, v in values.items()
    }
    try:
        content: bytes = save(whole, texts or None)
    except (SafetensorError, KeyError, ValueError, TypeError) as problem:
        found = ", ".join(f"{name} {v.dtype}" for name, v in whole.items())
        raise DataError(f"no safetensors file can hold these ({problem}): {found:.200}") from None
    return _with_sorted_header(content)


@contextlib.contextmanager
def _safetensors() -> Iterator[None]:
    try:
        yield
    except ImportError as problem:
        text = f"model files need safetensors ({problem}): pip install 'symnet[cli]'"
        raise ImportError(text, name=problem.name) from None


def _header(content: bytes) -> dict[str, Any]:
    size = int.from_bytes(content[:8], "little")
    header: dict[str, Any] = json.loads(content[8 : 8 + size])
    return header


def _with_sorted_header(content: bytes) -> bytes:
    """The same file with a header that depends on nothing but what it says: the library writes
    metadata in an order that differs from run to run."""
    size = int.from_bytes(content[:8], "little")
    text = json.dumps(
        _header(content), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()
    text += b" " * (-len(text) % 8)  # the data stay aligned
    return b"".join((len(text).to_bytes(8, "little"), text, memoryview(content)[8 + size :]))


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

    Errors: those of `check_values`.
    """
    check_values(path, named, values)
    for name, p in named.items():
        p.set_value(values[name])


def check_values(
    path: str | os.PathLike, named: Mapping[str, SharedVariable], values: Mapping[str, np.ndarray]
) -> None:
    """Whether the values that a file holds are those of these shared variables.

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
            found, shape, dtype = values[name], p.current_shape, p.type.numpy_dtype
            if (found.shape, found.dtype) != (shape, dtype):
                problems.append(
                    f"holds {name} as {found.dtype}{found.shape}, expected {dtype}{shape}"
                )
    if problems:
        raise DataError(f"{path} {'; it '.join(problems)}")


def check_format(
    path: str | os.PathLike, texts: Mapping[str, str], what: str, name: str, version: str
) -> None:
    """Whether the texts of a file say that it is `what`, by format name and version.

    Errors: DataError.
    """
    known = texts.get("format")
    if known != name:
        stated = repr(known) if known else "not stated"
        raise DataError(f"{path} is a safetensors file, but no {what}: its format is {stated}")
    if texts.get("version") != version:
        raise DataError(
            f"{path} is a {what} of version {texts.get('version')!r}; this symnet reads "
            f"version {version!r}"
        )


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


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and rename it. Errors: OSError, which names the file."""
    try:
        _write_whole(path, content)
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror, str(path)) from None


def _write_whole(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
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
