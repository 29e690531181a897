"""Parts of a tensor by slices and single indices: read as a view, written as a new value.

Which part is told by a spec, an entry per leading dimension, as between Python's brackets. What
users call is in indexing.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.errors import IndexOutOfBoundsError, ShapeError, TypeMismatchError
from symnet.graph import dims
from symnet.graph.dims import Size
from symnet.graph.op import Op, ShapeContext
from symnet.graph.types import FLOATS, TensorType
from symnet.graph.variables import Apply, Variable
from symnet.ops.generate import zeros_like
from symnet.ops.shape import static_value

# ("index", i) or ("slice", start, stop, step); "in" stands for the next scalar input.
# ("first", None, n, 1) is the slice :n of a dimension that must have as many elements: the compiler
# makes it where it has to know that the result has n.
Entry = tuple[Any, ...]
Spec = tuple[Entry, ...]
FULL: Entry = ("slice", None, None, 1)


def _scalars_wanted(spec: Spec) -> int:
    return sum(part == "in" for entry in spec for part in entry[1:])


def _resolve(spec: Spec, scalars: Sequence[Any]) -> list[Entry]:
    """The spec with each "in" replaced by the next of `scalars`."""
    rest = iter(scalars)
    return [
        (entry[0], *(next(rest) if part == "in" else part for part in entry[1:])) for entry in spec
    ]


def _as_key(spec: Spec, scalars: Sequence[np.ndarray]) -> tuple[Any, ...]:
    """What NumPy takes between brackets."""
    values = _resolve(spec, [int(s) for s in scalars])
    return tuple(e[1] if e[0] == "index" else slice(*e[1:]) for e in values)


def _check_scalars(op: Any, spec: Spec, x: Variable, scalars: Sequence[Variable]) -> None:
    bad = len(scalars) != _scalars_wanted(spec) or len(spec) > x.type.ndim
    if bad or any(v.type.ndim or v.type.dtype != "int64" for v in scalars):
        described = ", ".join(f"{v}: {v.type}" for v in scalars)
        raise TypeMismatchError(f"{op} of {x} ({x.type}) with scalars ({described})")


def _subtensor_shape(spec: Spec, x: Variable, scalars: Sequence[Variable]) -> tuple:
    """Static shape of a part of `x`. Errors: IndexOutOfBoundsError for a known bad index."""
    sizes: list[int | None] = []
    known = [static_value(v) for v in scalars]
    entries = _resolve(spec, [_UNKNOWN if k is None else k for k in known])
    for axis, entry in enumerate(entries):
        whole = x.type.shape[axis]
        if entry[0] == "index":
            i = entry[1]
            if whole is not None and i is not _UNKNOWN and not -whole <= i < whole:
                raise IndexOutOfBoundsError(
                    f"index {i} is out of bounds for dimension {axis} of {x} ({x.type})"
                )
        elif entry[0] == "first":
            n = entry[2]
            if whole is not None and n is not _UNKNOWN and n > whole:
                raise IndexOutOfBoundsError(
                    f"index {whole} is out of bounds for dimension {axis} of {x} ({x.type})"
                )
            sizes.append(None if n is _UNKNOWN else n)
        elif entry[1:3] == (None, None) and entry[3] in (1, -1):
            sizes.append(whole)
        elif whole is None or _UNKNOWN in entry:
            sizes.append(None)
        else:
            sizes.append(len(range(whole)[slice(*entry[1:])]))
    return tuple(sizes) + x.type.shape[len(spec) :]


_UNKNOWN = object()


@dataclass(frozen=True, slots=True)
class Subtensor(Op):
    """`x` with single indices and slices applied to its leading dimensions. A view.

    Python's meaning: negative numbers count from the end, slices are clipped; a single index
    outside its dimension is an IndexOutOfBoundsError. Steps are nonzero constants.
    """

    spec: Spec

    def output_types(self, x: Variable, *scalars: Variable) -> list[TensorType]:  # type: ignore[override]
        _check_scalars(self, self.spec, x, scalars)
        return [TensorType(x.type.dtype, _subtensor_shape(self.spec, x, scalars))]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        return [_region(self.spec, shapes[0], node.inputs[1:], context)]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        x, *scalars = inputs
        _check_first(self, x, scalars)
        try:
            return [np.asarray(x[_as_key(self.spec, scalars)])]
        except IndexError as error:
            raise IndexOutOfBoundsError(f"{self}: {error} (shape {x.shape})") from None

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        x, *scalars = inputs
        if x.type.dtype not in FLOATS:
            return [None] * len(inputs)
        back = IncSubtensor(self.spec, False)(zeros_like(x), output_grads[0], *scalars)
        return [back] + [None] * len(scalars)

    def connected(self, node: Apply) -> list[bool]:
        return [True] + [False] * (len(node.inputs) - 1)

    def __str__(self) -> str:
        return f"subtensor{{{_describe(self.spec)}}}"


def _region(
    spec: Spec, shape: Sequence[Size], scalars: Sequence[Variable], context: ShapeContext
) -> tuple[Size, ...]:
    """Run-time sizes of a part, with its indices checked."""
    entries = _resolve(spec, [context.value(v) for v in scalars])
    result: list[Size] = []
    for whole, entry in zip(shape, entries):
        if entry[0] == "index":
            i = entry[1]
            low = dims.apply("le", dims.sub(0, whole), i)
            fits = dims.apply("and", low, dims.apply("lt", i, whole))
            context.check(fits, "index out of bounds", index=True)
        elif entry[0] == "first":
            context.check(dims.apply("le", entry[2], whole), "index out of bounds", index=True)
            result.append(entry[2])
        else:
            result.append(dims.slice_bounds(whole, *entry[1:])[1])
    return tuple(result) + tuple(shape[len(spec) :])


def _check_first(op: Any, x: np.ndarray, scalars: Sequence[np.ndarray]) -> None:
    for size, entry in zip(x.shape, _resolve(op.spec, scalars)):
        if entry[0] == "first" and entry[2] > size:
            raise IndexOutOfBoundsError(
                f"{op}: index {size} is out of bounds for a dimension of size {size}"
            )


def _describe(spec: Spec) -> str:
    def text(part: Any) -> str:
        return "" if part is None else "·" if part == "in" else str(part)

    described = []
    for entry in spec:
        if entry[0] == "index":
            described.append(text(entry[1]))
        else:
            step = "" if entry[3] == 1 else f":{entry[3]}"
            step += " all" if entry[0] == "first" else ""
            described.append(f"{text(entry[1])}:{text(entry[2])}{step}")
    return ", ".join(described)


@dataclass(frozen=True, slots=True)
class IncSubtensor(Op):
    """`x` with `y` written into, or added to, the part that `Subtensor(spec)` reads. A new value.

    `y` has the dtype of `x` and the shape of the part.
    """

    spec: Spec
    set: bool

    def output_types(self, x: Variable, y: Variable, *scalars: Variable) -> list[TensorType]:  # type: ignore[override]
        _check_scalars(self, self.spec, x, scalars)
        check_written(self, x, y, _subtensor_shape(self.spec, x, scalars))
        return [x.type]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        part = _region(self.spec, shapes[0], node.inputs[2:], context)
        require_shape(part, shapes[1], context)
        return [shapes[0]]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        x, y, *scalars = inputs
        _check_first(self, x, scalars)
        result = x.copy()
        key = _as_key(self.spec, scalars)
        try:
            part = result[key]
        except IndexError as error:
            raise IndexOutOfBoundsError(f"{self}: {error} (shape {x.shape})") from None
        if part.shape != y.shape:
            raise ShapeError(f"{self}: a value of shape {y.shape} into a part of {part.shape}")
        with np.errstate(all="ignore"):
            result[key] = y if self.set else part + y
        return [result]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        x, y, *scalars = inputs
        (g,) = output_grads
        if x.type.dtype not in FLOATS:
            return [None] * len(inputs)
        gx = IncSubtensor(self.spec, True)(g, zeros_like(y), *scalars) if self.set else g
        return [gx, Subtensor(self.spec)(g, *scalars)] + [None] * len(scalars)

    def connected(self, node: Apply) -> list[bool]:
        return [True, True] + [False] * (len(node.inputs) - 2)

    def __str__(self) -> str:
        return f"{'set' if self.set else 'inc'}_subtensor{{{_describe(self.spec)}}}"


def check_written(op: Any, x: Variable, y: Variable, part: tuple[int | None, ...]) -> None:
    if y.type.dtype != x.type.dtype or y.type.ndim != len(part):
        raise TypeMismatchError(
            f"{op}: {y} ({y.type}) cannot be written into a part {TensorType(x.type.dtype, part)} "
            f"of {x} ({x.type})"
        )
    if any(a is not None and b is not None and a != b for a, b in zip(y.type.shape, part)):
        raise ShapeError(
            f"{op}: {y} ({y.type}) does not fit a part {TensorType(x.type.dtype, part)} "
            f"of {x} ({x.type})"
        )


def require_shape(part: Sequence[Size], given: Sequence[Size], context: ShapeContext) -> None:
    for axis, (a, b) in enumerate(zip(part, given)):
        context.require(a, b, f"dimension {axis} of a part and of what is written into it")
