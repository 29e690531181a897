"""Ctrl-C takes effect between two calls."""

import os
import signal
import threading

import pytest

from symnet.backends.gpu.whole import Whole


def press():
    os.kill(os.getpid(), signal.SIGINT)


def test_it_waits_for_the_end_of_the_block():
    done = []
    with pytest.raises(KeyboardInterrupt), Whole():
        press()
        done.append("all of it")
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_takes_effect_where_it_is_checked():
    done = []
    with pytest.raises(KeyboardInterrupt), Whole() as interrupts:
        for step in range(5):
            interrupts.check()
            if step == 2:
                press()
            done.append(step)
    assert done == [0, 1, 2]


def test_other_handlers_get_their_turn_once():
    seen = []

    def handler(number, frame):
        seen.append((number, frame.f_code.co_name))

    before = signal.signal(signal.SIGINT, handler)
    try:
        with Whole() as interrupts:
            press()
            assert not seen
            interrupts.check()
            assert [number for number, _ in seen] == [signal.SIGINT]
        assert len(seen) == 1
        assert signal.getsignal(signal.SIGINT) is handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with Whole():
            press()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_errors_come_through():
    with pytest.raises(ZeroDivisionError), Whole():
        1 / 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_in_other_threads_nothing_changes():
    found = []

    def work():
        with Whole() as interrupts:
            found.append(signal.getsignal(signal.SIGINT))
            interrupts.check()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]
