"""Callbacks: when they are called, what they do, and what they refuse."""

import csv

import numpy as np
import pytest

from symnet import nn
from symnet.errors import ConfigError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")
Y = RNG.integers(0, 3, 40)


def network(**settings):
    model = nn.Sequential([nn.Dense(3, activation="softmax")], seed=0)
    settings = {"metrics": ["accuracy"], "learning_rate": 0.1, **settings}
    model.compile("sgd", "categorical_crossentropy", **settings)
    return model


def fit(callbacks, model=None, **more):
    model = network() if model is None else model
    more = {"batch_size": 10, "epochs": 4, "verbose": 0, "seed": 0, **more}
    return model.fit(X, Y, callbacks=callbacks, **more)


class Scripted(nn.Callback):
    """Puts given values into the logs, so that what follows them can be told."""

    def __init__(self, **values):
        self.values = values

    def on_epoch_end(self, epoch, logs):
        for name, values in self.values.items():
            logs[name] = values[epoch - 1]


def test_the_order_of_calls():
    calls = []

    class Say(nn.Callback):
        def on_train_begin(self):
            calls.append(("train begins", self.trainer.log_names))

        def on_train_end(self):
            calls.append("train ends")

        def on_epoch_begin(self, epoch):
            calls.append(f"epoch {epoch} begins")

        def on_epoch_end(self, epoch, logs):
            assert list(logs) == self.trainer.log_names
            assert self.model.history.last() == logs and self.trainer.epoch == epoch
            calls.append(f"epoch {epoch} ends")

        def on_step_end(self, step, logs):
            assert list(logs) == ["loss"]
            calls.append(f"step {step}")

    fit([Say()], epochs=2, batch_size=25, validation_split=0.1)
    names = ["loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]
    epoch = ["epoch {} begins", "step 1", "step 2", "epoch {} ends"]
    whole = [text.format(k) for k in (1, 2) for text in epoch]
    assert calls == [("train begins", names), *whole, "train ends"]


def test_functions():
    seen = []
    history = fit([lambda epoch, logs: seen.append((epoch, logs["loss"]))])
    assert seen == list(zip([1, 2, 3, 4], history.logs["loss"]))
    assert len(fit([lambda epoch, logs: epoch == 2])) == 2
    assert len(fit([lambda epoch, logs: "not True"])) == 4
    assert len(fit(lambda epoch, logs: epoch == 3)) == 3  # one need not be in a list


def test_stopping_in_the_middle_of_an_epoch():
    class Stop(nn.Callback):
        def on_step_end(self, step, logs):
            if step == 3:
                self.trainer.stop()

    model = network()
    history = fit([Stop()], model, shuffle=False)
    assert history.epochs == [1] and len(history.steps[0]) == 3
    assert history.logs["loss"][0] == pytest.approx(history.steps[0].mean(), rel=1e-6)


@pytest.mark.parametrize(
    "values, patience, stopped, best",
    [
        ([5, 4, 3, 2, 1, 0], 2, None, 6),
        ([5, 4, 4, 4, 1, 0], 2, 4, 2),
        ([5, 4, 4, 3, 3, 3], 2, 6, 4),
        ([5, 6, 7, 8, 9, 9], 0, 2, 1),
        ([5, 6, 7, 8, 9, 9], 1, 2, 1),
        ([float("nan")] * 6, 3, 3, None),
        ([1, float("nan"), 0.5, 1, 1, 1], 2, 5, 3),
    ],
)
def test_early_stopping(values, patience, stopped, best):
    stopping = nn.EarlyStopping("loss", patience=patience)
    history = fit([Scripted(loss=values), stopping], epochs=6)
    assert (stopping.stopped_epoch, stopping.best_epoch) == (stopped, best)
    assert len(history) == (stopped or 6)
    fit([Scripted(loss=[1, 0]), stopping], epochs=2)  # it starts anew
    assert stopping.best_epoch == 2 and stopping.stopped_epoch is None


def test_what_counts_as_better():
    falling = [5.0, 4.95, 4.91, 4.89, 4.88, 4.87]
    small = nn.EarlyStopping("loss", patience=3, min_delta=0.1)
    fit([Scripted(loss=falling), small], epochs=6)
    assert small.best_epoch == 4
    rising = [0.1, 0.2, 0.3, 0.3, 0.3, 0.3]
    accuracy = nn.EarlyStopping("accuracy", patience=2)
    fit([Scripted(accuracy=rising), accuracy], epochs=6)
    assert (accuracy.best_epoch, accuracy.stopped_epoch) == (3, 5)
    turned = nn.EarlyStopping("accuracy", patience=2, mode="min")
    fit([Scripted(accuracy=rising), turned], epochs=6)
    assert (turned.best_epoch, turned.stopped_epoch) == (1, 3)


def test_the_best_weights_come_back():
    model, weights = network(), {}
    fit(
        [
            Scripted(loss=[3, 1, 2, 4]),
            lambda epoch, logs: weights.update({epoch: model.get_weights()}),
            nn.EarlyStopping("loss", patience=2, restore_best=True),
        ],
        model,
    )
    assert sorted(weights) == [1, 2, 3, 4]
    assert all(map(np.array_equal, model.get_weights(), weights[2]))
    assert not np.array_equal(weights[2][0], weights[4][0])


def test_reduce_on_plateau():
    history = fit(
        [
            Scripted(loss=[5, 4, 4, 4, 4, 3, 3, 3, 3, 3]),
            nn.ReduceOnPlateau("loss", factor=0.5, patience=2, minimum=0.03),
        ],
        epochs=10,
    )
    np.testing.assert_allclose(
        history.logs["learning_rate"], [0.1] * 4 + [0.05] * 4 + [0.03] * 2, rtol=1e-6
    )


def test_the_rest_after_a_reduction():
    history = fit(
        [Scripted(loss=[1.0] * 8), nn.ReduceOnPlateau("loss", factor=0.1, patience=1, cooldown=2)],
        epochs=8,
    )
    np.testing.assert_allclose(
        history.logs["learning_rate"], [0.1] * 2 + [0.01] * 3 + [0.001] * 3, rtol=1e-6
    )


@pytest.mark.parametrize("rate", [lambda t: 0.1 / (1 + t), nn.schedules.inverse_time(0.1)])
def test_a_rate_for_each_epoch(rate):
    history = fit([nn.LearningRateSchedule(rate)])
    np.testing.assert_allclose(
        history.logs["learning_rate"], [0.1, 0.1 / 2, 0.1 / 3, 0.1 / 4], rtol=1e-6
    )
    model = network(learning_rate=0.1)
    fit([nn.LearningRateSchedule(lambda t: 0.0)], model)
    other = network()
    other.build([(None, 4)])
    assert all(map(np.array_equal, model.get_weights(), other.get_weights()))


@pytest.mark.parametrize(
    "callback", [nn.LearningRateSchedule(lambda t: 0.1), nn.ReduceOnPlateau("loss")]
)
def test_two_that_want_the_learning_rate(callback):
    model = network(learning_rate=nn.schedules.constant(0.1))
    with pytest.raises(ConfigError, match=f"{type(callback).__name__} would change the learning"):
        fit([callback], model)


def test_a_rate_that_is_none():
    with pytest.raises(ConfigError, match="the learning rate nan is not finite"):
        fit([nn.LearningRateSchedule(lambda t: float("nan"))])


def test_csv(tmp_path):
    path = tmp_path / "log.csv"
    model = network(metrics=["accuracy", "confusion_matrix"])
    seen = []

    def read(epoch, logs):
        seen.append(len(path.read_text().splitlines()))

    log = nn.CSVLog(path)
    history = fit([log, read], model, validation_split=0.25)
    rows = list(csv.reader(path.read_text().splitlines()))
    names = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]
    assert rows[0] == names and seen == [2, 3, 4, 5]
    for k, row in enumerate(rows[1:]):
        assert [float(v) for v in row] == [k + 1, *(history.logs[n][k] for n in names[1:])]
    fit([log], model, epochs=1, validation_split=0.25)
    assert len(path.read_text().splitlines()) == 2
    fit([nn.CSVLog(path, append=True)], model, epochs=2, validation_split=0.25)
    assert [row[0] for row in csv.reader(path.read_text().splitlines())] == ["epoch", "1", "1", "2"]
    with pytest.raises(ConfigError, match="has the columns"):
        fit([nn.CSVLog(path, append=True)])


def test_a_csv_file_that_cannot_be_written(tmp_path):
    model = network()
    with pytest.raises(OSError, match="nowhere"):
        fit([nn.CSVLog(tmp_path / "nowhere" / "log.csv")], model)
    assert len(model.history) == 0


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: nn.EarlyStopping(patience=-1), "patience=-1"),
        (lambda: nn.EarlyStopping(patience=1.5), "patience=1.5"),
        (lambda: nn.EarlyStopping(min_delta=-1), "min_delta=-1"),
        (lambda: nn.EarlyStopping(mode="up"), "mode='up'"),
        (lambda: nn.ReduceOnPlateau(factor=1), "factor=1"),
        (lambda: nn.Checkpoint("a", every=0), "every=0"),
        (lambda: nn.LearningRateSchedule(0.1), "is no function"),
    ],
)
def test_settings_that_are_none(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    "callback, message",
    [
        (nn.EarlyStopping(), "EarlyStopping watches 'val_loss'; .*give fit validation_split"),
        (nn.EarlyStopping("accurcy"), "watches 'accurcy'; there will be loss, accuracy, learning_"),
        (nn.ReduceOnPlateau("val_accuracy"), "ReduceOnPlateau watches 'val_accuracy'"),
    ],
)
def test_what_is_watched_must_be_there(callback, message):
    model = network()
    with pytest.raises(ConfigError, match=message):
        fit([callback], model)
    assert len(model.history) == 0


def test_an_array_cannot_be_watched():
    with pytest.raises(ConfigError, match=r"confusion_matrix is an array \(3, 3\)"):
        fit([nn.EarlyStopping("confusion_matrix")], network(metrics=["confusion_matrix"]))


def test_errors_of_callbacks_come_through_and_the_model_goes_on():
    def broken(epoch, logs):
        raise KeyError("mine")

    model = network()
    with pytest.raises(KeyError, match="mine"):
        fit([broken], model)
    assert len(model.history) == 1 and len(fit([], model)) == 4
