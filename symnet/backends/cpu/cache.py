"""A content-addressed store for compiled kernels and programs (design D19).

Lock-free: an entry is one file, named by the hash of everything it depends on, written under a
temporary name and renamed. Readers check a digest, so a truncated, corrupt or foreign file counts
as absent and is written anew, and so does a folder in its place. Nothing here raises because of
the disk: without a usable folder symnet works without a cache and says so once.

Entries of a kind ("kernels", "programs") lie in `config.cache_folder() / kind`. The least recently
used ones go when a kind outgrows `LIMIT` bytes.
"""

import hashlib
import itertools
import os
import shutil
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

from symnet.config import cache_folder, config

KINDS = ("kernels", "programs")
LIMIT = 1 << 30

_MAGIC = b"symnet cache 1\n"
_DIGEST_SIZE = hashlib.sha256().digest_size
_TEMPORARY = ".tmp"
_STALE = 3600.0  # seconds after which a temporary file belongs to a process that died
_RECENT = 86400.0  # an entry's time of use is kept to the day: no write per load
_PRUNE_EVERY = 64 << 20  # bytes written by this process between two looks at the folder's size

_counter = itertools.count()
_written: dict[Path, int] = {}
_warned = False


@dataclass(frozen=True)
class Entry:
    """One stored file: its kind, key, size in bytes and time of last use (seconds, to the day)."""

    kind: str
    key: str
    size: int
    used: float
    path: Path


def load(kind: str, key: str) -> bytes | None:
    """The data stored under `key`, or None when there is none that is whole."""
    if config.cache == "off":
        return None
    path = cache_folder() / kind / key
    content = _read(path)
    data = _unwrap(content)
    if data is not None and config.cache == "on":
        _mark_used(path)
    return data


def store(kind: str, key: str, data: bytes) -> bool:
    """Keep `data` under `key`. False when the settings or the disk forbid it."""
    if config.cache != "on":
        return False
    folder = cache_folder() / kind
    temporary = folder / f".{key[:40]}.{os.getpid()}.{next(_counter)}{_TEMPORARY}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(_wrap(data))
        if (folder / key).is_dir():
            _remove(folder / key)
        os.replace(temporary, folder / key)
    except OSError as problem:
        _remove(temporary)
        _warn(folder, problem)
        return False
    _tidy(folder, len(data))
    return True


def entries() -> list[Entry]:
    """Everything that is stored, sound or not, oldest use first."""
    found = []
    for kind in KINDS:
        for path, status in _files(cache_folder() / kind):
            if not path.name.endswith(_TEMPORARY):
                found.append(Entry(kind, path.name, status.st_size, status.st_mtime, path))
    return sorted(found, key=lambda entry: entry.used)


def check() -> list[Entry]:
    """The entries that are not whole (they are rebuilt when next needed)."""
    return [entry for entry in entries() if _unwrap(_read(entry.path)) is None]


def clear() -> int:
    """Remove every entry and temporary file; returns how many files went."""
    paths = [path for kind in KINDS for path, _ in _files(cache_folder() / kind)]
    return sum(_remove(path) for path in paths)


def _wrap(data: bytes) -> bytes:
    return _MAGIC + hashlib.sha256(data).digest() + data


def _unwrap(content: bytes) -> bytes | None:
    start = len(_MAGIC) + _DIGEST_SIZE
    data = content[start:]
    whole = content[:start] == _MAGIC + hashlib.sha256(data).digest()
    return data if whole else None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _mark_used(path: Path) -> None:
    try:
        if abs(time.time() - path.stat().st_mtime) > _RECENT:
            os.utime(path)
    except OSError:
        pass  # a read-only folder still serves


def _remove(path: Path) -> bool:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError:
        return False
    return True


def _files(folder: Path) -> list[tuple[Path, os.stat_result]]:
    """What lies in a folder, sound or not; what vanishes while we look does not count."""
    found = []
    try:
        with os.scandir(folder) as items:
            for item in items:
                try:
                    found.append((Path(item.path), item.stat(follow_symlinks=False)))
                except OSError:
                    continue
    except OSError:
        pass
    return found


def _tidy(folder: Path, size: int) -> None:
    """After a store, now and then: drop what dead processes left and what exceeds the limit."""
    if folder in _written and _written[folder] + size < _PRUNE_EVERY:
        _written[folder] += size
        return
    _written[folder] = 0
    now, kept = time.time(), []
    for path, status in _files(folder):
        if path.name.endswith(_TEMPORARY):
            if now - status.st_mtime > _STALE:
                _remove(path)
        else:
            kept.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in kept)
    if total > LIMIT:
        for _, size, path in sorted(kept):
            if total <= 3 * LIMIT // 4:
                break
            total -= size if _remove(path) else 0


def _warn(folder: Path, problem: OSError) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(
            f"symnet cannot store compiled code in {folder} ({problem.strerror or problem}); "
            "it works without, and compiles again in every process. Set SYMNET_CACHE to a "
            'writable folder, or SYMNET_FLAGS="cache=off" to be silent.',
            RuntimeWarning,
            stacklevel=2,
        )
