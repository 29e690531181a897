"""Errors that are told late, and memory that there is not."""

import numpy as np
import pytest
from emulating import device, runner, values

import symnet
import symnet.tensor as T
from symnet.backends.gpu import bindings, host
from symnet.backends.gpu.bindings import VARIANTS
from symnet.backends.gpu.emulated import EmulatedDevice
from symnet.errors import IndexOutOfBoundsError, OutOfMemoryError

pytestmark = pytest.mark.skipif(host.compiler() is None, reason="no C++ compiler")
x = T.matrix("x")
v = T.vector("v")
i = T.lscalar("i")
labels = T.lvector("labels")


# ---- errors that are told late


def failing():
    W = symnet.shared(values(5, 3), name="W")
    picked = W[labels]
    updates = [(W, W + picked.sum())]
    return W, runner([labels], [], updates)


def test_an_error_waits_for_whoever_looks():
    W, one = failing()
    before = W.get_value()
    one.run([np.array([0, 7])])
    one.run([np.array([0, 1])])  # nothing of that function happens until the error is told
    with pytest.raises(IndexOutOfBoundsError, match=r"index 7 is out.*size 5") as caught:
        W.get_value()
    assert "picked = W[labels]" in str(caught.value)
    assert np.array_equal(W.get_value(), before)  # told once
    one.run([np.array([0, 1])])
    assert not np.array_equal(W.get_value(), before)


def test_an_error_is_told_by_the_next_result():
    W = symnet.shared(values(5, 3), name="W")
    with device():
        silent = symnet.function([labels], updates=[(W, W + W[labels].sum())])
        loud = symnet.function([labels], W[labels].sum(), updates=[(W, W * 2)])
    before = W.get_value()
    silent([9])
    with pytest.raises(IndexOutOfBoundsError, match="index 9"):
        loud([1])  # and does nothing
    loud([1])
    with pytest.raises(IndexOutOfBoundsError, match="index 8"):
        loud([8])
    assert np.array_equal(W.get_value(), before * 2)


def test_an_error_names_the_arguments_of_a_single_call():
    W, one = failing()
    one.run([np.array([7])])
    with pytest.raises(IndexOutOfBoundsError, match=r"labels: int64\(1,\)"):
        W.get_value()


def test_errors_go_with_those_who_cannot_be_asked():
    W, one = failing()
    one.run([np.array([7])])
    W.set_value(values(5, 3))  # what was wrong is gone
    W.get_value()


# ---- memory


def test_out_of_memory_names_the_largest_and_their_lines():
    on = EmulatedDevice(limit=3_000_000)
    W = symnet.shared(values(100, 100), name="weights")
    square = T.exp(T.dot(x, x.T))  # the large one
    one = runner([x], [T.dot(square, square).sum()], [(W, W + x.sum())], on=on)
    before = W.get_value()
    a = values(50, 4)
    one.run([a])
    mine = W.get_value()
    with pytest.raises(OutOfMemoryError) as caught:
        one.run([values(2000, 4)])
    text = str(caught.value)
    assert "16.0 MB" in text and "emulated" in text
    assert "test_failures.py" in text and "the large one" in text
    assert isinstance(caught.value, MemoryError)
    assert np.array_equal(W.get_value(), mine) and not np.array_equal(mine, before)
    one.run([a])  # and goes on


def test_out_of_memory_names_scratch():
    """Such as the place of a product that would write a shared variable, if no check had failed."""
    table, W = symnet.shared(values(10), name="table"), symnet.shared(values(600, 600), name="W")
    rows = T.lvector("rows")
    updates = [(W, W - 0.1 * T.dot(x.T, x)), (table, table + table[rows].sum())]
    on, arguments = EmulatedDevice(), [values(2, 600), np.array([3])]
    one = runner([x, rows], [], updates, on=on)
    one.run(arguments)
    one.clear()
    on.limit = on.used + 1_000_000
    with pytest.raises(OutOfMemoryError, match=r"1\.4 MB  scratch of kernels and products"):
        one.run(arguments)


def test_memory_that_others_do_not_need_is_enough():
    """The bindings of the function itself are given up, and what the collector finds."""
    on = EmulatedDevice(limit=1_400_000)
    one = runner([x], [T.exp(T.dot(x, x.T)).sum()], on=on)
    for rows in (300, 350, 300, 400, 100):
        assert np.isfinite(one.run([values(rows, 4) * 0.1])[0])


def test_out_of_memory_for_outputs_that_stay_changes_nothing():
    on = EmulatedDevice()
    W = symnet.shared(values(300, 300), name="W")
    one = runner([], [W * 2], [(W, W + 1)], on=on)
    one.kept = {0}
    kept = one.run([])
    wanted = W.get_value()
    on.limit = on.used + 1000
    with pytest.raises(OutOfMemoryError, match="shared variable W"):
        one.run([])
    assert np.array_equal(W.get_value(), wanted)
    kept.clear()
    one.run([])
    assert np.array_equal(W.get_value(), wanted + 1)


@pytest.mark.parametrize("apart", [False, True])
def test_large_outputs_are_written_where_they_stay(monkeypatch, apart):
    """Each call's are its own, whatever is kept and dropped; with more addresses than there are
    recordings for, they are copied there. Small and host outputs, words that move, scratch and
    checks are as ever."""
    monkeypatch.setattr(bindings, "LARGE", 1000)
    on = EmulatedDevice(apart=apart)
    X, W = symnet.shared(values(80, 30), name="X"), symnet.shared(values(30, 30), name="W")
    here = X[i * 20 : (i + 1) * 20]
    product = T.dot(here, W)
    outputs = [product + v, T.dot(product.T, product), v + 1, product.sum(), X[labels].sum(axis=1)]
    one = runner([i, v, labels], outputs, [(W, W - 0.01 * T.dot(here.T, product))], on=on)
    plain = runner([i, v, labels], outputs, [(W, W - 0.01 * T.dot(here.T, product))], on=on)
    one.kept, kept, moves = {0, 1, 2}, [], []
    monkeypatch.setattr(on, "copy", lambda *a: (moves.append(a), EmulatedDevice.copy(on, *a)))
    start = W.get_value()
    for k in range(3 * VARIANTS):
        arguments = [np.array(k % 4), values(30, seed=k), (np.arange(80) + k) % 80]
        found = one.run(arguments)
        seen = W.get_value()
        W.set_value(start)
        wanted = plain.run(arguments)
        assert np.array_equal(W.get_value(), seen)
        start = seen
        assert all(np.array_equal(a, b) for a, b in zip(found[3:], wanted[3:]))
        kept.append((found[:3], wanted[:3]))
        if k < VARIANTS:
            del kept[:: 4 + k % 2]
        for mine, theirs in kept:
            assert all(np.array_equal(np.asarray(a), b) for a, b in zip(mine, theirs))
    assert {size for *_, size in moves} == {120, 2400, 3600}
    assert len(one.last.variants) > 1
