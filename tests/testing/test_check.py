import numpy as np
import pytest

import symnet.tensor as T
from symnet.errors import AssertionFailedError, CompilerError, GradientMismatchError
from symnet.graph import Op
from symnet.testing import check, check_op

SAMPLES = [(np.array([[0.5, -1.0, 2.0]]),), (np.zeros((0, 3)),), (np.ones((2, 3), "float32"),)]


class Twice(Op):
    """Two times its input; the rules are attributes of the class, for subclasses to break."""

    factor = 2.0

    def output_types(self, x):
        return [x.type]

    def infer_shape(self, node, shapes, context):
        return shapes

    def perform(self, node, inputs):
        return [(2 * inputs[0]).astype(inputs[0].dtype)]

    def grad(self, inputs, outputs, output_grads):
        return [self.factor * output_grads[0]]


class WrongGradient(Twice):
    factor = 3.0


class WrongSizes(Twice):
    """A shape rule that is right for numbers but not for expressions."""

    def infer_shape(self, node, shapes, context):
        if all(isinstance(n, int) for n in shapes[0]):
            return shapes
        return [tuple(reversed(shapes[0]))]


class Overwriting(Twice):
    def perform(self, node, inputs):
        inputs[0][...] = 2 * inputs[0]
        return [inputs[0]]


def twice(x):
    return 2 * x


def test_right_ops_pass():
    check_op(Twice(), SAMPLES, twice)
    check_op(
        lambda x, y: [x + y, T.concatenate([x, x])],
        [(np.ones((2, 2)), np.ones((2, 2)))],
        lambda x, y: [x + y, np.concatenate([x, x])],
    )
    check_op(lambda i: i + 1, [(np.arange(3),)], lambda i: i + 1)


@pytest.mark.parametrize(
    "op, error",
    [
        (WrongGradient(), GradientMismatchError),
        (WrongSizes(), CompilerError),
        (Overwriting(), AssertionFailedError),
    ],
)
def test_broken_ops_are_found(op, error):
    with pytest.raises(error):
        check_op(op, SAMPLES, twice)


def test_wrong_values_are_found():
    with pytest.raises(AssertionFailedError):
        check_op(Twice(), SAMPLES, lambda x: 2 * x + 1)


def test_wrong_compiled_values_are_found(monkeypatch):
    def wrong(inputs, outputs, mode, on_unused_input):
        return lambda x: [(3 * x).astype(x.dtype)]

    monkeypatch.setattr(check, "function", wrong)
    check_op(Twice(), SAMPLES, twice, mode=None)
    with pytest.raises(AssertionFailedError, match="compiled"):
        check_op(Twice(), SAMPLES, twice)
