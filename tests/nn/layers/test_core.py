"""Layers over one input against NumPy, and what they refuse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet import nn
from symnet.config import config
from symnet.errors import ConfigError, ShapeError, TypeMismatchError


def value(layer, x, **kwargs):
    """The layer's output for an array, through an input with a batch of unknown size."""
    x = np.asarray(x)
    symbolic = nn.Input(x.shape[1:], dtype=x.dtype.name)
    return symnet.function([symbolic], layer(symbolic, **kwargs), mode="reference")(x)


def test_input_has_a_batch_of_unknown_size_in_front():
    assert nn.Input(784).type.shape == (None, 784)
    x = nn.Input((28, None, 1), dtype="uint8", name="image")
    assert (x.type.shape, x.type.dtype, x.name) == ((None, 28, None, 1), "uint8", "image")
    assert nn.Input(()).type.shape == (None,)
    with config.change(floatX="float64"):
        assert nn.Input(3).type.dtype == "float64"
    with pytest.raises(ShapeError):
        nn.Input(-3)
    with pytest.raises(TypeMismatchError):
        nn.Input(3, dtype="complex64")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=2, max_size=4),
    st.integers(1, 5),
    st.booleans(),
    st.sampled_from([None, "tanh", "relu", "softmax"]),
)
def test_dense_is_the_product_with_the_kernel(shape, units, use_bias, activation):
    rng = np.random.default_rng(sum(shape) + units)
    x = rng.normal(size=shape).astype("float32")
    layer = nn.Dense(units, activation, use_bias, bias_initializer="ones", seed=1)
    got = value(layer, x)
    wanted = x @ layer.kernel.get_value() + use_bias
    if activation == "softmax":
        wanted = np.exp(wanted) / np.exp(wanted).sum(-1, keepdims=True)
    elif activation:
        wanted = {"tanh": np.tanh, "relu": lambda a: np.maximum(a, 0)}[activation](wanted)
    assert got.shape == (*shape[:-1], units)
    assert np.allclose(got, wanted, atol=1e-5)
    assert len(layer.parameters) == 1 + use_bias


def test_dense_takes_integers():
    layer = nn.Dense(2, kernel_initializer="ones")
    got = value(layer, np.array([[1, 2, 250]], "uint8"))
    assert got.dtype == "float32" and np.array_equal(got, [[253, 253]])


def test_dense_compiled_equals_the_reference_for_every_number_of_dimensions():
    for shape in [(5, 3), (2, 5, 3), (2, 1, 4, 3)]:
        x = np.random.default_rng(0).normal(size=shape).astype("float32")
        layer = nn.Dense(4, "tanh", seed=0)
        symbolic = nn.Input(shape[1:])
        cost = T.sum(layer(symbolic) ** 2)
        outputs = [cost, *symnet.grad(cost, layer.parameters)]
        compiled = symnet.function([symbolic], outputs)(x)
        reference = symnet.function([symbolic], outputs, mode="reference")(x)
        for a, b in zip(compiled, reference):
            assert np.allclose(a, b, rtol=1e-5, atol=1e-5)


def test_dense_counts_its_operations():
    layer = nn.Dense(10, "relu")
    assert layer.flops([(None, 784)], (None, 10)) == 10 * (2 * 784 + 2)
    bare = nn.Dense(10, use_bias=False)
    assert bare.flops([(None, 7, 4)], (None, 7, 10)) == 70 * 8


@pytest.mark.parametrize(
    "make, error, text",
    [
        (lambda: nn.Dense(0), ConfigError, "units=0"),
        (lambda: nn.Dense(2.5), ConfigError, "units=2.5"),
        (lambda: nn.Dense(True), ConfigError, "units=True"),
        (lambda: nn.Dense(2, "rellu"), ConfigError, "relu"),
        (lambda: nn.Dense(2, kernel_initializer="glorot"), ConfigError, "glorot_uniform"),
        (lambda: nn.Dense(2, kernel_regularizer="l3"), ConfigError, "l2"),
        (lambda: nn.Dense(2)(T.matrix()), ShapeError, r"not known in shape \(\?, \?\)"),
        (lambda: nn.Dense(2)(T.vector()), ShapeError, r"not shape \(\?,\)"),
        (lambda: nn.Activation("nothing"), ConfigError, "nothing"),
        (lambda: nn.Reshape((-1, -1)), ShapeError, "one -1"),
        (lambda: nn.Reshape(5)(nn.Input((2, 3))), ShapeError, r"\(2, 3\) do not fit into \(5,\)"),
        (lambda: nn.Reshape((-1, 4))(nn.Input((2, 3))), ShapeError, "do not fit"),
        (lambda: nn.Rescaling("a"), TypeMismatchError, "neither a number"),
        (lambda: nn.Rescaling(float("nan")), ConfigError, "not finite"),
        (lambda: nn.Rescaling(1e300)(nn.Input(2)), ConfigError, "too large for float32"),
        (lambda: nn.Lambda(3), TypeMismatchError, "3 is not a function"),
    ],
)
def test_misuse_is_answered(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_penalties_of_dense():
    layer = nn.Dense(
        2, kernel_initializer="ones", bias_initializer="ones",
        kernel_regularizer=nn.l2(0.5), bias_regularizer="l1",
    )  # fmt: skip
    layer(nn.Input(3))
    total = layer.penalty().eval()
    weight = nn.l1().config()
    assert total == pytest.approx(0.5 * 6 + 2 * next(iter(weight.values())))


def test_activation_takes_names_and_functions():
    x = np.array([[-1.0, 2.0]], "float32")
    assert np.array_equal(value(nn.Activation("relu"), x), [[0, 2]])
    assert np.array_equal(value(nn.Activation(lambda v: v * 3), x), [[-3, 6]])
    assert nn.Activation("relu").config() == {"function": "relu"}
    with pytest.raises(ConfigError):
        nn.Activation(lambda v: v).config()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=4))
def test_flatten_keeps_the_order_of_elements(shape):
    x = np.arange(np.prod(shape), dtype="float32").reshape(shape)
    got = value(nn.Flatten(), x)
    assert np.array_equal(got, x.reshape(shape[0], int(np.prod(shape[1:]))))
    size = int(np.prod(shape[1:]))
    assert nn.Flatten()(nn.Input(shape[1:])).type.shape == (None, size)


def test_flatten_of_sizes_that_are_not_known():
    x = T.tensor3()
    y = nn.Flatten()(x)
    a = np.arange(24, dtype="float32").reshape(2, 3, 4)
    assert np.array_equal(y.eval({x: a}), a.reshape(2, 12))


@pytest.mark.parametrize("shape, static", [(6, (6,)), ((3, 2), (3, 2)), ((-1, 3), (2, 3))])
def test_reshape(shape, static):
    x = np.arange(12, dtype="float32").reshape(2, 2, 3)
    layer = nn.Reshape(shape)
    assert layer(nn.Input((2, 3))).type.shape == (None, *static)
    assert np.array_equal(value(layer, x), x.reshape(2, *static))


def test_rescaling():
    pixels = np.array([[0, 51, 255]], "uint8")
    got = value(nn.Rescaling(1 / 255), pixels)
    assert got.dtype == "float32" and np.allclose(got, [[0, 0.2, 1]])
    assert np.allclose(value(nn.Rescaling(2, -1), pixels / 255), [[-1, -0.6, 1]])
    each = nn.Rescaling([1, 2, 3], np.array([0, 0, 1]))
    assert np.array_equal(value(each, pixels), [[0, 102, 766]])
    assert each.config() == {"scale": [1, 2, 3], "offset": [0, 0, 1]}
    same = np.ones((1, 2), "float64")
    assert value(nn.Rescaling(1), same).dtype == "float64"


def test_lambda_takes_several_inputs_but_no_file_holds_it():
    layer = nn.Lambda(lambda a, b: a * b, name="product")
    a, b = T.matrix(), T.matrix()
    three, two = np.full((1, 1), 3, "float32"), np.full((1, 1), 2, "float32")
    assert layer(a, b).eval({a: three, b: two}) == 6
    assert layer([a, b]).eval({a: three, b: two}) == 6
    with pytest.raises(ConfigError, match=r"layer product .*subclass of nn\.Layer"):
        layer.config()
    with pytest.raises(ConfigError):
        nn.Lambda.from_config({})


@pytest.mark.parametrize(
    "layer",
    [
        nn.Dense(3, "relu", False, "he_normal", "ones", nn.l1_l2(1e-3, 1e-4), "l2"),
        nn.Activation("softplus"),
        nn.Flatten(),
        nn.Reshape((2, -1)),
        nn.Rescaling(0.5, 2),
        nn.Dropout(0.25),
        nn.GaussianDropout(0.5),
        nn.AlphaDropout(0.1),
        nn.GaussianNoise(2),
        nn.ActivityRegularization(0.1, 0.2),
        nn.Add(),
        nn.Concatenate(1),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_configurations_make_equal_layers(layer):
    import json

    settings_ = json.loads(json.dumps(layer.config()))
    again = type(layer).from_config(settings_)
    assert again.config() == layer.config()
    assert type(again) is type(layer)
