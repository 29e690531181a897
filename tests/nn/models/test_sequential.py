"""Sequential: building, names, seeds, replay, and what it refuses."""

import copy
import pickle
import sys

import numpy as np
import pytest

import symnet
from symnet import nn
from symnet.config import config
from symnet.errors import ConfigError, ShapeError, SymnetError, TypeMismatchError
from symnet.graph.traversal import toposort
from symnet.nn.layers.base import Forward
from symnet.tensor.shared_randomstreams import RandomStreams


def outputs(model, x):
    return symnet.function(model.inputs, model.outputs[0])(x)


def test_it_is_built_where_the_shape_of_its_input_is_known():
    layers = lambda: [nn.Flatten(), nn.Dense(4, "relu"), nn.Dense(2)]
    later = nn.Sequential(layers(), seed=0)
    assert not later.built and later.parameters == [] and later.inputs == []
    later.build((None, 3, 5))
    others = [
        nn.Sequential([nn.Input((3, 5)), *layers()], seed=0),
        nn.Sequential(layers(), seed=0, input_shape=(3, 5)),
        nn.Sequential(layers(), seed=0),
        nn.Sequential(seed=0, input_shape=(3, 5)),
    ]
    others[2].build([(7, 3, 5)])  # a list of shapes, with a batch, as `fit` has it
    for layer in layers():
        others[3].add(layer)
    x = np.random.default_rng(0).normal(size=(6, 3, 5)).astype("float32")
    wanted = outputs(later, x)
    assert wanted.shape == (6, 2)
    for model in others:
        assert model.built
        assert model.inputs[0].type.shape == (None, 3, 5)
        assert model.outputs[0].type.shape == (None, 2)
        assert np.array_equal(outputs(model, x), wanted)


def test_the_output_is_layer_after_layer():
    model = nn.Sequential([nn.Rescaling(2), nn.Dense(3, "tanh"), nn.Dense(2)], input_shape=4)
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    K, b, V, c = model.get_weights()
    assert np.allclose(outputs(model, x), np.tanh(2 * x @ K + b) @ V + c, atol=1e-5)


def test_names_count_up_where_none_is_given():
    named = nn.Dense(2, name="dense_1")
    model = nn.Sequential([nn.Dense(2), named, nn.Dense(2), nn.Dense(2), nn.Activation("relu")])
    assert [layer.name for layer in model.layers] == [
        "dense", "dense_1", "dense_2", "dense_3", "activation",
    ]  # fmt: skip
    model.build((None, 2))
    assert [p.name for p in model.parameters[:4]] == [
        "dense.kernel", "dense.bias", "dense_1.kernel", "dense_1.bias",
    ]  # fmt: skip
    assert model["dense_1"] is named
    with pytest.raises(ConfigError, match="no layer 'x'; there are dense, dense_1"):
        model["x"]


def test_a_name_given_twice_is_refused_and_nothing_is_added():
    model = nn.Sequential([nn.Dense(2, name="a")])
    with pytest.raises(ConfigError, match=r"two layers are called a:\n.*\n.*made at"):
        model.add(nn.Dense(3, name="a"))
    assert len(model.layers) == 1


def test_seeds():
    make = lambda seed: nn.Sequential([nn.Dense(3), nn.Dense(3)], seed=seed, input_shape=3)
    a, b, c = make(1).get_weights(), make(1).get_weights(), make(2).get_weights()
    assert all(map(np.array_equal, a, b))
    assert not np.array_equal(a[0], c[0])
    assert not np.array_equal(a[0], a[2])  # no two layers start alike
    nn.set_seed(5)
    d = make(None).get_weights()
    nn.set_seed(5)
    assert all(map(np.array_equal, d, make(None).get_weights()))
    with pytest.raises(ConfigError):
        make("x")


def test_a_layers_own_seed_counts_more():
    own = nn.Dense(3, seed=9)
    own(nn.Input(3))
    model = nn.Sequential([nn.Dense(3, seed=9)], seed=1, input_shape=3)
    assert np.array_equal(model.get_weights()[0], own.kernel.get_value())


def test_adding_to_a_built_network_keeps_what_it_has():
    model = nn.Sequential([nn.Dense(3)], seed=0, input_shape=2)
    before = model.get_weights()
    model.add(nn.Dense(4))
    assert model.outputs[0].type.shape == (None, 4)
    assert all(map(np.array_equal, model.get_weights(), before))
    with pytest.raises(ShapeError):
        model.add(nn.Reshape(5))
    assert model.outputs[0].type.shape == (None, 4) and len(model.layers) == 2


def test_a_layer_may_come_twice():
    layer = nn.Dense(3, "tanh", use_bias=False)
    model = nn.Sequential([layer, layer], input_shape=3)
    assert model.layers == [layer] and len(model.parameters) == 1
    x = np.random.default_rng(0).normal(size=(2, 3)).astype("float32")
    K = layer.kernel.get_value()
    assert np.allclose(outputs(model, x), np.tanh(np.tanh(x @ K) @ K), atol=1e-6)


def test_an_error_while_building_leaves_the_network_as_it_was():
    first, last = nn.Dense(3), nn.Reshape(7)
    made_at = sys._getframe().f_lineno - 1
    model = nn.Sequential([first, last])
    with pytest.raises(ShapeError) as caught:
        model.build((None, 4))
    text = str(caught.value)
    assert f"in layer reshape (Reshape), made at {__file__}:{made_at}" in text
    assert "in layer sequential (Sequential)" in text
    assert not model.built and not first.built and model.parameters == []
    with pytest.raises(SymnetError):
        model.build((None, 5))  # not that the kernel is of another shape


def test_training_passes_draw_and_others_do_not():
    model = nn.Sequential([nn.Dropout(0.5), nn.Dense(2), nn.GaussianNoise(1)], input_shape=4)
    random = RandomStreams(0)
    forward = Forward(train=True, random=random)
    x = nn.Input(4)
    draws = lambda y: sorted(
        str(n.op).split("{")[0] for n in toposort([y]) if random.state in ancestors(n)
    )
    (y,) = model.expression([x], forward)
    assert len(draws(y)) > 0 and random._streams == 2
    (z,) = model.expression([x], Forward())
    assert draws(z) == [] == draws(model(x))
    assert draws(model(x, train=True)) == []  # it has streams of its own
    assert len(forward.calls) == 3
    assert [call.layer for call in forward.calls] == model.layers


def ancestors(node):
    return symnet.graph.traversal.ancestors(node.outputs)


def test_integers_are_converted_and_wrong_inputs_are_not():
    model = nn.Sequential([nn.Flatten(), nn.Dense(2)], input_shape=(2, 2))
    pixels = nn.Input((2, 2), dtype="uint8", name="pixels")
    (y,) = model.expression([pixels], Forward())
    assert y.dtype == "float32"
    with pytest.raises(TypeMismatchError, match=r"other: float32\(\?, 5\).*\nis not fit") as caught:
        model.expression([nn.Input(5, name="other")], Forward())
    assert "input: float32(?, 2, 2)" in str(caught.value)
    with pytest.raises(TypeMismatchError, match="1 inputs, got 2"):
        model.expression([pixels, pixels], Forward())
    tokens = nn.Sequential([nn.Input(3, dtype="int64"), nn.Rescaling(1)])
    with pytest.raises(TypeMismatchError, match="lose digits"):
        tokens.expression([nn.Input(3)], Forward())


def test_float64_networks():
    with config.change(floatX="float64"):
        model = nn.Sequential([nn.Dense(2)], input_shape=3)
        assert model.inputs[0].dtype == model.outputs[0].dtype == "float64"
        assert model.get_weights()[0].dtype == np.float64


@pytest.mark.parametrize(
    "make, error, text",
    [
        (lambda: nn.Sequential([3]), TypeMismatchError, "3 is no layer"),
        (lambda: nn.Sequential(nn.Dense(2), nn.Dense(3)), TypeMismatchError, "as one list"),
        (lambda: nn.Sequential([abs]), TypeMismatchError, "nn.Lambda makes a layer"),
        (lambda: nn.Sequential(["relu"]), TypeMismatchError, "'relu' is no layer"),
        (lambda: nn.Sequential([nn.Dense(2), nn.Input(3)]), TypeMismatchError, "may come first"),
        (lambda: nn.Sequential([nn.Input(3)], input_shape=3), TypeMismatchError, "is no layer"),
        (lambda: nn.Sequential([nn.Input(3) * 2]), TypeMismatchError, "is no layer"),
        (lambda: nn.Sequential([nn.Dense(2)]).build(()), ShapeError, "at least one dimension"),
        (
            lambda: nn.Sequential([nn.Dense(2)]).build([(None, 2), (None, 3)]),
            TypeMismatchError,
            "has one input, got 2",
        ),
        (
            lambda: nn.Sequential([nn.Dense(2)], input_shape=3).build((None, 4)),
            ShapeError,
            r"takes float32\(\?, 3\), not shape \(None, 4\)",
        ),
        (lambda: nn.Sequential([nn.Dense(2)]).build((784,)), ShapeError, "batch"),
        (lambda: nn.Sequential().summary(), ConfigError, "not known yet"),
    ],
)
def test_misuse_is_answered(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_what_is_shown():
    model = nn.Sequential([nn.Dense(1000)], name="m")
    assert repr(model) == "<Sequential m: 1 layer, not built>"
    model.build((None, 784))
    assert repr(model) == "<Sequential m: 1 layer, 785,000 parameters>"
    assert repr(model.layers[0]) == "<Dense dense>"


def test_a_network_is_no_layer_of_itself():
    model = nn.Sequential()
    with pytest.raises(ConfigError, match="layer of itself"):
        model.add(model)


# ---- networks in networks


def test_networks_in_networks():
    inner = nn.Sequential([nn.Dense(3, "tanh"), nn.Dropout(0.5)], name="inner")
    model = nn.Sequential([nn.Dense(4), inner, nn.Dense(2, kernel_regularizer="l2")], seed=0)
    model.build((None, 5))
    assert [p.name for p in model.parameters] == [
        "dense.kernel", "dense.bias", "inner.dense.kernel", "inner.dense.bias",
        "dense_1.kernel", "dense_1.bias",
    ]  # fmt: skip
    assert list(model.named_variables()) == [p.name for p in model.parameters]
    assert list(inner.named_variables()) == ["dense.kernel", "dense.bias"]
    x = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    K, b, L, c, M, d = model.get_weights()
    wanted = np.tanh((x @ K + b) @ L + c) @ M + d
    assert np.allclose(outputs(model, x), wanted, atol=1e-5)
    assert model.penalty() is not None and inner.penalty() is None
    forward = Forward(train=True)
    model.expression([nn.Input(5)], forward)
    assert forward._random is not None  # the mode reaches what is inside


def test_what_is_frozen_inside_is_state():
    inner = nn.Sequential([nn.Dense(3, kernel_regularizer="l2")])
    model = nn.Sequential([inner, nn.Dense(2)], input_shape=4)
    assert len(model.parameters) == 4
    inner.trainable = False
    assert [v.name for v in model.state] == ["sequential.dense.kernel", "sequential.dense.bias"]
    assert len(model.parameters) == 2 and len(model.get_weights()) == 4
    assert model.penalty() is None
    inner.trainable = True
    inner.layers[0].trainable = False
    assert len(model.parameters) == 2
    model.trainable = False
    assert model.parameters == [] and len(model.state) == 4


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_networks_of_their_own(again):
    model = nn.Sequential([nn.Dense(3, "relu"), nn.Dense(2)], input_shape=4, seed=0)
    x = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    before = outputs(model, x)
    other = again(model)
    assert np.array_equal(outputs(other, x), before)
    for v in other.parameters:
        v.set_value(np.zeros_like(v.get_value()))
    assert np.array_equal(outputs(model, x), before)
    assert not outputs(other, x).any()


def test_hundreds_of_layers():
    model = nn.Sequential([nn.Dense(2) for _ in range(400)], input_shape=2, seed=0)
    assert len(model.parameters) == 800
    assert len(pickle.loads(pickle.dumps(model)).parameters) == 800


def test_parameters_that_nobody_holds_are_refused():
    loose = nn.Dense(3, name="loose")
    with pytest.raises(ConfigError, match=r"layer loose \(Dense\).*neither trained nor saved"):
        nn.Sequential([nn.Input(3), nn.Lambda(lambda x: loose(x))])
    x = nn.Input(3)
    with pytest.raises(ConfigError, match="neither trained nor saved"):
        nn.Model(x, nn.Lambda(lambda x: loose(x))(x))
    loose.trainable = False
    assert nn.Sequential([nn.Input(3), nn.Lambda(lambda x: loose(x))]).parameters == []
