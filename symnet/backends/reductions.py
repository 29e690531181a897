"""What every back end knows of reductions: where they begin, and which need more digits."""

import numpy as np

from symnet.schedule.kernel import Accumulator

OF_BOOLS = {
    "any": "or", "max": "or", "sum": "or", "all": "and", "min": "and", "prod": "and",
}  # fmt: skip


def neutral(a: Accumulator) -> bool | int | float:
    """The neutral element."""
    if a.dtype == "bool":
        return OF_BOOLS[a.function] == "and"
    if a.function in ("sum", "prod"):
        return int(a.function == "prod")
    if a.dtype.startswith("float"):
        return -np.inf if a.function == "max" else np.inf
    limits = np.iinfo(a.dtype)
    return int(limits.min if a.function == "max" else limits.max)


def needs_wide(a: Accumulator) -> bool:
    """Float32 sums are blocked: long running sums would lose digits."""
    return a.function == "sum" and a.dtype == "float32"
