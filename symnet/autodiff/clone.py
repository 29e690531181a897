"""Copies of expressions with variables exchanged: what a user calls."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from symnet.autodiff.gradient import substitute
from symnet.errors import TypeMismatchError
from symnet.graph.variables import Variable
from symnet.ops.conversion import as_variable


def clone(
    output: Variable | Sequence[Variable],
    replace: Mapping[Variable, Any] | Iterable[tuple[Variable, Any]] = (),
) -> Any:
    """`output`, one expression or a list, with every key of `replace` exchanged for its value.

    All exchanges happen at once; dtype and number of dimensions must be the same. Gradients in the
    graph are respected, see `symnet.autodiff.substitute`. Parts that depend on no key are shared.

    Errors: TypeMismatchError naming both variables; GradientError.
    """
    exchange = {}
    try:
        pairs = dict(replace)
    except (TypeError, ValueError):
        raise TypeMismatchError(
            f"clone: replace={replace!r:.60} is no dict, and no pairs"
        ) from None
    for old, new in pairs.items():
        if not isinstance(old, Variable):
            raise TypeMismatchError(f"clone: {old!r:.60} is not a symbolic variable")
        exchange[old] = as_variable(new, None if isinstance(new, Variable) else old.type.dtype)
    single = isinstance(output, Variable)
    given: Any = output
    outputs = list(given) if not single and isinstance(given, Iterable) else [given]
    for variable in outputs:
        if not isinstance(variable, Variable):
            raise TypeMismatchError(f"clone: {variable!r:.60} is not a symbolic variable")
    results = substitute(outputs, exchange)
    return results[0] if single else results
