"""What happened in training, epoch by epoch."""

import html
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from symnet.errors import DataError
from symnet.nn import plots

_FORMAT = "symnet.history"


class History:
    """The record that `fit` returns, and that callbacks may read while it grows.

    epochs   numbers of the completed epochs, counted from 1
    logs     lists by name, one value per epoch: "loss", metrics, the same with "val_" for
             validation data, "learning_rate" as it was at the end of the epoch
    seconds  how long the steps of each epoch took
    steps    the losses of single minibatches, an array per epoch, each before its step
    """

    def __init__(self) -> None:
        self.epochs: list[int] = []
        self.logs: dict[str, list[Any]] = {}
        self.seconds: list[float] = []
        self.steps: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self.epochs)

    def append(
        self, epoch: int, logs: Mapping[str, Any], seconds: float, steps: np.ndarray
    ) -> None:
        """Add an epoch."""
        self.epochs.append(epoch)
        for name, value in logs.items():
            self.logs.setdefault(name, []).append(value)
        self.seconds.append(seconds)
        self.steps.append(steps)

    def last(self) -> dict[str, Any]:
        """The logs of the last epoch."""
        return {name: values[-1] for name, values in self.logs.items()}

    def plot(self, path: str | os.PathLike | None = None, title: str = "") -> Any:
        """The learning curves as a matplotlib figure, and as a picture file if `path` is given.
        Errors: those of `plots.curves`."""
        steps = np.concatenate(self.steps) if self.steps else None
        return plots.curves(self.logs, path, epochs=self.epochs, steps=steps, title=title)

    def to_json(self) -> str:
        """All but the losses of single minibatches, as JSON."""
        logs = {name: [_plain(v) for v in values] for name, values in self.logs.items()}
        content = {
            "format": _FORMAT,
            "epochs": self.epochs,
            "logs": logs,
            "seconds": self.seconds,
        }
        return json.dumps(content)

    @classmethod
    def from_json(cls, text: str) -> "History":
        """The history that `to_json` wrote, without single minibatches. Errors: DataError."""
        try:
            content = json.loads(text)
            if content["format"] != _FORMAT:
                raise ValueError(f"format is {content['format']!r}")
            history = cls()
            history.epochs = [int(e) for e in content["epochs"]]
            history.seconds = [float(s) for s in content["seconds"]]
            for name, values in content["logs"].items():
                made = [np.asarray(v) if isinstance(v, list) else float(v) for v in values]
                if len(made) != len(history.epochs):
                    raise ValueError(f"{name} has {len(made)} values")
                history.logs[str(name)] = made
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise DataError(f"no history of symnet: {problem}") from None
        return history

    def __repr__(self) -> str:
        if not self.epochs:
            return "<history of no epoch>"
        values = ", ".join(f"{name} {shown(v)}" for name, v in self.last().items() if _number(v))
        return f"<history of {len(self.epochs)} epochs, the last: {values}>"

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        names = [n for n, values in self.logs.items() if all(_number(v) for v in values)]
        head = "".join(f"<th>{html.escape(n)}</th>" for n in ["epoch", *names])
        rows = "".join(
            f"<tr><td>{epoch}</td>"
            + "".join(f"<td>{shown(self.logs[n][k])}</td>" for n in names)
            + "</tr>"
            for k, epoch in enumerate(self.epochs)
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def shown(value: float) -> str:
    """A number as progress lines and tables have it."""
    size = abs(value)
    return f"{value:.4f}" if 1e-3 <= size < 1e5 or not size else f"{value:.3e}"


def _number(value: Any) -> bool:
    return isinstance(value, float | int)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
