"""Losses: values against scikit-learn or plain float64, gradients, shapes, and at the ends.

Stability is tested where it is met: on logits of any size, through softmax and sigmoid.
"""

import functools
import math

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet.backends.reference import evaluate
from symnet.errors import (
    ConfigError,
    IndexOutOfBoundsError,
    ShapeError,
    TypeMismatchError,
)
from symnet.nn import losses
from symnet.nn.names import lookup, names_of
from symnet.testing import verify_grad

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(6, 4)) * 2
LABELS = np.array([0, 3, 1, 2, 2, 0])
ONE_HOT = np.eye(4)[LABELS]
SHARES = scipy.special.softmax(RNG.normal(size=(6, 4)), axis=1)
OTHER = RNG.normal(size=(6, 4))
BITS = (RNG.random((6, 4)) < 0.5).astype("float64")
P = scipy.special.softmax(SCORES, axis=1)
LOG_P = scipy.special.log_softmax(SCORES, axis=1)
Q = scipy.special.expit(SCORES)
ERROR = np.abs(SCORES - OTHER)
GAP = np.maximum(0, 1 - (2 * BITS - 1) * SCORES)
RIGHT = SCORES[range(6), LABELS]
RIVAL = np.where(ONE_HOT > 0, -np.inf, SCORES).max(axis=1)

# loss: arguments, and what it gives
CASES = [
    ("mean_squared_error", SCORES, OTHER, (ERROR**2).mean(axis=1)),
    ("mean_absolute_error", SCORES, OTHER, ERROR.mean(axis=1)),
    ("huber", SCORES, OTHER, scipy.special.huber(1.0, ERROR).mean(axis=1)),
    ("categorical_crossentropy", P, LABELS, -LOG_P[range(6), LABELS]),
    ("categorical_crossentropy", P, ONE_HOT, -LOG_P[range(6), LABELS]),
    ("categorical_crossentropy", P, SHARES, -(SHARES * LOG_P).sum(axis=1)),
    ("categorical_crossentropy_from_logits", SCORES, LABELS, -LOG_P[range(6), LABELS]),
    ("categorical_crossentropy_from_logits", SCORES, SHARES, -(SHARES * LOG_P).sum(axis=1)),
    ("negative_log_likelihood", LOG_P, LABELS, -LOG_P[range(6), LABELS]),
    ("kullback_leibler", P, SHARES, scipy.special.rel_entr(SHARES, P).sum(axis=1)),
    ("kullback_leibler", P, ONE_HOT, scipy.special.rel_entr(ONE_HOT, P).sum(axis=1)),
    (
        "binary_crossentropy", Q, BITS,
        -(BITS * np.log(Q) + (1 - BITS) * np.log1p(-Q)).mean(axis=1),
    ),
    (
        "binary_crossentropy_from_logits", SCORES, SHARES,
        (np.logaddexp(0, SCORES) - SHARES * SCORES).mean(axis=1),
    ),
    ("hinge", SCORES, BITS, GAP.mean(axis=1)),
    ("hinge", SCORES, 2 * BITS - 1, GAP.mean(axis=1)),
    ("squared_hinge", SCORES, BITS, (GAP**2).mean(axis=1)),
    ("multiclass_hinge", SCORES, LABELS, np.maximum(0, 1 + RIVAL - RIGHT)),
]  # fmt: skip
IDS = [f"{name}-{target.dtype}-{target.ndim}" for name, _, target, _ in CASES]
PROBABILITIES = {"categorical_crossentropy", "kullback_leibler"}


def tensor(array, name="x"):
    return T.TensorType(array.dtype.name, (None,) * array.ndim)(name)


def values(loss, prediction, target):
    p, t = tensor(prediction, "p"), tensor(target, "t")
    return symnet.function([p, t], loss(p, t))(prediction, target)


def test_every_loss_has_a_case():
    assert {name for name, *_ in CASES} == set(losses.__all__)
    assert set(losses.__all__) <= set(names_of("loss"))


@pytest.mark.parametrize(("name", "prediction", "target", "expected"), CASES, ids=IDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values(name, prediction, target, expected, dtype):
    """The dtype is that of the predictions, whatever the targets have."""
    found = values(getattr(losses, name), prediction.astype(dtype), target)
    assert found.dtype == dtype and found.shape == (6,)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance / 10)


@pytest.mark.parametrize(("name", "prediction", "target", "expected"), CASES, ids=IDS)
def test_gradients(name, prediction, target, expected):
    # small steps: some of the probabilities are near 0
    loss = lambda p: getattr(losses, name)(p, target)
    verify_grad(loss, [prediction], order=2, eps=1e-4, rel_tol=1e-5)


@pytest.mark.parametrize(("name", "prediction", "target", "expected"), CASES, ids=IDS)
def test_dimensions_between_examples_and_classes_are_averaged(name, prediction, target, expected):
    """(3, 2, 4) instead of (6, 4)."""
    loss = getattr(losses, name)
    split = [a.reshape(3, 2, *a.shape[1:]) for a in (prediction, target)]
    np.testing.assert_allclose(
        values(loss, *split), expected.reshape(3, 2).mean(axis=1), rtol=1e-12, atol=1e-13
    )


def test_scikit_learn_agrees():
    metrics = pytest.importorskip("sklearn.metrics")
    means = {
        "mean_squared_error": metrics.mean_squared_error(OTHER, SCORES),
        "mean_absolute_error": metrics.mean_absolute_error(OTHER, SCORES),
        "categorical_crossentropy": metrics.log_loss(LABELS, P),
    }
    for name, _, target, expected in CASES:
        if name in means and target.shape != SHARES.shape:
            assert abs(expected.mean() - means[name]) < 1e-12
    found = values(losses.multiclass_hinge, SCORES, LABELS).mean()
    assert abs(found - metrics.hinge_loss(LABELS, SCORES)) < 1e-12
    one = values(losses.hinge, SCORES[:, 0], BITS[:, 0]).mean()
    assert abs(one - metrics.hinge_loss(BITS[:, 0], SCORES[:, 0])) < 1e-12


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64"])
def test_labels_of_any_integer_type(dtype):
    for name, prediction, target, expected in CASES:
        if target is LABELS:
            found = values(getattr(losses, name), prediction, target.astype(dtype))
            np.testing.assert_allclose(found, expected, rtol=1e-12)


# ---- columns


ELEMENTWISE = [
    "mean_squared_error", "mean_absolute_error", "huber", "binary_crossentropy",
    "binary_crossentropy_from_logits", "hinge", "squared_hinge",
]  # fmt: skip


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_one_column_takes_targets_without_it(name):
    loss = getattr(losses, name)
    p, t = T.TensorType("float64", (None, 1))("p"), T.dvector("t")
    column = Q[:, :1]
    found = symnet.function([p, t], loss(p, t))(column, BITS[:, 0])
    np.testing.assert_array_equal(found, values(loss, column[:, 0], BITS[:, 0]))
    np.testing.assert_array_equal(found, values(loss, column, BITS[:, :1]))


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_nothing_broadcasts(name):
    loss = getattr(losses, name)
    with pytest.raises(TypeMismatchError, match=f"{name}.*one shape"):
        loss(T.matrix("p"), T.vector("t"))
    with pytest.raises(ShapeError, match=name):
        loss(T.TensorType("float32", (None, 4))("p"), T.TensorType("float32", (None, 1))("t"))
    p, t = T.matrix("p"), T.TensorType("float32", (None, 1))("t")
    f = symnet.function([p, t], loss(p, t))
    with pytest.raises(ShapeError):
        f(np.ones((3, 4), "float32"), np.ones((3, 1), "float32"))
    with pytest.raises(ShapeError):
        f(np.ones((3, 1), "float32"), np.ones((1, 1), "float32"))


# ---- at the ends


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_softmax_and_crossentropy_at_any_logits(data):
    """Value and gradient of all ways to write it are those of float64 logits, and finite."""
    logit = st.one_of(st.sampled_from([-1000.0, 0.0, 1000.0]), st.floats(-1000, 1000, width=32))
    x = np.array(data.draw(st.lists(logit, min_size=6, max_size=6)), "float32").reshape(2, 3)
    y = np.array(data.draw(st.lists(st.integers(0, 2), min_size=2, max_size=2)))
    exact = scipy.special.log_softmax(x.astype("float64"), axis=1)
    wanted = -exact[range(2), y]
    slope = np.exp(exact) - np.eye(3)[y]
    found = ways()(x, y, np.eye(3, dtype="float32")[y])
    for value, gradient in zip(found[::2], found[1::2]):
        np.testing.assert_allclose(value, wanted, rtol=2e-6, atol=1e-6)
        np.testing.assert_allclose(gradient, slope, atol=2e-6)


@functools.cache
def ways():
    x, y, t = T.matrix("x"), T.lvector("y"), T.matrix("t")
    written = [
        losses.categorical_crossentropy(T.nnet.softmax(x), y),
        losses.categorical_crossentropy(T.nnet.softmax(x), t),
        losses.categorical_crossentropy_from_logits(x, y),
        losses.negative_log_likelihood(T.nnet.log_softmax(x), y),
    ]
    both = [e for v in written for e in (v, symnet.grad(v.sum(), x))]
    return symnet.function([x, y, t], both)


@pytest.mark.parametrize("logit", [-1000.0, -90.0, -17.0, 0.0, 17.0, 90.0, 1000.0])
@pytest.mark.parametrize("target", [0.0, 1.0, 0.25])
def test_sigmoid_and_binary_crossentropy_at_any_logits(logit, target):
    x, t = T.matrix("x"), T.matrix("t")
    ways = [
        losses.binary_crossentropy(T.nnet.sigmoid(x), t),
        losses.binary_crossentropy_from_logits(x, t),
    ]
    f = symnet.function([x, t], [e for v in ways for e in (v, symnet.grad(v.sum(), x))])
    found = f(np.array([[logit]], "float32"), np.array([[target]], "float32"))
    value = np.logaddexp(0, logit) - target * logit
    slope = scipy.special.expit(logit) - target
    for k in range(2):
        np.testing.assert_allclose(found[2 * k], [value], rtol=2e-6, atol=1e-30)
        np.testing.assert_allclose(found[2 * k + 1], [[slope]], rtol=2e-6, atol=1e-30)


@pytest.mark.parametrize("name", losses.__all__)
@pytest.mark.parametrize("size", [1000.0, 1e15])
def test_gradients_are_finite_for_large_predictions(name, size):
    x = T.matrix("x")
    p = {
        "categorical_crossentropy": T.nnet.softmax,
        "kullback_leibler": T.nnet.softmax,
        "negative_log_likelihood": T.nnet.log_softmax,
        "binary_crossentropy": T.nnet.sigmoid,
    }.get(name, lambda v: v)(x)
    labelled = name in ("negative_log_likelihood", "multiclass_hinge")
    target = np.array([0, 1]) if labelled else np.array([[1, 0, 0], [0, 1, 0]], "float32")
    loss = lookup("loss", name)(p, T.constant(target))
    points = np.array([[size, -size, 0.0], [size, -size, size]], "float32")
    value, slope = symnet.function([x], [loss, symnet.grad(loss.sum(), x)])(points)
    assert np.isfinite(value).all() and np.isfinite(slope).all()
    assert value[1] > 100  # the second example is wrong


def test_right_predictions_cost_nothing_and_have_no_nan():
    """Probabilities of exactly 0 and 1, also in the gradients."""
    p = T.dmatrix("p")
    exact, labels = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 1])
    for loss in (
        losses.categorical_crossentropy(p, labels),
        losses.categorical_crossentropy(p, exact),
        losses.kullback_leibler(p, exact),
        losses.binary_crossentropy(p, exact),
    ):
        value, slope = symnet.function([p], [loss, symnet.grad(loss.sum(), p)])(exact)
        assert value.tolist() == [0, 0]
        assert not np.isnan(slope).any()


def test_a_wrong_certainty_is_infinite():
    certain = np.array([[1.0, 0.0]])
    assert values(losses.categorical_crossentropy, certain, np.array([1])).tolist() == [math.inf]
    assert values(losses.binary_crossentropy, certain, 1 - certain).tolist() == [math.inf]
    assert values(losses.kullback_leibler, certain, 1 - certain).tolist() == [math.inf]


@pytest.mark.parametrize("name", ["hinge", "multiclass_hinge"])
def test_hinges_are_flat_beyond_the_margin(name):
    """Ties at the margin and between rivals have a subgradient, not NaN."""
    x = T.dmatrix("x")
    target = np.array([0, 0]) if name == "multiclass_hinge" else np.array([[1, 0, 0]] * 2)
    loss = getattr(losses, name)(x, T.constant(target))
    value, slope = symnet.function([x], [loss, symnet.grad(loss.sum(), x)])(
        np.array([[5.0, -5.0, -5.0], [1.0, 0.0, 0.0]])
    )
    assert slope[0].tolist() == [0, 0, 0] and value[0] == 0
    assert np.isfinite(slope).all()


@settings(max_examples=30, deadline=None)
@given(
    delta=st.floats(0.01, 100),
    error=st.floats(-1e4, 1e4),
)
def test_huber_joins_smoothly(delta, error):
    x = T.dvector("x")
    loss = losses.huber(x, T.zeros_like(x), delta=delta)
    points = np.array([error, delta, -delta])
    value, slope = evaluate([loss, symnet.grad(loss.sum(), x)], {x: points})
    np.testing.assert_allclose(value, scipy.special.huber(delta, points), rtol=1e-12, atol=1e-320)
    np.testing.assert_allclose(slope, np.clip(points, -delta, delta), rtol=1e-12)


# ---- what is refused


@pytest.mark.parametrize("name", losses.__all__)
def test_predictions_are_floats(name):
    with pytest.raises(TypeMismatchError, match=name):
        getattr(losses, name)(T.lmatrix("p"), T.lvector("y"))
    with pytest.raises(TypeMismatchError, match=name):
        getattr(losses, name)(T.scalar("p"), T.scalar("y"))


@pytest.mark.parametrize("name", ["negative_log_likelihood", "multiclass_hinge"])
def test_labels_are_integers(name):
    loss = getattr(losses, name)
    with pytest.raises(TypeMismatchError, match=f"{name}.*integer labels"):
        loss(T.matrix("p"), T.vector("y"))
    with pytest.raises(TypeMismatchError, match=f"{name}.*integer labels"):
        loss(T.matrix("p"), T.lmatrix("y"))
    with pytest.raises(ShapeError, match=name):
        p, y = T.TensorType("float32", (5, 3))("p"), T.TensorType("int64", (4,))("y")
        loss(p, y)


@pytest.mark.parametrize("name", [n for n, _, t, _ in CASES if t is LABELS])
@pytest.mark.parametrize("label", [-1, 4])
def test_labels_are_classes(name, label):
    wrong = np.array([0, 1, label, 0, 0, 0])
    with pytest.raises(IndexOutOfBoundsError):
        values(getattr(losses, name), P, wrong)


@pytest.mark.parametrize("name", [n for n, _, t, _ in CASES if t is LABELS])
def test_as_many_labels_as_predictions(name):
    with pytest.raises(ShapeError):
        values(getattr(losses, name), P, LABELS[:5])


def test_huber_takes_a_positive_delta():
    for delta in (0, -1.0, math.nan):
        with pytest.raises(ConfigError, match="delta"):
            losses.huber(T.vector(), T.vector(), delta=delta)
