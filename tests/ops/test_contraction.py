import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph import DTYPES, TensorType
from symnet.graph.types import compute_dtype
from symnet.graph.variables import make_constant
from symnet.ops.contraction import (
    BatchedDot,
    Dot,
    Gemm,
    batched_dot,
    dot,
    matmul,
    outer,
    tensordot,
)
from symnet.ops.conversion import common_dtype
from symnet.ops.movement import dimshuffle
from symnet.testing.strategies import arrays

SIZE = st.sampled_from([0, 1, 2, 3, 5])
CLOSE = {"rtol": 1e-9, "atol": 1e-9}


def numbers(*shape):
    return np.random.default_rng(len(shape)).uniform(-2, 2, shape)


@st.composite
def factors(draw, max_ndim):
    """Shapes that np.dot takes."""
    inner = draw(SIZE)
    left = [*draw(st.lists(SIZE, max_size=max_ndim - 1)), inner]
    right = draw(st.lists(SIZE, max_size=max_ndim - 1))
    right.insert(max(0, len(right) - 1), inner)
    return draw(arrays(shape=left, layouts=True)), draw(arrays(shape=right, layouts=True))


@given(factors(3))
def test_dot_is_numpys(agree, pair):
    a, b = (np.array(v, "float64") for v in pair)
    agree(dot, np.dot, a, b, **CLOSE)


@pytest.mark.parametrize(
    "left, right",
    [
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 2)),
        ((2, 3), (3, 2)),
        ((2, 2, 3), (3, 2)),
        ((), (2,)),
    ],
)
def test_dot_has_second_derivatives(agree, left, right):
    agree(dot, np.dot, numbers(*left), numbers(*right), order=2, **CLOSE)


@given(st.data())
def test_matmul_is_numpys(agree, data):
    m, k, n = (data.draw(SIZE) for _ in range(3))
    batch = data.draw(st.lists(SIZE, max_size=2))
    a = data.draw(st.sampled_from([(k,), (m, k), (*batch, m, k)]))
    b = data.draw(st.sampled_from([(k,), (k, n), (*batch, k, n)]))
    agree(matmul, np.matmul, data.draw(arrays(shape=a)), data.draw(arrays(shape=b)), **CLOSE)


@pytest.mark.parametrize("ones", [(0,), (1,), (0, 1)])
def test_batches_broadcast_where_statically_one(agree, ones):
    a, b = numbers(3, 2, 4), numbers(5, 3, 4, 2)
    kept = tuple(k for k in (0, 1) if k not in ones)

    def thin(v):
        return v[tuple(0 if k in ones else slice(None) for k in (0, 1))]

    def symbolic(v, w):
        order = iter(range(len(kept)))
        put_back = ["x" if k in ones else next(order) for k in (0, 1)]
        return matmul(v, dimshuffle(w, [*put_back, len(kept), len(kept) + 1]))

    def reference(v, w):
        return np.matmul(v, np.expand_dims(w, ones))

    agree(symbolic, reference, a, thin(b), order=1, **CLOSE)


def test_run_time_ones_do_not_broadcast(run):
    with pytest.raises(ShapeError, match="1 and 3"):
        run(matmul, np.zeros((1, 2, 4)), np.zeros((3, 4, 2)))


@given(st.data())
def test_tensordot_is_numpys(agree, data):
    a = data.draw(arrays(shape=data.draw(st.lists(SIZE, max_size=3))))
    pairs = data.draw(st.integers(0, a.ndim))
    over_a = data.draw(st.permutations(range(a.ndim)))[:pairs]
    free = data.draw(st.lists(SIZE, max_size=2))
    order = data.draw(st.permutations(range(pairs + len(free))))
    sizes = [a.shape[k] for k in over_a] + free
    b = data.draw(arrays(shape=[sizes[k] for k in order]))
    axes = [list(over_a), [order.index(k) for k in range(pairs)]]
    agree(lambda v, w: tensordot(v, w, axes), lambda v, w: np.tensordot(v, w, axes), a, b, **CLOSE)


def test_tensordot_refuses():
    a, b = TensorType("float32", (2, 3))("a"), TensorType("float32", (3, 2))("b")
    with pytest.raises(ShapeError, match=r"sizes 2 and 3 .*a \(float32\(2, 3\)\)"):
        tensordot(a, b, [[0], [0]])
    for axes in (3, -1, [[0], [0, 1]], [[0, 0], [1, 1]], [[2], [0]]):
        with pytest.raises(TypeMismatchError):
            tensordot(a, b, axes)


@given(st.data())
def test_batched_dot(agree, data):
    n, i, j, k = (data.draw(SIZE) for _ in range(4))
    a = data.draw(arrays(shape=data.draw(st.sampled_from([(n,), (n, j), (n, i, j)]))))
    right = [(n, j), (n, j, k)] if a.ndim > 1 else [(n,), (n, k), (n, j, k)]
    b = data.draw(arrays(shape=data.draw(st.sampled_from(right))))

    def reference(v, w):
        parts = [np.dot(v[t], w[t]) for t in range(n)]
        shape = np.dot(np.zeros(v.shape[1:]), np.zeros(w.shape[1:])).shape
        return np.array(parts).reshape((n, *shape))

    agree(batched_dot, reference, a, b, **CLOSE)


def test_batched_dot_has_second_derivatives(agree):
    agree(batched_dot, np.matmul, numbers(2, 3, 4), numbers(2, 4, 2), order=2, **CLOSE)
    agree(outer, np.outer, numbers(2), numbers(3), order=2)
    agree(outer, np.outer, numbers(2, 2), numbers(3))
    with pytest.raises(TypeMismatchError):
        batched_dot(np.zeros(()), np.zeros(3))
    with pytest.raises(ShapeError, match="sizes 2 and 3"):
        batched_dot(np.zeros((2, 1)), np.zeros((3, 1)))


@pytest.mark.parametrize("left", DTYPES)
@pytest.mark.parametrize("right", ["bool", "uint8", "int64", "float32", "float64"])
def test_dtypes_meet_as_in_arithmetic(agree, left, right):
    meet = common_dtype([left, right])
    meet = "int64" if meet == "bool" else meet
    a, b = np.array([[1, 0], [3, 1]]).astype(left), np.array([[1, 1], [0, 2]]).astype(right)
    inner = compute_dtype(meet)
    agree(matmul, lambda v, w: (v.astype(inner) @ w.astype(inner)).astype(meet), a, b)


def test_errors_when_built_name_both_operands():
    a, b = TensorType("float32", (None, 3))("a"), TensorType("float32", (4, 2))("b")
    for function in (dot, matmul):
        with pytest.raises(ShapeError, match=r"a \(float32\(\?, 3\)\).*b \(float32\(4, 2\)\)"):
            function(a, b)
    with pytest.raises(TypeMismatchError, match="use \\*"):
        matmul(a, 2.0)
    with pytest.raises(TypeMismatchError, match="of one numeric dtype"):
        Dot()(a, TensorType("float64", (3, 2))())
    with pytest.raises(TypeMismatchError):
        BatchedDot()(a, b)
    with pytest.raises(ShapeError, match="batch sizes 2 and 3"):
        matmul(np.zeros((2, 1, 1)), np.zeros((3, 1, 1)))


def test_errors_when_run_name_the_shapes(run):
    for function, shapes in (
        (dot, [(2, 3), (4, 2)]),
        (dot, [(3,), (2,)]),
        (matmul, [(2, 3), (2,)]),
    ):
        with pytest.raises(ShapeError, match="inner sizes of dot"):
            run(function, *map(np.zeros, shapes))


def test_gemm(agree):
    c, a, b = numbers(2, 3), numbers(2, 4), numbers(4, 3)
    agree(
        lambda c, s, a, b, t: Gemm()(c, s, a, b, t),
        lambda c, s, a, b, t: t * c + s * (a @ b),
        c, 0.5, a, b, -2.0,
    )  # fmt: skip


def test_gemm_does_not_read_what_it_scales_by_zero(run):
    bad = np.full((2, 2), np.nan)
    ones = np.ones((2, 2))

    def gemm(c, a, alpha, beta):
        return Gemm()(c, make_constant(alpha), a, a, make_constant(beta))

    np.testing.assert_array_equal(run(lambda c, a: gemm(c, a, 1.0, 0.0), bad, ones), 2)
    np.testing.assert_array_equal(run(lambda c, a: gemm(c, a, 0.0, 3.0), ones, bad), 3)
    with pytest.raises(ShapeError):
        run(lambda c, a: gemm(c, a, 1.0, 1.0), np.ones((1, 2)), ones)
    with pytest.raises(TypeMismatchError, match="alpha"):
        Gemm()(*(make_constant(v) for v in (ones, np.float32(1), ones, ones, np.float32(1))))
