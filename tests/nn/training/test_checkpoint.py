"""Checkpoints: going on to the bit, and refusing what is not the same run."""

import functools
import importlib.util
import json
import os
import resource
import stat
from pathlib import Path

import numpy as np
import pytest

import symnet
from symnet import nn
from symnet.errors import ConfigError, DataError
from symnet.nn.parameters import read_parameters_and_metadata, save_parameters
from symnet.nn.training import checkpoint

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5)).astype("float32")
Y = RNG.integers(0, 3, 60)


def network(**settings):
    model = nn.Sequential(
        [nn.Dense(8, activation="relu"), nn.Dropout(0.3), nn.Dense(3, activation="softmax")],
        seed=settings.pop("seed", 0),
    )
    settings = {
        "optimizer": "adam",
        "learning_rate": 0.001,
        "metrics": ["accuracy", "confusion_matrix"],
        **settings,
    }
    model.compile(loss="categorical_crossentropy", **settings)
    return model


def fit(model, path, epochs, callbacks=(), resume=True, **more):
    kept = nn.Checkpoint(path) if path else None
    more = {"batch_size": 16, "seed": 2, "verbose": 0, "validation_split": 0.2, **more}
    x, y = more.pop("x", X), more.pop("y", Y)
    listed = [*callbacks, *([kept] if kept else [])]
    return model.fit(x, y, epochs=epochs, callbacks=listed, resume=resume if kept else None, **more)


def equal(a, b):
    """Everything a run leaves: parameters, the optimizer's state, random state, history."""
    mine, theirs = a._program[1].trained(), b._program[1].trained()
    arrays = all(np.array_equal(mine[n].storage, theirs[n].storage) for n in mine)
    steps = all(map(np.array_equal, a.history.steps, b.history.steps))
    return arrays and steps and logs(a) == logs(b) and a.history.epochs == b.history.epochs


def logs(model):
    return json.loads(model.history.to_json())["logs"]


@pytest.mark.parametrize("stops", [[1], [3, 4], [2, 2, 5], [6, 6]])
def test_a_resumed_run_is_the_undisturbed_one(tmp_path, stops):
    def callbacks():
        return [
            nn.EarlyStopping("loss", patience=9, restore_best=True),
            nn.ReduceOnPlateau("val_loss", patience=1, factor=0.5, min_delta=0.05),
        ]

    whole = network()
    fit(whole, None, 6, callbacks())
    for stop in [*stops, 6]:
        part = network()
        history = fit(part, tmp_path / "run.ckpt", stop, callbacks())
        assert history.epochs == list(range(1, stop + 1))
    assert equal(part, whole)
    assert os.listdir(tmp_path) == ["run.ckpt"]


def test_other_initial_values_do_not_matter(tmp_path):
    fit(network(seed=None), tmp_path / "a", 2)
    one, two = network(seed=None), network(seed=None)
    fit(one, tmp_path / "a", 2)
    fit(two, tmp_path / "a", 2)
    assert equal(one, two)


def test_a_run_that_stopped_early_has_stopped(tmp_path):
    def stopping():
        return nn.EarlyStopping("loss", patience=1, min_delta=10.0, restore_best=True)

    first = network()
    fit(first, tmp_path / "a", 9, [stopping()])
    again = network()
    callback = stopping()
    history = fit(again, tmp_path / "a", 9, [callback])
    assert history.epochs == [1, 2] and callback.stopped_epoch == 2 and callback.best_epoch == 1
    for a, b in zip(first.get_weights(), again.get_weights()):
        assert np.array_equal(a, b)


def test_schedules_go_on(tmp_path):
    def net():
        return network(learning_rate=nn.schedules.cosine(0.01, 0.0, 4))

    whole = net()
    fit(whole, None, 4)
    for stop in (1, 3, 4):
        part = net()
        fit(part, tmp_path / "a", stop)
    assert equal(part, whole)


def test_the_csv_log_goes_on(tmp_path):
    def log(name):
        return nn.CSVLog(tmp_path / name)

    fit(network(), None, 4, [log("whole.csv")])
    fit(network(), tmp_path / "a", 3, [log("part.csv")])
    with open(tmp_path / "part.csv", "a") as file:
        file.write("4,made after the checkpoint\n")
    fit(network(), tmp_path / "a", 4, [log("part.csv")])
    assert (tmp_path / "part.csv").read_text() == (tmp_path / "whole.csv").read_text()


def test_by_path_and_without_a_file(tmp_path):
    whole = network()
    fit(whole, None, 3)
    path = tmp_path / "a"
    fresh = network()
    fit(fresh, path, 3, resume=path)
    assert equal(fresh, whole)
    again = network()
    history = again.fit(
        X, Y, epochs=3, batch_size=16, seed=2, verbose=0, validation_split=0.2, resume=str(path)
    )
    assert history.epochs == [1, 2, 3] and equal(again, whole)
    anew = network()
    fit(anew, path, 1, resume=False)
    assert anew.history.epochs == [1]


def test_numbers_of_numpy_are_in_the_file(tmp_path):
    model = network(clip_norm=np.float32(1), learning_rate=np.float32(0.01))
    path = tmp_path / "run"
    fit(model, path, np.int64(1), seed=np.int64(3))
    again = network(clip_norm=1.0, learning_rate=np.float32(0.01))
    fit(again, path, 2, seed=3)
    assert again.history.epochs == [1, 2]


def test_every_and_best_only(tmp_path):
    model = network()
    path = tmp_path / "a"
    seen = {}

    def look(epoch, logs):
        seen[epoch] = checkpoint.read(path).history.epochs[-1] if path.exists() else 0

    class Late(nn.Checkpoint):
        def on_epoch_end(self, epoch, logs):
            super().on_epoch_end(epoch, logs)
            look(epoch, logs)

    model.fit(
        X, Y, epochs=5, verbose=0, seed=0, batch_size=20, callbacks=[Late(path, every=2)]
    )  # fmt: skip
    assert seen == {1: 0, 2: 2, 3: 2, 4: 4, 5: 5}
    path.unlink()
    best = Late(path, monitor="loss", best_only=True, mode="max")
    history = model.fit(X, Y, epochs=5, verbose=0, seed=0, batch_size=20, callbacks=[best])
    losses = history.logs["loss"]
    assert seen == {k + 1: int(np.argmax(losses[: k + 1])) + 1 for k in range(5)}


@pytest.mark.parametrize(
    "change, named",
    [
        ({"batch_size": 15}, r"batch_size \(16, now 15\)"),
        ({"seed": 3}, r"seed \(2, now 3\)"),
        ({"shuffle": False}, r"shuffle \(True, now False\)"),
        ({"x": X + 1}, "digest of the inputs"),
        ({"y": (Y + 1) % 3}, "digest of the targets"),
        ({"x": X[:50], "y": Y[:50]}, r"examples \(48, now 40\)"),
        ({"sample_weight": np.ones(60)}, "digest of the weights"),
        ({"validation_split": 0.25}, "digest of the validation inputs"),
    ],
)
def test_another_run_is_refused_and_nothing_changes(tmp_path, change, named):
    fit(network(), tmp_path / "a", 1)
    content = (tmp_path / "a").read_bytes()
    model = network()
    model.build([(None, 5)])
    before = model.get_weights()
    with pytest.raises(DataError, match=f"another run; what differs: .*{named}"):
        fit(model, tmp_path / "a", 2, **change)
    assert all(map(np.array_equal, before, model.get_weights()))
    assert (tmp_path / "a").read_bytes() == content


@pytest.mark.parametrize(
    "other, named",
    [
        (lambda: network(optimizer="sgd"), r"optimizer \(adam, now sgd\)"),
        (lambda: network(learning_rate=0.5), r"learning_rate \(0.001, now 0.5\)"),
        (lambda: network(clip_norm=1.0), r"clip_norm \(None, now 1.0\)"),
        (lambda: network(metrics=[]), "metrics"),
    ],
)
def test_other_settings_are_refused(tmp_path, other, named):
    fit(network(), tmp_path / "a", 1)
    with pytest.raises(DataError, match=named):
        fit(other(), tmp_path / "a", 2)


def test_functions_of_ones_own_go_on_and_are_told_apart(tmp_path):
    def compiled(keep=0.5, beta1=0.8, own=True):
        def mine(gradients, parameters, learning_rate, keep=0.9):  # another object every time
            return nn.momentum(gradients, parameters, learning_rate, momentum=keep)

        def entropy(p, t):
            return nn.losses.categorical_crossentropy(p, t)

        model = network()
        theirs = functools.partial(nn.adam, beta1=beta1)
        rule = functools.partial(mine, keep=keep) if own else theirs
        model.compile(rule, entropy, metrics=[entropy], learning_rate=0.01)
        return model

    for own in (True, False):
        path = tmp_path / str(own)
        fit(compiled(own=own), path, 1)
        assert fit(compiled(own=own), path, 2).epochs == [1, 2]
        with pytest.raises(DataError, match="what differs: optimizer"):
            fit(compiled(keep=0.6, beta1=0.7, own=own), path, 3)


def test_another_architecture_is_refused(tmp_path):
    fit(network(), tmp_path / "a", 1)
    other = nn.Sequential([nn.Dense(3, activation="softmax")])
    other.compile("adam", "categorical_crossentropy", ["accuracy", "confusion_matrix"])
    with pytest.raises(DataError, match="what differs: model"):
        fit(other, tmp_path / "a", 2)


def test_a_callback_that_is_missing_is_named(tmp_path):
    fit(network(), tmp_path / "a", 1, [nn.EarlyStopping()])
    with pytest.raises(DataError, match="state of a callback EarlyStopping, which is not given"):
        fit(network(), tmp_path / "a", 2)
    fit(network(), tmp_path / "a", 2, [print_nothing, nn.EarlyStopping()])  # a new one starts


def print_nothing(epoch, logs):
    pass


@pytest.mark.parametrize("size", [0, 7, 100, 2000, -1])
def test_a_truncated_file_is_refused(tmp_path, size):
    path = tmp_path / "a"
    fit(network(), path, 1)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match="no whole safetensors file"):
        fit(network(), path, 2)


def test_files_that_are_no_checkpoint(tmp_path):
    model = network()
    model.build([(None, 5)])
    path = tmp_path / "a"
    model.save(path)
    with pytest.raises(DataError, match=r"no checkpoint of training: its format is 'symnet.model'"):
        fit(network(), path, 2)
    save_parameters(path, model.parameters)
    with pytest.raises(DataError, match="its format is not stated"):
        fit(network(), path, 2)
    about = {"format": "symnet.checkpoint", "version": "7", "run": "{}"}
    save_parameters(path, model.parameters, about)
    with pytest.raises(DataError, match="version '7'; this symnet reads version '1'"):
        fit(network(), path, 2)
    for text in ("{}", "[]", "no JSON", '{"settings": 1, "history": 2}'):
        save_parameters(path, model.parameters, {**about, "version": "1", "run": text})
        with pytest.raises(DataError, match="damaged"):
            fit(network(), path, 2)
    path.write_bytes(b"pickled?" * 50)
    with pytest.raises(DataError, match="no whole safetensors file"):
        fit(network(), path, 2)


def test_arrays_that_are_missing_or_of_other_shapes(tmp_path):
    path = tmp_path / "a"
    fit(network(), path, 1)
    contents = checkpoint.read(path)
    name = "dense.kernel"
    kernel = contents.values.pop(name)
    checkpoint.write(path, contents)
    with pytest.raises(DataError, match=f"holds no {name}"):
        fit(network(), path, 2)
    contents.values[name] = kernel[:-1]
    contents.values["more"] = kernel
    checkpoint.write(path, contents)
    with pytest.raises(DataError, match=r"float32\(4, 8\), expected float32\(5, 8\)") as caught:
        fit(network(), path, 2)
    assert "holds more, which nobody asked for" in str(caught.value)


def test_long_histories_do_not_make_many_arrays(tmp_path):
    path = tmp_path / "a"
    fit(network(), path, 1)
    arrays = nn.read_parameters(path)
    fit(network(), path, 9)
    assert nn.read_parameters(path).keys() == arrays.keys()


@pytest.mark.parametrize("lengths", [[3], [3, 1], [4, -1], ["3"], [1.5, 1.5], None, []])
def test_losses_of_steps_that_are_not_all_there(tmp_path, lengths):
    path = tmp_path / "a"
    fit(network(), path, 1)  # 48 examples in minibatches of 16
    values, texts = read_parameters_and_metadata(path)
    about = json.loads(texts["run"])
    assert about["steps"] == [3]
    about["steps"] = lengths
    variables = {name: symnet.shared(value) for name, value in values.items()}
    save_parameters(path, variables, {**texts, "run": json.dumps(about)})
    if lengths == [3]:
        fit(network(), path, 2)
        return
    model = network()
    with pytest.raises(DataError, match="damaged"):
        fit(model, path, 2)
    assert model.history is None


def test_a_folder_that_is_not_there_is_found_first(tmp_path):
    model = network()
    with pytest.raises(FileNotFoundError, match="the checkpoint's folder does not exist"):
        fit(model, tmp_path / "none" / "a", 1)
    assert len(model.history) == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_found_first(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(PermissionError, match="cannot be written"):
        fit(network(), tmp_path / "a", 1)


def test_a_full_disk_leaves_the_file_before(tmp_path):
    """The limit on the size of files stands for it: a write beyond fails."""
    path = tmp_path / "a"
    fit(network(), path, 1)
    content = path.read_bytes()
    model = network()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) // 2, hard))
    try:
        with pytest.raises(OSError, match=str(path)):
            fit(model, path, 3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == content and os.listdir(tmp_path) == ["a"]
    assert model.history.epochs == [1, 2]  # the model keeps what it learned
    fit(network(), path, 3)


def test_what_a_killed_run_left_is_removed(tmp_path):
    (tmp_path / ".a.12345678").write_bytes(b"half a file")
    (tmp_path / ".a.other").write_bytes(b"somebody's")
    fit(network(), tmp_path / "a", 1)
    assert sorted(os.listdir(tmp_path)) == [".a.other", "a"]


def test_a_watched_name_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"Checkpoint watches 'val_loss'.*give fit validation"):
        network().fit(X, Y, verbose=0, callbacks=[nn.Checkpoint(tmp_path / "a", best_only=True)])


def test_killed_and_resumed():
    path = Path(__file__).with_name("kill_and_resume.py")
    spec = importlib.util.spec_from_file_location("kill_and_resume", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    undisturbed, resumed = script.run(3)
    assert resumed == undisturbed
