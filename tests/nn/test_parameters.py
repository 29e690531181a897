"""Parameter files: round trips, and what damaged or foreign files get."""

import json
import os
import stat
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import symnet
from symnet.errors import DataError
from symnet.nn import load_parameters, read_parameters, save_parameters
from symnet.nn.parameters import assign, read_parameters_and_metadata


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


def test_no_other_package_is_needed(tmp_path, monkeypatch):
    for name in ("safetensors", "safetensors.numpy"):
        monkeypatch.setitem(sys.modules, name, None)
    save_parameters(tmp_path / "p", parameters())
    load_parameters(tmp_path / "p", parameters())
