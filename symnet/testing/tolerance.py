"""How far two computations of the same values may differ."""

from typing import Any

import numpy as np

from symnet.errors import AssertionFailedError
from symnet.graph.types import is_float

# (relative, absolute in units of the largest magnitude of the expected array). The absolute part
# is for sums whose terms cancel. Integers and booleans are equal or wrong.
TOLERANCES: dict[str, tuple[float, float]] = {
    "float64": (1e-11, 1e-13),
    "float32": (1e-5, 1e-6),
    "float16": (2e-3, 1e-3),
    "bfloat16": (1.6e-2, 8e-3),
}


def assert_close(
    actual: Any,
    expected: Any,
    what: str = "result",
    *,
    rtol: float | None = None,
    atol: float | None = None,
) -> None:
    """Raise AssertionFailedError unless two arrays agree in dtype, shape and values.

    NaN equals NaN, infinities must be equal, signs of zeros may differ. `rtol` and `atol` replace
    the table's bounds; `atol` is then absolute. The message names the worst element.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    if actual.dtype != expected.dtype or actual.shape != expected.shape:
        raise AssertionFailedError(
            f"{what} is {actual.dtype} of shape {actual.shape}, "
            f"{expected.dtype} of shape {expected.shape} was expected"
        )
    if not is_float(expected):
        wrong = actual != expected
        bound: Any = 0
    else:
        relative, share = TOLERANCES[expected.dtype.name]
        finite = np.isfinite(expected)
        if atol is None:
            largest = np.abs(expected[finite].astype("float64")).max() if finite.any() else 0.0
            atol = share * float(largest)
        rtol = relative if rtol is None else rtol
        with np.errstate(invalid="ignore", over="ignore"):
            bound = atol + rtol * np.abs(expected.astype("float64"))
            error = np.abs(actual.astype("float64") - expected.astype("float64"))
            near = finite & np.isfinite(actual) & (error <= bound)
        same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
        wrong = ~(near | same)
        with np.errstate(all="ignore"):
            excess = np.where(wrong, np.nan_to_num(error / (bound + 1e-300), nan=np.inf), -1.0)
    if not np.any(wrong):
        return
    places = np.argwhere(wrong)
    if is_float(expected):
        worst = np.unravel_index(int(np.argmax(excess)), expected.shape)
        allowed = f" (allowed {np.broadcast_to(bound, expected.shape)[worst]:.3g})"
    else:
        worst, allowed = tuple(places[0]), ""
    raise AssertionFailedError(
        f"{what} differs in {len(places)} of {expected.size} elements ({expected.dtype}, shape "
        f"{expected.shape}); at {tuple(map(int, worst))} it is {actual[worst]!r}, "
        f"{expected[worst]!r} was expected{allowed}"
    )
