"""Walks over the graph. All iterative: a chain of 100,000 nodes is a normal input."""

from collections.abc import Collection, Iterable, Sequence

from symnet.graph.variables import Apply, Constant, SharedVariable, Variable


def toposort(outputs: Iterable[Variable], stop: Collection[Variable] = ()) -> list[Apply]:
    """Apply nodes that `outputs` depend on, every node after its inputs.

    Does not look behind the variables in `stop`. The order is a depth-first one from the first
    output to the last and depends on nothing but the graph.
    """
    barrier = set(stop)
    order: list[Apply] = []
    seen: set[Apply] = set()
    for output in outputs:
        if output.owner is None or output in barrier or output.owner in seen:
            continue
        seen.add(output.owner)
        stack = [(output.owner, iter(output.owner.inputs))]
        while stack:
            node, rest = stack[-1]
            for variable in rest:
                owner = variable.owner
                if owner is not None and owner not in seen and variable not in barrier:
                    seen.add(owner)
                    stack.append((owner, iter(owner.inputs)))
                    break
            else:
                order.append(node)
                stack.pop()
    return order


def leaves(outputs: Sequence[Variable], stop: Collection[Variable] = ()) -> list[Variable]:
    """Variables without owner (inputs, constants, shared), and those in `stop`, in order met."""
    barrier = set(stop)
    found: dict[Variable, None] = {}
    for node in toposort(outputs, stop):
        for variable in node.inputs:
            if variable.owner is None or variable in barrier:
                found.setdefault(variable)
    for variable in outputs:
        if variable.owner is None or variable in barrier:
            found.setdefault(variable)
    return list(found)


def graph_inputs(outputs: Sequence[Variable]) -> list[Variable]:
    """The leaves that need a value at each call: neither constant nor shared."""
    return [v for v in leaves(outputs) if not isinstance(v, (Constant, SharedVariable))]


def shared_inputs(outputs: Sequence[Variable]) -> list[SharedVariable]:
    """The shared variables that `outputs` read."""
    return [v for v in leaves(outputs) if isinstance(v, SharedVariable)]


def ancestors(outputs: Iterable[Variable], stop: Collection[Variable] = ()) -> set[Variable]:
    """All variables that `outputs` depend on, `outputs` included."""
    found = set(outputs)
    for node in toposort(outputs, stop):
        found.update(node.outputs)
        found.update(node.inputs)
    return found


def consumers(nodes: Iterable[Apply]) -> dict[Variable, list[tuple[Apply, int]]]:
    """For each variable the (node, input position) pairs that read it, among `nodes`."""
    readers: dict[Variable, list[tuple[Apply, int]]] = {}
    for node in nodes:
        for position, variable in enumerate(node.inputs):
            readers.setdefault(variable, []).append((node, position))
    return readers
