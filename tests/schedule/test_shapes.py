"""Sizes as expressions: what the shape program computes before a call."""

import functools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet.errors import IndexOutOfBoundsError, ShapeError
from symnet.schedule.shapes import NotASize, Shapes

i, j = T.lscalars("i", "j")
x = T.vector("x")


@functools.cache
def arithmetic():
    """Functions of integers that sizes may be made of, computed by kernels and as sizes."""
    b, c = T.cast(i, "bool"), T.lt(i, j)
    numbers = [
        i + j, i - 3 * j, i // j, i % j, -i, T.minimum(i, j), T.maximum(i, 4), T.switch(c, i, j),
        T.cast(b, "int64"), T.cast(T.eq(b, c), "int64"), T.cast(T.and_(b, c), "int64"),
        T.cast(T.or_(T.invert(b), T.ge(i, j)), "int64"), T.cast(b, "int64") + T.cast(c, "int64"),
        T.cast(T.neq(i, j), "int64") * T.cast(T.gt(i, 2), "int64"), T.cast(T.le(i, j), "int64"),
    ]  # fmt: skip
    lengths = [T.zeros((T.maximum(n, 0) % 50,)) for n in numbers]
    return [
        symnet.function([i, j], numbers + lengths, mode=mode)
        for mode in (symnet.Mode(), symnet.Mode(rewrite="none"), "reference")
    ]


BIG = st.integers(-(2**62), 2**62)


@settings(max_examples=60, deadline=None)
@given(a=st.integers(-9, 9) | BIG, b=st.integers(-9, 9) | BIG)
@example(a=5, b=0)
@example(a=-7, b=2)
@example(a=-(2**62), b=-1)
def test_integers_as_sizes_are_the_integers_of_kernels(a, b):
    rewritten, plain, reference = arithmetic()
    wanted = [v.tolist() for v in reference(a, b)]
    assert [v.tolist() for v in rewritten(a, b)] == wanted
    assert [v.tolist() for v in plain(a, b)] == wanted


def test_constants_beyond_int64_wrap_around():
    far = T.constant(2**62)
    f = symnet.function([i], [far * 4 + i, i * far * 4 + 1], mode=symnet.Mode(rewrite="none"))
    assert [int(v) for v in f(3)] == [3, 1]


def test_equal_sizes_become_one_expression():
    a, b = T.matrices("a", "b")
    total = (a + b) * T.dot(a, b.T).sum()
    shapes = Shapes(list(symnet.graph.toposort([total])), [a, b])
    assert shapes.of[a] == shapes.of[b] == shapes.of[total]


def test_a_size_that_kernels_compute_is_no_size():
    n = T.cast(T.exp(x).sum(), "int64")
    with pytest.raises(NotASize) as caught:
        Shapes(symnet.graph.toposort([T.zeros((n,))]), [x])
    assert caught.value.variable is n


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint16", "int32", "uint32", "int64"])
def test_scalars_of_every_integer_dtype_are_sizes(dtype):
    n = T.scalar("n", dtype=dtype)
    f = symnet.function([x, n], [x[: T.cast(n, "int64")], T.zeros((n,))])
    cut, zeros = f(np.arange(9, dtype="float32"), np.array(4, dtype))
    assert cut.shape == zeros.shape == (4,)


def test_checks_fail_before_anything_runs():
    total = symnet.shared(np.float32(0))
    f = symnet.function([x, i], x[i], updates=[(total, total + x.sum())])
    assert f([1.0, 2.0], -1) == 2
    with pytest.raises(IndexOutOfBoundsError):
        f([1.0, 2.0], 2)
    g = symnet.function([x, i], x.reshape((i, -1)), updates=[(total, total + 1)])
    with pytest.raises(ShapeError):
        g([1.0, 2.0, 3.0], 2)
    assert total.get_value() == 3


def test_a_uint64_index_beyond_int64_does_not_count_from_the_end():
    at = T.tensor("uint64", shape=(None,))
    f = symnet.function([x, at], x[at])
    assert f(np.arange(4, dtype="float32"), np.array([3, 0], "uint64")).tolist() == [3, 0]
    with pytest.raises(IndexOutOfBoundsError):
        f(np.arange(4, dtype="float32"), np.array([2**64 - 1], "uint64"))
