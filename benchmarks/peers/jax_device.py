"""JAX on a device: what `jax_jit` does there, without waiting in between.

The number of the minibatch lives on the device, and an epoch of `fit` is one `scan`: what goes
through Python once per step would cost more than the step.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..cases import chain, digest, fit, mlp
from . import Unavailable, jax_jit


class _Device:
    """Common part of the programs: where they run, and how one waits for them."""

    def __init__(self, device: str, precision: str = "highest", **parameters: Any):
        try:
            self.device = jax.devices(device)[0]
        except (RuntimeError, AssertionError) as error:  # the latter without a plugin for CUDA
            reason = str(error).partition("\n")[0] or "it has no plugin for CUDA"
            raise Unavailable(f"JAX {jax.__version__} finds no GPU: {reason}") from None
        high = "highest" if precision == "highest" else "tensorfloat32"
        jax.config.update("jax_default_matmul_precision", high)
        jax.config.update("jax_default_device", self.device)
        super().__init__(**parameters)

    def put(self, value: np.ndarray) -> jax.Array:
        if value.dtype == np.int64:
            value = value.astype(np.int32)
        return jax.device_put(value, self.device)


@functools.partial(jax.jit, static_argnames=("batch", "batches", "rate"), donate_argnums=(0, 3))
def _step(parameters, xs, ys, k, batch, batches, rate):
    x, y = (jax.lax.dynamic_slice_in_dim(v, k * batch, batch) for v in (xs, ys))
    parameters, cost = jax_jit.descend(parameters, x, y, rate)
    return parameters, (k + 1) % batches, cost


class Mlp(_Device, mlp.Program):
    def __init__(self, **parameters: Any):
        super().__init__(**parameters)
        d = self.data
        self.x, self.y = self.put(d.x), self.put(d.y)
        self.parameters = [self.put(v) for v in d.parameters]
        self.k = self.put(np.int32(0))

    def step(self) -> jax.Array:
        self.parameters, self.k, cost = _step(
            self.parameters, self.x, self.y, self.k, self.batch, self.batches, self.rate
        )
        return cost

    def run(self, iterations: int) -> None:
        super().run(iterations)
        jax.block_until_ready((self.parameters, self.k))


class Chain(_Device, chain.Program):
    def __init__(self, **parameters: Any):
        super().__init__(**parameters)
        self.inputs = [self.put(v) for v in self.inputs]
        self.f = jax.jit(jax_jit.CHAINS[self.kind])

    def call(self) -> jax.Array:
        return self.f(*self.inputs)

    def check(self) -> list[float]:
        return digest.digest(np.asarray(self.call()))

    def run(self, iterations: int) -> None:
        for _ in range(iterations):
            last = self.call()
        last.block_until_ready()


def _scores(parameters, x):
    w1, b1, w2, b2 = parameters
    return jax.nn.relu(x @ w1 + b1) @ w2 + b2


def _sums(parameters, x, y):
    """The loss of the examples together, and how many are right."""
    scores = _scores(parameters, x)
    losses = -jnp.take_along_axis(jax.nn.log_softmax(scores), y[:, None], 1)
    return losses.sum(), (scores.argmax(1) == y).sum()


def _train(x, y, parameters, rows):
    """A step with these examples."""
    x, y = x[rows], y[rows]

    def cost(parameters):
        loss, right = _sums(parameters, x, y)
        return loss / len(rows), (loss, right)

    (_, sums), gradients = jax.value_and_grad(cost, has_aux=True)(parameters)
    return [p - fit.RATE * g for p, g in zip(parameters, gradients)], sums


@functools.partial(jax.jit, static_argnames=("batch", "shuffle"), donate_argnums=(0, 1))
def _epoch(parameters, key, x, y, held_x, held_y, batch, shuffle):
    n = len(x)
    key, own = jax.random.split(key)
    order = jax.random.permutation(own, n) if shuffle else jnp.arange(n)
    whole = n // batch * batch
    train = functools.partial(_train, x, y)
    parameters, (losses, rights) = jax.lax.scan(
        train, parameters, order[:whole].reshape(-1, batch)
    )  # fmt: skip
    loss, right = losses.sum(), rights.sum()
    if whole < n:
        parameters, (more, hits) = train(parameters, order[whole:])
        loss, right = loss + more, right + hits
    held_loss, held_right = _sums(parameters, held_x, held_y)
    m = len(held_x)
    return parameters, key, jnp.stack([loss / n, right / n, held_loss / m, held_right / m])


class Fit(_Device, fit.Program):
    """The host waits once an epoch, for what it would print."""

    def __init__(self, **parameters: Any):
        super().__init__(**parameters)
        self.placed: dict[int, list[jax.Array]] = {}

    def model(self) -> dict[str, Any]:
        return {
            "parameters": [self.put(v) for v in self.data.parameters],
            "key": jax.device_put(jax.random.key(0), self.device),
        }

    def fit(self, model: dict[str, Any], d: fit.Data, epochs: int, shuffle: bool) -> list[float]:
        if len(d.x) not in self.placed:
            self.placed[len(d.x)] = [self.put(v) for v in d[:4]]
        results: list[float] = []
        for _ in range(epochs):
            model["parameters"], model["key"], values = _epoch(
                model["parameters"], model["key"], *self.placed[len(d.x)], self.batch, shuffle
            )
            results = np.asarray(values).tolist()
        return results


PROGRAMS = {"mlp": Mlp, "chain": Chain, "fit": Fit}
