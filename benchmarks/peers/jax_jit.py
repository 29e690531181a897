"""JAX: the whole step in one `jit`, parameters donated, the minibatch sliced inside."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from ..cases import call, chain, mlp, new_batch, optimizers, rows


def _cost(parameters, x, y, loss="labels"):
    h = x
    for w, b in zip(parameters[:-2:2], parameters[1:-2:2]):
        h = jnp.maximum(h @ w + b, 0)
    o = h @ parameters[-2] + parameters[-1]
    if loss == "pixels":
        return (jax.nn.softplus(o) - o * x).mean()
    log_p = jax.nn.log_softmax(o)
    return -jnp.take_along_axis(log_p, y[:, None], 1).mean()


def descend(parameters, x, y, rate, loss="labels"):
    cost, gradients = jax.value_and_grad(_cost)(parameters, x, y, loss)
    return [p - rate * g for p, g in zip(parameters, gradients)], cost


@functools.partial(jax.jit, static_argnames=("batch", "rate", "loss"), donate_argnums=0)
def _step(parameters, xs, ys, k, batch, rate, loss):
    x = jax.lax.dynamic_slice_in_dim(xs, k * batch, batch)
    y = x if ys is None else jax.lax.dynamic_slice_in_dim(ys, k * batch, batch)
    return descend(parameters, x, y, rate, loss)


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


def _total(x, z):
    return (jnp.tanh(x * z + 0.5) * jnp.exp(-x * x) + jnp.log1p(z)).sum()


def _gradient(x, z):
    value, gradients = jax.value_and_grad(_total, (0, 1))(x, z)
    return value, *gradients


CHAINS = {
    "sum": _total,
    "array": lambda x, z: jnp.sqrt(x * x + z * z) * jax.nn.sigmoid(x) - 0.1 * x,
    "gradient": _gradient,
}


class Chain(chain.Program):
    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        self.x, self.z = (jnp.asarray(v) for v in self.inputs)
        self.f = jax.jit(CHAINS[self.kind])

    def call(self) -> object:
        return jax.block_until_ready(self.f(self.x, self.z))


def _layer_norm(x, scale, shift):
    mean = x.mean(1, keepdims=True)
    variance = ((x - mean) ** 2).mean(1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + rows.EPSILON) * scale + shift


def _cross_entropy(x, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], 1).mean()


def _layer_norm_gradient(x, scale, shift, upstream):
    return jax.vjp(_layer_norm, x, scale, shift)[1](upstream)


class Rows(rows.Program):
    def __init__(self, **parameters: object):
        super().__init__(**parameters)
        x, upstream, scale, shift, labels = (jnp.asarray(v) for v in self.data)
        f, self.arguments = {
            "softmax": (jax.nn.softmax, [x]),
            "cross-entropy": (jax.grad(_cross_entropy), [x, labels.astype(jnp.int32)]),
            "layer-norm": (_layer_norm, [x, scale, shift]),
            "layer-norm-gradient": (_layer_norm_gradient, [x, scale, shift, upstream]),
        }[self.kind]
        self.f = jax.jit(f)

    def call(self) -> object:
        return jax.block_until_ready(self.f(*self.arguments))


class Optimizers(optimizers.Program):
    def __init__(self, rule: str):
        super().__init__(rule)
        self.parameters = [jnp.array(p) for p in self.parameters]
        self.gradients = [jnp.asarray(g) for g in self.gradients]
        n = optimizers.STATES[rule]
        self.states = [[jnp.zeros_like(p) for _ in range(n)] for p in self.parameters]
        self.t = jnp.float32(0)
        self.f = jax.jit(self._step, donate_argnums=(0, 1, 3))

    def _step(self, parameters, states, gradients, t):
        pairs = [
            optimizers.step(jnp, self.rule, p, g, s, t + 1)
            for p, g, s in zip(parameters, gradients, states)
        ]
        return [p for p, _ in pairs], [s for _, s in pairs], t + 1

    def advance(self) -> None:
        self.parameters, self.states, self.t = self.f(
            self.parameters, self.states, self.gradients, self.t
        )
        jax.block_until_ready(self.parameters)

    def values(self) -> list[np.ndarray]:
        return [np.asarray(p) for p in self.parameters]


class Call(call.Program):
    def __init__(self, **_: object):
        self.x = jnp.asarray(call.data())
        self.f = jax.jit(lambda x: x + 1)

    def run(self, iterations: int) -> None:
        f, x = self.f, self.x
        for _ in range(iterations):
            f(x).block_until_ready()


class NewBatch(new_batch.Program):
    limit = 5  # it compiles anew for each

    def __init__(self, hidden: int, **_: object):
        super().__init__(hidden)
        self.parameters = [jnp.array(v) for v in self.data.parameters]
        self.step = jax.jit(descend)

    def cost(self, x: np.ndarray, y: np.ndarray) -> float:
        self.parameters, cost = self.step(self.parameters, x, y, 0.0)
        return float(cost)


PROGRAMS = {
    "mlp": Mlp,
    "chain": Chain,
    "call": Call,
    "new_batch": NewBatch,
    "optimizers": Optimizers,
    "rows": Rows,
}
