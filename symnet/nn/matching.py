"""Predictions and targets that fit each other: what losses and metrics share.

`name` is that of the loss or metric, for errors.
"""

from typing import Any

from symnet import tensor as T
from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph.describe import listed
from symnet.graph.types import FLOATS, INTEGERS
from symnet.ops.conversion import as_variable
from symnet.ops.gather import CheckedIndex


def predictions(name: str, prediction: Any) -> Any:
    """A floating-point expression (examples, ...)."""
    p = as_variable(prediction)
    if p.type.dtype not in FLOATS or not p.type.ndim:
        raise TypeMismatchError(
            f"{name}: predictions are floating-point, (examples, ...), not {p} ({p.type})"
            f"{listed([p])}"
        )
    return p


def in_dtype_of(p: Any, target: Any) -> Any:
    """Probabilities in the dtype of the predictions, labels as they are."""
    t: Any = as_variable(target)
    return t if t.type.ndim != p.type.ndim or t.dtype == p.dtype else t.astype(p.dtype)


def alike(name: str, prediction: Any, target: Any) -> tuple[Any, Any]:
    """Both in one shape and in the dtype of the predictions."""
    p: Any = predictions(name, prediction)
    t: Any = as_variable(target)
    if t.type.ndim == p.type.ndim - 1 and p.type.shape[-1] == 1:
        p = p[..., 0]
    if t.type.ndim != p.type.ndim:
        raise TypeMismatchError(
            f"{name}: predictions {p} ({p.type}) and targets {t} ({t.type}) are of one shape"
            f"{listed([p, t])}"
        )
    same_sizes(name, p, t)
    t = T.addbroadcast(t, *(k for k, n in enumerate(p.type.shape) if n == 1))
    p = T.addbroadcast(p, *(k for k, n in enumerate(t.type.shape) if n == 1))
    return p, t.astype(p.dtype)


def labelled(name: str, prediction: Any, target: Any) -> tuple[Any, Any]:
    """Scores (..., classes) and integer labels (...)."""
    p: Any = predictions(name, prediction)
    t: Any = as_variable(target)
    if t.type.dtype not in INTEGERS or t.type.ndim != p.type.ndim - 1:
        raise TypeMismatchError(
            f"{name}: predictions {p} ({p.type}) take integer labels of {p.type.ndim - 1} "
            f"dimensions, not {t} ({t.type}){listed([p, t])}"
        )
    same_sizes(name, p, t)
    return p, t


def same_sizes(name: str, p: Any, t: Any) -> None:
    """Errors: ShapeError where the types have different sizes in a dimension of both."""
    for axis, (m, n) in enumerate(zip(p.type.shape, t.type.shape, strict=False)):
        if m is not None and n is not None and m != n:
            raise ShapeError(
                f"{name}: {m} predictions and {n} targets in dimension {axis}: {p} ({p.type}), "
                f"{t} ({t.type}){listed([p, t])}"
            )


def of_label(scores: Any, label: Any) -> Any:
    """scores[..., label], one per row; -1 is no label."""
    last = scores.type.ndim - 1
    classes = scores.shape[last]
    checked = CheckedIndex(negative=False)(label.flatten(), classes)
    rows = label.size
    picked = scores.reshape((rows, classes))[T.arange(rows), checked]
    return picked if last == 1 else picked.reshape(label.shape, ndim=last)


def per_example(values: Any) -> Any:
    """The mean over all dimensions but the first."""
    axes = tuple(range(1, values.type.ndim))
    return values.mean(axis=axes) if axes else values
