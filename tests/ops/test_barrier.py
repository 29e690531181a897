import numpy as np
import pytest

from symnet.autodiff import grad
from symnet.backends.reference import evaluate
from symnet.errors import DisconnectedInputError, TypeMismatchError
from symnet.graph import TensorType
from symnet.ops.barrier import Barrier, consider_constant, disconnected_grad, zero_grad
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


def test_there_are_no_other_barriers():
    with pytest.raises(TypeMismatchError):
        Barrier("soft")(X)
