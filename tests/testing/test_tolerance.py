import numpy as np
import pytest

from symnet.errors import AssertionFailedError
from symnet.testing import assert_close


def test_equal_up_to_rounding():
    a = np.array([1.0, np.nan, np.inf, -np.inf, 0.0], "float32")
    assert_close(a * np.float32(1 + 1e-6), a)
    assert_close(np.array([-0.0]), np.array([0.0]))
    # cancelled against the size of the rest
    assert_close(np.array([1e6, 1e-3], "float32"), np.array([1e6, 2e-3], "float32"))
    assert_close(np.zeros((0, 3)), np.zeros((0, 3)))


@pytest.mark.parametrize(
    "actual, expected, says",
    [
        (np.float32(1), np.float64(1), "float32"),
        (np.zeros(2), np.zeros((1, 2)), "shape"),
        (np.array([1, 2]), np.array([1, 3]), "1 of 2"),
        (np.array([True]), np.array([False]), "differs"),
        (np.array([1.0, 1.001]), np.array([1.0, 1.0]), r"\(1,\)"),
        (np.array([np.nan]), np.array([1.0]), "nan"),
        (np.array([1.0]), np.array([np.nan]), "nan"),
        (np.array([np.inf]), np.array([-np.inf]), "inf"),
        (np.array([1e308]), np.array([np.inf]), "inf"),
    ],
)
def test_differences_are_found(actual, expected, says):
    with pytest.raises(AssertionFailedError, match=says):
        assert_close(actual, expected)


def test_own_bounds():
    assert_close(np.array([1.1]), np.array([1.0]), rtol=0.2)
    with pytest.raises(AssertionFailedError):
        assert_close(np.array([1.0 + 1e-15]), np.array([1.0]), rtol=0, atol=0)
