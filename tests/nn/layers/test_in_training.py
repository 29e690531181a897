"""Layers inside `fit`: what they draw, add to the loss, and keep, gets where it belongs."""

import numpy as np
import pytest

import symnet.tensor as T
from symnet import nn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 6)).astype("float32")
LABELS = (X[:, 0] + X[:, 1] > 0).astype("int64")


class Centre(nn.Layer):
    """Subtracts the mean of the batch while training, and the mean of all batches afterwards."""

    def build(self, shape):
        self.sum = self.state_variable("sum", shape[1:])
        self.count = self.state_variable("count", ())

    def output(self, x, forward):
        if not forward.train:
            return x - self.sum / T.maximum(self.count, 1)
        mean = x.mean(axis=0)
        forward.update(self.sum, self.sum + mean)
        forward.update(self.count, self.count + 1)
        return x - mean


def test_all_layers_train_together():
    model = nn.Sequential(
        [nn.Reshape((2, 3)), nn.GaussianNoise(0.01), nn.Flatten(), nn.Rescaling(2, 0.1), Centre(),
         nn.Dense(32, "selu", kernel_regularizer=nn.l2(1e-4)), nn.AlphaDropout(0.05),
         nn.Dense(32, "tanh", bias_regularizer=nn.l1(1e-4)), nn.GaussianDropout(0.05),
         nn.ActivityRegularization(l1=1e-5, l2=1e-5), nn.Activation("softplus"), nn.Dropout(0.05),
         nn.Lambda(lambda x: x * 1), nn.Dense(2, "softmax")],
        seed=0,
    )  # fmt: skip
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"], learning_rate=0.01)
    history = model.fit(X, LABELS, epochs=15, batch_size=20, seed=0, verbose=0)
    losses = history.logs["loss"]
    assert losses[-1] < 0.5 * losses[0]
    assert model.evaluate(X, LABELS)["accuracy"] > 0.9
    again = model.predict(X)
    assert np.array_equal(again, model.predict(X))  # nothing is drawn


def test_state_is_updated_once_per_step_and_used_afterwards():
    centre = Centre()
    model = nn.Sequential([centre, nn.Dense(1, use_bias=False)], seed=0)
    model.compile("sgd", "mse", learning_rate=0.0)
    model.fit(X, X[:, :1], epochs=2, batch_size=32, shuffle=False, verbose=0)
    batches = X.reshape(3, 32, 6).mean(axis=1)
    assert centre.count.get_value() == 6
    assert np.allclose(centre.sum.get_value(), 2 * batches.sum(axis=0), atol=1e-5)
    (kernel,) = [p.get_value() for p in model.parameters]
    assert np.allclose(model.predict(X), (X - X.mean(axis=0)) @ kernel, atol=1e-5)
    assert centre.count.get_value() == 6  # predicting changes nothing


class Running(nn.Layer):
    """Subtracts a running mean, in training as well, so its inputs may depend on its own state."""

    def build(self, shape):
        self.mean = self.state_variable("mean", shape[1:])

    def output(self, x, forward):
        if forward.train:
            forward.update(self.mean, 0.5 * self.mean + 0.5 * x.mean(axis=0))
        return x - self.mean


def test_updates_of_a_layer_that_is_called_twice_follow_each_other():
    x, running = nn.Input(6), Running()
    model = nn.Model(x, nn.Dense(1)(running(2 * running(x))))
    model.compile("sgd", "mse", learning_rate=0.0)
    model.fit(X, X[:, :1], epochs=2, batch_size=len(X), verbose=0)
    mean = np.zeros(6)
    for _ in range(2):
        second = 2 * (X - mean).mean(axis=0)  # both calls see the state before the step
        mean = 0.5 * (0.5 * mean + 0.5 * X.mean(axis=0)) + 0.5 * second
    assert np.allclose(running.mean.get_value(), mean, atol=1e-5)


def test_penalties_are_part_of_the_loss():
    model = nn.Sequential(
        [nn.Dense(3, kernel_regularizer=nn.l2(0.5), use_bias=False),
         nn.ActivityRegularization(l1=0.25)],
        seed=0, input_shape=6,
    )  # fmt: skip
    model.compile("sgd", "mse", learning_rate=0.0)
    target = np.zeros((96, 3), "float32")
    (kernel,) = model.get_weights()
    y = X @ kernel
    wanted = (y**2).mean() + 0.5 * (kernel**2).sum() + 0.25 * np.abs(y).sum() / 96
    history = model.fit(X, target, epochs=1, batch_size=96, verbose=0)
    assert history.logs["loss"][0] == pytest.approx(wanted, rel=1e-5)


def test_what_is_frozen_does_not_change_and_is_not_penalised():
    fixed = nn.Dense(4, "tanh", kernel_regularizer=nn.l2(100))
    model = nn.Sequential([fixed, nn.Dense(2, "softmax")], seed=0, input_shape=6)
    fixed.trainable = False
    before = model.get_weights()
    model.compile("sgd", "categorical_crossentropy", learning_rate=0.5)
    first = model.fit(X, LABELS, epochs=3, seed=0, verbose=0).logs["loss"][0]
    after = model.get_weights()
    assert all(map(np.array_equal, before[:2], after[:2]))
    assert not np.array_equal(before[2], after[2])
    assert first < 5
    fixed.trainable = True  # without another compile
    model.fit(X, LABELS, epochs=1, seed=0, verbose=0, batch_size=96)
    assert not np.array_equal(model.get_weights()[0], after[0])


def test_the_same_seed_trains_the_same_model():
    def trained():
        model = nn.Sequential(
            [nn.Dense(8, "relu"), nn.Dropout(0.5), nn.Dense(2, "softmax")], seed=3
        )
        model.compile("momentum", "categorical_crossentropy")
        model.fit(X, LABELS, epochs=2, batch_size=32, seed=4, verbose=0)
        return model.get_weights()

    assert all(map(np.array_equal, trained(), trained()))
