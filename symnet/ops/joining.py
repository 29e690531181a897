"""Joining tensors along a dimension, and cutting them apart again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph import dims
from symnet.graph.dims import Size
from symnet.graph.op import Op, ShapeContext
from symnet.graph.types import TensorType
from symnet.graph.variables import Apply, Variable
from symnet.ops.arithmetic import add
from symnet.ops.casting import cast
from symnet.ops.conversion import as_variables, common_dtype
from symnet.ops.indexing import index
from symnet.ops.movement import as_axis, broadcast_to, dimshuffle
from symnet.ops.shape import (
    as_size,
    as_sizes,
    make_vector,
    shape_of,
    sizes_of,
    static_value,
    vector_elements,
)


@dataclass(frozen=True, slots=True)
class Concatenate(Op):
    """Tensors of one dtype one after the other along `axis`; their other sizes are equal."""

    axis: int

    def output_types(self, *inputs: Variable) -> list[TensorType]:
        described = ", ".join(f"{v}: {v.type}" for v in inputs)
        first = inputs[0].type if inputs else None
        if (
            first is None
            or not 0 <= self.axis < first.ndim
            or any(v.type.ndim != first.ndim or v.type.dtype != first.dtype for v in inputs)
        ):
            raise TypeMismatchError(
                f"{self} takes tensors of one dtype and number of dimensions, not ({described})"
            )
        shape: list[int | None] = []
        for axis in range(first.ndim):
            sizes = [v.type.shape[axis] for v in inputs]
            known = {s for s in sizes if s is not None}
            if axis == self.axis:
                shape.append(None if None in sizes else sum(known_sizes(sizes)))
            elif len(known) > 1:
                raise ShapeError(f"{self} of ({described}): dimension {axis} differs")
            else:
                shape.append(known.pop() if known else None)
        return [TensorType(first.dtype, tuple(shape))]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        result = list(shapes[0])
        for shape in shapes[1:]:
            for axis, size in enumerate(shape):
                if axis == self.axis:
                    result[axis] = dims.add(result[axis], size)
                else:
                    context.require(result[axis], size, f"sizes in dimension {axis} of {self}")
        return [tuple(result)]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        try:
            return [np.concatenate(inputs, axis=self.axis)]
        except ValueError:
            shapes = ", ".join(str(a.shape) for a in inputs)
            raise ShapeError(f"{self} of shapes {shapes}: other dimensions differ") from None

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        sizes = [shape_of(x, self.axis) for x in inputs]
        return _cut(output_grads[0], sizes, self.axis)

    def __str__(self) -> str:
        return f"concatenate{{{self.axis}}}"


def _several(tensors: Any, name: str) -> list[Variable]:
    if isinstance(tensors, Variable) or not isinstance(tensors, Iterable):
        raise TypeMismatchError(f"{name} takes a non-empty list of tensors, not {tensors!r:.80}")
    variables = as_variables(list(tensors))
    if not variables:
        raise TypeMismatchError(f"{name} takes a non-empty list of tensors")
    return variables


def known_sizes(sizes: Sequence[int | None]) -> list[int]:
    return [s for s in sizes if s is not None]


def concatenate(tensors: Sequence[Any], axis: Any = 0) -> Variable:
    """The tensors one after the other along `axis`, in their common dtype.

    Errors: TypeMismatchError for different numbers of dimensions; ShapeError, when built or when
    run, for other sizes that differ: nothing broadcasts.
    """
    variables = _several(tensors, "concatenate")
    axis = as_axis(axis, max(1, variables[0].type.ndim))
    dtype = common_dtype([v.type.dtype for v in variables])
    variables = [cast(v, dtype) for v in variables]
    if len(variables) == 1 and variables[0].type.ndim:
        return variables[0]
    if dtype == "int64" and all(v.type.ndim == 1 for v in variables):
        elements = [vector_elements(v) for v in variables]
        if all(e is not None for e in elements):  # shape vectors stay expressions of sizes
            return make_vector([v for e in elements for v in e or ()])
    return Concatenate(axis)(*variables)


def join(axis: Any, *tensors: Any) -> Variable:
    """Theano's spelling of `concatenate`."""
    return concatenate(tensors, axis)


def stack(tensors: Sequence[Any], axis: Any = 0) -> Variable:
    """Tensors of one shape along a new dimension `axis`, in their common dtype."""
    variables = _several(tensors, "stack")
    dtype = common_dtype([v.type.dtype for v in variables])
    variables = [cast(v, dtype) for v in variables]
    ndim = variables[0].type.ndim
    axis = as_axis(axis, ndim + 1)
    if all(v.type.ndim == 0 for v in variables):
        return make_vector(variables)
    order: list[int | str] = [*range(axis), "x", *range(axis, ndim)]
    if any(v.type.ndim != ndim for v in variables):
        described = ", ".join(f"{v}: {v.type}" for v in variables)
        raise TypeMismatchError(f"stack takes tensors of equal ndim, not ({described})")
    return concatenate([dimshuffle(v, order) for v in variables], axis)


def split(x: Variable, sizes: Any, axis: Any = 0, n: int | None = None) -> list[Variable]:
    """`x` cut along `axis` into pieces of the given sizes, which add up to its own.

    `sizes` is a list of numbers and symbolic scalars, or an integer vector whose length is known or
    given as `n`. Errors: ShapeError, when built or when run, if they do not add up.
    """
    axis = as_axis(axis, x.type.ndim)
    wanted = as_sizes(sizes, n)
    known, whole = [static_value(s) for s in wanted], x.type.shape[axis]
    if any(s is not None and s < 0 for s in known) or not known:
        raise ShapeError(f"split of {x} ({x.type}) into {known}: sizes are not negative")
    if None not in known and whole is not None:
        if sum(known_sizes(known)) != whole:
            raise ShapeError(f"split of {x} ({x.type}) into {known}: they do not add up")
        return _cut(x, wanted, axis)
    pieces = _cut(x, wanted, axis)  # clipped where x ends, hence held to the sizes asked for
    return [
        broadcast_to(piece, [*sizes_of(x)[:axis], size, *sizes_of(x)[axis + 1 :]])
        for piece, size in zip(pieces, wanted)
    ]


def split_equally(x: Variable, n: int, axis: Any = 0) -> list[Variable]:
    """`x` cut along `axis`, of static size, into `n` pieces of one size."""
    axis = as_axis(axis, x.type.ndim)
    whole = x.type.shape[axis]
    if whole is None or n < 1 or whole % n:
        raise ShapeError(f"{x} ({x.type}) cannot be cut into {n} equal pieces along {axis}")
    return split(x, [whole // n] * n, axis)


def _cut(x: Variable, sizes: Sequence[Variable], axis: int) -> list[Variable]:
    """Consecutive slices of `x` of the given sizes; the last one goes to the end."""
    pieces = []
    start: Variable | None = None
    for size in sizes[:-1]:
        stop = size if start is None else as_size(add(start, size))
        pieces.append(index(x, (slice(None),) * axis + (slice(start, stop),)))
        start = stop
    pieces.append(index(x, (slice(None),) * axis + (slice(start, None),)))
    return pieces
