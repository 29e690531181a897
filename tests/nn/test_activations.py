"""Activations: values against their definitions, gradients, shapes and dtypes, at the ends too.

The values of those that are T.nnet's are tested there against scipy.
"""

import math

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import symnet
import symnet.tensor as T
from symnet.nn import activations
from symnet.nn.names import lookup, names_of
from symnet.testing import verify_grad
from symnet.testing.comparison import MODES

NAMES = names_of("activation")
X = np.linspace(-4, 4, 30).reshape(6, 5)


def values(function, x):
    v = T.TensorType(x.dtype.name, (None,) * x.ndim)("x")
    return symnet.function([v], function(v))(x)


def test_the_table_is_complete():
    assert set(NAMES) == set(activations.__all__)


@pytest.mark.parametrize(
    "name, expected",
    [
        ("linear", lambda x: x),
        ("sigmoid", scipy.special.expit),
        ("hard_sigmoid", lambda x: np.clip(0.2 * x + 0.5, 0, 1)),
        ("tanh", np.tanh),
        ("relu", lambda x: np.maximum(x, 0)),
        ("relu6", lambda x: np.clip(x, 0, 6)),
        ("leaky_relu", lambda x: np.where(x > 0, x, 0.01 * x)),
        ("elu", lambda x: np.where(x > 0, x, np.expm1(x))),
        ("selu", lambda x: 1.05070099 * np.where(x > 0, x, 1.67326324 * np.expm1(x))),
        ("gelu", lambda x: x * scipy.special.ndtr(x)),
        ("silu", lambda x: x * scipy.special.expit(x)),
        ("swish", lambda x: x * scipy.special.expit(x)),
        ("mish", lambda x: x * np.tanh(np.log1p(np.exp(x)))),
        ("softplus", lambda x: np.log1p(np.exp(x))),
        ("softsign", lambda x: x / (1 + np.abs(x))),
        ("step", lambda x: (x > 0).astype("float64")),
        ("softmax", lambda x: scipy.special.softmax(x, axis=-1)),
        ("log_softmax", lambda x: scipy.special.log_softmax(x, axis=-1)),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values(name, expected, dtype):
    found = values(lookup("activation", name), X.astype(dtype))
    assert found.dtype == dtype and found.shape == X.shape
    tolerance = 2e-6 if dtype == "float32" else 1e-8  # selu's constants are given to 9 digits here
    np.testing.assert_allclose(found, expected(X), rtol=tolerance, atol=tolerance)


SMOOTH = [n for n in NAMES if n != "step"]


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients(name):
    x = np.random.default_rng(0).normal(size=(3, 4)) * 2
    x[np.abs(x) < 0.05] = 0.5  # not across a kink
    verify_grad(lookup("activation", name), [x], order=2)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("size", [1000.0, 1e30])
def test_large_sums_have_finite_gradients(name, size):
    x = T.matrix("x")
    y = lookup("activation", name)(x)
    gradient = symnet.grad((y * np.float32(1e-3)).sum(), x)
    points = np.array([[-size, 0.0, size], [size, -size, -size]], "float32")
    value, slope = symnet.function([x], [y, gradient])(points)
    assert np.isfinite(slope).all()
    assert np.isfinite(value).all()


def test_a_slope_of_ones_own():
    x = np.array([-2.0, 3.0], "float32")
    assert values(lambda v: activations.leaky_relu(v, 0.25), x).tolist() == [-0.5, 3.0]


# ---- the threshold unit


@settings(max_examples=50, deadline=None)
@given(arrays("float32", array_shapes(max_dims=3, max_side=4), elements=st.floats(width=32)))
def test_steps_are_exact(x):
    """0 or 1 to the bit for all numbers, and the gradient is that of the line through the step."""
    v = T.TensorType("float32", (None,) * x.ndim)("x")
    y = activations.step(v)
    slope = symnet.grad((y * 3).sum(), v)
    value, slope = symnet.function([v], [y, slope])(x)
    number = ~np.isnan(x)
    assert value.dtype == "float32"
    np.testing.assert_array_equal(value[number], (x > 0)[number])
    inside, outside = number & (np.abs(x) < 1), number & (np.abs(x) > 1)
    np.testing.assert_allclose(slope[inside], 1.5)
    np.testing.assert_array_equal(slope[outside], 0)


@pytest.mark.parametrize("mode", MODES)
def test_steps_alike_in_all_modes(mode):
    x = T.matrix("x")
    y = activations.step(x)
    f = symnet.function([x], [y, symnet.grad(y.sum(), x)], mode=MODES[mode])
    value, slope = f(np.array([[-math.inf, -1.5, -0.0], [0.0, 1e-38, math.inf]], "float32"))
    assert value.tolist() == [[0, 0, 0], [0, 1, 1]]
    assert slope.tolist() == [[0, 0, 0.5], [0.5, 0.5, 0]]
    assert np.isnan(f(np.array([[math.nan]], "float32"))[0]).all()
