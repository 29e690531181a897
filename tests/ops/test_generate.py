import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symnet.autodiff import grad
from symnet.backends.reference import evaluate
from symnet.config import config
from symnet.errors import CompilerError, ShapeError, TypeMismatchError
from symnet.function import function
from symnet.graph import DTYPES, TensorType
from symnet.ops.conversion import as_variable
from symnet.ops.generate import (
    NAMES,
    REFERENCES,
    Generate,
    alloc,
    arange,
    eye,
    full,
    full_like,
    generator,
    ones,
    ones_like,
    tri,
    tril,
    triu,
    zeros,
    zeros_like,
)
from symnet.ops.reduction import sum_
from symnet.ops.scalar import Arg, Call
from symnet.ops.shape import as_sizes, shape, shape_of

X = TensorType("float32", (None, 3))("x")
SMALL = st.integers(-9, 9)


# ---- arange


@given(SMALL, SMALL, SMALL.filter(bool))
def test_arange_of_integers(agree, start, stop, step):
    def reference(*_):
        return np.arange(start, stop, step)

    agree(lambda: arange(start, stop, step), reference)
    agree(lambda a, b: arange(a, b, step), reference, start, stop)
    agree(lambda a, b, c: arange(a, b, c), reference, start, stop, step)
    agree(lambda b: arange(start, b, step), reference, stop)
    agree(lambda b: arange(b), lambda b: np.arange(stop), stop)
    assert arange(start, stop, step).type.shape == reference().shape


@pytest.mark.parametrize("mode", ["compiled", "reference"])
def test_a_step_of_zero_is_found_in_the_call(mode):
    step = TensorType("int64", ())("step")
    for by in (step, step * step - 1):
        f = function([step], arange(2, 5, by), mode=mode)
        assert f(2).tolist() == [2, *([4] if by is step else [])]
        with pytest.raises(ShapeError, match="step is 0"):
            f(0 if by is step else 1)


@given(st.integers(-20, 20), st.integers(-20, 20), st.sampled_from([-7, -3, 1, 2, 5, 10]))
def test_arange_of_decimal_fractions_has_numpys_length(agree, start, stop, step):
    bounds = start / 10, stop / 10, step / 10
    with config.change(floatX="float32"):
        agree(lambda: arange(*bounds), lambda: np.arange(*bounds), dtype="float32", atol=1e-6)


def test_arange_of_symbolic_floats(agree, run):
    bounds = [np.float64(v) for v in (0.5, 1.9, 0.25)]
    agree(arange, np.arange, *bounds, order=1)
    single = [np.float32(v) for v in (3, 1, -0.5)]
    agree(arange, np.arange, *single, dtype="float32")
    for bad in ((0.0, 1.0, 0.0), (0.0, np.inf, 1.0)):
        with pytest.raises(ShapeError, match="no length"):
            run(arange, *bad)
        with pytest.raises(ShapeError, match="no length"):
            arange(*bad)


def test_arange_dtypes_and_sizes():
    assert arange(5).type == TensorType("int64", (5,))
    assert arange(5.0).type == TensorType("float32", (5,))
    assert arange(5, dtype="float64").type == TensorType("float64", (5,))
    assert arange(np.int8(5)).type == TensorType("int64", (5,))
    n = shape_of(X, 0)
    assert arange(n).owner.inputs[0] is n  # a size is no negative number
    with pytest.raises(ShapeError, match="step is 0"):
        arange(0, 5, 0)
    with pytest.raises(TypeMismatchError):
        arange(X)
    with pytest.raises(TypeMismatchError):
        arange(shape(X))


def test_arange_in_another_dtype(agree):
    for dtype in ("int8", "float32", "uint16"):
        agree(lambda n, d=dtype: arange(n, dtype=d), lambda n, d=dtype: np.arange(n, dtype=d), 5)


# ---- matrices


@given(st.integers(0, 5), st.integers(0, 5), st.integers(-6, 6), st.sampled_from(DTYPES))
def test_eye_and_tri(agree, n, m, k, dtype):
    agree(lambda: eye(n, m, k, dtype), lambda: np.eye(n, m, k, dtype))
    agree(lambda a, b, c: eye(a, b, c), lambda a, b, c: np.eye(n, m, k), n, m, k, dtype="float32")
    agree(lambda a, b: tri(a, b, k, dtype), lambda a, b: np.tri(n, m, k, dtype), n, m)


@given(st.integers(-4, 4))
def test_triangles(agree, k):
    x = np.arange(1.0, 13.0).reshape(2, 3, 2)
    for mine, numpys in ((tril, np.tril), (triu, np.triu)):
        agree(lambda v, f=mine: f(v * v, k), lambda v, f=numpys: f(v * v, k), x, order=2)
        agree(lambda v, c, f=mine: f(v, c), lambda v, c, f=numpys: f(v, k), x, k)
        with pytest.raises(TypeMismatchError):
            mine(shape(X))


# ---- fills


@given(st.sampled_from(DTYPES), st.lists(st.integers(0, 3), max_size=3))
def test_fills(agree, dtype, sizes):
    agree(lambda: full(sizes, 3, dtype), lambda: np.full(sizes, 3, dtype))
    agree(lambda: zeros(sizes), lambda: np.zeros(sizes, "float32"))
    agree(lambda: ones(sizes, dtype), lambda: np.ones(sizes, dtype))
    x = np.zeros(sizes, dtype)
    agree(lambda v: full_like(v, 2), lambda v: np.full_like(v, 2), x)
    agree(ones_like, np.ones_like, x)
    agree(lambda v: zeros_like(v, "int8"), lambda v: np.zeros_like(v, "int8"), x)


def test_fills_with_symbolic_values(agree):
    agree(lambda v, n: full((2, n), v), lambda v, n: np.full((2, n), v), 1.5, 3, order=1)
    agree(lambda v, s: full(s, v, ndim=2), lambda v, s: np.full(s, v), 1.5, np.array([2, 0]))
    agree(lambda v: alloc(v, 2, 3), lambda v: np.broadcast_to(v, (2, 3)), np.arange(3.0))
    assert full((2,), 1).type.dtype == "int64"
    assert full((2,), 1.0).type.dtype == "float32"
    with pytest.raises(TypeMismatchError, match="broadcast_to"):
        full((2,), shape(X))


# ---- the kind


def test_a_generated_tensor_is_a_scalar_expression_of_places():
    node = eye(3, 4, 1, "float64").owner
    names = {name: Arg(k) for k, name in enumerate(NAMES)}
    shifted = Call("add", (names["i0"], names["x"]))
    assert node.op.tree == Call("cast_float64", (Call("eq", (names["i1"], shifted)),))
    assert node.op == Generate("eye", 2, "float64", node.op.expression, 1)
    assert not any(node.op.connected(node))


def test_linear_is_the_place_in_c_order():
    made = evaluate([PLACES(as_sizes((2, 3)), [as_variable(10)], "int64")])[0]
    np.testing.assert_array_equal(made, [[10, 11, 12], [13, 14, 15]])


NAME = f"places_of_{__name__.replace('.', '_')}"  # tests/backends/gpu has a copy of this module


@generator(NAME, "linear + x", 1)
def PLACES(sizes, x):
    return np.arange(np.prod(sizes)).reshape(sizes) + x


def test_generated_tensors_refuse(run):
    assert NAME in REFERENCES
    with pytest.raises(CompilerError, match="twice"):
        generator("eye", "x", 1)
    with pytest.raises(TypeMismatchError, match="takes 1 scalars"):
        Generate("eye", 1, "int64", "x", 1)(*as_sizes(3))
    with pytest.raises(ShapeError, match="negative"):
        eye(-1)
    with pytest.raises(ShapeError, match="negative"):
        run(eye, -1)
    with pytest.raises(ShapeError, match="negative"):
        run(lambda n: zeros((n,)), -1)


def test_nothing_flows_back_into_places():
    x = TensorType("float64", (None,))("x")
    g = grad(sum_(x * arange(shape_of(x, 0))), x)
    np.testing.assert_array_equal(evaluate([g], {x: [5.0, 5.0]})[0], [0, 1])
