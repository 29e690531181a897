"""Copies of a graph with some variables replaced."""

from collections.abc import Iterable, Mapping, Sequence

from symnet.errors import TypeMismatchError
from symnet.graph.traversal import toposort
from symnet.graph.variables import Variable


def clone_replace(
    outputs: Sequence[Variable],
    replace: Mapping[Variable, Variable] | Iterable[tuple[Variable, Variable]],
) -> list[Variable]:
    """`outputs` rebuilt with every key of `replace` exchanged for its value, all at once.

    Parts of the graph that depend on no key are shared with the original, not copied. A
    replacement must have the same dtype and number of dimensions as what it replaces; static
    sizes are inferred anew. Values may depend on keys: they are taken as they are.

    Errors: TypeMismatchError naming both variables.
    """
    table: dict[Variable, Variable] = {}
    for old, new in dict(replace).items():
        if old.type.dtype != new.type.dtype or old.type.ndim != new.type.ndim:
            raise TypeMismatchError(
                f"{new} ({new.type}) cannot replace {old} ({old.type}): "
                "dtype and number of dimensions must be the same"
            )
        table[old] = new
    for node in toposort(outputs, stop=set(table)):
        if any(v in table for v in node.inputs):
            inputs = [table.get(v, v) for v in node.inputs]
            copy = node.op.make_node(*inputs, origin=node.origin)
            for before, after in zip(node.outputs, copy.outputs):
                after.name = before.name
                if before._tag is not None:
                    after._tag = before._tag
                table.setdefault(before, after)
    return [table.get(v, v) for v in outputs]
