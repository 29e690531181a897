"""scikit-learn's MLPClassifier, minibatch by minibatch."""

import numpy as np
from sklearn.neural_network import MLPClassifier

from ..cases import fit, mlp


def classifier(
    d: mlp.Data | fit.Data, batch: int, rate: float, **settings: object
) -> MLPClassifier:
    """The network with the parameters of `d`, trained by plain SGD."""
    weights, biases = d.parameters[::2], d.parameters[1::2]
    model = MLPClassifier(
        hidden_layer_sizes=[len(b) for b in biases[:-1]],
        solver="sgd", momentum=0.0, learning_rate_init=rate, alpha=0.0, batch_size=batch,
        random_state=0, **settings,
    )  # fmt: skip
    classes = np.arange(len(biases[-1]))
    model.partial_fit(d.x[:batch], d.y[:batch], classes=classes)  # makes the arrays, float32
    for own, given in zip((*model.coefs_, *model.intercepts_), (*weights, *biases)):
        own[...] = given
    return model


class Mlp(mlp.Program):
    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        self.model = classifier(self.data, self.batch, self.rate, shuffle=False)

    def step(self) -> float:
        self.model.partial_fit(*self.data.batch(self.advance(), self.batch))
        return self.model.loss_


class Fit(fit.Program):
    """It counts no accuracy while it trains."""

    against = "epoch without accuracy"

    def model(self) -> MLPClassifier:
        return classifier(self.data, self.batch, fit.RATE)

    def fit(self, model: MLPClassifier, d: fit.Data, epochs: int, shuffle: bool) -> list[float]:
        model.set_params(shuffle=shuffle)
        for _ in range(epochs):
            model.partial_fit(d.x, d.y)
            accuracy = model.score(d.held_x, d.held_y)
        return [model.loss_, accuracy]


PROGRAMS = {"mlp": Mlp, "fit": Fit}
