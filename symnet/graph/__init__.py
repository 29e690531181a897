"""What an expression is: types, variables, apply nodes, and walks over them."""

from symnet.graph.clone import clone_replace
from symnet.graph.op import Op
from symnet.graph.origin import Origin
from symnet.graph.pickling import Bundle
from symnet.graph.traversal import (
    ancestors,
    consumers,
    graph_inputs,
    leaves,
    shared_inputs,
    toposort,
)
from symnet.graph.types import DTYPES, TensorType
from symnet.graph.variables import Apply, Constant, SharedVariable, Variable

__all__ = [
    "DTYPES",
    "Apply",
    "Bundle",
    "Constant",
    "Op",
    "Origin",
    "SharedVariable",
    "TensorType",
    "Variable",
    "ancestors",
    "clone_replace",
    "consumers",
    "graph_inputs",
    "leaves",
    "shared_inputs",
    "toposort",
]
