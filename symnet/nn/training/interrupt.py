"""Ctrl-C: at once while code is compiled, between two steps while it trains."""

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

_PAUSE = 0.1  # seconds between two attempts


class Interrupts:
    """Inside the block, Ctrl-C raises KeyboardInterrupt again and again until the block is left.

    Once is not enough: where Python runs as a callback of native code, as in llvmlite, or in a
    finalizer, exceptions are reported and dropped. So this is for code that may be left anywhere.

    After `defer()` Ctrl-C is noted instead, and `check()` raises KeyboardInterrupt where it suits:
    files are written whole, and no exception can be dropped.

    Does nothing where Ctrl-C is handled otherwise or ignored, and outside the main thread. Where
    there are no timers, KeyboardInterrupt comes once.
    """

    def __init__(self) -> None:
        self._deferred = self._over = self._noted = False
        self._ours = False

    def __enter__(self) -> "Interrupts":
        usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        self._ours = usual and threading.current_thread() is threading.main_thread()
        if self._ours:
            self._hook, sys.unraisablehook = sys.unraisablehook, self._dropped
            if _timers():
                self._alarm = signal.signal(signal.SIGALRM, self._handle)
            signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over = True
        if self._ours:
            if _timers():
                signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if _timers():
                signal.signal(signal.SIGALRM, self._alarm)
            sys.unraisablehook = self._hook

    def defer(self) -> None:
        """From here on Ctrl-C only takes effect in `check`."""
        self._deferred = True
        if self._ours and _timers():
            signal.setitimer(signal.ITIMER_REAL, 0)

    def close(self) -> None:
        """From here on Ctrl-C has no effect, until the block is left."""
        self._over = True

    def check(self) -> None:
        """Raise KeyboardInterrupt, once, if Ctrl-C was pressed since `defer`."""
        if self._noted:
            self._noted, self._over = False, True
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """The handler of both signals. It does not raise where this class changes its own state."""
        own = frame is not None and frame.f_code in _OWN
        if self._over:
            return
        if self._deferred or own:
            self._noted |= number == signal.SIGINT or own
            return
        if _timers():
            signal.setitimer(signal.ITIMER_REAL, _PAUSE)
        raise KeyboardInterrupt

    def _dropped(self, report: Any) -> None:
        """Other exceptions that nobody can catch are reported as ever."""
        if report.exc_type is not KeyboardInterrupt:
            self._hook(report)


_OWN = {
    f.__code__
    for f in (
        Interrupts.__enter__,
        Interrupts.__exit__,
        Interrupts.defer,
        Interrupts.close,
        Interrupts.check,
    )
}


def _timers() -> bool:
    return hasattr(signal, "setitimer")
