"""Callbacks: what else happens while a model is trained.

    model.fit(x, y, callbacks=[nn.EarlyStopping(patience=3), nn.Checkpoint("run.ckpt"), mine])

A callback is an object of a subclass of `Callback`, or a function f(epoch, logs), which may return
True to stop. Epochs are counted from 1. What a callback keeps from epoch to epoch belongs to a
checkpoint: `state` and `restore`.
"""

import csv
import glob
import io
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from symnet.errors import ConfigError
from symnet.nn.parameters import write_whole

Logs = Mapping[str, Any]


class Callback:
    """Base of all callbacks; every method may be left as it is.

    model    the model
    trainer  the running training: `trainer.stop()`, `trainer.learning_rate`, `trainer.history`

    A subclass that has its own `on_step_end` makes the loop over steps one of Python.
    """

    model: Any = None
    trainer: Any = None

    def on_train_begin(self) -> None:
        """Before the first epoch; after a resumed run's state has been restored."""

    def on_train_end(self) -> None:
        """After the last epoch; not after an error."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """After an epoch and its validation; `logs` holds what `History.logs` gets."""

    def on_step_end(self, step: int, logs: Logs) -> None:
        """After a step, counted from 1 within the epoch; logs: {"loss": of its minibatch}."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint is to keep: values that JSON has, and arrays."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""


class FunctionCallback(Callback):
    """A plain function f(epoch, logs), called after each epoch. True stops the training."""

    def __init__(self, function: Callable[[int, Logs], Any]):
        self.function = function

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.function(epoch, logs) is True:
            self.trainer.stop()


def as_callback(given: Any) -> Callback:
    """A callback, or a function as one. Errors: ConfigError."""
    if isinstance(given, Callback):
        return given
    if isinstance(given, type) or not callable(given):
        made = f"; did you mean {given.__name__}()?" if isinstance(given, type) else ""
        raise ConfigError(
            f"callback {given!r:.60} is neither a Callback nor a function f(epoch, logs){made}"
        )
    return FunctionCallback(given)


class _Watching(Callback):
    """A callback that follows one entry of the logs and knows what is better.

    mode  "min", "max", or "auto": accuracies and the like shall grow, the rest shall fall
    """

    def __init__(self, monitor: str, min_delta: float, mode: str):
        if mode not in ("auto", "min", "max"):
            raise ConfigError(f"mode={mode!r}: 'auto', 'min' or 'max' is wanted")
        if not min_delta >= 0:
            raise ConfigError(f"min_delta={min_delta!r}: at least 0 is wanted")
        self.monitor, self.min_delta = monitor, float(min_delta)
        growing = ("acc", "precision", "recall", "f1", "top_", "auc")
        self.growing = mode == "max" or (mode == "auto" and any(g in monitor for g in growing))
        self._forget()

    def _forget(self) -> None:
        """Be as before the first epoch."""
        self.best = -math.inf if self.growing else math.inf

    def on_train_begin(self) -> None:
        if not self.trainer.resumed:
            self._forget()
        known = self.trainer.log_names
        if self.monitor not in known:
            advice = ""
            if self.monitor.startswith("val_") and self.monitor[4:] in known:
                advice = "; give fit validation_split or validation_data"
            raise ConfigError(
                f"{type(self).__name__} watches {self.monitor!r}; there will be "
                f"{', '.join(known)}{advice}"
            )

    def improved(self, logs: Logs) -> bool:
        """Whether this epoch is the best so far, by more than `min_delta`. NaN never is."""
        value = logs[self.monitor]
        if isinstance(value, np.ndarray):
            raise ConfigError(f"{self.monitor} is an array {value.shape}; one number is wanted")
        gain = value - self.best if self.growing else self.best - value
        if not gain > self.min_delta:
            return False
        self.best = float(value)
        return True


class EarlyStopping(_Watching):
    """Stop when `monitor` has not improved for `patience` epochs in a row.

    min_delta     what counts as an improvement: more than this
    restore_best  at the end, give the model the weights of its best epoch
    mode          "min", "max", or "auto": accuracies and the like shall grow, the rest shall fall

    `stopped_epoch` is the epoch after which it stopped, or None. Prechelt, Early stopping - but
    when?, in: Neural Networks: Tricks of the Trade, 1998.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 0,
        min_delta: float = 0.0,
        restore_best: bool = False,
        mode: str = "auto",
    ):
        super().__init__(monitor, min_delta, mode)
        self.patience, self.restore_best = whole("patience", patience), restore_best

    def _forget(self) -> None:
        super()._forget()
        self.waited = 0
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._weights: list[np.ndarray] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.improved(logs):
            self.waited, self.best_epoch = 0, epoch
            if self.restore_best:
                self._weights = self.model.get_weights()
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.stopped_epoch = epoch
            self.trainer.stop()

    def on_train_end(self) -> None:
        if self._weights is not None:
            self.model.set_weights(self._weights)

    def state(self) -> dict[str, Any]:
        weights = self._weights or []
        return {
            "best": self.best,
            "waited": self.waited,
            "best_epoch": self.best_epoch,
            "stopped_epoch": self.stopped_epoch,
            "weights": len(weights),
            **{f"weights.{k}": w for k, w in enumerate(weights)},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.best, self.waited = state["best"], state["waited"]
        self.best_epoch, self.stopped_epoch = state["best_epoch"], state["stopped_epoch"]
        found = [state[f"weights.{k}"] for k in range(state["weights"])]
        self._weights = found or None


class ReduceOnPlateau(_Watching):
    """Multiply the learning rate by `factor` when `monitor` has not improved for `patience` epochs.

    minimum   the learning rate does not fall below
    cooldown  epochs after a reduction in which nothing is counted
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 1e-4,
        minimum: float = 0.0,
        cooldown: int = 0,
        mode: str = "auto",
    ):
        super().__init__(monitor, min_delta, mode)
        if not 0 < factor < 1:
            raise ConfigError(f"factor={factor!r}: a number between 0 and 1 is wanted")
        self.factor, self.patience = factor, whole("patience", patience)
        self.minimum, self.cooldown = minimum, whole("cooldown", cooldown)

    def _forget(self) -> None:
        super()._forget()
        self.waited = self.resting = 0

    def on_train_begin(self) -> None:
        super().on_train_begin()
        self.trainer.check_rate_may_change(self)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        better = self.improved(logs)
        if self.resting:
            self.resting -= 1
            self.waited = 0
        elif better:
            self.waited = 0
        else:
            self.waited += 1
            if self.waited >= self.patience:
                rate = self.trainer.learning_rate
                self.trainer.learning_rate = min(rate, max(rate * self.factor, self.minimum))
                self.waited, self.resting = 0, self.cooldown

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited, "resting": self.resting}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.best, self.waited = state["best"], state["waited"]
        self.resting = state["resting"]


class LearningRateSchedule(Callback):
    """Set the learning rate before each epoch: to `rate(t)`, where t counts the epochs done.

    rate  a function of a number, or a schedule of `nn.schedules`. (A schedule that is given to
          `compile(learning_rate=...)` changes from step to step.)
    """

    def __init__(self, rate: Callable[[float], float]):
        if not callable(rate):
            raise ConfigError(f"LearningRateSchedule: {rate!r:.60} is no function of the epoch")
        self.rate = rate

    def on_train_begin(self) -> None:
        self.trainer.check_rate_may_change(self)

    def on_epoch_begin(self, epoch: int) -> None:
        self.trainer.learning_rate = float(self.rate(epoch - 1))


class CSVLog(Callback):
    """A line per epoch in a CSV file, which can be read while training goes on.

    append  keep what the file holds already; a resumed run always keeps its own epochs

    Errors: OSError where the file cannot be written, before the first epoch.
    """

    def __init__(self, path: str | os.PathLike, append: bool = False):
        self.path, self.append = Path(path), append

    def on_train_begin(self) -> None:
        self._names = [n for n in self.trainer.log_names if n not in self.trainer.array_names]
        head = ["epoch", *self._names]
        kept: list[list[str]] = []
        if (self.append or self.trainer.resumed) and self.path.exists():
            with open(self.path, newline="", encoding="utf-8") as file:
                found = list(csv.reader(file))
            if found and found[0] != head:
                raise ConfigError(f"{self.path} has the columns {found[0]}, this run has {head}")
            kept = found[1:]
        if self.trainer.resumed:  # epochs after the checkpoint are made again
            done = set(map(str, self.trainer.history.epochs))
            last = max((k for k, row in enumerate(kept) if row[:1] == ["1"]), default=0)
            before, own = kept[:last], kept[last:]
            kept = (before if self.append else []) + [row for row in own if row[0] in done]
        write_whole(self.path, self._text([head, *kept]).encode())

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        row = [epoch, *(repr(float(logs[name])) for name in self._names)]
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            file.write(self._text([row]))

    @staticmethod
    def _text(rows: list[Any]) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue()


class Checkpoint(_Watching):
    """Keep all that training needs to go on in a file, for `fit(..., resume=True)`.

    every      after every so many epochs, and after the last
    monitor    with best_only, what is watched
    best_only  only when `monitor` is better than before
    mode       "min", "max", or "auto": accuracies and the like shall grow, the rest shall fall

    The file is written whole or not at all: until a new one is complete, the old one is there.
    Errors: OSError where it cannot be written, before the first epoch if the folder is missing.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        every: int = 1,
        monitor: str | None = None,
        best_only: bool = False,
        mode: str = "auto",
    ):
        super().__init__("val_loss" if monitor is None else monitor, 0.0, mode)
        self.path, self.every, self.best_only = Path(path), whole("every", every, 1), best_only

    def on_train_begin(self) -> None:
        if self.best_only:
            super().on_train_begin()
        folder = self.path.parent
        if not folder.is_dir():
            raise FileNotFoundError(2, "the checkpoint's folder does not exist", str(folder))
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "the checkpoint's folder cannot be written", str(folder))
        for rest in folder.glob(f".{glob.escape(self.path.name)}.????????"):
            rest.unlink(missing_ok=True)  # of a run that was killed while it wrote

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.best_only:
            if self.improved(logs):
                self.trainer.save(self.path)
        elif epoch % self.every == 0 or self.trainer.at_end:
            self.trainer.save(self.path)

    def state(self) -> dict[str, Any]:
        return {"best": self.best} if self.best_only else {}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.best = state["best"]


def whole(name: str, value: Any, least: int = 0) -> int:
    """A setting that is a whole number. Errors: ConfigError."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ConfigError(f"{name}={value!r:.40}: a whole number, at least {least}, is wanted")
    return int(value)
