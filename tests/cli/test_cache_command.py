"""`symnet cache`."""

import pytest

from symnet.backends.cpu import cache


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
    assert [row[:3] for row in rows[1:]] == [["kernels", "2", "files"], ["programs", "1", "files"]]


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
