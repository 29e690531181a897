"""What is measured while training: how often, and how, predictions are right.

A metric adds things up. `additions(prediction, target)` is an expression of a fixed shape, int64 or
float64, for a batch of examples; those of all batches are added, exactly or in float64, and
`result(total, examples)` makes the value of the sum. So a metric costs a kernel inside the step,
no pass over the data of its own, and does not depend on how the examples are cut into batches.

    metric = top_k(3)
    metric.measure(labels, probabilities)        # of arrays, by the same expression

Targets of classes are integer labels (examples, ...) or one-hot rows of the predictions' shape;
where the predictions have one column, or none, they are 0 and 1 and the threshold decides. The
arguments of functions of arrays are in scikit-learn's order: targets, predictions. (The classes
have lower-case names because they are used like functions. They are values.)

Errors: TypeMismatchError and ShapeError as in `losses`; IndexOutOfBoundsError when run.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from symnet import tensor as T
from symnet.backends.reference import evaluate
from symnet.errors import ConfigError, IndexOutOfBoundsError, ShapeError, TypeMismatchError
from symnet.graph.describe import listed
from symnet.graph.variables import Variable
from symnet.nn import losses
from symnet.nn.matching import alike, labelled, of_label, predictions, same_sizes
from symnet.ops.conversion import as_variable
from symnet.ops.gather import CheckedIndex

__all__ = [
    "Metric", "accuracy", "average", "binary_accuracy", "confusion", "confusion_matrix", "f1",
    "f1_of", "mean_absolute_error", "mean_squared_error", "precision", "precision_of", "recall",
    "recall_of", "top_k",
]  # fmt: skip

Average = Literal["macro", "micro"] | None


class Metric(ABC):
    """A measure of predictions that is made of sums over examples. Subclasses are dataclasses."""

    @property
    def name(self) -> str:
        """What the history calls it."""
        return type(self).__name__

    @abstractmethod
    def additions(self, prediction: Any, target: Any) -> Variable:
        """What the examples of a batch add: an int64 or float64 expression of a fixed shape."""

    def result(self, total: np.ndarray, examples: int) -> Any:
        """The value: here the total per example."""
        return float(total) / examples if examples else float("nan")

    def measure(self, targets: Any, predictions: Any) -> Any:
        """The metric of arrays: targets and predictions (examples, ...)."""
        target, prediction = np.asarray(targets), np.asarray(predictions)
        p = T.TensorType(str(prediction.dtype), (None, *prediction.shape[1:]))("predictions")
        t = T.TensorType(str(target.dtype), (None, *target.shape[1:]))("targets")
        if len(target) != len(prediction):
            raise ShapeError(f"{self.name}: {len(target)} targets, {len(prediction)} predictions")
        (total,) = evaluate([self.additions(p, t)], {p: prediction, t: target})
        return self.result(total, len(target))

    def config(self) -> dict[str, Any]:
        """The settings by name."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True)
class accuracy(Metric):
    """The share of examples whose likeliest class (the first, of equals) is theirs. Predictions of
    one column say yes where above `threshold`: 0.5 for probabilities, 0 for logits and scores."""

    threshold: float = 0.5

    def additions(self, prediction: Any, target: Any) -> Variable:
        p, t, _ = _classes("accuracy", prediction, target, self.threshold)
        return _count(T.eq(p, t))


@dataclass(frozen=True)
class binary_accuracy(Metric):
    """The share of outputs, each a yes or no of its own, that are on their target's side of
    `threshold`; prediction and target have one shape."""

    threshold: float = 0.5

    def additions(self, prediction: Any, target: Any) -> Variable:
        p, t = alike("binary_accuracy", prediction, target)
        return _count(T.eq(T.gt(p, self.threshold), T.gt(t, 0.5)))


@dataclass(frozen=True)
class top_k(Metric):
    """The share of examples whose class is among the `k` likeliest; of equals, the first are."""

    k: int = 5

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int) or self.k < 1:
            raise ConfigError(f"top_k: k={self.k!r:.60}: an integer, at least 1, is wanted")

    @property
    def name(self) -> str:
        return f"top_{self.k}"

    def additions(self, prediction: Any, target: Any) -> Variable:
        s, label = labelled("top_k", prediction, _labels(prediction, target))
        own: Any = T.shape_padright(of_label(s, label))
        before = T.lt(T.arange(s.shape[s.type.ndim - 1]), T.shape_padright(label))
        ahead: Any = T.or_(T.gt(s, own), T.and_(T.eq(s, own), before))
        return _count(T.lt(ahead.sum(axis=-1, dtype="int64"), self.k))


@dataclass(frozen=True)
class average(Metric):
    """The mean over examples of `function(prediction, target)`, an expression with one value per
    example, such as a loss."""

    function: Callable[[Any, Any], Any]

    @property
    def name(self) -> str:
        named = getattr(self.function, "func", self.function)  # functools.partial
        return getattr(named, "__name__", type(named).__name__)

    def additions(self, prediction: Any, target: Any) -> Variable:
        value: Any = as_variable(self.function(prediction, target))
        if value.type.ndim > 1:
            raise TypeMismatchError(
                f"metric {self.name} gave {value} ({value.type}): one value per example is wanted"
                f"{listed([value])}"
            )
        if not value.type.ndim:
            raise TypeMismatchError(
                f"metric {self.name} gave one number ({value}, {value.type}): one value per "
                f"example is wanted, so leave out the last mean or sum{listed([value])}"
            )
        return _total(value)


@dataclass(frozen=True)
class mean_squared_error(Metric):
    """The mean of `losses.mean_squared_error`."""

    def additions(self, prediction: Any, target: Any) -> Variable:
        return _total(losses.mean_squared_error(prediction, target))


@dataclass(frozen=True)
class mean_absolute_error(Metric):
    """The mean of `losses.mean_absolute_error`."""

    def additions(self, prediction: Any, target: Any) -> Variable:
        return _total(losses.mean_absolute_error(prediction, target))


@dataclass(frozen=True)
class confusion_matrix(Metric):
    """How many examples of class i (row) were taken for class j (column): int64 (classes, classes).

    `classes` may be left out where the predictions' type tells their number.
    """

    classes: int | None = None
    threshold: float = 0.5

    def __post_init__(self) -> None:
        n = self.classes
        if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 2):
            raise ConfigError(f"{self.name}: classes={n!r:.60}: an integer above 1 is wanted")

    def additions(self, prediction: Any, target: Any) -> Variable:
        p, t, known = _classes(self.name, prediction, target, self.threshold)
        n: Any = self.classes or known
        if n is None:
            raise ConfigError(
                f"{self.name}: the number of classes is not known from {as_variable(prediction)} "
                f"({as_variable(prediction).type}): give it, {self.name}(classes=...)"
            )
        if known is not None and known > n:
            raise ConfigError(f"{self.name}: {known} classes are predicted, classes={n}")
        label, size = CheckedIndex(negative=False), as_variable(n)
        cells: Any = T.zeros((n, n), dtype="int64")
        rows, columns = label(t.flatten(), size), label(p.flatten(), size)
        return T.inc_subtensor(cells[rows, columns], 1)

    def result(self, total: np.ndarray, examples: int) -> Any:
        return total


@dataclass(frozen=True)
class _OfConfusion(confusion_matrix):
    """A score per class from the confusion matrix, and how those are averaged: "macro", the mean
    over classes; "micro", of all decisions together; None, no mean: an array (classes,).

    Of two classes by a threshold, the score of the class 1 is usual: `average=None` has it last.
    A score without a case, 0 / 0, is 0; classes that neither occur nor are predicted do not count
    in a mean.
    """

    average: Average = "macro"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_average(self.average)


@dataclass(frozen=True)
class precision(_OfConfusion):
    """Of what was taken for a class, the share that is of it."""

    def result(self, total: np.ndarray, examples: int) -> Any:
        return precision_of(total, self.average)


@dataclass(frozen=True)
class recall(_OfConfusion):
    """Of what is of a class, the share that was taken for it."""

    def result(self, total: np.ndarray, examples: int) -> Any:
        return recall_of(total, self.average)


@dataclass(frozen=True)
class f1(_OfConfusion):
    """The harmonic mean of precision and recall, 2 right / (predicted + there are); macro: the mean
    of the classes' values (van Rijsbergen, Information Retrieval, 1979, chapter 7)."""

    def result(self, total: np.ndarray, examples: int) -> Any:
        return f1_of(total, self.average)


# ---- of arrays


def confusion(targets: Any, predictions: Any, classes: int) -> np.ndarray:
    """The confusion matrix, int64 (classes, classes), of labels (n,) and predictions: labels (n,)
    too, or scores (n, classes)."""
    y, p = np.asarray(targets), np.asarray(predictions)
    if p.ndim == 2:
        p = p.argmax(axis=1)
    if y.shape != p.shape or y.ndim != 1:
        raise ShapeError(f"confusion: labels {y.shape} and predictions {p.shape}")
    for what, a in (("labels", y), ("predictions", p)):
        if a.dtype.kind not in "iub":
            raise TypeMismatchError(f"confusion: {what} are integers, not {a.dtype}")
        if a.size and not (a.min() >= 0 and a.max() < classes):
            bad = a[(a < 0) | (a >= classes)][0]
            raise IndexOutOfBoundsError(f"confusion: {what} hold {bad}, with {classes} classes")
    cells = y.astype(np.int64) * classes + p.astype(np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def precision_of(matrix: np.ndarray, average: Average = "macro") -> Any:
    """`precision` of a confusion matrix."""
    right, there, predicted = _marginals(matrix)
    return _averaged(right, predicted, there + predicted > 0, average)


def recall_of(matrix: np.ndarray, average: Average = "macro") -> Any:
    """`recall` of a confusion matrix."""
    right, there, predicted = _marginals(matrix)
    return _averaged(right, there, there + predicted > 0, average)


def f1_of(matrix: np.ndarray, average: Average = "macro") -> Any:
    """`f1` of a confusion matrix."""
    right, there, predicted = _marginals(matrix)
    return _averaged(2 * right, there + predicted, there + predicted > 0, average)


def _marginals(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    m = np.asarray(matrix)
    if m.ndim != 2 or m.shape[0] != m.shape[1]:
        raise ShapeError(f"a confusion matrix is square, not {m.shape}")
    return m.diagonal(), m.sum(axis=1), m.sum(axis=0)


def _averaged(part: np.ndarray, whole: np.ndarray, met: np.ndarray, average: Average) -> Any:
    _check_average(average)
    if average == "micro":
        return float(part.sum() / max(whole.sum(), 1))
    each = part / np.maximum(whole, 1)
    if average is None:
        return each
    return float(each[met].mean()) if met.any() else 0.0


def _check_average(average: Any) -> None:
    if average not in ("macro", "micro", None):
        raise ConfigError(f'average={average!r:.60}: "macro", "micro" or None is wanted')


# ---- of expressions


def _classes(name: str, prediction: Any, target: Any, threshold: float) -> tuple[Any, Any, Any]:
    """The classes predicted and the right ones, integer expressions of one shape, and their number
    where the type of the predictions tells it."""
    p, t = predictions(name, prediction), as_variable(target)
    if p.type.ndim == 1 or p.type.shape[-1] == 1:
        p, t = alike(name, p, t)
        return T.gt(p, threshold).astype("int64"), T.gt(t, 0.5).astype("int64"), 2
    label = _labels(p, t)
    labelled(name, p, label)
    return T.argmax(p, axis=-1), label, p.type.shape[-1]


def _labels(prediction: Any, target: Any) -> Any:
    """Integer labels: as they are, or where one-hot rows of the predictions' shape have the 1."""
    p, t = as_variable(prediction), as_variable(target)
    if t.type.ndim == p.type.ndim and t.type.ndim > 1:
        same_sizes("classes", p, t)
        return T.argmax(t, axis=-1)
    return t


def _count(right: Any) -> Any:
    """How many examples are right; where they have parts, the sum of their shares."""
    if right.type.ndim <= 1:
        return right.sum(dtype="int64")
    return _total(right.astype("float64").mean(axis=tuple(range(1, right.type.ndim))))


def _total(values: Any) -> Any:
    return values.astype("float64").sum(dtype="float64")
