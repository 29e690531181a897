"""A gemm and the kernel behind it, slab by slab: found where it is right, and equal to apart."""

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.kernels import gemm

x, w, v = T.matrix("x"), T.matrix("w"), T.matrix("v")
b = T.vector("b")
h = T.dot(x, w) + b

CASES = {
    "bias and activation": ([x, w, b], [T.nnet.relu(h)], [gemm.BY_ROWS]),
    "no bias": ([x, w], [T.tanh(T.dot(x, w))], [gemm.BY_ROWS]),
    "rows": ([x, w, b], [T.nnet.softmax(h)], [gemm.BY_ROWS]),
    "columns": (
        [x, w, v],
        [T.switch(v > 0, T.dot(x, w), 0), T.switch(v > 0, T.dot(x, w), 0).sum(axis=0)],
        [gemm.BY_COLUMNS],
    ),
    # what the first product read dies with it, and the kernel behind it needs new memory
    "dying operand": ([x, w, v], [T.exp(T.dot(T.tanh(x), w)) + v], [gemm.BY_ROWS]),
    "read across": ([x, w], [T.dot(x, w).T - T.dot(x, w).mean(axis=0, keepdims=True).T], []),
    "reversed rows": ([x, w], [T.exp(T.dot(x, w)[::-1])], []),
}


def arguments(inputs, m, k, n):
    rng = np.random.default_rng(m + k + n)
    shapes = {"x": (m, k), "w": (k, n), "v": (m, n), "b": (n,)}
    return [rng.standard_normal(shapes[i.name]).astype("float32") for i in inputs]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("sizes", [(128, 96, 160), (67, 301, 77), (500, 10, 333), (3, 5, 2)])
def test_together_is_as_apart(name, sizes):
    inputs, outputs, axes = CASES[name]
    with symnet.config.change(threads=2):
        together = symnet.function(inputs, outputs)
        apart = symnet.function(inputs, outputs)
        apart._runner.linked.pairs = {}
        found = together._runner.linked.pairs
        assert [p.axis for p in found.values()] == axes
        values = arguments(inputs, *sizes)
        reference = symnet.function(inputs, outputs, mode="reference")(*values)
        for a, c, r in zip(together(*values), apart(*values), reference):
            np.testing.assert_array_equal(a, c)
            np.testing.assert_allclose(a, r, rtol=2e-4, atol=2e-4)


def test_pairs_are_one_step_of_the_tape_and_two_when_profiled():
    inputs, outputs, _ = CASES["bias and activation"]
    values = arguments(inputs, 128, 48, 160)
    with symnet.config.change(threads=2):
        for profile, steps in ((False, 1), (True, 2)):
            f = symnet.function(inputs, outputs, profile=profile)
            f(*values)
            assert len(f._runner.free[0].steps) == steps


def test_a_failing_pair_is_an_error():
    y = T.lvector("y")
    log_p = T.nnet.log_softmax(h)
    cost = -log_p[T.arange(log_p.shape[0]), y]
    total = symnet.shared(np.zeros((), "float32"))
    with symnet.config.change(threads=2):
        f = symnet.function([x, w, b, y], cost, updates=[(total, total + cost.sum())])
        assert [p.axis for p in f._runner.linked.pairs.values()] == [gemm.BY_ROWS]
        values = arguments([x, w, b], 256, 64, 32)
        labels = np.arange(256) % 32
        f(*values, labels)
        before = total.get_value()
        labels[200] = 32
        with pytest.raises(symnet.errors.IndexOutOfBoundsError):
            f(*values, labels)
        assert total.get_value() == before
