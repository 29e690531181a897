"""`symnet mnist` on small data: results, files, seeds, bad input, interrupts."""

import functools
import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

import symnet.cli.mnist
from symnet.cli.mnist import _parser
from symnet.cli.network import LEARNING_RATES, OPTIMIZERS, Settings, Training
from symnet.cli.record import Record
from symnet.nn import read_parameters

SMALL = ("--hidden", 20, "--batch-size", 64, "--epochs", 3)


def forward(parameters, images):
    """Class scores by NumPy, in float64."""
    W1, b1, W2, b2 = (
        parameters[f"{layer}.{what}"].astype("float64")
        for layer in ("hidden", "output")
        for what in ("weights", "bias")
    )
    return np.maximum(images @ W1 + b1, 0) @ W2 + b2


def halves(digits):
    """Training and validation data, as the command divides them."""
    images, labels = digits.train_images, digits.train_labels
    return (images[:605], labels[:605]), (images[605:], labels[605:])


# ---- results


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_learns_and_its_numbers_are_those_of_its_parameters(
    run, data, digits, tmp_path, optimizer
):
    status, out, err = run(
        "mnist", *SMALL, "--data", data, "--output", tmp_path, "--optimizer", optimizer,
        "--learning-rate", {"sgd": 0.2, "momentum": 0.05, "adam": 0.01}[optimizer],
    )  # fmt: skip
    assert (status, err) == (0, "")
    lines = out.splitlines()
    accuracy = float(re.fullmatch(r"test accuracy (\d+\.\d\d)%", lines[-1])[1])
    rows = [line for line in lines if line.startswith("epoch")]
    assert len(rows) == 3
    assert re.fullmatch(
        r"epoch 1/3  loss \d\.\d{4}  validation accuracy \d+\.\d\d%  \d+ images/s", rows[0]
    )

    parameters = read_parameters(tmp_path / "parameters.safetensors")
    x, y, test_x, test_y = digits.flat("float64")
    right = forward(parameters, test_x).argmax(1) == test_y
    assert accuracy == round(100 * right.mean(), 2) > 50
    history = json.loads((tmp_path / "history.json").read_text())
    assert history["test_accuracy"] == right.mean()
    last = history["epochs"][-1]
    assert last["validation_accuracy"] == np.mean(forward(parameters, x[605:]).argmax(1) == y[605:])
    losses = [epoch["loss"] for epoch in history["epochs"]]
    assert losses == sorted(losses, reverse=True)
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "history.json", "loss.png", "parameters.safetensors",
    ]  # fmt: skip


@pytest.mark.parametrize("size", [64, 100, 605])
def test_an_epoch_is_that_of_numpy(digits, size):
    """Every image once, in the order drawn, the last minibatch with what is left."""
    x, y, _, _ = digits.flat()
    settings = Settings(hidden=12, optimizer="sgd", learning_rate=0.1, batch_size=size, dropout=0)
    training = Training(settings, *halves(digits))
    parameters = {p.name: p.get_value().astype("float64") for p in training.parameters}
    W1, b1, W2, b2 = parameters.values()
    epoch = training.epoch(1)
    order = training.order.get_value()
    assert sorted(order) == list(range(605))
    assert (order != np.arange(605)).any()

    losses, shares = [], []
    for start in range(0, 605, size):
        rows = order[start : start + size]
        inputs, classes = x[rows].astype("float64"), y[rows]
        h = np.maximum(inputs @ W1 + b1, 0)
        p = np.exp(h @ W2 + b2)
        p /= p.sum(1, keepdims=True)
        losses.append(-np.log(p[np.arange(len(rows)), classes]).mean())
        shares.append(len(rows) / 605)
        d = (p - np.eye(10)[classes]) / len(rows)
        dh = d @ W2.T * (h > 0)
        for parameter, gradient in ((W1, inputs.T @ dh), (b1, dh.sum(0)), (W2, h.T @ d)):
            parameter -= 0.1 * gradient
        b2 -= 0.1 * d.sum(0)
    np.testing.assert_allclose(epoch.losses, losses, rtol=1e-5)
    np.testing.assert_allclose(epoch.loss, np.dot(losses, shares), rtol=1e-6)
    np.testing.assert_allclose(training.loss_so_far, sum(losses), rtol=1e-5)
    for parameter in training.parameters:
        np.testing.assert_allclose(
            parameter.get_value(), parameters[parameter.name], rtol=1e-4, atol=1e-6
        )


def test_the_learning_rate_falls_linearly(digits):
    settings = Settings(hidden=4, optimizer="sgd", learning_rate=0.5, epochs=4, batch_size=605)
    training = Training(settings, *halves(digits))
    assert [training.epoch(k).learning_rate for k in (1, 2, 3, 4)] == [0.5, 0.375, 0.25, 0.125]


def test_a_seed_gives_the_same_bits(run, data, tmp_path):
    def result(seed, name):
        folder = tmp_path / name
        arguments = (*SMALL, "--dropout", 0.3, "--threads", 2, "--seed", seed)
        assert run("mnist", *arguments, "--data", data, "--output", folder)[0] == 0
        history = json.loads((folder / "history.json").read_text())
        losses = [(e["loss"], e["validation_loss"]) for e in history["epochs"]]
        return (folder / "parameters.safetensors").read_bytes(), losses

    first, again, other = result(7, "a"), result(7, "b"), result(8, "c")
    assert first == again
    assert first[1] != other[1]


def test_threads_are_those_asked_for(run, data, tmp_path):
    common = ("mnist", *SMALL, "--data", data, "--output", tmp_path)
    assert "for 1 thread\n" in run(*common, "--threads", 1)[1]
    assert "for 3 threads\n" in run(*common, "--threads", 3)[1]
    assert symnet.config.threads == 0


def test_without_mnist_the_last_line_says_so(run, monkeypatch, tmp_path):
    small = functools.partial(symnet.cli.mnist.mnist, synthetic_sizes=(660, 200))
    monkeypatch.setattr(symnet.cli.mnist, "mnist", small)
    monkeypatch.setattr("symnet.data.digits.cache_folder", lambda: tmp_path / "none")
    monkeypatch.setenv("SYMNET_OFFLINE", "1")
    monkeypatch.delenv("SYMNET_DATA", raising=False)
    status, out, err = run("mnist", *SMALL, "--output", tmp_path)
    assert status == 0
    assert "NOT MNIST" in err
    last = out.splitlines()[-1]
    assert re.fullmatch(r"test accuracy \d+\.\d\d% \(synthetic digits, not MNIST\)", last)


@pytest.mark.skipif("SYMNET_DATA" not in os.environ, reason="needs MNIST: set SYMNET_DATA")
def test_the_defaults_reach_what_the_readme_promises(run, tmp_path):
    status, out, _ = run("mnist", "--output", tmp_path)
    assert status == 0
    assert _parser().parse_args([]).epochs <= 10
    assert float(re.fullmatch(r"test accuracy (\d+\.\d\d)%", out.splitlines()[-1])[1]) >= 98.2


# ---- bad input


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--optimizer", "newton"], "newton"),
        (["--hidden", "0"], "--hidden: 0 is less than 1"),
        (["--hidden", "-5"], "--hidden: -5 is less than 1"),
        (["--hidden", "many"], "'many' is not a whole number"),
        (["--epochs", "0"], "--epochs"),
        (["--batch-size", "-1"], "--batch-size"),
        (["--threads", "0"], "--threads"),
        (["--seed", "-1"], "--seed"),
        (["--learning-rate", "0"], "0 is not above 0"),
        (["--learning-rate", "nan"], "--learning-rate: nan"),
        (["--learning-rate", "fast"], "'fast' is not a number"),
        (["--dropout", "1"], "1 is not from 0 to below 1"),
        (["--batch-size", "606"], "batch size 606: there are only 605 images"),
        (["--data", "/no/such/folder"], "/no/such/folder: no MNIST files"),
    ],
)
def test_bad_arguments(run, data, tmp_path, arguments, message):
    status, out, err = run("mnist", "--data", data, "--output", tmp_path / "out", *arguments)
    assert status == 2
    assert message in err
    assert "epoch" not in out
    assert not (tmp_path / "out" / "parameters.safetensors").exists()


def test_an_output_folder_that_cannot_be_written_is_found_first(run, monkeypatch, data, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(symnet.cli.mnist, "mnist", lambda _: pytest.fail("data were read"))
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        status, _, err = run("mnist", *SMALL, "--data", data, "--output", folder)
        assert status == 2
        assert re.fullmatch(r"symnet: output folder .*file.* cannot be written: .*\n", err)


def test_missing_packages_are_named_before_anything_is_done(run, data, tmp_path, monkeypatch):
    for name in ("matplotlib", "safetensors"):
        monkeypatch.setitem(sys.modules, name, None)
    output = tmp_path / "out"
    assert run("mnist", *SMALL, "--data", data, "--output", output) == (
        2, "", "symnet: symnet mnist needs matplotlib, safetensors: pip install 'symnet[cli]'\n",
    )  # fmt: skip
    assert not output.exists()


def test_a_home_that_cannot_be_written(data, tmp_path):
    home = tmp_path / "home"
    home.write_text("a file, so that nothing can be made in it")
    environment = {k: v for k, v in os.environ.items() if k[:3] not in ("XDG", "MPL")}
    environment |= {"HOME": str(home), "TMPDIR": str(tmp_path)}
    environment.setdefault("SYMNET_CACHE", str(tmp_path / "cache"))
    arguments = [*map(str, SMALL), "--data", data, "--output", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "symnet", "mnist", *arguments],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "loss.png").exists()
    assert not list(tmp_path.glob("symnet-*"))


def test_a_full_disk_is_named(run, data, tmp_path, monkeypatch):
    def full(handle, mode):
        os.close(handle)
        return open("/dev/full", mode)

    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    monkeypatch.setattr(os, "fdopen", full)
    status, _, err = run("mnist", *SMALL, "--data", data, "--output", tmp_path)
    assert status == 2
    named = tmp_path / "parameters.safetensors"
    assert err == f"symnet: [Errno 28] No space left on device: '{named}'\n"
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_lost_ends_the_run_and_keeps_what_was_saved(run, data, tmp_path):
    status, out, err = run(
        "mnist", *SMALL, "--data", data, "--output", tmp_path, "--optimizer", "sgd",
        "--learning-rate", "1e30",
    )  # fmt: skip
    assert status == 2
    assert re.search(r"loss became \w+ in epoch 1: the learning rate 1e\+30 is too high", err)
    assert "test accuracy" not in out


# ---- interrupts and terminals

STARTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests' parent ignores
from symnet.cli import main
sys.exit(main(sys.argv[1:]))
"""


def start(*arguments, **how):
    command = [sys.executable, "-c", STARTED, "mnist", *map(str, arguments)]
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **how}
    return subprocess.Popen(command, **how)


def test_ctrl_c_keeps_the_last_whole_epoch(data, tmp_path):
    process = start(
        "--data", data, "--output", tmp_path, "--epochs", 10**6, "--hidden", 300,
        "--batch-size", 4, "--learning-rate", 0.001,
    )  # fmt: skip
    for line in process.stdout:
        if line.startswith("epoch") and line.split()[1].startswith("2/"):
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    found = re.fullmatch(r"symnet: interrupted; the parameters of epoch (\d+) are in (.*)\n", err)
    assert found, err
    history = json.loads((tmp_path / "history.json").read_text())
    assert int(found[1]) == history["epochs"][-1]["number"] >= 2
    assert read_parameters(found[2])["hidden.weights"].shape == (784, 300)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["history.json", "parameters.safetensors"]


def test_ctrl_c_in_the_first_epoch(data, tmp_path):
    process = start(
        "--data", data, "--output", tmp_path, "--hidden", 20000, "--batch-size", 1, "--threads", 1
    )  # an epoch of many seconds
    assert "compiled" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "symnet: interrupted before the first epoch was complete; nothing was saved\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals")
def test_on_a_terminal_there_is_a_bar(data, tmp_path):
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = start(
        "--data", data, "--output", tmp_path, *SMALL, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    shown = b""
    try:
        while block := os.read(ours, 1 << 16):
            shown += block
    except OSError:  # Linux's way to say that the other side is closed
        pass
    os.close(ours)
    assert process.wait(timeout=30) == 0
    text = shown.decode()
    assert "\N{BOX DRAWINGS HEAVY HORIZONTAL}" in text
    assert re.search(
        r"epoch 2/3 .*loss \d\.\d{4}  validation accuracy \d+\.\d\d%  \d+ images/s", text
    )
    assert re.search(r"\ntest accuracy \d+\.\d\d%\r?\n$", text)


# ---- what is kept


def test_every_setting_has_its_option():
    given = vars(_parser().parse_args([]))
    settings = Settings()
    assert LEARNING_RATES.keys() == OPTIMIZERS.keys()
    for name in ("hidden", "optimizer", "epochs", "batch_size", "dropout", "seed"):
        assert given[name] == getattr(settings, name)
    assert settings.learning_rate == LEARNING_RATES[settings.optimizer]


def test_the_record_of_one_epoch_can_be_drawn(tmp_path, digits):
    settings = Settings(hidden=4, epochs=1, batch_size=605)
    training = Training(settings, *halves(digits))
    record = Record(tmp_path, settings, "drawn")
    record.add(training.epoch(1), training.parameters, training.layers)
    record.draw("one epoch")
    assert (tmp_path / "loss.png").stat().st_size > 5000
