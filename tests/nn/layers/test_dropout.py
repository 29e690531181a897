"""Layers that draw: what they do to mean and variance, and that they do nothing untrained."""

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet import nn
from symnet.errors import ConfigError
from symnet.nn.layers.base import Forward
from symnet.tensor.shared_randomstreams import RandomStreams

NOISY = [
    nn.Dropout(0.3), nn.GaussianDropout(0.3), nn.AlphaDropout(0.3), nn.GaussianNoise(0.5),
]  # fmt: skip
name = lambda layer: type(layer).__name__


def trained(layer, x, seed=0):
    """The output for an array while training."""
    symbolic = nn.Input(x.shape[1:], dtype=x.dtype.name)
    y = layer(symbolic, forward=Forward(train=True, random=RandomStreams(seed)))
    return symnet.function([symbolic], y)(x)


@pytest.mark.parametrize("layer", NOISY, ids=name)
def test_nothing_happens_outside_training(layer):
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    symbolic = nn.Input(4)
    assert np.array_equal(layer(symbolic).eval({symbolic: x}), x)


@pytest.mark.parametrize("layer", NOISY, ids=name)
def test_draws_follow_the_seed_and_differ_from_call_to_call(layer):
    x = np.ones((20, 10), "float32")
    assert np.array_equal(trained(layer, x, 1), trained(layer, x, 1))
    assert not np.array_equal(trained(layer, x, 1), trained(layer, x, 2))
    symbolic = nn.Input(10)
    f = symnet.function([symbolic], layer(symbolic, train=True))
    assert not np.array_equal(f(x), f(x))


def test_dropout_keeps_the_mean_and_drops_its_share():
    x = np.full((1000, 100), 2, "float32")
    y = trained(nn.Dropout(0.3), x)
    assert np.allclose(np.unique(y), [0, 2 / 0.7])
    # the share of zeros deviates by sqrt(p (1 - p) / n) = 0.0014
    assert abs((y == 0).mean() - 0.3) < 0.007
    assert y.dtype == "float32"


def test_gaussian_dropout_has_the_mean_and_variance_of_dropout():
    x = np.full((1000, 100), 2, "float32")
    y = trained(nn.GaussianDropout(0.2), x)
    assert abs(y.mean() - 2) < 0.02
    assert abs(y.var() - 4 * 0.2 / 0.8) < 0.03


def test_gaussian_noise_adds_a_deviation():
    x = np.full((1000, 100), 2, "float64")
    y = trained(nn.GaussianNoise(0.5), x)
    assert y.dtype == "float64"
    assert abs(y.mean() - 2) < 0.01 and abs(y.std() - 0.5) < 0.01


def test_alpha_dropout_keeps_mean_0_and_variance_1():
    x = np.random.default_rng(0).normal(size=(2000, 100)).astype("float32")
    y = trained(nn.AlphaDropout(0.2), x)
    assert abs(y.mean()) < 0.01 and abs(y.var() - 1) < 0.02
    values, counts = np.unique(y, return_counts=True)
    dropped = values[counts.argmax()]
    assert abs((y == dropped).mean() - 0.2) < 0.005
    assert dropped < 0


def test_gradients_pass_through_the_same_mask():
    x = nn.Input(50)
    y = nn.Dropout(0.5)(x, train=True)
    f = symnet.function([x], [y, symnet.grad(T.sum(y), x)])
    out, slope = f(np.ones((10, 50), "float32"))
    assert np.array_equal(out, slope) and 0 < (out == 0).mean() < 1


@pytest.mark.parametrize("layer", [nn.Dropout(0), nn.GaussianNoise(0), nn.GaussianDropout(0)])
def test_nothing_is_drawn_at_rate_0(layer):
    forward = Forward(train=True)
    x = nn.Input(3)
    assert layer.apply([x], forward) == [x]
    assert forward._random is None


@pytest.mark.parametrize("layer", NOISY, ids=name)
def test_integers_become_floats_in_both_modes(layer):
    x = nn.Input(3, dtype="uint8")
    assert layer(x).dtype == "float32" == layer(x, train=True).dtype


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: nn.Dropout(1), "0 <= rate < 1"),
        (lambda: nn.Dropout(-0.1), "0 <= rate < 1"),
        (lambda: nn.AlphaDropout(50), "AlphaDropout: rate=50"),
        (lambda: nn.GaussianDropout(float("nan")), "not a number"),
        (lambda: nn.Dropout("half"), "'half' is not a number"),
        (lambda: nn.GaussianNoise(-1), "negative"),
        (lambda: nn.ActivityRegularization(l1=None), "l1=None"),
    ],
)
def test_misuse_is_answered(make, text):
    with pytest.raises(ConfigError, match=text):
        make()


def test_activity_regularization_adds_to_the_loss_per_example():
    x = nn.Input(2)
    forward = Forward()
    y = nn.ActivityRegularization(l1=0.5, l2=2)(x, forward=forward)
    data = np.array([[1, -2], [3, 0], [0, 0]], "float32")
    assert np.array_equal(y.eval({x: data}), data)
    total = sum(p.eval({x: data}) for p in forward.penalties)
    assert total == pytest.approx((0.5 * 6 + 2 * 14) / 3)
    nothing = Forward()
    nn.ActivityRegularization()(x, forward=nothing)
    assert nothing.penalties == []
