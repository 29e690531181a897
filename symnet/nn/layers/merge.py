"""Layers of several inputs: nn.Add()([a, b])."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

from symnet import tensor as T
from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph.variables import Variable
from symnet.nn.layers.base import Forward, Layer, Shape
from symnet.nn.layers.core import elements, written


class _Merge(Layer):
    """What element-wise ones have in common. Inputs are of one shape, or broadcast along
    dimensions of static size 1. Errors: TypeMismatchError for a single input."""

    def output(self, *inputs: Any, forward: Forward) -> Variable:
        if len(inputs) < 2:
            raise TypeMismatchError(f"{type(self).__name__} wants at least 2 inputs, as one list")
        return self.merged(inputs)

    def merged(self, inputs: Sequence[Any]) -> Variable:
        raise NotImplementedError

    def flops(self, inputs: Sequence[Shape], output: Shape) -> int:
        return (len(inputs) - 1) * elements(output)


class Add(_Merge):
    """The sum of the inputs."""

    def merged(self, inputs: Sequence[Any]) -> Variable:
        return reduce(T.add, inputs)


class Subtract(_Merge):
    """The first of two inputs minus the second."""

    def merged(self, inputs: Sequence[Any]) -> Variable:
        if len(inputs) != 2:
            raise TypeMismatchError(f"Subtract wants 2 inputs, not {len(inputs)}")
        return inputs[0] - inputs[1]  # type: ignore[no-any-return]


class Multiply(_Merge):
    """The product of the inputs, element by element."""

    def merged(self, inputs: Sequence[Any]) -> Variable:
        return reduce(T.mul, inputs)


class Average(_Merge):
    """The mean of the inputs."""

    def merged(self, inputs: Sequence[Any]) -> Variable:
        total: Any = reduce(T.add, inputs)
        return total * (1 / len(inputs))  # type: ignore[no-any-return]


class Maximum(_Merge):
    """The largest of the inputs, element by element."""

    def merged(self, inputs: Sequence[Any]) -> Variable:
        return reduce(T.maximum, inputs)


class Minimum(_Merge):
    """The smallest of the inputs, element by element."""

    def merged(self, inputs: Sequence[Any]) -> Variable:
        return reduce(T.minimum, inputs)


class Concatenate(Layer):
    """The inputs side by side along `axis`, which is not the batch.

    Errors: ShapeError where another dimension differs; TypeMismatchError.
    """

    def __init__(self, axis: int = -1, name: str | None = None):
        super().__init__(name)
        self.axis = axis

    def output(self, *inputs: Any, forward: Forward) -> Variable:
        ndim = inputs[0].type.ndim
        if any(x.type.ndim != ndim for x in inputs):
            shapes = ", ".join(written(x.type.shape) for x in inputs)
            raise TypeMismatchError(f"Concatenate: {shapes} have not as many dimensions")
        if self.axis in (0, -ndim):
            raise ShapeError("Concatenate: dimension 0 is the batch")
        return T.concatenate(inputs, axis=self.axis)
