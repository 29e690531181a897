"""Parameter files: round trips, and what damaged or foreign files get."""

import json
import os
import stat
import sys

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import symnet
from symnet.errors import DataError
from symnet.nn import load_parameters, read_parameters, save_parameters
from symnet.nn.parameters import assign, read_parameters_and_metadata, serialised


def parameters():
    W = symnet.shared(np.arange(6, dtype="float32").reshape(2, 3), "W")
    b = symnet.shared(np.array([0.5, -1.0]), "b")
    return [W, b]


@given(
    value=hnp.arrays(
        st.sampled_from(["float32", "float64", "int64", "uint8", "bool"]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0),
    )
)
def test_every_value_comes_back(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("values") / "p.safetensors"
    saved = symnet.shared(value, "a name with ä and /")
    save_parameters(path, [saved])
    again = symnet.shared(np.zeros_like(value), saved.name)
    load_parameters(path, [again])
    assert again.get_value().dtype == value.dtype
    assert again.get_value().tobytes() == np.ascontiguousarray(value).tobytes()


def test_the_file_is_safetensors(tmp_path):
    path = tmp_path / "p.safetensors"
    save_parameters(path, parameters(), {"epoch": "3"})
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    assert header["__metadata__"] == {"epoch": "3"}
    assert header["W"]["dtype"] == "F32"
    assert header["W"]["shape"] == [2, 3]
    start, end = header["b"]["data_offsets"]
    assert content[8 + size :][start:end] == np.array([0.5, -1.0]).tobytes()


def test_texts_come_back(tmp_path):
    for about in ({"epoch": "3", "ä": "{}"}, None):
        save_parameters(tmp_path / "p", parameters(), about)
        values, texts = read_parameters_and_metadata(tmp_path / "p")
        assert texts == (about or {})
        assert values.keys() == {"W", "b"}


def test_assigning_is_all_or_nothing():
    W, b = parameters()
    before = W.get_value(), b.get_value()
    ones = {"W": np.ones((2, 3), "float32"), "b": np.ones(2)}
    for wrong in ({"W": ones["W"]}, {**ones, "b": np.ones(3)}, {**ones, "more": np.ones(1)}):
        with pytest.raises(DataError, match="file"):
            assign("file", {"W": W, "b": b}, wrong)
        assert np.array_equal(W.get_value(), before[0]) and np.array_equal(b.get_value(), before[1])
    assign("file", {"W": W, "b": b}, ones)
    assert W.get_value().all() and b.get_value().all()


def test_equal_values_make_equal_files(tmp_path):
    about = {f"key {k}": "text with ü" for k in range(20)}
    contents = set()
    for order in (1, -1, 1):
        save_parameters(tmp_path / "p", parameters()[::order], dict(list(about.items())[::order]))
        contents.add((tmp_path / "p").read_bytes())
    assert len(contents) == 1
    size = int.from_bytes(contents.pop()[:8], "little")
    assert size % 8 == 0


def test_names_may_be_given_apart(tmp_path):
    W, b = parameters()
    save_parameters(tmp_path / "p", {"layer.0": W, "layer.1": b})
    assert read_parameters(tmp_path / "p").keys() == {"layer.0", "layer.1"}


def test_parameters_without_names_or_with_the_same(tmp_path):
    W, _ = parameters()
    with pytest.raises(DataError, match="no name"):
        save_parameters(tmp_path / "p", [symnet.shared(np.ones(2))])
    with pytest.raises(DataError, match="two parameters are called W"):
        save_parameters(tmp_path / "p", [W, parameters()[0]])
    assert not list(tmp_path.iterdir())


def test_files_that_are_not_whole(tmp_path):
    path = tmp_path / "p.safetensors"
    save_parameters(path, parameters())
    content = path.read_bytes()
    for damaged in (
        b"",
        content[:5],
        content[:40],
        content[:-1],
        content + b"x",
        b"PK\x03\x04" + content,
        os.urandom(200),
        content.replace(b"F32", b"F99"),
    ):
        path.write_bytes(damaged)
        mine = parameters()
        with pytest.raises(DataError, match=r"p\.safetensors: \d+ bytes that are no whole"):
            load_parameters(path, mine)
    with pytest.raises(FileNotFoundError):
        read_parameters(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda W, b: {"W": W}, "holds no b"),
        (lambda W, b: {"W": W, "b": b, "c": b}, "holds c, which nobody asked for"),
        (lambda W, b: {"W": W, "b": W}, r"holds b as float32\(2, 3\), expected float64\(2,\)"),
        (lambda W, b: {"W": b, "c": W}, "no b; it holds c.*; it holds W as float64"),
    ],
)
def test_files_that_do_not_fit_change_nothing(tmp_path, change, message):
    path = tmp_path / "p"
    save_parameters(path, change(*parameters()))
    mine = parameters()
    for p in mine:
        p.set_value(p.get_value() + 1)
    before = [p.get_value() for p in mine]
    with pytest.raises(DataError, match=message):
        load_parameters(path, mine)
    assert all((p.get_value() == old).all() for p, old in zip(mine, before))


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "p"
    save_parameters(path, parameters())
    before = path.read_bytes()

    def fail(*_):
        raise KeyboardInterrupt

    W, b = parameters()
    W.set_value(W.get_value() + 1)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(KeyboardInterrupt):
            save_parameters(path, [W, b])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    save_parameters(path, [W, b])
    assert (read_parameters(path)["W"] == W.get_value()).all()


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_others_may_read_what_the_mask_lets_them(tmp_path):
    old = os.umask(0o027)
    try:
        save_parameters(tmp_path / "p", parameters())
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "p").stat().st_mode) == 0o640


def test_without_the_library_the_error_says_what_to_install(tmp_path, monkeypatch):
    save_parameters(tmp_path / "p", parameters())
    for name in ("safetensors", "safetensors.numpy"):
        monkeypatch.setitem(sys.modules, name, None)
    for use in (save_parameters, load_parameters):
        with pytest.raises(ImportError, match=r"pip install 'symnet\[cli\]'"):
            use(tmp_path / "p", parameters())


# ---- what a file can hold

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
def test_what_is_written_is_read(tmp_path_factory, values, metadata):
    path = tmp_path_factory.mktemp("file") / "x.safetensors"
    content = serialised(values, metadata)
    assert content == serialised(dict(reversed(values.items())), metadata)
    path.write_bytes(content)
    found, texts = read_parameters_and_metadata(path)
    assert equal(found, values) and texts == metadata


def test_bfloat16_is_written_and_read(tmp_path):
    kind = np.dtype(ml_dtypes.bfloat16)
    w = symnet.shared(np.array([[1, -0.5], [3, np.inf]], kind), name="w")
    path = tmp_path / "x.safetensors"
    save_parameters(path, [w])
    before = w.get_value()
    w.set_value(np.zeros((1, 1), kind))
    with pytest.raises(DataError):
        load_parameters(path, [w])
    w.set_value(np.zeros((2, 2), kind))
    load_parameters(path, [w])
    assert w.get_value().dtype == kind and np.array_equal(w.get_value(), before)


def test_views_and_swapped_bytes_are_written_as_their_values(tmp_path):
    x = np.arange(12, dtype="float32").reshape(3, 4)
    values = {"t": x.T, "s": x[:, ::2], "big": x.astype(">f4"), "0-d": np.array(3, ">i8")}
    path = tmp_path / "x.safetensors"
    path.write_bytes(serialised(values))
    found, _ = read_parameters_and_metadata(path)
    assert all(np.array_equal(found[k], values[k]) for k in values)
    assert all(v.dtype.isnative for v in found.values())


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
