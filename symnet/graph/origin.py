"""Where the user built a node: one cheap frame walk that skips symnet's own frames.

What builds nodes on behalf of an earlier line, as layers do, says so with `at`.
"""

import linecache
import os
import sys
import threading
from types import CodeType
from typing import NamedTuple

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_internal: dict[CodeType, bool] = {}


class Origin(NamedTuple):
    """A line of the user's program."""

    file: str
    line: int

    @property
    def text(self) -> str:
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        text = self.text
        return f"{self.file}:{self.line}" + (f"  `{text}`" if text else "")


UNKNOWN = Origin("<unknown>", 0)


class _Pinned(threading.local):
    origin: Origin | None = None  # until a thread sets its own


_pinned = _Pinned()


class at:
    """A `with` block in which `here()` is `origin`, in this thread. The innermost block counts."""

    __slots__ = ("_before", "origin")

    def __init__(self, origin: Origin):
        self.origin = origin

    def __enter__(self) -> None:
        self._before = _pinned.origin
        _pinned.origin = self.origin

    def __exit__(self, *error: object) -> None:
        _pinned.origin = self._before


def here() -> Origin:
    """The innermost line outside symnet of the running thread; inside `at`, the one it names."""
    pinned = _pinned.origin
    if pinned is not None:
        return pinned
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        inside = _internal.get(code)
        if inside is None:
            inside = _internal[code] = os.path.abspath(code.co_filename).startswith(_PACKAGE)
        if not inside:
            return Origin(code.co_filename, frame.f_lineno)
        frame = frame.f_back  # type: ignore[assignment]
    return UNKNOWN
