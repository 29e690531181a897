"""The backward pass: adjoints from the outputs of a graph to its inputs."""

from collections.abc import Collection, Mapping, Sequence

from symnet.errors import CompilerError, GradientError, SymnetError
from symnet.graph.traversal import toposort
from symnet.graph.types import FLOATS
from symnet.graph.variables import Apply, Variable
from symnet.ops.arithmetic import add
from symnet.ops.casting import cast
from symnet.ops.generate import zeros_like
from symnet.ops.reduction import sum_


def backward(
    seeds: Mapping[Variable, Variable],
    wrt: Collection[Variable],
    constant: Collection[Variable] = (),
) -> dict[Variable, Variable]:
    """Adjoints of the variables on the way from the keys of `seeds` to `wrt`.

    `seeds` gives the adjoints of some variables; they are not added to. Variables that only a
    zero derivative reaches are missing in the result. Nothing flows behind `constant`.
    """
    nodes = toposort(seeds, stop=constant)
    wanted = _depending(nodes, wrt, constant)
    adjoints = dict(seeds)
    for node in reversed(nodes):
        given = [adjoints.get(v) for v in node.outputs]
        if all(g is None for g in given) or not any(v in wanted for v in node.inputs):
            continue
        for x, g in zip(node.inputs, _rule(node, given)):
            if g is not None and x in wanted and x not in seeds:
                g = unbroadcast(g, x, node)
                adjoints[x] = add(adjoints[x], g) if x in adjoints else g
    return adjoints


def unbroadcast(g: Variable, x: Variable, node: Apply) -> Variable:
    """`g`, a gradient that `node` gave for its input `x`, with the dtype and sizes of `x`.

    Sums over the dimensions that the forward pass broadcast: all of them where x is a scalar,
    otherwise those where x has the static size 1 and g has not.
    """
    if g.type is x.type:
        return g
    if x.type.ndim == 0 and g.type.ndim:
        g = sum_(g)
    elif g.type.ndim == x.type.ndim:
        axes = [k for k, (a, b) in enumerate(zip(x.type.shape, g.type.shape)) if a == 1 and b != 1]
        if axes:
            g = sum_(g, axis=tuple(axes), keepdims=True)
    fits = g.type.ndim == x.type.ndim and all(
        a is None or b is None or a == b for a, b in zip(x.type.shape, g.type.shape)
    )
    if not fits:
        raise CompilerError(
            f"the gradient rule of {node.op} gave {g.type} for its input {x} of {x.type}; "
            f"{node} was built at {node.origin}"
        )
    return cast(g, x.type.dtype)


def differentiable(variable: Variable) -> bool:
    return variable.type.dtype in FLOATS


def _depending(
    nodes: Sequence[Apply], wrt: Collection[Variable], constant: Collection[Variable]
) -> set[Variable]:
    """The floating-point variables through which adjoints must pass to reach `wrt`."""
    found = {v for v in wrt if v not in constant}
    for node in nodes:
        if any(v in found for v in node.inputs):
            reached = zip(node.inputs, node.op.connected(node))
            if any(v in found and connected for v, connected in reached):
                found.update([v for v in node.outputs if differentiable(v)])
    if constant:
        found.difference_update(constant)
    return found


def _rule(node: Apply, given: Sequence[Variable | None]) -> Sequence[Variable | None]:
    """What the op's gradient rule says; outputs that nothing depends on get zero adjoints."""
    seeds = [zeros_like(v) if g is None else g for v, g in zip(node.outputs, given)]
    try:
        grads = node.op.grad(node.inputs, node.outputs, seeds)
    except NotImplementedError as error:
        raise GradientError(f"{error}; {node} was built at {node.origin}") from error
    except SymnetError as error:
        error.args = (f"{error}\nin the gradient of {node}, built at {node.origin}",)
        raise
    if len(grads) != len(node.inputs):
        raise GradientError(
            f"the gradient rule of {node.op} gave {len(grads)} results for {len(node.inputs)} "
            f"inputs; {node} was built at {node.origin}"
        )
    connected = node.op.connected(node)
    return [g if flows else None for g, flows in zip(grads, connected)]
