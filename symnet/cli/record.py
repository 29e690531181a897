"""What `symnet mnist` leaves in its output folder: parameters, history, and a picture."""

import dataclasses
import io
import json
import os
import tempfile
from collections.abc import Sequence
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

    def __init__(self, folder: str | os.PathLike, settings: Settings, source: str):
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
        """The curves: losses over epochs, the training loss also by minibatch, and accuracy."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        numbers = [epoch.number for epoch in self.epochs]
        losses = np.concatenate([epoch.losses for epoch in self.epochs])
        steps = (np.arange(len(losses)) + 1) / len(self.epochs[0].losses)
        axes.plot(steps, losses, color="tab:blue", alpha=0.2, linewidth=0.6)
        training = "training" + (" (with dropout)" if self.settings.dropout else "")
        axes.plot(numbers, [e.loss for e in self.epochs], "o-", color="tab:blue", label=training)
        axes.plot(
            numbers, [e.validation_loss for e in self.epochs], "s-", color="tab:orange",
            label="validation",
        )  # fmt: skip
        axes.set(xlabel="epoch", ylabel="cross-entropy", yscale="log", title=title)
        axes.set_xlim(0, numbers[-1] + 0.2)
        axes.grid(alpha=0.3)
        right = axes.twinx()
        right.plot(
            numbers, [100 * e.validation_accuracy for e in self.epochs], "^:", color="tab:green",
            label="validation accuracy",
        )  # fmt: skip
        right.set_ylabel("validation accuracy in %")
        lines = [*axes.get_lines()[1:], *right.get_lines()]
        axes.legend(lines, [str(drawn.get_label()) for drawn in lines], loc="center right")
        content = io.BytesIO()
        figure.savefig(content, format="png")
        write_whole(self.folder / PICTURE, content.getvalue())
