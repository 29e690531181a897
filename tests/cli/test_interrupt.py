"""Ctrl-C that is dropped once comes again."""

import contextlib
import ctypes
import os
import signal
import sys
import time

import pytest

from symnet.cli.interrupt import Interrupts

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
