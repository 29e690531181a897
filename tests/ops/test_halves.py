"""Ops of halves: each computes in float32 and rounds its result, in the interpreter."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symnet.tensor as T
from symnet.autodiff import grad
from symnet.backends.reference import evaluate
from symnet.errors import TypeMismatchError
from symnet.graph.types import FLOATS, HALVES, NUMPY_DTYPES, TensorType
from symnet.ops.elementwise import ELEMENTWISE
from symnet.ops.random import RandomStreams
from symnet.testing import assert_close, check_op
from symnet.testing.strategies import arrays, shapes

HALF = st.sampled_from(sorted(HALVES))
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def value(build, *given_arrays):
    variables = [TensorType(a.dtype.name, (None,) * a.ndim)() for a in given_arrays]
    return evaluate([build(*variables)], dict(zip(variables, given_arrays)))[0]


def assert_same(found, wanted):
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    np.testing.assert_array_equal(found.astype("float32"), wanted.astype("float32"))


@settings(max_examples=300, deadline=None)
@given(st.data(), HALF, st.sampled_from(sorted(ELEMENTWISE)))
def test_elementwise_ops_compute_in_float32(data, half, name):
    op = ELEMENTWISE[name]
    try:
        op.rule([half] * op.nargs)
    except TypeMismatchError:
        return
    shape = data.draw(shapes(max_size=4))
    args = [data.draw(arrays(half, shape, special=True)) for _ in range(op.nargs)]
    found = value(op, *args)
    singles = [a.astype("float32") for a in args]
    wanted = value(op, *singles)
    if name.startswith("cast_"):
        assert_same(found, wanted)
    elif wanted.dtype.name in FLOATS:
        with np.errstate(all="ignore"):
            assert_same(found, wanted.astype(NUMPY_DTYPES[half]))
    else:
        assert_same(found, wanted)


@given(st.data(), HALF, st.sampled_from(["bool", "int8", "uint16", "int32", "int64", "uint64",
                                         "float16", "bfloat16", "float32", "float64"]))  # fmt: skip
def test_casts_to_halves_are_numpys(data, half, dtype):
    given_ = data.draw(arrays(dtype, low=-6e4, high=6e4, special=True))
    with np.errstate(all="ignore"):
        wanted = given_.astype(NUMPY_DTYPES[half])
    found = value(lambda v: T.cast(T.identity(v), half), given_)
    np.testing.assert_array_equal(found.view("uint16"), wanted.view("uint16"))


@given(st.data(), HALF)
def test_sums_are_float32_inside(data, half):
    shape = data.draw(shapes(min_ndim=1, max_size=17))
    x = data.draw(arrays(half, shape))
    single = x.astype("float32")
    axis = data.draw(st.integers(0, len(shape) - 1))
    for ours, numpys in ((T.sum, np.sum), (T.prod, np.prod)):
        with np.errstate(all="ignore"):
            wanted = numpys(single, axis).astype(NUMPY_DTYPES[half])
        assert_same(value(lambda v, f=ours: f(v, axis), x), np.asarray(wanted))
    if shape[axis]:
        assert_same(value(lambda v: T.max(v, axis), x), single.max(axis).astype(x.dtype))
        with np.errstate(all="ignore"):
            assert_same(
                value(lambda v: T.mean(v, axis), x),
                np.asarray(np.mean(single, axis)).astype(x.dtype),
            )
        assert_same(value(lambda v: T.argmin(v, axis), x), np.argmin(single, axis))


@pytest.mark.parametrize("half", sorted(HALVES))
def test_many_terms(half):
    ones = np.ones(100_000, NUMPY_DTYPES[half])
    total = value(T.sum, ones)
    assert float(total) == (np.inf if half == "float16" else 99840)  # the nearest, not 256
    assert float(value(T.mean, ones)) == 1
    assert float(value(lambda v: T.sum(v, dtype="float32"), ones)) == 100_000
    assert float(value(T.var, ones * 100)) == 0
    g = value(lambda v: grad(T.mean(v), v), ones)
    assert g.dtype == NUMPY_DTYPES[half] and g[0] == np.float32(1e-5).astype(g.dtype)


@pytest.mark.parametrize(("half", "term"), [("float16", 1.0004), ("bfloat16", 1.003)])
def test_a_narrow_result_is_rounded_once(half, term):
    x = np.full(3, term, "float32")
    assert float(value(lambda v: T.sum(T.cast(v, half)), x)) == 3
    assert float(value(lambda v: T.sum(v, dtype=half), x)) > 3
    many = np.arange(100, dtype="int64")
    assert float(value(lambda v: T.sum(v, dtype=half), many)) == float(
        np.float32(4950).astype(NUMPY_DTYPES[half])
    )


@given(st.data(), HALF)
def test_products_are_float32_inside(data, half):
    m, k, n = (data.draw(st.sampled_from([0, 1, 3, 17, 300])) for _ in range(3))
    a, b = data.draw(arrays(half, (m, k))), data.draw(arrays(half, (k, n)))
    wanted = (a.astype("float32") @ b.astype("float32")).astype(a.dtype)
    assert_same(value(T.dot, a, b), wanted)
    stacked = value(T.batched_dot, a[None], b[None])
    assert_same(stacked[0], wanted)


@pytest.mark.parametrize("half", sorted(HALVES))
@pytest.mark.parametrize("function", [T.nnet.softmax, T.nnet.logsoftmax, T.logsumexp])
def test_softmax_rounds_only_its_result(half, function):
    x = np.linspace(-20, 20, 60).reshape(3, 20).astype(NUMPY_DTYPES[half])
    wanted = value(function, x.astype("float32")).astype(x.dtype)
    assert_same(value(function, x), wanted)


@pytest.mark.parametrize("half", sorted(HALVES))
def test_parts_and_joins(half):
    x = np.arange(12).reshape(4, 3).astype(NUMPY_DTYPES[half])
    y = (np.ones((3, 3)) / 3).astype(x.dtype)
    again = x.copy()
    for row in y:  # rounded after each
        again[1] = (again[1].astype("float32") + row.astype("float32")).astype(x.dtype)
    places = np.array([1, 1, 1])
    assert_same(value(lambda v, w: T.inc_subtensor(v[places], w), x, y), again)
    assert_same(value(lambda v, w: T.concatenate([v[::2], w], axis=0), x, y), np.r_[x[::2], y])
    assert_same(value(lambda v, w: T.stack([v[0], w[0]], axis=1), x, y), np.c_[x[0], y[0]])
    assert_same(value(lambda v: T.set_subtensor(v[:, 0], 0.1)[:, 0], x), np.full(4, 0.1, x.dtype))
    assert_same(value(lambda v: v[places, places], x), x[places, places])
    with pytest.raises(TypeMismatchError, match="lose digits"):
        T.set_subtensor(T.vector(dtype=half)[:2], T.fvector())


@pytest.mark.parametrize("half", sorted(HALVES))
def test_made_from_places(half):
    kind = NUMPY_DTYPES[half]
    assert_same(value(lambda: T.arange(300, dtype=half)), np.arange(300).astype(kind))
    assert_same(value(lambda: T.arange(0, 1, 0.1, dtype=half)), np.arange(0, 1, 0.1).astype(kind))
    assert_same(value(lambda: T.eye(3, dtype=half)), np.eye(3).astype(kind))
    assert_same(value(lambda: T.zeros((2, 3), dtype=half)), np.zeros((2, 3), kind))


@pytest.mark.parametrize(("half", "steps"), [("float16", 2**11), ("bfloat16", 2**8)])
def test_draws(half, steps):
    streams = RandomStreams(3)
    u = evaluate([streams.uniform((40_000,), dtype=half)])[0]
    assert u.dtype == NUMPY_DTYPES[half]
    wide = u.astype("float64")
    assert wide.min() == 0 and wide.max() == 1 - 1 / steps  # 1 is never drawn
    assert np.array_equal(wide * steps, np.floor(wide * steps))
    assert abs(wide.mean() + 0.5 / steps - 0.5) < 0.01
    z = evaluate([streams.normal((40_000,), dtype=half)])[0].astype("float64")
    assert abs(z.mean()) < 0.02 and abs(z.std() - 1) < 0.02
    p = TensorType(half, ())("p")
    drawn = evaluate([streams.binomial((40_000,), p=p)], {p: np.array(0.001, NUMPY_DTYPES[half])})
    assert 0 < drawn[0].mean() < 0.003


@pytest.mark.parametrize("half", sorted(HALVES))
def test_check_op_over_halves(half):
    kind = NUMPY_DTYPES[half]
    x = np.array([[0.5, -1.5, 2], [0.25, 3, -0.125]], kind)
    y = np.array([[1, 2, 0.5], [-1, 0.75, 4]], kind)
    check_op(lambda v, w: T.tanh(v) * w + 1, [(x, y)])
    check_op(lambda v, w: T.dot(v, w.T), [(x, y)])
    check_op(T.nnet.softmax, [(x,)])
    check_op(lambda v: [T.sum(v, axis=0), T.mean(v), T.max(v, axis=1)], [(x,)])
    check_op(lambda v: T.var(v, axis=1), [(x,)])
    check_op(lambda v: T.cast(v, "float32") * 3, [(x,)], order=0)
    check_op(lambda v: T.cast(T.cast(v, half), "float32") / 3, [(x.astype("float32"),)], order=0)


@given(st.data(), HALF)
def test_gradients_are_those_of_float32_but_for_rounding(data, half):
    x = data.draw(arrays(half, (3, 4), -2, 2))
    y = data.draw(arrays(half, (4, 2), -2, 2))

    def slopes(v, w):
        return grad(T.sum(T.tanh(T.dot(v, w))) + T.mean(T.sqr(v)), v)

    exact = value(slopes, x.astype("float32"), y.astype("float32"))
    eps = float(ml_dtypes.finfo(x.dtype).eps)
    found = value(slopes, x, y)
    assert found.dtype == x.dtype
    assert_close(found.astype("float32"), exact, rtol=0, atol=40 * eps)
