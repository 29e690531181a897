"""Ctrl-C waits until a call is ordered whole: half of its steps would leave half of its updates."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Whole:
    """Inside the block, Ctrl-C is noted; it takes effect in `check`, and when the block is left.

    Other handlers than Python's own are called then, too. Nothing changes where the signal is
    ignored, and outside the main thread, where it never comes.
    """

    __slots__ = ("_before", "_noted")

    def __enter__(self) -> "Whole":
        self._noted: tuple[int, FrameType | None] | None = None
        self._before: Any = None
        if threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGINT)
            if callable(before):
                self._before = before
                signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted = number, frame

    def check(self) -> None:
        """Between two calls: the handler's turn, if the signal came."""
        if self._noted is not None:
            (number, frame), self._noted = self._noted, None
            self._before(number, frame)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self.check()
