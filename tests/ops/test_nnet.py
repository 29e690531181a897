"""Softmax, log-softmax, logsumexp: values, expansion, gradients, what is -inf throughout."""

import math

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import symnet.tensor as T
from symnet.autodiff import grad
from symnet.backends.reference import evaluate
from symnet.errors import TypeMismatchError
from symnet.function import function
from symnet.ops.nnet import LogSoftmax, LogSumExp, Softmax, log_softmax, logsumexp, softmax

PAIRS = [
    (softmax, scipy.special.softmax),
    (log_softmax, scipy.special.log_softmax),
    (logsumexp, scipy.special.logsumexp),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_values_and_expansion(ours, theirs, data):
    shape = data.draw(array_shapes(min_dims=1, max_dims=3, max_side=4))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    points = data.draw(arrays("float64", shape, elements=st.floats(-1e4, 1e4)))
    x = T.tensor("float64", (None,) * len(shape), "x")
    out = ours(x, axis)
    got, expanded = evaluate([out, out.owner.op.expand(x)], {x: points})
    expected = theirs(points, axis=axis)
    assert got.shape == np.shape(expected)
    near_0 = 1e-300 if ours is softmax else 1e-15  # log(s) where s rounds to little more than 1
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=near_0)
    np.testing.assert_allclose(expanded, got, rtol=1e-12, atol=near_0)


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (2, 1), [0, 1, 2], ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_logsumexp_over_several_dimensions(axis, keepdims):
    x = T.tensor("float64", (None, 3, None))
    points = np.random.default_rng(0).normal(size=(2, 3, 4))
    over = tuple(axis) if isinstance(axis, list) else axis
    expected = points
    if axis != ():
        expected = scipy.special.logsumexp(points, axis=over, keepdims=keepdims)
    out = logsumexp(x, axis, keepdims)
    assert out.type.ndim == expected.ndim
    np.testing.assert_allclose(evaluate([out], {x: points})[0], expected)


@pytest.mark.parametrize("op", [Softmax, LogSoftmax, LogSumExp])
def test_gradient_against_differences(op):
    x, w = T.dmatrix(), np.random.default_rng(1).normal(size=(3, 4))
    points = np.random.default_rng(2).normal(size=(3, 4))
    weights = w[:, 0] if op is LogSumExp else w
    cost = (op(1)(x) * weights).sum()
    first = grad(cost, x)
    second = grad((first * w[::-1]).sum(), x)
    h, direction = 1e-6, np.random.default_rng(3).normal(size=(3, 4))

    def along(expression):
        up, down = (evaluate([expression], {x: points + s * direction})[0] for s in (h, -h))
        return (up - down) / (2 * h)

    one, two = evaluate([first, second], {x: points})
    np.testing.assert_allclose((one * direction).sum(), along(cost), rtol=1e-6)
    np.testing.assert_allclose(
        (two * direction).sum(), (along(first) * w[::-1]).sum(), rtol=1e-6, atol=1e-8
    )


def test_a_slice_that_is_masked_out():
    x = T.dmatrix()
    points = np.array([[-math.inf] * 3, [0.0, -math.inf, math.log(3)]])
    p, log_p, total = (f(x, 1) for f in (softmax, log_softmax, logsumexp))
    values = evaluate([p, log_p, total], {x: points})
    np.testing.assert_allclose(values[0], [[0, 0, 0], [0.25, 0, 0.75]])
    np.testing.assert_allclose(values[1][0], [-math.inf] * 3)
    np.testing.assert_allclose(values[2], [-math.inf, math.log(4)])
    for out in (p, log_p, total):
        expanded, whole = evaluate([out.owner.op.expand(x), out], {x: points})
        np.testing.assert_allclose(expanded, whole)
    gradients = evaluate([grad(total.sum(), x), grad((p**2).sum(), x)], {x: points})
    np.testing.assert_allclose(gradients[0], [[0, 0, 0], [0.25, 0, 0.75]])
    assert np.isfinite(gradients[1]).all()


def test_a_slice_with_nan_hidden_by_a_mask_does_not_leak():
    x = T.dmatrix()
    points = np.array([[math.nan, 1.0], [2.0, 1.0]])
    for f in (softmax, log_softmax):
        y = f(x, 1)
        shown = T.where(np.array([[False], [True]]), y, 0)
        first = grad((shown**2).sum(), x)
        values = evaluate([first, grad(first.sum(), x)], {x: points})
        assert np.isfinite(values).all(), f
    shown = T.where(np.array([False, True]), logsumexp(x, 1), 0)
    assert np.isfinite(evaluate([grad(shown.sum(), x)], {x: points})[0]).all()


def test_integers_give_floatx():
    assert softmax(T.lvector()).type.dtype == "float32"


def test_static_shapes():
    x = T.tensor("float32", (2, None, 5))
    assert softmax(x, 1).type.shape == (2, None, 5)
    assert logsumexp(x, 1).type.shape == (2, 5)
    assert logsumexp(x, (0, 2), keepdims=True).type.shape == (1, None, 1)


@pytest.mark.parametrize(
    ("build", "error"),
    [
        (lambda: softmax(T.scalar()), TypeMismatchError),
        (lambda: softmax(T.matrix(), 2), TypeMismatchError),
        (lambda: Softmax(0)(T.lvector()), TypeMismatchError),
    ],
)
def test_errors(build, error):
    with pytest.raises(error):
        build()


@pytest.mark.parametrize("mode", ["compiled", "reference"])
@pytest.mark.parametrize("static", [False, True])
def test_no_elements(mode, static):
    for shape in [(3, 0), (0, 0), (0, 3)]:
        x = T.matrix(shape=shape if static else None)
        outs = [f(x, 1) for f in (softmax, log_softmax, logsumexp)]
        gradients = [grad((out**2).sum(), x) for out in outs]
        *values, total, g0, g1, g2 = function([x], outs + gradients, mode=mode)(np.ones(shape, "f"))
        assert all(v.shape == shape for v in (*values, g0, g1, g2))
        expected = -math.inf if shape[1] == 0 else math.log(3)
        np.testing.assert_array_equal(total, np.full(shape[0], expected, "f"))
