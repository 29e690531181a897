"""What all layers have in common: parameters, names, records, modes, messages."""

import copy
import pickle
import sys

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet import nn
from symnet.errors import ConfigError, DataError, ShapeError, TypeMismatchError
from symnet.graph.origin import Origin
from symnet.graph.traversal import toposort
from symnet.nn.layers.base import Forward, Layer, call_of, snake_case


class Scale(nn.Layer):
    """A layer as users write them, without an __init__."""

    def build(self, shape):
        self.factor = self.parameter("factor", shape[-1:], "ones")

    def output(self, x, forward):
        return x * self.factor


class Power(nn.Layer):
    def __init__(self, exponent, shift=0.0, *, names=()):  # does not call super().__init__
        self.exponent = exponent

    def output(self, x, forward):
        return x**self.exponent


class Mean(nn.Layer):
    """A running mean: state that training updates."""

    def build(self, shape):
        self.mean = self.state_variable("mean", (shape[1],))

    def output(self, x, forward):
        if forward.train:
            forward.update(self.mean, 0.5 * self.mean + 0.5 * T.mean(x, axis=0))
        return x - self.mean


class Block(nn.Layer):
    def __init__(self, units, rate=0.0):
        super().__init__()
        self.inner = nn.Dense(units, kernel_regularizer=nn.l2(0.5))
        self.others = [nn.Dropout(rate), Scale()]

    def output(self, x, forward):
        h = self.inner(x)
        for layer in self.others:
            h = layer(h)
        return x + h


def line() -> int:
    return sys._getframe(1).f_lineno


def matrix(features, name="x"):
    return T.matrix(name, shape=(None, features))


def test_a_layer_builds_on_its_first_call_and_names_its_parameters():
    layer = Scale(name="gain")
    assert not layer.built and layer.parameters == []
    y = layer(matrix(3))
    assert layer.built
    assert [p.name for p in layer.parameters] == ["gain.factor"]
    assert layer.factor.type.shape == (3,)
    layer.factor.set_value(np.array([1, 2, 3], "float32"))
    (x,) = call_of(y).inputs
    assert np.array_equal(y.eval({x: np.ones((2, 3), "float32")}), [[1, 2, 3], [1, 2, 3]])


def test_a_layer_used_twice_shares_its_parameters_and_gradients_add_up():
    x, z = matrix(2, "x"), matrix(2, "z")
    layer = nn.Dense(1, use_bias=False, kernel_initializer="ones")
    cost = T.sum(layer(x)) + 10 * T.sum(layer(z))
    (g,) = symnet.grad(cost, layer.parameters)
    got = g.eval({x: np.array([[1, 2]], "float32"), z: np.array([[3, 4]], "float32")})
    assert np.array_equal(got, [[31], [42]])


def test_each_call_has_a_variable_of_its_own():
    x = matrix(3)
    drop, flat = nn.Dropout(0.5), nn.Flatten()
    once, twice = drop(x), drop(x)  # nothing to do without training
    assert once is not x and once is not twice
    chained = flat(once)
    assert call_of(once).layer is drop and call_of(chained).layer is flat
    assert call_of(x) is None


def test_copies_of_a_variable_have_no_record():
    x = matrix(3)
    y = nn.Dense(2)(x) + 0
    inner = call_of(y.owner.inputs[0])
    assert inner is not None
    (copied,) = symnet.graph.clone.clone_replace([inner.outputs[0]], {x: matrix(3, "z")})
    assert copied is not inner.outputs[0]
    assert call_of(copied) is None


def test_a_cost_on_top_of_a_layer_is_as_stable_as_one_without():
    z, labels = matrix(3), T.lvector()
    softmax = nn.Activation("softmax")
    cost = T.nnet.categorical_crossentropy(softmax(z), labels).mean()
    f = symnet.function([z, labels], [cost, symnet.grad(cost, z)])
    loss, slope = f(np.array([[1000, -1000, 0]], "float32"), [1])
    assert loss == 2000
    assert np.array_equal(slope, [[1, -1, 0]])


def test_every_node_of_a_layer_carries_the_line_that_made_it():
    layer, made_at = nn.Dense(4, activation="softmax"), line()
    x = matrix(3)
    y = layer(x)
    wanted = Origin(__file__, made_at)
    assert layer.origin == wanted
    assert {node.origin for node in toposort([y], stop=[x])} == {wanted}
    assert layer.kernel.origin == wanted


def test_the_line_is_the_users_even_where_a_subclass_calls_init():
    layer, made_at = Block(3), line()
    assert layer.origin == Origin(__file__, made_at)


def test_errors_name_layer_and_line_once():
    layer, made_at = nn.Dense(4, name="code"), line()
    layer(matrix(3))
    with pytest.raises(ShapeError) as caught:
        layer(matrix(5, "other"))
    text = str(caught.value)
    assert text.count(f"in layer code (Dense), made at {__file__}:{made_at}") == 1
    assert "other: float32(?, 5)" in text and "(3, 4)" in text


def test_pythons_errors_get_a_note():
    class Broken(nn.Layer):
        def output(self, x, forward):
            return x.no_such_thing

    with pytest.raises(AttributeError) as caught:
        Broken(name="b")(matrix(3))
    assert caught.value.__notes__[0].startswith("in layer b (Broken), made at")


def test_a_failed_build_leaves_nothing_behind():
    class Picky(nn.Layer):
        def build(self, shape):
            self.parameter("first", (2,))
            self.parameter("second", (shape[1],))

        def output(self, x, forward):
            return x

    layer = Picky()
    with pytest.raises(ShapeError, match=r"parameter second of shape \(None,\)"):
        layer(T.matrix())
    assert layer.parameters == [] and not layer.built
    layer(matrix(3))
    assert [p.get_value().shape for p in layer.parameters] == [(2,), (3,)]


@pytest.mark.parametrize(
    "make, error, text",
    [
        (lambda: Layer()(matrix(3)), NotImplementedError, "what its output is"),
        (lambda: nn.Lambda(lambda x: None)(matrix(3)), TypeMismatchError, "returned None"),
        (lambda: Scale()(), TypeMismatchError, "without an input"),
        (lambda: Scale()("text"), TypeMismatchError, "text"),
        (lambda: Scale(name="a.b"), ConfigError, "'a.b' is no name"),
        (lambda: Scale(name=""), ConfigError, "is no name"),
        (lambda: Scale(name=3), ConfigError, "3 is no name"),
    ],
)
def test_misuse_is_answered(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_a_parameter_comes_once():
    class Twice(nn.Layer):
        def build(self, shape):
            self.parameter("w", (1,))
            self.parameter("w", (1,))

        def output(self, x, forward):
            return x

    with pytest.raises(ConfigError, match="has a parameter w already"):
        Twice()(matrix(3))


def test_an_initializer_of_another_shape_is_refused():
    layer = nn.Dense(2, kernel_initializer=lambda shape, rng, dtype=None: np.zeros((1, 1)))
    with pytest.raises(ShapeError, match=r"kernel has shape \(1, 1\), not \(3, 2\)"):
        layer(matrix(3))


def test_arrays_become_constants():
    layer = nn.Dense(2, kernel_initializer="ones")
    assert np.array_equal(layer(np.ones((1, 3), "float32")).eval(), [[3, 3]])


# ---- seeds


def kernels(*layers):
    for layer in layers:
        layer(matrix(5))
    return [layer.kernel.get_value() for layer in layers]


def test_seeds_decide_initial_values():
    a, b, c = kernels(nn.Dense(4, seed=1), nn.Dense(4, seed=1), nn.Dense(4, seed=2))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_without_a_seed_the_global_one_counts_and_layers_differ():
    nn.set_seed(7)
    a, b = kernels(nn.Dense(4), nn.Dense(4))
    nn.set_seed(7)
    c, d = kernels(nn.Dense(4), nn.Dense(4))
    assert np.array_equal(a, c) and np.array_equal(b, d) and not np.array_equal(a, b)


def test_parts_have_seeds_that_follow_from_the_whole():
    class Two(nn.Layer):
        def __init__(self, seed):
            super().__init__(seed=seed)
            self.parts = [nn.Dense(4), nn.Dense(4)]

        def output(self, x, forward):
            return self.parts[0](x) + self.parts[1](x)

    found = []
    for seed in (1, 1, 2):
        layer = Two(seed)
        layer(matrix(5))
        found.append(layer.get_weights())
    assert np.array_equal(found[0][0], found[1][0])
    assert not np.array_equal(found[0][0], found[0][2])
    assert not np.array_equal(found[0][0], found[2][0])


# ---- parts, training, state


def test_parts_belong_to_the_whole():
    layer = Block(3)
    layer(matrix(3))
    assert list(layer.named_variables()) == ["inner.kernel", "inner.bias", "others_1.factor"]
    assert [p.name for p in layer.parameters] == [
        "block.inner.kernel", "block.inner.bias", "block.others_1.factor",
    ]  # fmt: skip
    layer.rename("b")
    assert layer.inner.bias.name == "b.inner.bias"
    layer.inner.kernel.set_value(np.full((3, 3), 2, "float32"))
    assert layer.penalty().eval() == pytest.approx(0.5 * 9 * 4)
    assert layer.count_params() == 9 + 3 + 3


def test_parts_are_passed_in_the_mode_of_the_whole():
    layer = Block(3, rate=0.5)
    x = matrix(3)

    def draws(y):
        return sum("uniform" in str(node.op) for node in toposort([y]))

    assert draws(layer(x)) == 0
    assert draws(layer(x, train=True)) == 1
    forward = Forward(train=True)
    assert draws(layer.apply([x], forward)[0]) == 1
    assert draws(layer(x)) == 0  # the mode ends with the call
    assert [call.layer for call in forward.calls] == [layer.inner, *layer.others, layer]


def test_what_is_not_trainable_is_state():
    layer = nn.Dense(2, kernel_regularizer="l2")
    layer(matrix(3))
    assert len(layer.parameters) == 2 and layer.state == [] and layer.penalty() is not None
    layer.trainable = False
    assert layer.parameters == [] and layer.state == [layer.kernel, layer.bias]
    assert layer.penalty() is None
    assert list(layer.named_variables()) == ["kernel", "bias"]


def test_state_is_updated_by_training_passes_alone():
    layer = Mean(name="m")
    x = matrix(2)
    layer(x)
    assert layer.parameters == [] and layer.state == [layer.mean]
    forward = Forward(train=True)
    y = layer(x, forward=forward)
    f = symnet.function([x], y, updates=forward.updates)
    f(np.array([[2, 4]], "float32"))
    assert np.array_equal(layer.mean.get_value(), [1, 2])


def test_a_pass_makes_its_random_streams_when_they_are_asked_for():
    nn.set_seed(3)
    a = nn.Dropout(0.5)(T.ones((4, 4)), train=True).eval()
    nn.set_seed(3)
    b = nn.Dropout(0.5)(T.ones((4, 4)), train=True).eval()
    assert np.array_equal(a, b)
    assert set(np.unique(a)) <= {0, 2}


# ---- values


def test_weights_are_set_all_or_none():
    layer = nn.Dense(2)
    layer(matrix(3))
    before = layer.get_weights()
    kernel, bias = np.ones((3, 2)), np.ones(2)
    for wrong, error in [
        ([kernel], ShapeError),
        ([kernel, np.ones(3)], ShapeError),
        ([kernel, np.ones((1, 2))], TypeMismatchError),
        ([kernel, ["a", "b"]], TypeMismatchError),
    ]:
        with pytest.raises(error):
            layer.set_weights(wrong)
        assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights()))
    layer.set_weights([kernel, bias])
    assert np.array_equal(layer.kernel.get_value(), kernel)
    layer.get_weights()[0][:] = 5  # copies
    assert np.array_equal(layer.kernel.get_value(), kernel)


def test_a_preset_takes_the_place_of_initial_values():
    layer = nn.Dense(2)
    layer.preset = {"kernel": np.ones((3, 2), "float32"), "bias": np.ones(2, "float32")}
    layer(matrix(3))
    assert np.array_equal(layer.kernel.get_value(), np.ones((3, 2)))
    for preset, text in [
        ({"kernel": np.ones((3, 2), "float32")}, "no values for dense.bias"),
        ({"kernel": np.ones((2, 2), "float32")}, r"dense.kernel is float32\(2, 2\)"),
        ({"kernel": np.ones((3, 2), "float64")}, r"dense.kernel is float64\(3, 2\)"),
    ]:
        fresh = nn.Dense(2)
        fresh.preset = preset
        with pytest.raises(DataError, match=text):
            fresh(matrix(3))


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_have_parameters_of_their_own(again):
    layer = nn.Dense(2)
    layer(matrix(3))
    other = again(layer)
    assert np.array_equal(other.kernel.get_value(), layer.kernel.get_value())
    other.kernel.set_value(np.zeros((3, 2), "float32"))
    assert layer.kernel.get_value().any()
    assert other.origin == layer.origin


# ---- descriptions


def test_what_init_was_called_with_is_the_configuration():
    layer = Power(2, names=("a", "b"))
    assert layer.config() == {"exponent": 2, "names": ["a", "b"]}
    again = Power.from_config(layer.config())
    assert again.exponent == 2
    assert Power(exponent=np.int64(3), shift=np.float32(0.5)).config() == {
        "exponent": 3, "shift": 0.5,
    }  # fmt: skip
    assert Scale(name="s").config() == {}


def test_what_json_cannot_say_is_refused():
    for value in (np.ones(3), {1: 2}, object(), lambda: 0):
        with pytest.raises(ConfigError, match=r"exponent=.*write Power\.config"):
            Power(value).config()

    class Any(nn.Layer):
        def __init__(self, *values):
            super().__init__()

    with pytest.raises(ConfigError, match=r"\*values cannot be saved"):
        Any(1, 2).config()


def test_snake_case():
    names = ("Dense", "GaussianNoise", "Conv2D", "Conv2DTranspose", "MLPBlock", "_Mine")
    assert [snake_case(n) for n in names] == [
        "dense", "gaussian_noise", "conv2d", "conv2d_transpose", "mlp_block", "mine",
    ]  # fmt: skip


class Stack(nn.Layer):
    """Parts in a list that grows after it became an attribute, and in a dict."""

    def __init__(self, units):
        super().__init__()
        self.inner = []
        for _ in range(2):
            self.inner.append(nn.Dense(units))
        self.ends = {"last": nn.Dense(units)}

    def output(self, x, forward):
        for layer in self.inner:
            x = layer(x)
        return self.ends["last"](x)


def test_parts_in_lists_that_grow_and_in_dicts():
    layer = Stack(3)
    layer(matrix(3))
    assert list(layer.named_variables()) == [
        "inner_0.kernel", "inner_0.bias", "inner_1.kernel", "inner_1.bias",
        "ends_last.kernel", "ends_last.bias",
    ]  # fmt: skip
    assert len(layer.parameters) == 6
    assert layer.inner[1].kernel.name == "stack.inner_1.kernel"


def test_what_is_no_attribute_any_more_is_no_part():
    layer = Stack(3)
    layer.inner = [nn.Dense(3)]
    layer.ends["last"] = nn.Dense(3, use_bias=False)
    layer(matrix(3))
    assert list(layer.named_variables()) == ["inner_0.kernel", "inner_0.bias", "ends_last.kernel"]
