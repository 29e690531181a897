"""What variables do and what they refuse; inputs and constants."""

import pickle

import numpy as np
import pytest

import symnet  # noqa: F401 (gives variables .eval)
import symnet.tensor as T
from symnet.config import config
from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph.variables import make_constant, make_shared


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (bool, "no truth value"),
        (lambda x: 0 if x < 1 else 1, "no truth value"),
        (len, r"x\.shape\[0\]"),
        (float, "not a number"),
        (int, "not a number"),
        (np.asarray, "symbolic"),
        (lambda x: np.array([x, x]), r"T\.stack"),
        (list, "length is not known"),
        (lambda x: 1 in x, "symbolic"),
        (np.add.accumulate, "add.accumulate"),
        (np.linalg.svd, "numpy.linalg.svd"),
        (lambda x: np.exp(x, out=np.zeros(3)), "numpy.exp"),
        (lambda x: [1, 2][x], "not a number"),
        (lambda x: f"{x:.3f}", "eval"),
        (lambda x: x.__setitem__(0, 1), "set_subtensor"),
        (lambda x: x.__delitem__(0), "set_subtensor"),
        (lambda x: x.flatten("C"), "'C' dimensions"),
        (lambda x: T.concatenate(3), "list of tensors, not 3"),
        (lambda x: T.inc_subtensor(3, x), "not 3"),
        (lambda x: T.vector(3), "text, not 3"),
        (lambda x: T.vector(shape=3), "shape=3"),
    ],
)
def test_what_a_symbolic_variable_refuses(use, message):
    with pytest.raises(TypeMismatchError, match=message):
        use(T.vector("x"))


def test_text_of_a_variable():
    assert f"{T.vector('x')}" == "x"


def test_equality_is_identity():
    x, y = T.vector("x"), T.vector("x")
    assert x == x
    assert x != y
    assert len({x, y, x}) == 2
    assert {x: 1}[x] == 1


def test_diagonals_by_methods():
    x, points = T.dmatrix("x"), np.arange(12.0).reshape(3, 4)
    assert x.diagonal(1).eval({x: points}).tolist() == [1, 6, 11]
    assert x.trace().eval({x: points}) == 15


def test_floatx_as_a_dtype():
    for dtype in ("float32", "float64"):
        with config.change(floatX=dtype):
            x = T.lvector("x")
            made = [
                x.astype("floatX"), T.cast(x, "floatX"), T.zeros(3, "floatX"),
                x.sum(dtype="floatX"), T.tensor("floatX", (None,)), T.vector(dtype="floatX"),
                T.arange(3, dtype="floatX"), T.eye(3, dtype="floatX"),
            ]  # fmt: skip
            assert {v.dtype for v in made} == {dtype}


def test_numpys_equality_is_an_expression():
    x = T.vector("x")
    for build, expected in [
        (lambda: np.equal(x, 2), [False, True]),
        (lambda: np.not_equal(x, x + [0, 1]), [False, True]),
        (lambda: np.array([1, 5], "f") == x, [True, False]),
    ]:
        assert build().eval({x: np.array([1, 2], "f")}).tolist() == expected


def test_iteration_over_a_known_size():
    first, second = T.matrix(shape=(2, None))
    assert first.type.ndim == second.type.ndim == 1


def test_operators_on_constants_and_shared_variables():
    constant, shared = make_constant([1.0, 2.0], "float32"), make_shared(np.ones(2, "float32"))
    assert isinstance(constant, T.TensorConstant)
    assert isinstance(shared, T.TensorSharedVariable)
    total = constant + shared
    assert isinstance(total, T.TensorVariable)
    assert str(total.type) == "float32(2)"


def test_lists_of_variables_need_stack():
    x = T.scalar("x")
    with pytest.raises(TypeMismatchError, match=r"T\.stack"):
        T.vector() + [x, x]


def test_numpy_scalars_are_weak_and_arrays_are_not():
    x = T.fvector()
    assert (x * np.sqrt(2)).type.dtype == "float32"
    assert (np.float64(2) * x).type.dtype == "float32"
    assert (x * np.ones(1)).type.dtype == "float64"


def test_literals_that_do_not_fit_are_refused():
    with pytest.raises(TypeMismatchError, match="300 does not fit into uint8"):
        T.tensor("uint8", ()) + 300


def test_variables_pickle():
    x = T.matrix("x")
    y = pickle.loads(pickle.dumps((x * 2).sum()))
    assert str(y.type) == "float32()"
    assert (y + 1).type is y.type


def test_a_copy_is_another_variable():
    x = T.vector("x")
    copy = x.copy("y")
    assert copy is not x
    assert copy.name == "y"


# ---- inputs and constants


@pytest.mark.parametrize(
    ("make", "type_"),
    [
        (T.scalar, "float32()"),
        (T.vector, "float32(?)"),
        (T.row, "float32(1, ?)"),
        (T.col, "float32(?, 1)"),
        (T.tensor5, "float32(?, ?, ?, ?, ?)"),
        (T.lscalar, "int64()"),
        (T.bvector, "int8(?)"),
        (T.wrow, "int16(1, ?)"),
        (T.icol, "int32(?, 1)"),
        (T.dtensor4, "float64(?, ?, ?, ?)"),
    ],
)
def test_types_of_inputs(make, type_):
    x = make("x")
    assert str(x.type) == type_
    assert x.name == "x"
    assert isinstance(x, T.TensorVariable)


def test_floatx_is_that_of_the_moment():
    with config.change(floatX="float64"):
        assert T.matrix().type.dtype == "float64"
        assert T.constant(0.5).type.dtype == "float64"
    assert T.matrix().type.dtype == "float32"


def test_static_sizes_of_inputs():
    assert T.matrix(shape=(None, 784)).type.shape == (None, 784)
    assert T.tensor("int8", (2, None), "x").type.shape == (2, None)
    assert T.tensor("int8", (True, False)).type.shape == (1, None)
    assert T.tensor(np.dtype("int8"), broadcastable=(True, False)).type.shape == (1, None)
    with pytest.raises(ShapeError, match="2 are wanted"):
        T.matrix(shape=(3,))
    with pytest.raises(TypeMismatchError):
        T.tensor("float32")
    with pytest.raises(TypeMismatchError, match="complex64"):
        T.tensor("complex64", ())


def test_several_inputs():
    assert [x.name for x in T.matrices("x", "y")] == ["x", "y"]
    assert [x.name for x in T.vectors("abc")] == ["a", "b", "c"]
    assert [str(x.type) for x in T.lscalars(2)] == ["int64()", "int64()"]
    assert [str(x.type) for x in T.scalars(["x1", "x2"], dtype="int8")] == ["int8()", "int8()"]


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (1, "int64()"),
        (1.5, "float32()"),
        (True, "bool()"),
        ([1.0, 2.0], "float32(2)"),
        (np.ones((2, 3)), "float64(2, 3)"),
        (np.float32(1), "float32()"),
        ([[1], [2]], "int64(2, 1)"),
    ],
)
def test_types_of_constants(value, type_):
    assert str(T.constant(value).type) == type_


def test_constants_are_private_and_read_only():
    array = np.zeros(3)
    constant = T.constant(array)
    array[0] = 1
    assert constant.data[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        constant.data[0] = 2
    with pytest.raises(TypeMismatchError, match="symbolic already"):
        T.constant(T.scalar())


def test_random_streams_under_theanos_name():
    streams = T.shared_randomstreams.RandomStreams(1)
    assert streams.uniform((2, 3)).type.shape == (2, 3)
