"""Halves in models: a layer that computes with them, data that come as them."""

import ml_dtypes
import numpy as np
import pytest

import symnet.tensor as T
from symnet import nn
from symnet.errors import DataError
from symnet.nn.training.guard import finite

HALVES = [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)]


class HalfDense(nn.Layer):
    """Dense whose product is one of halves; the weights stay in float32."""

    def __init__(self, units, dtype, name=None, seed=None):
        super().__init__(name, seed)
        self.units, self.dtype = units, dtype

    def build(self, shape):
        self.weight = self.parameter("weight", (shape[-1], self.units), "glorot_uniform")

    def output(self, x, forward):
        return T.dot(x.astype(self.dtype), self.weight.astype(self.dtype)).astype("float32")


def data():
    points = np.random.default_rng(0).normal(size=(600, 4)).astype("float32")
    return points, (points @ [1, -2, 3, 0] > 0).astype("int64")


def trained(layers, points, labels, epochs=10):
    model = nn.Sequential([*layers, nn.Dense(2, activation="softmax")], seed=0)
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    model.fit(points, labels, epochs=epochs, batch_size=20, seed=0, verbose=0)
    return model


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_a_layer_of_halves_learns(half):
    points, labels = data()
    model = trained([HalfDense(16, half.name), nn.Activation("relu")], points, labels)
    assert model.evaluate(points, labels)["accuracy"] > 0.9
    assert {p.dtype for p in model.parameters} == {"float32"}


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_data_may_be_halves(half):
    points, labels = data()
    few = points.astype(half)
    found = trained([], few, labels, 2).predict(few)
    assert np.array_equal(found, trained([], few.astype("float32"), labels, 2).predict(few))
    with pytest.raises(DataError, match="inf"):
        trained([], np.where(labels[:, None] > 0, few, half.type(np.inf)), labels)


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_an_input_of_halves(half):
    points, labels = data()
    model = trained([nn.Input((4,), dtype=half.name)], points.astype(half), labels, 2)
    assert model.predict(points[:3].astype(half)).dtype == "float32"
    assert model.evaluate(points.astype(half), labels)["accuracy"] > 0.5


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_the_guard_sees_what_is_not_finite(half):
    assert finite(np.ones(3, half))
    assert not finite(np.array([1, np.nan]).astype(half))


@pytest.mark.parametrize("half", HALVES, ids=str)
def test_rescaling(half):
    layer = nn.Rescaling(0.5, 1)
    assert layer(T.matrix(dtype=half.name)).dtype == half.name
