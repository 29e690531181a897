"""Rounding to integers, and conversion to every dtype."""

from symnet.kernels.scalar.registry import define
from symnet.kernels.scalar.trace import DTYPES, Value


@define("any", inline=True)
def floor(a: Value) -> Value:
    return a.floor() if a.floating else a


@define("any", inline=True)
def ceil(a: Value) -> Value:
    return a.ceil() if a.floating else a


@define("any", inline=True)
def trunc(a: Value) -> Value:
    return a.trunc() if a.floating else a


@define("any", inline=True)
def round_even(a: Value) -> Value:
    """The nearest integer, halves to the even one, as `numpy.rint`."""
    return a.round_even() if a.floating else a


def _define_cast(dtype: str) -> None:
    @define("any", result=dtype, name=f"cast_{dtype}", inline=True)
    def cast(a: Value) -> Value:
        """To `dtype`: bool is `a != 0`; integers wrap; floats truncate, saturate, NaN gives 0."""
        if dtype == "bool" and a.dtype != "bool":
            return a != 0
        return a.to(dtype)


for _dtype in DTYPES:
    _define_cast(_dtype)
