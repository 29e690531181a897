"""Initial values: spread, limits, seeds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symnet import config
from symnet.errors import ConfigError, DataError, ShapeError
from symnet.nn import (
    from_data,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    orthogonal,
)
from symnet.nn.init import constant, fans, normal, ones, uniform, zeros

SPREAD = [glorot_normal, glorot_uniform, he_normal, he_uniform, lecun_normal, lecun_uniform]
ALL = [*SPREAD, orthogonal]
ANY_SHAPE = [uniform, normal, zeros, ones, constant]


@pytest.mark.parametrize(
    "shape, fan_in, fan_out", [((300, 200), 300, 200), ((40, 30, 3, 5), 450, 600)]
)
@pytest.mark.parametrize("init", SPREAD)
def test_spread(init, shape, fan_in, fan_out):
    assert fans(shape) == (fan_in, fan_out)
    w = init(shape, 0, gain=1.5)
    kind = init.__name__.partition("_")[0]
    variance = {"glorot": 2 / (fan_in + fan_out), "he": 2 / fan_in, "lecun": 1 / fan_in}[kind]
    count = w.size  # the standard error of a standard deviation is at most 1 / sqrt(2 count)
    assert abs(w.std() / (1.5 * variance**0.5) - 1) < 4 / (2 * count) ** 0.5
    assert abs(w.mean()) < 4 * w.std() / count**0.5
    if "uniform" in init.__name__:
        limit = 1.5 * (3 * variance) ** 0.5
        assert 0.99 * limit < np.abs(w).max() <= np.float32(limit)


@pytest.mark.parametrize("init", [*ALL, uniform, normal])
@given(seed=st.integers(0, 2**64))
def test_seeds_and_generators(init, seed):
    assert (init((3, 4), seed) == init((3, 4), np.random.default_rng(seed))).all()
    assert (init((3, 4), seed) != init((3, 4), seed + 1)).any()
    rng = np.random.default_rng(seed)
    assert (init((3, 4), rng) != init((3, 4), rng)).any()


@pytest.mark.parametrize("init", ALL + ANY_SHAPE)
def test_dtype_is_floatx_unless_named(init):
    assert init((2, 2), 0).dtype == "float32"
    assert init((2, 2), 0, dtype="float64").dtype == "float64"
    assert init((2, 2), 0, dtype="bfloat16").dtype.name == "bfloat16"
    with config.change(floatX="float64"):
        assert init((2, 2), 0).dtype == "float64"


@pytest.mark.parametrize("init", ALL)
def test_shapes(init):
    assert init((0, 3), 0).shape == (0, 3)
    with pytest.raises(ShapeError, match=r"\(3,\)"):
        init((3,), 0)


# ---- orthogonal


@given(
    rows=st.integers(1, 12), columns=st.integers(1, 12), seed=st.integers(0, 99),
    gain=st.floats(0.1, 3),
)  # fmt: skip
def test_orthogonal(rows, columns, seed, gain):
    w = orthogonal((rows, columns), seed, gain=gain, dtype="float64")
    square = w @ w.T if rows <= columns else w.T @ w
    np.testing.assert_allclose(square, gain**2 * np.eye(min(rows, columns)), atol=1e-10)


def test_kernels_of_convolutions_are_orthogonal_by_channel():
    w = orthogonal((6, 3, 2, 2), 0, dtype="float64")
    assert w.shape == (6, 3, 2, 2)
    flat = w.reshape(6, 12)
    np.testing.assert_allclose(flat @ flat.T, np.eye(6), atol=1e-12)


def test_orthogonal_matrices_have_no_preferred_sign():
    """Without the correction of Mezzadri's page 599 the diagonal would be biased."""
    rng = np.random.default_rng(0)
    diagonal = np.array([np.diagonal(orthogonal((3, 3), rng)) for _ in range(400)])
    assert np.abs(diagonal.mean(axis=0)).max() < 4 * 3**-0.5 / 20


# ---- of any shape


@pytest.mark.parametrize("init", ANY_SHAPE)
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (2, 3, 4)])
def test_any_shape(init, shape):
    assert init(shape, np.random.default_rng(0)).shape == shape


def test_plain_values():
    assert (zeros((2, 2)) == 0).all() and (ones((2, 2)) == 1).all()
    assert (constant((2, 2), value=0.5) == 0.5).all() and (constant((2,)) == 0).all()


@given(low=st.floats(-5, 0), width=st.floats(0, 5), seed=st.integers(0, 99))
def test_uniform(low, width, seed):
    w = uniform((2000,), seed, low=low, high=low + width, dtype="float64")
    assert low <= w.min() and w.max() <= low + width
    assert abs(w.mean() - (low + width / 2)) <= 5 * width / 12**0.5 / 2000**0.5 + 1e-12
    unit = uniform((2000,), seed)
    assert -1 <= unit.min() < -0.9 and 0.9 < unit.max() <= 1


def test_normal():
    w = normal((100, 100), 0, std=0.3)
    assert abs(w.std() / 0.3 - 1) < 0.03 and abs(w.mean()) < 4 * 0.3 / 100
    assert abs(normal((100, 100), 0).std() / 0.05 - 1) < 0.03


def test_settings_outside_their_range():
    for low, high in ((1, 0), (0, np.inf), (np.nan, 1)):
        with pytest.raises(ConfigError, match="no range"):
            uniform((2,), 0, low=low, high=high)
    with pytest.raises(ConfigError, match="std="):
        normal((2,), 0, std=-1)


# ---- from the distribution of the data


def correlated(examples, inputs, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(examples, inputs)) @ rng.normal(size=(inputs, inputs)) + 3


@pytest.mark.parametrize("gain", [1.0, 0.5])
@pytest.mark.parametrize("units", [5, 400])
def test_units_have_unit_variance_on_the_data(gain, units):
    x = correlated(150, 7)
    w = from_data(x, gain=gain)((7, units), 0, dtype="float64")
    np.testing.assert_allclose((x @ w).std(axis=0), gain, rtol=1e-10)


def test_units_are_centred_examples():
    x = correlated(150, 7)
    w = from_data(x)((7, 150), 0, dtype="float64")
    centred = x - x.mean(axis=0)
    directions = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    cosines = directions @ (w / np.linalg.norm(w, axis=0))
    np.testing.assert_allclose(np.sort(cosines.max(axis=0)), 1, rtol=1e-12)
    # as many units as examples: each example once
    assert sorted(cosines.argmax(axis=0)) == list(range(150))


def test_many_examples_are_sampled():
    x = correlated(5000, 6)
    w = from_data(x)((6, 50), 0)
    assert w.dtype == "float32"
    deviation = (x @ w).std(axis=0)  # of all; the sample has 2000
    assert np.abs(deviation - 1).max() < 0.1


def test_images_and_repeated_examples():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 4, 5), dtype="uint8")
    images[5:] = 0
    w = from_data(images)((20, 90), 1)
    assert np.isfinite(w).all()
    np.testing.assert_allclose((images.reshape(40, 20) @ w).std(axis=0), 1, rtol=1e-5)
    same = np.ones((4, 3))
    same[0] = 2  # the mean is no example, so all of them are usable
    assert np.isfinite(from_data(same)((3, 8), 0)).all()


def test_seeds_of_data():
    make = from_data(correlated(50, 3))
    assert (make((3, 4), 1) == make((3, 4), np.random.default_rng(1))).all()
    assert (make((3, 4), 1) != make((3, 4), 2)).any()


def test_without_data_it_is_another_rule():
    np.testing.assert_array_equal(from_data()((3, 4), 5), glorot_uniform((3, 4), 5))


def test_data_that_do_not_fit():
    with pytest.raises(DataError, match="at least 2 examples"):
        from_data(np.ones((1, 3)))
    with pytest.raises(DataError, match="numbers"):
        from_data(np.array([["a"], ["b"]]))
    with pytest.raises(DataError, match="equal"):
        from_data(np.ones((5, 3)))((3, 2), 0)
    make = from_data(correlated(5, 3))
    for shape in ((4, 2), (3,), (3, 2, 1)):
        with pytest.raises(ShapeError, match="of 3 numbers"):
            make(shape, 0)
