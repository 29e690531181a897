"""The drawn digits: reproducible, like MNIST in their statistics, and learnable."""

import numpy as np
import pytest

from symnet.data import synthetic_digits


@pytest.fixture(scope="module")
def digits():
    return synthetic_digits(2500)


def test_shapes_and_classes(digits):
    images, labels = digits
    assert images.shape == (2500, 28, 28) and images.dtype == np.uint8
    assert labels.shape == (2500,) and labels.dtype == np.uint8
    assert np.bincount(labels, minlength=10).min() > 180


def test_a_seed_is_a_sequence(digits):
    images, labels = synthetic_digits(1203)
    np.testing.assert_array_equal(images, digits[0][:1203])
    np.testing.assert_array_equal(labels, digits[1][:1203])
    assert (synthetic_digits(1203, seed=1)[0] != images).any(axis=(1, 2)).all()


def test_all_images_differ(digits):
    assert len(np.unique(digits[0].reshape(2500, -1), axis=0)) == 2500


def test_statistics_are_near_those_of_mnist(digits):
    x = digits[0] / 255
    assert x.mean() == pytest.approx(0.131, abs=0.015)
    assert x.std() == pytest.approx(0.308, abs=0.02)
    assert (x > 0).mean() == pytest.approx(0.191, abs=0.02)


def test_no_stroke_is_cut_off(digits):
    assert not digits[0][:, [0, -1], :].any() and not digits[0][:, :, [0, -1]].any()


def test_a_line_separates_most_and_neighbours_nearly_all(digits):
    x = digits[0].reshape(2500, -1) / 255.0
    y = digits[1].astype(int)
    train, test = slice(0, 2000), slice(2000, None)
    features = np.c_[x, np.ones(len(x))]
    gram = features[train].T @ features[train] + 3 * np.eye(785)
    weights = np.linalg.solve(gram, features[train].T @ np.eye(10)[y[train]])
    linear = ((features[test] @ weights).argmax(1) == y[test]).mean()
    distance = (x[train] ** 2).sum(1) - 2 * x[test] @ x[train].T
    nearest = (y[train][distance.argmin(1)] == y[test]).mean()
    assert 0.8 < linear < 0.97, "too hard, or no harder than print"
    assert nearest > 0.9
