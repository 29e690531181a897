"""Ctrl-C while code is compiled."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

_PAUSE = 0.1  # seconds between two attempts


@contextlib.contextmanager
def insistent() -> Iterator[None]:
    """Inside the block, Ctrl-C raises KeyboardInterrupt again and again until the block is left.

    Once is not enough: where Python runs as a callback of native code, as in llvmlite, exceptions
    are reported and dropped. Only for blocks that may be left anywhere. Does nothing where Ctrl-C
    is handled otherwise or ignored, outside the main thread, and where there are no timers.
    """
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    main = threading.current_thread() is threading.main_thread()
    if not (usual and main and hasattr(signal, "setitimer")):
        yield
        return

    def again(*_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, _PAUSE)
        raise KeyboardInterrupt

    def dropped(report: Any) -> None:
        if report.exc_type is not KeyboardInterrupt:
            hook(report)

    hook, sys.unraisablehook = sys.unraisablehook, dropped
    before = signal.signal(signal.SIGALRM, again)
    signal.signal(signal.SIGINT, again)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGALRM, before)
        sys.unraisablehook = hook
