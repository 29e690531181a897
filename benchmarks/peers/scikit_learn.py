"""scikit-learn's MLPClassifier, minibatch by minibatch."""

import numpy as np
from sklearn.neural_network import MLPClassifier

from ..cases import mlp


def classifier(d: mlp.Data, batch: int, rate: float, **settings: object) -> MLPClassifier:
    """The network with the weights of `d`, trained by plain SGD."""
    model = MLPClassifier(
        hidden_layer_sizes=[len(b) for b in d.biases[:-1]],
        solver="sgd", momentum=0.0, learning_rate_init=rate, alpha=0.0, batch_size=batch,
        random_state=0, **settings,
    )  # fmt: skip
    classes = np.arange(len(d.biases[-1]))
    model.partial_fit(d.x[:batch], d.y[:batch], classes=classes)  # makes the arrays, float32
    for own, given in zip((*model.coefs_, *model.intercepts_), (*d.weights, *d.biases)):
        own[...] = given
    return model


class Mlp(mlp.Program):
    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        self.model = classifier(self.data, self.batch, self.rate, shuffle=False)

    def step(self) -> float:
        self.model.partial_fit(*self.data.batch(self.advance(), self.batch))
        return self.model.loss_


PROGRAMS = {"mlp": Mlp}
