"""Keras on JAX, as its documentation says to use it. KERAS_BACKEND=jax stands in the environment
of every peer (`process.py`)."""

import keras
import numpy as np

from ..cases import mlp
from . import Unavailable

if keras.backend.backend() != "jax":
    raise Unavailable(f"Keras runs on {keras.backend.backend()} here, not on JAX")


def network(d: mlp.Data) -> keras.Sequential:
    """The network with the weights of `d`."""
    last = len(d.biases) - 1
    model = keras.Sequential(
        [
            keras.Input((d.x.shape[1],)),
            *(
                keras.layers.Dense(len(b), activation="relu" if n < last else "softmax")
                for n, b in enumerate(d.biases)
            ),
        ]
    )
    model.set_weights(d.parameters)
    return model


class Mlp(mlp.Program):
    """`train_on_batch` on minibatches sliced in NumPy."""

    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        self.model = network(self.data)
        self.model.compile(
            optimizer=keras.optimizers.SGD(self.rate), loss="sparse_categorical_crossentropy"
        )

    def step(self) -> np.ndarray:
        self.model.reset_metrics()  # it gives back the mean since the last reset
        return self.model.train_on_batch(*self.data.batch(self.advance(), self.batch))


PROGRAMS = {"mlp": Mlp}
