"""Ops that move no data or only move data: dimshuffle, reshape, broadcast_to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph.dims import Size
from symnet.graph.op import Op, ShapeContext
from symnet.graph.types import TensorType
from symnet.graph.variables import Apply, Constant, Variable, make_constant


@dataclass(frozen=True, slots=True)
class DimShuffle(Op):
    """Permute dimensions, add dimensions of size 1, drop dimensions of static size 1.

    `order` has an entry per output dimension: an input dimension, or "x" for a new one.
    """

    order: tuple[int | str, ...]

    @property
    def kept(self) -> tuple[int, ...]:
        return tuple(axis for axis in self.order if axis != "x")  # type: ignore[misc]

    def output_types(self, x: Variable) -> list[TensorType]:  # type: ignore[override]
        kept = self.kept
        if len(set(kept)) != len(kept) or any(not 0 <= axis < x.type.ndim for axis in kept):
            raise TypeMismatchError(
                f"dimshuffle{self.order} of {x} ({x.type}): not an order of its dimensions"
            )
        for axis in set(range(x.type.ndim)) - set(kept):
            if x.type.shape[axis] != 1:
                raise ShapeError(
                    f"dimshuffle{self.order} of {x} ({x.type}) drops dimension {axis}, which is "
                    "not of static size 1; reduce or index it"
                )
        sizes = tuple(1 if axis == "x" else x.type.shape[axis] for axis in self.order)  # type: ignore[index]
        return [TensorType(x.type.dtype, sizes)]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        (shape,) = shapes
        for axis in set(range(len(shape))) - set(self.kept):
            context.require(shape[axis], 1, f"size of the dropped dimension {axis}")
        return [tuple(1 if axis == "x" else shape[axis] for axis in self.order)]  # type: ignore[index]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        (x,) = inputs
        kept = self.kept
        dropped = tuple(axis for axis in range(x.ndim) if axis not in kept)
        x = np.transpose(x, kept + dropped)
        x = x.reshape(x.shape[: len(kept)])
        for position, axis in enumerate(self.order):
            if axis == "x":
                x = np.expand_dims(x, position)
        return [x]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        (x,), (g,) = inputs, output_grads
        inverse: list[int | str] = ["x"] * x.type.ndim
        for position, axis in enumerate(self.order):
            if axis != "x":
                inverse[axis] = position  # type: ignore[index]
        return [dimshuffle(g, inverse)]

    def __str__(self) -> str:
        return f"dimshuffle{{{','.join(map(str, self.order))}}}"


def dimshuffle(x: Variable, order: Sequence[int | str]) -> Variable:
    """`x` with dimensions in the given order; nothing if it is the order already."""
    order = tuple(order)
    if order == tuple(range(x.type.ndim)):
        return x
    if isinstance(x, Constant) and x.data.size == 1:
        return make_constant(x.data.reshape((1,) * len(order)), name=x.name)
    return DimShuffle(order)(x)


def pad_left(variables: Sequence[Variable]) -> list[Variable]:
    """All with the largest ndim among them, by new leading dimensions; scalars stay scalars."""
    ndim = max(v.type.ndim for v in variables)
    return [
        v
        if v.type.ndim in (0, ndim)
        else dimshuffle(v, ("x",) * (ndim - v.type.ndim) + tuple(range(v.type.ndim)))
        for v in variables
    ]
