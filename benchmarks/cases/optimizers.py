"""Update rules alone: one step on parameters whose gradients are there already.

The rules are written once here, for arrays of NumPy's kind: the reference runs them in float64,
NumPy and JAX in float32. symnet and PyTorch bring their own.
"""

from typing import Any

import numpy as np

from .digest import digest

SHAPES = ((784, 1000), (1000,), (1000, 200), (200,))
STEPS = 3  # before the parameters are compared
SETTINGS: dict[str, dict[str, float]] = {
    "sgd": {"rate": 0.01},
    "momentum": {"rate": 0.01, "momentum": 0.9},
    "nesterov": {"rate": 0.01, "momentum": 0.9},
    "adagrad": {"rate": 0.01, "epsilon": 1e-8},
    "adadelta": {"rate": 1.0, "rho": 0.95, "epsilon": 1e-6},
    "rmsprop": {"rate": 0.001, "rho": 0.9, "epsilon": 1e-8},
    "adam": {"rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    "adamw": {"rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "decay": 0.01},
}
# arrays of state per parameter
STATES = {"sgd": 0, "momentum": 1, "nesterov": 1, "adagrad": 1, "rmsprop": 1}
STATES |= dict.fromkeys(("adadelta", "adam", "adamw"), 2)


def data(**_: object) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Parameters and gradients, float32; no gradient is near 0, where epsilon would matter."""
    rng = np.random.default_rng(0)
    parameters = [(rng.standard_normal(s) * 0.05).astype(np.float32) for s in SHAPES]
    gradients = [
        (rng.uniform(0.1, 1, s) * rng.choice([-1, 1], s)).astype(np.float32) for s in SHAPES
    ]
    return parameters, gradients


def step(xp: Any, rule: str, p: Any, g: Any, state: list, t: Any) -> tuple[Any, list]:
    """Parameter and state after step `t` (counted from 1)."""
    s = SETTINGS[rule]
    rate = s["rate"]
    if rule == "sgd":
        return p - rate * g, []
    if rule in ("momentum", "nesterov"):
        v = s["momentum"] * state[0] + g
        return p - rate * (g + s["momentum"] * v if rule == "nesterov" else v), [v]
    if rule == "adagrad":
        v = state[0] + g * g
        return p - rate * g / (xp.sqrt(v) + s["epsilon"]), [v]
    if rule == "rmsprop":
        v = s["rho"] * state[0] + (1 - s["rho"]) * (g * g)
        return p - rate * g / (xp.sqrt(v) + s["epsilon"]), [v]
    if rule == "adadelta":
        v = s["rho"] * state[0] + (1 - s["rho"]) * (g * g)
        move = xp.sqrt((state[1] + s["epsilon"]) / (v + s["epsilon"])) * g
        return p - rate * move, [v, s["rho"] * state[1] + (1 - s["rho"]) * (move * move)]
    m = s["beta1"] * state[0] + (1 - s["beta1"]) * g
    v = s["beta2"] * state[1] + (1 - s["beta2"]) * (g * g)
    scale, root = rate / (1 - s["beta1"] ** t), (1 - s["beta2"] ** t) ** 0.5
    return (
        p * (1 - rate * s.get("decay", 0.0)) - scale * m / (xp.sqrt(v) / root + s["epsilon"]),
        [m, v],
    )


def movement(rule: str) -> list[float]:
    """In float64."""
    result = []
    for p, g in zip(*data()):
        start = after = p.astype(np.float64)
        state = [np.zeros(p.shape)] * STATES[rule]
        for t in range(1, STEPS + 1):
            after, state = step(np, rule, after, g.astype(np.float64), state, t)
        result += digest(after - start)
    return result


class Program:
    """Common part of the peers' programs of this family; they define `advance` and `values`."""

    against = "movement"

    def __init__(self, rule: str):
        self.rule, self.settings = rule, SETTINGS[rule]
        self.parameters, self.gradients = data()

    def advance(self) -> None:
        """One step of the rule on all parameters."""
        raise NotImplementedError

    def values(self) -> list[np.ndarray]:
        """The parameters."""
        raise NotImplementedError

    def check(self) -> list[float]:
        for _ in range(STEPS):
            self.advance()
        return digest(*(after - before for after, before in zip(self.values(), data()[0])))

    def run(self, iterations: int) -> None:
        for _ in range(iterations):
            self.advance()


REFERENCES = {"movement": movement}
