"""Layers of several inputs against NumPy."""

import numpy as np
import pytest

from symnet import nn
from symnet.errors import ShapeError, TypeMismatchError

RNG = np.random.default_rng(0)
A, B, C = (RNG.normal(size=(4, 3)).astype("float32") for _ in range(3))


@pytest.mark.parametrize(
    "layer, wanted",
    [
        (nn.Add(), A + B + C),
        (nn.Multiply(), A * B * C),
        (nn.Average(), (A + B + C) / 3),
        (nn.Maximum(), np.maximum(np.maximum(A, B), C)),
        (nn.Minimum(), np.minimum(np.minimum(A, B), C)),
        (nn.Concatenate(), np.concatenate([A, B, C], axis=1)),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_merging(layer, wanted):
    x = [nn.Input(3) for _ in range(3)]
    y = layer(x)
    assert y.type.shape == (None, wanted.shape[1])
    assert np.allclose(y.eval(dict(zip(x, [A, B, C]))), wanted, atol=1e-6)


def test_subtract():
    a, b = nn.Input(3), nn.Input(3)
    assert np.allclose(nn.Subtract()([a, b]).eval({a: A, b: B}), A - B)
    with pytest.raises(TypeMismatchError, match="2 inputs, not 3"):
        nn.Subtract()([a, b, a])


def test_inputs_broadcast_along_sizes_of_1_alone():
    a, b = nn.Input(3), nn.Input(1)
    assert np.allclose(nn.Multiply()([a, b]).eval({a: A, b: B[:, :1]}), A * B[:, :1])
    with pytest.raises(ShapeError):
        nn.Add()([nn.Input(3), nn.Input(2)])


def test_concatenate_along_other_dimensions():
    a, b = nn.Input((2, 3)), nn.Input((5, 3))
    assert nn.Concatenate(axis=1)([a, b]).type.shape == (None, 7, 3)
    x, y = np.ones((1, 2, 3), "float32"), np.zeros((1, 5, 3), "float32")
    got = nn.Concatenate(axis=-2)(a, b).eval({a: x, b: y})
    assert np.array_equal(got, np.concatenate([x, y], axis=1))


@pytest.mark.parametrize(
    "make, error, text",
    [
        (lambda: nn.Add()(nn.Input(3)), TypeMismatchError, "at least 2 inputs"),
        (lambda: nn.Concatenate(0)([nn.Input(3)] * 2), ShapeError, "is the batch"),
        (lambda: nn.Concatenate(-2)([nn.Input(3)] * 2), ShapeError, "is the batch"),
        (
            lambda: nn.Concatenate()([nn.Input(3), nn.Input((3, 3))]),
            TypeMismatchError,
            r"\(\?, 3\), \(\?, 3, 3\) have not as many dimensions",
        ),
        (lambda: nn.Concatenate(axis=1)([nn.Input((2, 3)), nn.Input((2, 4))]), ShapeError, "4"),
        (lambda: nn.Concatenate(axis=5)([nn.Input(3), nn.Input(3)]), TypeMismatchError, "5"),
    ],
)
def test_misuse_is_answered(make, error, text):
    with pytest.raises(error, match=text):
        make()
