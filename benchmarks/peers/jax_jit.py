"""JAX: the whole step in one `jit`, parameters donated, the minibatch sliced inside."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ..cases import call, chain, mlp, new_batch


def _cost(parameters, x, y, loss="labels"):
    h = x
    for w, b in zip(parameters[:-2:2], parameters[1:-2:2]):
        h = jnp.maximum(h @ w + b, 0)
    o = h @ parameters[-2] + parameters[-1]
    if loss == "pixels":
        return (jax.nn.softplus(o) - o * x).mean()
    log_p = jax.nn.log_softmax(o)
    return -jnp.take_along_axis(log_p, y[:, None], 1).mean()


def _descend(parameters, x, y, rate, loss="labels"):
    cost, gradients = jax.value_and_grad(_cost)(parameters, x, y, loss)
    return [p - rate * g for p, g in zip(parameters, gradients)], cost


@functools.partial(jax.jit, static_argnames=("batch", "rate", "loss"), donate_argnums=0)
def _step(parameters, xs, ys, k, batch, rate, loss):
    x = jax.lax.dynamic_slice_in_dim(xs, k * batch, batch)
    y = x if ys is None else jax.lax.dynamic_slice_in_dim(ys, k * batch, batch)
    return _descend(parameters, x, y, rate, loss)


class Mlp(mlp.Program):
    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        d = self.data
        self.x = jnp.asarray(d.x)
        self.y = jnp.asarray(d.y.astype(np.int32)) if self.loss == "labels" else None
        self.parameters = [jnp.array(v) for v in d.parameters]

    def step(self) -> jax.Array:
        self.parameters, cost = _step(
            self.parameters, self.x, self.y, self.advance(), self.batch, self.rate, self.loss
        )
        return cost.block_until_ready()

    def run(self, iterations: int) -> None:
        super().run(iterations)
        jax.block_until_ready(self.parameters)


class Chain:
    against = "total"

    def __init__(self, size: int, **_: object):
        self.x, self.z = (jnp.asarray(v) for v in chain.data(size))

        def value(x, z):
            return (jnp.tanh(x * z + 0.5) * jnp.exp(-x * x) + jnp.log1p(z)).sum()

        self.f = jax.jit(value)

    def check(self) -> list[float]:
        return [float(self.f(self.x, self.z))]

    def run(self, iterations: int) -> None:
        for _ in range(iterations):
            self.f(self.x, self.z).block_until_ready()


class Call:
    against = "values"

    def __init__(self, **_: object):
        self.x = jnp.asarray(call.data())
        self.f = jax.jit(lambda x: x + 1)

    def check(self) -> list[float]:
        return self.f(self.x).tolist()

    def run(self, iterations: int) -> None:
        f, x = self.f, self.x
        for _ in range(iterations):
            f(x).block_until_ready()


class NewBatch(new_batch.Program):
    limit = 5  # it compiles anew for each

    def __init__(self, hidden: int, **_: object):
        super().__init__(hidden)
        self.parameters = [jnp.array(v) for v in self.data.parameters]
        self.step = jax.jit(_descend)

    def cost(self, x: np.ndarray, y: np.ndarray) -> float:
        self.parameters, cost = self.step(self.parameters, x, y, 0.0)
        return float(cost)


PROGRAMS = {"mlp": Mlp, "chain": Chain, "call": Call, "new_batch": NewBatch}
