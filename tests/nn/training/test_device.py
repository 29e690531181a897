"""Training on a device: the same as on the host, and parameters stay there."""

import os
import signal
import threading

import numpy as np
import pytest

import symnet
from symnet import nn
from symnet.backends.gpu.host import compiler
from symnet.errors import TrainingError

pytestmark = pytest.mark.skipif(
    compiler() is None, reason="the emulated device needs a C++ compiler"
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 6)).astype("float32")
Y = (X[:, 0] > 0).astype("int64") + (X[:, 1] > 0)
FIT = {"batch_size": 32, "epochs": 4, "verbose": 0, "seed": 5}


@pytest.fixture(autouse=True)
def emulated():
    with symnet.config.change(device="emulated"):
        yield


def network(rate=0.01, dropout=0.1):
    model = nn.Sequential(
        [nn.Dense(8, activation="relu"), nn.Dropout(dropout), nn.Dense(3, activation="softmax")],
        seed=1,
        input_shape=6,
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"], learning_rate=rate)
    return model


def fit(model, **more):
    return model.fit(X, Y, **{**FIT, **more})


def same(model, other):
    pairs = zip(model.get_weights(), other.get_weights())
    return all(np.array_equal(a, b) for a, b in pairs)


class Fetched:
    """Which shapes were brought to the host."""

    def __init__(self, monkeypatch):
        self.shapes = []
        seen = symnet.graph.variables.SharedVariable.peek

        def peek(variable):
            if not variable.host_current:
                self.shapes.append(variable.current_shape)
            return seen(variable)

        monkeypatch.setattr(symnet.graph.variables.SharedVariable, "peek", peek)


def test_it_learns_what_the_host_learns():
    here, there = network(), network()
    with symnet.config.change(device="cpu"):
        expected = fit(here, validation_split=0.2)
    found = fit(there, validation_split=0.2)
    assert there._program[1].step(there_examples())[1].device == "emulated"
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(found.logs[name], expected.logs[name], rtol=1e-4, atol=1e-5)
    for a, b in zip(there.get_weights(), here.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(there.predict(X), here.predict(X), rtol=1e-3, atol=1e-5)
    logs, wanted = there.evaluate(X, Y), here.evaluate(X, Y)
    assert logs == pytest.approx(wanted, rel=1e-3)


def there_examples():
    return nn.training.data.Examples([X], [Y])


def test_only_numbers_come_home_while_it_trains(monkeypatch):
    model = network()
    fit(model, epochs=1)
    fetched = Fetched(monkeypatch)
    fit(model, validation_split=0.2)
    model.predict(X)
    model.evaluate(X, Y)
    assert model.count_params() == 6 * 8 + 8 + 8 * 3 + 3
    model.summary()
    assert set(fetched.shapes) == {()}
    assert all(p.remote_current and not p.host_current for p in model.parameters)


@pytest.mark.parametrize("device", ["emulated", "cpu"])
def test_examples_are_put_in_order_where_steps_read_it(device):
    """The orders are those that the random state of before gives, and stay on the device."""
    orders, expected = [], []

    class Look(nn.Callback):
        def on_epoch_begin(self, epoch):
            program = self.trainer.program
            with symnet.config.change(device="cpu"):
                ask = symnet.function([program._count], program._order, no_default_updates=True)
                expected.append(ask(len(X)))

        def on_epoch_end(self, epoch, logs):
            order = self.trainer.feed.order
            away = device != "cpu"
            assert (order.remote_current, order.host_current) == (away, not away)
            orders.append(order.peek().copy())

    with symnet.config.change(device=device):
        fit(network(), callbacks=[Look()])
    assert np.array_equal(orders, expected)
    assert not np.array_equal(orders[0], orders[1])
    assert np.array_equal(np.sort(orders), [np.arange(len(X))] * FIT["epochs"])


def test_devices_may_change_between_calls():
    def trained(devices):
        model, predicted = network(), []
        for k, device in enumerate(devices):
            with symnet.config.change(device=device):
                found = fit(model, epochs=2 * k + 2, initial_epoch=2 * k)
                assert len(found) == 2
            for place in ("cpu", "emulated"):
                with symnet.config.change(device=place):
                    predicted.append(model.predict(X))
        return predicted

    found, expected = trained(["emulated", "cpu", "emulated"]), trained(["cpu"] * 3)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_run_is_equal_to_the_bit(tmp_path, stop):
    whole, first, second = network(), network(), network()
    expected = fit(whole, callbacks=[nn.Checkpoint(tmp_path / "whole")])
    path = tmp_path / "a"
    end = nn.Checkpoint(path)

    class Stop(nn.Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == stop:
                raise KeyboardInterrupt  # before the checkpoint of this epoch

    with pytest.raises(KeyboardInterrupt):
        fit(first, callbacks=[end, Stop()])
    found = fit(second, callbacks=[nn.Checkpoint(path)], resume=True)
    assert same(second, whole)
    assert found.logs["loss"] == expected.logs["loss"]


@pytest.mark.parametrize("stepwise", [False, True])
def test_numbers_that_are_not_finite(stepwise):
    """The same step is found, the same words are said, and the model is as it was before it."""

    class Steps(nn.Callback):
        def on_step_end(self, step, logs):
            pass

    def failed(device):
        model = network()
        kernel = model.parameters[0]
        with symnet.config.change(device=device):
            fit(model, epochs=1)
            kernel.set_value(kernel.get_value() * 1e38)
            before = model.get_weights()
            with pytest.raises(TrainingError) as caught:
                fit(model, epochs=2, callbacks=[Steps()] if stepwise else [])
        after = model.get_weights()
        assert all(np.array_equal(a, b) for a, b in zip(before, after))
        return caught.value

    there, here = failed("emulated"), failed("cpu")
    assert (there.epoch, there.step, there.layer) == (here.epoch, here.step, here.layer)
    assert str(there).split("finite")[0] == str(here).split("finite")[0]


def test_callbacks_see_what_they_see_on_the_host():
    seen = {}

    def run(device):
        class Look(nn.Callback):
            def on_step_end(self, step, logs):
                seen.setdefault(device, []).append(logs["loss"])

            def on_epoch_end(self, epoch, logs):
                seen[device].append(self.trainer.learning_rate)
                seen[device].append(float(np.abs(self.model.get_weights()[0]).sum()))

        model = network()
        with symnet.config.change(device=device):
            best = nn.EarlyStopping("loss", patience=1, restore_best=True)
            plateau = nn.ReduceOnPlateau("loss", patience=1, min_delta=10)
            fit(model, callbacks=[Look(), best, plateau])
        return model

    there, here = run("emulated"), run("cpu")
    np.testing.assert_allclose(seen["emulated"], seen["cpu"], rtol=1e-4)
    for a, b in zip(there.get_weights(), here.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("seconds", [0.0, 0.03, 0.1])
def test_ctrl_c_keeps_the_completed_steps(seconds):
    def plain():
        model = nn.Sequential([nn.Dense(8), nn.Dense(3, activation="softmax")], 0, input_shape=6)
        model.compile("adam", "categorical_crossentropy")
        return model

    ended = threading.Event()

    def press():
        pause = seconds
        while not ended.wait(pause):  # again, for Python drops what is raised in a finalizer
            os.kill(os.getpid(), signal.SIGINT)
            pause = 5.0

    class Press(nn.Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 1:
                threading.Thread(target=press).start()

    model, other = plain(), plain()
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(model, epochs=100_000, callbacks=[Press()], shuffle=False)
    finally:
        ended.set()
    (count,) = (v for v in model._program[1].optimizer_state if v.name == "adam_step")
    done = int(count.get_value())
    assert done >= 4
    fit(other, epochs=done // 4, shuffle=False)
    for k in range(done % 4):
        rows = slice(k * 32, k * 32 + 32)
        other.train_on_batch(X[rows], Y[rows])
    assert same(model, other)
    fit(model, epochs=1)  # it can go on


def test_arrays_on_the_device_are_data():
    model, other = network(), network()
    there = symnet.transfer(X)
    model.fit(there, symnet.transfer(Y), **FIT)
    fit(other)
    assert same(model, other)
    assert np.array_equal(model.predict(there), model.predict(X))


def test_train_on_batch():
    model, other = network(dropout=0), network(dropout=0)  # whose draws nothing seeds
    for _ in range(2):
        found = model.train_on_batch(X, Y)
        with symnet.config.change(device="cpu"):
            expected = other.train_on_batch(X, Y)
        assert found == pytest.approx(expected, rel=1e-4)
    assert model.parameters[0].remote_current


def test_scikit_learns_estimators():
    pytest.importorskip("sklearn")
    from symnet.sklearn import SymnetClassifier

    def fitted(device):
        with symnet.config.change(device=device):
            return SymnetClassifier(max_iter=3, random_state=0).fit(X, Y).predict_proba(X)

    np.testing.assert_allclose(fitted("emulated"), fitted("cpu"), rtol=1e-3, atol=1e-5)
