"""The multilayer perceptron 784-H-10: ReLU, softmax cross-entropy, plain SGD."""

from typing import NamedTuple

import numpy as np

RATE = 0.05
STEPS = 10  # of the checked cost trajectory


class Data(NamedTuple):
    """x float32 (examples, 784), y int64 (examples,), then the parameters, float32."""

    x: np.ndarray
    y: np.ndarray
    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray

    def batch(self, k: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        return self.x[k * size : (k + 1) * size], self.y[k * size : (k + 1) * size]


class Program:
    """Common part of the peers' programs of this family; they define `step`."""

    against = "trajectory"

    def step(self) -> object:
        """The next minibatch's training step; its cost, a number of the peer's kind."""
        raise NotImplementedError

    def check(self) -> list[float]:
        return [float(self.step()) for _ in range(STEPS)]

    def run(self, iterations: int) -> None:
        for _ in range(iterations):
            self.step()


def data(hidden: int, examples: int = 6000, seed: int = 0, **_: object) -> Data:
    """Random data as sparse and as bright as MNIST's; the same for every peer."""
    rng = np.random.default_rng(seed)
    x = rng.random((examples, 784), dtype=np.float32)
    x *= x < 0.2
    x *= 5
    y = rng.integers(0, 10, examples)
    w1 = (rng.standard_normal((784, hidden)) * np.sqrt(2 / 784)).astype(np.float32)
    w2 = (rng.standard_normal((hidden, 10)) * np.sqrt(1 / hidden)).astype(np.float32)
    return Data(x, y, w1, np.zeros(hidden, np.float32), w2, np.zeros(10, np.float32))


def trajectory(batch: int, hidden: int, examples: int, **_: object) -> list[float]:
    """The costs of the first steps, in float64."""
    d = data(hidden, examples)
    w1, b1, w2, b2 = (p.astype(np.float64) for p in d[2:])
    costs = []
    for k in range(STEPS):
        x, y = d.batch(k, batch)
        x = x.astype(np.float64)
        h = np.maximum(x @ w1 + b1, 0)
        o = h @ w2 + b2
        o -= o.max(1, keepdims=True)
        log_p = o - np.log(np.exp(o).sum(1, keepdims=True))
        costs.append(-float(log_p[np.arange(batch), y].mean()))
        do = (np.exp(log_p) - np.eye(10)[y]) / batch
        dh = do @ w2.T * (h > 0)
        w2 -= RATE * (h.T @ do)
        b2 -= RATE * do.sum(0)
        w1 -= RATE * (x.T @ dh)
        b1 -= RATE * dh.sum(0)
    return costs


def gemms(batch: int, hidden: int, examples: int, **_: object) -> list[float]:
    """Mean magnitude of the results of the five products, chained, in float64."""
    d = data(hidden, examples)
    x, w1, w2 = (v.astype(np.float64) for v in (d.x[:batch], d.w1, d.w2))
    h = x @ w1
    o = h @ w2
    d_h = o @ w2.T
    return [float(np.abs(v).mean()) for v in (h, o, h.T @ o, d_h, x.T @ d_h)]


REFERENCES = {"trajectory": trajectory, "gemms": gemms}
