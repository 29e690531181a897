"""Graphs as networkx graphs, for analysis and drawing."""

from typing import Any

from symnet.graph.printing import graph_roots
from symnet.graph.traversal import toposort
from symnet.graph.variables import Apply, Constant, SharedVariable, Variable


def to_networkx(obj: Any, objects: bool = False) -> Any:
    """A `networkx.MultiDiGraph` of the graph behind `obj`, edges along the data.

    obj      variable, apply node, list of them, or anything with `outputs`, as a function
    objects  True: the nodes are the variables and apply nodes themselves. By default they are
             numbers in the order of computation, which every format can store

    Attributes are numbers, text and truth values. Nodes have `kind` ("apply", "input", "constant",
    "shared" or "result") and `label`; variables also `dtype`, `shape` ("?" for an unknown size),
    `name` ("" if there is none) and `output` (whether it was asked for); apply nodes `origin`, the
    line that built them. Edges have `position` among the inputs or outputs of the apply node.

    Errors: TypeMismatchError if there is no graph behind `obj`.
    """
    import networkx  # noqa: PLC0415 (0.2 s to import)

    wanted = graph_roots(obj)
    outputs = set(wanted)
    graph = networkx.MultiDiGraph()
    numbers: dict[Variable | Apply, int] = {}

    def key(item: Variable | Apply) -> Any:
        return item if objects else numbers[item]

    def add(variable: Variable) -> Any:
        if variable not in numbers:
            numbers[variable] = len(numbers)
            graph.add_node(
                key(variable),
                kind=_kind(variable),
                label=str(variable),
                dtype=variable.type.dtype,
                shape=", ".join("?" if s is None else str(s) for s in variable.type.shape),
                name=variable.name or "",
                output=variable in outputs,
            )
        return key(variable)

    for node in toposort(wanted):
        inputs = [add(variable) for variable in node.inputs]
        numbers[node] = len(numbers)
        graph.add_node(key(node), kind="apply", label=str(node.op), origin=str(node.origin))
        for position, source in enumerate(inputs):
            graph.add_edge(source, key(node), position=position)
        for position, variable in enumerate(node.outputs):
            graph.add_edge(key(node), add(variable), position=position)
    for variable in wanted:
        add(variable)
    return graph


def _kind(variable: Variable) -> str:
    if variable.owner is not None:
        return "result"
    if isinstance(variable, Constant):
        return "constant"
    return "shared" if isinstance(variable, SharedVariable) else "input"
