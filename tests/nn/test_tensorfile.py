"""The safetensors format against the library of that name, in both directions."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from symnet.errors import DataError
from symnet.nn.tensorfile import parsed, serialised

DTYPES = [
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
    "float32", "float64",
]  # fmt: skip
ARRAYS = hnp.arrays(st.sampled_from(DTYPES), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0))
NAMES = st.text(max_size=5).filter(lambda name: name != "__metadata__")
TABLES = st.dictionaries(NAMES, ARRAYS, max_size=4)
TEXTS = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)


def equal(a, b):
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and a[k].shape == b[k].shape and a[k].tobytes() == b[k].tobytes()
        for k in a
    )


@given(TABLES, TEXTS)
def test_what_is_written_is_read(values, metadata):
    content = b"".join(serialised(values, metadata))
    for form in (content, bytearray(content)):
        found, texts = parsed(form)
        assert equal(found, values) and texts == metadata
        assert all(v.flags.aligned and v.flags.writeable for v in found.values())


@given(TABLES, TEXTS)
def test_the_library_reads_what_is_written_and_the_other_way_round(values, metadata):
    safetensors = pytest.importorskip("safetensors.numpy")
    assert equal(safetensors.load(b"".join(serialised(values, metadata))), values)
    contiguous = {k: np.ascontiguousarray(v).reshape(v.shape) for k, v in values.items()}
    found, texts = parsed(safetensors.save(contiguous, metadata or None))
    assert equal(found, values) and texts == metadata


def test_views_and_swapped_bytes_are_written_as_their_values():
    x = np.arange(12, dtype="float32").reshape(3, 4)
    values = {"t": x.T, "s": x[:, ::2], "big": x.astype(">f4"), "0-d": np.array(3, ">i8")}
    found, _ = parsed(b"".join(serialised(values)))
    assert all(np.array_equal(found[k], values[k]) for k in values)
    assert all(v.dtype.isnative for v in found.values())


def test_arrays_are_not_copied():
    x = np.zeros(1000, "float32")
    part = serialised({"x": x})[-1]
    x[:] = 1
    assert np.frombuffer(part, "float32").all()
    content = bytearray(b"".join(serialised({"x": x})))
    found, _ = parsed(content)
    found["x"][:] = 7
    assert content[-4:] == np.float32(7).tobytes()


@pytest.mark.parametrize(
    "values, metadata",
    [
        ({"x": np.zeros(2, complex)}, None),
        ({"x": np.array(["text"])}, None),
        ({"x": np.array([None])}, None),
        ({"__metadata__": np.zeros(2)}, None),
        ({}, {"epoch": 3}),
    ],
)
def test_what_the_format_has_no_word_for(values, metadata):
    with pytest.raises(DataError):
        serialised(values, metadata)


def of(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(dtype="U8", shape=(2,), offsets=(0, 2)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "content, text",
    [
        (b"1234567", "header is missing"),
        ((2**63).to_bytes(8, "little") + b"{}", "would have"),
        (of(b"{"), "no JSON"),
        (of(b"\xff{}"), "no JSON"),
        (of(b"[" * 10**5), "no JSON"),
        (of(b"[]"), "no table"),
        (of(b" {}"), "no table"),
        (of(b'{"a":1,"a":2}'), "twice"),
        (of({"__metadata__": {"a": 1}}), "no texts"),
        (of({"__metadata__": []}), "no texts"),
        (of({"a": 3}), "the place of a is None"),
        (of({"a": entry(offsets=(0,))}, b"12"), "the place of a"),
        (of({"a": entry(offsets=(-2, 0))}, b"12"), "the place of a"),
        (of({"a": entry(offsets=(0, 2.0))}, b"12"), "the place of a"),
        (of({"a": entry(dtype="F99")}, b"12"), "dtype 'F99'"),
        (of({"a": entry(dtype=["U8"])}, b"12"), "dtype"),
        (of({"a": entry(shape=(-2,))}, b"12"), "shape"),
        (of({"a": entry(shape=(True, 2))}, b"12"), "shape"),
        (of({"a": entry(shape=(3,))}, b"12"), "has 2 bytes"),
        (of({"a": entry()}, b"1"), "has 1 bytes"),
        (of({"a": entry()}, b"123"), "1 bytes belong to no tensor"),
        (of({"a": entry(), "b": entry()}, b"12"), "b lies at bytes 0 to 2, after 2"),
        (of({"a": entry(offsets=(1, 3))}, b"123"), "a lies at bytes 1 to 3, after 0"),
        (of({"a": entry(shape=(2**70, 0), offsets=(0, 0))}), "shape"),
    ],
)
def test_what_is_no_such_file(content, text):
    with pytest.raises(DataError, match=text):
        parsed(content)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_files_are_read_as_the_library_reads_them(data):
    safetensors = pytest.importorskip("safetensors.numpy")
    values = {"a": np.arange(6, dtype="float32").reshape(2, 3), "b": np.ones(3, "uint8")}
    content = bytearray(b"".join(serialised(values, {"k": "v"})))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["set", "drop", "double"]))
        if kind == "set":
            content[place] = data.draw(st.integers(0, 255) | st.sampled_from(list(b'0123[]{},:"')))
        elif kind == "drop":
            del content[place]
        else:
            content.insert(place, content[place])
    try:
        wanted = safetensors.load(bytes(content))
    except Exception:
        wanted = None
    try:
        found, _ = parsed(content)
    except DataError:
        found = None
    assert (found is None) == (wanted is None)
    if found is not None:
        assert equal(found, wanted)
