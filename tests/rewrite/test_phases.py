"""Whole graphs through all phases: same values, fewer and better operations, every time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symnet.tensor as T
from symnet.autodiff import grad
from symnet.backends.reference import evaluate
from symnet.errors import IndexOutOfBoundsError, ShapeError
from symnet.function import function
from symnet.graph import toposort
from symnet.graph.variables import make_constant, make_shared
from symnet.ops.contraction import Dot, Gemm
from symnet.ops.indexing import IncSubtensor, Put, Subtensor
from symnet.ops.nnet import LogSoftmax, Softmax
from symnet.ops.shape import ShapeOf
from symnet.rewrite import optimise, stabilise, strict
from symnet.testing import random_graph


def ops(outputs):
    return [type(n.op).__name__ if n.op.__class__.__name__ != "Elementwise" else n.op.name
            for n in toposort(outputs)]  # fmt: skip


def optimised(*outputs):
    with strict():
        return optimise(outputs)[0]


# ---- equal values


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_random_programs_keep_their_values_and_settle_at_once(seed):
    program = random_graph(np.random.default_rng(seed), 20)
    built = program.build("float64")
    outputs = built.outputs + [new for _, new in built.updates]
    values = {v: program.input_values("float64")[v.name] for v in built.inputs}
    with strict():
        after, _ = optimise(outputs)
        again, log = optimise(after)
    assert not log and all(a is b for a, b in zip(after, again))
    for level in (after, optimise(outputs, "none")[0]):
        for old, new in zip(evaluate(outputs, values), evaluate(level, values)):
            assert old.shape == new.shape and old.dtype == new.dtype
            np.testing.assert_allclose(new, old, rtol=1e-9, atol=1e-9 * (1 + _largest(old)))
    for old, new in zip(outputs, after):
        assert old.type.accepts(new.type)


def _largest(array):
    return float(np.abs(array.astype("float64")).max()) if array.size else 0.0


def test_the_given_graph_is_not_touched():
    x = T.matrix("x")
    inner = T.exp(x)
    y = T.log(inner)
    y.name = "y"
    before = (y.owner.inputs, inner.owner.inputs, y.name, x.name)
    (after,) = optimised(y)
    assert after is x
    assert (y.owner.inputs, inner.owner.inputs, y.name, x.name) == before


def test_a_replaced_output_hands_on_its_name_and_origin():
    x = T.matrix("x")
    y = T.log(1 + T.exp(x))
    y.name = "y"
    (after,), trace = optimise([y])
    assert after.name == "y" and after.owner.origin == y.owner.origin
    assert "log1p" in str(trace[0]) and str(y.owner.origin) in str(trace[0])


# ---- interning


def test_equal_expressions_become_one_node():
    x, y = T.matrix("x"), T.matrix("y")
    a, b = optimised(T.tanh(x * y + 2), T.tanh(x * y + 2))
    assert a is b


@pytest.mark.parametrize(
    "first, second",
    [
        (np.float32(1), np.int32(1)),
        (np.float32(0.0), np.float32(-0.0)),
        (np.bool_(True), np.int8(1)),
        (np.float32(1), np.float64(1)),
        (np.float32([1]), np.float32(1)),
    ],
)
def test_constants_that_only_compare_equal_stay_apart(first, second):
    x = T.matrix("x")
    a, b = optimised(T.arctan2(x, make_constant(first)), T.arctan2(x, make_constant(second)))
    assert a is not b and a.owner.inputs[1] is not b.owner.inputs[1]


def test_equal_nans_are_one_constant():
    x = T.matrix("x")
    a, b = optimised(T.arctan2(x, make_constant(np.nan)), T.arctan2(x, make_constant(np.nan)))
    assert a is b


def test_draws_of_different_streams_stay_apart():
    streams = T.shared_randomstreams.RandomStreams(3)
    a, b = optimised(streams.uniform((2,)), streams.uniform((2,)))
    assert a is not b


# ---- shapes


def test_sizes_of_a_computed_tensor_do_not_need_it():
    x, y = T.matrix("x"), T.matrix("y")
    (n,) = optimised(T.exp(T.dot(x, y)).T.shape[0])
    assert type(n.owner.op) is ShapeOf and n.owner.inputs == (y,) and n.owner.op.axis == 1


def test_an_operand_is_not_dropped_with_its_size_check():
    x, n = T.vector("x"), T.lscalar("n")
    y = x + T.zeros((n,))
    (after,) = optimised(y)
    assert after is not x
    with pytest.raises(ShapeError):
        evaluate([after], {x: np.zeros(3, "float32"), n: np.int64(4)})


def test_an_operand_of_provably_the_same_size_is_dropped():
    x = T.matrix("x")
    (after,) = optimised(T.exp(x) + T.zeros_like(x))
    assert ops([after]) == ["exp"]


def test_a_dropped_operand_still_broadcasts():
    x, row = T.matrix("x"), T.row("row")
    (after,) = optimised(T.where(T.eq(x, x), row, row))
    a, b = np.zeros((3, 2), "float32"), np.ones((1, 2), "float32")
    assert after.type.shape == (None, None)
    with_rows = evaluate([after], {x: a, row: b})[0]
    assert with_rows.shape == (3, 2)


def test_big_constants_are_not_made():
    (after,) = optimised(T.zeros((10_000, 10_000)) + 1)
    assert all(getattr(v, "data", np.zeros(1)).size <= 1 for n in toposort([after])
               for v in n.inputs)  # fmt: skip


# ---- stability, through whatever only moves elements


LOGITS = np.array([[800.0, -800.0, 0.0], [0.0, 1.0, -1000.0]], "float32")
EXACT = np.array([[0.0, -1600.0, -800.0], [-1.3132616875, -0.3132616875, -1001.3132616875]])


@pytest.mark.parametrize(
    "between, expected",
    [
        (lambda p: p, EXACT),
        (lambda p: p.T, EXACT.T),
        (lambda p: p.reshape((3, 2)), EXACT.reshape(3, 2)),
        (lambda p: p.flatten()[1:], EXACT.ravel()[1:]),
        (lambda p: p[T.arange(2), [1, 2]], EXACT[[0, 1], [1, 2]]),
        (lambda p: p[:, 1], EXACT[:, 1]),
        (lambda p: p.dimshuffle(1, "x", 0)[2], EXACT.T[:, None][2]),
    ],
)
def test_log_of_softmax_is_accurate_whatever_moves_elements_between(between, expected):
    x = T.matrix("x")
    y = T.log(between(T.nnet.softmax(x)))
    assert not np.isfinite(evaluate([y], {x: LOGITS})[0]).all()
    for after in (optimised(y), stabilise([y])):
        np.testing.assert_allclose(evaluate(after, {x: LOGITS})[0], expected, rtol=1e-6)


def test_softmax_written_by_hand():
    x = T.matrix("x")
    e = T.exp(x)
    (p,) = stabilise([T.exp(x) / e.sum(axis=1, keepdims=True)])
    assert type(p.owner.op) is Softmax
    (q,) = stabilise([T.log(e / e.sum(axis=1).dimshuffle(0, "x"))])
    assert type(q.owner.op) is LogSoftmax


def test_barriers_are_neither_replaced_nor_looked_behind():
    x = T.matrix("x")
    p = T.nnet.softmax(x)
    y = T.log(p)
    assert stabilise([y], {p}) == [y]
    assert stabilise([y], {y}) == [y]
    assert type(stabilise([y])[0].owner.op) is LogSoftmax


def test_nothing_to_stabilise_gives_the_graph_itself():
    x = T.matrix("x")
    y = T.tanh(x + 1) * (x + 1)
    assert stabilise([y]) == [y]


# ---- products


def gradient_step():
    x, y = T.matrix("x"), T.lvector("y")
    w = make_shared(np.full((4, 3), 0.1, "float32"), "w")
    cost = T.nnet.categorical_crossentropy(T.nnet.softmax(T.dot(x, w)), y).mean()
    return x, y, w, cost, w - 0.1 * grad(cost, w)


def test_a_gradient_step_is_one_gemm():
    *_, step = gradient_step()
    after = optimised(step)
    assert type(after[0].owner.op) is Gemm
    assert after[0].owner.inputs[1].data == np.float32(-0.1)


SPELLINGS = {
    "log of softmax": lambda z, n, y: T.log(T.nnet.softmax(z))[T.arange(n), y],
    "log of what is picked": lambda z, n, y: T.log(T.nnet.softmax(z)[T.arange(n), y]),
    "with an offset": lambda z, n, y: T.log(T.nnet.softmax(z) + 1e-6)[T.arange(n), y],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_likelihood_as_theano_programs_spell_it(spelling):
    """Nothing is gathered or scattered by rows; rows beyond the labels have gradient 0."""
    x, y = T.matrix("x"), T.lvector("y")
    b = make_shared(np.ones((1, 3), "float32"), "b", shape=(1, 3))
    cost = -T.mean(SPELLINGS[spelling](x + b, y.shape[0], y))
    both = [cost, grad(cost, x)]
    after = optimised(*both)
    assert Put not in {type(n.op) for n in toposort(after)}
    compiled = function([x, y], both)
    points = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    for labels in ([0, 2, 1, 1], [2, 0], [1]):
        n = len(labels)
        values = {x: points, y: np.array(labels)}
        picked = T.nnet.categorical_crossentropy(T.nnet.softmax(x[:n] + b), y).mean()
        expected = evaluate([picked, grad(picked, x)], values)
        for got in (evaluate(both, values), evaluate(after, values), compiled(points, labels)):
            np.testing.assert_allclose(got[0], expected[0], rtol=1e-4)
            np.testing.assert_allclose(got[1], expected[1], rtol=1e-4, atol=1e-5)
            assert not got[1][n:].any()
    for labels in ([0, 1, 2, 0, 1], [0, 3]):  # more than rows; no class
        for run in (
            lambda values: evaluate(both, values),
            lambda values: evaluate(after, values),
            lambda values: compiled(*values.values()),
        ):
            with pytest.raises(IndexOutOfBoundsError):
                run({x: points, y: np.array(labels)})


def test_rows_known_to_be_all_are_no_part():
    x, y = T.matrix("x"), T.lvector("y")
    for n, part in ((x.shape[0], False), (y.shape[0], True)):
        picked = T.nnet.log_softmax(x)[T.arange(n), y]
        views = [v for v in toposort(stabilise([picked])) if type(v.op) is Subtensor]
        assert bool(views) == part


def test_the_gradient_of_labels_scatters_nothing_and_still_checks_them():
    x, y, _, cost, step = gradient_step()
    after = optimised(cost, step)
    kinds = {type(n.op) for n in toposort(after)}
    assert Put not in kinds and LogSoftmax not in kinds and Softmax not in kinds
    good = {x: np.ones((2, 4), "float32"), y: np.array([0, 2])}
    for old, new in zip(evaluate([cost, step], good), evaluate(after, good)):
        np.testing.assert_allclose(new, old, rtol=1e-5)
    for output in after:
        with pytest.raises(IndexOutOfBoundsError):
            evaluate([output], {**good, y: np.array([0, 3])})
        with pytest.raises(ShapeError):
            evaluate([output], {**good, y: np.array([0, 1, 2])})


def test_softmax_and_its_logarithm_share_their_parts():
    x = T.matrix("x")
    after = optimised(T.nnet.softmax(x), T.nnet.logsoftmax(x))
    assert [ops(after).count(name) for name in ("exp", "Reduce")] == [1, 2]


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("sign", [1, -1])
def test_scaled_sums_with_products(sign, transposed):
    a, b, c, s = T.matrix("a"), T.matrix("b"), T.matrix("c"), T.scalar("s")
    product = T.dot(a, b).T if transposed else T.dot(a, b)
    y = 0.9 * c + sign * s * product * 2.0
    (after,) = optimised(y)
    assert ops([after]).count("Gemm") == 1 and "Dot" not in ops([after])
    rng = np.random.default_rng(1)
    values = {a: rng.normal(size=(3, 4)), b: rng.normal(size=(4, 3)), c: rng.normal(size=(3, 3))}
    values = {k: v.astype("float32") for k, v in values.items()} | {s: np.float32(0.3)}
    np.testing.assert_allclose(*(evaluate([v], values)[0] for v in (after, y)), rtol=1e-4)


def test_a_step_with_momentum_and_weight_decay_is_one_gemm():
    a, b = T.matrix("a"), T.matrix("b")
    w, velocity = T.matrix("w"), T.matrix("velocity")
    gradient = T.dot(a.T, b) + 1e-2 * w
    y = 0.9 * velocity - 0.1 * gradient
    (after,) = optimised(y)
    assert type(after.owner.op) is Gemm
    assert ops([after]).count("Gemm") == 1 and "Dot" not in ops([after])
    rng = np.random.default_rng(1)
    values = {v: rng.normal(size=(3, 3)).astype("float32") for v in (a, b, w, velocity)}
    np.testing.assert_allclose(*(evaluate([v], values)[0] for v in (after, y)), rtol=1e-5)


def test_a_product_read_twice_or_broadcast_stays():
    a, b, row = T.matrix("a"), T.matrix("b"), T.row("row")
    product = T.dot(a, b)
    assert Gemm not in {type(n.op) for n in toposort(optimised(a + product, T.exp(product)))}
    assert Gemm not in {type(n.op) for n in toposort(optimised(row + product))}


def test_gradients_of_parts_accumulate_into_one_tensor():
    x = T.matrix("x")
    cost = T.exp(x[0]).sum() + T.tanh(x[1]).sum() + T.square(x[1:]).sum()
    (after,) = optimised(grad(cost, x))
    nodes = toposort([after])
    assert sum(type(n.op) is IncSubtensor for n in nodes) == 3
    assert "add" not in ops([after])


def test_level_none_only_expands():
    x = T.matrix("x")
    y = T.nnet.softmax(x + 0) * 1
    (after,), _ = optimise([y], "none")
    names = ops([after])
    assert Softmax not in {type(n.op) for n in toposort([after])}
    assert "add" in names and "mul" in names and Dot is not None


def test_deep_and_wide_graphs_are_walked_without_recursion():
    x = T.vector("x")
    y = T.log(T.exp(x))
    for k in range(5000):
        y = T.sin(y * (1 + k * 1e-3)) + T.zeros_like(y)
    (after,) = optimised(y)
    assert ops([after]).count("sin") == 5000 and "log" not in ops([after])
