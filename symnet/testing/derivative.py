"""Symbolic derivatives against numerical ones."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symnet.autodiff import grad
from symnet.backends.reference import evaluate
from symnet.errors import GradientMismatchError, TypeMismatchError
from symnet.graph.types import FLOATS, TensorType, is_float
from symnet.graph.variables import Variable, make_constant
from symnet.ops.arithmetic import add, mul
from symnet.ops.reduction import sum_

Evaluate = Callable[[Sequence[Variable], dict[Variable, Any]], Sequence[np.ndarray]]


def verify_grad(
    fun: Callable[..., Any],
    pt: Sequence[Any],
    n_tests: int = 2,
    rng: Any = None,
    eps: float | None = None,
    out_type: Any = None,
    abs_tol: float | None = None,
    rel_tol: float | None = None,
    mode: Any = None,
    cast_to_output_type: bool = False,
    no_debug_ref: bool = True,
    *,
    order: int = 1,
    static: bool = False,
    evaluate: Evaluate = evaluate,
) -> None:
    """Check `grad` of fun(*pt) with central differences along random directions, in float64.

    fun       from variables to a variable or a list of them; all its floating-point results are
              combined to one number with random weights, as many times as `n_tests` says
    pt        arrays or numbers; floating-point ones become float64 inputs, others are constants
              to the test
    rng       numpy.random.Generator, RandomState or a seed (default: 0)
    eps       step of the differences, relative to the size of the point (default: 1e-3; the
              formula is of fourth order)
    abs_tol, rel_tol  allowed difference (defaults 1e-8 and 1e-6; both are for values around 1)
    order     1, or 2 for second derivatives too
    static    give the inputs the static shapes of `pt`
    evaluate  what computes the values: by default the reference interpreter

    `out_type`, `mode`, `cast_to_output_type` and `no_debug_ref` are Theano's and change nothing.

    Errors: GradientMismatchError with the numbers, the points and the derivative expression.
    """
    generator = rng if hasattr(rng, "normal") else np.random.default_rng(rng or 0)
    points = [np.asarray(p) for p in pt]
    points = [p.astype("float64") if is_float(p) else p for p in points]
    inputs = [
        TensorType(p.dtype.name, p.shape if static else (None,) * p.ndim)(f"x{k}")
        for k, p in enumerate(points)
    ]
    moving = [k for k, p in enumerate(points) if is_float(p)]
    if not moving:
        raise TypeMismatchError("verify_grad: no floating-point value in pt to differentiate by")
    given = dict(zip(inputs, points))
    outputs = fun(*inputs)
    outputs = [outputs] if isinstance(outputs, Variable) else list(outputs)
    outputs = [v for v in outputs if v.type.dtype in FLOATS]
    sizes = [v.shape for v in evaluate(outputs, given)]
    step = 1e-3 if eps is None else eps
    bounds = (1e-8 if abs_tol is None else abs_tol, 1e-6 if rel_tol is None else rel_tol)
    wrt = [inputs[k] for k in moving]
    for _ in range(n_tests):
        cost = _weighted(outputs, [_direction(generator, s) for s in sizes])
        for level in range(1, order + 1):
            directions = [_direction(generator, points[k].shape) for k in moving]
            gradients = grad(cost, wrt, disconnected_inputs="ignore")
            slope = _weighted(gradients, directions)
            _compare(cost, slope, given, wrt, directions, gradients, step, bounds, level, evaluate)
            cost = slope


def _direction(generator: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Random numbers of either sign, none near zero, so that no element goes unnoticed."""
    size = np.asarray(generator.uniform(0.5, 1.5, shape))
    return size * np.where(np.asarray(generator.uniform(-1, 1, shape)) < 0, -1.0, 1.0)


def _weighted(variables: Sequence[Variable], weights: Sequence[np.ndarray]) -> Variable:
    """One number: the sum of all elements times weights."""
    total: Any = make_constant(0.0, "float64")
    for variable, weight in zip(variables, weights):
        # Of the variable's own type: the weights must not make sizes static that are not.
        data = np.array(weight, variable.type.dtype, order="C")
        constant = type(make_constant(0))(variable.type, data)
        total = add(total, sum_(mul(variable, constant)))
    return total


def _compare(
    cost: Variable,
    slope: Variable,
    given: dict[Variable, Any],
    wrt: Sequence[Variable],
    directions: Sequence[np.ndarray],
    gradients: Sequence[Variable],
    step: float,
    bounds: tuple[float, float],
    level: int,
    evaluate: Evaluate,
) -> None:
    def at(distance: float) -> float:
        moved = {v: given[v] + distance * d for v, d in zip(wrt, directions)}
        return float(evaluate([cost], {**given, **moved})[0])

    # Fourth-order central difference: error h**4 / 30 * f^(5).
    numerical = (8 * (at(step) - at(-step)) - (at(2 * step) - at(-2 * step))) / (12 * step)
    symbolic, *parts = evaluate([slope, *gradients], given)
    abs_tol, rel_tol = bounds
    # The terms of the sum set the scale: they may cancel.
    scale = max(
        [abs(numerical), abs(float(symbolic))]
        + [float(np.abs(g * d).max()) for g, d in zip(parts, directions) if g.size]
    )
    if not abs(numerical - symbolic) <= abs_tol + rel_tol * scale:  # also when NaN
        shown = "\n".join(
            f"  {v} = {np.array2string(np.asarray(given[v]), threshold=20)}\n"
            f"    gradient {np.array2string(g, threshold=20)}"
            for v, g in zip(wrt, parts)
        )
        raise GradientMismatchError(
            f"derivative of order {level}: symbolic {float(symbolic)!r}, numerical {numerical!r} "
            f"(difference {abs(numerical - float(symbolic)):.3g}, allowed "
            f"{abs_tol + rel_tol * scale:.3g})\n{shown}"
        )
