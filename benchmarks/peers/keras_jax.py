"""Keras on JAX, as its documentation says to use it. KERAS_BACKEND=jax stands in the environment
of every peer (`process.py`)."""

import keras
import numpy as np

from ..cases import fit, mlp
from . import Unavailable

if keras.backend.backend() != "jax":
    raise Unavailable(f"Keras runs on {keras.backend.backend()} here, not on JAX")


def network(parameters: list[np.ndarray]) -> keras.Sequential:
    """The network with these weights and biases."""
    biases = parameters[1::2]
    last = len(biases) - 1
    model = keras.Sequential(
        [
            keras.Input((len(parameters[0]),)),
            *(
                keras.layers.Dense(len(b), activation="relu" if n < last else "softmax")
                for n, b in enumerate(biases)
            ),
        ]
    )
    model.set_weights(parameters)
    return model


class Mlp(mlp.Program):
    """`train_on_batch` on minibatches sliced in NumPy."""

    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        self.model = network(self.data.parameters)
        self.model.compile(
            optimizer=keras.optimizers.SGD(self.rate), loss="sparse_categorical_crossentropy"
        )

    def step(self) -> np.ndarray:
        self.model.reset_metrics()  # it gives back the mean since the last reset
        return self.model.train_on_batch(*self.data.batch(self.advance(), self.batch))


class Fit(fit.KerasProgram):
    def model(self) -> keras.Sequential:
        model = network(self.data.parameters)
        model.compile(
            optimizer=keras.optimizers.SGD(fit.RATE),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model

    def logs(self, history: keras.callbacks.History) -> dict[str, list[float]]:
        return history.history


PROGRAMS = {"mlp": Mlp, "fit": Fit}
