"""An element-wise op is one record; nothing else has to know it for a GPU."""

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.ops.arithmetic import chain, square, sub
from symnet.ops.elementwise import ELEMENTWISE, elementwise, to_float


@pytest.fixture
def lisht():
    """x tanh(x)."""
    yield elementwise(
        "lisht",
        "x * tanh(x)",
        lambda x: x * np.tanh(x),
        gradient=lambda g, out, x: [chain(g, T.tanh(x) + x * sub(1, square(T.tanh(x))))],
        dtypes=to_float,
    )
    del ELEMENTWISE["lisht"]


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_an_op_defined_in_one_place_runs_and_is_differentiated(lisht, on_device, dtype):
    x = T.matrix("x", dtype=dtype)
    y = lisht(x)
    f = symnet.function([x], [y, symnet.grad(T.sum(T.sqr(y)), x)])
    assert f.device == "emulated"
    given = np.linspace(-3, 3, 35).reshape(5, 7).astype(dtype)
    wide = given.astype("float64")
    tanh = np.tanh(wide)
    value = wide * tanh
    exact = [value, 2 * value * (tanh + wide * (1 - tanh**2))]
    bound = {"float16": 5e-3, "float32": 1e-5, "float64": 1e-13}[dtype]
    for found, wanted in zip(f(given), exact, strict=True):
        assert found.dtype == dtype
        np.testing.assert_allclose(found, wanted, rtol=bound, atol=bound)
