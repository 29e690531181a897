"""First and second derivatives of every op against finite differences, and freedom from NaN."""

import itertools

import numpy as np
import pytest

import symnet.tensor as T
from symnet.autodiff import grad
from symnet.backends.reference import evaluate
from symnet.errors import TypeMismatchError
from symnet.graph import TensorType
from symnet.ops import ELEMENTWISE, indexing, joining, nnet, reduction
from symnet.ops.contraction import BatchedDot, Dot
from symnet.ops.movement import BroadcastTo
from symnet.testing import check_op

rng = np.random.default_rng(7)


def numbers(*shape, low=0.4, high=3.0, signs=True):
    """Numbers away from zero, of both signs."""
    size = rng.uniform(low, high, shape)
    return np.asarray(size * np.where(rng.random(shape) < 0.5, -1, 1) if signs else size)


# Where the general sample does not fit: ops whose arguments differ in kind.
SAMPLES = {
    "where": [(np.array([True, False, True]), numbers(3), numbers(3))],
    "clip": [(np.array([-2.0, 0.3, 2.5]), np.array([-1.0, -1.5, -1.0]), np.array([1.0, 1.5, 2.0]))],
    "strong_mul": [(np.array([0.0, 2.0, 0.0]), np.array([3.0, 0.0, -1.0]))],
    "power": [
        (numbers(4, signs=False), numbers(4)),
        (numbers(4), np.array([2, 3, -1, 0])),
        (numbers(3), np.array(2.0)[None]),
    ],
}


def real(op):
    """Whether the op takes and gives floating-point numbers."""
    try:
        return op.dtype_rule(["float64"] * op.nargs)[1] == "float64"
    except TypeMismatchError:
        return False


@pytest.mark.parametrize(
    "op", [op for op in ELEMENTWISE.values() if op.name in SAMPLES or real(op)], ids=str
)
def test_elementwise(op):
    if op.domain is None:
        general = tuple(numbers(5) for _ in range(op.nargs))
    else:
        general = tuple(numbers(5, low=op.domain[0], high=op.domain[1], signs=False)
                        for _ in range(op.nargs))  # fmt: skip
    samples = SAMPLES.get(op.name, [general])
    if op.name == "power":  # the exponent is not differentiated at negative bases
        check_op(op, samples[:1])
        for base, exponent in samples[1:]:
            check_op(lambda x, n=exponent: op(x, T.constant(n)), [(base,)])
    else:
        check_op(op, samples)
    if op.nargs == 2 and op.name not in SAMPLES:  # broadcast, and a scalar
        a, b = general
        if op.name not in ("maximum", "minimum", "floor_mod"):
            check_op(lambda x, y: op(x.dimshuffle(0, "x"), y.dimshuffle("x", 0)), [(a, b)])
        check_op(lambda x, y: op(x, y), [(a, b[0])])


X = numbers(3, 4)
CUBE = numbers(2, 3, 4)
INDEX = np.array([2, 0, -1, 2])
ZEROS = np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 2.0], [1.5, -2.0, 0.5]])


STRUCTURED = {
    "sum": (lambda x: reduction.sum_(x, axis=(0, 2)), CUBE),
    "sum all": (lambda x: reduction.sum_(x), CUBE),
    "mean keepdims": (lambda x: reduction.mean(x, axis=1, keepdims=True), CUBE),
    "max": (lambda x: reduction.max_(x, axis=1), CUBE),
    "min": (lambda x: reduction.min_(x), CUBE),
    "prod": (lambda x: reduction.prod(x, axis=-1), CUBE),
    "prod with zeros": (lambda x: reduction.prod(x, axis=1), ZEROS),
    "prod all": (lambda x: reduction.prod(x), X[:2, :2]),
    "var": (lambda x: reduction.var(x, axis=0), X),
    "std": (lambda x: reduction.std(x, axis=1), X),
    "norm": (lambda x: T.norm(x), X),
    "dot": (lambda x, y: Dot()(x, y), X, X.T),
    "dot vectors": (lambda x, y: T.dot(x, y), X[0], X[1]),
    "dot matrix vector": (lambda x, y: T.dot(x, y), X, X[1]),
    "batched": (lambda x, y: BatchedDot()(x, y.dimshuffle(0, 2, 1)), CUBE, CUBE + 1),
    "matmul": (lambda x, y: T.matmul(x, y), CUBE, X.T),
    "tensordot": (lambda x, y: T.tensordot(x, y, axes=2), CUBE, X),
    "outer": (lambda x, y: T.outer(x, y), X[0], X[1]),
    "dimshuffle": (lambda x: x.dimshuffle(1, "x", 0) * 1.0, X),
    "reshape": (lambda x: x.reshape((2, -1)) * x.reshape((2, 6)), X),
    "flatten": (lambda x: x.flatten(2), CUBE),
    "broadcast": (
        lambda x: BroadcastTo(2)(T.dimshuffle(x, "x", 0), T.constant(3), x.shape[0]), X[0],
    ),
    "slice": (lambda x: x[1:, ::-2], X),
    "row": (lambda x: x[-1], X),
    "symbolic slice": (lambda x: x[x.shape[0] - 2 :, : x.shape[1] - 1], X),
    "set": (lambda x, y: indexing.set_subtensor(x[1:, 0], y), X, X[1:, 1]),
    "set backwards": (lambda x, y: indexing.set_subtensor(x[::-2], y), X, X[1:]),
    "inc": (lambda x, y: indexing.inc_subtensor(x[:, 1:3], y), X, X[0, :2]),
    "set number": (lambda x, y: indexing.set_subtensor(x[0], y), X, X[0, 0]),
    "take": (lambda x: x[INDEX], X),
    "take columns": (lambda x: x[:, INDEX], X),
    "take pairs": (lambda x: x[INDEX, T.arange(4)], X),
    "take middle": (lambda x: x[:, INDEX[:2, None], INDEX], CUBE),
    "take apart": (lambda x: x[np.array([0, 1]), :, np.array([3, -1])], CUBE),
    "take mixed": (lambda x: x[1:, None, INDEX], X),
    "inc duplicates": (lambda x, y: indexing.inc_subtensor(x[INDEX], y), X, numbers(4, 4)),
    "set distinct": (
        lambda x, y: indexing.set_subtensor(x[np.array([2, 0])], y), X, numbers(2, 4),
    ),
    "set duplicates": (lambda x, y: indexing.set_subtensor(x[INDEX], y), X, numbers(4, 4)),
    "concatenate": (lambda x, y: joining.concatenate([x, y, x], axis=1), X, X[:, :1]),
    "stack": (lambda x, y: joining.stack([x, y], axis=1), X, X + 1),
    "split": (lambda x: joining.split(x, [1, 3], axis=1, n=2), X),
    "softmax": (lambda x: nnet.softmax(x), X),
    "softmax first axis": (lambda x: nnet.softmax(x, axis=0), X),
    "log_softmax": (lambda x: nnet.log_softmax(x), X),
    "logsumexp": (lambda x: nnet.logsumexp(x, axis=0), X),
    "cross-entropy": (
        lambda x: T.nnet.categorical_crossentropy(nnet.softmax(x), T.constant([0, 3, 1])), X,
    ),
    "binary cross-entropy": (
        lambda x: T.nnet.binary_crossentropy(T.nnet.sigmoid(x), T.constant(X > 0)), X,
    ),
    "repeat": (lambda x: T.repeat(x, 2, axis=0), X),
    "tile": (lambda x: T.tile(x, (2, 1)), X),
    "diag": (lambda x: T.diag(x), X[0]),
    "diagonal": (lambda x: T.diagonal(x), X),
    "tril": (lambda x: T.tril(x), X),
    "make vector": (lambda x, y: T.stack([x, y, x * y]), X[0, 0], X[0, 1]),
    "gelu": (lambda x: T.nnet.gelu(x), X),
    "power of arrays": (lambda x, y: x**y, np.abs(X), X),
}  # fmt: skip


@pytest.mark.parametrize("name", STRUCTURED)
def test_structured(name):
    function, *sample = STRUCTURED[name]
    check_op(function, [sample])


# ---- a value that a mask does not choose has no influence (design D11)

SPECIAL = [0.0, -0.0, 1.0, -1.0, 2.0, np.inf, -np.inf, np.nan, 1e300, -1e300, 1e-310]


@pytest.mark.parametrize("op", [op for op in ELEMENTWISE.values() if real(op)], ids=str)
def test_what_a_mask_hides_does_not_leak(op):
    """where(mask, f(x), 0): first and second derivatives are 0 where the mask is False."""
    points = np.array(list(itertools.product(SPECIAL, repeat=op.nargs))).T
    x = [TensorType("float64", (None,))(f"x{k}") for k in range(op.nargs)]
    mask = TensorType("bool", (None,))("mask")
    cost = T.sum(T.square(T.where(mask, op(*x), 0.0)) + T.where(mask, op(*x), 0.0))
    first = grad(cost, x, disconnected_inputs="ignore")
    second = grad(sum(T.sum(g) for g in first), x, disconnected_inputs="ignore")
    values = {**dict(zip(x, points)), mask: np.zeros(points.shape[1], bool)}
    for order, gradients in ((1, first), (2, second)):
        for argument, found in enumerate(evaluate(gradients, values)):
            wrong = points[:, found != 0]
            assert not wrong.size, (order, argument, wrong.T[:5], found[found != 0][:5])


@pytest.mark.parametrize(
    "name, make, point, first, second",
    [
        ("root", lambda x: T.square(T.sqrt(x) - 2), 4.0, 0.0, 0.125),
        ("norm at 0", lambda x: T.sqrt(T.square(x)) ** 2, 3.0, 6.0, 2.0),
        ("abs at 0", lambda x: T.square(T.abs(x)), 0.0, 0.0, None),
        ("power at 0", lambda x: x**2.0, 0.0, 0.0, 2.0),
        ("power 1 at 0", lambda x: x**1.0, 0.0, 1.0, 0.0),
        ("cube of negative", lambda x: x**3, -2.0, 12.0, -12.0),
        ("product with 0", lambda x: (x - 1) * T.log(x), 1.0, 0.0, 2.0),
        ("quotient", lambda x: T.square(x - 1) / x, 1.0, 0.0, 2.0),
        ("softplus", lambda x: T.softplus(x), 0.0, 0.5, 0.25),
        ("softplus far", lambda x: T.log(1 + T.exp(x)), 800.0, 1.0, 0.0),
        ("sigmoid far", lambda x: T.log(T.sigmoid(x)), -800.0, 1.0, 0.0),
        ("square times 0", lambda x: T.square(x) * (x - 3), 3.0, 9.0, 12.0),
        ("prod", lambda x: T.prod(T.stack([x, x, x - 1])), 1.0, 1.0, 4.0),
        ("max tie", lambda x: T.maximum(x, 2 - x), 1.0, 1.0, 0.0),
        ("xlogx masked", lambda x: T.where(x > 0, x * T.log(x), 0.0), 0.0, 0.0, 0.0),
    ],
)
def test_exactly_where_adjoints_vanish(name, make, point, first, second):
    x = TensorType("float64", ())("x")
    one = grad(make(x), x)
    assert np.isclose(evaluate([one], {x: point})[0], first)
    if second is not None:
        assert np.isclose(evaluate([grad(one, x)], {x: point})[0], second)
