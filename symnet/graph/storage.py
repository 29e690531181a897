"""Whose memory an array is: the storages that users have in hand (design D8).

Two shared variables must never lie in the same memory: programs order their reads and writes by
variable. A storage that no user has seen cannot get into a second one, so only those are kept here
that were lent by a user (borrow=True) or to a user (`get_value(borrow=True)`).
"""

import bisect
import threading
import weakref
from typing import Any

import numpy as np

_FEW = 256  # entries that are not worth a sweep


class Owners:
    """Owners (with a `host`, a C-contiguous array) by the addresses that they occupy.

    Owners are referenced weakly, and one counts only while its array lies where it lay when it
    was entered.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []  # sorted; the ranges do not overlap
        self._entries: list[tuple[int, weakref.ref[Any]]] = []  # end, owner
        self._lock = threading.Lock()
        self._sweep_at = _FEW

    def enter(self, owner: Any, array: np.ndarray) -> bool:
        """Enter `owner` for the memory of `array`; False if it belongs to another."""
        if not array.nbytes:
            return True
        start = _address(array)
        end = start + array.nbytes
        with self._lock:
            # the first range that ends behind our start, as starts and ends rise together
            first = bisect.bisect_right(self._starts, start)
            if first and self._entries[first - 1][0] > start:
                first -= 1
            last = bisect.bisect_left(self._starts, end, lo=first)
            for position in range(first, last):
                other = self._entries[position][1]()
                if other is not None and other is not owner and self._counts(position, other):
                    return False
            self._starts[first:last] = [start]
            self._entries[first:last] = [(end, weakref.ref(owner))]
            if len(self._starts) > self._sweep_at:
                self._sweep()
        return True

    def _counts(self, position: int, owner: Any) -> bool:
        host = owner.host  # an empty part of somebody's memory has an address there, too
        return bool(host.nbytes) and _address(host) == self._starts[position]

    def _sweep(self) -> None:
        kept = [
            (start, entry)
            for position, (start, entry) in enumerate(zip(self._starts, self._entries))
            if (owner := entry[1]()) is not None and self._counts(position, owner)
        ]
        self._starts = [start for start, _ in kept]
        self._entries = [entry for _, entry in kept]
        self._sweep_at = 2 * len(kept) + _FEW


def _address(array: np.ndarray) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
