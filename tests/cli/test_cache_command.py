"""`symnet cache`."""

import shutil

import pytest

from symnet.backends.cpu import cache
from symnet.config import config


@pytest.fixture
def stored(monkeypatch, tmp_path):
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path))
    for kind, key in (("kernels", "a1"), ("kernels", "b2"), ("programs", "c3")):
        assert cache.store(kind, key, b"x" * 1000)
    return tmp_path


def test_show(run, stored):
    status, out, _ = run("cache", "show")
    rows = [line.split() for line in out.splitlines()]
    assert status == 0
    assert rows[0] == [str(stored)]
    assert [row[:3] for row in rows[1:4]] == [
        ["kernels", "2", "files"], ["programs", "1", "files"], ["data", "0", "files"],
    ]  # fmt: skip
    assert rows[4][:2] == ["used", "from"] and rows[5][0] == "writable,"


def test_show_is_what_it_does_by_default(run, stored):
    assert run("cache") == run("cache", "show")


def test_show_and_check_without_a_folder(run, monkeypatch, tmp_path):
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path / "none"))
    assert run("cache", "show")[0] == 0
    assert run("cache", "check")[0] == 0
    assert not (tmp_path / "none").exists()


def test_check_names_what_is_not_whole(run, stored):
    assert run("cache", "check")[0] == 0
    path = stored / "kernels" / "b2"
    path.write_bytes(path.read_bytes()[:-1])
    status, out, _ = run("cache", "check")
    assert status == 1
    assert f"{path}: not whole" in out
    assert "3 files, 1 of them not whole" in out


def test_clear(run, stored):
    status, out, _ = run("cache", "clear")
    assert status == 0
    assert out.startswith("3 files removed")
    assert cache.entries() == []


def test_clear_says_what_it_could_not_remove(run, stored, monkeypatch):
    monkeypatch.setattr(cache, "_remove", lambda path: False)
    status, out, err = run("cache", "clear")
    assert (status, err) == (2, "symnet: 3 files could not be removed\n")
    assert out.startswith("0 files removed")


@pytest.fixture
def downloaded(stored, data):
    """The store, with digits that were downloaded once."""
    return shutil.copytree(data, stored / "data" / "mnist")


def test_downloaded_data_are_shown_checked_and_kept(run, downloaded):
    assert "data            4 files" in run("cache", "show")[1]
    assert "7 files, 0 of them not whole" in run("cache", "check")[1]
    assert run("cache", "clear")[0] == 0
    assert len(list(downloaded.iterdir())) == 4
    path = downloaded / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    status, out, _ = run("cache", "check")
    assert status == 1
    assert f"{path}: truncated" in out and "downloaded again" in out


def test_downloaded_data_go_when_asked(run, downloaded):
    assert run("cache", "clear", "--data")[1].startswith("7 files removed")
    assert not list(downloaded.iterdir())
    assert run("cache", "show", "--data")[0] == 2


@pytest.mark.parametrize("mode", ["off", "read"])
def test_a_cache_that_is_switched_off_says_so(run, stored, mode):
    with config.change(cache=mode):
        assert f"cache={mode} in the settings: nothing new is stored" in run("cache")[1]


def test_a_file_in_the_place_of_the_folder(run, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path / "file"))
    assert "nothing new can be stored" in run("cache", "show")[1]
    assert run("cache", "check")[0] == run("cache", "clear")[0] == 0
    assert (tmp_path / "file").read_text() == "in the way"
