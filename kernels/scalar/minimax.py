"""Where the coefficients come from: `python -m symnet.kernels.scalar.minimax` refits all.

Needs mpmath (the "test" extra). Not imported by anything else.

A fit minimises the largest error relative to the function that the polynomial serves, by weighted
least squares at Chebyshev nodes with Lawson's (1961) reweighting. Coefficients are then rounded one
after the other, from the lowest, the rest being refitted each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mpmath import mp

from symnet.kernels.scalar import (
    exponential,
    gamma,
    hyperbolic,
    inverse_trigonometric,
    logarithm,
    power,
    special,
    trigonometric,
)

Function = Callable[[Any], Any]
DIGITS = 60


@dataclass(frozen=True)
class Fit:
    """sum of c[i] * x**(start + step*i) for `function` on [low, high], relative to `weight`."""

    function: Function
    start: int
    step: int
    low: Any
    high: Any
    weight: Function
    dtype: str
    table: Sequence[float]  # the coefficients in use

    @property
    def precision(self) -> int:
        return 24 if self.dtype == "float32" else 53


def _nodes(fit: Fit, count: int) -> list[Any]:
    middle, radius = (mp.mpf(fit.low) + fit.high) / 2, (mp.mpf(fit.high) - fit.low) / 2
    return [middle - radius * mp.cos(mp.pi * (i + mp.mpf(1) / 2) / count) for i in range(count)]


def relative_error(fit: Fit, coefficients: Sequence[Any], count: int = 400) -> Any:
    """The largest error of these coefficients at Chebyshev nodes."""
    with mp.workdps(DIGITS):
        worst = mp.mpf(0)
        for x in _nodes(fit, count):
            value = mp.fsum(mp.mpf(c) * x ** (fit.step * i) for i, c in enumerate(coefficients))
            error = abs((value * x**fit.start - fit.function(x)) / fit.weight(x))
            worst = max(worst, error)
        return worst


def _least_squares(rows: list[list[Any]], target: list[Any], weights: list[Any]) -> list[Any]:
    n = len(rows[0])
    matrix, right = mp.matrix(n, n), mp.matrix(n, 1)
    for i in range(n):
        for j in range(i, n):
            matrix[i, j] = matrix[j, i] = mp.fsum(w * r[i] * r[j] for w, r in zip(weights, rows))
        right[i] = mp.fsum(w * r[i] * t for w, r, t in zip(weights, rows, target))
    return list(mp.lu_solve(matrix, right))


def refit(fit: Fit, rounds: int = 6) -> list[float]:
    """Coefficients, rounded to the dtype."""
    with mp.workdps(DIGITS):
        count = len(fit.table)
        nodes = _nodes(fit, 2 * (6 * count + 30))
        scale = [x**fit.start / fit.weight(x) for x in nodes]
        rows = [[s * x ** (fit.step * i) for i in range(count)] for s, x in zip(scale, nodes)]
        target = [fit.function(x) / fit.weight(x) for x in nodes]
        lawson = [mp.mpf(1)] * len(nodes)
        for _ in range(rounds):
            found = _least_squares(rows, target, lawson)
            errors = [abs(mp.fdot(found, r) - t) for r, t in zip(rows, target)]
            largest = max(errors)
            # the small constant keeps nodes alive that happen to be exact now
            lawson = [w * (e / largest + mp.mpf(2) / 100) for w, e in zip(lawson, errors)]
            mean = mp.fsum(lawson) / len(lawson)
            lawson = [w / mean for w in lawson]
        fixed: list[Any] = []
        for i in range(count):
            rest = [t - mp.fdot(fixed, r[:i]) for r, t in zip(rows, target)]
            free = _least_squares([r[i:] for r in rows], rest, lawson)
            with mp.workprec(fit.precision):
                fixed.append(+free[0])
        return [float(c) for c in fixed]


def fits() -> dict[str, Fit]:
    """Every polynomial in use."""
    with mp.workdps(DIGITS):
        return _fits()


def _fits() -> dict[str, Fit]:
    found: dict[str, Fit] = {}
    one, near = mp.mpf(1), mp.mpf("1e-5")  # 0 itself would divide 0 by 0
    half_log2 = mp.log(2) / 2 * mp.mpf("1.01")
    root = mp.sqrt(2) - 1
    s_limit = (root + mp.mpf("1e-3")) / (2 + root)
    quarter = mp.pi / 4 * mp.mpf("1.005")

    def tail(function: Function) -> Function:
        return lambda x: function(x) - x

    def series(s: Any) -> Any:
        return 2 * mp.atanh(s)

    def erfc_factor(centre: float) -> Function:
        def factor(q: Any) -> Any:
            x = centre * (1 + q) / (1 - q)
            return mp.exp(x * x) * mp.erfc(x) * (1 + 2 * x)

        return factor

    middle = 3 * one / 2
    psi_root = mp.findroot(mp.digamma, 1.46)

    def gammaln_factor(t: Any) -> Any:
        return mp.loggamma(t + middle) / ((t + one / 2) * (t - one / 2))

    def digamma_factor(t: Any) -> Any:
        return mp.digamma(t + middle) / (t + middle - psi_root)

    def stirling(z: Any) -> Any:
        x = 1 / mp.sqrt(z)
        return (mp.loggamma(x) - ((x - one / 2) * mp.log(x) - x + mp.log(2 * mp.pi) / 2)) * x

    def psi_tail(z: Any) -> Any:
        x = 1 / mp.sqrt(z)
        return (mp.log(x) - one / 2 / x - mp.digamma(x)) * x * x

    for dtype in ("float32", "float64"):
        form = exponential.FORMATS[dtype]
        centre = special._CENTRE[dtype]
        end = mp.mpf("10.3" if dtype == "float32" else "27.6")
        factor = erfc_factor(centre)
        rows: list[tuple[str, Function, int, int, Any, Any, Function, Sequence[float]]] = [
            ("exp", lambda x: mp.expm1(x) - x, 2, 1, -half_log2, half_log2, mp.expm1, form.exp),
            ("exp2", lambda x: 2**x - 1 - x * mp.log(2), 2, 1, -one / 2, one / 2,
             lambda x: 2**x, form.exp2),
            ("sin", tail(mp.sin), 3, 2, near, quarter, mp.sin, trigonometric._SIN[dtype]),
            ("cos", lambda x: mp.cos(x) - 1 + x * x / 2, 4, 2, near, quarter, mp.cos,
             trigonometric._COS[dtype]),
            ("arctan", tail(mp.atan), 3, 2, near, root + mp.mpf("1e-4"), mp.atan,
             inverse_trigonometric._ARCTAN[dtype]),
            ("arcsin", tail(mp.asin), 3, 2, near, mp.mpf("0.5005"), mp.asin,
             inverse_trigonometric._ARCSIN[dtype]),
            ("sinh", tail(mp.sinh), 3, 2, near, mp.mpf("1.001"), mp.sinh, hyperbolic._SINH[dtype]),
            ("erf", tail(mp.erf), 1, 2, near, mp.mpf("1.001"), mp.erf, special._ERF[dtype]),
            ("erfc", factor, 0, 1, -one, (end - centre) / (end + centre), factor,
             special._ERFC[dtype]),
            ("gammaln", gammaln_factor, 0, 1, -one / 2, one / 2, gammaln_factor,
             gamma._GAMMALN[dtype]),
            ("digamma", digamma_factor, 0, 1, -one / 2, one / 2, digamma_factor,
             gamma._DIGAMMA[dtype]),
            ("stirling", stirling, 0, 1, mp.mpf("1e-7"), one / 64, stirling,
             gamma._STIRLING[dtype]),
            ("digamma tail", psi_tail, 0, 1, mp.mpf("1e-7"), one / 64, psi_tail,
             gamma._PSI_TAIL[dtype]),
        ]  # fmt: skip
        for name, function, start, step, low, high, weight, table in rows:
            found[f"{name} {dtype}"] = Fit(function, start, step, low, high, weight, dtype, table)
    margin = mp.mpf("1e-3")
    for name, low, high, table in (
        ("log float32", mp.sqrt(one / 2) - 1 - margin, root + margin, logarithm._LOG32),
        ("log1p float32", -one / 4 - margin, one / 2 + margin, logarithm._LOG1P32),
        ("softplus float32", near, mp.mpf("1.0001"), logarithm._LOG32_TO_2),
    ):
        found[name] = Fit(tail(mp.log1p), 2, 1, low, high, mp.log1p, "float32", table)
    for name, table in (("log float64", logarithm._LOG64), ("power float32", power._ATANH)):
        found[name] = Fit(
            lambda s: series(s) - 2 * s, 3, 2, near, s_limit, series, "float64", table
        )
    found["power float64"] = Fit(
        lambda s: series(s) - 2 * s - 2 * s**3 / 3, 5, 2, mp.mpf("1e-4"), s_limit, series,
        "float64", power._TAIL,
    )  # fmt: skip
    found["exp2 of power float32"] = Fit(
        lambda x: 2**x - 1, 1, 1, -one / 2, one / 2, lambda x: 2**x, "float64", power._EXP2
    )
    return found


def main() -> None:
    """Refit every polynomial; print where the result differs from the table in use."""
    for name, fit in fits().items():
        new = refit(fit)
        old_error, new_error = (
            mp.nstr(mp.log(relative_error(fit, c), 2), 4) for c in (fit.table, new)
        )
        print(f"{name}: relative error 2^{old_error} in use, 2^{new_error} refitted")
        if list(fit.table) != new:
            print("    (" + ", ".join(map(repr, new)) + ")")


if __name__ == "__main__":
    main()
