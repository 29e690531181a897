"""What fit shows: lines, a bar on a terminal, an output that changes in a notebook, or nothing."""

import io
import itertools
import re
import sys
import types

import numpy as np
import pytest

from symnet import nn
from symnet.backends.cpu.runner import Runner
from symnet.errors import ConfigError
from symnet.nn.training import progress

X = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
Y = np.arange(50) % 3
LINE = r"epoch {}/{}  loss \d\.\d{{4}}  accuracy \d\.\d{{4}}  val_loss \d\.\d{{4}}  " + (
    r"val_accuracy \d\.\d{{4}}  \d+ examples/s"
)


def fit(verbose="auto", epochs=2, x=X, y=Y, **more):
    model = nn.Sequential([nn.Dense(3, activation="softmax")], seed=0)
    model.compile("sgd", "categorical_crossentropy", ["accuracy", "confusion_matrix"])
    model.fit(x, y, epochs=epochs, verbose=verbose, validation_split=0.2, seed=0, **more)
    return model


@pytest.fixture
def often(monkeypatch):
    """The native loop comes back after every step, however fast this machine is."""
    loop = Runner.map
    monkeypatch.setattr(Runner, "map", lambda *arguments: loop(*arguments, limit_ns=-1))


@pytest.mark.parametrize("verbose", ["auto", 2, 1, True])
def test_lines(capsys, verbose):
    fit(verbose)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for k, line in enumerate(lines):
        assert re.fullmatch(LINE.format(k + 1, 2), line)


def test_numbers_of_epochs_are_aligned(capsys):
    fit(2, epochs=10)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("epoch  1/10  ") and lines[9].startswith("epoch 10/10  ")


@pytest.mark.parametrize("verbose", [0, False])
def test_nothing(capsys, verbose):
    fit(verbose)
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_on_a_terminal(monkeypatch, often):
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", Terminal())
    fit("auto", batch_size=1)
    out = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", sys.stdout.getvalue())
    assert re.search(r"epoch 2/2 .*━.* loss \d\.\d{4}  \d+ examples/s", out)
    lines = [
        line for line in re.split(r"[\r\n]+", out) if re.fullmatch(LINE.format(r"\d", 2), line)
    ]
    assert len(lines) == 2


def test_a_terminal_without_rich(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert type(progress.progress("auto")) is progress.Lines


class Shell:
    kernel = object()


def test_a_notebook(monkeypatch, capsys, often):
    """With a stand-in for IPython that notes what is displayed."""
    shown = []

    class Handle:
        def update(self, html):
            shown.append(html)

    def display(html, display_id):
        shown.append(html)
        return Handle()

    module = types.ModuleType("IPython")
    module.get_ipython = Shell
    module.display = types.ModuleType("IPython.display")
    module.display.display, module.display.HTML = display, str
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", module.display)
    fit("auto")
    assert capsys.readouterr().out == ""
    assert shown[0] == "<pre></pre>" and shown[-1].count("epoch") == 2
    assert re.search(LINE.format(2, 2), shown[-1]) and "<progress" not in shown[-1]
    shown.clear()
    ticks = itertools.count()
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(perf_counter=lambda: next(ticks)))
    fit(1, batch_size=1)
    assert any('<progress max="40" value="' in html for html in shown)


def test_ones_own():
    class Mine(nn.Progress):
        def __init__(self):
            self.seen = []

        def start(self, epochs, batches, count):
            super().start(epochs, batches, count)
            self.seen.append((epochs, batches, count))

        def begin(self, epoch):
            self.seen.append(f"begin {epoch}")

        def finish(self, epoch, logs, seconds):
            assert seconds > 0 and "confusion_matrix" in logs
            self.seen.append(f"finish {epoch}")

        def close(self):
            self.seen.append("close")

    mine = Mine()
    fit(mine, batch_size=15)
    assert mine.seen == [(2, 3, 40), "begin 1", "finish 1", "begin 2", "finish 2", "close"]


def test_it_is_closed_after_an_error():
    class Mine(nn.Progress):
        closed = 0

        def close(self):
            self.closed += 1

    def broken(epoch, logs):
        raise KeyError("mine")

    mine = Mine()
    with pytest.raises(KeyError):
        fit(mine, callbacks=[broken])
    assert mine.closed == 1


def test_between_steps_it_is_told_the_mean_loss(often):
    class Mine(nn.Progress):
        seen = ()

        def between(self, steps, loss):
            self.seen = (*self.seen, (steps, loss))

    mine = Mine()
    model = fit(mine, epochs=1, batch_size=1)
    losses = model.history.steps[0]
    assert len(mine.seen) > 1
    for steps, loss in mine.seen:
        assert loss == pytest.approx(losses[:steps].astype("float64").mean(), rel=1e-6)


def test_what_verbose_cannot_be():
    with pytest.raises(ConfigError, match="verbose='loud'"):
        fit("loud")
