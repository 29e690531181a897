"""Metrics: scikit-learn's values, sums that do not depend on the batches, what is refused."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet.errors import (
    ConfigError,
    IndexOutOfBoundsError,
    ShapeError,
    TypeMismatchError,
)
from symnet.nn import losses, metrics
from symnet.nn.names import lookup

ALL = [
    metrics.accuracy(), metrics.top_k(2), metrics.confusion_matrix(4), metrics.precision(4),
    metrics.recall(4, average=None), metrics.f1(4, average="micro"),
    metrics.average(losses.categorical_crossentropy),
]  # fmt: skip


@st.composite
def classified(draw, classes=4, most=30):
    """Labels and scores without ties; some classes are rare or missing."""
    n = draw(st.integers(1, most))
    seed = draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    present = draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=classes))
    y = rng.choice(present, size=n)
    favoured = rng.choice(draw(st.lists(st.integers(0, classes - 1), min_size=1)), size=n)
    p = rng.dirichlet(np.ones(classes), size=n)
    p[range(n), favoured] += draw(st.sampled_from([0.0, 1.0]))
    return y, p / p.sum(axis=1, keepdims=True)


@settings(max_examples=40, deadline=None)
@given(classified())
def test_scikit_learn_agrees(case):
    sk = pytest.importorskip("sklearn.metrics")
    y, p = case
    c = p.argmax(axis=1)
    matrix = sk.confusion_matrix(y, c, labels=range(4))
    found = metrics.confusion_matrix(4).measure(y, p)
    assert found.dtype == "int64"
    np.testing.assert_array_equal(found, matrix)
    np.testing.assert_array_equal(metrics.confusion(y, p, 4), matrix)
    np.testing.assert_array_equal(metrics.confusion(y, c, 4), matrix)
    assert metrics.accuracy().measure(y, p) == sk.accuracy_score(y, c)
    for k in (1, 2, 3):
        wanted = sk.top_k_accuracy_score(y, p, k=k, labels=range(4))
        assert abs(metrics.top_k(k).measure(y, p) - wanted) < 1e-12
    for name, score in (
        ("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score),
    ):  # fmt: skip
        for average in ("macro", "micro"):
            wanted = score(y, c, average=average, zero_division=0)
            metric = getattr(metrics, name)(4, average=average)
            assert abs(metric.measure(y, p) - wanted) < 1e-12
            assert abs(getattr(metrics, f"{name}_of")(matrix, average) - wanted) < 1e-12
        each = score(y, c, average=None, labels=range(4), zero_division=0)
        np.testing.assert_allclose(getattr(metrics, name)(4, average=None).measure(y, p), each)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1, width=32)), min_size=1, max_size=20),
    st.sampled_from([0.5, 0.25]),
)
def test_two_classes_by_a_threshold(pairs, threshold):
    sk = pytest.importorskip("sklearn.metrics")
    y = np.array([a for a, _ in pairs]).astype("int64")
    p = np.array([b for _, b in pairs], "float32")
    c = (p > threshold).astype("int64")
    matrix = sk.confusion_matrix(y, c, labels=[0, 1])
    for labels, outputs in ((y, p), (y, p[:, None]), (y[:, None], p[:, None]), (y * 1.0, p)):
        accuracy = metrics.accuracy(threshold=threshold)
        assert accuracy.measure(labels, outputs) == sk.accuracy_score(y, c)
        confusion = metrics.confusion_matrix(threshold=threshold)
        np.testing.assert_array_equal(confusion.measure(labels, outputs), matrix)
        f1 = metrics.f1(threshold=threshold, average=None).measure(labels, outputs)
        assert abs(f1[1] - sk.f1_score(y, c, zero_division=0)) < 1e-12


def test_errors_of_numbers():
    sk = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    y, p = rng.normal(size=(2, 20, 3))
    assert np.isclose(metrics.mean_squared_error().measure(y, p), sk.mean_squared_error(y, p))
    assert np.isclose(metrics.mean_absolute_error().measure(y, p), sk.mean_absolute_error(y, p))
    assert np.isclose(
        metrics.mean_squared_error().measure(y[:, 0], p[:, :1]),
        sk.mean_squared_error(y[:, 0], p[:, 0]),
    )


def test_outputs_of_their_own():
    y = np.array([[1, 0, 1], [0, 0, 1]])
    p = np.array([[0.9, 0.6, 0.4], [0.1, 0.2, 0.8]])
    assert metrics.binary_accuracy().measure(y, p) == pytest.approx(4 / 6)
    assert metrics.binary_accuracy(threshold=0.7).measure(y, p) == pytest.approx(5 / 6)


# ---- batches


@functools.cache
def compiled(metric, dtype="float32"):
    p, y = T.TensorType(dtype, (None, 4))("p"), T.lvector("y")
    additions = metric.additions(p, y)
    assert additions.dtype in ("int64", "float64")
    assert None not in additions.type.shape
    return symnet.function([p, y], additions)


@pytest.mark.parametrize("metric", ALL, ids=lambda m: m.name)
@settings(max_examples=15, deadline=None)
@given(case=classified(), cut=st.floats(0, 1))
def test_the_sum_does_not_depend_on_the_batches(metric, case, cut):
    """Compiled, in two batches of which one may be empty, equal to the interpreter's of all."""
    y, p = case
    p = p.astype("float32")
    add = compiled(metric)
    k = round(cut * len(y))
    total = add(p[:k], y[:k]) + add(p[k:], y[k:])
    found, wanted = metric.result(total, len(y)), metric.measure(y, p)
    if isinstance(metric, metrics.average):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
    else:
        np.testing.assert_array_equal(found, wanted)


def test_one_hot_targets_are_their_labels():
    rng = np.random.default_rng(1)
    y, p = rng.integers(4, size=30), rng.random((30, 4))
    for metric in ALL:
        for dtype in ("float32", "uint8"):
            np.testing.assert_allclose(
                metric.measure(np.eye(4, dtype=dtype)[y], p), metric.measure(y, p)
            )


def test_parts_of_examples():
    """Predictions (examples, places, classes)."""
    rng = np.random.default_rng(1)
    y, p = rng.integers(4, size=(6, 5)), rng.random((6, 5, 4))
    for metric in ALL:
        found = metric.measure(y, p)
        np.testing.assert_allclose(found, metric.measure(y.ravel(), p.reshape(30, 4)))


def test_of_equals_the_first_are_likelier():
    p = np.zeros((4, 4))
    y = np.arange(4)
    assert metrics.accuracy().measure(y, p) == 0.25
    assert [metrics.top_k(k).measure(y, p) for k in (1, 2, 3, 4, 9)] == [0.25, 0.5, 0.75, 1, 1]


def test_sums_are_exact_beyond_float32():
    """2^24 + 1 examples have a sum that float32 cannot hold."""
    metric = metrics.average(lambda p, y: p[:, 0])
    p, y = T.TensorType("float32", (None, 1))("p"), T.lvector("y")
    add = symnet.function([p, y], metric.additions(p, y), on_unused_input="ignore")
    total = add(np.array([[2.0**24]], "float32"), np.zeros(1, "int64"))
    total = total + add(np.array([[1.0]], "float32"), np.zeros(1, "int64"))
    assert total == 2**24 + 1


def test_no_examples():
    y, p = np.zeros(0, "int64"), np.zeros((0, 4))
    assert np.isnan(metrics.accuracy().measure(y, p))
    assert metrics.confusion_matrix().measure(y, p).sum() == 0
    assert metrics.f1().measure(y, p) == 0


# ---- values and names


def test_names():
    assert metrics.accuracy().name == "accuracy"
    assert metrics.top_k(3).name == "top_3"
    assert metrics.average(losses.huber).name == "huber"
    assert metrics.average(functools.partial(losses.huber, delta=2.0)).name == "huber"
    assert metrics.f1(average="micro").name == "f1"
    assert metrics.top_k(3) == metrics.top_k(3) != metrics.top_k(2)


def test_functions_are_metrics():
    metric = lookup("metric", losses.mean_absolute_error)
    assert metric.measure(np.zeros((2, 3)), np.ones((2, 3))) == 1.0
    assert lookup("metric", "hinge").name == "hinge"


# ---- what is refused


def test_one_value_per_example():
    p, y = T.matrix("p"), T.matrix("y")
    with pytest.raises(TypeMismatchError, match="one value per example"):
        metrics.average(lambda p, y: p - y).additions(p, y)
    with pytest.raises(TypeMismatchError, match="leave out"):
        metrics.average(lambda p, y: (p - y).mean()).additions(p, y)


@pytest.mark.parametrize("metric", ALL, ids=lambda m: m.name)
def test_labels_that_are_none(metric):
    p = T.TensorType("float32", (None, 4))("p")
    with pytest.raises(TypeMismatchError, match="labels"):
        metric.additions(p, T.vector("y"))
    with pytest.raises((TypeMismatchError, ShapeError)):
        metric.additions(p, T.TensorType("float32", (None, 3))("y"))


@pytest.mark.parametrize("label", [-1, 4])
@pytest.mark.parametrize(
    "metric", [m for m in ALL if not isinstance(m, metrics.accuracy)], ids=lambda m: m.name
)
def test_labels_outside_the_classes(metric, label):
    with pytest.raises(IndexOutOfBoundsError):
        compiled(metric)(np.ones((2, 4), "float32"), np.array([0, label]))


def test_the_number_of_classes():
    with pytest.raises(ConfigError, match=r"confusion_matrix\(classes="):
        metrics.confusion_matrix().additions(T.matrix("p"), T.lvector("y"))
    with pytest.raises(ConfigError, match="4 classes are predicted"):
        metrics.f1(3).additions(T.TensorType("float32", (None, 4))("p"), T.lvector("y"))
    for classes in (1, 2.0, True):
        with pytest.raises(ConfigError, match="classes"):
            metrics.confusion_matrix(classes)


def test_settings_outside_their_range():
    with pytest.raises(ConfigError, match="k="):
        metrics.top_k(0)
    with pytest.raises(ConfigError, match="average"):
        metrics.f1(average="weighted")
    with pytest.raises(ConfigError, match="average"):
        metrics.recall_of(np.eye(2), "mean")


def test_arrays_that_do_not_fit():
    with pytest.raises(ShapeError, match="3 targets, 2 predictions"):
        metrics.accuracy().measure(np.zeros(3, int), np.zeros((2, 4)))
    with pytest.raises(ShapeError):
        metrics.confusion([0, 1], [0], 2)
    with pytest.raises(IndexOutOfBoundsError, match="hold 2"):
        metrics.confusion([0, 2], [0, 1], 2)
    with pytest.raises(IndexOutOfBoundsError, match="hold -1"):
        metrics.confusion([0, 1], [0, -1], 2)
    with pytest.raises(TypeMismatchError, match="float64"):
        metrics.confusion([0.0, 1.0], [0, 1], 2)
    with pytest.raises(ShapeError, match="square"):
        metrics.f1_of(np.ones((2, 3)))
