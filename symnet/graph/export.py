"""Graphs as networkx graphs, for analysis, and in the language of Graphviz, for drawing."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from symnet.graph.printing import graph_roots
from symnet.graph.traversal import toposort
from symnet.graph.types import sizes_text
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
                shape=sizes_text(variable.type.shape),
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


_COLOURS = {"input": "#dafbe1", "shared": "#ddf4ff", "constant": "#f6f8fa", "output": "#fff8c5"}


def to_graphviz(
    obj: Any,
    *,
    types: bool = True,
    titles: Sequence[str] = (),
    groups: Iterable[tuple[str, Sequence[Apply]]] = (),
) -> str:
    """The graph behind `obj` as DOT text: `dot -Tsvg graph.dot -o graph.svg` draws it.

    obj     variable, apply node, list of them, or anything with `outputs`, as a function
    types   dtype and sizes at the edges
    titles  of the outputs
    groups  titles and the apply nodes that are framed under them; a node is in the first it is in

    Boxes are operations, ovals arrays from outside; the line that built a node is its tooltip.
    Nothing is imported for it. Errors: TypeMismatchError if there is no graph behind `obj`.
    """
    wanted = graph_roots(obj)
    nodes = toposort(wanted)
    number: dict[Variable | Apply, str] = {}
    fresh = itertools.count()
    lines = [
        "digraph symnet {",
        "  rankdir=BT; ranksep=0.35; nodesep=0.25;",
        '  node [fontname="Helvetica", fontsize=12, style=filled, fillcolor=white];',
        '  edge [fontname="Helvetica", fontsize=9, color="#57606a", fontcolor="#57606a"];',
    ]

    def source(variable: Variable) -> str:
        """The name of what a variable comes from; what comes from outside is drawn when met, a
        constant at every use."""
        if variable.owner is not None:
            return number[variable.owner]
        kind = _kind(variable)
        if variable in number and kind != "constant":
            return number[variable]
        drawn = number[variable] = f"v{next(fresh)}"
        shape = {"constant": "plaintext", "shared": "cylinder"}.get(kind, "ellipse")
        label = f"{variable}" if kind == "constant" else f"{variable}\n{variable.type}"
        lines.append(
            f"  {drawn} [shape={shape}, fillcolor={_quoted(_COLOURS[kind])}, "
            f"label={_quoted(label)}];"
        )
        return drawn

    grouped: dict[Apply, int] = {}
    headings = []
    for k, (title, members) in enumerate(groups):
        headings.append(title)
        for node in members:
            grouped.setdefault(node, k)
    inside: list[list[str]] = [[] for _ in headings]
    edges = []
    for node in nodes:
        sources = [source(v) for v in node.inputs]
        number[node] = f"n{next(fresh)}"
        names = [v.name for v in node.outputs if v.name]
        label = "\n".join([str(node.op), *names])
        drawn = (
            f"  {number[node]} [shape=box, label={_quoted(label)}, "
            f"tooltip={_quoted(str(node.origin))}];"
        )
        (inside[grouped[node]] if node in grouped else lines).append(drawn)
        for v, start in zip(node.inputs, sources):
            edges.append(f"  {start} -> {number[node]}{_edge(v, types)};")
    for k, (title, drawn_inside) in enumerate(zip(headings, inside)):
        if drawn_inside:
            lines.append(f"  subgraph cluster_{k} {{")
            lines.append(
                f'    label={_quoted(title)}; labeljust=l; fontname="Helvetica"; fontsize=11; '
                'style="rounded,filled"; color="#d0d7de"; fillcolor="#f6f8fa";'
            )
            lines += [f"  {text}" for text in drawn_inside]
            lines.append("  }")
    for k, variable in enumerate(wanted):
        start = source(variable)
        known = titles[k] if k < len(titles) else variable.name
        title = known or (f"output {k}" if len(wanted) > 1 else "output")
        label = f"{title}\n{variable.type}"
        lines.append(
            f"  out{k} [shape=ellipse, peripheries=2, fillcolor={_quoted(_COLOURS['output'])}, "
            f"label={_quoted(label)}];"
        )
        edges.append(f"  {start} -> out{k}{_edge(variable, False)};")
    return "\n".join([*lines, *edges, "}"]) + "\n"


def _edge(variable: Variable, types: bool) -> str:
    """Attributes of an edge: which output it takes, and its type where that is not drawn."""
    node = variable.owner
    if node is None:
        return ""
    label = [f".{variable.index}"] if len(node.outputs) > 1 else []
    label += [str(variable.type)] if types else []
    return f" [label={_quoted(' '.join(label))}]" if label else ""


def _quoted(text: str) -> str:
    """A string of the DOT language."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _kind(variable: Variable) -> str:
    if variable.owner is not None:
        return "result"
    if isinstance(variable, Constant):
        return "constant"
    return "shared" if isinstance(variable, SharedVariable) else "input"
