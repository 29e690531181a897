"""Who shares memory with whom, and which values an update reads (design D8)."""

import itertools
import os
import threading

import numpy as np
import pytest

import symnet
import symnet.tensor as T

MODES = ("compiled", "reference", symnet.Mode(reuse=False), symnet.Mode(fuse=False))
every_mode = pytest.mark.parametrize("mode", MODES, ids=str)

x = T.matrix("x")
v = T.vector("v")
START = np.arange(6, dtype="float32").reshape(2, 3)


def shared(value=START, name="W", **options):
    return symnet.shared(value, name=name, **options)


def assert_apart(arrays):
    for a, b in itertools.combinations(arrays, 2):
        assert not np.may_share_memory(a, b)


@every_mode
def test_outputs_are_fresh(mode):
    W = shared()
    constant = T.constant(START)
    outputs = [
        x,
        x,
        x.T,
        x[0],
        x.ravel(),
        x[::-1],
        x * 1,
        W,
        W.T,
        W[1],
        constant,
        constant.T,
        x + 0,
    ]
    f = symnet.function([x], outputs, mode=mode)
    given = START + 1
    first, second = f(given), f(given)
    assert_apart([given, W.storage, constant.data, *first, *second])
    for result in first:
        assert result.flags.writeable and result.flags.c_contiguous
        result[...] = -1
    assert np.array_equal(given, START + 1) and np.array_equal(W.get_value(), START)
    assert np.array_equal(second[2], (START + 1).T) and np.array_equal(second[8], START.T)
    assert np.array_equal(f(given)[10], START)


@every_mode
def test_updated_variable_as_output(mode):
    W = shared()
    f = symnet.function([], [W, W.T, W + 1, W[0]], updates=[(W, W + 1)], mode=mode)
    for k in range(3):
        old, turned, new, row = f()
        assert np.array_equal(old, START + k) and np.array_equal(turned, old.T)
        assert np.array_equal(new, old + 1) and np.array_equal(row, old[0])
        assert_apart([old, turned, new, row, W.storage])
        new[...] = 0
        assert np.array_equal(W.get_value(), START + k + 1)


@every_mode
def test_updates_read_old_values(mode):
    a, b, c = (shared(START + k, name=n) for k, n in enumerate("abc"))
    swap = symnet.function([], [], updates={a: b, b: a}, mode=mode)
    turn = symnet.function([], [], updates=[(a, b), (b, c), (c, a)], mode=mode)
    mix = symnet.function([], [a], updates=[(a, b * 2), (b, a + c), (c, a * b)], mode=mode)
    same = symnet.function([], [], updates={a: a, b: b}, mode=mode)
    both = symnet.function([], [], updates={a: c, b: c}, mode=mode)
    A, B, C = START, START + 1, START + 2
    for function, expected in [
        (swap, (B, A, C)),
        (turn, (A, C, B)),
        (same, (A, C, B)),
        (mix, (2 * C, A + B, A * C)),
        (both, (A * C, A * C, A * C)),
    ]:
        function()
        for variable, value in zip((a, b, c), expected):
            assert np.array_equal(variable.get_value(), value)
        assert_apart([a.storage, b.storage, c.storage])
    a.set_value(START)
    assert np.array_equal(b.get_value(), A * C)


@every_mode
def test_products_read_old_values(mode):
    square = np.arange(9, dtype="float32").reshape(3, 3)
    a, b = shared(square, "a"), shared(square + 1, "b")
    updates = [(a, a + T.dot(b, a)), (b, T.dot(a, b.T) - b)]
    symnet.function([], [], updates=updates, mode=mode)()
    assert np.array_equal(a.get_value(), square + (square + 1) @ square)
    assert np.array_equal(b.get_value(), square @ (square + 1).T - (square + 1))


@every_mode
@pytest.mark.parametrize("view", [
    lambda s: s,
    lambda s: s[:],
    lambda s: s.view(),
    lambda s: s[:1][[0, 0]],
    lambda s: s.reshape(-1).reshape(2, 3),
    lambda s: np.lib.stride_tricks.as_strided(s, s.shape, s.strides),
    lambda s: np.asarray(memoryview(s)),
    lambda s: s.copy(),
], ids=range(8))  # fmt: skip
def test_argument_in_the_storage_of_what_is_updated(mode, view):
    W = shared(np.ones((2, 3), "float32"))
    M = shared(START + 1, "M")
    f = symnet.function([x], x + 0, updates=[(W, W + T.dot(x, T.dot(M.T, x))), (M, x)], mode=mode)
    for _ in range(2):
        for variable in (W, M):
            w, m = W.get_value(), M.get_value()
            given = view(variable.get_value(borrow=True))
            value = given.copy()
            out = f(given)
            assert np.array_equal(out, value)
            assert np.array_equal(M.get_value(), value)
            assert np.allclose(W.get_value(), w + value @ (m.T @ value))
            W.set_value(np.ones((2, 3), "float32"))


def test_scalar_argument_in_the_storage_of_what_is_updated():
    n, rate = symnet.shared(3, name="n"), shared(np.float32(2), "rate")
    k, s = T.lscalar("k"), T.scalar("s")
    f = symnet.function([k, s], [k, s], updates=[(n, k + 1), (rate, s * 2)])
    for _ in range(2):
        before = int(n.get_value()), float(rate.get_value())
        assert [a.item() for a in f(n.storage, rate.storage)] == list(before)
        assert (n.get_value(), rate.get_value()) == (before[0] + 1, before[1] * 2)


def test_borrowed_storage():
    own = START.copy()
    W = shared(own, borrow=True)
    f = symnet.function([x], W.sum(), updates=[(W, W + x)])
    ones = np.ones((2, 3), "float32")
    f(ones)
    assert np.shares_memory(W.get_value(borrow=True), own) and np.array_equal(own, START + 1)
    own[...] = 0
    assert f(ones) == 0
    base = np.ones((4, 3), "float32")
    W.set_value(base[1:3], borrow=True)  # a view: its base owns the memory
    f(base[1:3])
    assert np.array_equal(base, [[1] * 3, [2] * 3, [2] * 3, [1] * 3])
    f(base[:2])
    assert np.array_equal(base[1:3], [[3] * 3, [4] * 3])
    buffer = bytearray(np.ones(6, "float32").tobytes())
    foreign = np.frombuffer(buffer, "float32").reshape(2, 3)
    W.set_value(foreign, borrow=True)  # memory that NumPy does not own
    f(foreign)
    f(np.frombuffer(buffer, "float32").reshape(2, 3))
    assert np.array_equal(foreign, np.full((2, 3), 4))


def test_a_borrowed_storage_belongs_to_one_variable():
    own = np.zeros((4, 3), "float32")
    W = shared(own, borrow=True)
    second, part, seen = shared(own, borrow=True), shared(own[1:3], borrow=True), shared()
    seen.set_value(own[2:], borrow=True)
    lent = shared(W.get_value(borrow=True), borrow=True)
    assert_apart([v.storage for v in (W, second, part, seen, lent)])
    assert np.shares_memory(W.storage, own)
    symnet.function([], [], updates=[(W, W + 1), (second, W + second + 2)])()
    assert (own == 1).all() and (second.get_value() == 2).all()
    assert not part.get_value().any() and not seen.get_value().any()


def test_a_private_storage_that_was_lent_stays_private():
    W = shared()
    other = shared(W.get_value(borrow=True), borrow=True)
    assert_apart([W.storage, other.storage])
    W.set_value(W.get_value(borrow=True), borrow=True)  # its own
    W.set_value(W.get_value(borrow=True)[:1], borrow=True)
    assert np.array_equal(W.get_value(), START[:1])


def test_a_storage_that_is_given_up_may_be_borrowed_again():
    own = np.zeros(6, "float32")
    W = shared(own, borrow=True)
    W.set_value(np.ones(6, "float32"), borrow=True)
    other = shared(own, borrow=True)
    assert np.shares_memory(other.storage, own)
    del other
    halves = [shared(own[:3], borrow=True), shared(own[3:], borrow=True)]
    assert all(np.shares_memory(h.storage, own) for h in halves)
    assert_apart([h.storage for h in halves])


def test_values_are_copied_unless_borrowed():
    own = START.copy()
    W = shared(own)
    taken = W.get_value()
    other = np.zeros((2, 3), "float32")
    W.set_value(other)
    assert_apart([own, taken, other, W.storage])
    fixed = START.copy()
    fixed.flags.writeable = False
    W.set_value(fixed, borrow=True)
    symnet.function([], [], updates=[(W, W + 1)])()
    assert np.array_equal(fixed, START) and np.array_equal(W.get_value(), START + 1)


@every_mode
def test_set_value_between_calls(mode):
    W = shared()
    f = symnet.function([], W * 2, updates=[(W, W + 1)], mode=mode)
    for shape in [(2, 3), (4, 3), (0, 3), (1, 1), (2, 3)]:
        for borrow in (False, True):
            value = np.random.default_rng(0).normal(size=shape).astype("float32")
            W.set_value(value.copy(), borrow=borrow)
            assert np.array_equal(f(), value * 2)
            assert np.array_equal(f(), (value + 1) * 2)


def test_one_function_from_four_threads():
    W = shared(np.eye(20, dtype="float32"))
    f = symnet.function([x], T.tanh(T.dot(x, W)).sum(axis=1))
    wrong = []

    def work(k):
        for n in range(100):
            given = np.full((n % 5 + 1, 20), k / 4, "float32")
            if not np.allclose(f(given), 20 * np.tanh(given[:, 0]), rtol=1e-4):
                wrong.append((k, n))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_call_within_a_call():
    """A user's op that calls the very function that is running it."""

    class Again(symnet.graph.Op):
        def output_types(self, given):
            return [given.type]

        def infer_shape(self, node, shapes, context):
            return shapes

        def perform(self, node, inputs):
            deeper = f(inputs[0] - 1) if inputs[0][0] > 0 else inputs[0]
            return [np.asarray(deeper)]

    f = symnet.function([v], Again()(v * 1) + v)
    assert f(np.array([3], "float32")) == 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forked_child():
    W = shared(np.ones((300, 300), "float32"))
    f = symnet.function([x], T.dot(x, W).sum(), updates=[(W, W + 1)])
    rows = np.ones((300, 300), "float32")
    total = f(rows)
    child = os.fork()
    if child == 0:
        ok = False
        try:
            ok = f(rows) == 2 * total
        finally:
            os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert f(rows) == 2 * total
