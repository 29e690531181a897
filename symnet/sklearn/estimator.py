"""What both estimators have in common: a network of dense layers made at `fit`, and its training.

scikit-learn's rules for estimators are in its developers' guide: `__init__` only stores what it is
given, `fit` checks it, and what `fit` finds has names that end in an underscore.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from symnet import nn


class Architecture(NamedTuple):
    """What the network of a fitted estimator looks like: enough to make it again."""

    features: int
    hidden: tuple[int, ...]
    activation: Any
    dropout: float
    outputs: int
    output_activation: str | None
    alpha: float
    dtype: str

    def network(self, seed: int | None = None) -> Any:
        """The network, with initial values from `seed`."""
        penalty = nn.l2(self.alpha / 2) if self.alpha else None
        layers: list[Any] = [nn.Input(self.features, dtype=self.dtype)]
        for units in self.hidden:
            layers.append(nn.Dense(units, activation=self.activation, kernel_regularizer=penalty))
            if self.dropout:
                layers.append(nn.Dropout(self.dropout))
        layers.append(
            nn.Dense(self.outputs, activation=self.output_activation, kernel_regularizer=penalty)
        )
        return nn.Sequential(layers, seed=seed)


class DenseEstimator(BaseEstimator):  # type: ignore[misc]
    """Base of the estimators. Subclasses check data, and name the loss and the output."""

    hidden_layer_sizes: Any
    activation: Any
    optimizer: Any
    learning_rate: Any
    batch_size: Any
    max_iter: int
    alpha: float
    dropout: float
    shuffle: bool
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int | None
    tol: float
    random_state: Any
    verbose: Any

    def _train(
        self,
        X: np.ndarray,
        y: np.ndarray,
        outputs: int,
        output_activation: str | None,
        loss: Any,
        class_weight: dict[int, float] | None = None,
    ) -> None:
        """Make the network and train it on checked data; `y` as the loss wants it."""
        self._check_settings()
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        architecture = Architecture(
            X.shape[1],
            _sizes(self.hidden_layer_sizes),
            self.activation,
            float(self.dropout),
            outputs,
            output_activation,
            float(self.alpha),
            X.dtype.name,
        )
        model = architecture.network(seed)
        model.compile(optimizer=self.optimizer, loss=loss, learning_rate=self.learning_rate)
        held_out = None
        if self.early_stopping:
            X, X_val, y, y_val = train_test_split(
                X,
                y,
                test_size=self.validation_fraction,
                stratify=y if y.ndim == 1 else None,
                random_state=seed,
            )
            held_out = X_val, y_val
        callbacks = []
        if self.n_iter_no_change is not None:
            stop = nn.EarlyStopping(
                monitor="val_loss" if self.early_stopping else "loss",
                patience=self.n_iter_no_change,
                min_delta=self.tol,
                restore_best=self.early_stopping,
            )
            callbacks.append(stop)
        history = model.fit(
            X,
            y,
            batch_size=_batch_size(self.batch_size, len(X)),
            epochs=self.max_iter,
            verbose=self.verbose,
            callbacks=callbacks,
            validation_data=held_out,
            shuffle=self.shuffle,
            class_weight=class_weight,
            seed=seed,
        )
        self._architecture = architecture
        self.model_ = model
        self.history_ = history
        self.loss_curve_ = list(history.logs["loss"])
        self.loss_ = self.loss_curve_[-1]
        self.n_iter_ = len(self.loss_curve_)

    def _outputs_for(self, X: Any) -> np.ndarray:
        """The network's outputs, in float64."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=self._architecture.dtype, order="C")
        outputs: np.ndarray = self.model_.predict(X).astype("float64")
        return outputs

    def _check_settings(self) -> None:
        """Errors: ValueError for settings that no network has; others come from symnet.nn."""
        wrong = [
            f"{name}={value!r}: {wanted}"
            for name, value, fits, wanted in [
                ("max_iter", self.max_iter, _whole(self.max_iter), "a positive integer"),
                (
                    "batch_size",
                    self.batch_size,
                    self.batch_size == "auto" or _whole(self.batch_size),
                    "'auto' or a positive integer",
                ),
                ("alpha", self.alpha, self.alpha >= 0, "at least 0"),
                ("dropout", self.dropout, 0 <= self.dropout < 1, "in [0, 1)"),
                (
                    "n_iter_no_change",
                    self.n_iter_no_change,
                    self.n_iter_no_change is None or _whole(self.n_iter_no_change),
                    "None or a positive integer",
                ),
            ]
            if not fits
        ]
        if wrong:
            raise ValueError(f"{type(self).__name__}: {'; '.join(wrong)} is wanted")

    # ---- copies: a network is made again from its architecture and its parameters

    def __getstate__(self) -> Any:
        state = dict(super().__getstate__())
        if "model_" in state:
            state["model_"] = state["model_"].get_weights()
        return state

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        if "model_" in state:
            model = self._architecture.network()
            model.set_weights(state["model_"])
            self.model_ = model


def _batch_size(wanted: Any, examples: int) -> int:
    """As wanted, but no more than there are; by itself 25 steps per epoch within bounds, so that
    small data need no more epochs than large ones."""
    if wanted == "auto":
        wanted = min(max(examples // 25, 16), 200)
    return min(int(wanted), examples)


def _sizes(given: Any) -> tuple[int, ...]:
    sizes: list[Any] = list(given) if isinstance(given, (Sequence, np.ndarray)) else [given]
    if not all(_whole(n) for n in sizes):
        raise ValueError(f"hidden_layer_sizes={given!r}: positive integers are wanted")
    return tuple(int(n) for n in sizes)


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and int(value) > 0
