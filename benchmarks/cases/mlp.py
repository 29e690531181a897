"""Dense networks with ReLU between the layers, trained by plain SGD.

The last layer ends in softmax and cross-entropy with the labels, or (`loss="pixels"`) in sigmoids
and binary cross-entropy with the inputs: an autoencoder.
"""

import itertools
from typing import NamedTuple

import numpy as np

RATE = 0.05
STEPS = 10  # of the checked cost trajectory
LOSSES = ("labels", "pixels")


class Data(NamedTuple):
    """x float32 (examples, inputs), y int64 (examples,) or x itself; then the parameters of every
    layer, float32."""

    x: np.ndarray
    y: np.ndarray
    weights: list[np.ndarray]
    biases: list[np.ndarray]

    @property
    def parameters(self) -> list[np.ndarray]:
        """Weight and bias of the first layer, of the second ..."""
        return [v for pair in zip(self.weights, self.biases) for v in pair]

    def batch(self, k: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        return self.x[k * size : (k + 1) * size], self.y[k * size : (k + 1) * size]


class Program:
    """Common part of the peers' programs of this family; they define `step`."""

    against = "trajectory"

    def __init__(
        self,
        sizes: list[int],
        batch: int,
        examples: int,
        loss: str = "labels",
        rate: float = RATE,
        given: Data | None = None,
        **_: object,
    ):
        self.data = data(sizes, examples, loss) if given is None else given
        self.batch, self.loss, self.rate = batch, loss, rate
        self.batches, self.next = examples // batch, 0

    def advance(self) -> int:
        """Number of the minibatch whose turn it is."""
        k = self.next
        self.next = (k + 1) % self.batches
        return k

    def step(self) -> object:
        """The next minibatch's training step; its cost, a number of the peer's kind."""
        raise NotImplementedError

    def check(self) -> list[float]:
        return [float(self.step()) for _ in range(STEPS)]

    def run(self, iterations: int) -> None:
        for _ in range(iterations):
            self.step()


def data(
    sizes: list[int], examples: int = 6000, loss: str = "labels", seed: int = 0, **_: object
) -> Data:
    """Random data as sparse and as bright as MNIST's; the same for every peer."""
    rng = np.random.default_rng(seed)
    x = rng.random((examples, sizes[0]), dtype=np.float32)
    x *= x < 0.2
    x *= 5
    y = rng.integers(0, sizes[-1], examples)
    pairs = list(itertools.pairwise(sizes))
    scales = [np.sqrt((2 if k < len(pairs) - 1 else 1) / n) for k, (n, _) in enumerate(pairs)]
    weights = [(rng.standard_normal(p) * s).astype(np.float32) for p, s in zip(pairs, scales)]
    biases = [np.zeros(n, np.float32) for n in sizes[1:]]
    return Data(x, y if loss == "labels" else x, weights, biases)


def trajectory(
    sizes: list[int], batch: int, examples: int, loss: str = "labels", rate: float = RATE
) -> list[float]:
    """The costs of the first steps, in float64."""
    d = data(sizes, examples, loss)
    weights, biases = ([p.astype(np.float64) for p in group] for group in d[2:])
    costs = []
    for k in range(STEPS):
        x, y = d.batch(k, batch)
        h = [x.astype(np.float64)]
        for w, b in zip(weights[:-1], biases):
            h.append(np.maximum(h[-1] @ w + b, 0))
        cost, delta = _top(h[-1] @ weights[-1] + biases[-1], y, loss)
        costs.append(cost)
        for n in reversed(range(len(weights))):
            before = delta @ weights[n].T * (h[n] > 0) if n else None
            weights[n] -= rate * (h[n].T @ delta)
            biases[n] -= rate * delta.sum(0)
            delta = before
    return costs


def _top(o: np.ndarray, y: np.ndarray, loss: str) -> tuple[float, np.ndarray]:
    """The cost of the last layer's sums, and its gradient."""
    if loss == "pixels":
        y = y.astype(np.float64)
        cost = np.logaddexp(0, o) - o * y
        return float(cost.mean()), (1 / (1 + np.exp(-o)) - y) / o.size
    o = o - o.max(1, keepdims=True)
    log_p = o - np.log(np.exp(o).sum(1, keepdims=True))
    delta = np.exp(log_p)
    delta[np.arange(len(y)), y] -= 1
    return -float(log_p[np.arange(len(y)), y].mean()), delta / len(y)


def gemms(sizes: list[int], batch: int, examples: int, loss: str = "labels", **_: object):
    """Mean magnitude of the results of the products, chained, in float64: forwards, then for each
    layer from the last the weights' gradient and (but for the first) what goes on backwards."""
    d = data(sizes, examples, loss)
    weights = [w.astype(np.float64) for w in d.weights]
    h = [d.x[:batch].astype(np.float64)]
    for w in weights:
        h.append(h[-1] @ w)
    results, delta = h[1:], h[-1]
    for n in reversed(range(len(weights))):
        results.append(h[n].T @ delta)
        if n:
            delta = delta @ weights[n].T
            results.append(delta)
    return [float(np.abs(v).mean()) for v in results]


REFERENCES = {"trajectory": trajectory, "gemms": gemms}
