"""Stabilising what is to be differentiated, around variables that must stay (design D12)."""

from collections.abc import Collection, Mapping, Sequence

from symnet.graph.traversal import toposort
from symnet.graph.variables import Variable
from symnet.rewrite.phases import stabilise


def stabilised(
    roots: Sequence[Variable], wrt: Collection[Variable], barriers: Collection[Variable]
) -> tuple[list[Variable], dict[Variable, Variable]]:
    """`roots` stabilised, and what has become of those variables that must not be rewritten away.

    Rewriting stops at a barrier, also behind it. That is right where no gradient flows further.
    A variable with some of `wrt` behind it is therefore taken out of the graph, what is behind it
    is stabilised on its own, and then put back: the second result maps it to its new self, equal
    in value. Roots that other roots depend on are treated likewise.
    """
    wrt, barriers, given = set(wrt), set(barriers), set(roots)
    order = toposort(roots)
    read = {v for node in order for v in node.inputs}
    after_wrt: set[Variable] = set()
    for node in order:
        if any(v in wrt or v in after_wrt for v in node.inputs):
            after_wrt.update(node.outputs)
    cuts = [
        v
        for node in order
        for v in node.outputs
        if v in read and v in after_wrt and (v in wrt or v in given or v in barriers)
    ]
    kept = [v for v in {*wrt, *barriers} if v not in after_wrt] + [
        v for v in roots if v in read and v not in after_wrt
    ]
    if not cuts:
        stable = stabilise(roots, set(kept))
        return stable, dict(zip(roots, stable))
    holes = {v: v.type() for v in cuts}
    outputs = [v for v in roots if v not in holes]
    results = stabilise(_with_holes([*cuts, *outputs], holes), {*kept, *holes.values()})
    moved: dict[Variable, Variable] = {}
    filled: dict[Variable, Variable] = {}
    for before, after in zip([*cuts, *outputs], results):
        moved[before] = _fill(after, filled)
        if before in holes:
            filled[holes[before]] = moved[before]
    return [moved[v] for v in roots], moved


def _with_holes(outputs: Sequence[Variable], holes: Mapping[Variable, Variable]) -> list[Variable]:
    """`outputs` rebuilt so that every node reads a hole instead of the variable it stands for."""
    table: dict[Variable, Variable] = {}
    for node in toposort(outputs):
        inputs = [holes[v] if v in holes else table.get(v, v) for v in node.inputs]
        if any(a is not b for a, b in zip(inputs, node.inputs)):
            table.update(zip(node.outputs, node.op.make_node(*inputs, origin=node.origin).outputs))
    return [table.get(v, v) for v in outputs]


def _fill(output: Variable, filled: dict[Variable, Variable]) -> Variable:
    """`output` with holes filled; `filled` also remembers what was rebuilt on the way."""
    for node in toposort([output], stop=filled):
        if any(v in filled for v in node.inputs):
            inputs = [filled.get(v, v) for v in node.inputs]
            copies = node.op.make_node(*inputs, origin=node.origin).outputs
            filled.update(zip(node.outputs, copies))
    return filled.get(output, output)
