"""`grad` and its relatives: what a user calls."""

import functools
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from symnet.autodiff import derivation
from symnet.autodiff.backward import backward, differentiable
from symnet.autodiff.connection import connected_to, explain
from symnet.autodiff.derivation import Derivation, remember
from symnet.autodiff.stable import stabilised
from symnet.errors import DisconnectedInputError, NonScalarCostError, TypeMismatchError
from symnet.graph.clone import clone_replace
from symnet.graph.collection import without_collection
from symnet.graph.variables import Variable, make_constant
from symnet.ops.arithmetic import add, mul
from symnet.ops.casting import cast
from symnet.ops.conversion import as_variable
from symnet.ops.generate import zeros_like
from symnet.ops.reduction import sum_

Wrt = Variable | Sequence[Variable]


def grad(
    cost: Variable | None,
    wrt: Wrt,
    consider_constant: Iterable[Variable] | None = None,
    disconnected_inputs: str = "raise",
    add_names: bool = True,
    known_grads: Mapping[Variable, Any] | None = None,
    return_disconnected: str = "zero",
    null_gradients: str = "raise",
) -> Any:
    """Symbolic gradient of a scalar with respect to one or several variables.

    cost                 0-d floating-point expression; None if `known_grads` says all
    wrt                  floating-point variable, or a list or tuple of them; any variable of the
                         graph, not only inputs. The result has the same form, each gradient the
                         dtype and dimensions of its variable
    consider_constant    variables behind which no gradient flows
    disconnected_inputs  "raise", "warn" or "ignore", where the cost does not depend on a wrt
    add_names            call the gradients "(dcost/dx)" where cost and x have names
    known_grads          gradients of the cost with respect to some of its intermediate
                         variables; they are taken instead of being computed
    return_disconnected  what a wrt without connection gets if that is no error: "zero" (zeros of
                         its size), "none" or "disconnected" (both: None)
    null_gradients       accepted for compatibility; an op without gradient always raises

    The expression that is differentiated is the stabilised one (log(1 + exp(x)) as softplus(x)):
    it has the same value and a better derivative. `wrt`, `consider_constant` and the keys of
    `known_grads` are never rewritten away. To exchange variables in a gradient use
    `symnet.autodiff.substitute`, which knows about this.

    Errors: NonScalarCostError; TypeMismatchError for a wrt that is not of a floating-point dtype
    or a known gradient of the wrong dimensions; DisconnectedInputError with the path and the op
    that cuts it; GradientError for an op that has no gradient.
    """
    _one_of("disconnected_inputs", disconnected_inputs, ("raise", "warn", "ignore"))
    _one_of("return_disconnected", return_disconnected, ("zero", "none", "disconnected"))
    _one_of("null_gradients", null_gradients, ("raise", "return"))
    targets = _variables("grad: wrt", wrt)
    given = () if consider_constant is None else consider_constant
    constant = _variables("grad: consider_constant", given)
    for variable in targets:
        if not differentiable(variable):
            raise TypeMismatchError(
                f"grad with respect to {variable} ({variable.type}), made at {variable.origin}: "
                "only floating-point variables have gradients"
            )
    seeds = _seeds(cost, known_grads)
    live = connected_to(seeds, constant)
    missing = [v for v in dict.fromkeys(targets) if v not in live]
    if missing and disconnected_inputs != "ignore":
        message = "\n".join(explain(v, list(seeds), constant) for v in missing)
        if disconnected_inputs == "raise":
            raise DisconnectedInputError(f"grad: {message}")
        warnings.warn(f"grad: {message}", stacklevel=2)
    reached = tuple(dict.fromkeys(v for v in targets if v in live))
    found, _ = differentiate(Derivation(tuple(seeds.items()), reached, tuple(constant)))
    gradients: list[Variable | None] = []
    for variable in targets:
        if variable in found:
            gradients.append(found[variable])
        else:
            gradients.append(zeros_like(variable) if return_disconnected == "zero" else None)
        if add_names and cost is not None and cost.name and variable.name:
            gradient = gradients[-1]
            if gradient is not None and gradient.owner is not None and gradient.name is None:
                gradient.name = f"(d{cost.name}/d{variable.name})"
    if isinstance(wrt, Variable):
        return gradients[0]
    return tuple(gradients) if isinstance(wrt, tuple) else gradients


def substitute(
    outputs: Sequence[Variable], exchange: Mapping[Variable, Variable]
) -> list[Variable]:
    """`outputs` rebuilt with every key of `exchange` replaced by its value, all at once.

    `clone_replace` for graphs that may contain gradients: where a key was rewritten away before
    a gradient was taken, the gradient is derived anew with the key kept, then the key replaced.
    So the result is always the gradient expression, as it would be without stabilising, evaluated
    with the key's new value (Theano's meaning of `givens`): the gradient of the function that was
    differentiated, not that of the function with the exchange made.

    Errors: TypeMismatchError for values of other dtype or dimensions; GradientError where inner
    variables of a gradient's graph were exchanged before in another call.
    """
    return derivation.substitute(outputs, exchange, differentiate)


def differentiate(
    how: Derivation,
) -> tuple[dict[Variable, Variable], dict[Variable, Variable]]:
    """The gradients that a derivation describes, by their wrt, and what stabilising has made of
    the variables that it had to keep. The gradients remember their derivation."""
    with without_collection():
        seeds = dict(how.seeds)
        stable, moved = stabilised(how.roots, how.wrt, {*how.constant, *how.barriers})
        adjoints = backward(
            {after: seeds[before] for before, after in zip(seeds, stable)},
            {moved.get(v, v) for v in how.wrt},
            {moved.get(v, v) for v in how.constant},
        )
        found = {}
        for variable in how.wrt:
            adjoint = adjoints.get(moved.get(variable, variable))
            found[variable] = zeros_like(variable) if adjoint is None else adjoint
        remember(how, found, any(a is not b for a, b in zip(seeds, stable)))
    return found, moved


def Lop(
    f: Wrt,
    wrt: Wrt,
    eval_points: Any,
    consider_constant: Iterable[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """Vector-Jacobian product: the gradient of sum(f * eval_points) with respect to `wrt`.

    `f` and `eval_points` are variables of equal types, or lists of them; the result has the form
    of `wrt`. Errors as `grad`.
    """
    outputs, points = _pairs("Lop", f, eval_points)
    known: dict[Variable, Any] = {}
    for output, point in zip(outputs, points):
        known[output] = add(known[output], point) if output in known else point
    return grad(None, wrt, consider_constant, disconnected_inputs, known_grads=known)


def Rop(f: Wrt, wrt: Wrt, eval_points: Any, disconnected_outputs: str = "raise") -> Any:
    """Jacobian-vector product: the derivative of `f` when `wrt` moves along `eval_points`.

    Computed as the vector-Jacobian product of a vector-Jacobian product, which is linear in its
    vector. The result has the form of `f`. An `f` that depends on no `wrt` gets zeros with
    disconnected_outputs="ignore". Errors as `grad`.
    """
    _one_of("disconnected_outputs", disconnected_outputs, ("raise", "ignore"))
    targets, points = _pairs("Rop", wrt, eval_points)
    outputs = _variables("Rop: f", f)
    results = []
    for output in outputs:
        vector = output.type()
        pulled = grad(
            None,
            targets,
            disconnected_inputs="ignore",
            known_grads={output: vector},
            return_disconnected="none",
        )
        seeds: dict[Variable, Variable] = {}
        for gradient, point in zip(pulled, points):
            if gradient is not None:
                seeds[gradient] = add(seeds[gradient], point) if gradient in seeds else point
        if not seeds and disconnected_outputs == "raise":
            raise DisconnectedInputError("Rop: " + explain(targets[0], [output]))
        pushed = (
            grad(None, vector, disconnected_inputs="ignore", known_grads=seeds)
            if seeds
            else (zeros_like(output))
        )
        # Linear, so the vector is gone, except in what was built only for its sizes.
        results.append(clone_replace([pushed], {vector: zeros_like(output)})[0])
    if isinstance(f, Variable):
        return results[0]
    return tuple(results) if isinstance(f, tuple) else results


def hessian_vector_product(cost: Variable, wrt: Wrt, vectors: Any) -> Any:
    """The Hessian of `cost` times `vectors`: gradient of the scalar <grad(cost), vectors>."""
    targets, points = _pairs("hessian_vector_product", wrt, vectors)
    gradients = grad(cost, targets)
    terms = [sum_(mul(gradient, point)) for gradient, point in zip(gradients, points)]
    inner = functools.reduce(add, terms)
    return grad(inner, wrt, disconnected_inputs="ignore")


def _seeds(
    cost: Variable | None, known_grads: Mapping[Variable, Any] | None
) -> dict[Variable, Variable]:
    """The variables whose adjoints are given, the cost among them, and these adjoints."""
    seeds: dict[Variable, Variable] = {}
    if cost is None and not known_grads:
        raise TypeMismatchError("grad: cost=None needs known_grads")
    if cost is not None:
        if not isinstance(cost, Variable):
            raise TypeMismatchError(f"grad: the cost {cost!r:.80} is not a symbolic variable")
        if cost.type.ndim or not differentiable(cost):
            raise NonScalarCostError(
                f"grad: the cost {cost} is {cost.type}; a 0-dimensional floating-point expression "
                f"is wanted, as of .sum() or .mean(); built at {cost.origin}"
            )
        seeds[cost] = make_constant(1, cost.type.dtype)
    if not isinstance(known_grads, Mapping | None):
        raise TypeMismatchError(f"grad: known_grads={known_grads!r:.80} is not a dict")
    for variable, gradient in (known_grads or {}).items():
        if not isinstance(variable, Variable):
            raise TypeMismatchError(f"grad: known_grads: {variable!r:.80} is not symbolic")
        gradient = as_variable(gradient)
        if gradient.type.ndim != variable.type.ndim or not differentiable(variable):
            raise TypeMismatchError(
                f"grad: a known gradient of {gradient.type} for {variable} of {variable.type}"
            )
        seeds[variable] = cast(gradient, variable.type.dtype)
    return seeds


def _pairs(what: str, variables: Any, points: Any) -> tuple[list[Variable], list[Variable]]:
    left = _variables(what, variables)
    right = list(points) if isinstance(points, (list, tuple)) else [points]
    if len(left) != len(right):
        raise TypeMismatchError(f"{what}: {len(right)} eval_points for {len(left)} variables")
    right = [as_variable(p) for p in right]
    for variable, point in zip(left, right):
        if variable.type.ndim != point.type.ndim:
            raise TypeMismatchError(
                f"{what}: eval point {point} ({point.type}) for {variable} ({variable.type})"
            )
    return left, right


def _variables(what: str, given: Any) -> list[Variable]:
    """A variable, or an iterable of them, as a list."""
    listed = [given] if isinstance(given, Variable) or not isinstance(given, Iterable) else given
    found = list(listed)
    for variable in found:
        if not isinstance(variable, Variable):
            raise TypeMismatchError(f"{what}: {variable!r:.80} is not a symbolic variable")
    return found


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise TypeMismatchError(f"{name}={value!r} is not one of {', '.join(map(repr, choices))}")
