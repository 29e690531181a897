"""The runner: what a call moves and orders, recordings, sizes, shared variables."""

import gc
import threading

import numpy as np
import pytest
from emulating import device, runner, values
from hypothesis import given, settings
from hypothesis import strategies as st
from watching import Unwilling, Watched, state, training

import symnet
import symnet.tensor as T
from symnet.backends.gpu import host
from symnet.backends.gpu.bindings import BINDINGS
from symnet.backends.gpu.emulated import EmulatedDevice
from symnet.backends.gpu.orders import REFUSALS
from symnet.errors import RecordingError, ShapeError
from symnet.tensor.shared_randomstreams import RandomStreams

pytestmark = pytest.mark.skipif(host.compiler() is None, reason="no C++ compiler")
x = T.matrix("x")
i = T.lscalar("i")


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
