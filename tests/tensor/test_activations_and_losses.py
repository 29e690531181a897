"""T.nnet: activations against their definitions, losses against probabilities in float64."""

import math

import numpy as np
import pytest
import scipy.special

import symnet.tensor as T
from symnet.autodiff import grad
from symnet.backends.reference import evaluate
from symnet.errors import IndexOutOfBoundsError, ShapeError, TypeMismatchError

X = np.array([-30.0, -3.0, -0.5, 0.0, 0.5, 3.0, 30.0])


@pytest.mark.parametrize(
    ("symbolic", "expected"),
    [
        (T.nnet.relu, np.maximum(X, 0)),
        (lambda x: T.nnet.relu(x, 0.1), np.where(X > 0, X, 0.1 * X)),
        (T.nnet.leaky_relu, np.where(X > 0, X, 0.01 * X)),
        (T.nnet.relu6, np.clip(X, 0, 6)),
        (T.nnet.elu, np.where(X > 0, X, np.expm1(X))),
        (
            T.nnet.selu,
            1.0507009873554805 * np.where(X > 0, X, 1.6732632423543772 * np.expm1(X)),
        ),
        (T.nnet.sigmoid, scipy.special.expit(X)),
        (T.nnet.ultra_fast_sigmoid, scipy.special.expit(X)),
        (T.nnet.hard_sigmoid, np.clip(0.2 * X + 0.5, 0, 1)),
        (T.nnet.softplus, np.logaddexp(X, 0)),
        (T.nnet.softsign, X / (1 + abs(X))),
        (T.nnet.silu, X * scipy.special.expit(X)),
        (T.nnet.mish, X * np.tanh(np.logaddexp(X, 0))),
        (T.nnet.gelu, X * scipy.special.ndtr(X)),
    ],
)
def test_activations(symbolic, expected):
    x = T.dvector()
    np.testing.assert_allclose(evaluate([symbolic(x)], {x: X})[0], expected, rtol=1e-12)


def test_approximate_gelu_is_close():
    x = T.dvector()
    exact, approximate = evaluate([T.nnet.gelu(x), T.nnet.gelu(x, approximate=True)], {x: X})
    np.testing.assert_allclose(approximate, exact, atol=1e-3)
    assert not np.array_equal(approximate, exact)


@pytest.mark.parametrize("activation", [T.nnet.silu, T.nnet.mish, T.nnet.gelu, T.nnet.elu])
def test_activations_of_infinity(activation):
    x = T.dvector()
    points = np.array([-math.inf, math.inf])
    low, high = evaluate([activation(x)], {x: points})[0]
    assert high == math.inf
    assert low == (-1.0 if activation is T.nnet.elu else 0.0)


LOGITS = np.random.default_rng(0).normal(size=(5, 4)) * 3
LABELS = np.array([0, 3, 1, 1, 2])
NEGATIVE_LOG = -scipy.special.log_softmax(LOGITS, axis=1)
EXPECTED = NEGATIVE_LOG[range(5), LABELS]


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_categorical_crossentropy_of_labels(dtype):
    x, y = T.dmatrix(), T.tensor(dtype, (None,))
    losses = [
        T.nnet.categorical_crossentropy(T.nnet.softmax(x), y),
        T.nnet.categorical_crossentropy_from_logits(x, y),
    ]
    for got in evaluate(losses, {x: LOGITS, y: LABELS.astype(dtype)}):
        np.testing.assert_allclose(got, EXPECTED, rtol=1e-12)


def test_theanos_losses_of_labels():
    x, y, b = T.dmatrix(), T.lvector(), np.array([1.0, 2.0, 0.0, -1.0])
    loss, p = T.nnet.crossentropy_softmax_1hot(x, y)
    shifted, _ = T.nnet.crossentropy_softmax_1hot_with_bias(x - b, b, y)
    losses = [loss, shifted, T.nnet.crossentropy_categorical_1hot(p, y)]
    for got in evaluate(losses, {x: LOGITS, y: LABELS}):
        np.testing.assert_allclose(got, EXPECTED, rtol=1e-12)
    np.testing.assert_allclose(evaluate([p], {x: LOGITS})[0], np.exp(-NEGATIVE_LOG))
    with pytest.raises(TypeMismatchError, match="crossentropy_categorical_1hot"):
        T.nnet.crossentropy_categorical_1hot(p, p)


def test_categorical_crossentropy_of_probabilities():
    x, t = T.dmatrix(), T.dmatrix()
    targets = scipy.special.softmax(np.random.default_rng(1).normal(size=(5, 4)), axis=1)
    expected = (targets * NEGATIVE_LOG).sum(axis=1)
    losses = [
        T.nnet.categorical_crossentropy(T.nnet.softmax(x), t),
        T.nnet.categorical_crossentropy_from_logits(x, t),
    ]
    for got in evaluate(losses, {x: LOGITS, t: targets}):
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    one_hot = np.eye(4)[LABELS]
    for got in evaluate(losses, {x: LOGITS, t: one_hot}):
        np.testing.assert_allclose(got, EXPECTED, rtol=1e-12)


def test_categorical_crossentropy_with_more_and_fewer_dimensions():
    x, y = T.dtensor3(), T.lmatrix()
    logits = LOGITS[:4].reshape(2, 2, 4)
    (got,) = evaluate(
        [T.nnet.categorical_crossentropy_from_logits(x, y)],
        {x: logits, y: LABELS[:4].reshape(2, 2)},
    )
    np.testing.assert_allclose(got, EXPECTED[:4].reshape(2, 2))
    x, y = T.dvector(), T.lscalar()
    (got,) = evaluate(
        [T.nnet.categorical_crossentropy_from_logits(x, y)], {x: LOGITS[1], y: LABELS[1]}
    )
    np.testing.assert_allclose(got, EXPECTED[1])


def test_classes_of_target_zero_do_not_count():
    p, t = T.dmatrix(), T.dmatrix()
    loss = T.nnet.categorical_crossentropy(p, t)
    values = {p: np.array([[0.0, 1.0]]), t: np.array([[0.0, 1.0]])}
    got, gradient = evaluate([loss, grad(loss.sum(), p)], values)
    assert got.tolist() == [0.0]
    assert gradient.tolist() == [[0.0, -1.0]]


def test_gradient_of_crossentropy_is_softmax_less_target():
    x, y = T.dmatrix(), T.lvector()
    expected = scipy.special.softmax(LOGITS, axis=1) - np.eye(4)[LABELS]
    for loss in (
        T.nnet.categorical_crossentropy(T.nnet.softmax(x), y),
        T.nnet.categorical_crossentropy_from_logits(x, y),
        T.nnet.categorical_crossentropy(T.nnet.softmax(x), T.one_hot(y, 4)),
    ):
        (got,) = evaluate([grad(loss.sum(), x)], {x: LOGITS, y: LABELS})
        np.testing.assert_allclose(got, expected, atol=1e-7)  # one_hot is float32


@pytest.mark.parametrize("label", [4, -5, 100])
def test_labels_outside_the_classes_raise(label):
    x, y = T.dmatrix(), T.lvector()
    labels = LABELS.copy()
    labels[2] = label
    with pytest.raises(IndexOutOfBoundsError, match=str(label)):
        evaluate([T.nnet.categorical_crossentropy_from_logits(x, y)], {x: LOGITS, y: labels})


def test_losses_do_not_broadcast():
    x = T.dmatrix("x")
    y = T.tensor("int64", (1,), "y")
    loss = T.nnet.categorical_crossentropy_from_logits(x, y)
    with pytest.raises(ShapeError):
        evaluate([loss], {x: LOGITS, y: np.array([1])})
    (got,) = evaluate([loss], {x: LOGITS[:1], y: LABELS[:1]})
    np.testing.assert_allclose(got, EXPECTED[:1])
    with pytest.raises(ShapeError, match="sizes 3 and 4"):
        T.nnet.categorical_crossentropy(T.matrix(shape=(3, 2)), T.tensor("int64", (4,)))


@pytest.mark.parametrize(
    ("p", "y"),
    [(T.matrix, T.vector), (T.matrix, T.lscalar), (T.scalar, T.lscalar), (T.matrix, T.tensor3)],
)
def test_targets_of_the_wrong_kind(p, y):
    with pytest.raises(TypeMismatchError, match="categorical_crossentropy"):
        T.nnet.categorical_crossentropy(p(), y())


@pytest.mark.parametrize("t", [0.0, 1.0, 0.3])
def test_binary_crossentropy(t):
    x = T.dvector()
    expected = -t * scipy.special.log_expit(X) - (1 - t) * scipy.special.log_expit(-X)
    (from_logits,) = evaluate([T.nnet.sigmoid_binary_crossentropy(x, t)], {x: X})
    np.testing.assert_allclose(from_logits, expected, rtol=1e-12)
    middle = abs(X) < 10
    (got,) = evaluate([T.nnet.binary_crossentropy(T.nnet.sigmoid(x), t)], {x: X})
    np.testing.assert_allclose(got[middle], expected[middle], rtol=1e-10)


def test_binary_crossentropy_of_certain_outputs_that_are_right():
    p, t = T.dvector(), T.dvector()
    loss = T.nnet.binary_crossentropy(p, t)
    values = {p: np.array([0.0, 1.0]), t: np.array([0.0, 1.0])}
    got, gradient = evaluate([loss, grad(loss.sum(), p)], values)
    np.testing.assert_allclose(got, [0, 0], atol=0)
    np.testing.assert_allclose(gradient, [1, -1])


def test_gradient_of_sigmoid_binary_crossentropy_at_zero_logits():
    x, t = T.dvector(), T.dvector()
    gradient = grad(T.nnet.sigmoid_binary_crossentropy(x, t).sum(), x)
    points = {x: np.array([0.0, 0.0, 1000.0, -1000.0]), t: np.array([0.0, 1.0, 1.0, 0.0])}
    np.testing.assert_allclose(evaluate([gradient], points)[0], [0.5, -0.5, 0.0, 0.0])
