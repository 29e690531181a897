"""The store: whole entries come back, anything else counts as absent, the disk never hurts."""

import os
import stat
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from symnet.backends.cpu import cache
from symnet.config import config


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_warned", False)
    monkeypatch.setattr(cache, "_written", {})
    return tmp_path / "cache"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(data=st.binary(), other=st.binary())
def test_what_was_stored_comes_back(data, other):
    assert cache.store("kernels", "a", data) and cache.store("programs", "a", other)
    assert cache.load("kernels", "a") == data
    assert cache.load("programs", "a") == other
    assert cache.load("kernels", "b") is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.binary(min_size=1), where=st.floats(0, 1, exclude_max=True), how=st.data())
def test_a_damaged_entry_counts_as_absent_and_can_be_stored_anew(folder, data, where, how):
    cache.store("kernels", "a", data)
    path = folder / "kernels" / "a"
    content = bytearray(path.read_bytes())
    place = int(where * len(content))
    if how.draw(st.booleans(), label="truncate"):
        del content[place:]
    else:
        content[place] ^= how.draw(st.integers(1, 255))
    path.write_bytes(content)
    assert cache.load("kernels", "a") is None
    assert [entry.key for entry in cache.check()] == ["a"]
    assert cache.store("kernels", "a", data)
    assert cache.load("kernels", "a") == data
    assert cache.check() == []


def test_settings_decide(folder):
    with config.change(cache="off"):
        assert not cache.store("kernels", "a", b"x")
    assert not folder.exists()
    cache.store("kernels", "a", b"x")
    with config.change(cache="off"):
        assert cache.load("kernels", "a") is None
    with config.change(cache="read"):
        assert cache.load("kernels", "a") == b"x"
        assert not cache.store("kernels", "b", b"y")
    assert cache.load("kernels", "b") is None


@pytest.mark.parametrize("how", ["load", "clear"])
def test_a_folder_in_the_place_of_an_entry(folder, how):
    (folder / "kernels" / "a" / "below").mkdir(parents=True)
    (folder / "kernels" / "a" / "below" / "file").write_text("x")
    assert cache.load("kernels", "a") is None
    assert [e.key for e in cache.check()] == [e.key for e in cache.entries()] == ["a"]
    if how == "clear":
        assert cache.clear() == 1 and cache.entries() == []
    else:
        assert cache.store("kernels", "a", b"x") and cache.load("kernels", "a") == b"x"
        assert cache.check() == []


def test_links_are_removed_and_what_they_lead_to_is_not(folder, tmp_path):
    (tmp_path / "mine").mkdir()
    (folder / "kernels").mkdir(parents=True)
    (folder / "kernels" / "a").symlink_to(tmp_path / "mine")
    assert cache.store("kernels", "a", b"x") and cache.load("kernels", "a") == b"x"
    (folder / "kernels" / "b").symlink_to(tmp_path / "mine")
    assert cache.clear() == 2 and (tmp_path / "mine").is_dir()


def test_a_folder_that_cannot_be_written_is_reported_once(folder, recwarn):
    folder.write_text("a file where the folder should be")
    with pytest.warns(RuntimeWarning, match="SYMNET_CACHE"):
        assert not cache.store("kernels", "a", b"x")
    assert not cache.store("kernels", "a", b"x")  # a second warning would be an error
    assert cache.load("kernels", "a") is None and cache.entries() == [] and cache.clear() == 0


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_read_only_folder_still_serves(folder):
    cache.store("kernels", "a", b"x")
    (folder / "kernels").chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert cache.load("kernels", "a") == b"x"
        with pytest.warns(RuntimeWarning):
            assert not cache.store("kernels", "b", b"y")
    finally:
        (folder / "kernels").chmod(stat.S_IRWXU)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_a_full_disk_leaves_nothing_behind(folder, monkeypatch):
    real = open
    monkeypatch.setattr(
        "builtins.open",
        lambda path, mode="r": real("/dev/full" if str(path).endswith(".tmp") else path, mode),
    )
    with pytest.warns(RuntimeWarning):
        assert not cache.store("kernels", "a", b"x" * 100_000)
    assert list((folder / "kernels").iterdir()) == []


def test_leftovers_of_dead_processes_go_and_fresh_ones_stay(folder):
    cache.store("kernels", "a", b"x")
    old, fresh = (folder / "kernels" / name for name in (".b.1.0.tmp", ".c.1.0.tmp"))
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    cache._written.clear()  # as a new process
    cache.store("kernels", "d", b"x")
    assert not old.exists() and fresh.exists()
    assert [entry.key for entry in cache.entries()] == ["a", "d"]
    assert cache.clear() == 3 and cache.entries() == []


def test_the_least_recently_used_go_first(folder, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT", 10_000)
    for number in range(9):
        cache.store("kernels", f"k{number}", bytes(1000))
        old = time.time() - 200_000 + number
        os.utime(folder / "kernels" / f"k{number}", (old, old))
    assert cache.load("kernels", "k0") is not None  # now the most recently used
    cache._written.clear()
    cache.store("kernels", "last", bytes(2000))
    left = {entry.key for entry in cache.entries()}
    assert "k0" in left and "last" in left and "k1" not in left and "k8" in left
    assert sum(entry.size for entry in cache.entries()) <= 10_000
