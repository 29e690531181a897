"""idx files: what is written is read, and every kind of damage is named."""

import gzip
import re
import struct

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symnet.data import read_idx
from symnet.data.idx import gunzip, parse_idx
from symnet.errors import DataError

CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}
IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def packed(content):
    return gzip.compress(content, mtime=0)  # without the time, so that test names do not change


def encode(array):
    header = struct.pack(">HBB", 0, CODES[array.dtype.name], array.ndim)
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return header + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


@given(
    st.sampled_from(sorted(CODES)).flatmap(
        lambda name: hnp.arrays(name, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0))
    )
)
def test_any_array_survives(array):
    read = parse_idx(encode(array), "file", dtype=array.dtype.name, ndim=array.ndim)
    assert read.dtype == array.dtype and read.dtype.isnative and read.flags.writeable
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("pack", [bytes, packed, lambda b: packed(b) + b"\0" * 9])
def test_plain_and_gzipped_are_told_by_content(tmp_path, pack):
    path = tmp_path / "odd.name"
    path.write_bytes(pack(encode(IMAGES)))
    np.testing.assert_array_equal(read_idx(path), IMAGES)


def test_gzip_members_are_joined():
    content = encode(IMAGES)
    assert gunzip(packed(content[:10]) + packed(content[10:]), "f") == content


def test_gunzip_stops_at_the_limit():
    bomb = packed(bytes(10_000_000))
    with pytest.raises(DataError, match="more than the expected 100 bytes"):
        gunzip(bomb, "f", limit=100)
    assert gunzip(packed(bytes(100)), "f", limit=100) == bytes(100)


WHOLE = encode(IMAGES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "truncated: 0 bytes"),
        (WHOLE[:9], "truncated: 9 bytes, its header needs 16"),
        (WHOLE[:-1], r"truncated: found 39 bytes, expected 40 for uint8 of shape \(2, 3, 4\)"),
        (WHOLE + b"xyz", "3 bytes too many: found 43 bytes, expected 40"),
        (b"\x89PNG" + WHOLE, "wrong magic number 0x89504e47: not an idx file"),
        (b"\0\0\x07\x03" + WHOLE[4:], "wrong magic number 0x00000703: not an idx file"),
        (encode(IMAGES[0, 0]), r"found 0x00000801 .*expected 0x00000803 \(uint8, 3 dimensions\)"),
        (encode(IMAGES.astype("int16")), r"found 0x00000b03 \(int16, 3 dimensions\), expected"),
        (packed(WHOLE)[:-12], "truncated gzip data"),
        (packed(WHOLE) + b"rest", "4 bytes of garbage after the gzip data"),
        (packed(WHOLE)[:-8] + bytes(8), "corrupt gzip data"),
        (struct.pack(">HBB3I", 0, 8, 3, *[2**32 - 1] * 3), "truncated: found 16 bytes"),
    ],
)
def test_damage_is_named(tmp_path, content, message):
    path = tmp_path / "digits-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"digits-idx3-ubyte: .*{message}"):
        read_idx(path, dtype="uint8", ndim=3)


@given(st.binary(max_size=60))
def test_noise_is_an_array_or_a_data_error(content):
    try:
        assert isinstance(parse_idx(content, "noise"), np.ndarray)
    except DataError as error:
        assert str(error).startswith("noise: ")


def test_file_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match=re.escape(f"{tmp_path}: cannot be read")):
        read_idx(tmp_path)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_idx(tmp_path / "absent")
