"""What models can do with data: compile, fit, evaluate, predict."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np


class Trainable:
    """The methods of a model that deal with data. A subclass provides the network:

    built, build(input_shapes)   whether there are parameters, and making them
    inputs, outputs              lists of symbolic variables
    parameters, state, layers    shared variables that are trained, that are not; the layers
    expression(inputs, forward)  the outputs for other inputs, see `Forward`
    penalty()                    a scalar expression that is added to the loss, or None
    """

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        metrics: Iterable[Any] = (),
        learning_rate: Any = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        loss_weights: Sequence[float] | None = None,
    ) -> None:
        """Choose how to train."""
        raise NotImplementedError

    def fit(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Iterable[Any] = (),
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        seed: int | None = None,
        resume: Any = None,
    ) -> Any:
        """Train on data; returns the `History`."""
        raise NotImplementedError

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        sample_weight: Any = None,
        verbose: Any = 0,
    ) -> dict[str, Any]:
        """Loss and metrics over data, by name."""
        raise NotImplementedError

    def predict(self, x: Any, batch_size: int | None = None) -> Any:
        """The outputs for data, an array (several outputs: a list)."""
        raise NotImplementedError

    def predict_classes(self, x: Any, batch_size: int | None = None) -> np.ndarray:
        """The likeliest class of each example."""
        raise NotImplementedError

    def train_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None) -> dict[str, Any]:
        """One step on one minibatch; loss and metrics on it, by name."""
        raise NotImplementedError
