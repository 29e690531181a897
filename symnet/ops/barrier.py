"""Identities that stop or change gradients, with Theano's names and meaning."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.errors import TypeMismatchError
from symnet.graph.dims import Size
from symnet.graph.op import Op, ShapeContext
from symnet.graph.types import TensorType
from symnet.graph.variables import Apply, Variable
from symnet.ops.arithmetic import clip, mul
from symnet.ops.conversion import as_variable

KINDS = ("disconnected", "zero", "constant", "clip", "scale")


@dataclass(frozen=True, slots=True)
class Barrier(Op):
    """The identity, through which a gradient flows back changed or not at all.

    kind     "disconnected": grad finds no connection, and says so; "zero" and "constant":
             connected, with gradient zero; "clip": the gradient is clipped; "scale": it is
             multiplied
    numbers  the bounds of "clip", the factor of "scale"
    """

    kind: str
    numbers: tuple[float, ...] = ()

    def output_types(self, x: Variable) -> list[TensorType]:  # type: ignore[override]
        if self.kind not in KINDS:
            raise TypeMismatchError(f"no barrier is called {self.kind!r}")
        wanted = {"clip": 2, "scale": 1}.get(self.kind, 0)
        if len(self.numbers) != wanted or not all(isinstance(n, float) for n in self.numbers):
            raise TypeMismatchError(f"{self} takes {wanted} numbers, not {self.numbers}")
        return [x.type]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        return [shapes[0]]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [inputs[0]]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        (g,) = output_grads
        if self.kind == "clip":
            return [clip(g, *self.numbers)]
        return [mul(g, *self.numbers) if self.kind == "scale" else None]

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


def grad_clip(x: Any, lower_bound: float, upper_bound: float) -> Variable:
    """`x`, with its gradient limited to [lower_bound, upper_bound], element by element."""
    return Barrier("clip", _numbers(lower_bound, upper_bound))(as_variable(x))


def grad_scale(x: Any, multiplier: float) -> Variable:
    """`x`, with its gradient multiplied by a number (-1 reverses it)."""
    return Barrier("scale", _numbers(multiplier))(as_variable(x))


def _numbers(*given: Any) -> tuple[float, ...]:
    try:
        return tuple(map(float, given))
    except (TypeError, ValueError):
        raise TypeMismatchError(f"{given} are no numbers") from None
