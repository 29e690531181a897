import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import symnet
import symnet.tensor as T
from symnet import nn
from symnet.backends.reference import evaluate
from symnet.errors import ConfigError, TypeMismatchError
from symnet.nn import clipping

RULES = [clipping.by_value, clipping.by_norm, clipping.by_global_norm]
GRADIENTS = st.lists(
    arrays("float64", array_shapes(max_dims=3, max_side=3), elements=st.floats(-100, 100)),
    min_size=1,
    max_size=3,
)


def inputs(gradients):
    return [T.TensorType(g.dtype.name, (None,) * g.ndim)() for g in gradients]


def clipped(rule, gradients, limit):
    variables = inputs(gradients)
    return evaluate(rule(variables, limit), dict(zip(variables, gradients)))


@settings(max_examples=50, deadline=None)
@given(gradients=GRADIENTS, limit=st.floats(0.01, 1000))
def test_what_comes_out(gradients, limit):
    for found, g in zip(clipped(clipping.by_value, gradients, limit), gradients):
        np.testing.assert_array_equal(found, np.clip(g, -limit, limit))
    for found, g in zip(clipped(clipping.by_norm, gradients, limit), gradients):
        norm = np.linalg.norm(g.ravel())
        np.testing.assert_allclose(found, g * min(1, limit / max(norm, 1e-300)), rtol=1e-12)
    norm = np.linalg.norm(np.concatenate([g.ravel() for g in gradients]))
    factor = min(1, limit / max(norm, 1e-300))
    for found, g in zip(clipped(clipping.by_global_norm, gradients, limit), gradients):
        np.testing.assert_allclose(found, g * factor, rtol=1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_small_gradients_stay_to_the_bit(rule):
    g = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    (found,) = clipped(rule, [g], 1000.0)
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, g)


@pytest.mark.parametrize("rule", RULES)
def test_compiled_with_a_limit_that_changes(rule):
    g, h = T.matrix("g"), T.dvector("h")
    limit = symnet.shared(np.array(2.0, "float32"), "limit")
    out = rule([g, h], limit)
    assert [v.dtype for v in out] == ["float32", "float64"]
    f = symnet.function([g, h], out)
    values = np.array([[3.0, -4.0]], "float32"), np.array([12.0])
    for number in (2.0, 6.5):
        limit.set_value(np.array(number, "float32"))
        for found, wanted in zip(f(*values), clipped(rule, values, number)):
            np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("rule", RULES[1:])
@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_norms_of_float32_neither_overflow_nor_vanish(rule, size):
    g = np.array([3.0, 4.0], "float32") * np.float32(size)
    (found,) = clipped(rule, [g], 0.5 * size)
    np.testing.assert_allclose(found, np.array([0.3, 0.4]) * size, rtol=1e-6)


@pytest.mark.parametrize("rule", RULES)
def test_what_is_no_number_stays_so(rule):
    (found,) = clipped(rule, [np.array([math.nan, 1.0], "float32")], 1.0)
    assert np.isnan(found[0])
    (found,) = clipped(rule, [np.array([math.inf, 1.0], "float32")], 1.0)
    assert found[0] == 1 if rule is clipping.by_value else np.isnan(found[0])


@pytest.mark.parametrize("rule", RULES)
def test_zero_and_nothing(rule):
    (found,) = clipped(rule, [np.zeros((2, 2))], 1.0)
    assert (found == 0).all()
    assert rule([], 1.0) == []


def test_in_front_of_a_rule():
    """The step of plain descent has the length of the limit."""
    p = [symnet.shared(np.zeros(s), "p") for s in ((2, 2), (3,))]
    loss = sum((v * 7).sum() for v in p)
    gradients = clipping.by_global_norm(symnet.grad(loss, p), 0.5)
    symnet.function([], [], updates=nn.sgd(gradients, p, 1.0))()
    moved = np.concatenate([v.get_value().ravel() for v in p])
    assert np.linalg.norm(moved) == pytest.approx(0.5)


@pytest.mark.parametrize("rule", RULES)
def test_what_is_refused(rule):
    g = T.vector("g")
    for limit in (0, -1.0, math.inf, math.nan, "1", True, None):
        with pytest.raises(ConfigError, match="limit="):
            rule([g], limit)
    with pytest.raises(ConfigError, match="one number"):
        rule([g], T.vector("limit"))
    with pytest.raises(TypeMismatchError, match="list of gradients"):
        rule(g, 1.0)
