import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import symnet
import symnet.tensor as T
from symnet.backends.reference import evaluate
from symnet.errors import ConfigError
from symnet.nn import l1, l1_l2, l2
from symnet.nn.names import describe, lookup
from symnet.testing import verify_grad

PENALTIES = [l1(0.5), l2(0.25), l1_l2(0.5, 0.25), l1(), l2(), l1_l2()]


def expected(penalty, w):
    first = {"l1": penalty.config().get("weight"), "l1_l2": penalty.config().get("l1")}
    second = {"l2": penalty.config().get("weight"), "l1_l2": penalty.config().get("l2")}
    name = type(penalty).__name__
    return first.get(name, 0) * np.abs(w).sum() + second.get(name, 0) * (w**2).sum()


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
@settings(max_examples=20, deadline=None)
@given(w=arrays("float64", array_shapes(max_dims=4, max_side=4), elements=st.floats(-10, 10)))
def test_values(penalty, w):
    x = T.TensorType("float64", (None,) * w.ndim)("w")
    value = penalty(x)
    assert value.type.ndim == 0 and value.dtype == "float64"
    np.testing.assert_allclose(evaluate([value], {x: w})[0], expected(penalty, w), rtol=1e-12)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_gradients(penalty):
    verify_grad(penalty, [np.array([[1.0, -2.0], [0.5, 3.0]])], order=2)


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_weights_of_zero_stay_and_keep_their_dtype(penalty):
    w = symnet.shared(np.zeros((2, 2), "float32"), "w")
    value = penalty(w)
    assert value.dtype == "float32"
    assert (symnet.function([], symnet.grad(value, w))() == 0).all()


@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_json_has_all_of_it(penalty):
    again = lookup("penalty", json.loads(json.dumps(describe("penalty", penalty))))
    assert again == penalty and type(again) is type(penalty)


def test_defaults_by_name():
    assert lookup("penalty", "l2") == l2(0.01)
    assert lookup("penalty", l1) == l1(0.01)


@pytest.mark.parametrize("weight", [-1, math.inf, math.nan, "0.1", None, True])
def test_what_is_no_weight(weight):
    with pytest.raises(ConfigError, match="weight="):
        l2(weight)
    with pytest.raises(ConfigError, match="l2="):
        l1_l2(0.1, weight)
