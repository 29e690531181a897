"""What a user gets for bad input: the right exception, with shapes, dtypes and the user's line."""

import re

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.errors import (
    DisconnectedInputError,
    DuplicateInputError,
    FunctionError,
    GradientError,
    IndexOutOfBoundsError,
    MissingInputError,
    NonScalarCostError,
    ShapeError,
    SymnetError,
    TypeMismatchError,
    UnusedInputError,
    UpdateError,
)

MODES = ("compiled", "reference", "debug", symnet.Mode(fuse=False), symnet.Mode(rewrite="none"))
every_mode = pytest.mark.parametrize("mode", MODES, ids=str)

x = T.matrix("x")  # x is made here
v = T.vector("v")  # v is made here
y = T.lvector("y")  # y is made here
i = T.lscalar("i")
ONES = np.ones((2, 3), "float32")


def weights(*shape, name="W"):
    return symnet.shared(np.ones(shape, "float32"), name=name)


class Refused:
    """Expects an error whose message holds every one of `parts`, and this file's line `line`."""

    def __init__(self, error, *parts, line):
        self.error, self.parts, self.line = error, parts, line

    def __enter__(self):
        self.raises = pytest.raises(self.error)
        self.info = self.raises.__enter__()

    def __exit__(self, *exception):
        if not self.raises.__exit__(*exception):
            return False
        message = str(self.info.value)
        assert isinstance(self.info.value, SymnetError)
        for part in self.parts:
            assert part in message
        if self.line:
            assert re.search(rf"test_bad_input\.py:\d+  `.*{re.escape(self.line)}", message), (
                message
            )
        return True


# ---- arguments of a call


@every_mode
@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (np.ones(3, "float32"), ["1 dimensions", "(3,)", "float32(?, ?)"]),
        (np.ones((1, 2, 3), "float32"), ["3 dimensions", "(1, 2, 3)", "float32(?, ?)"]),
        (1.0, ["0 dimensions", "float32(?, ?)"]),
        (ONES.astype("float64"), ["float64", "float32(?, ?)", "allow_input_downcast"]),
        (ONES.astype("int64"), ["int64", "float32(?, ?)"]),
        (ONES.astype("complex64"), ["complex64", "float32(?, ?)"]),
        (np.array([["a"]]), ["<U1", "float32(?, ?)"]),
        ([[1, 2], [3]], ["not an array", "inhomogeneous"]),
        (None, ["object", "float32(?, ?)"]),
        (x, ["an array is wanted", "x: float32(?, ?)"]),
    ],
)
def test_arguments_of_another_type(mode, value, parts):
    f = symnet.function([x], x * 2, mode=mode)
    with Refused(TypeMismatchError, "input 0 (x)", *parts, line="x is made here"):
        f(value)
    assert np.array_equal(f(ONES), 2 * ONES)


@every_mode
def test_sizes_that_the_type_forbids(mode):
    s = T.tensor("float32", shape=(None, 3), name="s")  # s is made here
    f = symnet.function([s], s * 2, mode=mode)
    with Refused(ShapeError, "input 0 (s)", "(2, 4)", "float32(?, 3)", line="s is made here"):
        f(np.ones((2, 4), "float32"))


@every_mode
def test_integers_out_of_range(mode):
    small = T.bvector("small")  # small is made here
    f = symnet.function([small], small, mode=mode)
    with Refused(TypeMismatchError, "300", "int8", line="small is made here"):
        f([1, 300])
    g = symnet.function([i], i, mode=mode)
    for value in (2**70, 2**63, -(2**63) - 1, 0.5, "1"):
        with pytest.raises(TypeMismatchError, match="input 0"):
            g(value)
    assert g(2**63 - 1) == 2**63 - 1


@every_mode
def test_wrong_arguments(mode):
    f = symnet.function([x, v], x + v, mode=mode)
    row = np.ones(3, "float32")
    with Refused(MissingInputError, "input 1 (v)", "float32(?)", line="v is made here"):
        f(ONES)
    with Refused(MissingInputError, "input 0 (x)", line="x is made here"):
        f(v=row)
    with Refused(MissingInputError, "input 0 (x)", line="x is made here"):
        f()
    with Refused(FunctionError, "takes 2 inputs, 3 were given", line="x is made here"):
        f(ONES, row, row)
    with Refused(FunctionError, "no input called 'z'", "float32(?, ?)", line="x is made here"):
        f(ONES, z=row)
    with Refused(DuplicateInputError, "input 0 (x) is given twice", line="x is made here"):
        f(ONES, x=ONES)
    assert np.array_equal(f(v=row, x=ONES), 2 * ONES)


def test_two_inputs_of_one_name_cannot_be_given_by_it():
    f = (
        symnet.function([T.scalar("same"), T.scalar("same")], [])
        if False
        else symnet.function([T.scalar("same"), T.scalar("same")], [], on_unused_input="ignore")
    )
    with pytest.raises(FunctionError, match="several inputs called 'same'"):
        f(1.0, same=2.0)
    assert f(1.0, 2.0) == []


# ---- sizes and indices met while running


@every_mode
def test_sizes_that_do_not_fit(mode):
    W = weights(3, 4)
    f = symnet.function([x], T.tanh(T.dot(x, W)), mode=mode)  # a product
    with Refused(ShapeError, "dot", "(2, 5)", "(3, 4)", "float32", "5 and 3", line="a product"):
        f(np.ones((2, 5), "float32"))
    g = symnet.function([x, v], (x + v).sum(), mode=mode)  # a sum
    with Refused(ShapeError, "add", "(2, 3)", "float32", "3 and 2", line="a sum"):
        g(ONES, np.ones(2, "float32"))
    h = symnet.function([x], x.reshape((3, 3)) * 2, mode=mode)  # a reshape
    with Refused(ShapeError, "reshape", "(2, 3)", "6 and 9", line="a reshape"):
        h(ONES)
    j = symnet.function([x, v], T.concatenate([x, x[:, :2]]), mode=mode, on_unused_input="ignore")
    with Refused(ShapeError, "(2, 3)", "3 and 2", line="T.concatenate"):
        j(ONES, ONES[0])
    k = symnet.function([x, v], T.set_subtensor(x[0], v), mode=mode)  # a row written
    with Refused(ShapeError, "(2, 3)", "3 and 1", line="a row written"):
        k(ONES, np.ones(1, "float32"))


@every_mode
@pytest.mark.parametrize("swap", [False, True])
def test_a_size_that_happens_to_be_one_does_not_broadcast(mode, swap):
    b = weights(1, 3, name="b")
    total = b * x if swap else x * b  # where it would broadcast
    f = symnet.function([x], total, mode=mode)
    parts = ("mul", "(2, 3)", "(1, 3)", "float32")
    with Refused(ShapeError, *parts, line="where it would broadcast"):
        f(ONES)
    assert f(ONES[:1]).shape == (1, 3)
    row = symnet.shared(np.ones((1, 3), "float32"), broadcastable=(True, False))
    assert symnet.function([x], x * row, mode=mode)(ONES).shape == (2, 3)


@every_mode
@pytest.mark.parametrize("build", [
    lambda: x[i],  # read one
    lambda: x[i, 0] + x[0],  # read one
    lambda: T.inc_subtensor(x[i], 1),  # read one
    lambda: T.set_subtensor(x[i, 1:], 0),  # read one
    lambda: symnet.grad(x[i].sum(), x),  # read one
], ids=range(5))  # fmt: skip
@pytest.mark.parametrize("index", [2, -3, 2**40])
def test_single_index_out_of_bounds(mode, build, index):
    f = symnet.function([x, i], build(), mode=mode)
    for good in (1, -2):
        f(ONES, good)
    with Refused(IndexOutOfBoundsError, "(2, 3)", "float32", str(index), line="read one"):
        f(ONES, index)


@every_mode
@pytest.mark.parametrize("build", [
    lambda: x[y],  # read many
    lambda: x[:, y].sum(),  # read many
    lambda: x[y, y],  # read many
    lambda: T.inc_subtensor(x[y], 1),  # read many
    lambda: T.set_subtensor(x[y, 0], 5),  # read many
    lambda: symnet.grad((x[y] ** 2).sum(), x),  # read many
], ids=range(6))  # fmt: skip
@pytest.mark.parametrize("index", [3, -4])
def test_index_array_out_of_bounds(mode, build, index):
    f = symnet.function([x, y], build(), mode=mode)
    f(ONES, [0, 1, -1])
    where = f"index {index}"
    with Refused(IndexOutOfBoundsError, where, "int64", "(3,)", line="read many"):
        f(ONES, [0, 1, index])


@every_mode
def test_label_outside_the_classes(mode):
    W = weights(3, 4)
    p = T.nnet.softmax(T.dot(x, W))
    cost = T.nnet.categorical_crossentropy(p, y).mean()  # the loss
    gradient = symnet.grad(cost, W)
    train = symnet.function([x, y], cost, updates=[(W, W - gradient)], mode=mode)
    train(ONES, [0, 3])
    before = W.get_value()
    for label in (4, -1):
        parts = (str(label), "size 4", "int64", "(2,)")
        with Refused(IndexOutOfBoundsError, *parts, line="the loss"):
            train(ONES, [0, label])
    with Refused(ShapeError, "2 and 3", line="the loss"):
        train(ONES, [0, 1, 2])
    assert W.get_value().tobytes() == before.tobytes()


@every_mode
def test_nothing_to_choose_the_largest_from(mode):
    for build in (lambda: x.max(), lambda: x.argmax(axis=0), lambda: x.min(axis=0)):  # the choice
        with Refused(ShapeError, "(0, 3)", "float32", line="the choice"):
            symnet.function([x], build(), mode=mode)(ONES[:0])


def test_only_equations_that_fail_end_in_numbers():
    with pytest.raises(ShapeError, match="there is no max of no elements\n"):
        symnet.function([x], x.max())(ONES[:0])


@every_mode
def test_update_of_another_size_than_declared(mode):
    W = symnet.shared(ONES.copy(), name="W", shape=(2, 3))
    f = symnet.function([x], [], updates=[(W, x + 1)], mode=mode)
    f(ONES)
    before = W.get_value()
    with pytest.raises(ShapeError, match="W"):
        f(np.ones((3, 3), "float32"))
    assert np.array_equal(W.get_value(), before)


# ---- what `function` refuses


def test_inputs():
    W = weights(2, 3)
    with Refused(UnusedInputError, "v: float32(?)", line="v is made here"):
        symnet.function([x, v], x * 2)
    with Refused(MissingInputError, "v: float32(?)", "read by", line="v is made here"):
        symnet.function([x], x + v)
    with Refused(MissingInputError, "v: float32(?)", line="v is made here"):
        symnet.function([], [], updates=[(W, W + v)])
    with Refused(DuplicateInputError, "input 0 and input 2", line="x is made here"):
        symnet.function([x, v, x], x + v)
    with Refused(TypeMismatchError, "W", "shared", "float32(?, ?)", line="symnet.shared("):
        symnet.function([W], W * 2)
    for inputs in (x, None, 3):
        with pytest.raises(TypeMismatchError, match="inputs"):
            symnet.function(inputs, x * 2)
    for wrong in (3, "x", T.constant(1.0)):
        with pytest.raises(TypeMismatchError):
            symnet.function([x, wrong], x * 2)
    with pytest.raises(TypeMismatchError, match="on_unused_input='maybe'"):
        symnet.function([x], x, on_unused_input="maybe")
    with pytest.raises(TypeMismatchError, match="'text'"):
        symnet.function([x], "text")
    with pytest.raises(TypeMismatchError, match=r"input 1 \(v\).*float32\(\?\)"):
        symnet.function([x, symnet.In(v, value=[[1.0]])], x + v)
    with pytest.raises(TypeMismatchError, match="update"):
        symnet.In(v, update=v + 1)


def test_unused_inputs_when_wanted():
    with pytest.warns(UserWarning, match=r"v: float32\(\?\), built at .*v is made here") as caught:
        f = symnet.function([x, v], x * 2, on_unused_input="warn")
    assert caught[0].filename == __file__
    assert np.array_equal(f(ONES, [1.0]), 2 * ONES)
    f = symnet.function([x, v], x * 2, on_unused_input="ignore")
    assert np.array_equal(f(ONES, [1.0]), 2 * ONES)


def test_updates():
    W = weights(2, 3)
    for target in (v, x + 1):
        with Refused(UpdateError, "not a shared variable", "float32", line=""):
            symnet.function([v, x], [], updates=[(target, target)], on_unused_input="ignore")
    with Refused(UpdateError, "v", line="v is made here"):
        symnet.function([v], v, updates={v: v + 1})
    with Refused(UpdateError, "int", line=""):
        symnet.function([v], v, updates={3: v})
    wide = W * T.constant(np.ones((2, 3)))  # made too wide
    with Refused(UpdateError, "float64(2, 3)", "float32(?, ?)", "astype", line="made too wide"):
        symnet.function([], [], updates=[(W, wide)])
    total = W.sum()  # of fewer dimensions
    with Refused(UpdateError, "float32()", "float32(?, ?)", line="of fewer dimensions"):
        symnet.function([], [], updates=[(W, total)])
    fixed = symnet.shared(ONES, name="fixed", shape=(2, 3))
    other = T.zeros((3, 2))  # of other sizes
    with Refused(UpdateError, "float32(3, 2)", "float32(2, 3)", line="of other sizes"):
        symnet.function([], [], updates=[(fixed, other)])
    with Refused(UpdateError, "W is updated twice", "float32(?, ?)", line="symnet.shared("):
        symnet.function([], [], updates=[(W, W + 1), (W, W + 2)])
    with pytest.raises(TypeMismatchError, match="not a pair"):
        symnet.function([], [], updates=[W])
    with pytest.raises(UpdateError, match="text"):
        symnet.function([], [], updates=[(W, "text")])


def test_givens():
    wide = T.dvector()  # made too wide
    with Refused(TypeMismatchError, "float64(?)", "float32(?)", line="made too wide"):
        symnet.function([wide], v * 2, givens={v: wide})
    with Refused(DuplicateInputError, "v", "float32(?)", line="v is made here"):
        symnet.function([v], v * 2, givens={v: v + 1})
    with Refused(DuplicateInputError, "twice", line="v is made here"):
        symnet.function([], v * 2, givens=[(v, T.zeros(2)), (v, T.ones(2))])
    with pytest.raises(TypeMismatchError, match="not a symbolic variable"):
        symnet.function([v], v, givens={3: v})


def test_shared_values():
    W = weights(2, 3)
    for value, error in [
        (np.ones((2, 3)), TypeMismatchError),
        (np.ones(3, "float32"), TypeMismatchError),
        ("text", TypeMismatchError),
    ]:
        with pytest.raises(error, match="shared variable W"):
            W.set_value(value)
    fixed = symnet.shared(ONES, name="fixed", shape=(2, 3))
    with pytest.raises(ShapeError, match=r"\(3, 3\).*float32\(2, 3\)"):
        fixed.set_value(np.ones((3, 3), "float32"))
    assert np.array_equal(W.get_value(), ONES)
    for value in ("text", None, [1, "a"], x, np.ones(2, "complex64")):
        with pytest.raises(TypeMismatchError):
            symnet.shared(value)
    with pytest.raises(ShapeError, match=r"\(2, 3\)"):
        symnet.shared(ONES, shape=(2, 4))


# ---- what is refused while an expression is built


def test_gradients():
    W = weights(2, 3)
    cost = (x**2).sum()
    with Refused(DisconnectedInputError, "v", "float32(?)", line="v is made here"):
        symnet.grad(cost, v)
    vectors = x * 2  # not one number
    with Refused(NonScalarCostError, "float32(?, ?)", line="not one number"):
        symnet.grad(vectors, x)
    with Refused(NonScalarCostError, "int64()", line="not one number"):
        symnet.grad(T.shape(vectors)[0] + i, W)  # not one number
    with Refused((GradientError, TypeMismatchError), "int64(?)", line="y is made here"):
        symnet.grad(x[y].sum(), y)


sm = T.tensor("float32", shape=(2, 3), name="sm")  # sm is made here
sn = T.tensor("float32", shape=(4, 5), name="sn")


@pytest.mark.parametrize(("build", "error"), [
    (lambda: sm + sn, ShapeError),
    (lambda: T.dot(sm, sm), ShapeError),
    (lambda: T.concatenate([sm, sn]), ShapeError),
    (lambda: sm.reshape((4, 2)), ShapeError),
    (lambda: T.set_subtensor(sm[0], sn[0]), ShapeError),
    (lambda: sm[2], IndexOutOfBoundsError),
    (lambda: sm[[0, 2]], IndexOutOfBoundsError),
    (lambda: sm[1.5], TypeMismatchError),
    (lambda: sm[0, 0, 0], TypeMismatchError),
    (lambda: sm & sm, TypeMismatchError),
    (lambda: sm.dimshuffle(0, 0), TypeMismatchError),
    (lambda: T.concatenate([sm, sm[0]]), TypeMismatchError),
    (lambda: sm.sum(axis=2), TypeMismatchError),
    (lambda: T.max(sm, axis=-3), TypeMismatchError),
    (lambda: T.nnet.categorical_crossentropy(sm, sm[0]), TypeMismatchError),
    (lambda: T.nnet.categorical_crossentropy(sn, sm), ShapeError),
], ids=range(16))  # fmt: skip
def test_expressions_that_make_no_sense(build, error):
    with Refused(error, "float32(2, 3)", line="sm is made here"):
        build()
