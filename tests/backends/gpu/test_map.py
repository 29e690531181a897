"""`map` on a device: many calls, and registers of each."""

import numpy as np
import pytest
from emulating import runner, values
from hypothesis import given
from hypothesis import strategies as st
from watching import Watched, training

import symnet
import symnet.tensor as T
from symnet.backends.gpu import host
from symnet.backends.gpu.emulated import EmulatedDevice
from symnet.backends.gpu.moving import _MANY, Moving
from symnet.errors import IndexOutOfBoundsError, ShapeError
from symnet.graph.dims import OPERATORS
from symnet.schedule.program import Program, Reg

pytestmark = pytest.mark.skipif(host.compiler() is None, reason="no C++ compiler")
x = T.matrix("x")
v = T.vector("v")
i = T.lscalar("i")
labels = T.lvector("labels")


@pytest.mark.parametrize("apart", [False, True])
def test_map_is_the_loop(apart):
    z = T.tensor3("z")
    W = symnet.shared(np.zeros(3, "float32"), name="W")
    outputs = [z.sum(), z * 2 + W, v + i, T.dot(z[0], z[0].T)]
    updates = [(W, W + z.sum(axis=(0, 1)) * i)]
    big, small = values(9, 5, 100, 3), values(9, 4, seed=2)
    found = []
    for mapped in (True, False):
        W.set_value(np.zeros(3, "float32"))
        one = runner([z, v, i], outputs, updates, apart=apart)
        if mapped:
            results = one.map([big, small, np.arange(9)], 9)
        else:
            rows = [one.run([big[k], small[k], np.array(k)]) for k in range(9)]
            results = [np.stack(r) for r in zip(*rows)]
        found.append([*(r.tobytes() for r in results), W.get_value().tobytes()])
        assert [r.shape for r in results] == [(9,), (9, 5, 100, 3), (9, 4), (9, 100, 100)]
    assert found[0] == found[1]


def test_map_replays_once_per_call():
    on = Watched()
    inputs, outputs, updates = training()
    one = runner(inputs, outputs, updates, on=on)
    one.map([np.arange(6)], 6)
    on.taken()
    one.map([np.tile(np.arange(6), 50)], 300, limit_ns=10**12)
    kinds = [what for what, *_ in on.taken()]
    assert kinds.count("replay") == 300 and kinds.count("record") == 0
    assert kinds.count("put") < 20  # a few parts, not one per call


def test_map_comes_back_between_and_stops():
    one = runner([i], [i * 2])
    seen = []
    (found,) = one.map([np.arange(100)], 100, lambda n: seen.append(n) or n >= 10, limit_ns=1)
    assert seen == list(range(1, 11)) and np.array_equal(found, np.arange(10) * 2)
    assert [a.shape for a in one.map([np.arange(0)], 0)] == [(0,)]


def test_map_keeps_the_calls_before_a_failing_one():
    W = symnet.shared(values(5, 3), name="W")
    total = symnet.shared(np.zeros(3, "float32"), name="total")
    one = runner([i], [W[i % 7].sum()], [(total, total + W[i % 7])])
    with pytest.raises(IndexOutOfBoundsError) as caught:
        one.map([np.arange(20)], 20)
    assert "index out of bounds\n  with i = 5 (int64)" in str(caught.value)
    np.testing.assert_allclose(total.get_value(), W.get_value().sum(axis=0), rtol=1e-5)
    picked = runner([labels], [], [(total, total + W[labels].sum(axis=0))])
    total.set_value(np.zeros(3, "float32"))
    rows = np.arange(40).reshape(20, 2) % 5
    rows[13, 1] = 9
    with pytest.raises(IndexOutOfBoundsError) as caught:
        picked.map([rows], 20, limit_ns=10**12)
    assert "index 9" in str(caught.value) and "labels: int64(2,)" in str(caught.value)
    want = sum(W.get_value()[r].sum(axis=0) for r in rows[:13])
    np.testing.assert_allclose(total.get_value(), want, rtol=1e-4)
    picked.map([rows[:5]], 5)  # and goes on


def test_map_whose_sizes_change_in_the_middle():
    X = symnet.shared(values(10, 3), name="X")
    one = runner([i], [X[i * 4 : (i + 1) * 4].sum()])
    (found,) = one.map([np.arange(3)], 3)
    data = X.get_value()
    np.testing.assert_allclose(found, [data[k : k + 4].sum() for k in (0, 4, 8)], rtol=1e-4)
    with pytest.raises(ShapeError, match="cannot be stacked"):
        runner([i], [X[i * 4 : (i + 1) * 4]]).map([np.arange(3)], 3)


def test_map_with_little_memory():
    on = EmulatedDevice(limit=60_000)
    one = runner([x], [x.sum(axis=0)], on=on)
    a = values(64, 20, 100)
    found = [one.map([a], 64, limit_ns=10**12)[0] for _ in range(2)]
    np.testing.assert_allclose(found[0], a.sum(axis=1), atol=1e-4)
    assert found[0].tobytes() == found[1].tobytes()


INT = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)


@given(st.sampled_from(sorted(OPERATORS)), st.lists(st.tuples(INT, INT, INT), min_size=1))
def test_registers_of_many_calls_are_those_of_each(op, rows):
    count = 3 if op == "select" else 2
    columns = [np.array(c, np.int64) for c in zip(*rows)][:count]
    with np.errstate(all="ignore"):
        found = np.asarray(_MANY[op](*columns), np.int64)
    registers = tuple(("value", k) for k in range(count)) + ((op, *map(Reg, range(count))),)
    moving = Moving(Program((), registers, (), (), (), (), (), ()), ())
    for row, f in zip(rows, found):
        exact = int(OPERATORS[op](*row[:count]))
        assert (exact + 2**63) % 2**64 - 2**63 == f
        assert moving.update([0] * (count + 1), list(row[:count]))[-1] == f


def test_moving_registers_are_those_that_values_decide():
    X = symnet.shared(values(10, 3), name="X")
    one = runner([i, x], [X[i * 4 : (i + 1) * 4].sum() + x.sum()])
    moving = one.loaded.moving
    assert moving.objects and set(moving.numbers).isdisjoint(
        k for k, (op, *_) in enumerate(one.program.registers) if op == "dim"
    )
