"""What `symnet mnist` leaves in its output folder: parameters, history, and a picture."""

import contextlib
import dataclasses
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from symnet.cli.network import Epoch, Settings
from symnet.errors import ConfigError
from symnet.nn.parameters import save_parameters, write_whole

PARAMETERS, HISTORY, PICTURE = "parameters.safetensors", "history.json", "loss.png"


class Record:
    """The output folder. Every file is written whole or not at all.

    Raises ConfigError where the folder cannot be written, before anything else is done.
    """

    def __init__(self, folder: str | os.PathLike, settings: Settings, source: str = ""):
        self.folder = Path(folder)
        self.settings = settings
        self.source = source
        self.epochs: list[Epoch] = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                pass
        except OSError as problem:
            reason = problem.strerror or problem
            raise ConfigError(f"output folder {self.folder} cannot be written: {reason}") from None

    def add(self, epoch: Epoch, parameters: Sequence[Any], layers: Sequence[int]) -> None:
        """Keep an epoch and write parameters and history."""
        self.epochs.append(epoch)
        about = {
            "network": "-".join(map(str, layers)),
            "epoch": str(epoch.number),
            "data": self.source,
            "settings": json.dumps(dataclasses.asdict(self.settings)),
        }
        save_parameters(self.folder / PARAMETERS, parameters, about)
        self.write_history()

    def write_history(self, **more: Any) -> None:
        """Settings and epochs, without the losses of single minibatches."""
        rows = [dataclasses.asdict(epoch) for epoch in self.epochs]
        for row in rows:
            del row["losses"]
        settings = dataclasses.asdict(self.settings)
        history = {"data": self.source, "settings": settings, "epochs": rows, **more}
        write_whole(self.folder / HISTORY, json.dumps(history, indent=1).encode() + b"\n")

    def draw(self, title: str) -> None:
        """The curves over epochs: losses, that of training also by minibatch; accuracy below."""
        with _matplotlib_at_home():
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure

            self._draw(Figure, FigureCanvasAgg, title)

    def _draw(self, Figure: Any, FigureCanvasAgg: Any, title: str) -> None:
        figure = Figure(figsize=(7, 6.5), dpi=120, layout="constrained")
        FigureCanvasAgg(figure)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        numbers = [epoch.number for epoch in self.epochs]
        losses = [epoch.loss for epoch in self.epochs]
        by_step = np.concatenate([epoch.losses for epoch in self.epochs])
        steps = (np.arange(len(by_step)) + 1) / len(self.epochs[0].losses)
        validation = [epoch.validation_loss for epoch in self.epochs]
        accuracies = [100 * epoch.validation_accuracy for epoch in self.epochs]
        training = "training" + (" (with dropout)" if self.settings.dropout else "")

        above.plot(steps, by_step, color="tab:blue", alpha=0.35, linewidth=0.5, label="minibatches")
        above.plot(numbers, losses, "o-", color="tab:blue", label=training)
        above.plot(numbers, validation, "s-", color="tab:orange", label="validation")
        # single minibatches may be fitted perfectly; they shall not squeeze the curves
        above.set_ylim(bottom=max(0.3 * min(*losses, *validation), 1e-8))
        above.set(ylabel="cross-entropy", yscale="log", title=title)
        above.legend(loc="upper right")
        below.plot(numbers, accuracies, "s-", color="tab:orange", label="validation")
        below.set(xlabel="epoch", ylabel="accuracy in %")
        below.legend(loc="lower right")
        below.xaxis.get_major_locator().set_params(integer=True)
        for axes in (above, below):
            axes.set_xlim(0, numbers[-1] + 0.2)
            axes.grid(alpha=0.3)
        content = io.BytesIO()
        figure.savefig(content, format="png")
        write_whole(self.folder / PICTURE, content.getvalue())


@contextlib.contextmanager
def _matplotlib_at_home() -> Iterator[None]:
    """Where the folders in which matplotlib keeps its settings and its list of fonts cannot be
    written, it is given a temporary one: it would complain, and lines of ours come last."""
    if "MPLCONFIGDIR" in os.environ or all(map(_writable, _matplotlib_folders())):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="symnet-matplotlib-") as folder:
        os.environ["MPLCONFIGDIR"] = folder
        try:
            yield
        finally:
            del os.environ["MPLCONFIGDIR"]


def _matplotlib_folders() -> list[Path]:
    if not sys.platform.startswith(("linux", "freebsd")):
        return [Path(os.path.expanduser("~"), ".matplotlib")]
    homes = (("XDG_CONFIG_HOME", "~/.config"), ("XDG_CACHE_HOME", "~/.cache"))
    return [
        Path(os.environ.get(name) or os.path.expanduser(usual), "matplotlib")
        for name, usual in homes
    ]


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
