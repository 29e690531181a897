"""Structural equality: which nodes and constants are the same one.

Two nodes are equal if their ops are equal values, their inputs are the same variables and their
output types agree. Two constants are equal if dtype, shape and bytes are, so 1, 1.0 and True
differ, 0.0 and -0.0 differ, and nan equals itself. Constants above 64 bytes are compared by
identity only: hashing data sets would cost more than it finds.
"""

import dataclasses
from typing import Any

from symnet.graph import Apply, Constant, Op
from symnet.ops.elementwise import Elementwise

LARGEST_COMPARED = 64  # bytes


class Interner:
    """Tables of the nodes and constants met so far, by structure."""

    def __init__(self) -> None:
        self._nodes: dict[tuple, Apply] = {}
        self._constants: dict[tuple, Constant] = {}
        self._fingerprints: dict[int, tuple[Op, Any]] = {}  # holds the op: ids stay unique

    def constant(self, given: Constant) -> Constant:
        """The first constant met that equals `given`."""
        data = given.data
        if data.nbytes > LARGEST_COMPARED:
            return given
        return self._constants.setdefault((given.type, data.tobytes()), given)

    def node(self, given: Apply) -> Apply:
        """The first node met that equals `given`."""
        op = given.op
        key = (
            op if type(op) is Elementwise else self._fingerprint(op),
            given.outputs[0].type if given.outputs else None,
            *given.inputs,  # variables compare by identity
        )
        return self._nodes.setdefault(key, given)

    def _fingerprint(self, op: Op) -> Any:
        known = self._fingerprints.get(id(op))
        if known is None:
            known = self._fingerprints[id(op)] = (op, fingerprint(op))
        return known[1]


def fingerprint(op: Op) -> Any:
    """A hashable value that two ops share if, and only if, they are interchangeable.

    Fields are compared together with their Python types; an op that cannot be hashed equals only
    itself.
    """
    if dataclasses.is_dataclass(op):
        fields = tuple(_typed(getattr(op, f.name)) for f in dataclasses.fields(op) if f.compare)
        key: Any = (type(op), *fields)
    else:
        key = op
    try:
        hash(key)
    except TypeError:
        return (type(op), id(op))
    return key


def _typed(value: Any) -> Any:
    if isinstance(value, (bool, int, str, bytes)) or value is None:
        return value if type(value) in (int, str) else (type(value), value)
    if isinstance(value, float):
        return float, value.hex()
    if isinstance(value, tuple):  # parameters are shallow
        return tuple(map(_typed, value))
    return value
