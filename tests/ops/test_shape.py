import numpy as np
import pytest

from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph import Constant, TensorType
from symnet.graph.variables import make_constant
from symnet.ops.arithmetic import add
from symnet.ops.casting import cast
from symnet.ops.indexing import index
from symnet.ops.joining import concatenate
from symnet.ops.reduction import prod
from symnet.ops.shape import (
    MakeVector,
    ShapeOf,
    as_size,
    as_sizes,
    make_vector,
    multiply,
    shape,
    shape_of,
    size,
    static_value,
)

X = TensorType("float32", (None, 4))("x")


def test_known_sizes_are_constants_unknown_ones_are_asked_for():
    assert static_value(shape_of(X, 1)) == static_value(shape_of(X, -1)) == 4
    assert shape_of(X, 0).owner.op == ShapeOf(0)
    with pytest.raises(TypeMismatchError, match="no dimension 2"):
        shape_of(X, 2)
    with pytest.raises(TypeMismatchError):
        ShapeOf(2)(X)


def test_values(run):
    x = np.zeros((3, 4), "float32")
    np.testing.assert_array_equal(run(shape, x), [3, 4])
    assert run(size, x) == 12
    assert run(lambda v: shape_of(v, 0), x).dtype == "int64"


def test_shape_is_independent_of_values():
    assert ShapeOf(0)(X).owner.op.connected(ShapeOf(0)(X).owner) == [False]


def test_elements_of_shapes_are_found_without_a_vector():
    whole = shape(X)
    n = whole.owner.inputs[0]
    assert index(whole, 0) is n
    assert index(whole, -2) is n
    assert static_value(index(whole, 1)) == 4
    assert index(whole, slice(0, 1)).owner.inputs == (n,)
    assert isinstance(index(whole, slice(1, None)), Constant)
    joined = concatenate([index(whole, slice(0, 1)), [7]])
    assert joined.owner.inputs[0] is n and static_value(joined.owner.inputs[1]) == 7
    assert prod(index(whole, slice(0, 1))) is n


def test_static_value_looks_through_arithmetic_of_constants():
    two = make_constant(2, "int32")
    assert static_value(add(cast(two, "int64"), 3)) == 5
    assert static_value(add(ShapeOf(1)(X), 1)) == 5
    assert static_value(add(ShapeOf(0)(X), 1)) is None
    assert static_value(make_constant(2.0)) is None
    assert static_value(make_constant([1, 2])) is None
    assert static_value(TensorType("int64")()) is None


def test_product_of_sizes_folds_what_is_known():
    n = shape_of(X, 0)
    assert static_value(multiply([make_constant(3), make_constant(4)])) == 12
    assert static_value(multiply([])) == 1
    assert static_value(multiply([n, make_constant(0)])) == 0
    assert multiply([n]) is n
    assert multiply([make_constant(1), n]) is n


def test_one_size():
    assert static_value(as_size(np.int32(3))) == 3
    small = TensorType("int8")()
    assert as_size(small).type == TensorType("int64")
    for bad in (1.5, True, [1, 2], TensorType("float32")(), "3", TensorType("int64", (None,))()):
        with pytest.raises(TypeMismatchError):
            as_size(bad)


def test_several_sizes():
    n, vector = shape_of(X, 0), TensorType("int32", (None,))()
    assert as_sizes((n, 3))[0] is n
    assert [static_value(s) for s in as_sizes(np.array([2, 3]))] == [2, 3]
    assert [static_value(s) for s in as_sizes(5)] == [5]
    whole = shape(X)
    assert as_sizes(whole)[0] is whole.owner.inputs[0]
    assert [static_value(s) for s in as_sizes(make_constant([2, 3]))] == [2, 3]
    assert len(as_sizes(vector, ndim=3)) == 3
    assert len(as_sizes(TensorType("int64", (2,))())) == 2
    assert {s.type for s in as_sizes(vector, ndim=3)} == {TensorType("int64")}
    with pytest.raises(TypeMismatchError, match="ndim="):
        as_sizes(vector)
    with pytest.raises(ShapeError, match="2 sizes were given for 3 dimensions"):
        as_sizes((1, 2), ndim=3)
    with pytest.raises(TypeMismatchError):
        as_sizes(TensorType("float32", (2,))())


def test_make_vector(agree):
    agree(lambda a, b: make_vector([a, b]), lambda a, b: np.stack([a, b]), 1.5, -2.0, order=1)
    assert isinstance(make_vector([make_constant(1), make_constant(2)]), Constant)
    assert make_vector([], "int32").type == TensorType("int32", (0,))
    with pytest.raises(TypeMismatchError, match="scalars of one dtype"):
        MakeVector()(make_constant(1), make_constant(1.0))
