"""Interpret a graph node by node with each op's `perform`.

Before a node runs, its shape rule is asked with the real sizes, so that whatever compiled code
refuses (a run-time size 1 that would broadcast, sizes that differ, an index outside its axis) is
refused here too, at the same node.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symnet.errors import (
    CompilerError,
    IndexOutOfBoundsError,
    MissingInputError,
    ShapeError,
    SymnetError,
)
from symnet.graph.traversal import toposort
from symnet.graph.variables import Apply, Constant, SharedVariable, Variable

Values = Mapping[Variable, Any]


def evaluate(outputs: Sequence[Variable], values: Values | None = None) -> list[np.ndarray]:
    """The values of `outputs`, as fresh arrays.

    `values` maps inputs to arrays; it may also give values to intermediate or shared variables,
    which are then not computed or read. An intermediate result is freed after its last use.

    Errors: MissingInputError for an input without value; TypeMismatchError and ShapeError for a
    value that is not of its variable's type; ShapeError and IndexOutOfBoundsError, with shapes,
    dtypes and the line that built the node, for what goes wrong on the way.
    """
    nodes = toposort(outputs, stop=values or ())
    known = _leaf_values(outputs, nodes, values or {})
    uses: dict[Variable, int] = {}
    for variable in [v for node in nodes for v in node.inputs] + list(outputs):
        uses[variable] = uses.get(variable, 0) + 1
    _run(nodes, known, uses)
    return [np.array(known[v], order="C", copy=True) for v in outputs]


def evaluate_all(
    outputs: Sequence[Variable], values: Values | None = None
) -> dict[Variable, np.ndarray]:
    """The value of every variable that `outputs` depend on, in the order of computation.

    Arrays may be views of each other or of shared values. Errors as `evaluate`.
    """
    nodes = toposort(outputs, stop=values or ())
    known = _leaf_values(outputs, nodes, values or {})
    _run(nodes, known, None)
    return known


def _leaf_values(
    outputs: Sequence[Variable], nodes: Sequence[Apply], values: Values
) -> dict[Variable, np.ndarray]:
    known: dict[Variable, np.ndarray] = {
        variable: variable.type.filter(value, what=f"the value for {variable}")
        for variable, value in values.items()
    }
    for variable in [v for node in nodes for v in node.inputs] + list(outputs):
        if variable in known or variable.owner is not None:
            continue
        if isinstance(variable, Constant):
            known[variable] = variable.data
        elif isinstance(variable, SharedVariable):
            known[variable] = variable.peek()
        else:
            raise MissingInputError(
                f"input {variable} ({variable.type}) has no value; made at {variable.origin}"
            )
    return known


def _run(
    nodes: Sequence[Apply], known: dict[Variable, np.ndarray], uses: dict[Variable, int] | None
) -> None:
    """Run `nodes` in order, extending `known`; with `uses`, drop what no later node reads."""
    for node in nodes:
        inputs = [known[v] for v in node.inputs]
        for variable, result in zip(node.outputs, run_node(node, inputs)):
            known[variable] = result
        if uses is not None:
            for variable in node.inputs:
                uses[variable] -= 1
                if not uses[variable]:
                    del known[variable]
            for variable in node.outputs:
                if variable not in uses:
                    del known[variable]


def run_node(node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The results of one node, its run-time conditions checked before and its promises after."""
    try:
        shapes = _inferred(node, inputs)
        results = list(node.op.perform(node, inputs))
    except SymnetError as error:
        if _BUILT not in str(error):
            error.args = (f"{error}\n{describe(node, inputs)}",)
        raise
    except Exception as error:
        if not any(_BUILT in note for note in getattr(error, "__notes__", ())):
            error.add_note(describe(node, inputs))
        raise
    for k, (variable, result) in enumerate(zip(node.outputs, results, strict=True)):
        fits = (
            isinstance(result, np.ndarray)
            and result.dtype == variable.type.numpy_dtype
            and len(result.shape) == variable.type.ndim
            and all(s is None or s == n for s, n in zip(variable.type.shape, result.shape))
            and (shapes is None or tuple(shapes[k]) == result.shape)
        )
        if not fits:
            given = f"{getattr(result, 'dtype', type(result))} {np.shape(result)}"
            promised = f"{variable.type}" + (f", shape {shapes[k]}" if shapes else "")
            raise CompilerError(
                f"{node.op} returned {given}, it promised {promised}\n{describe(node, inputs)}"
            )
    return results


_BUILT = "built at "


def describe(node: Apply, inputs: Sequence[np.ndarray]) -> str:
    """What a run-time error says about where it happened: the op, its inputs, the user's line."""
    lines = [f"in {node.op}, {_BUILT}{node.origin}"]
    for position, (variable, value) in enumerate(zip(node.inputs, inputs)):
        made = f", {_BUILT}{variable.owner.origin}" if variable.owner is not None else ""
        size = f"of shape {value.shape}" if value.ndim else f"of value {value}"
        lines.append(f"  input {position}: {variable}, {value.dtype} {size}{made}")
    return "\n".join(lines)


def _inferred(node: Apply, inputs: Sequence[np.ndarray]) -> Sequence[tuple[int, ...]] | None:
    context = _Context(node, inputs)
    try:
        return node.op.infer_shape(node, [a.shape for a in inputs], context)  # type: ignore
    except NotImplementedError:
        return None  # an op whose sizes depend on values


class _Context:
    """The shape context of a run: sizes are numbers, a condition that fails raises at once."""

    def __init__(self, node: Apply, inputs: Sequence[np.ndarray]):
        self.values = dict(zip(node.inputs, inputs))

    def value(self, variable: Variable) -> int:
        if isinstance(variable, Constant):
            return int(variable.data)
        return int(self.values[variable])

    def require(self, a: int, b: int, why: str) -> None:
        if a != b:
            hint = ""
            if 1 in (a, b):
                hint = "; only a dimension declared to be of size 1 broadcasts"
            raise ShapeError(f"{why}: {a} and {b} are not equal{hint}")

    def check(self, condition: int, why: str, index: bool = False) -> None:
        if not condition:
            raise (IndexOutOfBoundsError if index else ShapeError)(why)
