"""The network of `symnet mnist` and its training, as expressions and compiled functions.

Images, as bytes, and labels are shared variables. An epoch is two native calls: one draws the
order of the examples, the other makes all the steps, each taking its minibatch through that order.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet import tensor as T
from symnet.errors import ConfigError
from symnet.function import function, shared
from symnet.nn.init import glorot_uniform, he_uniform
from symnet.nn.updates import adam, momentum, sgd
from symnet.tensor.shared_randomstreams import RandomStreams

CLASSES = 10
OPTIMIZERS: dict[str, Callable[..., dict]] = {"sgd": sgd, "momentum": momentum, "adam": adam}
LEARNING_RATES = {"sgd": 1.0, "momentum": 0.2, "adam": 0.001}


@dataclass(frozen=True)
class Settings:
    """How a network is trained. The learning rate falls linearly, to nothing after `epochs`."""

    hidden: int = 1000
    optimizer: str = "momentum"
    learning_rate: float = LEARNING_RATES["momentum"]
    epochs: int = 10
    batch_size: int = 128
    dropout: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training images gave; `losses` holds one per minibatch."""

    number: int
    learning_rate: float
    loss: float
    losses: np.ndarray
    validation_loss: float
    validation_accuracy: float
    seconds: float
    images_per_second: float


class Training:
    """A network with one hidden layer of rectified linear units and a softmax on top.

    train, validation   pairs (images uint8 (n, ...), labels (n,)); a pixel's value is a 255th
    """

    def __init__(
        self,
        settings: Settings,
        train: tuple[np.ndarray, np.ndarray],
        validation: tuple[np.ndarray, np.ndarray],
    ):
        images, labels = _rows(*train)
        count, pixels = images.shape
        size = settings.batch_size
        if size > count:
            raise ConfigError(f"batch size {size}: there are only {count} images to train on")
        self.settings = settings
        self.validation = validation
        self.count = count
        self.batches = -(-count // size)
        self.layers = (pixels, settings.hidden, CLASSES)
        self._sizes = np.minimum(size, count - size * np.arange(self.batches))

        rng = np.random.default_rng(settings.seed)
        hidden = settings.hidden
        first = he_uniform((pixels, hidden), rng, dtype="float32")
        second = glorot_uniform((hidden, CLASSES), rng, dtype="float32")
        # Any: the operators of variables are not known to type checkers
        W1: Any = shared(first, "hidden.weights")
        b1: Any = shared(np.zeros(hidden, "float32"), "hidden.bias")
        W2: Any = shared(second, "output.weights")
        b2: Any = shared(np.zeros(CLASSES, "float32"), "output.bias")
        self.parameters = [W1, b1, W2, b2]

        x = T.matrix("x", dtype="float32")
        y = T.lvector("y")
        random = RandomStreams(settings.seed)
        units: Any = T.nnet.relu(T.dot(x, W1) + b1)
        kept = units
        if settings.dropout:
            # scaled while training, so that nothing is to do afterwards: Srivastava et al., JMLR
            # 15, 2014, section 10
            share = 1 - settings.dropout
            kept = units * random.bernoulli(T.shape(units), share, dtype="float32") * (1 / share)
        loss = _loss(T.dot(kept, W2) + b2, y)

        self._rate = shared(np.array(settings.learning_rate, "float32"), "learning_rate")
        self._total: Any = shared(np.array(0, "float32"), "loss_of_the_epoch")
        updates = OPTIMIZERS[settings.optimizer](loss, self.parameters, self._rate)
        updates[self._total] = self._total + loss
        X: Any = shared(images, "images", borrow=True, shape=images.shape)
        Y: Any = shared(labels, "labels", borrow=True, shape=labels.shape)
        order: Any = shared(np.arange(count), "order", shape=(count,))
        self.order = order
        i = T.lscalar("i")
        rows: Any = order[i * size : (i + 1) * size]
        self._shuffle = function([], [], updates={order: random.permutation(n=count)})
        self._train = function(
            [i], loss, updates=updates, givens={x: _inputs(X[rows]), y: Y[rows]}, name="train"
        )
        pixel = T.matrix("pixels", dtype="uint8")
        scores = T.dot(units, W2) + b2
        right = T.eq(T.argmax(scores, axis=1), y)
        self._evaluate = function(
            [pixel, y],
            [_loss(scores, y), T.mean(right.astype("float64"))],
            givens={x: _inputs(pixel)},
            name="evaluate",
        )

    @property
    def loss_so_far(self) -> float:
        """Sum of the losses of this epoch's minibatches; up to date between steps."""
        return float(self._total.get_value(borrow=True))

    def epoch(self, number: int, between: Callable[[int], bool] | None = None) -> Epoch:
        """Make all steps of epoch `number`, counted from 1. `between(steps done)` is called every
        50 ms or so. Errors: ConfigError where the loss is no longer finite."""
        falling = 1 - (number - 1) / self.settings.epochs
        rate = np.float32(self.settings.learning_rate * falling)
        self._rate.set_value(rate)
        self._total.set_value(np.float32(0))
        start = time.perf_counter()
        self._shuffle()
        losses = self._train.map(range(self.batches), between=between)
        seconds = time.perf_counter() - start
        loss = float(np.average(losses, weights=self._sizes, axis=0))
        if not np.isfinite(loss):
            raise ConfigError(
                f"the loss became {loss} in epoch {number}: the learning rate "
                f"{self.settings.learning_rate:g} is too high"
            )
        validation_loss, accuracy = self.evaluate(*self.validation)
        return Epoch(
            number, float(rate), loss, losses, validation_loss, accuracy, seconds,
            self.count / seconds,
        )  # fmt: skip

    def evaluate(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
        """Mean loss, and the share of images whose likeliest class is theirs."""
        loss, accuracy = self._evaluate(*_rows(images, labels))
        return float(loss), float(accuracy)


def _rows(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return images.reshape(len(images), -1).view(np.uint8), labels.astype(np.int64)


def _inputs(pixels: Any) -> Any:
    return pixels.astype("float32") / 255


def _loss(scores: Any, y: Any) -> Any:
    return T.mean(T.nnet.categorical_crossentropy(T.nnet.softmax(scores), y))
