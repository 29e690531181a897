"""One check for structured ops: values, dtypes, shapes (real, static, inferred), gradients."""

import ml_dtypes  # noqa: F401  (np.dtype("bfloat16") is known from here on)
import numpy as np
import pytest

import symnet.tensor  # noqa: F401  gives variables their operators
from symnet.backends.reference import evaluate, evaluate_all
from symnet.graph import TensorType, dims, toposort
from symnet.testing import assert_close, verify_grad


class SizesOfNode:
    """A ShapeContext that answers with unknowns, and remembers what must hold of them."""

    def __init__(self):
        self.conditions = []

    def value(self, variable):
        return dims.Dim("value", (variable,))

    def require(self, a, b, why):
        self.conditions.append((dims.apply("eq", a, b), why))

    def check(self, condition, why, index=False):
        self.conditions.append((condition, why))


def check_inferred(outputs, values):
    """The size expressions of every node, with the real numbers put in, give the real shapes."""
    known = evaluate_all(outputs, values)
    for node in toposort(outputs):
        context, leaves, shapes = SizesOfNode(), {}, []
        for v in node.inputs:
            shapes.append(tuple(dims.Dim("dim", (v, k)) for k in range(v.type.ndim)))
            leaves.update(zip(shapes[-1], known[v].shape))
            if v.type.ndim == 0 and v.type.dtype == "int64":
                leaves[dims.Dim("value", (v,))] = int(known[v])
        try:
            inferred = node.op.infer_shape(node, shapes, context)
        except NotImplementedError:
            continue
        for out, shape in zip(node.outputs, inferred):
            assert tuple(dims.evaluate(s, leaves) for s in shape) == known[out].shape, node
        for condition, why in context.conditions:
            assert dims.evaluate(condition, leaves), (str(node), why)


def variables(arrays, static):
    return [
        TensorType(a.dtype.name, a.shape if static else (None,) * a.ndim)(f"v{k}")
        for k, a in enumerate(arrays)
    ]


def agree_(symbolic, reference, *arrays, dtype=None, order=0, **bounds):
    """`symbolic` over variables equals `reference` over arrays, of known and of unknown shape.

    dtype  that of the result, unless it is the reference's
    order  of the derivatives to check too
    """
    arrays = [np.asarray(a) for a in arrays]
    want = np.asarray(reference(*arrays))
    want = want.astype(dtype or want.dtype)
    for static in (False, True):
        inputs = variables(arrays, static)
        out = symbolic(*inputs)
        values = dict(zip(inputs, arrays))
        assert_close(evaluate([out], values)[0], want, **bounds)
        check_inferred([out], values)
        if static:
            assert all(s is None or s == n for s, n in zip(out.type.shape, want.shape))
        if order:
            verify_grad(symbolic, arrays, order=order, static=static)
    return out


@pytest.fixture(scope="session")
def agree():
    return agree_


@pytest.fixture(scope="session")
def run():
    """The value of symbolic(*variables of unknown shape)."""

    def run_(symbolic, *arrays):
        arrays = [np.asarray(a) for a in arrays]
        inputs = variables(arrays, False)
        return evaluate([symbolic(*inputs)], dict(zip(inputs, arrays)))[0]

    return run_
