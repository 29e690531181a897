import numpy as np
import pytest

import symnet.tensor as T
from symnet.autodiff import grad, hessian, jacobian
from symnet.backends.reference import evaluate
from symnet.errors import DisconnectedInputError, TypeMismatchError

x, W = T.dvector("x"), T.dmatrix("W")
w = T.vector("w", dtype="float64", shape=(3,))
POINT = np.array([0.5, -1.0, 2.0])
MATRIX = np.random.default_rng(0).normal(size=(3, 3))


def test_of_a_vector_by_a_vector_and_a_matrix():
    y = T.tanh(T.specify_shape(T.dot(W, x), (3,)))
    by_x, by_w = jacobian(y, [x, W])
    slope = 1 - np.tanh(MATRIX @ POINT) ** 2
    got = evaluate([by_x, by_w], {x: POINT, W: MATRIX})
    np.testing.assert_allclose(got[0], slope[:, None] * MATRIX)
    expected = slope[:, None, None] * np.eye(3)[:, :, None] * POINT
    np.testing.assert_allclose(got[1], expected)


def test_of_a_scalar_is_the_gradient_and_of_nothing_is_empty():
    cost = (x**2).sum()
    both = evaluate([jacobian(cost, x), grad(cost, x)], {x: POINT})
    np.testing.assert_array_equal(*both)
    empty = jacobian(T.specify_shape(x[:0], (0,)), x)
    assert evaluate([empty], {x: POINT})[0].shape == (0, 3)


def test_hessian():
    cost = (T.dot(w, T.dot(MATRIX, w)) * w[0]).sum()
    second = hessian(cost, w)
    assert isinstance(hessian(cost, (w,)), tuple)
    directions = [evaluate([grad(T.dot(grad(cost, w), v), w)], {w: POINT})[0] for v in np.eye(3)]
    np.testing.assert_allclose(evaluate([second], {w: POINT})[0], directions)
    linear = hessian(w.sum(), w)
    np.testing.assert_array_equal(evaluate([linear], {w: POINT})[0], np.zeros((3, 3)))


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: jacobian(x * 2, x), TypeMismatchError, "specify_shape"),
        (lambda: jacobian(W, x), TypeMismatchError, "scalar or vector"),
        (lambda: jacobian(3, x), TypeMismatchError, "3 is not"),
        (lambda: hessian((x**2).sum(), x), TypeMismatchError, "specify_shape"),
        (lambda: jacobian(w * 2, x), DisconnectedInputError, "depend"),
    ],
)
def test_what_it_refuses(build, error, message):
    with pytest.raises(error, match=message):
        build()
