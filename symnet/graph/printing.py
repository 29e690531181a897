"""Graphs as text: a tree for debugging, and one line for a glance."""

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

from symnet.errors import TypeMismatchError
from symnet.graph.traversal import toposort
from symnet.graph.variables import Apply, Constant, Variable

_WIDEST = 150  # characters of indentation


def debugprint(
    obj: Any,
    file: TextIO | str | None = None,
    *,
    print_type: bool = True,
    ids: str = "CHAR",
    depth: int = -1,
) -> str | None:
    """Print the graph behind `obj` as a tree, every node once; later visits show only its id.

    obj         variable, apply node, list of them, or anything with a list `outputs` of variables
    file        where to write: standard output by default; "str" returns the text instead
    print_type  show dtype and static shape
    ids         "CHAR" (A, B, ... AA), "int" (0, 1, ...) or "" (none)
    depth       levels to print; -1: all

    Below some fifty levels the indentation starts anew, with the level in brackets.
    """
    identity = _naming(ids)
    lines: list[str] = []
    seen: set[Any] = set()
    # entries: (variable, prefix of its own line, prefix of its children's lines, level)
    stack = [(root, "", "", 1) for root in reversed(graph_roots(obj))]
    while stack:
        variable, first, rest, level = stack.pop()
        known = (variable.owner or variable) in seen
        seen.add(variable.owner or variable)
        children = variable.owner.inputs if variable.owner is not None else ()
        cut = bool(children) and (known or level == depth)
        lines.append(first + _line(variable, identity, print_type) + (" ..." if cut else ""))
        if cut:
            continue
        if len(rest) > _WIDEST:  # start again at the left, or a long chain prints its square
            rest = f"[{level}] "
        for position in reversed(range(len(children))):
            last = position == len(children) - 1
            branch, below = ("└─ ", "   ") if last else ("├─ ", "│  ")
            stack.append((children[position], rest + branch, rest + below, level + 1))
    text = "\n".join(lines) + "\n"
    if file == "str":
        return text
    target: Any = sys.stdout if file is None else file
    target.write(text)
    return None


def graph_roots(obj: Any) -> list[Variable]:
    """The variables that `obj` stands for: see `debugprint`. Errors: TypeMismatchError."""
    if isinstance(obj, Variable):
        return [obj]
    if isinstance(obj, Apply):
        return list(obj.outputs)
    outputs = getattr(obj, "outputs", obj)
    if isinstance(outputs, dict):
        outputs = outputs.values()
    if isinstance(outputs, Iterable):
        return [root for item in outputs for root in graph_roots(item)]
    raise TypeMismatchError(f"there is no graph behind {obj!r:.80}")


def _naming(ids: str) -> Callable[[Any], str]:
    """From a variable (or its node) to its id, given out in the order of asking."""
    if ids not in ("CHAR", "int", ""):
        raise TypeMismatchError(f"ids={ids!r} is not one of 'CHAR', 'int', ''")
    table: dict[Any, str] = {}

    def identity(key: Any) -> str:
        if key not in table:
            number = len(table)
            if ids == "CHAR":
                letters = ""
                while number >= 0:
                    letters = chr(ord("A") + number % 26) + letters
                    number = number // 26 - 1
                table[key] = letters
            else:
                table[key] = str(number)
        return f" [id {table[key]}]" if ids else ""

    return identity


def _line(variable: Variable, identity: Callable[[Any], str], print_type: bool) -> str:
    node = variable.owner
    if node is None:
        text = str(variable) + identity(variable)
    else:
        output = f".{variable.index}" if len(node.outputs) > 1 else ""
        text = f"{node.op}{output}{identity(node)}"
    if print_type and not str(variable).startswith("<"):
        text += f" <{variable.type}>"
    if node is not None and variable.name:
        text += f" {variable.name!r}"
    return text


# ---- one line

_INFIX = {
    "add": ("+", 4), "sub": ("-", 4), "mul": ("*", 5), "true_div": ("/", 5),
    "floor_div": ("//", 5), "floor_mod": ("%", 5), "power": ("**", 7), "dot": ("@", 5),
    "lt": ("<", 2), "le": ("<=", 2), "gt": (">", 2), "ge": (">=", 2), "eq": ("==", 2),
    "neq": ("!=", 2), "logical_and": ("&", 3), "logical_or": ("|", 3), "logical_xor": ("^", 3),
}  # fmt: skip
_ATOM = 9


def pp(*outputs: Any, limit: int = 2000, stop: Sequence[Variable] = ()) -> str:
    """The expressions on one line, infix where there is a sign for it.

    `outputs` are what `debugprint` takes. Named intermediate variables are written out as well. A
    part whose text is longer than `limit` is shown as `...`: shared parts are written at each use,
    so the text of a graph may be exponentially longer than the graph. Nothing behind `stop` is
    written.
    """
    texts: dict[Variable, tuple[str, int]] = {}  # text and binding strength

    def text(variable: Variable) -> tuple[str, int]:
        known = texts.get(variable)
        if known is None:
            plain = str(variable)
            known = (plain, 6 if isinstance(variable, Constant) and plain[0] == "-" else _ATOM)
        return known

    roots = graph_roots(outputs)
    for node in toposort(roots, stop):
        for variable in node.outputs:
            written, strength = _written(node, [text(v) for v in node.inputs])
            if len(node.outputs) > 1:
                written, strength = f"{written}.{variable.index}", _ATOM
            if len(written) > limit:
                written, strength = "...", _ATOM
            texts[variable] = written, strength
    return ", ".join(text(v)[0] for v in roots)


def _written(node: Apply, inputs: Sequence[tuple[str, int]]) -> tuple[str, int]:
    name = str(node.op)
    if name in _INFIX and len(inputs) == 2:
        sign, strength = _INFIX[name]
        (a, left), (b, right) = inputs
        if left < strength or (left == strength == 7):
            a = f"({a})"
        if (right <= strength and name != "power") or right < strength:
            b = f"({b})"
        return f"{a} {sign} {b}", strength
    if name == "neg":
        ((a, strength),) = inputs
        return (f"-{a}" if strength >= 6 else f"-({a})"), 6
    return f"{name}({', '.join(text for text, _ in inputs)})", _ATOM
