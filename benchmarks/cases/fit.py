"""Training from end to end as a user of each library writes it: an iteration is an epoch over all
examples in a new random order, with loss and accuracy, then loss and accuracy of the validation.

Checked is one epoch over few examples in their own order, the last minibatch a smaller one.
"""

from typing import Any, NamedTuple

import numpy as np

from . import mlp

RATE = 0.1
FEW, FEW_HELD = 1000, 500  # examples and validation of the check


class Data(NamedTuple):
    """Examples and validation, images float32 (n, 784) and labels int64 (n,); the parameters."""

    x: np.ndarray
    y: np.ndarray
    held_x: np.ndarray
    held_y: np.ndarray
    parameters: list[np.ndarray]

    @property
    def few(self) -> "Data":
        """What the check is made with."""
        return Data(
            self.x[:FEW], self.y[:FEW], self.held_x[:FEW_HELD], self.held_y[:FEW_HELD],
            self.parameters,
        )  # fmt: skip


class Program:
    """Common part of the peers' programs of this family; they define `model` and `fit`."""

    against = "epoch"

    def __init__(self, sizes: list[int], batch: int, examples: int, held: int):
        self.sizes, self.batch = sizes, batch
        self.data = data(sizes, examples, held)
        self.trained = None

    def model(self) -> object:
        """A new network with the parameters of the data."""
        raise NotImplementedError

    def fit(self, model: object, d: Data, epochs: int, shuffle: bool) -> list[float]:
        """Train; loss and accuracy of the last epoch, loss and accuracy of the validation."""
        raise NotImplementedError

    def check(self) -> list[float]:
        return self.fit(self.model(), self.data.few, 1, False)

    def run(self, iterations: int) -> None:
        if self.trained is None:
            self.trained = self.model()
        self.fit(self.trained, self.data, iterations, True)


class KerasProgram(Program):
    """Of models whose `fit` takes what Keras's takes; they define `model` and `logs`."""

    def fit(self, model: Any, d: Data, epochs: int, shuffle: bool) -> list[float]:
        history = model.fit(
            d.x,
            d.y,
            batch_size=self.batch,
            epochs=epochs,
            validation_data=(d.held_x, d.held_y),
            shuffle=shuffle,
            verbose=0,
        )
        logs = self.logs(history)
        return [logs[k][-1] for k in ("loss", "accuracy", "val_loss", "val_accuracy")]

    def logs(self, history: Any) -> dict[str, list[float]]:
        """What `fit` has noted after every epoch, by name."""
        raise NotImplementedError


def data(sizes: list[int], examples: int, held: int, **_: object) -> Data:
    """Images as sparse and as bright as MNIST's; labels that a linear map of them decides."""
    d = mlp.data(sizes, examples + held)
    shape = sizes[0], sizes[-1]
    directions = np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
    y = (d.x @ directions - d.x.mean() * directions.sum(0)).argmax(1)
    return Data(d.x[:examples], y[:examples], d.x[examples:], y[examples:], d.parameters)


def epoch(sizes: list[int], batch: int, examples: int, held: int) -> list[float]:
    """What `check` gives, in float64."""
    d = data(sizes, examples, held).few
    w1, b1, w2, b2 = (p.astype(np.float64) for p in d.parameters)

    def forwards(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, int]:
        h = np.maximum(x @ w1 + b1, 0)
        o = h @ w2 + b2
        o -= o.max(1, keepdims=True)
        log_p = o - np.log(np.exp(o).sum(1, keepdims=True))
        return h, log_p, -log_p[np.arange(len(y)), y].sum(), (log_p.argmax(1) == y).sum()

    loss, right = 0.0, 0
    for start in range(0, len(d.x), batch):
        x = d.x[start : start + batch].astype(np.float64)
        y = d.y[start : start + batch]
        h, log_p, total, correct = forwards(x, y)
        loss, right = loss + total, right + correct
        delta = (np.exp(log_p) - np.eye(sizes[-1])[y]) / len(y)
        below = delta @ w2.T * (h > 0)
        w2 -= RATE * (h.T @ delta)
        b2 -= RATE * delta.sum(0)
        w1 -= RATE * (x.T @ below)
        b1 -= RATE * below.sum(0)
    _, _, held_loss, held_right = forwards(d.held_x, d.held_y)
    n, m = len(d.x), len(d.held_x)
    return [float(v) for v in (loss / n, right / n, held_loss / m, held_right / m)]


def epoch_without_accuracy(**parameters: object) -> list[float]:
    """Loss, and accuracy of the validation."""
    loss, _, _, accuracy = epoch(**parameters)
    return [loss, accuracy]


REFERENCES = {"epoch": epoch, "epoch without accuracy": epoch_without_accuracy}
