"""Rewriting of halves: roundings stay, and products are made of what the back end has."""

import numpy as np
import pytest

import symnet.tensor as T
from symnet.backends.reference import evaluate
from symnet.graph import toposort
from symnet.graph.types import HALVES, NUMPY_DTYPES, TensorType
from symnet.ops.contraction import Dot, Gemm
from symnet.rewrite.phases import optimise

HALF = pytest.mark.parametrize("half", sorted(HALVES))


def ops(expression, level="full", **more):
    (result,), _ = optimise([expression], level, **more)
    return [str(node.op) for node in toposort([result])], result


@HALF
def test_a_cast_that_rounds_stays(half):
    x = T.vector("x")
    found, _ = ops(x.astype(half).astype("float32"))
    assert found == [f"cast_{half}", "cast_float32"]
    found, _ = ops(x.astype("float64").astype(half))  # by way of float32, or rounded once
    assert found == [f"cast_{half}"]


@HALF
def test_a_cast_that_does_not_round_goes(half):
    x = TensorType(half, (None,))("x")
    assert ops(x.astype("float32").astype(half)) == ([], x)
    assert ops(x.astype("float32").astype("float64"))[0] == ["cast_float64"]
    i = T.vector("i", dtype="int8")  # 256 is no int8: bfloat16 holds them all
    assert ops(i.astype(half).astype("float32"))[0] == ["cast_float32"]
    i = T.vector("i", dtype="int16")
    assert ops(i.astype(half).astype("float32"))[0] == [f"cast_{half}", "cast_float32"]


@HALF
def test_products(half):
    x, y = (TensorType(half, (None, None))(n) for n in "xy")
    for level in ("full", "none"):
        found, result = ops(T.dot(x, y) + x, level)
        assert found.count("cast_float32") == 2 and f"cast_{half}" in found
        assert all(v.type.dtype == "float32" for v in products(result)[0].inputs)
        found, result = ops(T.dot(x, y) + x, level, native_half_products=True)
        assert "cast_float32" not in found and type(products(result)[0].op) is Dot
    found, _ = ops(T.dot(x, x.T))
    assert found.count("cast_float32") == 1


def products(result):
    return [node for node in toposort([result]) if isinstance(node.op, (Dot, Gemm))]


@HALF
def test_products_of_constants_keep_the_range(half):
    """x * a * b is x * (a * b) only where that is no other number."""
    x = TensorType(half, (None,))("x")
    given = np.array([1, 2, -3]).astype(NUMPY_DTYPES[half])
    for a, b in ((2.0, 4.0), (2.0**-12, 2.0**-9), (2.0**9, 2.0**8), (2.0**-20, 2.0**15)):
        built = x * a * b
        (result,), _ = optimise([built])
        before, after = (evaluate([v], {x: given})[0] for v in (built, result))
        assert np.array_equal(before.view("uint16"), after.view("uint16"))
