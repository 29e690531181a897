"""`grad` differentiates the stabilised expression, and exchanging variables sees through that."""

import numpy as np
import pytest

import symnet.tensor  # noqa: F401  (gives variables their operators)
from symnet.autodiff import grad, substitute
from symnet.backends.reference import evaluate
from symnet.errors import GradientError, TypeMismatchError
from symnet.graph import TensorType, ancestors, clone_replace
from symnet.ops.exponential import exp, log
from symnet.ops.reduction import sum_
from symnet.ops.trigonometric import sin

SCALAR = TensorType("float64", ())


def softplus_parts():
    """x, a = exp(x), c = log(1 + a): stabilising turns c into softplus(x), which knows no a."""
    x = SCALAR("x")
    a = exp(x)
    return x, a, log(1.0 + a)


def test_stable_before_differentiating():
    x, _, c = softplus_parts()
    assert evaluate([grad(c, x)], {x: 800.0})[0] == 1
    assert evaluate([grad(c * c, x)], {x: 800.0})[0] == 1600
    assert evaluate([grad(grad(c, x), x)], {x: 800.0})[0] == 0
    assert np.isclose(evaluate([grad(grad(c, x), x)], {x: 0.0})[0], 0.25)


def test_wrt_inside_is_kept():
    x, a, c = softplus_parts()
    of_a, of_x = grad(c, [a, x])
    assert np.isclose(evaluate([of_a], {x: 1.0})[0], 1 / (1 + np.e))
    assert np.isclose(evaluate([of_x], {x: 1.0})[0], np.e / (1 + np.e))


def test_stable_on_both_sides_of_a_wrt():
    """Behind a wrt in the middle there is another wrt: that part is stabilised too."""
    x = SCALAR("x")
    h = log(1.0 + exp(x))
    cost = log(1.0 + exp(h))
    of_h, of_x = grad(cost, [h, x])
    assert evaluate([of_h, of_x], {x: 800.0}) == [1, 1]
    s = lambda z: 1 / (1 + np.exp(-z))
    expected = [s(np.log(1 + np.e)), s(np.log(1 + np.e)) * s(1.0)]
    assert np.allclose(evaluate([of_h, of_x], {x: 1.0}), expected)


def test_three_wrt_in_a_row_and_shared_parts():
    x = SCALAR("x")
    h1 = log(1.0 + exp(x))
    h2 = log(1.0 + exp(h1)) + x
    cost = log(1.0 + exp(h2)) * h1
    symbolic = evaluate(grad(cost, [h2, h1, x, cost]), {x: 0.5})
    plain = evaluate([grad(cost, v) for v in (h2, h1, x, cost)], {x: 0.5})
    assert np.allclose(symbolic, plain)
    step = 1e-6
    up, down = (evaluate([cost], {x: 0.5 + d})[0] for d in (step, -step))
    assert np.isclose(symbolic[2], (up - down) / (2 * step))


def test_known_gradient_inside_is_kept():
    x, a, c = softplus_parts()
    gradient = grad(c, x, known_grads={a: 5.0})
    assert np.isclose(evaluate([gradient], {x: 1.0})[0], 5 * np.e)


def test_constant_inside_is_kept():
    x, a, c = softplus_parts()
    gradient = grad(c * x, x, consider_constant=[a])
    assert np.isclose(evaluate([gradient], {x: 1.0})[0], np.log(1 + np.e))


# ---- substitute: as if nothing had been stabilised


def plain_gradient(c, x, keep):
    """The gradient with `keep` in it: kept because it is a wrt as well."""
    return grad(c, [x, *keep])[0]


def test_a_variable_that_stabilising_removed():
    x, a, c = softplus_parts()
    g = grad(c, x)
    assert a not in ancestors([g])  # what makes this test one
    b = SCALAR("b")
    (exchanged,) = substitute([g], {a: b})
    # d log(1 + a)/da * da/dx, with exp's derivative a: b / (1 + b)
    assert np.isclose(evaluate([exchanged], {x: 9.0, b: 3.0})[0], 0.75)
    assert np.isclose(evaluate([g], {x: 1.0})[0], np.e / (1 + np.e))  # the old one is as it was


def test_a_variable_that_is_left_in_one_place_only():
    x, a, c = softplus_parts()
    g = grad(c * a, x)
    b = SCALAR("b")
    (exchanged,) = substitute([g], {a: b})
    expected = 3 / (1 + 3) * 3 + np.log(1 + 3) * 3
    assert np.isclose(evaluate([exchanged], {x: 9.0, b: 3.0})[0], expected)


def test_deeper_inside_an_expression_of_gradients():
    x, a, c = softplus_parts()
    w = SCALAR("w")
    update = w - 0.1 * grad(c, x) * w
    b = SCALAR("b")
    (exchanged, cost) = substitute([update, c], {a: b})
    values = {x: 9.0, b: 3.0, w: 2.0}
    assert np.isclose(evaluate([exchanged], values)[0], 2 - 0.1 * 0.75 * 2)
    assert np.isclose(evaluate([cost], values)[0], np.log(4))


def test_gradient_of_a_gradient():
    x, a, c = softplus_parts()
    g = grad(c, x)
    second = grad(sin(g), x)
    b = SCALAR("b")
    (exchanged,) = substitute([second], {a: b})
    # g = a / (1 + a); d sin(g)/dx = cos(g) * a / (1 + a)^2
    assert np.isclose(evaluate([exchanged], {x: 9.0, b: 3.0})[0], np.cos(0.75) * 3 / (1 + 3) ** 2)


def test_inputs_are_exchanged_as_everywhere():
    x, _, c = softplus_parts()
    y = SCALAR("y")
    g = grad(c, x)
    assert np.isclose(evaluate(substitute([g], {x: 2.0 * y}), {y: 1.0})[0], 1 / (1 + np.exp(-2)))
    (same,) = substitute([g], {y: x})
    assert same is g


def test_first_inputs_then_what_stabilising_removed():
    x, a, c = softplus_parts()
    y, b = SCALAR("y"), SCALAR("b")
    g, copied_a = substitute([grad(c, x), a], {x: y})
    (exchanged,) = substitute([g], {copied_a: b})
    assert np.isclose(evaluate([exchanged], {y: 9.0, b: 3.0})[0], 0.75)
    # The original is not in the copy: nothing to exchange.
    (same,) = substitute([g], {a: b})
    assert np.isclose(evaluate([same], {y: 1.0})[0], np.e / (1 + np.e))


def test_twice_inside_is_refused():
    x = SCALAR("x")
    a1 = exp(x)
    a2 = exp(sin(log(1.0 + a1)))
    c = log(1.0 + a2)
    b = SCALAR("b")
    (once,) = substitute([grad(c, x)], {a2: b})
    with pytest.raises(GradientError, match="one call"):
        substitute([once], {a1: b})
    (both,) = substitute([grad(c, x)], {a1: b, a2: 2.0 * b})
    h = np.log(1 + 3.0)
    expected = 6 / 7 * np.cos(h) * 3 / 4
    assert np.isclose(evaluate([both], {x: 9.0, b: 3.0})[0], expected)


def test_the_gradient_itself_can_be_exchanged():
    x, a, c = softplus_parts()
    g = grad(c, x)
    b = SCALAR("b")
    assert evaluate(substitute([g * 2.0], {g: b, a: b}), {b: 3.0})[0] == 6


def test_variables_that_were_wrt():
    x, a, c = softplus_parts()
    of_x, _ = grad(c, [x, a])
    b = SCALAR("b")
    assert np.isclose(evaluate(substitute([of_x], {a: b}), {x: 9.0, b: 3.0})[0], 0.75)


def test_types_are_checked():
    x, a, c = softplus_parts()
    with pytest.raises(TypeMismatchError):
        substitute([grad(c, x)], {a: TensorType("float32", ())("b")})


def test_same_as_clone_where_nothing_was_stabilised():
    x = TensorType("float64", (None,))("x")
    h = sin(x)
    g = grad(sum_(h * h), x)
    b = TensorType("float64", (None,))("b")
    values = {x: np.ones(2), b: np.full(2, 3.0)}
    assert np.array_equal(
        evaluate(substitute([g], {h: b}), values)[0],
        evaluate(clone_replace([g], {h: b}), values)[0],
    )
