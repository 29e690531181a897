"""The common call: it answers as the general way does, and is taken when it can be."""

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.backends.cpu.runner import Runner

x = T.matrix("x")
s = T.scalar("s")
i = T.lscalar("i")
A = np.arange(6, dtype="float32").reshape(2, 3)


class Watched:
    """Counts how many calls of a function go the general way."""

    def __init__(self, monkeypatch, *args, **options):
        self.general = 0
        plain = symnet.Function._general

        def counting(function, arguments):
            self.general += 1
            return plain(function, arguments)

        monkeypatch.setattr(symnet.Function, "_general", counting)
        self.function = symnet.function(*args, **options)
        assert isinstance(self.function._runner, Runner)

    def __call__(self, *args, **kwargs):
        """The result, and whether the call was short."""
        before = self.general
        return self.function(*args, **kwargs), self.general == before


def test_what_goes_the_short_way(monkeypatch):
    W = symnet.shared(np.zeros((2, 3), "float32"), name="W")
    inputs = [x, symnet.In(s, value=2.0), symnet.In(i, value=1)]
    f = Watched(monkeypatch, inputs, (W + x)[i] * s, updates=[(W, W + x)])
    wide = np.arange(12, dtype="float32").reshape(4, 3)
    f(A)  # binds
    total = A.copy()
    calls = [
        ((A,), {}),
        ((A.copy(), 0.5), {}),
        ((A, 3.0, 0), {}),
        ((wide[:2],), {}),
        ((wide[2:4], 2.0), {}),
        ((A,), {"s": 3.0}),
        ((), {"x": A}),
        ((A, np.array(2, "float32")), {}),
        ((A, np.float32(2), np.int64(1)), {}),
    ]
    for args, kwargs in calls:
        given = dict(zip("xsi", args)) | kwargs
        expected = (total + given["x"])[given.get("i", 1)] * np.float32(given.get("s", 2))
        out, short = f(*args, **kwargs)
        assert np.array_equal(out, expected)
        total += given["x"]
        assert np.array_equal(W.get_value(), total)
        numpy_scalars = any(isinstance(a, np.generic) for a in args)
        assert short != numpy_scalars, (args, kwargs)


def test_what_goes_the_general_way_and_back(monkeypatch):
    W = symnet.shared(np.ones((2, 3), "float32"), name="W")
    f = Watched(monkeypatch, [x], (W * x).sum(), updates=[(W, 1 / W)])
    f(A)
    odd = [
        A.tolist(),
        A.astype("int16"),
        np.asfortranarray(A),
        A[:, ::-1],
        A.astype(">f4"),
        W.storage,
    ]
    for given in odd:
        out, short = f(given)
        assert out == np.asarray(given, "float32").sum() and not short
        assert f(A) == (15, True)


def test_other_sizes_come_back_to_the_short_way(monkeypatch):
    f = Watched(monkeypatch, [x], x * 2)
    for rows in (2, 5, 2, 5, 0):
        given = np.ones((rows, 3), "float32")
        for position in range(3):
            out, short = f(given)
            assert np.array_equal(out, 2 * given)
            assert short == (position > 0)


def test_replaced_storage_and_other_thread_counts(monkeypatch):
    W = symnet.shared(np.ones((2, 3), "float32"), name="W")
    f = Watched(monkeypatch, [x], (W * x).sum())
    f(A)
    W.set_value(2 * np.ones((2, 3), "float32"), borrow=True)
    assert f(A)[0] == 30 and f(A) == (30, True)
    for threads in (1, 2, 1, 3):
        with symnet.config.change(threads=threads):
            assert f(A)[0] == 30 and f(A) == (30, True)


def test_numbers_out_of_range():
    f = symnet.function([i, s], [i, s])
    f(1, 1.0)
    for k in (2**63, -(2**63) - 1, 2**70):
        with pytest.raises(symnet.errors.TypeMismatchError):
            f(k, 1.0)
    assert f(2**63 - 1, 1e300) == [2**63 - 1, np.inf]


def test_keys_of_any_kind():
    keys = {("a", 1): x, "b c": x + 1, 3: x + 2}
    f = symnet.function([x], keys)
    for _ in range(2):
        assert list(f(A)) == list(keys) and np.array_equal(f(A)[3], A + 2)


def test_a_failing_call_gives_its_frame_back():
    f = symnet.function([x, i], x[i])
    f(A, 0)
    for _ in range(3):
        with pytest.raises(IndexError):
            f(A, 2)
        assert np.array_equal(f(A, 1), A[1])
    assert len(f._runner.free) == 1
