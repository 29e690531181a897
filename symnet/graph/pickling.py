"""Pickling and deep copies of graphs without recursion along the graph.

Left alone, pickle goes from a variable to its owner, from there to the owner's inputs, and so on:
some hundred nodes down Python's stack ends. So the first node that pickle meets hands it all the
nodes it depends on, inputs first. When one of them is reached, what it refers to has been written
already. Every node is written once, as itself, so pickle's own memo keeps identities: variables
in one dump go on sharing nodes, inputs and shared variables. `copy.deepcopy` goes the same way.
"""

import threading
import weakref
from collections.abc import Sequence
from typing import Any

from symnet.graph import variables as graph
from symnet.graph.origin import Origin
from symnet.graph.traversal import leaves, toposort
from symnet.graph.types import TensorType
from symnet.graph.variables import Apply, Variable


class Bundle:
    """Variables that are pickled with one walk over the graph behind them; a list of them when
    read back."""

    def __init__(self, roots: Sequence[Variable]):
        self.roots = list(roots)

    def __reduce__(self) -> tuple[Any, ...]:
        return _last, tuple(_ordered(toposort(self.roots), self.roots, self.roots))


class _Opening:
    """Written before nodes that are in order; until the closing, they need no order of their own.

    Known by a weak reference only: after a failure on the way nothing is left behind.
    """

    __slots__ = ("__weakref__", "nodes")

    def __init__(self, nodes: Sequence[Apply]):
        self.nodes = frozenset(nodes)

    def __reduce__(self) -> tuple[Any, ...]:
        _open().append(weakref.ref(self))
        return _none, ()


class _Closing:
    """Written after the nodes of an opening."""

    __slots__ = ("opening",)

    def __init__(self, opening: _Opening):
        self.opening = opening

    def __reduce__(self) -> tuple[Any, ...]:
        _local.openings = [o for o in _open() if o() not in (None, self.opening)]
        return _none, ()


_local = threading.local()


def _open() -> list[weakref.ref[_Opening]]:
    if not hasattr(_local, "openings"):
        _local.openings = []
    found: list[weakref.ref[_Opening]] = _local.openings
    return found


def _in_order(node: Apply) -> bool:
    openings = [reference() for reference in _open()]
    return any(o is not None and node in o.nodes for o in openings)


def _ordered(nodes: Sequence[Apply], roots: Sequence[Variable], last: Any) -> list[Any]:
    """What to write before `last`. Leaves come before the opening: a default update may lead
    from a shared variable to nodes whose turn has not come."""
    opening = _Opening(nodes)
    return [leaves(roots), opening, nodes, last, _Closing(opening)]


def _reduce_variable(variable: Variable, protocol: int) -> Any:
    if variable.owner is None:
        return object.__reduce_ex__(variable, max(protocol, 2))
    return _output, (variable.owner, variable.index)


def _reduce_node(node: Apply, protocol: int) -> tuple[Any, ...]:
    types = [v.type for v in node.outputs]
    before: list[Any] = []
    if not _in_order(node):
        nodes = toposort(node.outputs)[:-1]
        before = _ordered(nodes, node.inputs, None) if nodes else []
    # in the state, which pickle writes when the node has its place: tags may lead back to it
    notes = [(v.name, v._tag) for v in node.outputs]
    state = notes if any(note != (None, None) for note in notes) else None
    return _node, (before, node.op, node.inputs, types, node.origin), state


def _node(
    before: Any, op: Any, inputs: Sequence[Variable], types: list[TensorType], origin: Origin
) -> Apply:
    return Apply(op, inputs, types, origin)


def _output(owner: Apply, index: int) -> Variable:
    return owner.outputs[index]


def _last(leaves: Any, opening: Any, nodes: Any, last: Any, closing: Any) -> Any:
    return last


def _none() -> None:
    return None


graph._hooks.update(reduce_variable=_reduce_variable, reduce_node=_reduce_node)
