"""Every activation, loss, optimizer and initial value trains a network of one hidden layer on
scikit-learn's digits (1797 images of 8x8 pixels): most of the images it has not seen are right.

Optimizers with their defaults; all else with Adam.
"""

import functools

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet import nn
from symnet.nn.names import lookup, names_of

BATCH, TRAINED = 64, 1408  # 22 batches


@functools.cache
def digits():
    datasets = pytest.importorskip("sklearn.datasets")
    x, y = datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    return (x[order] / 16).astype("float32"), y[order]


def accuracy_of_a_network(
    activation="relu",
    loss="categorical_crossentropy",
    output=T.nnet.softmax,
    target=T.as_tensor,
    optimizer="adam",
    initializer="glorot_uniform",
    epochs=10,
    **settings,
):
    """The share of unseen images that are right after training 64-50-10."""
    images, labels = digits()
    rng = np.random.default_rng(1)
    initial = lookup("initializer", initializer)
    sizes = [(64, 50), (50, 10)]
    weights = [symnet.shared(initial(s, rng), f"W{k}") for k, s in enumerate(sizes)]
    biases = [symnet.shared(np.zeros(s[1], "float32"), f"b{k}") for k, s in enumerate(sizes)]
    x, y, i = T.matrix("x"), T.lvector("y"), T.lscalar("i")
    hidden = lookup("activation", activation)(T.dot(x, weights[0]) + biases[0])
    scores = output(T.dot(hidden, weights[1]) + biases[1])
    cost = lookup("loss", loss)(scores, target(y)).mean()
    parameters = weights + biases
    updates = lookup("optimizer", optimizer)(cost, parameters, **settings)
    X, Y = symnet.shared(images, "X"), symnet.shared(labels, "Y")
    rows = slice(i * BATCH, (i + 1) * BATCH)
    train = symnet.function([i], cost, updates=updates, givens={x: X[rows], y: Y[rows]})
    for _ in range(epochs):
        train.map(range(TRAINED // BATCH))
    p, t = T.TensorType("float32", (None, 10))("p"), T.lvector("t")
    right = nn.metrics.accuracy().additions(p, t)
    unseen = images[TRAINED:], labels[TRAINED:]
    total = symnet.function([x, y], right, givens={p: scores, t: y})(*unseen)
    return nn.metrics.accuracy().result(total, len(unseen[0]))


@pytest.mark.parametrize("name", names_of("activation"))
def test_activations(name):
    # units that share one sum of 1 have small gradients at first
    rate = 0.05 if name == "softmax" else 0.01
    assert accuracy_of_a_network(activation=name, learning_rate=rate) > 0.9


def one_hot(y):
    return T.one_hot(y, 10)


@pytest.mark.parametrize(
    ("name", "output", "target"),
    [
        ("mean_squared_error", T.nnet.softmax, one_hot),
        ("huber", T.nnet.softmax, one_hot),
        ("categorical_crossentropy", T.nnet.softmax, T.as_tensor),
        ("categorical_crossentropy", T.nnet.softmax, one_hot),
        ("categorical_crossentropy_from_logits", T.as_tensor, T.as_tensor),
        ("negative_log_likelihood", T.nnet.log_softmax, T.as_tensor),
        ("kullback_leibler", T.nnet.softmax, one_hot),
        ("binary_crossentropy", T.nnet.sigmoid, one_hot),
        ("binary_crossentropy_from_logits", T.as_tensor, one_hot),
        ("hinge", T.as_tensor, one_hot),
        ("squared_hinge", T.as_tensor, one_hot),
        ("multiclass_hinge", T.as_tensor, T.as_tensor),
    ],
)
def test_losses(name, output, target):
    found = accuracy_of_a_network(loss=name, output=output, target=target, learning_rate=0.01)
    assert found > 0.9


@pytest.mark.parametrize("name", ["mean_squared_error", "mean_absolute_error", "huber"])
def test_losses_of_numbers(name):
    """The lower half of an image from its upper half, better than its median."""
    images, _ = digits()
    seen, unseen = images[:TRAINED], images[TRAINED:]
    rng = np.random.default_rng(1)
    parameters = [
        symnet.shared(nn.glorot_uniform((32, 50), rng)), symnet.shared(np.zeros(50, "float32")),
        symnet.shared(nn.glorot_uniform((50, 32), rng)), symnet.shared(np.zeros(32, "float32")),
    ]  # fmt: skip
    V, a, W, b = parameters
    x, y, i = T.matrix("x"), T.matrix("y"), T.lscalar("i")
    loss = lookup("loss", name)(T.dot(T.nnet.relu(T.dot(x, V) + a), W) + b, y).mean()
    X = symnet.shared(seen, "X")
    batch = X[i * BATCH : (i + 1) * BATCH]
    updates = nn.adam(loss, parameters, learning_rate=0.01)
    train = symnet.function([i], loss, updates=updates, givens={x: batch[:, :32], y: batch[:, 32:]})
    for _ in range(10):
        train.map(range(TRAINED // BATCH))
    found = symnet.function([x, y], loss)(unseen[:, :32], unseen[:, 32:])
    p, t = T.matrix("p"), T.matrix("t")
    constant = symnet.function([p, t], lookup("loss", name)(p, t).mean())
    median = np.tile(np.median(seen[:, 32:], axis=0), (len(unseen), 1))
    assert found < 0.8 * constant(median, unseen[:, 32:])


@pytest.mark.parametrize("name", names_of("optimizer"))
def test_optimizers_as_they_are(name):
    # Adam's rate is for many more steps than these 220
    epochs = 40 if name in ("adam", "adamw", "rmsprop") else 20
    assert accuracy_of_a_network(optimizer=name, epochs=epochs) > 0.9


BY_SIZE = [
    n for n in names_of("initializer") if n not in ("zeros", "ones", "constant", "from_data")
]


@pytest.mark.parametrize("name", BY_SIZE)
def test_initial_values(name):
    assert accuracy_of_a_network(initializer=name, learning_rate=0.01) > 0.9


def test_examples_as_initial_values():
    seen = digits()[0][:TRAINED]

    def initial(shape, rng):
        return nn.from_data(seen)(shape, rng) if shape[0] == 64 else nn.glorot_uniform(shape, rng)

    assert accuracy_of_a_network(initializer=initial, learning_rate=0.01) > 0.9
