"""Initial values: spread, limits, seeds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symnet import config
from symnet.errors import ShapeError
from symnet.nn import glorot_normal, glorot_uniform, he_normal, he_uniform
from symnet.nn.init import fans

ALL = [glorot_normal, glorot_uniform, he_normal, he_uniform]


@pytest.mark.parametrize(
    "shape, fan_in, fan_out", [((300, 200), 300, 200), ((40, 30, 3, 5), 450, 600)]
)
@pytest.mark.parametrize("init", ALL)
def test_spread(init, shape, fan_in, fan_out):
    assert fans(shape) == (fan_in, fan_out)
    w = init(shape, 0, gain=1.5)
    variance = 2 / (fan_in + fan_out) if "glorot" in init.__name__ else 2 / fan_in
    count = w.size  # the standard error of a standard deviation is at most 1 / sqrt(2 count)
    assert abs(w.std() / (1.5 * variance**0.5) - 1) < 4 / (2 * count) ** 0.5
    assert abs(w.mean()) < 4 * w.std() / count**0.5
    if "uniform" in init.__name__:
        limit = 1.5 * (3 * variance) ** 0.5
        assert 0.99 * limit < np.abs(w).max() <= np.float32(limit)


@pytest.mark.parametrize("init", ALL)
@given(seed=st.integers(0, 2**64))
def test_seeds_and_generators(init, seed):
    assert (init((3, 4), seed) == init((3, 4), np.random.default_rng(seed))).all()
    assert (init((3, 4), seed) != init((3, 4), seed + 1)).any()
    rng = np.random.default_rng(seed)
    assert (init((3, 4), rng) != init((3, 4), rng)).any()


@pytest.mark.parametrize("init", ALL)
def test_dtype_is_floatx_unless_named(init):
    assert init((2, 2), 0).dtype == "float32"
    assert init((2, 2), 0, dtype="float64").dtype == "float64"
    with config.change(floatX="float64"):
        assert init((2, 2), 0).dtype == "float64"


@pytest.mark.parametrize("init", ALL)
def test_shapes(init):
    assert init((0, 3), 0).shape == (0, 3)
    with pytest.raises(ShapeError, match=r"\(3,\)"):
        init((3,), 0)
