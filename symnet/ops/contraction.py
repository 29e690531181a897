"""Matrix products. Vectors, batches and higher dimensions come down to `Dot` and `BatchedDot`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph.describe import listed
from symnet.graph.dims import Size
from symnet.graph.op import Op, ShapeContext
from symnet.graph.types import TensorType, to_compute
from symnet.graph.variables import Apply, Variable
from symnet.ops.arithmetic import mul
from symnet.ops.casting import cast
from symnet.ops.conversion import as_variables, common_dtype
from symnet.ops.movement import as_axis, broadcast_to, dimshuffle, reshape
from symnet.ops.shape import multiply, sizes_of


def _check(op: Any, ndim: int, *inputs: Variable) -> None:
    """Equal dtypes, not bool, and `ndim` dimensions each."""
    dtypes = {v.type.dtype for v in inputs}
    if len(dtypes) != 1 or dtypes == {"bool"} or any(v.type.ndim != ndim for v in inputs):
        described = ", ".join(f"{v}: {v.type}" for v in inputs)
        raise TypeMismatchError(
            f"{op} takes {ndim} dimensions each, of one numeric dtype, not ({described})"
        )


def _merge(op: Any, a: Variable, b: Variable, axis_a: int, axis_b: int) -> int | None:
    """The static size that two dimensions must share. Errors: ShapeError."""
    m, n = a.type.shape[axis_a], b.type.shape[axis_b]
    if m is not None and n is not None and m != n:
        raise ShapeError(
            f"{op}: sizes {m} and {n} do not fit: dimension {axis_a} of {a} ({a.type}) "
            f"and dimension {axis_b} of {b} ({b.type}){listed([a, b])}"
        )
    return n if m is None else m


def _matmul(op: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.shape[-1] != b.shape[-2] or a.shape[:-2] != b.shape[:-2]:
        raise ShapeError(f"{op}: shapes {a.shape} and {b.shape} do not fit")
    with np.errstate(all="ignore"):  # halves are multiplied and added up in float32
        return np.asarray(np.matmul(to_compute(a), to_compute(b)), a.dtype)


@dataclass(frozen=True, slots=True)
class Dot(Op):
    """Product of two matrices of one dtype; of halves with sums in float32, rounded once."""

    def output_types(self, a: Variable, b: Variable) -> list[TensorType]:  # type: ignore[override]
        _check(self, 2, a, b)
        _merge(self, a, b, 1, 0)
        return [TensorType(a.type.dtype, (a.type.shape[0], b.type.shape[1]))]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        a, b = shapes
        context.require(a[1], b[0], "inner sizes of dot")
        return [(a[0], b[1])]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [_matmul(self, *inputs)]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        (a, b), (g,) = inputs, output_grads
        return [self(g, dimshuffle(b, (1, 0))), self(dimshuffle(a, (1, 0)), g)]

    def __str__(self) -> str:
        return "dot"


@dataclass(frozen=True, slots=True)
class BatchedDot(Op):
    """Products of corresponding matrices in two stacks, along the first dimension."""

    def output_types(self, a: Variable, b: Variable) -> list[TensorType]:  # type: ignore[override]
        _check(self, 3, a, b)
        batch = _merge(self, a, b, 0, 0)
        _merge(self, a, b, 2, 1)
        return [TensorType(a.type.dtype, (batch, a.type.shape[1], b.type.shape[2]))]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        a, b = shapes
        context.require(a[0], b[0], "batch sizes of batched_dot")
        context.require(a[2], b[1], "inner sizes of batched_dot")
        return [(a[0], a[1], b[2])]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [_matmul(self, *inputs)]

    def grad(self, inputs, outputs, output_grads):  # type: ignore[no-untyped-def]
        (a, b), (g,) = inputs, output_grads
        return [self(g, dimshuffle(b, (0, 2, 1))), self(dimshuffle(a, (0, 2, 1)), g)]

    def __str__(self) -> str:
        return "batched_dot"


@dataclass(frozen=True, slots=True)
class Gemm(Op):
    """beta * c + alpha * dot(a, b), alpha and beta 0-d. Made by rewriting, after gradients.

    A pure value: whether it overwrites `c` is decided by the schedule. As in BLAS, beta = 0 means
    that the values of `c` do not count, NaN or not, and alpha = 0 those of `a` and `b`. Not for
    halves: their product would have to be rounded first.
    """

    def output_types(  # type: ignore[override]
        self, c: Variable, alpha: Variable, a: Variable, b: Variable, beta: Variable
    ) -> list[TensorType]:
        _check(self, 2, c, a, b)
        _check(self, 0, alpha, beta)
        _merge(self, a, b, 1, 0)
        if alpha.type.dtype != c.type.dtype:
            raise TypeMismatchError(f"{self}: alpha is {alpha.type}, the matrices {c.type.dtype}")
        return [TensorType(c.type.dtype, (_merge(self, c, a, 0, 0), _merge(self, c, b, 1, 1)))]

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> list[tuple[Size, ...]]:
        c, _, a, b, _ = shapes
        context.require(a[1], b[0], "inner sizes of dot")
        context.require(c[0], a[0], "rows of a sum with a dot")
        context.require(c[1], b[1], "columns of a sum with a dot")
        return [(a[0], b[1])]

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        c, alpha, a, b, beta = inputs
        if c.shape != (a.shape[0], b.shape[1]):
            raise ShapeError(f"gemm: {c.shape} does not fit dot of {a.shape} and {b.shape}")
        product = _matmul(self, a, b)
        with np.errstate(all="ignore"):
            scaled = np.zeros_like(product) if alpha == 0 else alpha * product
            return [np.asarray(scaled if beta == 0 else beta * c + scaled, c.dtype)]

    def __str__(self) -> str:
        return "gemm"


# ---- functions


def _numeric(values: Sequence[Any]) -> list[Variable]:
    """Operands in their common dtype; booleans count as int64."""
    variables = as_variables(values)
    dtype = common_dtype([v.type.dtype for v in variables])
    return [cast(v, "int64" if dtype == "bool" else dtype) for v in variables]


def dot(a: Any, b: Any) -> Variable:
    """NumPy's and Theano's `dot`: the sum of products over the last dimension of `a` and the last
    but one of `b` (the only one of a vector). With a scalar it is the element-wise product.

    Mixed dtypes meet as in element-wise arithmetic. Errors: ShapeError, TypeMismatchError.
    """
    a, b = _numeric([a, b])
    if a.type.ndim == 0 or b.type.ndim == 0:
        return mul(a, b)
    return tensordot(a, b, [[a.type.ndim - 1], [max(0, b.type.ndim - 2)]])


def tensordot(a: Any, b: Any, axes: Any = 2) -> Variable:
    """Sum of products over pairs of dimensions; the other dimensions of `a`, then those of `b`.

    `axes` is a pair of lists of dimensions, or a number n: the last n of `a`, the first n of `b`.
    """
    a, b = _numeric([a, b])
    over_a, over_b = _paired_axes(axes, a, b)
    free_a = [k for k in range(a.type.ndim) if k not in over_a]
    free_b = [k for k in range(b.type.ndim) if k not in over_b]
    for i, j in zip(over_a, over_b):
        _merge("dot", a, b, i, j)
    sizes_a, sizes_b = sizes_of(a), sizes_of(b)
    rows, columns = [sizes_a[k] for k in free_a], [sizes_b[k] for k in free_b]
    left = _as_matrix(a, free_a, over_a)
    right = _as_matrix(b, over_b, free_b)
    out = Dot()(left, right)
    if len(free_a) == 1 and len(free_b) == 1:
        return out
    if len(free_a) <= 1 and len(free_b) <= 1:  # a dimension of size 1 that a vector brought along
        return dimshuffle(out, [0] * len(free_a) + [1] * len(free_b))
    return reshape(out, rows + columns)


def _paired_axes(axes: Any, a: Variable, b: Variable) -> tuple[list[int], list[int]]:
    if isinstance(axes, (int, np.integer)):
        if not 0 <= axes <= min(a.type.ndim, b.type.ndim):
            raise TypeMismatchError(f"tensordot over {axes} dimensions of {a.type} and {b.type}")
        return list(range(a.type.ndim - axes, a.type.ndim)), list(range(axes))
    pair = [list(k) if isinstance(k, (list, tuple)) else [k] for k in axes]
    if len(pair) != 2 or len(pair[0]) != len(pair[1]):
        raise TypeMismatchError(f"axes={axes}: a pair of equally long lists of dimensions is meant")
    over = [[as_axis(k, v.type.ndim, "axes") for k in ks] for ks, v in zip(pair, (a, b))]
    if any(len(set(ks)) != len(ks) for ks in over):
        raise TypeMismatchError(f"axes={axes}: a dimension is given twice")
    return over[0], over[1]


def _as_matrix(x: Variable, rows: Sequence[int], columns: Sequence[int]) -> Variable:
    """`x` as a matrix, some dimensions as its rows, the others as its columns."""
    sizes = sizes_of(x)
    if len(rows) <= 1 and len(columns) <= 1:
        return dimshuffle(x, [*(rows or "x"), *(columns or "x")])
    x = dimshuffle(x, [*rows, *columns])
    return reshape(x, [multiply([sizes[k] for k in group]) for group in (rows, columns)])


def outer(a: Any, b: Any) -> Variable:
    """All products of an element of `a` with one of `b`, both taken as vectors."""
    a, b = _numeric([a, b])
    a, b = (v if v.type.ndim == 1 else reshape(v, [multiply(sizes_of(v))]) for v in (a, b))
    return mul(dimshuffle(a, (0, "x")), dimshuffle(b, ("x", 0)))


def batched_dot(a: Any, b: Any) -> Variable:
    """For each entry along the first dimension of both, the `dot` of the two sub-tensors."""
    a, b = _numeric([a, b])
    if not 1 <= a.type.ndim <= 3 or not 1 <= b.type.ndim <= 3:
        raise TypeMismatchError(f"batched_dot of {a} ({a.type}) and {b} ({b.type}): 1 to 3 dims")
    _merge("batched_dot", a, b, 0, 0)
    if a.type.ndim == 1 or b.type.ndim == 1:  # a number for each entry: nothing to sum over
        rows, columns = range(1, a.type.ndim), range(1, b.type.ndim)
        return mul(
            dimshuffle(a, (0, *rows, *("x" for _ in columns))),
            dimshuffle(b, (0, *("x" for _ in rows), *columns)),
        )
    left = dimshuffle(a, (0, "x", 1)) if a.type.ndim == 2 else a
    right = dimshuffle(b, (0, 1, "x")) if b.type.ndim == 2 else b
    out = BatchedDot()(left, right)
    return dimshuffle(out, [0] + [1] * (a.type.ndim == 3) + [2] * (b.type.ndim == 3))


def matmul(a: Any, b: Any) -> Variable:
    """The operator `@`: products of the matrices in the last two dimensions of `a` and `b`.

    The dimensions before are batches and broadcast where of static size 1 or missing; a vector is
    a row on the left, a column on the right. Errors: TypeMismatchError for a scalar; ShapeError.
    """
    a, b = _numeric([a, b])
    if a.type.ndim == 0 or b.type.ndim == 0:
        raise TypeMismatchError(f"matmul of {a} ({a.type}) and {b} ({b.type}): use * for scalars")
    if a.type.ndim <= 2 and b.type.ndim <= 2:
        return dot(a, b)
    if b.type.ndim <= 2:  # all the rows of all batches against one matrix
        return tensordot(a, b, [[a.type.ndim - 1], [0]])
    vector = a.type.ndim == 1
    if vector:
        a = dimshuffle(a, ("x", 0))
    batch = _batch_sizes(a, b)
    if a.type.ndim == b.type.ndim == 3 and (a.type.shape[0] == 1) == (b.type.shape[0] == 1):
        return BatchedDot()(a, b)
    left, right = (
        reshape(broadcast_to(v, batch + sizes_of(v)[-2:]), [multiply(batch), *sizes_of(v)[-2:]])
        for v in (a, b)
    )
    out = BatchedDot()(left, right)
    sizes = batch + ([] if vector else [sizes_of(a)[-2]]) + [sizes_of(b)[-1]]
    return reshape(out, sizes)


def _batch_sizes(a: Variable, b: Variable) -> list[Variable]:
    """Sizes of the batch dimensions that two operands of matmul have together."""
    ndim = max(a.type.ndim, b.type.ndim)
    shapes = [(None,) * (ndim - v.type.ndim) + tuple(sizes_of(v)) for v in (a, b)]
    static = [(1,) * (ndim - v.type.ndim) + v.type.shape for v in (a, b)]
    batch = []
    for axis in range(ndim - 2):
        m, n = static[0][axis], static[1][axis]
        if m is not None and n is not None and m != n and 1 not in (m, n):
            raise ShapeError(
                f"matmul of {a} ({a.type}) and {b} ({b.type}): batch sizes {m} and {n} do not fit"
            )
        take_b = m == 1 or (m is None and n not in (None, 1))
        batch.append(shapes[1 if take_b else 0][axis])
    return batch  # type: ignore[return-value]
