import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symnet.backends.reference import evaluate
from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph import TensorType
from symnet.ops.joining import Concatenate, concatenate, join, split, split_equally, stack
from symnet.ops.shape import MakeVector
from symnet.testing.strategies import arrays, dtypes, shapes

X = TensorType("float32", (None, 3))("x")


@st.composite
def joinable(draw):
    """Arrays that differ in size along one axis only, and that axis."""
    shape = draw(shapes(min_ndim=1, max_size=4))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    sizes = draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    made = []
    for size in sizes:
        own = list(shape)
        own[axis] = size
        made.append(draw(arrays(shape=own, layouts=True)).astype("float64"))
    return made, axis


@given(joinable())
def test_concatenate_is_numpys(agree, case):
    tensors, axis = case
    agree(
        lambda *v: concatenate([w * w for w in v], axis),
        lambda *v: np.concatenate([w * w for w in v], axis),
        *tensors,
    )


def test_concatenate_has_second_derivatives(agree):
    a, b = np.arange(4.0).reshape(2, 2), np.arange(6.0).reshape(2, 3)
    agree(
        lambda *v: concatenate([w * w for w in v], -1),
        lambda *v: np.concatenate([w * w for w in v], -1),
        a, b, a[:, :0], order=2,
    )  # fmt: skip


@given(st.data())
def test_stack_is_numpys(agree, data):
    shape = data.draw(shapes(max_size=3))
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    tensors = [data.draw(arrays(shape=shape)) for _ in range(data.draw(st.integers(1, 3)))]
    agree(lambda *v: stack(v, axis), lambda *v: np.stack(v, axis), *tensors, order=1)


@given(dtypes(), dtypes())
def test_dtypes_meet_as_in_arithmetic(a, b):
    left, right = TensorType(a, (2,))(), TensorType(b, (3,))()
    expected = (left + right[:2]).type.dtype if {a, b} != {"bool"} else "bool"
    assert concatenate([left, right]).type == TensorType(expected, (5,))


def test_known_sizes():
    fixed = TensorType("float32", (2, 3))()
    assert concatenate([fixed, fixed]).type.shape == (4, 3)
    assert concatenate([X, fixed]).type.shape == (None, 3)
    assert concatenate([X, fixed], axis=1).type.shape == (2, 6)
    assert stack([X, X], axis=1).type.shape == (None, 2, 3)
    assert join(1, X, X).type.shape == (None, 6)
    assert concatenate([X]) is X
    assert isinstance(stack([TensorType("float32")()] * 2).owner.op, MakeVector)


def test_what_does_not_fit_is_refused_when_built():
    matrix, vector = TensorType("float32", (2, 4))("m"), TensorType("float32", (2,))("v")
    with pytest.raises(ShapeError, match=r"m: float32\(2, 4\)"):
        concatenate([X, matrix])
    with pytest.raises(TypeMismatchError, match=r"v: float32\(2\)"):
        concatenate([X, vector])
    with pytest.raises(TypeMismatchError, match="equal ndim"):
        stack([X, vector])
    for bad in ([], X):
        with pytest.raises(TypeMismatchError, match="non-empty list"):
            concatenate(bad)
        with pytest.raises(TypeMismatchError, match="non-empty list"):
            stack(bad)
    with pytest.raises(TypeMismatchError):
        concatenate([X, X], axis=2)
    with pytest.raises(TypeMismatchError):
        concatenate([1.0, 2.0])
    with pytest.raises(TypeMismatchError):
        Concatenate(0)()


def test_what_does_not_fit_is_refused_when_run(run):
    with pytest.raises(ShapeError, match="3 and 1"):
        run(lambda a, b: concatenate([a, b]), np.zeros((2, 3)), np.zeros((2, 1)))
    with pytest.raises(ShapeError):
        run(lambda a, b: stack([a, b]), np.zeros(3), np.zeros(1))


@given(joinable())
def test_split_undoes_concatenate(agree, case):
    tensors, axis = case
    whole = np.concatenate(tensors, axis)
    sizes = [v.shape[axis] for v in tensors]
    for k, piece in enumerate(tensors):
        agree(lambda v, k=k: split(v, sizes, axis)[k], lambda v, piece=piece: piece, whole)


def test_split_by_symbolic_sizes(agree):
    x = np.arange(12.0).reshape(2, 6)
    for k in range(3):
        agree(
            lambda v, a, k=k: split(v, (a, 1, a + 1), 1)[k],
            lambda v, a, k=k: np.split(v, [a, a + 1], 1)[k],
            x, 2,
        )  # fmt: skip
        agree(
            lambda v, s, k=k: split(v, s, 1, n=3)[k],
            lambda v, s, k=k: np.split(v, np.cumsum(s)[:-1], 1)[k],
            x, np.array([1, 5, 0]),
        )  # fmt: skip


@pytest.mark.parametrize("sizes", [(2, 2), (2, 4), (1, 7, -3), (2, 4, 0), (6, 0), (0, 9, 0)])
def test_pieces_that_do_not_add_up_are_refused(sizes):
    for shape in ((5,), (None,)):
        x = TensorType("float64", shape)("x")
        with pytest.raises(ShapeError):
            evaluate(split(x, sizes), {x: np.zeros(5)})


def test_split_equally():
    fixed = TensorType("float32", (6, 3))()
    assert [p.type.shape for p in split_equally(fixed, 3)] == [(2, 3)] * 3
    for x, n in ((fixed, 4), (fixed, 0), (X, 2)):
        with pytest.raises(ShapeError):
            split_equally(x, n)
