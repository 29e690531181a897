import gc
import signal
import threading
import time
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet.backends.cpu import runner as module
from symnet.backends.cpu.pool import thread_count
from symnet.backends.cpu.runner import BINDINGS, apart, current_threads
from symnet.config import config
from symnet.errors import (
    IndexOutOfBoundsError,
    OutOfMemoryError,
    ShapeError,
    TypeMismatchError,
)

x = T.matrix("x")
v = T.vector("v")
i = T.lscalar("i")


# ---- arguments and storages


@st.composite
def arrays_and_relatives(draw):
    """An array, and another that is made from it or not."""
    first = np.zeros((4, 4), "float32")
    buffer = np.frombuffer(bytearray(64), "float32").reshape(4, 4)
    second = draw(st.sampled_from([first, first.copy(), buffer]))
    for _ in range(draw(st.integers(0, 3))):
        how = draw(st.integers(0, 5))
        if how == 0:
            second = second[draw(st.integers(0, 2)) :]
        elif how == 1:
            second = second.T
        elif how == 2:
            second = second.view("int32").view("float32")
        elif how == 3:
            second = second[...]
        elif how == 4:
            second = np.asarray(memoryview(second))
        else:
            second = second.reshape(-1)[None]
    return first, second


@given(arrays_and_relatives())
def test_apart_is_never_wrongly_true(pair):
    storage, array = pair
    root = storage if storage.base is None else storage.base
    if apart(array, {id(root)}):
        assert not np.may_share_memory(array, storage)


def test_apart_knows_the_common_cases():
    storage, other = np.zeros((4, 4)), np.zeros((4, 4))
    roots = {id(storage)}
    for array in (other, other[1:], other.T, other[0], other.reshape(16)):
        assert apart(array, roots)
    for array in (storage, storage[1:], storage.T, storage.reshape(16)[2:]):
        assert not apart(array, roots)


# ---- frames and bindings


def test_bindings_are_kept_and_the_oldest_forgotten():
    f = symnet.function([x], x.sum(axis=0))
    runner = f._runner
    for rows in [*range(1, BINDINGS + 6), *range(3, 8)]:
        a = np.random.default_rng(rows).integers(0, 9, (rows, 3)).astype("float32")
        for _ in range(2):
            assert np.array_equal(f(a), a.sum(axis=0))
        assert len(runner._bindings) <= BINDINGS
    frames = [frame for free in runner._bindings.values() for frame in free]
    assert len(frames) == len(runner._bindings)  # one caller needs one frame of each


def test_memory_is_freed_with_the_function():
    """At once, not when the garbage collector next looks: arenas are large."""
    f = symnet.function([x], T.dot(x, x.T).sum())
    for rows in (3, 4):
        f(np.ones((rows, 2), "float32"))
    arenas = [weakref.ref(e._arena) for free in f._runner._bindings.values() for e in free]
    assert len(arenas) == 2
    gc.disable()
    try:
        del f
        assert [arena() for arena in arenas] == [None, None]
    finally:
        gc.enable()


def test_simultaneous_calls_have_frames_of_their_own():
    W = symnet.shared(np.eye(60, dtype="float32"))
    f = symnet.function([x], T.dot(T.dot(x, W), W))
    start, wrong = threading.Barrier(4), []

    def work(k):
        a = np.full((50, 60), k, "float32")
        start.wait()
        for _ in range(50):
            if not np.array_equal(f(a), a):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and 1 <= len(f._runner.free) <= 4


def test_the_number_of_threads_is_remembered_for_a_while(monkeypatch):
    assert current_threads() == thread_count()
    for threads in (3, 1, 2):
        with config.change(threads=threads):
            assert current_threads() == threads  # a setting counts at once
    asked = []
    monkeypatch.setattr(module, "thread_count", lambda: asked.append(1) or 5)
    monkeypatch.setattr(module, "_threads", (0.0, -1, 0))
    assert [current_threads() for _ in range(4)] == [5] * 4 and len(asked) == 1
    _, setting, found = module._threads
    monkeypatch.setattr(module, "_threads", (time.monotonic() - 1, setting, found))
    assert current_threads() == 5 and len(asked) == 2


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_values_do_not_depend_on_who_computes(threads):
    rng = np.random.default_rng(0)
    W = symnet.shared(rng.normal(size=(300, 200)).astype("float32"))
    f = symnet.function([x], T.tanh(T.dot(x, W)).sum(axis=1))
    a = rng.normal(size=(257, 300)).astype("float32")
    with config.change(threads=threads):
        expected = f(a)
        assert np.allclose(expected, np.tanh(a @ W.get_value()).sum(axis=1), atol=1e-3)
        for _ in range(20):
            assert f(a).tobytes() == expected.tobytes()


def test_sizes_that_depend_on_values():
    X = symnet.shared(np.arange(20, dtype="float32").reshape(10, 2))
    f = symnet.function([i], X[i * 3 : (i + 1) * 3] * 2)
    for _ in range(2):
        for k in (0, 1, 3, 2, 5, -1):
            assert np.array_equal(f(k), X.get_value()[k * 3 : (k + 1) * 3] * 2)


# ---- map


def epoch(B=3):
    """A function over batches of a shared dataset, whose last batch is smaller; and the data."""
    X = symnet.shared(np.arange(20, dtype="float32").reshape(10, 2), name="X")
    total = symnet.shared(np.zeros(2, "float32"), name="total")
    batch = X[i * B : (i + 1) * B]
    f = symnet.function([i], batch.mean(), updates=[(total, total + batch.sum(axis=0))])
    return f, X, total


def test_map_is_the_loop():
    f, X, total = epoch()
    means = f.map(range(4))
    data = X.get_value()
    assert np.allclose(means, [data[k : k + 3].mean() for k in (0, 3, 6, 9)])
    assert np.array_equal(total.get_value(), data.sum(axis=0))
    assert np.array_equal(f.map([3, 0, 3]), means[[3, 0, 3]])
    assert np.array_equal(f.map(np.arange(3, -1, -1)), means[::-1])
    assert np.array_equal(f.map(range(3, -1, -2)), means[[3, 1]])


def test_map_over_arrays_of_every_kind():
    f = symnet.function([x, v, i], {"sum": x + v, "row": x[i], "seen": v})
    rng = np.random.default_rng(0)
    xs = rng.normal(size=(5, 4, 3)).astype("float32")
    vs = rng.normal(size=(5, 3)).astype("float32")
    places = [0, 3, 1, 2, -1]
    for turned in (xs, np.asfortranarray(xs), xs.astype(">f4"), xs[::-1][::-1], xs.tolist()):
        found = f.map(turned, vs, places)
        assert np.array_equal(found["sum"], xs + vs[:, None])
        assert np.array_equal(found["row"], xs[np.arange(5), places])
        assert np.array_equal(found["seen"], vs) and not np.shares_memory(found["seen"], vs)
    nothing = f.map(xs[:0], vs[:0], [])
    assert nothing["sum"].shape[0] == 0 and nothing["sum"].ndim == 3


def test_map_over_the_storage_that_is_updated():
    W = symnet.shared(np.arange(6, dtype="float32").reshape(3, 2), name="W")
    before = W.get_value()
    f = symnet.function([v], v * 1, updates=[(W, W + 1)])
    assert np.array_equal(f.map(W.get_value(borrow=True)), before)
    assert np.array_equal(W.get_value(), before + 3)


def test_map_looks_back_into_python():
    f, _, total = epoch()
    seen = []
    f._runner.map([np.zeros(50, "int64")], 50, lambda done: seen.append(done) or done > 20, 1)
    assert seen == sorted(set(seen)) and 20 < seen[-1] < 50
    assert np.array_equal(total.get_value(), seen[-1] * np.array([6, 9], "float32"))
    costs = f.map([0] * 7, between=lambda done: False)
    assert len(costs) == 7


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")
def test_map_is_interrupted():
    """A signal is served within a moment, between two calls."""
    f, _, total = epoch()
    f(0)

    class Stop(Exception):
        pass

    def stop(number, frame):
        raise Stop

    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(Stop):
            while True:
                f.map(np.zeros(2_000_000, "int64"))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    done = total.get_value() / np.array([6, 9])
    assert done[0] == done[1] == int(done[0]) > 1
    assert f(0) == 2.5


def test_map_refuses():
    g = symnet.function([x, i], x[i])
    a = np.ones((2, 3, 4), "float32")
    with pytest.raises(ShapeError, match="different lengths"):
        g.map(a, [0])
    with pytest.raises(symnet.errors.FunctionError, match="one per input"):
        g.map(a)
    with pytest.raises(symnet.errors.FunctionError, match="one per input"):
        symnet.function([], T.constant(1)).map()
    with pytest.raises(TypeMismatchError, match=r"input 0 \(x\).*float64"):
        g.map(a.astype("float64"), [0, 0])
    with pytest.raises(TypeMismatchError, match=r"input 0 \(x\).*dimensions"):
        g.map(a[0], [0, 0])
    with pytest.raises(IndexOutOfBoundsError, match=r"test_runner\.py"):
        g.map(a, [0, 3])
    with pytest.raises(ShapeError, match="stacked"):
        symnet.function([i], T.arange(i)).map([2, 3])
    grown = symnet.shared(np.zeros(1, "float32"))
    growing = symnet.function([i], i, updates=[(grown, T.concatenate([grown, grown]))])
    assert np.array_equal(growing.map([1, 2]), [1, 2]) and grown.get_value().shape == (4,)
    updates = [(grown, T.concatenate([grown, grown]))]
    with pytest.raises(ShapeError, match="stacked"):
        symnet.function([i], grown + i, updates=updates).map([1, 2])


# ---- no memory


HUGE = 10**6  # squared, terabytes


def test_a_function_outlives_outputs_for_which_there_is_no_memory():
    n = T.lscalar("n")
    f = symnet.function([n], T.zeros((n, n)) + 1)
    assert f(2).shape == (2, 2)
    for _ in range(2):
        with pytest.raises(OutOfMemoryError) as caught:
            f(HUGE)
        assert f"4.0 TB  float32({HUGE}, {HUGE}), output" in str(caught.value)
        assert "built at" in str(caught.value) and "test_runner.py" in str(caught.value)
        assert isinstance(caught.value, MemoryError)
        np.testing.assert_array_equal(f(3), np.ones((3, 3)))


def test_an_update_for_which_there_is_no_memory_does_not_happen():
    n = T.lscalar("n")
    s = symnet.shared(np.ones((2, 2), "float32"), name="s")
    grow = symnet.function([n], [], updates=[(s, T.zeros((n, n)))])
    with pytest.raises(OutOfMemoryError, match=r"new value of s"):
        grow(HUGE)
    np.testing.assert_array_equal(s.get_value(), np.ones((2, 2)))
    grow(3)
    np.testing.assert_array_equal(s.get_value(), np.zeros((3, 3)))


def test_intermediate_results_for_which_there_is_no_memory():
    n = T.lscalar("n")
    f = symnet.function([n], T.dot(T.exp(T.zeros((n, n))), T.ones((n, n))).sum())
    assert f(2) == 8
    with pytest.raises(OutOfMemoryError, match=r"4.0 TB  float32 result of dot, built at"):
        f(HUGE)
    assert f(2) == 8


def test_map_for_whose_results_there_is_no_memory():
    n = T.lscalar("n")
    f = symnet.function([n], T.zeros((HUGE,)) + n)
    with pytest.raises(OutOfMemoryError, match=f"outputs of {HUGE} calls"):
        f.map(range(HUGE))
    assert f.map(range(2)).shape == (2, HUGE)


def test_sizes_that_wrap_around_are_errors():
    n = T.lscalar("n")
    f = symnet.function([n], T.ones((n, n, n)) * 2)
    with pytest.raises(ShapeError, match="does not fit into 64 bits: 4398046511104"):
        f(2**21)
    assert f(2).sum() == 16
