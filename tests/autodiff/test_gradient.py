"""What `grad` promises; the derivatives of each op are tested over the registry elsewhere."""

import numpy as np
import pytest

import symnet.tensor  # noqa: F401  (gives variables their operators)
from symnet.autodiff import Lop, Rop, clone, grad, hessian_vector_product
from symnet.backends.reference import evaluate
from symnet.errors import (
    CompilerError,
    DisconnectedInputError,
    GradientError,
    NonScalarCostError,
    TypeMismatchError,
)
from symnet.graph import Op, TensorType, ancestors, graph_inputs, toposort
from symnet.ops.casting import cast
from symnet.ops.contraction import dot
from symnet.ops.exponential import exp, log
from symnet.ops.reduction import argmax, sum_
from symnet.ops.shape import ShapeOf
from symnet.ops.trigonometric import tanh

MATRIX, VECTOR, SCALAR = (TensorType("float64", (None,) * n) for n in (2, 1, 0))
rng = np.random.default_rng(1)


def value(output, **values):
    names = {v.name: v for v in ancestors([output]) if v.name in values}
    return evaluate([output], {names[k]: v for k, v in values.items() if k in names})[0]


class Scale(Op):
    """Twice its input; a gradient rule that the test chooses."""

    def __init__(self, rule):
        self.rule = rule

    def output_types(self, x):
        return [x.type]

    def infer_shape(self, node, shapes, context):
        return shapes

    def perform(self, node, inputs):
        return [2 * inputs[0]]

    def grad(self, inputs, outputs, output_grads):
        return self.rule(inputs, outputs, output_grads)


class Halves(Op):
    """A vector as two outputs: its first and its second half."""

    def output_types(self, x):
        return [x.type, x.type]

    def infer_shape(self, node, shapes, context):
        raise NotImplementedError

    def perform(self, node, inputs):
        (x,) = inputs
        return [x[: len(x) // 2], x[len(x) // 2 :]]

    def grad(self, inputs, outputs, output_grads):
        from symnet.ops.joining import concatenate

        return [concatenate(output_grads)]


# ---- forms of the call


def test_result_has_the_form_of_wrt():
    x, y = VECTOR("x"), VECTOR("y")
    cost = sum_(x * y)
    assert grad(cost, x).type == x.type
    assert isinstance(grad(cost, [x, y]), list) and isinstance(grad(cost, (x, y)), tuple)
    twice = grad(cost, [x, x])
    assert twice[0] is twice[1]
    assert grad(cost, []) == []


def test_names():
    x, y = VECTOR("x"), VECTOR("y")
    cost = sum_(exp(x) * y)
    cost.name = "cost"
    assert grad(cost, x).name == "(dcost/dx)"
    assert grad(cost, x, add_names=False).name is None
    assert y.name == "y" and grad(sum_(x * y), x).name is None


def test_cost_and_intermediate_variables_as_wrt():
    x = SCALAR("x")
    h = tanh(x)
    cost = h * h
    of_cost, of_h, of_x = grad(cost, [cost, h, x])
    t = np.tanh(0.3)
    assert value(of_cost) == 1
    assert np.isclose(value(of_h, x=0.3), 2 * t)
    assert np.isclose(value(of_x, x=0.3), 2 * t * (1 - t * t))


def test_known_grads():
    x = VECTOR("x")
    y = x * x
    z = exp(y)
    a = rng.normal(size=3)
    alone = grad(None, x, known_grads={y: np.ones(3)})
    assert np.allclose(value(alone, x=a), 2 * a)
    # taken instead of what the cost says
    instead = grad(sum_(z), [x, y], known_grads={y: 3 * np.ones(3)})
    assert np.allclose(value(instead[0], x=a), 6 * a)
    assert np.allclose(value(instead[1], x=a), 3)
    # both ways, one behind the other
    both = grad(None, x, known_grads={z: np.ones(3), x * 1.0: np.ones(3)})
    assert np.allclose(value(both, x=a), np.exp(a * a) * 2 * a + 1)
    with pytest.raises(TypeMismatchError):
        grad(None, x)
    with pytest.raises(TypeMismatchError):
        grad(None, x, known_grads={y: 1.0})


def test_consider_constant():
    x = SCALAR("x")
    h = exp(x)
    cost = h * x
    assert value(grad(cost, x, consider_constant=[h]), x=2.0) == np.exp(2.0)
    with pytest.raises(DisconnectedInputError, match="consider_constant"):
        grad(h * 2, x, consider_constant=[h])
    with pytest.raises(DisconnectedInputError, match="consider_constant"):
        grad(cost, h, consider_constant=[h])


def test_scalars_and_size_one_dimensions_get_sums():
    x, w = MATRIX("x"), MATRIX("w")
    s = SCALAR("s")
    row, col = TensorType("float64", (1, None))("row"), TensorType("float64", (None, 1))("col")
    cost = sum_((x + row) * (col * s) + dot(x, w))
    values = {
        x: rng.normal(size=(3, 4)), w: rng.normal(size=(4, 4)), s: 2.0,
        row: rng.normal(size=(1, 4)), col: rng.normal(size=(3, 1)),
    }  # fmt: skip
    wrt = list(values)
    for variable, gradient, found in zip(
        wrt, grad(cost, wrt), evaluate(grad(cost, wrt), values), strict=True
    ):
        assert gradient.type.shape == variable.type.shape
        assert found.shape == np.shape(values[variable])
    assert np.allclose(
        evaluate(grad(cost, [row]), values)[0],
        np.broadcast_to(values[col] * 2.0, (3, 4)).sum(0, keepdims=True),
    )


def test_gradients_have_the_dtype_of_their_variable():
    x, y = TensorType("float32", (None,))("x"), VECTOR("y")
    gradients = grad(sum_(x * y), [x, y])
    assert [g.type.dtype for g in gradients] == ["float32", "float64"]


def test_outputs_that_nothing_depends_on():
    pytest.importorskip("symnet.ops.joining")
    x = VECTOR("x")
    first, _ = Halves()(x)
    assert value(grad(sum_(first * first), x), x=np.arange(1.0, 5.0)).tolist() == [2, 4, 0, 0]


# ---- what is refused


def test_cost_must_be_one_floating_point_number():
    x = VECTOR("x")
    with pytest.raises(NonScalarCostError, match=r"float64\(\?\).*test_gradient"):
        grad(x * 2, x)
    with pytest.raises(NonScalarCostError, match="int64"):
        grad(sum_(argmax(x)), x)
    with pytest.raises(TypeMismatchError):
        grad(3.0, x)


def test_wrt_must_be_floating_point():
    i = TensorType("int64", (None,))("i")
    with pytest.raises(TypeMismatchError, match="int64"):
        grad(sum_(i * 1.5), i)
    with pytest.raises(TypeMismatchError):
        grad(sum_(i * 1.5), ["i"])


def test_disconnected_names_the_op_that_cuts():
    x = MATRIX("x")
    rows = ShapeOf(0)(x)  # here it is cut
    cost = exp(cast(rows, "float64"))
    with pytest.raises(DisconnectedInputError) as caught:
        grad(cost, x)
    message = str(caught.value)
    assert "shape[0]" in message and "argument 0" in message and "here it is cut" in message
    assert "cast_float64" in message  # the path is shown


def test_disconnected_without_any_path():
    x, other, w = VECTOR("x"), VECTOR("w"), VECTOR("w")
    with pytest.raises(DisconnectedInputError, match=r"nothing leads(.|\n)*ANOTHER(.|\n)*w"):
        grad(sum_(x * other), w)


def test_disconnected_long_paths_are_shortened():
    x = VECTOR("x")
    out = cast(ShapeOf(0)(x), "float64")
    for _ in range(1000):
        out = exp(out)
    with pytest.raises(DisconnectedInputError) as caught:
        grad(out, x)
    assert len(str(caught.value).splitlines()) < 20 and "shape[0]" in str(caught.value)


def test_disconnected_other_answers():
    x, y = VECTOR("x"), VECTOR("y")
    cost = sum_(x)
    with pytest.warns(UserWarning, match="y"):
        zero = grad(cost, y, disconnected_inputs="warn")
    assert value(zero, y=np.ones(3)).tolist() == [0, 0, 0]
    assert grad(cost, y, disconnected_inputs="ignore", return_disconnected="none") is None
    both = grad(cost, [x, y], disconnected_inputs="ignore", return_disconnected="disconnected")
    assert both[0] is not None and both[1] is None
    with pytest.raises(TypeMismatchError):
        grad(cost, x, disconnected_inputs="perhaps")


def test_zero_derivatives_are_connected():
    x = VECTOR("x")
    assert value(grad(sum_(cast(x > 0.0, "float64")), x), x=np.ones(2)).tolist() == [0, 0]


def test_bad_rules_of_user_ops_are_named():
    x = VECTOR("x")

    def missing(inputs, outputs, output_grads):
        raise NotImplementedError("Scale has no gradient")

    with pytest.raises(GradientError, match="test_gradient"):
        grad(sum_(Scale(missing)(x)), x)
    with pytest.raises(GradientError, match="2 results for 1"):
        grad(sum_(Scale(lambda i, o, g: [g[0], g[0]])(x)), x)
    with pytest.raises(CompilerError, match=r"float64\(\)"):
        grad(sum_(Scale(lambda i, o, g: [sum_(g[0])])(x)), x)
    assert value(grad(sum_(Scale(lambda i, o, g: [g[0] * 2])(x)), x), x=np.ones(1)) == 2


# ---- products with Jacobians


def test_left_and_right_products():
    x, w = MATRIX("x"), MATRIX("w")
    f = tanh(dot(x, w))
    a, b = rng.normal(size=(2, 3)), rng.normal(size=(3, 4))
    dx, dw = rng.normal(size=(2, 3)), rng.normal(size=(3, 4))
    v = rng.normal(size=(2, 4))
    slope = 1 - np.tanh(a @ b) ** 2
    pushed = Rop(f, [x, w], [dx, dw])
    assert np.allclose(value(pushed, x=a, w=b), slope * (dx @ b + a @ dw))
    pulled = Lop(f, [x, w], v)
    assert np.allclose(value(pulled[0], x=a, w=b), (slope * v) @ b.T)
    assert np.allclose(value(pulled[1], x=a, w=b), a.T @ (slope * v))
    assert set(graph_inputs([pushed])) == {x, w}


def test_right_product_of_what_does_not_depend():
    x, y = VECTOR("x"), VECTOR("y")
    with pytest.raises(DisconnectedInputError):
        Rop(exp(x), y, np.ones(2))
    zero = Rop(exp(x), y, np.ones(2), disconnected_outputs="ignore")
    assert value(zero, x=np.ones(2)).tolist() == [0, 0]
    with pytest.raises(TypeMismatchError):
        Rop(exp(x), [x, y], np.ones(2))
    with pytest.raises(TypeMismatchError):
        Lop(exp(x), x, 1.0)


def test_hessian_times_vector():
    x = VECTOR("x")
    cost = sum_(exp(x) * x)
    a, v = rng.normal(size=3), rng.normal(size=3)
    assert np.allclose(value(hessian_vector_product(cost, x, v), x=a), np.exp(a) * (2 + a) * v)


def test_gradients_of_gradients():
    x = SCALAR("x")
    out = exp(2.0 * x) * x
    for order in range(1, 5):
        out = grad(out, x)
        expected = np.exp(1.0) * (2.0**order * 0.5 + order * 2.0 ** (order - 1))
        assert np.isclose(value(out, x=0.5), expected)


# ---- size


def test_long_chains_and_wide_sums():
    x = SCALAR("x")
    out = x
    for k in range(30_000):
        out = out * 1.0 if k % 2 else out + x
    gradient = grad(out, x)
    assert value(gradient, x=1.0) == 15_001
    assert len(toposort([gradient])) < 61_000


def test_gradient_of_log_of_nothing_stays_local():
    """Only what depends on wrt is differentiated."""
    x, y = SCALAR("x"), SCALAR("y")
    gradient = grad(x * log(y), x)
    assert not any(str(node.op) == "true_div" for node in toposort([gradient]))


@pytest.mark.parametrize(
    "build",
    [
        lambda x, c: grad(c, 3),
        lambda x, c: grad(c, None),
        lambda x, c: grad(c, x, consider_constant=3),
        lambda x, c: grad(c, x, known_grads=3),
        lambda x, c: grad(c, x, known_grads={3: x}),
        lambda x, c: Rop(c, 3, x),
        lambda x, c: Lop(3, x, x),
        lambda x, c: clone(3),
        lambda x, c: clone(c, 3),
    ],
)
def test_what_is_no_variable_is_named(build):
    x = VECTOR("x")
    with pytest.raises(TypeMismatchError, match=r"3|None"):
        build(x, sum_(x))


def test_one_constant_variable_may_stand_for_a_list():
    x = VECTOR("x")
    with pytest.raises(DisconnectedInputError, match="consider_constant"):
        grad(sum_(x), x, consider_constant=x)
