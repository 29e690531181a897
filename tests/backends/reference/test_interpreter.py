import numpy as np
import pytest

from symnet.backends.reference import evaluate, evaluate_all
from symnet.errors import (
    CompilerError,
    IndexOutOfBoundsError,
    MissingInputError,
    ShapeError,
    TypeMismatchError,
)
from symnet.graph import Op, TensorType
from symnet.graph.variables import make_shared
from symnet.ops.arithmetic import add, mul, neg
from symnet.ops.indexing import inc_subtensor, index

MATRIX = TensorType("float64", (None, None))
x, y = MATRIX("x"), MATRIX("y")


class Broken(Op):
    """An op whose perform does whatever it is told to."""

    def __init__(self, perform):
        self.does = perform

    def output_types(self, *inputs):
        return [v.type for v in inputs]

    def infer_shape(self, node, shapes, context):
        return shapes

    def perform(self, node, inputs):
        return self.does(*inputs)


def test_values_of_inputs_intermediates_and_shared():
    w = make_shared(np.full((2, 2), 3.0))
    inner = add(x, w)
    out = mul(inner, inner)
    a = np.arange(4.0).reshape(2, 2)
    assert np.array_equal(evaluate([out], {x: a})[0], (a + 3) ** 2)
    assert np.array_equal(evaluate([out], {inner: a})[0], a**2)
    assert np.array_equal(evaluate([out], {x: a, w: a})[0], (2 * a) ** 2)


def test_results_are_fresh():
    w = make_shared(np.zeros((2, 2)))
    a = np.zeros((2, 2))
    results = evaluate([w, w, x, x], {x: a})
    for k, result in enumerate(results):
        result[:] = k + 1
    assert not a.any() and not w.storage.any()
    assert [r[0, 0] for r in results] == [1, 2, 3, 4]


def test_every_value_is_kept_when_asked():
    inner = add(x, 1.0)
    known = evaluate_all([mul(inner, inner)], {x: np.ones((1, 2))})
    assert np.array_equal(known[inner], [[2.0, 2.0]])


def test_dead_values_are_freed():
    """A chain over 1 MB matrices must not hold a matrix for each link."""
    import tracemalloc

    out = x
    for _ in range(50):
        out = neg(out)
    a = np.zeros((1000, 125))
    tracemalloc.start()
    evaluate([out], {x: a})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * a.nbytes


def test_run_time_broadcast_is_refused():
    out = add(x, y)  # the line that the message names
    with pytest.raises(ShapeError) as caught:
        evaluate([out], {x: np.ones((1, 3)), y: np.ones((2, 3))})
    message = str(caught.value)
    for part in ("add", "(1, 3)", "(2, 3)", "float64", "x", "y", "the line that the message"):
        assert part in message
    row = TensorType("float64", (1, None))("row")
    assert evaluate([add(row, y)], {row: np.ones((1, 3)), y: np.ones((2, 3))})[0].shape == (2, 3)


def test_bad_values():
    with pytest.raises(MissingInputError, match="x"):
        evaluate([add(x, x)])
    with pytest.raises(TypeMismatchError, match="x"):
        evaluate([add(x, x)], {x: np.ones(3)})


@pytest.mark.parametrize(
    "perform",
    [
        lambda a: [a.astype("float32")],
        lambda a: [a[:1]],
        lambda a: [a.ravel()],
        lambda a: [a.tolist()],
    ],
)
def test_broken_promises_are_bugs(perform):
    with pytest.raises(CompilerError, match="promised"):
        evaluate([Broken(perform)(x)], {x: np.ones((2, 2))})


def test_errors_of_user_code_name_the_line_once():
    def perform(a):
        raise ZeroDivisionError("no")

    inner = Broken(perform)(x)

    def nested(a):
        return evaluate([inner], {x: a})

    with pytest.raises(ZeroDivisionError) as caught:
        evaluate([Broken(nested)(x)], {x: np.ones((2, 2))})
    (note,) = caught.value.__notes__
    assert "test_interpreter.py" in note and "(2, 2)" in note


def test_long_chains():
    out = x
    for _ in range(20_000):
        out = neg(out)
    assert evaluate([out], {x: np.ones((1, 1))})[0] == 1


@pytest.mark.parametrize("wrong", [3, -4])
def test_index_outside_its_axis(wrong):
    vector = TensorType("float64", (None,))("vector")
    k = TensorType("int64", ())("k")
    indices = TensorType("int64", (None,))("indices")
    values = {vector: np.ones(3), k: wrong, indices: np.array([0, wrong])}
    for out in (
        index(vector, k),
        index(vector, indices),
        inc_subtensor(index(vector, indices), 1.0),
    ):
        with pytest.raises(IndexOutOfBoundsError) as caught:
            evaluate([out], values)
        assert "test_interpreter.py" in str(caught.value) and str(wrong) in str(caught.value)
