"""Walks from a model's outputs to its inputs."""

import pytest

import symnet
import symnet.tensor as T
from symnet import nn
from symnet.errors import MissingInputError, TypeMismatchError
from symnet.graph.variables import Apply
from symnet.nn.layers.base import Call, Forward
from symnet.nn.models.replay import fitted, layers_in, replay, steps_between


def names(steps):
    return [s.layer.name if isinstance(s, Call) else str(s.op) for s in steps]


def test_steps_come_after_what_they_need_and_each_once():
    x = nn.Input(2)
    a = nn.Dense(2, name="a")(x)
    b = nn.Dense(2, name="b")(T.exp(a))
    c = nn.Add(name="c")([a, b, a])
    steps = steps_between([x], [c, a])
    assert names(steps) == ["a", "exp", "b", "c"]
    assert [layer.name for layer in layers_in(steps)] == ["a", "b", "c"]
    assert names(steps_between([x, a], [c])) == ["exp", "b", "c"]
    assert steps_between([x], [x]) == []


def test_the_inside_of_a_layer_is_no_step():
    x = nn.Input(2)
    y = nn.Dense(2, "softmax", name="a")(x)
    assert names(steps_between([x], [y])) == ["a"]
    inside = y.owner.inputs[0]  # the user took what the layer did not give
    assert all(isinstance(s, Apply) for s in steps_between([x], [inside]))


def test_nodes_that_depend_on_no_input_are_no_steps():
    x = nn.Input(2)
    s = symnet.shared([1.0, 2.0], name="s")
    y = T.exp(s).sum() * x
    assert "exp" not in names(steps_between([x], [y]))
    z = nn.Input(2)
    (w,) = replay(steps_between([x], [y]), [y], {x: z}, Forward())
    assert w is not y
    assert T.exp(s).owner.op in {n.op for n in symnet.graph.toposort([w])}


def test_inputs_that_are_not_given_are_listed():
    x, z, w = nn.Input(2, name="x"), nn.Input(2, name="z"), nn.Input(2, name="w")
    y = nn.Add()([x, z]) + w
    with pytest.raises(MissingInputError) as caught:
        steps_between([x], [y])
    assert "\n  z: float32" in str(caught.value) and "\n  w: float32" in str(caught.value)
    assert "\n  x:" not in str(caught.value)


def test_a_chain_of_any_length():
    x = nn.Input(1)
    y = x
    for _ in range(5000):
        y = y + 1
    steps = steps_between([x], [y])
    assert len(steps) == 5000
    z = nn.Input(1)
    (w,) = replay(steps, [y], {x: z}, Forward())
    assert len(symnet.graph.toposort([w])) == 5000


def test_what_is_fit_for_an_input():
    wanted = nn.Input((3, 2), name="wanted")
    same = nn.Input((3, 2))
    assert fitted(same, wanted) is same
    assert fitted(nn.Input((3, 2), dtype="uint8"), wanted).dtype == "float32"
    assert fitted(nn.Input((3, 2), dtype="float64"), wanted).dtype == "float32"
    unknown = T.tensor3("u")
    assert fitted(unknown, wanted) is unknown  # the sizes show when it runs
    for wrong in (nn.Input((3, 3)), nn.Input(6), nn.Input((3, 2, 1))):
        with pytest.raises(TypeMismatchError, match="is not fit for the model's input\nwanted: "):
            fitted(wrong, wanted)
    with pytest.raises(TypeMismatchError, match="would lose digits"):
        fitted(same, nn.Input((3, 2), dtype="int64"))
