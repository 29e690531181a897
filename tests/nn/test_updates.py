"""Update rules against plain NumPy, step by step; what they return and refuse."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet import nn
from symnet.errors import ConfigError, DisconnectedInputError, UpdateError
from symnet.graph.variables import SharedVariable

# ---- the rules in NumPy: (parameter, gradient, state, number of the step, settings) -> parameter


def sgd(p, g, s, t, learning_rate):
    return p - learning_rate * g


def momentum(p, g, s, t, learning_rate, momentum):
    s["v"] = momentum * s.get("v", 0) - learning_rate * g
    return p + s["v"]


def nesterov(p, g, s, t, learning_rate, momentum):
    s["v"] = momentum * s.get("v", 0) - learning_rate * g
    return p + momentum * s["v"] - learning_rate * g


def adagrad(p, g, s, t, learning_rate, epsilon):
    s["a"] = s.get("a", 0) + g**2
    return p - learning_rate * g / np.sqrt(s["a"] + epsilon)


def rmsprop(p, g, s, t, learning_rate, rho, epsilon):
    s["a"] = rho * s.get("a", 0) + (1 - rho) * g**2
    return p - learning_rate * g / np.sqrt(s["a"] + epsilon)


def adadelta(p, g, s, t, learning_rate, rho, epsilon):
    s["a"] = rho * s.get("a", 0) + (1 - rho) * g**2
    step = np.sqrt(s.get("d", 0) + epsilon) / np.sqrt(s["a"] + epsilon) * g
    s["d"] = rho * s.get("d", 0) + (1 - rho) * step**2
    return p - learning_rate * step


def adam(p, g, s, t, learning_rate, beta1, beta2, epsilon):
    s["m"] = beta1 * s.get("m", 0) + (1 - beta1) * g
    s["v"] = beta2 * s.get("v", 0) + (1 - beta2) * g**2
    m, v = s["m"] / (1 - beta1**t), s["v"] / (1 - beta2**t)
    return p - learning_rate * m / (np.sqrt(v) + epsilon)


def adamw(p, g, s, t, learning_rate, beta1, beta2, epsilon, weight_decay):
    step = adam(p, g, s, t, learning_rate, beta1, beta2, epsilon)
    return step - learning_rate * weight_decay * p


# each rule with its settings, and between which values they are drawn
RATE, DECAY = (1e-4, 1.0), (0.0, 0.9995)
RULES = {
    sgd: {"learning_rate": RATE},
    momentum: {"learning_rate": RATE, "momentum": DECAY},
    nesterov: {"learning_rate": RATE, "momentum": DECAY},
    adagrad: {"learning_rate": RATE, "epsilon": (1e-7, 1e-2)},
    rmsprop: {"learning_rate": RATE, "rho": DECAY, "epsilon": (1e-7, 1e-2)},
    adadelta: {"learning_rate": RATE, "rho": DECAY, "epsilon": (1e-7, 1e-2)},
    adam: {"learning_rate": RATE, "beta1": DECAY, "beta2": DECAY, "epsilon": (1e-8, 1e-2)},
    adamw: {
        "learning_rate": RATE, "beta1": DECAY, "beta2": DECAY, "epsilon": (1e-8, 1e-2),
        "weight_decay": (0.0, 0.1),
    },
}  # fmt: skip
SHAPES = {"W": (3, 2), "b": (2,)}


@functools.cache
def machine(name, dtype):
    """A function of two gradients that makes one step; its parameters, settings and state."""
    rule = next(r for r in RULES if r.__name__ == name)
    params = [symnet.shared(np.zeros(s, dtype), k) for k, s in SHAPES.items()]
    gradients = [T.TensorType(dtype, (None,) * len(s))() for s in SHAPES.values()]
    chosen = {k: symnet.shared(np.array(0, dtype), k) for k in RULES[rule]}
    updates = getattr(nn, name)(gradients, params, **chosen)
    step = symnet.function(gradients, [], updates=updates)
    return rule, step, params, chosen, [s for s in updates if s not in params]


def arrays(dtype):
    """A value of both parameters, in the range where no rule over- or underflows."""
    number = st.one_of(st.just(0.0), st.floats(0.01, 10), st.floats(-10, -0.01))
    return st.tuples(
        *(
            st.lists(number, min_size=(n := int(np.prod(s))), max_size=n).map(
                lambda values, s=s: np.array(values, dtype).reshape(s)
            )
            for s in SHAPES.values()
        )
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [rule.__name__ for rule in RULES])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_steps_equal_those_of_numpy(name, dtype, data):
    rule, step, params, chosen, state = machine(name, dtype)
    for s in state:
        s.set_value(np.zeros_like(s.get_value()))
    for key, shared in chosen.items():
        shared.set_value(np.array(data.draw(st.floats(*RULES[rule][key]), key), dtype))
    exact = {k: float(v.get_value()) for k, v in chosen.items()}
    wanted = [p.astype("float64") for p in data.draw(arrays(dtype), "parameters")]
    for p, value in zip(params, wanted):
        p.set_value(value.astype(dtype))
    memory = [{}, {}]
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    for t in range(1, 5):
        gradients = data.draw(arrays(dtype), "gradients")
        step(*gradients)
        wanted = [
            rule(p, g.astype("float64"), s, t, **exact)
            for p, g, s in zip(wanted, gradients, memory)
        ]
        for p, value in zip(params, wanted):
            found = p.get_value()
            assert found.dtype == dtype
            # steps are at most some 100 long; errors are measured against the longest number met
            np.testing.assert_allclose(found, value, rtol=tolerance, atol=30 * tolerance)


# ---- from a loss, with plain numbers


@pytest.mark.parametrize("name", [rule.__name__ for rule in RULES])
def test_a_loss_goes_down_in_float32_alone(name):
    rng = np.random.default_rng(0)
    x, y = T.matrix("x"), T.matrix("y")
    W = symnet.shared(rng.normal(size=(3, 2)).astype("float32"), "W")
    b = symnet.shared(np.zeros(2, "float32"), "b")
    loss = ((T.dot(x, W) + b - y) ** 2).mean()
    # AdaDelta begins with steps of sqrt(epsilon)
    rate = 10 if name == "adadelta" else 0.01
    updates = getattr(nn, name)(loss, [W, b], learning_rate=rate)
    train = symnet.function([x, y], loss, updates=updates)
    data = rng.normal(size=(8, 3)).astype("float32"), np.ones((8, 2), "float32")
    losses = [float(train(*data)) for _ in range(20)]
    assert losses[-1] < 0.98 * losses[0]
    assert W in updates and b in updates
    for shared, value in updates.items():
        assert isinstance(shared, SharedVariable)
        assert shared.dtype == value.dtype == ("int64" if shared.ndim == 0 else "float32")
        assert shared.name.partition("_")[0] in ("W", "b", "adam")


def test_a_learning_rate_is_a_shared_scalar_of_any_float_type():
    p = symnet.shared(np.ones(2, "float32"), "p")
    rate = symnet.shared(np.array(0.5, "float64"), "rate")
    step = symnet.function([], [], updates=nn.sgd(p.sum(), [p], rate))
    step()
    rate.set_value(np.array(0.25))
    step()
    assert p.get_value().tolist() == [0.25, 0.25]


def test_parameters_of_both_float_types_share_the_step_counter():
    small, large = (symnet.shared(np.ones(2, d), d) for d in ("float32", "float64"))
    updates = nn.adam((small.astype("float64") * large).sum(), [small, large])
    train = symnet.function([], [], updates=updates)
    train()
    train()
    assert [s.name for s in updates if s.ndim == 0] == ["adam_step"]
    np.testing.assert_allclose(small.get_value(), large.get_value(), rtol=1e-6)


def test_after_many_steps_the_first_moments_bias_is_gone_and_the_count_exact():
    p = symnet.shared(np.ones(1, "float32"), "p")
    updates = nn.adam([T.ones_like(p)], [p], learning_rate=0.125)
    count, m, v = (s for s in updates if s is not p)
    train = symnet.function([], [], updates=updates)
    count.set_value(np.array(2**24 + 1))
    m.set_value(np.ones(1, "float32"))
    v.set_value(np.ones(1, "float32"))
    train()
    assert count.get_value() == 2**24 + 2
    np.testing.assert_allclose(p.get_value(), 1 - 0.125, rtol=1e-6)


def test_state_keeps_the_declared_sizes():
    p = symnet.shared(np.ones((1, 3), "float32"), "p", broadcastable=(True, False))
    updates = nn.momentum([T.ones_like(p)], [p], 0.1)
    assert all(s.broadcastable == (True, False) for s in updates)


@pytest.mark.parametrize("rate", ["number", "shared"])
@pytest.mark.parametrize("name", [rule.__name__ for rule in RULES])
def test_each_parameter_is_one_pass(name, rate):
    """State and parameter are written by one kernel per parameter, all by the same code; beside it,
    Adam and AdamW have one for the corrections and the count, which are scalars."""
    params = [symnet.shared(np.zeros(s, "float32")) for s in [(5, 4), (4,), (4, 3), (3,)]]
    gradients = [T.matrix(), T.vector(), T.matrix(), T.vector()]
    learning_rate = 0.1 if rate == "number" else symnet.shared(np.float32(0.1))
    step = symnet.function(
        gradients, [], updates=getattr(nn, name)(gradients, params, learning_rate=learning_rate)
    )
    scalars = 1 if name in ("adam", "adamw") else 0
    lines = str(step.program).partition("steps\n")[2].splitlines()
    kernels = [line.split("map(")[0].split(":")[1] for line in lines]
    assert len(kernels) == len(params) + scalars
    assert len(set(kernels)) == 1 + scalars


# ---- what is refused


def parameter():
    return symnet.shared(np.ones(2, "float32"), "p")


def test_what_is_no_parameter():
    p = parameter()
    with pytest.raises(UpdateError, match="one variable"):
        nn.sgd(p.sum(), p, 0.1)
    with pytest.raises(UpdateError, match=r"x .*not a parameter"):
        nn.sgd(p.sum(), [T.vector("x")], 0.1)
    with pytest.raises(UpdateError, match=r"int64.*not a parameter"):
        nn.sgd(p.sum(), [symnet.shared(np.ones(2, "int64"), "n")], 0.1)
    with pytest.raises(UpdateError, match="twice"):
        nn.adam(p.sum(), [p, p])
    with pytest.raises(UpdateError, match="1 gradients for 2"):
        nn.sgd([p], [p, parameter()], 0.1)
    with pytest.raises(DisconnectedInputError):
        nn.sgd(p.sum(), [parameter()], 0.1)


@pytest.mark.parametrize(
    "rule, setting",
    [
        (nn.sgd, {"learning_rate": -0.1}),
        (nn.sgd, {"learning_rate": float("nan")}),
        (nn.sgd, {"learning_rate": "fast"}),
        (nn.momentum, {"learning_rate": 0.1, "momentum": 1}),
        (nn.nesterov, {"learning_rate": 0.1, "momentum": -0.1}),
        (nn.adam, {"beta2": 1.0}),
        (nn.adamw, {"weight_decay": -1}),
        (nn.rmsprop, {"rho": 1.5}),
        (nn.adagrad, {"epsilon": float("inf")}),
    ],
)
def test_numbers_outside_their_range(rule, setting):
    p = parameter()
    name = list(setting)[-1]
    with pytest.raises(ConfigError, match=name):
        rule(p.sum(), [p], **setting)
