import numpy as np
import pytest

from symnet.autodiff import grad
from symnet.backends.reference import evaluate
from symnet.errors import DisconnectedInputError, TypeMismatchError
from symnet.function import function
from symnet.graph import TensorType
from symnet.ops.barrier import (
    Barrier,
    consider_constant,
    disconnected_grad,
    grad_clip,
    grad_scale,
    zero_grad,
)
from symnet.ops.reduction import sum_

X = TensorType("float64", (None,))("x")


@pytest.mark.parametrize("stop", [disconnected_grad, zero_grad, consider_constant])
def test_the_value_passes_and_the_gradient_does_not(agree, stop):
    agree(stop, np.array, np.arange(3.0))
    g = grad(sum_(X * stop(X)), X)
    np.testing.assert_array_equal(evaluate([g], {X: [2.0, 3.0]})[0], [2, 3])


def test_only_disconnected_grad_cuts_the_connection():
    with pytest.raises(DisconnectedInputError):
        grad(sum_(disconnected_grad(X)), X)
    for stop in (zero_grad, consider_constant):
        g = grad(sum_(stop(X)), X)
        np.testing.assert_array_equal(evaluate([g], {X: [2.0, 3.0]})[0], [0, 0])


def test_clipped_and_scaled_gradients():
    values = {X: [-3.0, 0.5, 3.0]}
    for changed, expected in [
        (grad_clip(X, -1, 2), [-1, 1, 2]),
        (grad_scale(X, -0.5), [3, -0.5, -3]),
    ]:
        np.testing.assert_array_equal(evaluate([changed], values)[0], values[X])
        g = grad(sum_(changed**2), X)
        np.testing.assert_array_equal(evaluate([g], values)[0], expected)
        np.testing.assert_array_equal(function([X], g)(np.array(values[X])), expected)


def test_there_are_no_other_barriers():
    for build in (
        lambda: Barrier("soft")(X),
        lambda: Barrier("zero", (1.0,))(X),
        lambda: grad_clip(X, 0, "a"),
        lambda: grad_scale(X, X),
    ):
        with pytest.raises(TypeMismatchError):
            build()
