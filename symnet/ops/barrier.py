"""Identities that stop gradients, with Theano's names and meaning."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.errors import TypeMismatchError
from symnet.graph.dims import Size
from symnet.graph.op import Op, ShapeContext
from symnet.graph.types import TensorType
from symnet.graph.variables import Apply, Variable
from symnet.ops.conversion import as_variable

KINDS = ("disconnected", "zero", "constant")


@dataclass(frozen=True, slots=True)
class Barrier(Op):
    """The identity, through which no gradient flows back.

    kind  "disconnected": grad finds no connection, and says so; "zero" and "constant": connected,
          with gradient zero
    """

    kind: str

    def output_types(self, x: Variable) -> list[TensorType]:  # type: ignore[override]
        if self.kind not in KINDS:
            raise TypeMismatchError(f"no barrier is called {self.kind!r}")
        return [x.type]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        return [shapes[0]]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [inputs[0]]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        return [None]

    def connected(self, node: Apply) -> list[bool]:
        return [self.kind != "disconnected"]

    def __str__(self) -> str:
        return f"{self.kind}_grad"


def disconnected_grad(x: Any) -> Variable:
    """`x`, but for `grad` no function of what it was computed from."""
    return Barrier("disconnected")(as_variable(x))


def zero_grad(x: Any) -> Variable:
    """`x`, with a gradient of zero."""
    return Barrier("zero")(as_variable(x))


def consider_constant(x: Any) -> Variable:
    """`x`, taken by `grad` as a constant: its gradient is zero."""
    return Barrier("constant")(as_variable(x))
