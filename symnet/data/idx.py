"""Reader of idx files, the format of the MNIST distribution.

::

    bytes 0, 1   zero
    byte  2      type of the elements: 0x08 uint8, 0x09 int8, 0x0B int16, 0x0C int32,
                 0x0D float32, 0x0E float64
    byte  3      number of dimensions
    then         one big-endian 32-bit size per dimension
    then         the elements, big-endian, last dimension fastest

Source: "The IDX file format" on the page of the MNIST database (LeCun, Cortes, Burges).
"""

import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from symnet.errors import DataError

_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"


def read_idx(
    path: str | os.PathLike, *, dtype: str | None = None, ndim: int | None = None
) -> np.ndarray:
    """The array in an idx file, plain or gzipped (told by its first bytes, not by its name).

    Returns a new array in native byte order. `dtype` and `ndim` say what the caller needs. Raises
    `DataError`, naming the file, what was found and what was expected, for a file that cannot be
    read, is no idx file, holds something else, ends early or goes on after its end.
    """
    return parse_idx(read_content(path), Path(path), dtype=dtype, ndim=ndim)


def read_content(path: str | os.PathLike) -> bytes:
    """The uncompressed bytes of a file that may be gzipped. Raises `DataError`."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    return gunzip(content, path) if content.startswith(_GZIP_MAGIC) else content


def gunzip(content: bytes, name: object, limit: int | None = None) -> bytes:
    """Decompress gzip members; `name` is for the message, `limit` the most bytes to accept."""
    parts: list[bytes] = []
    total = 0
    while content:
        if not content.startswith(_GZIP_MAGIC):
            if not content.strip(b"\0"):  # zero padding is legal after the last member
                break
            raise DataError(f"{name}: {len(content)} bytes of garbage after the gzip data")
        member = zlib.decompressobj(wbits=31)
        try:
            part = member.decompress(content, 0 if limit is None else limit - total + 1)
        except zlib.error as error:
            raise DataError(f"{name}: corrupt gzip data: {error}") from error
        total += len(part)
        if limit is not None and total > limit:
            raise DataError(f"{name}: more than the expected {limit} bytes when decompressed")
        if not member.eof:
            raise DataError(
                f"{name}: truncated gzip data: the stream ends early, after {total} "
                "decompressed bytes"
            )
        parts.append(part)
        content = member.unused_data
    return b"".join(parts)


def parse_idx(
    content: bytes, name: object, *, dtype: str | None = None, ndim: int | None = None
) -> np.ndarray:
    """The array in the bytes of an uncompressed idx file; arguments and errors of `read_idx`."""
    if len(content) < 4:
        raise DataError(
            f"{name}: truncated: {len(content)} bytes, where an idx file begins with a magic "
            "number of 4 bytes"
        )
    zero, code, dimensions = struct.unpack(">HBB", content[:4])
    if zero != 0 or code not in _TYPES:
        raise DataError(
            f"{name}: wrong magic number 0x{content[:4].hex()}: not an idx file"
            + (f", expected {_describe(dtype, ndim)}" if dtype and ndim is not None else "")
        )
    found = np.dtype(_TYPES[code])
    if (dtype is not None and found.newbyteorder("=") != np.dtype(dtype)) or (
        ndim is not None and dimensions != ndim
    ):
        raise DataError(
            f"{name}: wrong magic number: found {_describe(found.name, dimensions)}, "
            f"expected {_describe(dtype or found.name, dimensions if ndim is None else ndim)}"
        )
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataError(f"{name}: truncated: {len(content)} bytes, its header needs {start}")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    expected = start + math.prod(shape) * found.itemsize
    if len(content) != expected:
        what = (
            "truncated" if len(content) < expected else f"{len(content) - expected} bytes too many"
        )
        raise DataError(
            f"{name}: {what}: found {len(content)} bytes, expected {expected} "
            f"for {found.name} of shape {shape}"
        )
    flat = np.frombuffer(content, found, offset=start)
    return flat.astype(found.newbyteorder("=")).reshape(shape)


def _describe(dtype: str | None, ndim: int | None) -> str:
    """`0x00000803 (uint8, 3 dimensions)`."""
    wanted = np.dtype(dtype)
    code = next(c for c, text in _TYPES.items() if np.dtype(text).newbyteorder("=") == wanted)
    return f"0x{code << 8 | (ndim or 0):08x} ({wanted.name}, {ndim} dimensions)"
