"""The safetensors format, read and written: https://huggingface.co/docs/safetensors, "Format".

::

    File   = length of the header, uint64; header, JSON in UTF-8; bytes of the tensors
    Header = {"__metadata__"?: {text: text},
              name: {"dtype": text, "shape": [size], "data_offsets": [begin, end]}}

Everything is little-endian and in C order. Tensors lie one after the other without gaps or overlap.
What is written here depends on nothing but names, values and metadata: equal content makes equal
files. Widest elements come first, so that all are aligned.
"""

import json
import math
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from symnet.errors import DataError

_LONGEST_HEADER = 100_000_000  # as other readers have it
_NAMES = {
    "bool": "BOOL", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64", "uint8": "U8",
    "uint16": "U16", "uint32": "U32", "uint64": "U64", "float16": "F16", "float32": "F32",
    "float64": "F64",
}  # fmt: skip
_DTYPES = {code: np.dtype(name).newbyteorder("<") for name, code in _NAMES.items()}


def serialised(
    values: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> list[bytes | memoryview]:
    """A file as parts to be written one after the other; arrays are not copied.

    Errors: DataError for dtypes that files have no name for, and for metadata that are no texts.
    """
    header: dict[str, Any] = {}
    if metadata:
        if not all(isinstance(t, str) for pair in metadata.items() for t in pair):
            raise DataError(f"metadata are texts by name, not {metadata!r:.60}")
        header["__metadata__"] = dict(metadata)
    parts: list[bytes | memoryview] = []
    end = 0
    for name in sorted(values, key=lambda name: (-values[name].itemsize, name)):
        array = values[name]
        if array.dtype.name not in _NAMES or name == "__metadata__":
            raise DataError(f"no file can hold {array.dtype} under the name {name}")
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": _NAMES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        parts.append(little.reshape(-1).view(np.uint8).data)
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little"), text, *parts]


def parsed(content: bytes | bytearray) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Arrays by name, and metadata, of a file's content. The arrays lie in a bytearray where they
    are aligned in it, else they are copies.

    Errors: DataError, which says what is wrong with it.
    """
    if len(content) < 8:
        raise DataError("a header is missing")
    size = int.from_bytes(content[:8], "little")
    if size > min(_LONGEST_HEADER, len(content) - 8):
        raise DataError(f"its header would have {size} bytes")
    header = _json(bytes(content[8 : 8 + size]))
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(t, str) for t in metadata.values()):
        raise DataError("its metadata are no texts by name")
    data = memoryview(content)[8 + size :]
    values: dict[str, np.ndarray] = {}
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: _offsets(*item)):
        begin, stop = _offsets(name, entry)
        array = _array(name, entry, data[begin:stop])
        if begin != end or stop > len(data):
            raise DataError(f"{name} lies at bytes {begin} to {stop}, after {end} of {len(data)}")
        end = stop
        values[name] = array
    if end != len(data):
        raise DataError(f"{len(data) - end} bytes belong to no tensor")
    return {name: values[name] for name in header}, metadata


def _json(text: bytes) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise DataError("its header has a name twice")
        return found

    try:
        header = json.loads(text.decode(), object_pairs_hook=once)
    except (ValueError, RecursionError) as problem:
        raise DataError(f"its header is no JSON: {problem}") from None
    if not text.startswith(b"{") or not isinstance(header, dict):
        raise DataError("its header is no table of tensors")
    return header


def _offsets(name: str, entry: Any) -> tuple[int, int]:
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(offsets, list) or len(offsets) != 2 or not _naturals(offsets):
        raise DataError(f"the place of {name} is {offsets!r:.60}")
    return offsets[0], offsets[1]


def _array(name: str, entry: Mapping[str, Any], content: memoryview) -> np.ndarray:
    code, shape = entry.get("dtype"), entry.get("shape")
    if not isinstance(code, str) or code not in _DTYPES:
        raise DataError(f"{name} is of dtype {code!r:.60}; there are {', '.join(_DTYPES)}")
    if not isinstance(shape, list) or not _naturals(shape) or len(shape) > 64:
        raise DataError(f"{name} has shape {shape!r:.60}")
    dtype = _DTYPES[code]
    if len(content) != math.prod(shape) * dtype.itemsize:
        raise DataError(f"{name}, {code} of shape {shape}, has {len(content)} bytes")
    array = np.frombuffer(content, dtype)
    if not (array.flags.aligned and array.flags.writeable and sys.byteorder == "little"):
        array = array.astype(dtype.newbyteorder("="))
    try:
        return array.reshape(shape)
    except ValueError as problem:  # sizes beyond what NumPy counts, next to a 0
        raise DataError(f"{name} has shape {shape}: {problem}") from None


def _naturals(numbers: list[Any]) -> bool:
    return all(type(n) is int and n >= 0 for n in numbers)
