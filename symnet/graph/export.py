"""Graphs as networkx graphs, for analysis and drawing."""

from collections.abc import Sequence
from typing import Any

from symnet.graph.traversal import toposort
from symnet.graph.variables import Constant, SharedVariable, Variable


def to_networkx(outputs: Variable | Sequence[Variable]) -> Any:
    """A `networkx.MultiDiGraph` whose nodes are variables and apply nodes, edges along the data.

    Attributes of nodes: `kind` ("apply", "input", "constant", "shared" or "result"), `label`, and
    for variables `dtype`, `shape`, `name`, `output` (whether it was asked for), for apply nodes
    `op` and `origin`. Attribute of edges: `position` among the inputs or outputs of the node.
    """
    import networkx  # noqa: PLC0415 (0.2 s to import)

    wanted = [outputs] if isinstance(outputs, Variable) else list(outputs)
    graph = networkx.MultiDiGraph()

    def add(variable: Variable) -> None:
        if variable in graph:
            return
        if variable.owner is not None:
            kind = "result"
        elif isinstance(variable, Constant):
            kind = "constant"
        else:
            kind = "shared" if isinstance(variable, SharedVariable) else "input"
        graph.add_node(
            variable,
            kind=kind,
            label=str(variable),
            dtype=variable.type.dtype,
            shape=variable.type.shape,
            name=variable.name,
            output=variable in wanted_set,
        )

    wanted_set = set(wanted)
    for node in toposort(wanted):
        graph.add_node(node, kind="apply", label=str(node.op), op=node.op, origin=str(node.origin))
        for position, variable in enumerate(node.inputs):
            add(variable)
            graph.add_edge(variable, node, position=position)
        for position, variable in enumerate(node.outputs):
            add(variable)
            graph.add_edge(node, variable, position=position)
    for variable in wanted:
        add(variable)
    return graph
