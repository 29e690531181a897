"""What a cost depends on differentiably, and the explanation where it does not."""

from collections.abc import Collection, Sequence

from symnet.graph.traversal import leaves, toposort
from symnet.graph.variables import Apply, Constant, Variable

_SHOWN = 12  # steps of a path that a message shows


def connected_to(roots: Collection[Variable], constant: Collection[Variable] = ()) -> set[Variable]:
    """The variables on which `roots` depend differentiably (the derivative may still be zero)."""
    live = {v for v in roots if v not in constant}
    for node in reversed(toposort(roots, stop=constant)):
        if any(v in live for v in node.outputs):
            for v, flows in zip(node.inputs, node.op.connected(node)):
                if flows and v not in constant:
                    live.add(v)
    return live


def explain(wrt: Variable, roots: Sequence[Variable], constant: Collection[Variable] = ()) -> str:
    """Why `roots` do not depend on `wrt` differentiably: the path and the ops that cut it."""
    target = ", ".join(map(str, roots))
    head = (
        f"the cost ({target}) does not depend differentiably on {wrt} ({wrt.type}), "
        f"made at {wrt.origin}"
    )
    path = _path(wrt, roots)
    if path is None:
        met = [v for v in leaves(roots) if not isinstance(v, Constant)]
        lines = [head, f"  nothing leads from {wrt} to the cost"]
        if met:
            lines.append("  the cost depends on " + ", ".join(f"{v} ({v.type})" for v in met[:20]))
        if wrt.name and any(v.name == wrt.name for v in met):
            lines.append(f"  it depends on ANOTHER variable that is called {wrt.name}")
        return "\n".join(lines)
    lines, cuts = [], []
    if wrt in constant:
        cuts.append(f"{wrt} itself is in consider_constant")
    for node, position in path:
        line = f"  -> {node.op}, argument {position} (built at {node.origin})"
        if not node.op.connected(node)[position]:
            line += "   <- not differentiable"
            cuts.append(f"{node.op} is not differentiable in its argument {position}")
        passed = [v for v in node.outputs if v in constant]
        if passed:
            line += "   <- in consider_constant"
            cuts.append(f"{passed[0]} is in consider_constant")
        lines.append(line)
    if len(lines) > _SHOWN:
        cut_lines = [line for line in lines if "   <- " in line]
        lines = lines[:4] + ["  ..."] + cut_lines[:4] + ["  ..."] + lines[-4:]
    return "\n".join([f"{head}: {'; '.join(cuts)}", f"  {wrt}", *lines])


def _path(wrt: Variable, roots: Sequence[Variable]) -> list[tuple[Apply, int]] | None:
    """The (node, input position) steps of a shortest way from `wrt` to a root, or None."""
    towards: dict[Variable, tuple[Apply, int, Variable] | None] = dict.fromkeys(roots)
    queue = list(roots)
    for variable in queue:
        if variable is wrt:
            break
        if variable.owner is not None:
            for position, v in enumerate(variable.owner.inputs):
                if v not in towards:
                    towards[v] = (variable.owner, position, variable)
                    queue.append(v)
    if wrt not in towards:
        return None
    steps = []
    entry = towards[wrt]
    while entry is not None:
        steps.append((entry[0], entry[1]))
        entry = towards[entry[2]]
    return steps
