"""Model: networks recorded by calling layers, replayed for training and for other inputs."""

import copy
import pickle

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet import nn
from symnet.errors import (
    ConfigError,
    MissingInputError,
    ShapeError,
    TypeMismatchError,
    UnusedInputError,
)
from symnet.graph.traversal import ancestors, toposort
from symnet.nn.layers.base import Forward
from symnet.tensor.shared_randomstreams import RandomStreams

RNG = np.random.default_rng(0)


def residual():
    """A network with a branch, two inputs, two outputs, and an expression between layers."""
    a, b = nn.Input(4, name="a"), nn.Input(3, name="b")
    h = nn.Dense(5, "tanh")(a)
    k = nn.Dense(5)(b)
    both = nn.Dropout(0.5)(h * 2 + T.exp(-k))
    first, second = nn.Dense(2)(both), nn.Dense(1, name="score")(nn.Concatenate()([h, k]))
    return nn.Model([a, b], [first, second], name="residual")


def by_hand(weights, a, b):
    K, c, L, d, M, e, N, f = weights
    h, k = np.tanh(a @ K + c), b @ L + d
    return (h * 2 + np.exp(-k)) @ M + e, np.concatenate([h, k], 1) @ N + f


def test_outputs_are_those_of_the_layers_and_expressions():
    model = residual()
    a, b = RNG.normal(size=(6, 4)).astype("float32"), RNG.normal(size=(6, 3)).astype("float32")
    got = symnet.function(model.inputs, model.outputs)(a, b)
    for x, y in zip(got, by_hand(model.get_weights(), a, b)):
        assert np.allclose(x, y, atol=1e-5)
    assert [v.name for v in model.inputs] == ["a", "b"]
    assert [v.name for v in model.outputs] == ["dense_2", "score"]
    assert [layer.name for layer in model.layers] == [
        "dense", "dense_1", "dropout", "dense_2", "concatenate", "score",
    ]  # fmt: skip


def test_replay_for_other_inputs_and_for_training():
    model = residual()
    x, y = nn.Input(4), nn.Input(3, dtype="int32")
    a, b = RNG.normal(size=(6, 4)).astype("float32"), RNG.integers(0, 5, (6, 3)).astype("int32")
    got = symnet.function([x, y], model.expression([x, y], Forward()))(a, b)
    for u, v in zip(got, by_hand(model.get_weights(), a, b)):
        assert np.allclose(u, v, atol=1e-5)
    random = RandomStreams(0)
    first, second = model.expression([x, y], Forward(train=True, random=random))
    assert random.state in ancestors([first])
    assert random.state not in ancestors([second])
    assert not {model.inputs[0], *model._from} & ancestors([first, second])


def test_a_network_made_for_training_predicts_without_dropout():
    x = nn.Input(3)
    model = nn.Model(x, nn.Dropout(0.5)(nn.Dense(3)(x), train=True))
    data = RNG.normal(size=(50, 3)).astype("float32")
    K, b = model.get_weights()
    got = symnet.function(model.inputs, model.outputs[0])(data)
    assert np.allclose(got, data @ K + b, atol=1e-6)


def test_what_depends_on_no_input_stays_as_it_is():
    x = nn.Input(2)
    scale = symnet.shared(np.float32(3), "scale")
    h = nn.Dense(2, kernel_initializer="ones")(x) * T.exp(scale)
    model = nn.Model(x, h)
    assert model.parameters == model.layers[0].parameters  # shared variables on the way are none
    got = symnet.function(model.inputs, model.outputs[0])(np.ones((1, 2), "float32"))
    assert np.allclose(got, 2 * np.exp(3))


def test_layers_may_be_fed_by_what_depends_on_no_input():
    x = nn.Input(2)
    shift = nn.Dense(2, kernel_initializer="ones")(np.ones((1, 2), "float32"))
    model = nn.Model(x, x + shift)
    assert len(model.layers) == 1
    got = symnet.function(model.inputs, model.outputs[0])(np.zeros((3, 2), "float32"))
    assert np.array_equal(got, np.full((3, 2), 2))


def test_models_share_layers():
    x = nn.Input(4)
    code = nn.Dense(2, "tanh")(x)
    encoder = nn.Model(x, code)
    whole = nn.Model(x, nn.Dense(4)(code))
    assert encoder.parameters == whole.parameters[:2]
    decoder = nn.Model(code, nn.Dense(1)(code))  # from the middle on
    assert decoder.inputs[0].type.shape == (None, 2) and decoder.inputs[0].owner is None
    assert len(decoder.parameters) == 2


def test_models_are_layers_of_models():
    inner = residual()
    a, b = nn.Input(4), nn.Input(3)
    first, second = inner([a, b])
    model = nn.Model([a, b], nn.Add()([nn.Dense(1)(first), second]))
    assert model.layers[0] is inner
    assert "residual.score.kernel" in model.named_variables()
    u, v = RNG.normal(size=(6, 4)).astype("float32"), RNG.normal(size=(6, 3)).astype("float32")
    K, c = model["dense"].get_weights()
    p, q = by_hand(inner.get_weights(), u, v)
    got = symnet.function(model.inputs, model.outputs[0])(u, v)
    assert np.allclose(got, p @ K + c + q, atol=1e-4)
    random = RandomStreams(0)
    (y,) = model.expression([a, b], Forward(train=True, random=random))
    assert random.state in ancestors([y])


def test_the_input_itself_may_be_an_output():
    x = nn.Input(2, name="x")
    model = nn.Model(x, [x, nn.Dense(2)(x)])
    assert model.outputs[0] is model.inputs[0] and model.outputs[0].name == "x"


def test_outputs_of_one_layer_have_names_of_their_own():
    x, z = nn.Input(2), nn.Input(2)
    layer = nn.Dense(2)
    model = nn.Model([x, z], [layer(x), layer(z)])
    assert [v.name for v in model.outputs] == ["dense", "dense_1"]
    assert len(model.parameters) == 2


def test_gradients_of_a_shared_layer_add_up():
    x, z = nn.Input(2), nn.Input(2)
    layer = nn.Dense(1, use_bias=False)
    model = nn.Model([x, z], [layer(x), layer(z)])
    cost = T.sum(model.outputs[0]) + 10 * T.sum(model.outputs[1])
    (g,) = symnet.grad(cost, model.parameters)
    f = symnet.function(model.inputs, g)
    one, two = np.array([[1, 2]], "float32"), np.array([[3, 4]], "float32")
    assert np.array_equal(f(one, two), [[31], [42]])


def test_origins_survive_the_replay():
    model = residual()
    x, y = nn.Input(4), nn.Input(3)
    nodes = toposort(model.expression([x, y], Forward()), stop=[x, y])
    lines = {node.origin.text for node in nodes}
    assert any("nn.Dense(5, " in text for text in lines)
    assert "both = nn.Dropout(0.5)(h * 2 + T.exp(-k))" in lines
    assert {node.origin.file for node in nodes} == {__file__}


def no_input():
    x = nn.Input(2)
    return nn.Model([], nn.Dense(2)(x))


@pytest.mark.parametrize(
    "make, error, text",
    [
        (no_input, TypeMismatchError, "no input"),
        (lambda: nn.Model(nn.Input(2), []), TypeMismatchError, "no output"),
        (lambda: nn.Model(3, nn.Input(2)), TypeMismatchError, "3 as an input"),
        (lambda: nn.Model(nn.Input(2), nn.Dense(2)), TypeMismatchError, "as an output"),
        (lambda: nn.Model(T.scalar(), nn.Input(2)), TypeMismatchError, "is no input"),
    ],
)
def test_misuse_is_answered(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_inputs_have_to_be_the_ones_that_are_used():
    x, z = nn.Input(2, name="x"), nn.Input(2, name="z")
    y = nn.Dense(2)(x)
    with pytest.raises(UnusedInputError, match=r"do not depend on\n  z: float32\(\?, 2\)"):
        nn.Model([x, z], y)
    with pytest.raises(MissingInputError, match=r"not the model's\n  z: float32\(\?, 2\)"):
        nn.Model(x, y + z)
    with pytest.raises(TypeMismatchError, match="the same input twice"):
        nn.Model([x, x], y)
    shared = symnet.shared(np.ones((2, 2), "float32"))
    with pytest.raises(TypeMismatchError, match="is no input"):
        nn.Model(shared, y)


def test_build_is_a_check():
    model = residual()
    model.build([(None, 4), (None, 3)])
    model.build([(7, 4), (7, 3)])
    with pytest.raises(ShapeError, match=r"takes float32\(\?, 4\), float32\(\?, 3\)"):
        model.build([(None, 4), (None, 4)])
    with pytest.raises(ShapeError):
        model.build((None, 4))


def test_layers_of_one_name_are_refused():
    x = nn.Input(2)
    with pytest.raises(ConfigError, match="two layers are called a"):
        nn.Model(x, nn.Dense(2, name="a")(nn.Dense(2, name="a")(x)))


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_networks_of_their_own(again):
    model = residual()
    a, b = RNG.normal(size=(6, 4)).astype("float32"), RNG.normal(size=(6, 3)).astype("float32")
    before = symnet.function(model.inputs, model.outputs)(a, b)
    other = again(model)
    x, y = nn.Input(4), nn.Input(3)
    for v in model.parameters:
        v.set_value(np.zeros_like(v.get_value()))
    got = symnet.function([x, y], other.expression([x, y], Forward()))(a, b)
    assert all(map(np.array_equal, before, got))


def test_hundreds_of_layers():
    x = nn.Input(2)
    h = x
    for _ in range(400):
        h = nn.Dense(2, use_bias=False)(h) + 1
    model = nn.Model(x, h)
    assert len(model.parameters) == 400
    assert len(pickle.loads(pickle.dumps(model)).parameters) == 400


def test_names_last_when_another_network_calls_a_layer_otherwise(tmp_path):
    first, second = nn.Dense(5), nn.Dense(4)
    model = nn.Sequential([nn.Input(7), first, second])
    other = nn.Sequential([nn.Input(7), nn.Dense(7), first])
    named = ["dense.kernel", "dense.bias", "dense_1.kernel", "dense_1.bias"]
    assert list(model.named_variables()) == list(other.named_variables()) == named
    assert len(model.get_weights()) == 4
    assert model["dense"] is other["dense_1"] is first
    assert model["dense_1"] is second
    for network in (model, other):
        network.save(tmp_path / "model")
        again = nn.load(tmp_path / "model")
        assert list(again.named_variables()) == named
        for value, expected in zip(again.get_weights(), network.get_weights()):
            np.testing.assert_array_equal(value, expected)
        assert again.summary() == network.summary()
