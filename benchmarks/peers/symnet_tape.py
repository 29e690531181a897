"""symnet, as its documentation says to use it."""

import numpy as np

import symnet
import symnet.tensor as T
from symnet import nn

from ..cases import call, chain, fit, layers, mlp, new_batch, optimizers, rows


def _cost(x, y, parameters, loss="labels"):
    h = x
    for w, b in zip(parameters[:-2:2], parameters[1:-2:2]):
        h = T.nnet.relu(T.dot(h, w) + b)
    o = T.dot(h, parameters[-2]) + parameters[-1]
    if loss == "pixels":
        return T.nnet.binary_crossentropy(T.nnet.sigmoid(o), x).mean()
    return T.nnet.categorical_crossentropy(T.nnet.softmax(o), y).mean()


def _descent(cost, parameters, rate):
    return [(p, p - rate * g) for p, g in zip(parameters, symnet.grad(cost, parameters))]


class _Functions:
    """`symnet_device` compiles the functions of these programs for a device."""

    def function(self, inputs, outputs, **rest: object):
        return symnet.function(inputs, outputs, **rest)


class Mlp(_Functions, mlp.Program):
    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        d = self.data
        shared = [
            symnet.shared(v, name=f"{'Wb'[k % 2]}{k // 2 + 1}") for k, v in enumerate(d.parameters)
        ]
        x, y, i = T.matrix("x"), T.lvector("y"), T.lscalar("i")
        cost = _cost(x, y, shared, self.loss)
        here = slice(i * self.batch, (i + 1) * self.batch)
        givens = {x: symnet.shared(d.x, name="X")[here]}
        if self.loss == "labels":
            givens[y] = symnet.shared(d.y, name="Y")[here]
        updates = _descent(cost, shared, self.rate)
        self.train = self.function([i], cost, updates=updates, givens=givens)

    def step(self) -> np.ndarray:
        return self.train(self.advance())


class Chain(_Functions, chain.Program):
    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        x, z = T.vector("x"), T.vector("z")
        value = (T.tanh(x * z + 0.5) * T.exp(-x * x) + T.log1p(z)).sum()
        if self.kind == "array":
            value = T.sqrt(x * x + z * z) * T.nnet.sigmoid(x) - 0.1 * x
        elif self.kind == "gradient":
            value = [value, *symnet.grad(value, [x, z])]
        self.f = self.function([x, z], value)

    def call(self) -> object:
        return self.f(*self.inputs)


def layer_norm(x, scale, shift):
    centred = x - x.mean(axis=1, keepdims=True)
    variance = (centred**2).mean(axis=1, keepdims=True)
    return centred / T.sqrt(variance + rows.EPSILON) * scale + shift


class Rows(rows.Program):
    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        x, upstream = T.matrix("x"), T.matrix("upstream")
        scale, shift = T.vector("scale"), T.vector("shift")
        labels = T.lvector("labels")
        d = self.data
        if self.kind == "softmax":
            given, value = {x: d.x}, T.nnet.softmax(x)
        elif self.kind == "cross-entropy":
            cost = T.nnet.categorical_crossentropy(T.nnet.softmax(x), labels).mean()
            given, value = {x: d.x, labels: d.labels}, symnet.grad(cost, x)
        else:
            given = {x: d.x, scale: d.scale, shift: d.shift}
            value = layer_norm(x, scale, shift)
            if self.kind == "layer-norm-gradient":
                value = symnet.grad((value * upstream).sum(), [x, scale, shift])
                given[upstream] = d.upstream
        self.f = symnet.function(list(given), value)
        self.arguments = list(given.values())

    def call(self) -> object:
        return self.f(*self.arguments)


_RULES = {"rate": "learning_rate", "decay": "weight_decay"}  # names of settings that differ


class Optimizers(optimizers.Program):
    def __init__(self, rule: str):
        super().__init__(rule)
        self.parameters = [symnet.shared(p) for p in self.parameters]
        gradients = [symnet.shared(g) for g in self.gradients]
        settings = {_RULES.get(name, name): value for name, value in self.settings.items()}
        updates = getattr(nn, rule)(gradients, self.parameters, **settings)
        self.f = symnet.function([], [], updates=updates)

    def advance(self) -> None:
        self.f()

    def values(self) -> list[np.ndarray]:
        return [p.get_value() for p in self.parameters]


class Fit(fit.KerasProgram):
    def model(self) -> nn.Sequential:
        inputs, hidden, classes = self.sizes
        model = nn.Sequential(
            [
                nn.Input((inputs,)),
                nn.Dense(hidden, activation="relu"),
                nn.Dense(classes, activation="softmax"),
            ]
        )
        model.set_weights(self.data.parameters)
        model.compile(
            optimizer="sgd",
            learning_rate=fit.RATE,
            loss="categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model

    def logs(self, history: nn.History) -> dict[str, list[float]]:
        return history.logs


class Call(call.Program):
    def __init__(self, **_: object):
        self.x = call.data()
        x = T.vector("x")
        self.f = symnet.function([x], x + 1)


class NewBatch(new_batch.Program):
    def __init__(self, hidden: int, **_: object):
        super().__init__(hidden)
        parameters = [symnet.shared(v) for v in self.data.parameters]
        x, y = T.matrix("x"), T.lvector("y")
        cost = _cost(x, y, parameters)
        rate = symnet.shared(np.float32(0), name="rate")  # trains, but stays where it is
        self.f = symnet.function([x, y], cost, updates=_descent(cost, parameters, rate))

    def cost(self, x: np.ndarray, y: np.ndarray) -> float:
        return float(self.f(x, y))


class Layers:
    against = "costs"

    def __init__(self, **parameters: int):
        self.data = layers.data(**parameters)
        self.f = None

    def run(self, iterations: int) -> None:
        value, *groups = self.data
        for _ in range(iterations):
            weights, biases = ([symnet.shared(v) for v in group] for group in groups)
            x = T.matrix("x")
            h = x
            for w, b in zip(weights, biases):
                h = T.tanh(T.dot(h, w) + b)
            cost = (h**2).mean()
            updates = _descent(cost, [*weights, *biases], layers.RATE)
            self.f = symnet.function([x], cost, updates=updates)
            self.costs = [float(self.f(value))]

    def check(self) -> list[float]:
        """After `run`: the first cost and the one after its step."""
        return [*self.costs, float(self.f(self.data[0]))]


PROGRAMS = {
    "mlp": Mlp,
    "chain": Chain,
    "call": Call,
    "new_batch": NewBatch,
    "layers": Layers,
    "optimizers": Optimizers,
    "rows": Rows,
    "fit": Fit,
}
