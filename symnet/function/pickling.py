"""Graphs as flat lists for pickle, whose own recursion would end at some hundred nodes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from symnet.graph.op import Op
from symnet.graph.origin import Origin
from symnet.graph.traversal import leaves, toposort
from symnet.graph.types import TensorType
from symnet.graph.variables import Apply, Variable


@dataclass
class FlatGraph:
    """A graph without references between nodes: variables are numbered, leaves first.

    leaves  variables without owner; pickle keeps their identity, so that functions pickled
            together go on sharing their shared variables
    nodes   (op, numbers of the inputs, types of the outputs, names of the outputs, origin)
    roots   numbers of the variables that the graph is of
    """

    leaves: list[Variable]
    nodes: list[tuple[Op, list[int], list[TensorType], list[str | None], Origin]]
    roots: list[int]


def flatten(roots: Sequence[Variable]) -> FlatGraph:
    """The graph behind `roots` as plain data."""
    found = leaves(roots)
    number: dict[Variable, int] = {v: k for k, v in enumerate(found)}
    nodes: list[Any] = []
    for node in toposort(roots):
        for variable in node.outputs:
            number[variable] = len(number)
        nodes.append(
            (
                node.op,
                [number[v] for v in node.inputs],
                [v.type for v in node.outputs],
                [v.name for v in node.outputs],
                node.origin,
            )
        )
    return FlatGraph(found, nodes, [number[v] for v in roots])


def restore(flat: FlatGraph) -> list[Variable]:
    """The roots of a graph rebuilt from plain data."""
    variables = list(flat.leaves)
    for op, inputs, types, names, origin in flat.nodes:
        node = Apply(op, [variables[k] for k in inputs], types, origin)
        for variable, name in zip(node.outputs, names):
            variable.name = name
        variables.extend(node.outputs)
    return [variables[k] for k in flat.roots]
