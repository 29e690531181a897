"""Shapes as expressions, and the forms in which callers may give them.

A size is a 0-d int64 variable, a constant where it is known. `as_size` and `as_sizes` take what a
user writes (Python numbers, tuples, symbolic scalars, symbolic shape vectors) into that form.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph.dims import Size
from symnet.graph.op import Op, ShapeContext
from symnet.graph.types import INTEGERS, TensorType
from symnet.graph.variables import Apply, Constant, Variable, make_constant
from symnet.ops.conversion import as_variable

_LONGEST_SHAPE = 32
_FOLD_DEPTH = 16  # how far constant arithmetic on sizes is looked through


@dataclass(frozen=True, slots=True)
class ShapeOf(Op):
    """The size of dimension `axis`, a 0-d int64. Needs the shape of its input, not its values."""

    axis: int

    def output_types(self, x: Variable) -> list[TensorType]:  # type: ignore[override]
        if not 0 <= self.axis < x.type.ndim:
            raise TypeMismatchError(f"shape[{self.axis}] of {x} ({x.type}): no such dimension")
        return [TensorType("int64", ())]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        return [()]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [np.array(inputs[0].shape[self.axis], "int64")]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        return [None]

    def connected(self, node: Apply) -> list[bool]:
        return [False]

    def __str__(self) -> str:
        return f"shape[{self.axis}]"


@dataclass(frozen=True, slots=True)
class MakeVector(Op):
    """A vector of 0-d variables of one dtype."""

    def output_types(self, *inputs: Variable) -> list[TensorType]:
        dtypes = {v.type.dtype for v in inputs}
        if len(dtypes) != 1 or any(v.type.ndim for v in inputs):
            described = ", ".join(f"{v}: {v.type}" for v in inputs)
            raise TypeMismatchError(f"a vector is made of scalars of one dtype, not ({described})")
        return [TensorType(dtypes.pop(), (len(inputs),))]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        return [(len(node.inputs),)]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [np.array(inputs, dtype=node.out.type.numpy_dtype)]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        return [output_grads[0][k] for k in range(len(inputs))]

    def __str__(self) -> str:
        return "make_vector"


def static_value(variable: Variable) -> int | None:
    """The value of an integer scalar if it is known when the expression is built, else None."""
    if isinstance(variable, Constant):
        if variable.data.size == 1 and variable.data.dtype.kind in "biu":
            return int(variable.data.reshape(()))
        return None
    if variable.owner is None or variable.type.ndim or variable.type.dtype not in INTEGERS:
        return None
    value = _fold(variable, _FOLD_DEPTH)
    return None if value is None else int(value)


def _fold(variable: Variable, depth: int) -> np.ndarray | None:
    """Value of a 0-d expression over constants and static sizes, or None."""
    node = variable.owner
    if isinstance(variable, Constant):
        return variable.data if variable.data.size == 1 else None
    if node is None or depth == 0:
        return None
    if isinstance(node.op, ShapeOf):
        size = node.inputs[0].type.shape[node.op.axis]
        return None if size is None else np.array(size, "int64")
    if variable.type.ndim or not node.inputs or any(v.type.ndim for v in node.inputs):
        return None
    values = []
    for argument in node.inputs:
        value = _fold(argument, depth - 1)
        if value is None:
            return None
        values.append(value)
    return node.op.perform(node, values)[variable.index]


def as_size(value: Any, what: str = "a size") -> Variable:
    """A whole number, given or symbolic, as a 0-d int64 variable; a constant if it is known.

    Errors: TypeMismatchError for floats, arrays and what is not a number.
    """
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return make_constant(int(value), "int64")
    variable = as_variable(value)
    if variable.type.ndim or variable.type.dtype not in INTEGERS:
        raise TypeMismatchError(f"{what} is a whole number, not {variable} ({variable.type})")
    known = static_value(variable)
    if known is not None:
        return make_constant(known, "int64")
    # the cast is an element-wise op, which are built on this module; variables know how to call it
    return variable if variable.type.dtype == "int64" else variable.astype("int64")  # type: ignore[attr-defined]


def as_sizes(sizes: Any, ndim: int | None = None, what: str = "a size") -> list[Variable]:
    """Sizes as 0-d int64 variables, from one size, a sequence of sizes, or an integer vector.

    A vector needs a length that is known: it was made from scalars, is constant, has a static
    size, or `ndim` says it. Errors: TypeMismatchError, ShapeError if `ndim` disagrees.
    """
    if isinstance(sizes, Variable) and sizes.type.ndim == 1:
        found = _unpack(sizes, ndim, what)
    elif isinstance(sizes, np.ndarray) and sizes.ndim == 1 and sizes.dtype.kind in "iu":
        found = [as_size(int(s), what) for s in sizes]
    elif isinstance(sizes, (list, tuple)):
        found = [as_size(s, what) for s in sizes]
    else:
        found = [as_size(sizes, what)]
    if ndim is not None and len(found) != ndim:
        raise ShapeError(f"{len(found)} sizes were given for {ndim} dimensions")
    return found


def _unpack(vector: Variable, ndim: int | None, what: str) -> list[Variable]:
    if vector.type.dtype not in INTEGERS:
        raise TypeMismatchError(f"{what} is a whole number; {vector} is {vector.type}")
    elements = vector_elements(vector)
    if elements is not None:
        return [as_size(v, what) for v in elements]
    length = vector.type.shape[0] if vector.type.shape[0] is not None else ndim
    if length is None:
        raise TypeMismatchError(
            f"the length of the shape {vector} ({vector.type}) is unknown, and so the number of "
            "dimensions; say ndim=, or give a tuple of scalars"
        )
    return [as_size(vector[k], what) for k in range(length)]  # type: ignore[index]


def vector_elements(vector: Variable) -> list[Variable] | None:
    """The scalars that a vector was made of, if it was, or those of a short constant one."""
    if vector.owner is not None and isinstance(vector.owner.op, MakeVector):
        return list(vector.owner.inputs)
    if isinstance(vector, Constant) and vector.data.size <= _LONGEST_SHAPE:
        return [make_constant(value) for value in vector.data]
    return None


def make_vector(scalars: Sequence[Variable], dtype: str = "int64") -> Variable:
    """A vector of 0-d variables of one dtype; constant if all are. `dtype` is for none at all."""
    if all(isinstance(v, Constant) for v in scalars):
        values = [v.data.reshape(()) for v in scalars]  # type: ignore[attr-defined]
        return make_constant(np.array(values, scalars[0].type.dtype if scalars else dtype))
    return MakeVector()(*scalars)


def shape_of(x: Variable, axis: int) -> Variable:
    """The size of dimension `axis` of `x`, which may be negative: a constant if it is static."""
    if axis < 0:
        axis += x.type.ndim
    if not 0 <= axis < x.type.ndim:
        raise TypeMismatchError(f"{x} ({x.type}) has no dimension {axis}")
    static = x.type.shape[axis]
    return ShapeOf(axis)(x) if static is None else make_constant(static, "int64")


def sizes_of(x: Variable) -> list[Variable]:
    """All sizes of `x`, as 0-d int64 variables."""
    return [shape_of(x, axis) for axis in range(x.type.ndim)]


def shape(x: Any) -> Variable:
    """The shape of `x` as an int64 vector of static length."""
    return make_vector(sizes_of(as_variable(x)))


def multiply(sizes: Sequence[Variable]) -> Variable:
    """The product of sizes, the known ones folded."""
    known, total = 1, None
    for size in sizes:
        value = static_value(size)
        if value is not None:
            known *= value
        else:
            total = size if total is None else total * size  # type: ignore[operator]
    if total is None or known == 0:
        return make_constant(known, "int64")
    return total if known == 1 else total * known  # type: ignore[operator, return-value]


def size(x: Any) -> Variable:
    """The number of elements of `x`, a 0-d int64."""
    return multiply(sizes_of(as_variable(x)))
