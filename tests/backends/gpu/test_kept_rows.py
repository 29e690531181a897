"""Rows that are kept in registers: every length, alignment and number of lanes."""

import functools

import numpy as np
import pytest
from emulating import runner, values
from hypothesis import given, settings
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet.backends.gpu import host
from symnet.backends.gpu.bind import BoundKernel
from symnet.backends.gpu.emulated import EmulatedDevice
from symnet.backends.gpu.launch import Device

pytestmark = pytest.mark.skipif(host.compiler() is None, reason="no C++ compiler")
x, y = T.matrices("x", "y")
d = T.dmatrix("d")
w = T.vector("w")
labels = T.lvector("labels")


def kept(one):
    found = [s.launch.keep for b in one.bindings for s in b.bound.steps
             if isinstance(s, BoundKernel)]  # fmt: skip
    return {k for k in found if k is not None}


CENTRED = x - x.mean(axis=1, keepdims=True)
NORMED = CENTRED / T.sqrt(T.sqr(CENTRED).mean(axis=1, keepdims=True) + 1e-5)
P = T.nnet.softmax(x)
COST = T.nnet.categorical_crossentropy(P, labels)
INPUTS = [x, y, w, labels]
OUTPUTS = [
    P, P * x, NORMED * w + y, symnet.grad((P * y).sum(), x),
    COST, symnet.grad(COST.sum(), x),
]  # fmt: skip


@functools.cache
def on(**circumstances):
    return runner(INPUTS, OUTPUTS, on=EmulatedDevice(**circumstances))


@functools.cache
def wanted(rows, length):
    a, b, c, at = arrays(rows, length)
    return symnet.function(INPUTS, OUTPUTS)(a, b, c, at)


def arrays(rows, length):
    at = np.random.default_rng(length).integers(0, length, rows)
    return values(rows, length), values(rows, length, seed=1), values(length, seed=2), at


LENGTHS = [1, 2, 4, 7, 10, 33, 64, 100, 257, 1000, 1001, 1024, 2100, 4096]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(
    "circumstances",
    [{}, {"offset": 8}, {"geometry": Device(132)}, {"downwards": True}],
    ids=["small device", "nothing aligned", "large device", "downwards"],
)
def test_values_are_those_of_the_cpu(length, circumstances):
    rows = 5 if length > 300 else 40
    one = runner(INPUTS, OUTPUTS, **circumstances)
    found = one.run(list(arrays(rows, length)))
    assert kept(one)
    for f, expected in zip(found, wanted(rows, length), strict=True):
        np.testing.assert_allclose(f, expected, rtol=2e-5, atol=1e-5)


def test_lanes_and_items_follow_the_length():
    found = {}
    for length in (*LENGTHS, 8192):
        one = runner([x], [P], geometry=Device(1))
        one.run([values(40, length)])
        (found[length],) = kept(one)
    for length, (lanes, items, width) in found.items():
        assert width == (4 if length % 4 == 0 else 1)
        assert lanes * items * width >= length
        assert lanes == 1 or lanes * items * width < 4 * length + 64  # most lanes have work
        assert items * width <= 64
    assert found[1000] == (32, 8, 4) and found[8192] == (256, 8, 4)


@pytest.mark.parametrize("length", [17_000, 20_001, 50_257])
@pytest.mark.parametrize("circumstances", [{}, {"offset": 8}, {"downwards": True}], ids=str)
def test_longer_rows_are_kept_in_shared_memory(length, circumstances):
    outputs = [P, COST, symnet.grad(COST.sum(), x)]
    geometry = Device(2, 8 << 10, 227 << 10)
    one = runner([x, labels], outputs, geometry=geometry, **circumstances)
    a, *_, at = arrays(5, length)
    found = one.run([a, at])
    (keep,) = kept(one)
    assert keep == (256, 0, 1 if length % 4 else 4)
    for f, expected in zip(found, symnet.function([x, labels], outputs)(a, at), strict=True):
        np.testing.assert_allclose(f, expected, rtol=2e-5, atol=1e-9)


def test_several_arrays_of_a_row_in_shared_memory():
    outputs = [P * x, NORMED * w]
    one = runner([x, w], outputs, geometry=Device(2, 8 << 10, 227 << 10))
    a, _, c, _ = arrays(6, 18_000)
    found = one.run([a, c])
    assert all(keep[1] == 0 for keep in kept(one)) and kept(one)
    for f, expected in zip(found, symnet.function([x, w], outputs)(a, c), strict=True):
        np.testing.assert_allclose(f, expected, rtol=2e-5, atol=1e-6)


def test_rows_that_do_not_fit_are_read_again():
    one = runner([x], [P])
    a = values(3, 70_000)
    np.testing.assert_allclose(one.run([a])[0], symnet.function([x], P)(a), rtol=2e-5, atol=1e-9)
    assert not kept(one)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 70))
def test_sums_do_not_depend_on_what_is_behind_the_row(rows, length):
    """A row of a larger array, its neighbours infinite."""
    a = np.full((rows, 72), np.inf, "float32")
    a[:, :length] = values(rows, length)
    one = part_of_rows()
    found = one.run([a, np.array(length)])[0]
    inner = a[:, :length].astype("float64")
    expected = np.exp(inner - inner.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@functools.cache
def part_of_rows():
    n = T.lscalar("n")
    return runner([x, n], [T.nnet.softmax(x[:, :n])])


@pytest.mark.parametrize("length", [5, 64, 301])
def test_doubles(length):
    e = T.exp(d - d.max(axis=1, keepdims=True))
    outputs = [e / e.sum(axis=1, keepdims=True), d - d.mean(axis=1, keepdims=True)]
    a = values(9, length).astype("float64")
    one = runner([d], outputs)
    found = one.run([a])
    assert kept(one)
    for f, expected in zip(found, symnet.function([d], outputs)(a), strict=True):
        np.testing.assert_allclose(f, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("length", [10, 64, 1000])
def test_rows_in_place(length):
    """The row that is read is overwritten, and the bits are those of a new one."""
    a = values(30, length)
    state = symnet.shared(a.copy())
    centred = state - state.mean(axis=1, keepdims=True)
    one = runner([], [], [(state, centred)])
    one.run([])
    assert kept(one)
    apart = runner([x], [x - x.mean(axis=1, keepdims=True)]).run([a])[0]
    assert state.get_value().tobytes() == np.asarray(apart).tobytes()


def test_a_failed_check_in_a_kept_row():
    one = runner(INPUTS, OUTPUTS)
    a, b, c, at = arrays(4, 12)
    at[2] = 12
    with pytest.raises(IndexError, match="index 12 is out of bounds"):
        one.run([a, b, c, at])
        one.bindings.pending.settle()
