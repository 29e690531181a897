"""Where a shared variable's value is: on the host, on a device, on both."""

import copy
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet.graph.variables import SharedVariable

A = np.arange(6, dtype="float32").reshape(2, 3)


class Fake:
    """A residence in another array, which counts how often it was fetched."""

    device = "fake"

    def __init__(self, value, error=None):
        self.value, self.error, self.fetched = np.array(value), error, 0

    @property
    def shape(self):
        return self.value.shape

    def fetch(self, host):
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.fetched += 1
        np.copyto(host, self.value)

    def array(self):
        return self.value


def on_device(shared, value=None):
    """Put it on a device, where it is overwritten with `value`."""
    remote = Fake(shared.peek())
    shared.place(remote)
    if value is not None:
        np.copyto(remote.value, value)
        shared.moved()
    return remote


def test_reading_leaves_the_copy_on_the_device_current():
    shared = symnet.shared(A)
    remote = on_device(shared, 2 * A)
    for _ in range(3):
        assert shared.get_value().tolist() == (2 * A).tolist()
        assert shared.peek().tolist() == (2 * A).tolist()
    assert remote.fetched == 1
    assert shared.remote_current
    assert shared.host_current
    remote.value += 1
    shared.moved()
    assert shared.peek().tolist() == (2 * A + 1).tolist()


def test_writing_makes_the_hosts_the_only_one():
    shared = symnet.shared(A)
    remote = on_device(shared, 2 * A)
    storage = shared.storage
    assert storage.tolist() == (2 * A).tolist()
    assert not shared.remote_current
    assert shared.remote is remote  # its memory can be used again
    storage[0, 0] = 7
    assert shared.get_value()[0, 0] == 7
    shared.set_value(A[:1])
    assert shared.remote is None  # it does not fit


def test_set_value_fetches_nothing():
    shared = symnet.shared(A)
    remote = on_device(shared, 2 * A)
    shared.set_value(A + 1)
    assert not remote.fetched
    assert not shared.remote_current
    assert shared.get_value().tolist() == (A + 1).tolist()
    on_device(shared)
    shared.set_value(A + 2)
    assert not shared.remote_current
    assert shared.get_value().tolist() == (A + 2).tolist()


def test_a_value_of_another_shape_on_the_device():
    shared = symnet.shared(A)
    old = shared.peek()
    remote = Fake(np.ones((4, 1), "float32"))
    shared.replace(remote)
    assert shared.current_shape == (4, 1)
    assert not remote.fetched
    assert shared.peek().tolist() == [[1]] * 4
    assert old.tolist() == A.tolist()
    shared.rebind(A.copy())
    assert shared.current_shape == (2, 3)


def test_errors_of_the_device_come_when_its_value_is_asked_for():
    shared = symnet.shared(A)
    remote = on_device(shared)
    shared.moved()
    remote.error = symnet.errors.IndexOutOfBoundsError("index 9")
    with pytest.raises(symnet.errors.IndexOutOfBoundsError, match="index 9"):
        shared.get_value()
    assert not shared.host_current
    assert shared.get_value().tolist() == A.tolist()  # told once


def test_the_device_array_for_users():
    shared = symnet.shared(A)
    assert shared.get_value(borrow=True, return_internal_type=True) is shared.storage
    remote = on_device(shared, 2 * A)
    copied = shared.get_value(return_internal_type=True)
    assert copied is not remote.value
    assert copied.tolist() == (2 * A).tolist()
    lent = shared.get_value(borrow=True, return_internal_type=True)
    assert lent is remote.value
    lent += 1  # which the host's array has to follow
    assert shared.get_value().tolist() == (2 * A + 1).tolist()


def test_dlpack_gives_it_where_it_is():
    shared = symnet.shared(A)
    remote = on_device(shared, 2 * A)
    seen = np.from_dlpack(shared)
    assert np.shares_memory(seen, remote.value)
    assert not remote.fetched
    assert shared.__dlpack_device__() == (1, 0)
    shared.storage[:] = 0
    assert np.shares_memory(np.from_dlpack(shared), shared.storage)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_and_pickles_hold_the_value(again):
    shared = symnet.shared(A, name="w", allow_downcast=True)
    shared.default_update = shared + 1
    shared.tag.note = "mine"
    on_device(shared, 2 * A)
    found = again(shared)
    assert shared.remote_current
    assert found.get_value().tolist() == (2 * A).tolist()
    assert (found.name, found.allow_downcast, found.tag.note) == ("w", True, "mine")
    assert found.default_update.owner.inputs[0] is found
    assert found.remote is None


ACTIONS = ["place", "write there", "replace", "read", "add on host", "set", "reshape", "borrow"]


@given(st.lists(st.sampled_from(ACTIONS), max_size=25))
def test_functions_on_the_host_follow(actions):
    """Whatever happens to values between calls of compiled functions, they see it."""
    add, read = FUNCTIONS
    shared = W
    shared.set_value(A)
    expected = A.copy()
    for number, action in enumerate(actions):
        remote = shared.remote
        if action == "place":
            shared.place(Fake(shared.peek()))
        elif action == "write there" and shared.remote_current:
            expected = expected * 2 + number
            np.copyto(remote.value, expected)
            shared.moved()
        elif action == "replace":
            expected = np.full((number + 1, 2), number, "float32")
            shared.replace(Fake(expected))
        elif action == "read":
            assert read().tolist() == (2 * expected).tolist()
        elif action == "add on host":
            before = add()
            assert before.tolist() == expected.tolist()
            expected = expected + 1
            assert not shared.remote_current
        elif action == "set":
            expected = expected - 3
            shared.set_value(expected)
        elif action == "reshape":
            expected = np.full((1, number + 1), number, "float32")
            shared.set_value(expected)
        elif action == "borrow":
            shared.get_value(borrow=True)[...] = expected = expected + 5
        assert shared.current_shape == expected.shape
    assert shared.get_value().tolist() == expected.tolist()
    assert read().tolist() == (2 * expected).tolist()


W = symnet.shared(A, name="W")
FUNCTIONS = (symnet.function([], W, updates=[(W, W + 1)]), symnet.function([], 2 * W))


def test_a_function_that_only_reads_leaves_it_on_the_device():
    shared = symnet.shared(A)
    x = T.matrix("x")
    f = symnet.function([x], x * shared)
    remote = on_device(shared, 2 * A)
    for _ in range(3):
        assert f(A).tolist() == (2 * A * A).tolist()
    assert shared.remote_current
    assert remote.fetched == 1


def test_a_function_that_writes_is_soon_on_its_short_way_again():
    shared = symnet.shared(A)
    x = T.matrix("x")
    f = symnet.function([x], [], updates=[(shared, shared + x)])
    f(A)
    on_device(shared)
    f(A)
    assert f._runner.free[-1].epoch == SharedVariable.epoch
    assert shared.get_value().tolist() == (3 * A).tolist()


def test_what_is_overwritten_while_it_is_fetched_is_fetched_again():
    shared = symnet.shared(A)
    going, gone = threading.Event(), threading.Event()

    class Slow(Fake):
        def fetch(self, host):
            super().fetch(host)
            if self.fetched == 1:
                going.set()
                gone.wait(10)

    remote = Slow(A)
    shared.replace(remote)
    found = []
    reader = threading.Thread(target=lambda: found.append(shared.get_value()))
    reader.start()
    going.wait(10)
    remote.value += 1
    shared.moved()
    gone.set()
    reader.join()
    assert found[0].tolist() == (A + 1).tolist()
