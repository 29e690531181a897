"""The runner: what a call moves and orders, recordings, `map`, memory, errors told late."""

import gc
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from emulating import device, runner, values
from hypothesis import given, settings
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet.backends.gpu import back_end, bindings, devices, host
from symnet.backends.gpu.binding import SMALL
from symnet.backends.gpu.bindings import BINDINGS, PLACES, VARIANTS
from symnet.backends.gpu.emulated import EmulatedArray, EmulatedDevice
from symnet.backends.gpu.moving import _MANY, Moving
from symnet.backends.gpu.orders import REFUSALS
from symnet.errors import (
    DeviceError,
    IndexOutOfBoundsError,
    OutOfMemoryError,
    RecordingError,
    ShapeError,
    TypeMismatchError,
)
from symnet.graph.dims import OPERATORS
from symnet.schedule.program import Program, Reg
from symnet.tensor.shared_randomstreams import RandomStreams

pytestmark = pytest.mark.skipif(host.compiler() is None, reason="no C++ compiler")
x, y = T.matrices("x", "y")
v = T.vector("v")
i = T.lscalar("i")
labels = T.lvector("labels")


class Watched(EmulatedDevice):
    """A device that keeps a list of what it was asked for."""

    def __init__(self, **circumstances):
        super().__init__(**circumstances)
        self.asked = []

    def put(self, address, array):
        self.asked.append(("put", array.nbytes))
        super().put(address, array)

    def get(self, array, address):
        self.asked.append(("get", array.nbytes))
        super().get(array, address)

    def allocate(self, size):
        self.asked.append(("allocate", size))
        return super().allocate(size)

    def record(self, orders):
        self.asked.append(("record",))
        found = super().record(orders)
        replay = found.replay
        found.replay = lambda: (self.asked.append(("replay",)), replay())
        return found

    def taken(self):
        found, self.asked = self.asked, []
        return found


class Unwilling(EmulatedDevice):
    """A device that records nothing."""

    def record(self, orders):
        raise RecordingError("step 3 cannot be recorded")


def training(seed=0, rows=48, size=8):
    """A step of training on the minibatch with number `i`."""
    X = symnet.shared(values(rows, 12, seed=seed), name="X")
    truth = symnet.shared(np.random.default_rng(seed).integers(0, 5, rows), name="truth")
    W = symnet.shared(values(12, 5, seed=seed + 1), name="W")
    V = symnet.shared(np.zeros((12, 5), "float32"), name="V")
    here = slice(i * size, (i + 1) * size)
    p = T.nnet.softmax(T.dot(X[here], W))
    cost = T.nnet.categorical_crossentropy(p, truth[here]).mean()
    step = 0.9 * V - 0.1 * symnet.grad(cost, W)
    return [i], [cost, p.max(axis=1)], [(W, W + step), (V, step)]


def state(updates):
    return [s.get_value().tobytes() for s, _ in updates]


# ---- recordings


def test_a_call_moves_what_changed_and_replays():
    on = Watched()
    inputs, outputs, updates = training()
    one = runner(inputs, outputs, updates, on=on)
    for k in range(3):
        one.run([np.array(k)])
    on.taken()
    one.run([np.array(4)])
    kinds = [what for what, *_ in on.taken()]
    assert kinds == ["put", "replay", "get"]
    one.run([np.array(4)])
    assert [what for what, *_ in on.taken()] == ["replay", "get"]
    assert one.recorded is True and one.why_not_recorded == ""


def test_the_first_call_is_not_recorded_and_the_second_is():
    on = Watched()
    one = runner([x], [x + 1], on=on)
    assert one.recorded is None
    seen = []
    for _ in range(3):
        one.run([values(30, 40)])
        seen.append([what for what, *_ in on.taken() if what in ("record", "replay")])
    assert seen == [[], ["record", "replay"], ["replay"]]


def test_recorded_or_not_in_map_or_not_the_bits_are_the_same():
    found = []
    for on in (EmulatedDevice(), Unwilling(), EmulatedDevice(apart=True)):
        for mapped in (False, True, False):
            inputs, outputs, updates = training()
            one = runner(inputs, outputs, updates, on=on)
            if mapped:
                results = one.map([np.arange(6)], 6)
            else:
                calls = [one.run([np.array(k)]) for k in range(6)]
                results = [np.stack(r) for r in zip(*calls)]
            found.append(([r.tobytes() for r in results], state(updates)))
            assert one.recorded is not isinstance(on, Unwilling)
    assert all(one == found[0] for one in found)


def test_why_something_is_not_recorded():
    one = runner([x], [x.sum()], on=Unwilling())
    for _ in range(3):
        assert one.run([np.ones((2, 3), "float32")])[0] == 6
    assert one.recorded is False and one.why_not_recorded == "step 3 cannot be recorded"


def test_a_recording_that_was_spoilt_is_tried_again(monkeypatch):
    """By another thread that waits for the whole device; but not for ever."""
    on, tried = EmulatedDevice(), []

    def record(orders, spoilt=1):
        tried.append(orders)
        if len(tried) <= spoilt:
            raise RecordingError("spoilt")
        return EmulatedDevice.record(on, orders)

    monkeypatch.setattr(on, "record", record)
    one = runner([x], [x.sum()], on=on)
    found = []
    for _ in range(4):
        assert one.run([np.ones((2, 3), "float32")])[0] == 6
        found.append((one.recorded, one.why_not_recorded, len(tried)))
    assert found == [(None, "", 0), (False, "spoilt", 1), (True, "", 2), (True, "", 2)]
    monkeypatch.setattr(on, "record", lambda orders: record(orders, 1000))
    for _ in range(7):
        assert one.run([np.ones((3, 3), "float32")])[0] == 9
    assert len(tried) == 2 + REFUSALS


def test_what_a_recording_must_not_do():
    on = EmulatedDevice()
    memory = on.allocate(64)
    array = np.zeros(8)
    for wrong in (
        lambda: on.allocate(8),
        lambda: on.put(memory.address, array),
        lambda: on.get(array, memory.address),
        on.wait,
        lambda: on.record(lambda: None),
        lambda: on.timed([]),
    ):
        with pytest.raises(RecordingError):
            on.record(wrong)
    on.put(memory.address, array)  # and all is as before


def test_a_recording_orders_again_what_was_recorded():
    on = EmulatedDevice()
    memory = on.allocate(16)
    on.put(memory.address, np.array([1, 2]))
    recording = on.record(lambda: on.copy(memory.address, memory.address + 8, 8))
    assert memory.bytes().view(np.int64).tolist() == [1, 2]
    recording.replay()
    on.put(memory.address + 8, np.array([3]))
    recording.replay()
    assert memory.bytes().view(np.int64).tolist() == [3, 3]


def test_addresses_that_are_nobodys_are_errors():
    on = EmulatedDevice()
    memory = on.allocate(16)
    with pytest.raises(Exception, match="no memory of the device"):
        on.put(memory.address + 8, np.zeros(2))
    with pytest.raises(Exception, match="no memory of the device"):
        on.get(np.zeros(1), memory.address - 8)
    address = memory.address
    del memory
    with pytest.raises(Exception, match="no memory of the device"):
        on.clear(address, 16)


# ---- sizes


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=6),
    st.booleans(),
)
def test_sizes_change_and_come_back(sizes, apart):
    one = several(apart)
    for rows, columns in [*sizes, *sizes[::-1]]:
        a = values(rows, columns, seed=rows)
        found = one.run([a, np.array(rows)])
        wanted = [np.exp(a).sum(axis=1), a.sum(axis=0) * 2, a @ a.T, a + rows, a.size]
        for f, w in zip(found, wanted, strict=True):
            np.testing.assert_allclose(f, w, rtol=1e-4, atol=1e-4)


def several(apart, known={}):  # noqa: B006
    if apart not in known:
        outputs = [T.exp(x).sum(axis=1), x.sum(axis=0) * 2, T.dot(x, x.T), x + i, x.size]
        known[apart] = runner([x, i], outputs, apart=apart)
    return known[apart]


def test_bindings_are_kept_and_the_oldest_forgotten():
    one = runner([x], [x.sum(axis=0)])
    for rows in [*range(1, BINDINGS + 6), *range(3, 8)]:
        a = np.random.default_rng(rows).integers(0, 9, (rows, 300)).astype("float32")
        for _ in range(3):
            assert np.array_equal(one.run([a])[0], a.sum(axis=0))
        assert len(one.bindings) <= BINDINGS


def test_all_bindings_share_their_memory():
    on = EmulatedDevice()
    one = runner([x], [T.exp(T.dot(x, x.T)).sum(axis=0)], on=on)
    one.run([values(200, 30)])
    used = on.used
    for rows in (10, 190, 150, 3):
        one.run([values(rows, 30)])
    assert on.used == used and len(one.bindings) == 5


def test_memory_goes_with_the_function_or_when_asked():
    """At once, not when the garbage collector next looks."""
    on = EmulatedDevice()
    inputs, outputs, updates = training()
    one = runner(inputs, outputs, updates, on=on)
    for k in range(3):
        one.run([np.array(k)])
    one.map([np.arange(3)], 3)
    used = on.used
    before = state(updates)
    one.clear()
    freed = on.used
    assert freed < used and state(updates) == before
    one.run([np.array(1)])
    gc.collect()
    gc.disable()
    try:
        del one
        shared = {s for s, _ in updates} | set(symnet.graph.shared_inputs(outputs))
        assert on.used == sum(s.remote.memory.size for s in shared)
        updates.clear(), outputs.clear(), shared.clear()
    finally:
        gc.enable()
    gc.collect()  # expressions are cycles
    assert on.used == 0


def test_empty_arrays():
    W = symnet.shared(np.zeros((0, 3), "float32"), name="W")
    one = runner([x], [x + 1, x.sum(), T.dot(x, W.T)], [(W, W * 2)])
    for _ in range(3):
        plus, total, product = one.run([np.zeros((0, 3), "float32")])
        assert plus.shape == (0, 3) and total == 0 and product.shape == (0, 0)
    assert W.get_value().shape == (0, 3)
    assert one.map([np.zeros((4, 0, 3), "float32")], 4)[0].shape == (4, 0, 3)


def test_scalars():
    s = T.scalar("s")
    count = symnet.shared(np.int64(3), name="count")
    one = runner([s, i], [s * 2 + i, count], [(count, count + i)])
    for k in range(4):
        doubled, before = one.run([np.float32(1.5).reshape(()), np.array(k)])
        assert doubled == 3 + k and doubled.shape == ()
        assert before == 3 + k * (k - 1) // 2
    assert count.get_value() == 9


def test_values_that_decide_about_sizes():
    one = runner([i], [T.arange(i) * 2])
    for n in (5, 0, 7, 5, 5, 5):
        assert np.array_equal(one.run([np.array(n)])[0], np.arange(n) * 2)


def test_shared_values_that_decide():
    n = symnet.shared(np.int64(2), name="n")
    one = runner([], [T.arange(n)], [(n, n + 1)])
    assert [len(one.run([])[0]) for _ in range(4)] == [2, 3, 4, 5]
    n.set_value(1)
    assert len(one.run([])[0]) == 1
    with pytest.raises(ShapeError, match="cannot be stacked"):
        runner([], [T.arange(n)], [(n, n + 1)]).map([], 3)


# ---- shared variables


def test_values_stay_on_the_device_until_somebody_looks():
    on = Watched()
    inputs, _, updates = training()
    one = runner(inputs, [], updates, on=on)
    for k in range(3):
        one.run([np.array(k)])
    on.taken()
    for k in range(3):
        one.run([np.array(k)])
    assert not [a for a in on.taken() if a[0] == "get"]
    W = updates[0][0]
    W.get_value()
    W.get_value()
    assert [a for a in on.taken() if a[0] == "get"] == [("get", 12 * 5 * 4), ("get", 48)]


def test_functions_on_both_devices_share_variables():
    W = symnet.shared(values(6, 4), name="W")
    wanted = W.get_value()
    with device():
        double = symnet.function([], W.sum(), updates=[(W, W * 2)])
        read = symnet.function([], W + 0)
    add = symnet.function([x], W[0], updates=[(W, W + x)], device="cpu")
    rng = np.random.default_rng(0)
    for _ in range(60):
        which = rng.integers(0, 6)
        if which == 0:
            assert np.isclose(double(), wanted.sum(), rtol=1e-4)
            wanted = wanted * 2
        elif which == 1:
            a = values(6, 4, seed=int(rng.integers(99)))
            assert np.array_equal(add(a), wanted[0])
            wanted = wanted + a
        elif which == 2:
            assert np.array_equal(read(), wanted)
        elif which == 3:
            wanted = values(int(rng.integers(6, 7)), 4, seed=int(rng.integers(99)))
            W.set_value(wanted)
        elif which == 4:
            W.get_value(borrow=True)[1] = 5  # written by the user
            wanted = wanted.copy()
            wanted[1] = 5
        else:
            wanted = wanted / np.float32(max(1, abs(wanted).max()))
            W.set_value(wanted, borrow=False)
        assert np.array_equal(W.get_value(), wanted)


def test_a_new_value_of_the_same_shape_needs_no_binding(monkeypatch):
    on = Watched()
    rate = symnet.shared(np.float32(0.5), name="rate")
    W = symnet.shared(values(30, 40), name="W")
    one = runner([], [W.sum()], [(W, W * rate)], on=on)
    wanted = W.get_value()
    for _ in range(3):
        one.run([])
        wanted = wanted * np.float32(0.5)
    monkeypatch.setattr(one.bindings, "_find_other", None)
    for k in range(1, 4):
        rate.set_value(np.float32(k))
        on.taken()
        one.run([])
        assert [a for a in on.taken() if a[0] == "put"] == [("put", 4)]
        wanted = wanted * np.float32(k)
        assert np.array_equal(W.get_value(), wanted)


def test_updates_that_change_the_shape():
    on = EmulatedDevice()
    S = symnet.shared(values(2, 3), name="S")
    one = runner([x], [S.sum()], [(S, T.concatenate([S, x]))], on=on)
    wanted = S.get_value()
    for k in range(5):
        more = values(k, 3, seed=k)
        assert np.isclose(one.run([more])[0], wanted.sum(), rtol=1e-4, atol=1e-5)
        wanted = np.concatenate([wanted, more])
        assert S.current_shape == wanted.shape
        if k % 2:
            assert np.array_equal(S.get_value(), wanted)


def test_another_device_of_the_same_kind():
    W = symnet.shared(values(3, 3), name="W")
    wanted = W.get_value()
    ones = [runner([], [], [(W, W + 1)]) for _ in range(2)]
    for k in (0, 1, 1, 0):
        ones[k].run([])
        wanted = wanted + 1
    assert np.array_equal(W.get_value(), wanted)


def test_random_streams_go_on_as_on_the_cpu():
    found = []
    for where in ("cpu", "emulated"):
        streams = RandomStreams(7)
        draw = streams.uniform((3, 4))
        with device():
            f = symnet.function([i], draw + i, device=where)
        found.append([f(0), *f.map(range(3)), f(1)])
    assert [a.tobytes() for a in found[0]] == [a.tobytes() for a in found[1]]


# ---- device arrays


@contextmanager
def compiled(inputs, outputs, **options):
    with device() as on:
        yield on, symnet.function(inputs, outputs, **options)


def test_outputs_that_stay_on_the_device():
    with compiled([x], [symnet.Out(x * 2, on_device=True), x.sum()]) as (_, f):
        a = values(30, 40)
        first, total = f(a)
        second, _ = f(a + 1)
        assert isinstance(first, EmulatedArray) and first.shape == (30, 40)
        assert np.array_equal(first, a * 2) and np.array_equal(second, (a + 1) * 2)
        assert np.isclose(total, a.sum(), rtol=1e-4, atol=1e-4)
        assert np.array_equal(np.from_dlpack(first), a * 2)
        assert np.array_equal(f(first)[0], a * 4)  # and go in again
        stack = f.map(np.stack([a, a + 1, a + 2]))[0]
        assert isinstance(stack, EmulatedArray)
        assert np.array_equal(np.asarray(stack), 2 * np.stack([a, a + 1, a + 2]))


def test_nobody_waits_for_outputs_that_stay():
    on = Watched()
    one = runner([x], [x * 2, x + 1], on=on)
    one.kept = {0, 1}
    for _ in range(3):
        one.run([values(30, 40)])
    assert not [a for a in on.taken() if a[0] == "get"]


def given_array(on, array):
    memory = on.allocate(array.nbytes)
    on.put(memory.address, np.ascontiguousarray(array))
    return on.array(memory, array.shape, array.dtype.name)


def test_device_arrays_are_read_where_they_are():
    on = Watched()
    one = runner([x], [x.sum(axis=1)], on=on)
    arrays = [values(30, 40, seed=k) for k in range(2 * PLACES)]
    given_ = [given_array(on, a) for a in arrays]
    for _ in range(2):
        for a, g in zip(arrays, given_):
            np.testing.assert_allclose(one.run([one.adopt(g)])[0], a.sum(axis=1), atol=1e-4)
    # the first few addresses have bindings of their own, the others share one
    assert len(one.bindings) == PLACES + 1
    on.taken()
    one.run([one.adopt(given_[0])])
    assert not [a for a in on.taken() if a[0] == "put"]
    np.testing.assert_allclose(one.run([arrays[3]])[0], arrays[3].sum(axis=1), atol=1e-4)
    np.testing.assert_allclose(one.run([one.adopt(given_[1])])[0], arrays[1].sum(axis=1), atol=1e-4)


def test_small_and_scalar_device_arrays():
    one = runner([v, i], [v * 2, v.sum() + i])
    a = values(5)
    assert a.nbytes <= SMALL
    g, three = given_array(one.device, a), given_array(one.device, np.array(3))
    for k in range(3):
        double, total = one.run([one.adopt(g), one.adopt(three) if k else np.array(3)])
        assert np.array_equal(double, a * 2) and np.isclose(total, a.sum() + 3)
    assert np.array_equal(one.run([a + 1, np.array(0)])[0], (a + 1) * 2)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_device_arrays_with_strides_are_copied(data):
    base = np.arange(4000, dtype="float32").reshape(20, 10, 20)
    cuts = [
        slice(data.draw(st.integers(0, n)), None, data.draw(st.sampled_from([1, 2, 3, -1, -2])))
        for n in base.shape
    ]
    order = data.draw(st.permutations(range(3)))
    view = base[tuple(cuts)].transpose(order)

    class Foreign:
        def __dlpack__(self, **wishes):
            return view.__dlpack__()

        def __dlpack_device__(self):
            return 1, 0

    one = three_dimensions()
    assert np.array_equal(one.run([one.adopt(Foreign())])[0], view + 1)


def three_dimensions(known=[]):  # noqa: B006
    if not known:
        z = T.tensor3("z")
        known.append(runner([z], [z + 1]))
    return known[0]


def test_a_device_array_that_is_updated_meanwhile():
    """An argument that lies in a shared variable's memory is read before that is overwritten."""
    W = symnet.shared(values(30, 40), name="W")
    one = runner([x], [x.sum()], [(W, W * 0 + x[::-1])])
    one.run([W.get_value()])
    before = W.get_value()
    borrowed = W.get_value(borrow=True, return_internal_type=True)
    one.run([one.adopt(borrowed)])
    assert np.array_equal(W.get_value(), before[::-1])


def test_what_is_no_device_array():
    one = runner([x], [x + 1])
    for wrong in (np.ones((2, 3), "float32"), [[1.0]], "text"):
        with pytest.raises(TypeMismatchError, match="emulated device"):
            one.adopt(wrong)


def test_transfers():
    end = back_end.back_end("emulated")
    a = values(3, 4)
    there = end.resident(a)
    assert np.array_equal(end.fetch(there.array()), a)
    strided = end.fetch(end.resident(there.array()).array())
    assert np.array_equal(strided, a)
    with pytest.raises(DeviceError, match="no device is called"):
        devices.device("nonsense")


# ---- map


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
    assert "test_runner.py" in text and "the large one" in text
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


# ---- profile, threads


def test_profiles_count_the_programs_steps():
    inputs, outputs, updates = training()
    one = runner(inputs, outputs, updates, profile=True)
    for k in range(4):
        one.run([np.array(k)])
    one.map([np.arange(3)], 3)
    assert one.profile.shape == (len(one.program.steps), 2)
    assert (one.profile[:, 0] > 0).all() and (one.profile[:, 1] == 7).all()


def test_several_threads():
    W = symnet.shared(np.eye(20, dtype="float32"), name="W")
    with device():
        f = symnet.function([x], T.dot(T.dot(x, W), W))
        step = symnet.function([i], updates=[(W, W + 0 * i)])
    start, wrong = threading.Barrier(4), []

    def work(k):
        a = np.full((5 + k % 2, 20), k, "float32")
        start.wait()
        for n in range(40):
            if not np.array_equal(f(a), a):
                wrong.append(k)
            if n % 7 == k:
                step.map(range(3)) if k % 2 else step(1)
                W.get_value()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
