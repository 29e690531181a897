import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph import TensorType
from symnet.ops.movement import (
    BroadcastTo,
    Reshape,
    as_axes,
    as_axis,
    broadcast_to,
    dimshuffle,
    flatten,
    reshape,
)
from symnet.ops.shape import as_sizes, shape, shape_of, static_value
from symnet.testing.strategies import arrays, shapes

X = TensorType("float32", (None, 4, 5))("x")


# ---- reshape


@st.composite
def reshapes(draw):
    """An array and sizes for its elements, perhaps with a -1."""
    factors = draw(st.lists(st.sampled_from([0, 1, 2, 3, 5]), max_size=4))
    order = draw(st.permutations(factors))
    cut = draw(st.integers(0, len(order)))
    sizes = [math.prod(order[:cut]), *order[cut:]]
    if draw(st.booleans()) and math.prod(sizes):
        sizes[draw(st.integers(0, len(sizes) - 1))] = -1
    return draw(arrays(shape=tuple(factors), layouts=True)), tuple(sizes)


@given(reshapes())
def test_reshape_is_numpys(agree, case):
    array, sizes = case
    array = array.astype("float64")
    agree(lambda v: reshape(v, sizes), lambda v: v.reshape(sizes), array)


def test_reshape_by_symbolic_sizes(agree):
    x, n = np.arange(24.0).reshape(2, 3, 4), np.array(6)
    agree(lambda v, k: reshape(v, (k, 4)), lambda v, k: v.reshape(k, 4), x, n)
    agree(lambda v, k: reshape(v, (-1, k)), lambda v, k: v.reshape(-1, k), x, n, order=2)
    agree(lambda v, s: reshape(v, s, ndim=2), lambda v, s: v.reshape(s), x, np.array([4, 6]))
    agree(lambda v: reshape(v, (shape_of(v, 1), -1)), lambda v: v.reshape(3, 8), x)


def test_an_empty_batch_keeps_the_sizes_it_holds_none_of(agree):
    x = np.zeros((0, 3, 4))
    agree(lambda v: reshape(v, (shape_of(v, 0), -1)), lambda v: np.zeros((0, 12)), x)
    agree(lambda v: flatten(v, 2), lambda v: np.zeros((0, 12)), x)
    agree(lambda v: reshape(v, (shape_of(v, 0), -1, shape_of(v, 2))), lambda v: v, x)


def test_what_minus_one_stands_for_is_known_early():
    assert reshape(X, (shape_of(X, 0), -1)).type.shape == (None, 20)
    assert reshape(X, (shape_of(X, 0), -1, 2)).type.shape == (None, 10, 2)
    assert reshape(X, (-1, 5)).type.shape == (None, 5)
    assert flatten(X, 2).type.shape == (None, 20)
    assert reshape(TensorType("bool", (3, 4))(), (-1, 2)).type.shape == (6, 2)


def test_reshape_to_the_same_is_nothing():
    assert reshape(X, shape(X)) is X
    assert reshape(X, (shape_of(X, 0), 4, -1)) is X
    fixed = TensorType("float32", (2, 3))()
    assert reshape(fixed, (2, 3)) is fixed
    assert flatten(X, 3) is X


def test_reshape_refuses_when_built():
    fixed = TensorType("float32", (2, 6))("fixed")
    with pytest.raises(ShapeError, match=r"fixed \(float32\(2, 6\)\)"):
        reshape(fixed, (5, -1))
    with pytest.raises(ShapeError, match="12 elements before, 10"):
        reshape(fixed, (5, 2))
    for sizes in ((-1, -1), (-2, 6)):
        with pytest.raises(ShapeError):
            reshape(fixed, sizes)
    with pytest.raises(ShapeError):
        reshape(X, (shape_of(X, 0), 3, -1))  # 20 is no multiple of 3
    with pytest.raises(TypeMismatchError):
        Reshape(2)(fixed, *as_sizes((12,)))


def test_reshape_refuses_when_run(run):
    x = np.zeros((2, 6))
    for sizes in ((5, 2), (5, -1), (-3, -4), (0, -1)):
        with pytest.raises(ShapeError):
            run(lambda v, a, b: reshape(v, (a, b)), x, *sizes)
        with pytest.raises(ShapeError):
            run(lambda v, sizes=sizes: reshape(v, sizes), x)


@given(arrays(shape=(2, 3, 2)), st.integers(1, 3))
def test_flatten_has_a_second_derivative(agree, x, ndim):
    agree(
        lambda v: flatten(v * v, ndim),
        lambda v: (v * v).reshape((*v.shape[: ndim - 1], -1)),
        x,
        order=2,
    )


def test_flatten_refuses():
    for ndim in (0, 4):
        with pytest.raises(TypeMismatchError):
            flatten(X, ndim)
    assert flatten(TensorType("float32")()).type.shape == (1,)


# ---- broadcast_to


@given(st.data())
def test_broadcast_to_is_numpys(agree, data):
    full = data.draw(shapes(max_ndim=3, max_size=5))
    kept = full[data.draw(st.integers(0, len(full))) :]
    repeated = [data.draw(st.booleans()) for _ in kept]
    x = data.draw(arrays(shape=tuple(s for s, r in zip(kept, repeated) if not r)))

    def with_ones(v):
        axes = iter(range(x.ndim))
        return dimshuffle(v, ["x" if r else next(axes) for r in repeated])

    agree(
        lambda v: broadcast_to(with_ones(v), full),
        lambda v: np.broadcast_to(v.reshape([1 if r else s for s, r in zip(kept, repeated)]), full),
        x,
        order=1,
    )


def test_only_static_ones_broadcast(agree, run):
    agree(
        lambda v, n: broadcast_to(dimshuffle(v, (0, "x")), (3, n)),
        lambda v, n: np.broadcast_to(v[:, None], (3, n)),
        np.arange(3.0),
        4,
        order=2,
    )
    with pytest.raises(ShapeError, match=r"\(1, 2\)"):
        run(lambda v: broadcast_to(v, (3, 2)), np.zeros((1, 2)))
    with pytest.raises(ShapeError, match="negative"):
        run(lambda v, n: broadcast_to(v, (n,)), 1.0, -1)


def test_broadcast_to_knows_its_sizes():
    row = TensorType("float32", (1, None))()
    assert broadcast_to(row, (3, 4)).type.shape == (3, 4)
    assert broadcast_to(row, (3, shape_of(row, 1))).type.shape == (3, None)
    assert broadcast_to(row, shape(row)) is row
    assert broadcast_to(1.0, (2, 3)).type.shape == (2, 3)
    with pytest.raises(ShapeError, match="dimension 0"):
        broadcast_to(TensorType("float32", (2,))(), (3,))
    with pytest.raises(ShapeError, match="1 dimensions"):
        broadcast_to(row, (3,))
    with pytest.raises(TypeMismatchError):
        BroadcastTo(1)(row, *as_sizes((3,)))


# ---- dimshuffle


@given(st.data())
def test_dimshuffle_is_transpose_and_expand_dims(agree, data):
    x = data.draw(arrays(shape=data.draw(shapes(max_ndim=3, max_size=5)), layouts=True))
    x = x.astype("float64")
    order = list(data.draw(st.permutations(range(x.ndim))))
    for _ in range(data.draw(st.integers(0, 2))):
        order.insert(data.draw(st.integers(0, len(order))), "x")

    def reference(v):
        v = v.transpose([k for k in order if k != "x"])
        return v.reshape([1 if k == "x" else x.shape[k] for k in order])

    agree(lambda v: dimshuffle(v, order), reference, x, order=1)


def test_dimshuffle_drops_only_static_ones(agree):
    column = TensorType("float32", (None, 1))("c")
    assert dimshuffle(column, (0,)).type.shape == (None,)
    with pytest.raises(ShapeError, match="drops dimension 0"):
        dimshuffle(column, (1,))
    for order in ((0, 0), (2,), (0, 1, -1)):
        with pytest.raises(TypeMismatchError):
            dimshuffle(column, order)
    assert dimshuffle(column, (0, 1)) is column


# ---- axes


def test_axes():
    assert as_axes(None, 3) == (0, 1, 2)
    assert as_axes(-1, 3) == as_axes([2], 3) == (2,)
    assert as_axes((2, 0), 3) == (0, 2)
    assert as_axis(np.int64(-3), 3) == 0
    assert static_value(shape_of(X, as_axis(-2, 3))) == 4
    for bad in (3, -4, 1.0, True, "0", (0, 0), (0, -3)):
        with pytest.raises(TypeMismatchError):
            as_axes(bad, 3)
