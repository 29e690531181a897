"""`symnet mnist` on small data: results, files, seeds, bad input, interrupts."""

import dataclasses
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
from symnet import nn
from symnet.cli.mnist import _parser
from symnet.cli.progress import Watched
from symnet.cli.record import PICTURES, Record, draw
from symnet.cli.settings import LEARNING_RATES, Settings, build
from symnet.function import function
from symnet.nn import read_parameters
from symnet.tensor.shared_randomstreams import RandomStreams

SMALL_RATES = {"sgd": 0.2, "momentum": 0.05, "nesterov": 0.05, "adagrad": 0.05, "adadelta": 10}
FILES = [
    "checkpoint.safetensors", "confusion.png", "filters.png", "history.json", "loss.png",
    "mistakes.png", "model.safetensors",
]  # fmt: skip
SMALL = ("--hidden", 20, "--batch-size", 64, "--epochs", 3)


def forward(parameters, images):
    """Class scores by NumPy, in float64."""
    W1, b1, W2, b2 = (
        parameters[f"{layer}.{what}"].astype("float64")
        for layer in ("hidden", "output")
        for what in ("kernel", "bias")
    )
    return np.maximum(images @ W1 + b1, 0) @ W2 + b2


@pytest.fixture
def undrawn(monkeypatch):
    """Pictures take a second, and most tests look at numbers."""
    monkeypatch.setattr(symnet.cli.mnist, "draw", lambda *_: iter(()))


def test_files_and_pictures(run, data, tmp_path):
    status, out, err = run("mnist", *SMALL, "--data", data, "--output", tmp_path)
    assert (status, err) == (0, "")
    assert f"\nmodel, history and pictures are in {tmp_path}\n" in out
    assert sorted(p.name for p in tmp_path.iterdir()) == FILES
    for name in (n for n in FILES if n.endswith("png")):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert nn.load(tmp_path / "model.safetensors").built


def test_logistic_regression(run, undrawn, data, digits, tmp_path):
    common = ("mnist", "--model", "logistic", "--data", data, "--output", tmp_path)
    status, out, _ = run(*common, "--epochs", 5, "--batch-size", 50)
    assert status == 0
    assert out.startswith("network 784-10, momentum, 605 images of MNIST")
    found = read_parameters(tmp_path / "model.safetensors")
    assert found.keys() == {"output.kernel", "output.bias"}
    _, _, x, y = digits.flat("float64")
    right = (x @ found["output.kernel"] + found["output.bias"]).argmax(1) == y
    assert out.endswith(f"test accuracy {100 * right.mean():.2f}%\n")
    assert right.mean() > 0.5


@pytest.mark.parametrize("model", ["mlp", "logistic"])
def test_pictures_are_of_the_run(digits, tmp_path, model):
    settings = Settings(model=model, hidden=7, epochs=2, batch_size=100, dropout=0.5)
    if model == "logistic":
        settings = dataclasses.replace(settings, dropout=0.0)
    network = build(settings, (28, 28))
    x, y = digits.train_images[:600], digits.train_labels[:600]
    network.fit(x, y, epochs=2, verbose=0, validation_split=0.1, seed=0)
    assert list(draw(network, settings, digits, tmp_path, "a title")) == list(PICTURES)
    assert all((tmp_path / name).stat().st_size > 5000 for name in PICTURES)


# ---- results


@pytest.mark.parametrize("optimizer", LEARNING_RATES)
def test_a_run_learns_and_its_numbers_are_those_of_its_parameters(
    run, undrawn, data, digits, tmp_path, optimizer
):
    status, out, err = run(
        "mnist", *SMALL, "--data", data, "--output", tmp_path, "--optimizer", optimizer,
        "--learning-rate", SMALL_RATES.get(optimizer, 0.01),
    )  # fmt: skip
    assert (status, err) == (0, "")
    lines = out.splitlines()
    accuracy = float(re.fullmatch(r"test accuracy (\d+\.\d\d)%", lines[-1])[1])
    rows = [line for line in lines if line.startswith("epoch")]
    assert len(rows) == 3
    assert re.fullmatch(
        r"epoch 1/3  loss \d\.\d{4}  validation accuracy \d+\.\d\d%  \d+ images/s", rows[0]
    )

    parameters = read_parameters(tmp_path / "model.safetensors")
    x, y, test_x, test_y = digits.flat("float64")
    right = forward(parameters, test_x).argmax(1) == test_y
    assert accuracy == round(100 * right.mean(), 2) > 50
    history = json.loads((tmp_path / "history.json").read_text())
    assert history["test_accuracy"] == right.mean()
    last = history["epochs"][-1]
    assert last["validation_accuracy"] == np.mean(forward(parameters, x[605:]).argmax(1) == y[605:])
    losses = [epoch["loss"] for epoch in history["epochs"]]
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("size", [64, 605])
def test_a_run_is_that_of_numpy(run, undrawn, data, digits, tmp_path, size):
    """Every image once per epoch, the last minibatch with what is left, a rate that falls."""
    x, y, _, _ = digits.flat("float64")
    settings = Settings(hidden=12, optimizer="sgd", learning_rate=0.1, epochs=2, batch_size=size)
    model = build(settings, (28, 28))
    W1, b1, W2, b2 = (w.astype("float64") for w in model.get_weights())
    arguments = ("--hidden", 12, "--optimizer", "sgd", "--learning-rate", 0.1, "--epochs", 2)
    output = ("--data", data, "--output", tmp_path, "--batch-size", size)
    assert run("mnist", *arguments, *output)[0] == 0
    random = RandomStreams(settings.seed)
    draw = function([], random.permutation(n=605))

    steps, losses, rates = -(-605 // size), [], []
    for epoch in range(2):
        order, means, shares = draw(), [], []
        assert sorted(order) == list(range(605))
        for step, start in enumerate(range(0, 605, size)):
            rate = 0.1 * (1 - (epoch + step / steps) / 2)
            rows = order[start : start + size]
            inputs, classes = x[rows], y[rows]
            h = np.maximum(inputs @ W1 + b1, 0)
            p = np.exp(h @ W2 + b2)
            p /= p.sum(1, keepdims=True)
            means.append(-np.log(p[np.arange(len(rows)), classes]).mean())
            shares.append(len(rows) / 605)
            d = (p - np.eye(10)[classes]) / len(rows)
            dh = d @ W2.T * (h > 0)
            for parameter, gradient in ((W1, inputs.T @ dh), (b1, dh.sum(0)), (W2, h.T @ d)):
                parameter -= rate * gradient
            b2 -= rate * d.sum(0)
        losses.append(np.dot(means, shares))
        rates.append(rate)
    epochs = json.loads((tmp_path / "history.json").read_text())["epochs"]
    np.testing.assert_allclose([e["loss"] for e in epochs], losses, rtol=1e-5)
    np.testing.assert_allclose([e["learning_rate"] for e in epochs], rates, rtol=1e-6)
    found = read_parameters(tmp_path / "model.safetensors")
    for name, value in (("hidden.kernel", W1), ("output.kernel", W2), ("output.bias", b2)):
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-6)


def test_a_seed_gives_the_same_bits(run, undrawn, data, tmp_path):
    def result(seed, name):
        folder = tmp_path / name
        arguments = (*SMALL, "--dropout", 0.3, "--threads", 2, "--seed", seed)
        assert run("mnist", *arguments, "--data", data, "--output", folder)[0] == 0
        history = json.loads((folder / "history.json").read_text())
        losses = [(e["loss"], e["validation_loss"]) for e in history["epochs"]]
        return (folder / "model.safetensors").read_bytes(), losses

    first, again, other = result(7, "a"), result(7, "b"), result(8, "c")
    assert first == again
    assert first[1] != other[1]


def test_threads_are_those_asked_for(run, undrawn, data, tmp_path):
    common = ("mnist", *SMALL, "--data", data, "--output", tmp_path)
    assert "for 1 thread\n" in run(*common, "--threads", 1)[1]
    assert "for 3 threads\n" in run(*common, "--threads", 3)[1]
    assert symnet.config.threads == 0


def test_without_mnist_the_last_line_says_so(run, undrawn, monkeypatch, tmp_path):
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


def test_dropout_leaves_out_units_and_pixels(digits):
    settings = Settings(hidden=50, dropout=0.5)
    model = build(settings, (28, 28))
    rates = [layer.rate for layer in model.layers if isinstance(layer, nn.Dropout)]
    assert rates == [0.2, 0.5]
    x = nn.Input((28, 28))
    scaled = function([x], model.layers[0](x))
    np.testing.assert_allclose(scaled(np.full((1, 28, 28), 255 * 0.13, "float32")), 0, atol=1e-6)
    assert model.compile_config()["clip_norm"] == 0.25
    assert build(Settings(hidden=50), (28, 28)).compile_config()["clip_norm"] is None


@pytest.mark.parametrize(
    "options, rate",
    [
        ((), 0.2),
        (("--dropout", 0.5), 0.4),
        (("--dropout", 0.5, "--optimizer", "adam"), 0.001),
        (("--dropout", 0.5, "--learning-rate", 0.3), 0.3),
        (("--optimizer", "sgd"), 1.0),
    ],
)
def test_the_usual_learning_rates(options, rate):
    parser = _parser()
    given = parser.parse_args([str(option) for option in options])
    assert symnet.cli.mnist._settings(parser, given).learning_rate == rate


# ---- resuming


def test_a_run_goes_on_exactly(run, undrawn, data, tmp_path):
    """Stopped after an epoch, as by a kill, and resumed: the same bits as without a stop."""
    options = (*SMALL, "--dropout", 0.3, "--optimizer", "adam", "--seed", 3, "--threads", 2)

    def started(folder, *more):
        return run("mnist", *more, "--data", data, "--output", tmp_path / folder)

    whole = started("a", *options)
    assert whole[0] == 0
    with pytest.MonkeyPatch.context() as stop:
        stop.setattr(symnet.cli.progress.Watched, "begin", interrupt_in_epoch(3))
        status, _, err = started("b", *options)
    assert status == 130
    assert "the parameters of epoch 2 are in" in err
    status, out, _ = started("b", "--resume", "--threads", 2)
    assert status == 0
    assert [line[:9] for line in out.splitlines() if line.startswith("epoch")] == ["epoch 3/3"]
    assert out.splitlines()[-1] == whole[1].splitlines()[-1]
    for name in ("model.safetensors", "history.json"):
        a, b = ((tmp_path / folder / name).read_bytes() for folder in "ab")
        assert without_times(a) == without_times(b)

    status, out, _ = started("b", "--resume", "--threads", 2)
    assert status == 0 and "\nepoch" not in out
    assert out.splitlines()[-1] == whole[1].splitlines()[-1]


def interrupt_in_epoch(number):
    begin = symnet.cli.progress.Watched.begin

    def replaced(self, epoch):
        if epoch == number:
            raise KeyboardInterrupt
        begin(self, epoch)

    return replaced


def without_times(content):
    return re.sub(rb'"(seconds|images_per_second)": [\d.e+-]+', b"", content)


def test_resuming_what_was_not_there_starts(run, undrawn, data, tmp_path):
    status, out, _ = run("mnist", *SMALL, "--resume", "--data", data, "--output", tmp_path)
    assert status == 0 and "epoch 1/3" in out


def test_resuming_another_run_is_refused(run, undrawn, data, tmp_path):
    common = ("--data", data, "--output", tmp_path)
    assert run("mnist", *SMALL, *common)[0] == 0
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    for more, what in (
        (("--hidden", 21), "--hidden 20, not 21"),
        (("--optimizer", "adam"), "--optimizer momentum, not adam"),
        (("--epochs", 4), "--epochs 3, not 4"),
        (("--seed", 1, "--batch-size", 9), "--batch-size 64, not 9, --seed 0, not 1"),
    ):
        status, _, err = run("mnist", "--resume", *more, *common)
        assert status == 2
        assert f"the run in {tmp_path} has {what}; it can" in err and err.count("\n") == 1
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"settings": {"hidden": 3}}', "\0"])
def test_resuming_from_a_damaged_history(run, data, tmp_path, text):
    (tmp_path / "history.json").write_text(text)
    status, _, err = run("mnist", "--resume", "--data", data, "--output", tmp_path)
    assert status == 2
    assert re.fullmatch(r"symnet: .*history.json: not a history of `symnet mnist`: .*\n", err)
    assert "leave --resume out" in err
    assert [p.name for p in tmp_path.iterdir()] == ["history.json"]


def test_resuming_from_what_is_no_checkpoint(run, data, tmp_path):
    file = tmp_path / "checkpoint.safetensors"
    file.write_bytes(b"hello")
    status, _, err = run("mnist", "--resume", "--data", data, "--output", tmp_path)
    assert status == 2
    assert err.startswith(f"symnet: {file}: 5 bytes that are no whole safetensors file")
    assert "; leave --resume out" in err and err.count("\n") == 1
    assert file.read_bytes() == b"hello"


# ---- bad input


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--optimizer", "newton"], "newton"),
        (["--hidden", "0"], "--hidden: 0 is less than 1"),
        (["--hidden", "-5"], "--hidden: -5 is less than 1"),
        (["--hidden", "9" * 30], "is more than 2147483647"),
        (["--hidden", "2147483647"], "symnet: not enough memory: "),
        (["--data", ""], "--data: the name of a folder is empty"),
        (["--output", ""], "--output: the name of a folder is empty"),
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
        (["--model", "tree"], "tree"),
        (["--model", "logistic", "--dropout", "0.5"], "logistic regression has no hidden units"),
        (["--data", "/no/such/folder"], "/no/such/folder: no MNIST files"),
    ],
)
def test_bad_arguments(run, data, tmp_path, arguments, message):
    status, out, err = run("mnist", "--data", data, "--output", tmp_path / "out", *arguments)
    assert status == 2
    assert message in err
    assert "epoch" not in out
    assert not (tmp_path / "out" / "model.safetensors").exists()


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
    named = tmp_path / "model.safetensors"
    assert err == f"symnet: {named}: No space left on device\n"
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_lost_ends_the_run_and_keeps_what_was_saved(run, data, tmp_path):
    status, out, err = run(
        "mnist", *SMALL, "--data", data, "--output", tmp_path, "--optimizer", "sgd",
        "--learning-rate", "1e30",
    )  # fmt: skip
    assert status == 2
    assert re.fullmatch(
        r"symnet: the loss became \w+ in epoch 1, step \d of 10: the learning rate 1e\+30 is too "
        r"high\n", err,
    )  # fmt: skip
    assert "test accuracy" not in out


# ---- interrupts and terminals

STARTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests' parent ignores
from symnet.cli import main
sys.exit(main(sys.argv[1:]))
"""


ENDLESS = (
    """
import numpy as np
import symnet.cli.mnist
read = symnet.cli.mnist.mnist
def many(folder):  # so that an epoch takes minutes
    digits = read(folder)
    images, labels = (np.concatenate([a] * 100) for a in digits[:2])
    return digits._replace(train_images=images, train_labels=labels)
symnet.cli.mnist.mnist = many
"""
    + STARTED
)


def start(*arguments, program=STARTED, **how):
    command = [sys.executable, "-c", program, "mnist", *map(str, arguments)]
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
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    found = re.fullmatch(r"symnet: interrupted; the parameters of epoch (\d+) are in (.*)\n", err)
    assert found, err
    history = json.loads((tmp_path / "history.json").read_text())
    assert int(found[1]) == history["epochs"][-1]["number"] >= 2
    assert read_parameters(found[2])["hidden.kernel"].shape == (784, 300)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "checkpoint.safetensors", "history.json", "model.safetensors",
    ]  # fmt: skip


NOTHING = "symnet: interrupted before the first epoch was complete; nothing was saved\n"


def test_ctrl_c_in_the_first_epoch(data, tmp_path):
    process = start(
        "--data", data, "--output", tmp_path, "--hidden", 20000, "--batch-size", 1, "--threads", 1,
        program=ENDLESS,
    )  # fmt: skip
    assert "compiled" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == NOTHING
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def usual_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    "place, name, epoch, saved",
    [
        (symnet.cli.mnist, "mnist", None, None),
        (symnet.cli.mnist, "build", None, None),
        (symnet.cli.mnist, "thread_count", None, None),  # for the opening line
        (Watched, "start", None, None),
        (Watched, "begin", 1, None),
        (Watched, "begin", 3, 2),
        (Watched, "finish", 1, 1),
        (Watched, "finish", 3, 3),
        (Record, "write_history", 1, 1),
        (Record, "write_history", 2, 2),
        (nn.Checkpoint, "on_epoch_end", 2, 2),
        (symnet.cli.mnist, "draw", 3, 3),
    ],
)
def test_ctrl_c_at_every_moment(
    run, usual_ctrl_c, monkeypatch, data, tmp_path, place, name, epoch, saved
):
    """The signal is raised where it could do harm; what was saved is whole and named."""
    original, calls = getattr(place, name), []

    def interrupted(*arguments, **more):
        calls.append(name)
        if epoch is None or len(calls) == epoch or name == "draw":
            signal.raise_signal(signal.SIGINT)
        return original(*arguments, **more)

    monkeypatch.setattr(place, name, interrupted)
    status, out, err = run("mnist", *SMALL, "--data", data, "--output", tmp_path)
    assert status == 130
    assert "test accuracy" not in out
    if saved is None:
        assert err == NOTHING
        assert list(tmp_path.iterdir()) == []
        return
    model = tmp_path / "model.safetensors"
    assert err == f"symnet: interrupted; the parameters of epoch {saved} are in {model}\n"
    assert nn.load(model).built
    history = json.loads((tmp_path / "history.json").read_text())
    assert history["epochs"][-1]["number"] == saved
    monkeypatch.setattr(place, name, original)
    again = ("mnist", "--resume", "--data", data, "--output", tmp_path)
    with monkeypatch.context() as early:
        early.setattr(symnet.cli.mnist, "build", lambda *_: signal.raise_signal(signal.SIGINT))
        status, _, err = run(*again)
    assert status == 130
    assert err == f"symnet: interrupted; what was saved before is in {tmp_path} as it was\n"
    monkeypatch.setattr(symnet.cli.mnist, "draw", lambda *_: iter(()))
    assert run(*again)[0] == 0


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
    for field in dataclasses.fields(Settings):
        if field.name != "learning_rate":
            assert given[field.name] == getattr(settings, field.name)
    assert settings.learning_rate == LEARNING_RATES[settings.optimizer]
    assert LEARNING_RATES.keys() == set(nn.names.names_of("optimizer"))
