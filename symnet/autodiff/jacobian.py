"""Matrices of derivatives, a row per element of a vector: what a user calls."""

from collections.abc import Iterable, Sequence
from typing import Any

from symnet.autodiff.gradient import grad
from symnet.errors import TypeMismatchError
from symnet.graph.types import FLOATS
from symnet.graph.variables import Variable
from symnet.ops.generate import zeros
from symnet.ops.indexing import index
from symnet.ops.joining import stack
from symnet.ops.shape import sizes_of

Wrt = Variable | Sequence[Variable]


def jacobian(
    expression: Variable,
    wrt: Wrt,
    consider_constant: Iterable[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """Derivatives of every element of `expression` with respect to every element of `wrt`.

    `expression` is a floating-point scalar, or a vector whose size is known when this is called
    (`T.specify_shape` states it): a gradient is built per element. The result has the form of
    `wrt`, each with the dimensions of `expression`, then those of the variable.

    Errors: TypeMismatchError for other expressions; else as `grad`.
    """
    if not isinstance(expression, Variable):
        raise TypeMismatchError(f"jacobian: {expression!r:.80} is not a symbolic variable")
    if expression.type.ndim == 0:
        return grad(expression, wrt, consider_constant, disconnected_inputs)
    if expression.type.ndim != 1 or expression.type.dtype not in FLOATS:
        raise TypeMismatchError(
            f"jacobian: {expression} ({expression.type}) is no floating-point scalar or vector"
        )
    (size,) = expression.type.shape
    if size is None:
        raise TypeMismatchError(
            f"jacobian: the size of {expression} ({expression.type}) is not known while the "
            f"expression is built; T.specify_shape states it; built at {expression.origin}"
        )
    targets = [wrt] if isinstance(wrt, Variable) else list(wrt)
    rows = [
        grad(index(expression, k), targets, consider_constant, disconnected_inputs)
        for k in range(size)
    ]
    results = [
        stack([row[k] for row in rows]) if rows else zeros((0, *sizes_of(v)), v.type.dtype)
        for k, v in enumerate(targets)
    ]
    if isinstance(wrt, Variable):
        return results[0]
    return tuple(results) if isinstance(wrt, tuple) else results


def hessian(
    cost: Variable,
    wrt: Wrt,
    consider_constant: Iterable[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """Second derivatives of a scalar with respect to a vector of known size, or to each of several.

    The result has the form of `wrt`. `hessian_vector_product` needs no known size. Errors: as
    `jacobian`.
    """

    def of(variable: Variable) -> Any:
        gradient = grad(cost, variable, consider_constant, disconnected_inputs)
        return jacobian(gradient, variable, consider_constant, "ignore")

    if isinstance(wrt, Variable):
        return of(wrt)
    results = [of(variable) for variable in wrt]
    return tuple(results) if isinstance(wrt, tuple) else results
