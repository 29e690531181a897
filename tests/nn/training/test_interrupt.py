"""Ctrl-C that is dropped once comes again."""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time

import pytest

from symnet.nn.training.interrupt import Interrupts

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs timers")


@pytest.fixture(autouse=True)
def usual():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def state():
    return signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM), sys.unraisablehook


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)


@pytest.fixture
def reported(monkeypatch):
    """Types of the exceptions that Python could not raise and reports."""
    types = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: types.append(report.exc_type))
    return types


def test_in_a_callback_of_native_code(reported):
    before = state()
    callback = ctypes.CFUNCTYPE(None)(interrupt)
    dropped = False
    with pytest.raises(KeyboardInterrupt), Interrupts():
        callback()
        dropped = True
        time.sleep(20)
    assert dropped
    assert reported == []
    assert state() == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_other_dropped_exceptions_are_reported(reported):
    with Interrupts():
        ctypes.CFUNCTYPE(None)(lambda: 1 / 0)()
    assert reported == [ZeroDivisionError]


def test_after_the_block_nothing_comes():
    with contextlib.suppress(KeyboardInterrupt), Interrupts():
        interrupt()
    time.sleep(0.2)


def test_who_ignores_it_goes_on_ignoring_it():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts():
        interrupt()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


# ---- deferred


def test_deferred_interrupts_wait_for_check():
    before = state()
    with Interrupts() as interrupts:
        interrupts.defer()
        interrupts.check()
        interrupt()
        interrupt()
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
        interrupts.check()  # once is enough
        interrupt()
    assert state() == before


def test_an_interrupt_that_was_repeated_is_not_after_deferring():
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            interrupt()
        interrupts.defer()
        time.sleep(0.25)
        interrupts.check()


def test_closed_interrupts_have_no_effect():
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt):
            interrupt()
        interrupts.close()
        time.sleep(0.25)
        interrupt()


@pytest.mark.parametrize("method", ["defer", "close", "__exit__"])
def test_nothing_is_raised_while_the_state_changes(monkeypatch, method):
    """A signal that comes inside these methods, at whatever line, leaves them whole."""
    interrupts = Interrupts()
    code = getattr(Interrupts, method).__code__

    def trace(frame, event, _):
        if frame.f_code is code and event == "line":
            os.kill(os.getpid(), signal.SIGINT)
        return trace if frame.f_code is code else None

    before = state()
    interrupts.__enter__()
    if method == "__exit__":
        interrupts.defer()
    sys.settrace(trace)
    try:
        arguments = (None, None, None) if method == "__exit__" else ()
        with contextlib.suppress(KeyboardInterrupt):  # after the handlers are restored
            getattr(interrupts, method)(*arguments)
    finally:
        sys.settrace(None)
        interrupts.__exit__(None, None, None)
    assert state() == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_in_other_threads_nothing_changes():
    before, seen = state(), []

    def work():
        with Interrupts() as interrupts:
            interrupts.defer()
            seen.append(state())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
