import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symnet.autodiff import grad
from symnet.backends.reference import evaluate
from symnet.errors import ShapeError, TypeMismatchError
from symnet.function import function as compiled
from symnet.graph import DTYPES, TensorType
from symnet.graph.types import HALVES
from symnet.ops import reduction
from symnet.ops.logic import where
from symnet.ops.reduction import (
    ArgReduce,
    Reduce,
    all_,
    any_,
    argmax,
    argmin,
    count_nonzero,
    max_,
    mean,
    min_,
    prod,
    std,
    sum_,
    var,
)
from symnet.ops.shape import shape, shape_of
from symnet.testing.strategies import arrays, shapes

FUNCTIONS = [
    (sum_, np.sum),
    (prod, np.prod),
    (max_, np.max),
    (min_, np.min),
    (any_, np.any),
    (all_, np.all),
    (mean, np.mean),
    (count_nonzero, np.count_nonzero),
]


@st.composite
def reductions(draw, dtype="float64", least=0, special=False):
    """An array, axes of it, keepdims."""
    size = st.lists(st.sampled_from([s for s in (0, 1, 2, 3, 5) if s >= least]), max_size=3)
    x = draw(arrays(dtype, draw(size), -3, 3, special=special, layouts=True))
    axes = st.sets(st.integers(0, x.ndim - 1)) if x.ndim else st.just(set())
    axis = draw(st.none() | axes.map(tuple) | (st.integers(-x.ndim, -1) if x.ndim else st.none()))
    return x.astype(x.dtype.newbyteorder("=")), axis, draw(st.booleans())


@pytest.mark.parametrize("ours, numpys", FUNCTIONS)
@given(data=st.data())
def test_values(agree, ours, numpys, data):
    dtype = data.draw(st.sampled_from([d for d in DTYPES if d not in HALVES]))
    least = 1 if ours in (max_, min_, mean) else 0
    x, axis, keepdims = data.draw(reductions(dtype, least, special=dtype != "float32"))

    def reference(v):
        with np.errstate(all="ignore"):
            return numpys(v, axis=axis, keepdims=keepdims)

    if ours in (sum_, prod):
        expected = reduction.result_dtype("sum", dtype)
    elif ours is mean:
        expected = dtype if dtype.startswith("float") else "float32"
    else:
        expected = None
    loose = {"rtol": 2e-5, "atol": 1e-5} if "float32" in (expected, dtype) else {}
    agree(lambda v: ours(v, axis, keepdims), reference, x, dtype=expected, **loose)


@pytest.mark.parametrize("ours", [sum_, prod, max_, min_, mean, var, std])
@given(case=reductions(least=1))
def test_derivatives(agree, ours, case):
    x, axis, keepdims = case
    # apart from each other, so that finite differences meet no other maximum, no deviation of 0
    x = (np.random.default_rng(x.size).permutation(x.size) + 1.5).reshape(x.shape) / 2
    count = x.size if axis is None else np.prod(np.array(x.shape)[np.array(axis, int).ravel()])
    if ours is std and count < 2:
        return
    kept = {"keepdims": keepdims}

    def reference(v):
        names = {"sum_": np.sum, "max_": np.max, "min_": np.min}
        return names.get(ours.__name__, getattr(np, ours.__name__, None))(v, axis=axis, **kept)

    agree(lambda v: ours(v, axis, **kept), reference, x, order=2)


@pytest.mark.parametrize(("function", "expected"), [("max", -np.inf), ("min", np.inf)])
def test_extremes_of_nothing_where_they_are_allowed(function, expected):
    x = TensorType("float32", (None, None))("x")
    out = Reduce(function, (1,), "float32", of_none=True)(x)
    for mode in ("compiled", "reference"):
        (got,) = compiled([x], [out], mode=mode)(np.ones((2, 0), "f"))
        np.testing.assert_array_equal(got, [expected] * 2)
    with pytest.raises(TypeMismatchError):
        Reduce(function, (0,), "int64", of_none=True)(TensorType("int64", (None,))("i"))


# ---- products with zeros


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_product_has_right_derivatives_at_zeros(agree, zeros, axis):
    x = np.array([[1.5, -2.0, 0.5, 3.0], [2.0, 1.0, -1.0, 0.5], [1.0, 4.0, 2.0, -0.5]])
    x[0, :zeros] = 0
    x[:zeros, 3] = 0
    agree(lambda v: prod(v, axis), lambda v: np.prod(v, axis), x, order=2)


def test_a_product_that_was_not_chosen_leaks_no_nan():
    x = TensorType("float64", (None,))("x")
    g = grad(where(False, prod(x), sum_(x)), x)
    for bad in (np.inf, np.nan, 0.0, 1e200):
        np.testing.assert_array_equal(evaluate([g], {x: np.array([bad, 1e200, 1.0])})[0], 1.0)


# ---- maxima


def test_all_elements_that_tie_get_the_gradient():
    x = TensorType("float64", (None,))("x")
    value = np.array([2.0, 1.0, 2.0])
    np.testing.assert_array_equal(evaluate([grad(max_(x), x)], {x: value})[0], [1, 0, 1])
    np.testing.assert_array_equal(evaluate([grad(min_(x), x)], {x: -value})[0], [1, 0, 1])


@pytest.mark.parametrize("ours", [max_, min_, argmax, argmin])
def test_there_is_no_maximum_of_nothing(run, ours):
    with pytest.raises(ShapeError, match="of nothing"):
        ours(TensorType("float32", (0,))())
    with pytest.raises(ShapeError, match=r"no .*(max|min)"):
        run(ours, np.zeros((3, 0)))
    with pytest.raises(ShapeError):
        run(lambda v: ours(v, 1), np.zeros((0, 0)))
    assert run(lambda v: ours(v, 1), np.zeros((0, 3))).shape == (0,)
    assert run(lambda v: sum_(v, 1), np.zeros((2, 0))).tolist() == [0, 0]


@given(st.data())
@pytest.mark.parametrize("ours, numpys", [(argmax, np.argmax), (argmin, np.argmin)])
def test_arg_reductions(agree, ours, numpys, data):
    dtype = data.draw(st.sampled_from(DTYPES))
    x = data.draw(arrays(dtype, data.draw(shapes(max_size=5)), -2, 2, special=True))
    x = np.asarray(x if x.size else np.ones((1, 2), dtype))
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1)) if x.ndim else None
    keepdims = data.draw(st.booleans())
    agree(
        lambda v: ours(v, axis, keepdims),
        lambda v: numpys(v, axis=axis, keepdims=keepdims),
        x,
        dtype="int64",
    )


def test_arg_reductions_are_constant_for_gradients():
    x = TensorType("float64", (None,))("x")
    g = grad(sum_(x * argmax(x)), x)
    np.testing.assert_array_equal(evaluate([g], {x: [1.0, 3.0, 2.0]})[0], [1, 1, 1])
    with pytest.raises(TypeMismatchError):
        ArgReduce("argmax", 1)(x)
    with pytest.raises(TypeMismatchError):
        argmax(x, axis=1)


# ---- dtypes


def test_dtypes():
    def of(dtype):
        return TensorType(dtype, (None,))()

    assert sum_(of("int8")).type.dtype == prod(of("bool")).type.dtype == "int64"
    assert sum_(of("uint8")).type.dtype == "uint64"
    assert sum_(of("float32")).type.dtype == "float32"
    assert sum_(of("int8"), dtype="float64").type.dtype == "float64"
    assert mean(of("int32")).type.dtype == "float32"
    assert mean(of("float64")).type.dtype == "float64"
    assert max_(of("bool")).type.dtype == "bool"
    assert any_(of("float32")).type.dtype == "bool"
    wide = sum_(of("float32"), acc_dtype="float64")
    assert wide.type.dtype == "float32" and wide.owner.op.acc_dtype == "float64"
    with pytest.raises(TypeMismatchError, match="acc_dtype"):
        sum_(of("float32"), acc_dtype="int32")
    with pytest.raises(TypeMismatchError, match="booleans"):
        Reduce("any", (0,), "bool")(of("int8"))
    for axes in ((), (1,), (0, 0)):
        with pytest.raises(TypeMismatchError):
            Reduce("sum", axes, "float32")(of("float32"))


def test_accumulators_are_as_wide_as_asked(run):
    x = np.full(2**14, 1 + 2.0**-12, "float32")
    narrow = run(lambda v: sum_(v, dtype="float64"), x)
    assert narrow.dtype == "float64" and narrow == x.astype("float64").sum()
    assert run(lambda v: sum_(v, acc_dtype="float64"), x) == np.float32(narrow)
    small = np.full(3, 100, "int8")
    assert run(sum_, small) == 300 and run(lambda v: sum_(v, dtype="int8"), small) == 44


# ---- structure


def test_nothing_to_reduce_is_nothing():
    x = TensorType("float32", (None, 3))()
    assert sum_(x, axis=()) is x
    assert max_(TensorType("float32")()).owner is None
    assert sum_(x, 0, keepdims=True).type.shape == (1, 3)
    assert sum_(x, -1, keepdims=True).type.shape == (None, 1)


def test_the_product_of_a_shape_stays_an_expression_of_sizes():
    x = TensorType("float32", (None, 3))()
    assert prod(shape(x)).owner.op.name == "mul"
    assert prod(shape(x)).owner.inputs[0].owner.op == shape_of(x, 0).owner.op


@given(case=reductions(least=2), ddof=st.integers(0, 1))
def test_spread(agree, case, ddof):
    x, axis, keepdims = case
    if x.ndim == 0 or axis == ():
        return
    kept = {"ddof": ddof, "keepdims": keepdims}
    agree(lambda v: var(v, axis, **kept), lambda v: np.var(v, axis=axis, **kept), x)
    agree(lambda v: std(v, axis, **kept), lambda v: np.std(v, axis=axis, **kept), x)
