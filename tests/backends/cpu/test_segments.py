"""Native segments with Python between them give what one interpreter gives."""

from dataclasses import dataclass

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.backends.cpu.segments import SegmentedRunner
from symnet.errors import CompilerError, ShapeError
from symnet.graph import Op, TensorType, clone_replace, toposort
from symnet.testing import random_graph

x = T.matrix("x")
y = T.lvector("y")
A = np.arange(6, dtype="float32").reshape(2, 3)


@dataclass(frozen=True)
class Through(Op):
    """The identity, in Python. `view` hands out its input, else a copy that is not contiguous."""

    view: bool = False

    def output_types(self, given):
        return [given.type]

    def infer_shape(self, node, shapes, context):
        return shapes

    def perform(self, node, inputs):
        if self.view or not inputs[0].ndim:
            return [inputs[0]]
        return [np.repeat(inputs[0], 2, axis=-1)[..., ::2]]


@dataclass(frozen=True)
class Halves(Op):
    """Two outputs, whose sizes nobody knows before."""

    def output_types(self, given):
        return [TensorType(given.type.dtype, (None,)), TensorType("int64", ())]

    def perform(self, node, inputs):
        flat = inputs[0].ravel()
        return [flat[flat > flat.mean()], np.array(flat.size)]


def test_python_ops_everywhere():
    W = symnet.shared(A.T + 1, name="W")
    through = Through()
    first = through(T.dot(x, W))
    second = through(first) + through(W).sum() + through(x).mean() + through(T.constant(A)).max()
    f = symnet.function(
        [x], [second, first, x, through(x), first.T], updates=[(W, W + first.sum())]
    )
    assert isinstance(f._runner, SegmentedRunner)
    w = W.get_value()
    product = A @ w
    expected = [product + w.sum() + A.mean() + A.max(), product, A, A, product.T]
    for found, value in zip(f(A), expected):
        assert np.allclose(found, value, rtol=1e-5) and found.flags.c_contiguous
    assert np.allclose(W.get_value(), w + product.sum())


def test_outputs_whose_sizes_python_decides():
    large, size = Halves()(x * 2)
    f = symnet.function([x], [large + 1, size * 2, T.arange(size), large.shape[0]])
    for given in (A, A - 3, np.ones((3, 3), "float32")):
        flat = 2 * given.ravel()
        chosen = flat[flat > flat.mean()]
        found = f(given)
        assert np.array_equal(found[0], chosen + 1) and found[1] == 2 * given.size
        assert np.array_equal(found[2], np.arange(given.size)) and found[3] == len(chosen)


def test_sizes_that_kernels_compute():
    n = T.max(y)
    f = symnet.function([y], [T.arange(n) * 2, T.zeros((n, 2)).shape[0]])
    for given in ([3, 1], [0], [7, 7, 2]):
        doubled, rows = f(given)
        assert np.array_equal(doubled, 2 * np.arange(max(given))) and rows == max(given)


def test_outputs_of_python_ops_are_fresh():
    W = symnet.shared(A.copy(), name="W")
    through = Through(view=True)
    f = symnet.function([x], [through(x), through(W), through(through(W)) + 0])
    outputs = f(A)
    for k, out in enumerate(outputs):
        assert not np.may_share_memory(out, A) and not np.may_share_memory(out, W.storage)
        out[...] = k
    assert np.array_equal(W.get_value(), A) and [o[0, 0] for o in outputs] == [0, 1, 2]


def test_what_python_returns_is_checked():
    @dataclass(frozen=True)
    class Liar(Op):
        returned: str

        def output_types(self, given):
            return [given.type]

        def infer_shape(self, node, shapes, context):
            return shapes

        def perform(self, node, inputs):
            wrong = {"dtype": inputs[0].astype("float64"), "size": inputs[0][:1], "list": [1, 2]}
            return [wrong[self.returned]]

    for returned in ("dtype", "size", "list"):
        f = symnet.function([x], Liar(returned)(x) + 1)
        with pytest.raises(CompilerError, match=r"test_segments\.py"):
            f(A)


def test_sizes_are_checked_between_segments():
    f = symnet.function([x], Through()(x * 2) + T.zeros((3, 3)))
    assert f(np.ones((3, 3), "float32"))[0, 0] == 2
    with pytest.raises(ShapeError, match=r"test_segments\.py"):
        f(A)


@pytest.mark.parametrize("seed", range(25))
def test_random_programs_with_python_in_them(seed):
    rng = np.random.default_rng(seed)
    program = random_graph(seed, 15)
    built = program.build()
    roots = [*built.outputs, *(new for _, new in built.updates)]
    made = [v for node in toposort(roots) for v in node.outputs]
    for _ in range(2):
        place = made[int(rng.integers(len(made)))]
        roots = clone_replace(roots, {place: Through(bool(rng.integers(2)))(place)})
        made = [v for node in toposort(roots) for v in node.outputs]
    count = len(built.outputs)
    updates = list(zip([s for s, _ in built.updates], roots[count:]))
    f = symnet.function(built.inputs, roots[:count], updates=updates, on_unused_input="ignore")
    values = program.input_values()
    found = f(*[values[v.name] for v in built.inputs])
    found += [s.get_value() for s, _ in built.updates]
    expected = [a for part in program.expected() for a in part]
    bounds = [b for part in program.tolerances() for b in part]
    for a, b, bound in zip(found, expected, bounds, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        if a.size:
            assert np.abs(a.astype("float64") - b.astype("float64")).max() <= bound
