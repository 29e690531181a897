import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symnet.autodiff import grad
from symnet.backends.reference import evaluate
from symnet.errors import IndexOutOfBoundsError, ShapeError, TypeMismatchError
from symnet.function import function
from symnet.graph import TensorType, clone_replace
from symnet.graph.variables import make_constant
from symnet.ops.generate import arange
from symnet.ops.indexing import (
    CheckedIndex,
    IncSubtensor,
    Put,
    Subtensor,
    Take,
    inc_subtensor,
    index,
    set_subtensor,
    take,
)
from symnet.ops.movement import dimshuffle
from symnet.ops.reduction import sum_
from symnet.ops.shape import shape_of
from symnet.testing.strategies import arrays

X = TensorType("float32", (None, 4))("x")


def numbers(*shape):
    return np.random.default_rng(len(shape)).uniform(-2, 2, shape)


# ---- keys as NumPy has them


@st.composite
def slices(draw, size):
    bound = st.none() | st.integers(-size - 2, size + 2)
    return slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, -1, -2, 3])))


@st.composite
def keys(draw):
    """An array, and a key for it of single indices, slices, arrays, None and Ellipsis."""
    x = draw(arrays(shape=draw(st.lists(st.sampled_from([1, 2, 3, 5]), max_size=4)), layouts=True))
    x = x.astype("float64")
    block = draw(st.sampled_from([(), (1,), (3,), (2, 1), (0,), (2, 3)]))
    key = []
    for size in x.shape[: draw(st.integers(0, x.ndim))]:
        kind = draw(st.sampled_from(["index", "slice", "slice", "array", "mask"]))
        if kind == "index":
            key.append(draw(st.integers(-size, size - 1)))
        elif kind == "slice":
            key.append(draw(slices(size)))
        elif kind == "mask" and not any(isinstance(k, np.ndarray) for k in key):
            key.append(np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size))))
            block = (int(key[-1].sum()),)
        else:
            shape = draw(st.sampled_from([block, block[1:]])) or (1,)
            key.append(draw(arrays("int64", shape, -size, size - 1)))
    if len(key) < x.ndim and draw(st.booleans()):
        key.insert(draw(st.integers(0, len(key))), Ellipsis)
        if key[-1] is not Ellipsis:  # what stood after the dots now means later dimensions
            key = [k for k in key if not isinstance(k, (int, np.ndarray))]
    for _ in range(draw(st.integers(0, 2))):
        key.insert(draw(st.integers(0, len(key))), None)
    return x, tuple(key)


@given(keys())
def test_reading_is_numpys(agree, case):
    x, key = case
    agree(lambda v: index(v, key), lambda v: v[key], x)


@given(keys(), st.booleans())
def test_writing_is_numpys(agree, case, scalar):
    x, key = case
    y = np.float64(2.5) if scalar else numbers(*x[key].shape)

    def written(v, w):
        v = v.copy()
        v[key] = w
        return v

    def added(v, w):
        v = v.copy()
        np.add.at(v, key, w)
        return v

    agree(lambda v, w: set_subtensor(index(v, key), w), written, x, y)
    agree(lambda v, w: inc_subtensor(index(v, key), w), added, x, y)


S = slice(None)
ROWS, COLUMNS = np.array([0, 2, 0, -1]), np.array([[1], [1], [-3]])
KEYS = [
    (slice(1, None), 0),
    (slice(None, None, -2), slice(-3, 3)),
    (None, 1, ...),
    (ROWS,),
    (S, ROWS, 1),
    (ROWS, S, COLUMNS[:, 0][:1]),
    (COLUMNS, ROWS),
    (slice(0, 2), COLUMNS, None),
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_second_derivatives(agree, key):
    x = numbers(3, 4, 2)
    agree(lambda v: index(v * v, key), lambda v: (v * v)[key], x, order=2)


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("write", [set_subtensor, inc_subtensor])
def test_second_derivatives_of_writing(agree, key, write):
    x = numbers(3, 4, 2)
    y = numbers(*x[key].shape)

    def reference(v, w):
        v = v.copy()
        if write is set_subtensor:
            v[key] = w * w
        else:
            np.add.at(v, key, w * w)
        return v * v

    def symbolic(v, w):
        new = write(index(v, key), w * w)
        return new * new

    agree(symbolic, reference, x, y, order=2)


# ---- symbolic keys


def test_symbolic_bounds_and_indices(agree):
    x = numbers(5, 4)
    for i, n in ((1, 3), (-4, -1), (0, 9), (3, 1), (-9, 2)):
        agree(lambda v, a, b: index(v, slice(a, b)), lambda v, a, b: v[a:b], x, i, n)
        agree(
            lambda v, a, b: index(v, (slice(b, a, -2), slice(a, None))),
            lambda v, a, b: v[b:a:-2, a:],
            x, i, n,
        )  # fmt: skip
    for i in (0, 4, -5):
        agree(lambda v, a: index(v, a), lambda v, a: v[a], x, np.array(i, "int8"), order=1)
    batch = np.array(1), np.array(2)
    agree(
        lambda v, k, b: index(v, slice(k * b, (k + 1) * b)),
        lambda v, k, b: v[k * b : (k + 1) * b],
        x, *batch, order=1,
    )  # fmt: skip


@given(st.sampled_from(["int8", "int32", "int64", "uint8", "uint64"]))
def test_symbolic_arrays(agree, dtype):
    x, rows = numbers(5, 4), np.array([0, 4, 4, 1]).astype(dtype)
    agree(lambda v, r: index(v, r), lambda v, r: v[r], x, rows, order=1)
    agree(lambda v, r: take(v, r, axis=1), lambda v, r: v[:, r], x, rows % 4)
    agree(lambda v, r: take(v, r), lambda v, r: v.ravel()[r], x, rows)
    agree(
        lambda v, r: index(v, (arange(shape_of(r, 0)), r)),
        lambda v, r: v[np.arange(4), r],
        x, rows % 4, order=2,
    )  # fmt: skip


def test_an_index_array_that_counts_along_its_own_dimension_needs_no_check():
    rows = arange(shape_of(X, 0))
    assert index(X, (rows, rows)).owner.inputs[1] is rows
    assert isinstance(index(X, (rows, rows)).owner.inputs[2].owner.op, CheckedIndex)
    fixed = TensorType("float32", (3,))()
    assert index(fixed, arange(3)).owner.inputs[1].owner.op.name == "arange"


def test_known_indices_are_checked_and_wrapped_when_built():
    taken = index(X, (S, [0, -1]))
    np.testing.assert_array_equal(taken.owner.inputs[1].data, [0, 3])
    with pytest.raises(IndexOutOfBoundsError, match="index 4 at"):
        index(X, (S, [0, 4]))
    with pytest.raises(IndexOutOfBoundsError, match=r"-5 .*dimension 1 of x"):
        index(X, (S, -5))


def test_static_shapes():
    assert index(X, 0).type.shape == (4,)
    assert index(X, (S, slice(1, 3))).type.shape == (None, 2)
    assert index(X, (S, slice(None, None, -1))).type.shape == (None, 4)
    assert index(X, (S, [1, 2, 3])).type.shape == (None, 3)
    assert index(X, (None, S, slice(9, 3))).type.shape == (1, None, 0)


# ---- what is refused


@pytest.mark.parametrize(
    "key, why",
    [
        (1.0, "integers"),
        ([0.5, 1.0], "integers"),
        (TensorType("float32")("i"), "integers"),
        (True, "mask"),
        (TensorType("bool", (None,))("mask"), "where"),
        ((0, 0, 0), "too few"),
        ((..., ...), "too few"),
        (slice(None, None, 0), "not 0"),
        (slice(None, None, TensorType("int64")("k")), "constant"),
        (slice(0.5), "whole number"),
        ("a", "numeric"),
    ],
    ids=str,
)
def test_keys_that_are_refused(key, why):
    with pytest.raises(TypeMismatchError, match=why):
        index(X, key)


@pytest.mark.parametrize("bad", [3, -4])
def test_bounds_are_checked_when_run(run, bad):
    x = np.zeros((3, 3))
    for array in (np.array(bad), np.array([0, bad])):
        for read in (lambda v, i: index(v, i), lambda v, i: index(v, (S, i))):
            with pytest.raises(IndexOutOfBoundsError):
                run(read, x, array)
            with pytest.raises(IndexOutOfBoundsError):
                run(lambda v, i, read=read: inc_subtensor(read(v, i), 1.0), x, array)
    with pytest.raises(IndexOutOfBoundsError, match="index 255 at"):
        run(lambda v, i: index(v, i), x, np.array([255], "uint8"))
    with pytest.raises(IndexOutOfBoundsError):
        run(lambda v, i: index(v, i), np.zeros((0, 3)), np.array([0]))


def test_the_first_rows_which_must_be_there(agree):
    first, x = (("first", None, "in", 1),), numbers(3, 4)
    for n in (0, 2, 3):
        agree(lambda v, k: Subtensor(first)(v, k), lambda v, k: v[:k], x, np.array(n))
        assert Subtensor(first)(X, make_constant(n)).type.shape == (n, 4)
    part = Subtensor(first)(X, TensorType("int64")("k"))
    gradient = grad(sum_(part**2), X)
    names = {v.name: v for v in (X, *part.owner.inputs[1:])}
    (got,) = evaluate([gradient], {X: x.astype("float32"), names["k"]: 2})
    np.testing.assert_allclose(got, np.concatenate([2 * x[:2], np.zeros((1, 4))]), rtol=1e-6)
    for mode in ("compiled", "reference"):
        for output in (part, gradient):
            f = function([X, names["k"]], output, mode=mode)
            with pytest.raises(IndexOutOfBoundsError):
                f(x.astype("float32"), 4)
    with pytest.raises(IndexOutOfBoundsError):
        Subtensor(first)(TensorType("float32", (3,))("v"), make_constant(4))


def test_indices_of_different_shapes(run):
    with pytest.raises(ShapeError, match="indices"):
        run(lambda v, i, j: index(v, (i, j)), np.zeros((3, 3)), np.array([0, 1]), np.array([1]))
    with pytest.raises(ShapeError, match="do not fit"):
        index(X, ([0, 1], [0, 1, 2]))


def test_ops_refuse_what_they_are_not_made_for():
    scalar, vector = make_constant(1), make_constant([0, 1])
    with pytest.raises(TypeMismatchError):
        Subtensor((("index", "in"),))(X)
    with pytest.raises(TypeMismatchError):
        Subtensor((("index", "in"),))(X, vector)
    with pytest.raises(TypeMismatchError):
        IncSubtensor((("index", "in"),), True)(X, X, scalar)
    for axes, indices in (((0,), ()), ((2,), (vector,)), ((1, 0), (vector, vector))):
        with pytest.raises(TypeMismatchError):
            Take(axes)(X, *indices)
    with pytest.raises(TypeMismatchError):
        Take((0,))(X, make_constant([0], "int32"))
    with pytest.raises(ShapeError):
        Put((0,), True)(X, make_constant(np.zeros((3, 4), "float32")), vector)
    with pytest.raises(TypeMismatchError):
        CheckedIndex()(make_constant(1.0), scalar)


# ---- writing


def test_duplicates(run):
    x, i = np.zeros(3), np.array([1, 1, 2, 1])
    y = np.array([1.0, 2.0, 3.0, 4.0])
    assert run(lambda v, k, w: inc_subtensor(index(v, k), w), x, i, y).tolist() == [0, 7, 3]
    assert run(lambda v, k, w: set_subtensor(index(v, k), w), x, i, y).tolist() == [0, 4, 3]


def test_the_last_of_duplicates_wins_in_c_order_whatever_the_memory(run):
    places = np.asfortranarray(np.zeros((2, 3), "int64"))
    y = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    node = Put((0,), True)(*(make_constant(v) for v in (np.zeros(1), y, places))).owner
    assert node.op.perform(node, [np.zeros(1), y, places])[0] == 5


def test_what_is_overwritten_by_a_duplicate_has_no_gradient(agree):
    i = np.array([1, 1, 2, 1])

    def written(v, w):
        v = v.copy()
        v[i] = w
        return v

    for symbolic in (lambda v, w: set_subtensor(index(v, i), w),):
        agree(symbolic, written, numbers(3), numbers(4), order=1)

    def with_symbolic(v, w, k):
        return set_subtensor(index(v, k), w)

    agree(with_symbolic, lambda v, w, k: written(v, w), numbers(3), numbers(4), i, order=2)


def test_values_broadcast_to_the_part(agree):
    x, row, column = numbers(3, 4), numbers(2), numbers(3, 1)[:, 0]

    def added(v, w):
        v = v.copy()
        v[:, 1:3] += w
        return v

    part = (S, slice(1, 3))
    agree(lambda v, w: inc_subtensor(index(v, part), w), added, x, row, order=1)
    agree(
        lambda v, w: inc_subtensor(index(v, part), dimshuffle(w, (0, "x"))),
        lambda v, w: added(v, w[:, None]),
        x, column, order=1,
    )  # fmt: skip
    agree(lambda v: inc_subtensor(index(v, part), 1), lambda v: added(v, 1), x)


def test_run_time_ones_do_not_broadcast_into_a_part(run):
    with pytest.raises(ShapeError, match="1"):
        run(lambda v, w: set_subtensor(index(v, slice(2)), w), np.zeros(3), np.zeros(1))
    with pytest.raises(ShapeError):
        run(lambda v, w: set_subtensor(index(v, [0, 1]), w), np.zeros(3), np.zeros(3))
    with pytest.raises(ShapeError, match="does not fit a part"):
        set_subtensor(index(X, 0), np.zeros(3, "float32"))


def test_dtypes_of_what_is_written():
    whole = TensorType("int32", (None,))("n")
    for part, value in (
        (index(X, 0), 1),
        (index(X, 0), 0.1),
        (index(X, 0), [1, 2, 3, 4]),
        (index(X, 0), np.zeros(4, "int64")),
        (index(X, 0), True),
        (index(whole, 0), 7),
        (index(whole, 0), np.int8(1)),
    ):
        assert set_subtensor(part, value).type == part.owner.inputs[0].type
    for part, value in (
        (index(X, 0), np.zeros(4)),
        (index(X, 0), TensorType("float64")()),
        (index(whole, 0), 1.5),
        (index(whole, 0), np.int64(1)),
        (index(X, 0), TensorType("float32", (None, None))()),
    ):
        with pytest.raises(TypeMismatchError):
            set_subtensor(part, value)


def test_only_an_indexed_variable_can_be_set():
    for part in (X, X * 2, sum_(X), dimshuffle(X, (1, 0))):
        with pytest.raises(TypeMismatchError, match=r"set_subtensor\(x\[...\], y\)"):
            set_subtensor(part, 0)
    part = index(X, (slice(1, None), [0, 1]))
    other = TensorType("float32", (None, 4))()
    (copy,) = clone_replace([part], {X: other})
    with pytest.raises(TypeMismatchError, match="copy"):
        set_subtensor(copy, 0)


def test_two_pairs_of_brackets_write_into_the_first_part(run):
    """`set_subtensor(x[1:][i], y)` is a new x[1:], as in Theano; with one pair it is a new x."""
    x, i = np.arange(4.0), np.array([0, 2])
    assert run(
        lambda v, k: set_subtensor(index(index(v, slice(1, None)), k), 9.0), x, i
    ).tolist() == [9, 2, 9]
    assert run(lambda v: set_subtensor(index(v, S), 9.0), x).tolist() == [9] * 4
    transposed = run(
        lambda v: inc_subtensor(dimshuffle(index(v, slice(1, None)), ("x", 0)), 1.0), x
    )
    assert transposed.tolist() == [0, 2, 3, 4]


def test_integers_are_indexed_without_gradient():
    n = TensorType("int64", (None,))("n")
    x = TensorType("float64", (None,))("x")
    g = grad(sum_(x * index(n, slice(1, None))), x)
    np.testing.assert_array_equal(evaluate([g], {x: [1.0, 1.0], n: [7, 8, 9]})[0], [8, 9])


@given(arrays("bool", (2, 3)))
def test_constant_masks_of_several_dimensions(agree, mask):
    x = numbers(2, 3, 4)
    agree(lambda v: index(v, mask), lambda v: v[mask], x)
    agree(lambda v: index(v.T, (1, mask.T)), lambda v: v.T[1, mask.T], x)
