"""Maps by tiles: transposes of any extents and dtypes, with what is fused with them."""

import functools

import numpy as np
import pytest
from emulating import runner, values
from hypothesis import given, settings
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet.backends.gpu import compile as cuda
from symnet.backends.gpu import host
from symnet.backends.gpu.bind import BoundKernel
from symnet.backends.gpu.launch import Device

pytestmark = pytest.mark.skipif(host.compiler() is None, reason="no C++ compiler")
x, y = T.matrices("x", "y")
w = T.vector("w")
cube = T.tensor3("cube")


def sources(one):
    (binding,) = one.bindings
    return [s.source for s in binding.bound.steps if isinstance(s, BoundKernel)]


EXTENTS = st.integers(0, 9) | st.integers(1, 150)


@settings(max_examples=50, deadline=None)
@given(EXTENTS, EXTENTS, st.booleans())
def test_transposes(rows, columns, downwards):
    a, b = values(rows, columns), values(columns, rows, seed=1)
    c = values(rows, seed=2)
    found = transposing(downwards).run([a, b, c])
    expected = [a.T * 2, a.T + b, (a.T + c) * b, np.tanh(a.T) + a.T, a.T.copy()]
    for f, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-6, atol=1e-6)


@functools.cache
def transposing(downwards):
    outputs = [x.T * 2, x.T + y, (x.T + w) * y, T.tanh(x.T) + x.T, x.T.copy()]
    return runner([x, y, w], outputs, downwards=downwards)


@pytest.mark.parametrize("order", [(2, 1, 0), (2, 0, 1), (0, 2, 1), (1, 2, 0), (1, 0, 2)], ids=str)
@pytest.mark.parametrize("shape", [(3, 40, 70), (65, 2, 33), (7, 300, 1), (130, 5, 9)], ids=str)
def test_permutations_of_three_axes(order, shape):
    a = values(*shape)
    (found,) = runner([cube], [cube.dimshuffle(*order) * 3]).run([a])
    assert np.array_equal(found, np.transpose(a, order) * 3)


@pytest.mark.parametrize("dtype", ["bool", "int8", "float16", "bfloat16", "int64", "float64"])
def test_dtypes(dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    v = T.tensor(dtype, (None, None), name="v")
    copied = v.T.copy() if dtype == "bool" else v.T + v.T
    one = runner([v], [copied])
    a = (values(37, 90) * 5).astype(v.type.numpy_dtype)
    (found,) = one.run([a])
    expected = a.T if dtype == "bool" else a.T + a.T
    assert np.array_equal(np.asarray(found), expected)


def test_reads_and_writes_along_either_axis():
    """Two results of one kernel, one of which lies across."""
    outputs = [x * y.T, (x * y.T).T + 1]
    a, b = values(70, 41), values(41, 70, seed=1)
    found = runner([x, y], outputs).run([a, b])
    for f, e in zip(found, [a * b.T, (a * b.T).T + 1], strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-6)


def test_what_is_written_across():
    state = symnet.shared(values(40, 70))
    before = state.get_value()
    one = runner([y], [], [(state, state + y.T)])
    b = values(70, 40, seed=1)
    one.run([b])
    assert np.array_equal(state.get_value(), before + b.T)


@pytest.mark.parametrize("shape", [(500, 300), (3, 5000), (5000, 3)], ids=str)
def test_tiles_are_shared_out_among_blocks(shape):
    for geometry in (Device(132), Device(1, waves=1)):
        one = runner([x], [x.T + 1], geometry=geometry)
        a = values(*shape)
        (found,) = one.run([a])
        assert np.array_equal(found, a.T + 1)


@pytest.mark.skipif(not cuda.available(), reason="NVRTC is not installed")
def test_both_sides_are_side_by_side():
    """In the device's text: the loads of a thread come before the first is used."""
    one = runner([x, y], [x.T + y])
    one.run([values(64, 64), values(64, 64)])
    (source,) = sources(one)
    assert source.meets
    text = cuda.assembly([source])
    before = text[: text.index("st.shared")]
    assert before.count("ld.global.f32") + before.count("ld.global.b32") == 16
    assert ".local" not in text
