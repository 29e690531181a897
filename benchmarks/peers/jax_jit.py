"""JAX: the whole step in one `jit`, parameters donated, the minibatch sliced inside."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ..cases import call, chain, mlp, new_batch


def _cost(parameters, x, y):
    w1, b1, w2, b2 = parameters
    o = jnp.maximum(x @ w1 + b1, 0) @ w2 + b2
    log_p = jax.nn.log_softmax(o)
    return -jnp.take_along_axis(log_p, y[:, None], 1).mean()


def _descend(parameters, x, y, rate):
    cost, gradients = jax.value_and_grad(_cost)(parameters, x, y)
    return [p - rate * g for p, g in zip(parameters, gradients)], cost


@functools.partial(jax.jit, static_argnums=4, donate_argnums=0)
def _step(parameters, xs, ys, k, batch):
    x = jax.lax.dynamic_slice_in_dim(xs, k * batch, batch)
    y = jax.lax.dynamic_slice_in_dim(ys, k * batch, batch)
    return _descend(parameters, x, y, mlp.RATE)


class Mlp(mlp.Program):
    def __init__(self, batch: int, hidden: int, examples: int, **_: object):
        d = mlp.data(hidden, examples)
        self.x, self.y = jnp.asarray(d.x), jnp.asarray(d.y.astype(np.int32))
        self.parameters = [jnp.array(v) for v in d[2:]]
        self.batch, self.batches, self.next = batch, examples // batch, 0

    def step(self) -> jax.Array:
        k = self.next
        self.next = (k + 1) % self.batches
        self.parameters, cost = _step(self.parameters, self.x, self.y, k, self.batch)
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
        self.parameters = [jnp.array(v) for v in self.data[2:]]
        self.step = jax.jit(_descend)

    def cost(self, x: np.ndarray, y: np.ndarray) -> float:
        self.parameters, cost = self.step(self.parameters, x, y, 0.0)
        return float(cost)


PROGRAMS = {"mlp": Mlp, "chain": Chain, "call": Call, "new_batch": NewBatch}
