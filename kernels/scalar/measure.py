"""`python -m symnet.kernels.scalar.measure`: time of each function against NumPy and libm.

Prints the table of README.md: microseconds for 100,000 elements on one core, medians of rounds in
which all candidates take turns, and what compiling a kernel of twenty calls costs.
"""

from __future__ import annotations

import functools
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from symnet.kernels.scalar import FUNCTIONS, cpu

SIZE, ROUNDS = 100_000, 15
# where the arguments are drawn from, if not from a normal distribution
RANGES = {
    "log": (0.01, 10), "log2": (0.01, 10), "log10": (0.01, 10), "log1p": (-0.9, 10),
    "sqrt": (0, 10), "arcsin": (-1, 1), "arccos": (-1, 1), "arctanh": (-1, 1),
    "arccosh": (1, 10), "gammaln": (0.1, 10), "digamma": (0.1, 10), "power": (0, 3),
}  # fmt: skip
NAMES = [
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sigmoid", "softplus", "sin", "cos",
    "tan", "arcsin", "arccos", "arctan", "arctan2", "sinh", "cosh", "tanh", "arcsinh", "arccosh",
    "arctanh", "power", "erf", "erfc", "gammaln", "digamma", "sqrt", "floor_mod",
]  # fmt: skip
# what libm calls them; Numba compiles these to calls
LIBM = {
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "arcsinh": "asinh",
    "arccosh": "acosh", "arctanh": "atanh", "power": "pow", "gammaln": "lgamma",
}  # fmt: skip


def loop(function: Any, arity: int) -> Callable[..., None]:
    """A compiled loop over 1-d arrays, the last of which takes the results."""
    inputs = ", ".join(f"x{i}" for i in range(arity))
    values = ", ".join(f"x{i}[i]" for i in range(arity))
    scope = {"function": function}
    text = f"def run({inputs}, o):\n    for i in range(o.size):\n        o[i] = function({values})"
    exec(text, scope)
    return numba.njit(error_model="numpy")(scope["run"])


def turns(candidates: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Median microseconds of each candidate, taken in turns."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS):
        for name, call in candidates.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(t) * 1e6 for name, t in times.items()}


def measure(name: str, dtype: str) -> dict[str, float]:
    """Microseconds of ours, NumPy's and libm's version, as far as they exist."""
    arity = FUNCTIONS[name].arity
    rng = np.random.default_rng(0)
    shape = (arity, SIZE)
    drawn = rng.uniform(*RANGES[name], shape) if name in RANGES else rng.normal(size=shape)
    x = drawn.astype(dtype)
    out = np.empty(SIZE, dtype)
    calls: dict[str, Any] = {"ours": loop(getattr(cpu, name), arity)}
    libm = getattr(math, LIBM.get(name, name), None)  # math has no fitting floor_mod
    if libm is not None:
        calls["libm"] = loop(libm, arity)
    ufunc = getattr(np, name if name != "floor_mod" else "remainder", None)
    if ufunc is not None:
        calls["numpy"] = ufunc
    for call in calls.values():
        call(*x, out)
    return turns({key: functools.partial(call, *x, out) for key, call in calls.items()})


def compile_seconds(names: list[str]) -> float:
    """Time to compile a loop in which each function is applied to the result of the one before."""
    lines = ["def run(x, o):", "    for i in range(o.size):", "        v0 = x[i]"]
    for i, name in enumerate(names):
        arguments = ", ".join([f"v{i}"] * FUNCTIONS[name].arity)
        lines.append(f"        v{i + 1} = {name}({arguments})")
    lines.append(f"        o[i] = v{len(names)}")
    scope = {name: getattr(cpu, name) for name in names}
    exec("\n".join(lines), scope)
    array = numba.float32[::1]
    options: dict[str, Any] = {"error_model": "numpy", "no_cpython_wrapper": True}
    start = time.perf_counter()
    numba.njit(numba.void(array, array), **options)(scope["run"])
    return time.perf_counter() - start


def main() -> None:
    """Print the tables."""
    for dtype in ("float32", "float64"):
        print(f"\n| {dtype} | us | NumPy / ours | libm / ours |\n|---|---|---|---|")
        for name in NAMES:
            found = measure(name, dtype)
            ratios = [
                f"{found[key] / found['ours']:.1f}" if key in found else "-"
                for key in ("numpy", "libm")
            ]
            print(f"| {name} | {found['ours']:.0f} | {' | '.join(ratios)} |", flush=True)
    arithmetic = ["add", "mul", "sub", "maximum"] * 5
    mixed = ["exp", "mul", "tanh", "add", "log1p", "sub", "sigmoid", "maximum", "sqrt", "square"]
    print("\nCompiling a kernel of 20 calls, ms:")
    for label, names in (("arithmetic", arithmetic), ("mixed", mixed * 2)):
        compile_seconds(names)
        print(f"  {label}: {min(compile_seconds(names) for _ in range(3)) * 1e3:.0f}")


if __name__ == "__main__":
    main()
