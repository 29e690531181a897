"""The coefficient tables: as good as their comments say, and reproducible."""

import pytest
from mpmath import mp

from symnet.kernels.scalar.minimax import fits, refit, relative_error

FITS = fits()
# power of float32 computes in float64 to float32's needs
ENOUGH = {"power float32": -44, "exp2 of power float32": -34, "power float64": -66}


@pytest.mark.parametrize("name", FITS)
def test_polynomials_are_accurate_enough(name):
    fit = FITS[name]
    limit = ENOUGH.get(name, -24.9 if fit.dtype == "float32" else -53.4)
    assert mp.log(relative_error(fit, fit.table, 80), 2) < limit


@pytest.mark.parametrize("name", ["exp float32", "sin float64", "power float32", "log float64"])
def test_refitting_gives_the_table(name):
    assert refit(FITS[name]) == list(FITS[name].table)
