import numpy as np
import pytest

import symnet.tensor as T
from symnet.errors import GradientMismatchError, TypeMismatchError
from symnet.graph import TensorType
from symnet.ops.elementwise import Elementwise, same
from symnet.testing import verify_grad


def cube(gradient):
    """x**3 with a gradient rule of the test's choice; not in the registry."""
    return Elementwise("cube", "x * x * x", lambda x: x**3, gradient, same, None, False)


RIGHT = cube(lambda g, out, x: [3.0 * g * x * x])
WRONG = cube(lambda g, out, x: [2.0 * g * x * x])
WRONG_IN_ONE_PLACE = cube(lambda g, out, x: [3.0 * g * x * T.where(x > 2.0, 1.0001 * x, x)])
POINT = np.array([0.3, -1.2, 2.5, 0.1])


def test_right_gradients_pass():
    verify_grad(RIGHT, [POINT], order=2)
    verify_grad(RIGHT, [POINT.astype("float32")], n_tests=1, rng=np.random.default_rng(3))
    verify_grad(lambda x, i: [T.exp(x)[i], x[i] * 2], [POINT, np.array([1, 1])], order=2)


@pytest.mark.parametrize("op", [WRONG, WRONG_IN_ONE_PLACE])
def test_wrong_gradients_are_found(op):
    with pytest.raises(GradientMismatchError, match="order 1"):
        verify_grad(op, [POINT])


def test_wrong_second_derivatives_are_found():
    """A mask that depends on the adjoint has the right value, and a wrong derivative where the
    adjoint vanishes: (sqrt(x) - 2)**2 at 4 has second derivative 1/8, the mask says 0."""

    def masked(g, out, x):
        return [T.where(T.eq(g, 0.0), 0.0, g * 0.5 / T.sqrt(x))]

    root = Elementwise("root", "sqrt(x)", np.sqrt, masked, same, None, False)
    function = lambda x: T.square(root(x) - 2.0)
    verify_grad(function, [np.array(4.0)])
    verify_grad(lambda x: T.square(T.sqrt(x) - 2.0), [np.array(4.0)], order=2)
    with pytest.raises(GradientMismatchError, match="order 2"):
        verify_grad(function, [np.array(4.0)], order=2)


def test_nan_is_a_mismatch():
    broken = cube(lambda g, out, x: [g * T.log(-T.square(x))])
    with pytest.raises(GradientMismatchError, match="nan"):
        verify_grad(broken, [POINT])


def test_something_must_move():
    with pytest.raises(TypeMismatchError):
        verify_grad(lambda i: i * 1.5, [np.arange(3)])


def test_inputs_have_static_shapes_if_asked():
    seen = []

    def function(x):
        seen.append(x.type)
        return x * 2.0

    verify_grad(function, [np.ones((1, 2))])
    verify_grad(function, [np.ones((1, 2))], static=True)
    assert seen == [TensorType("float64", (None, None)), TensorType("float64", (1, 2))]
