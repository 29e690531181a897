"""What `symnet mnist` leaves in its output folder: model, checkpoint, history, and pictures."""

import dataclasses
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from symnet import nn
from symnet.cli.settings import CLASSES, Settings
from symnet.data import Digits
from symnet.errors import ConfigError, DataError
from symnet.nn import metrics, plots
from symnet.nn.parameters import write_whole

MODEL, CHECKPOINT, HISTORY = "model.safetensors", "checkpoint.safetensors", "history.json"
PICTURES = LOSS, CONFUSION, MISTAKES, FILTERS = (
    "loss.png", "confusion.png", "mistakes.png", "filters.png",
)  # fmt: skip
ANEW = "leave --resume out to start anew, or name the folder of a run by --output"


def check_folder(folder: Path) -> None:
    """Make the output folder. Errors: ConfigError where no file can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as problem:
        reason = problem.strerror or problem
        raise ConfigError(f"output folder {folder} cannot be written: {reason}") from None


def earlier_settings(folder: Path) -> dict[str, Any]:
    """The settings of the run that a folder holds; none if there is none. Runs of versions that
    knew no other device were on the CPU.

    Errors: DataError for a history that is damaged or of another kind.
    """
    path = folder / HISTORY
    try:
        found = {"device": "cpu", **json.loads(path.read_text("utf-8"))["settings"]}
        known = {field.name for field in dataclasses.fields(Settings)}
        if found.keys() != known:
            raise ValueError(f"settings {sorted(found)}")
        return dict(found)
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise DataError(f"{path}: not a history of `symnet mnist`: {problem!r}; {ANEW}") from None


class Record(nn.Callback):
    """Writes model and history after every epoch. Every file is whole or not there.

    source  what the digits are
    """

    def __init__(self, folder: Path, settings: Settings, source: str):
        self.folder, self.settings, self.source = folder, settings, source
        self.saved: int | None = None  # the epoch whose parameters are in the file

    def on_train_begin(self) -> None:
        if self.trainer.resumed:  # a killed run may have written more than its checkpoint knows
            self._save()

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        self._save()

    def _save(self) -> None:
        self.model.save(self.folder / MODEL)
        self.write_history()
        self.saved = self.trainer.history.epochs[-1]

    def write_history(self, **more: Any) -> None:
        """Settings and epochs, without the losses of single minibatches."""
        history = self.trainer.history
        rows = [
            {
                "number": number,
                "learning_rate": history.logs["learning_rate"][k],
                "loss": history.logs["loss"][k],
                "accuracy": history.logs["accuracy"][k],
                "validation_loss": history.logs["val_loss"][k],
                "validation_accuracy": history.logs["val_accuracy"][k],
                "seconds": history.seconds[k],
                "images_per_second": len(self.trainer.examples) / history.seconds[k],
            }
            for k, number in enumerate(history.epochs)
        ]
        settings = dataclasses.asdict(self.settings)
        content = {"data": self.source, "settings": settings, "epochs": rows, **more}
        write_whole(self.folder / HISTORY, json.dumps(content, indent=1).encode() + b"\n")


def draw(model: Any, settings: Settings, digits: Digits, folder: Path, title: str) -> Iterator[str]:
    """Draw what a trained model does, picture by picture; gives their names."""
    model.history.plot(folder / LOSS, title=title)
    yield LOSS
    labels = digits.test_labels.astype(np.int64)
    probabilities = model.predict(digits.test_images)
    found = metrics.confusion(labels, probabilities, CLASSES)
    plots.confusion(found, folder / CONFUSION, title=title)
    yield CONFUSION
    plots.mistakes(digits.test_images, labels, probabilities, folder / MISTAKES)
    yield MISTAKES
    first = next(layer for layer in model.layers if isinstance(layer, nn.Dense))
    weights, shape = first.kernel.get_value(borrow=True), digits.test_images.shape[1:]
    units = "classes, 0 to 9 row by row" if settings.model == "logistic" else "hidden units"
    shown = min(100, weights.shape[1])
    which = f"the {shown} strongest of " if shown < weights.shape[1] else ""
    plots.filters(
        weights, folder / FILTERS, shape=shape, count=shown,
        title=f"weights of {which}{weights.shape[1]} {units}",
    )  # fmt: skip
    yield FILTERS
