"""Rounding to integers, and conversion to every dtype."""

from symnet.kernels.scalar.registry import define
from symnet.kernels.scalar.trace import DTYPES, INTEGERS, SIGNED, Value, bits_of, select


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


def _saturated(a: Value, dtype: str) -> Value:
    """A float truncated to an integer dtype, limited to its range, NaN to 0."""
    width, signed = bits_of(dtype), dtype in SIGNED
    low, high = (-(2 ** (width - 1)), 2 ** (width - 1)) if signed else (0, 2**width)
    inside = (a >= low) & (a < high)
    value = select(inside, a, 0)
    value = value.to("int32").to(dtype) if width < 32 else value.to(dtype)
    value = select(a >= high, high - 1, value)
    return select(a < low, low, value)


def _define_cast(dtype: str) -> None:
    @define("any", result=dtype, name=f"cast_{dtype}", inline=True)
    def cast(a: Value) -> Value:
        """To `dtype`: bool is `a != 0`; integers wrap; floats truncate, saturate, NaN gives 0."""
        if dtype == "bool" and a.dtype != "bool":
            return a != 0
        if a.floating and dtype in INTEGERS:
            return _saturated(a, dtype)
        return a.to(dtype)


for _dtype in DTYPES:
    _define_cast(_dtype)
