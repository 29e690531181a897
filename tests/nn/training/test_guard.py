"""Numbers that are not finite: found, named, undone."""

import numpy as np
import pytest

from symnet import nn
from symnet import tensor as T
from symnet.errors import SymnetError, TrainingError
from symnet.nn.training import checkpoint

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 5)).astype("float32")
Y = RNG.integers(0, 3, 64)


def network(**settings):
    model = nn.Sequential([nn.Dense(8, activation="relu"), nn.Dense(3)], seed=0)
    settings = {"optimizer": "sgd", "loss": "categorical_crossentropy_from_logits", **settings}
    model.compile(**settings)
    model.build([(None, 5)])
    return model


def fit(model, x=X, y=Y, **more):
    return model.fit(
        x, y, **{"batch_size": 16, "epochs": 3, "verbose": 0, "seed": 0, "shuffle": False, **more}
    )


class Scaled(nn.Layer):
    """Grows beyond all limits in the given step."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def build(self, shape):
        self.count = self.state_variable("count", ())

    def output(self, x, forward):
        if forward.train:
            forward.update(self.count, self.count + 1)
            x = T.where(T.ge(self.count, self.step), x * 1e38 * 1e38, x)
        return x


@pytest.mark.parametrize("step", [0, 2, 3, 4, 7, 11])
@pytest.mark.parametrize("stepwise", [False, True])
def test_the_output_of_a_layer(step, stepwise):
    def net():
        model = nn.Sequential(
            [nn.Dense(8), Scaled(step), nn.Dense(3, activation="softmax")],
            seed=0,
            input_shape=5,
        )
        model.compile("momentum", "categorical_crossentropy")
        return model

    class Steps(nn.Callback):
        def on_step_end(self, step, logs):
            pass

    model, other = net(), net()
    with pytest.raises(TrainingError) as caught:
        fit(model, callbacks=[Steps()] if stepwise else [])
    error, text = caught.value, str(caught.value)
    assert (error.epoch, error.step, error.layer) == (step // 4 + 1, step % 4 + 1, "scaled")
    assert f"in epoch {error.epoch}, step {error.step} of 4" in text
    assert "the output of layer scaled (Scaled), made at " in text
    assert f"{__file__}:" in text and "Scaled(step)" in text
    assert "smaller learning rate" in text and isinstance(error, SymnetError)
    for k in range(step):
        rows = slice(k % 4 * 16, k % 4 * 16 + 16)
        other.train_on_batch(X[rows], Y[rows])
    for a, b in zip(model.get_weights(), other.get_weights()):
        assert np.array_equal(a, b)
    assert len(model.history) == step // 4


def test_a_learning_rate_that_is_too_high():
    model = network(learning_rate=1e25)
    before = model.get_weights()
    with pytest.raises(TrainingError, match=r"it was 1e\+25") as caught:
        fit(model)
    assert caught.value.epoch == 1 and caught.value.layer in ("dense", "dense_1")
    assert all(np.isfinite(w).all() for w in model.get_weights())
    if caught.value.step == 1:
        assert all(map(np.array_equal, before, model.get_weights()))


def test_scores_in_the_place_of_probabilities():
    model = network(loss="categorical_crossentropy")
    with pytest.raises(TrainingError, match=r"wants probabilities, the outputs go from -.*logits"):
        fit(model)


def test_a_gradient_while_the_loss_is_finite():
    """sqrt at 0 has an infinite slope; the last step of an epoch shows no loss that is NaN."""
    z = np.abs(X).copy()
    z[40] = 0
    inputs = nn.Input(5)
    positive = nn.Dense(
        1, use_bias=False, kernel_initializer="ones", name="summed", activation=lambda v: v
    )(inputs)
    net = nn.Model(inputs, T.sqrt(positive))
    net.compile("sgd", "mean_squared_error", learning_rate=1e-4)
    with pytest.raises(TrainingError, match=r"gradient of summed\.kernel, of layer summed") as e:
        fit(net, z, np.ones(64))
    assert (e.value.epoch, e.value.step, e.value.layer) == (1, 3, "summed")
    assert "the loss is" in str(e.value) and np.isfinite(net.get_weights()[0]).all()


def test_the_update_alone():
    def explosive(gradients, parameters, learning_rate):
        return {p: p + learning_rate * T.exp(1000 + 0 * g) for p, g in zip(parameters, gradients)}

    model = network(optimizer=explosive, learning_rate=0.1)
    before = model.get_weights()
    with pytest.raises(TrainingError, match=r"the new value of dense\.kernel.* all gradients are"):
        fit(model)
    assert all(map(np.array_equal, before, model.get_weights()))


def test_the_last_good_checkpoint_is_kept(tmp_path):
    path = tmp_path / "a"

    class Spoil(nn.Callback):
        def on_epoch_begin(self, epoch):
            if epoch == 3:
                self.trainer.learning_rate = 1e30

    model = network()
    with pytest.raises(TrainingError) as caught:
        fit(model, epochs=5, callbacks=[Spoil(), nn.Checkpoint(path)])
    assert caught.value.epoch in (3, 4)
    good = checkpoint.read(path)
    assert good.history.epochs[-1] == caught.value.epoch - 1
    assert all(np.isfinite(v).all() for v in good.values.values())


def test_dropout_is_replayed():
    def net():
        layers = [nn.Dense(8), nn.Dropout(0.5), Scaled(6), nn.Dense(3, activation="softmax")]
        model = nn.Sequential(layers, seed=0, input_shape=5)
        model.compile("adam", "categorical_crossentropy")
        return model

    model, other = net(), net()
    with pytest.raises(TrainingError) as caught:
        fit(model, shuffle=True)
    assert (caught.value.epoch, caught.value.step) == (2, 3)

    class Stop(nn.Callback):
        def on_step_end(self, step, logs):
            if self.trainer.epoch == 1 and step == 2:
                self.trainer.stop()

    fit(other, shuffle=True, callbacks=[Stop()])
    for a, b in zip(model.get_weights(), other.get_weights()):
        assert np.array_equal(a, b)


def test_a_validation_loss_that_is_not_finite_stops_nothing():
    model = nn.Sequential([nn.Dense(1)], seed=0)
    model.compile("sgd", "mean_squared_error", learning_rate=0.01)
    huge = np.full((4, 5), 1e30, "float32")
    history = fit(model, X, X[:, 0], validation_data=(huge, np.zeros(4)))
    assert not np.isfinite(history.logs["val_loss"]).any() and len(history) == 3
