"""Targets and weights of examples, as a model's losses want them.

Targets become int64 labels, or numbers in the outputs' dtype.

Errors: TypeMismatchError for what is not numbers, such as labels that are texts; ShapeError for
sizes and lengths that do not fit; DataError for NaN or infinite values; IndexOutOfBoundsError for
labels that are no class; ConfigError for weights of classes that are none.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symnet.errors import (
    ConfigError,
    DataError,
    IndexOutOfBoundsError,
    ShapeError,
    TypeMismatchError,
)
from symnet.graph.types import TensorType, is_float
from symnet.graph.variables import Variable
from symnet.nn import losses
from symnet.nn.layers.core import written
from symnet.nn.training.arrays import (
    as_array,
    check_finite,
    check_sign,
    first,
    fitting,
)
from symnet.nn.training.data import Examples, several

_LABELS_OR_PROBABILITIES = {
    losses.categorical_crossentropy,
    losses.categorical_crossentropy_from_logits,
}
_LABELS = {losses.negative_log_likelihood, losses.multiclass_hinge, *_LABELS_OR_PROBABILITIES}
_YES_OR_NO = {losses.binary_crossentropy, losses.binary_crossentropy_from_logits}
_OURS = {getattr(losses, name) for name in losses.__all__}


def read_targets(
    y: Any,
    outputs: Sequence[Variable],
    functions: Sequence[Callable[..., Any]],
    count: int,
    what: str = "y",
) -> list[np.ndarray]:
    """One array per output of a model, fit for the loss functions; `count` examples are wanted."""
    if y is None:
        raise DataError(f"{what} is missing: give targets (to an autoencoder, its inputs)")
    if len(outputs) == 1:
        given, names = [y], [what]
        if isinstance(y, (list, tuple)) and len(y) == 1 and np.ndim(y[0]) > 1:
            given = [y[0]]
    else:
        given, names = several(y, outputs, what)
    made = []
    for one, name, output, function in zip(given, names, outputs, functions):
        array = check_length(one, count, name)
        made.append(_target(array, output.type, unwrapped(function), name))
    return made


def check_length(y: Any, count: int, what: str = "y") -> np.ndarray:
    """Targets as an array, `count` of them."""
    if y is None:
        raise DataError(f"{what} is missing: give targets (to an autoencoder, its inputs)")
    array = as_array(y, what)
    if not array.ndim:
        raise ShapeError(f"{what} is one number; one target per example is wanted")
    if len(array) != count:
        raise ShapeError(f"x has {count} examples, {what} has {len(array)}: {array.shape}")
    return array


def unwrapped(function: Any) -> Any:
    """A function without the settings that partial gave it."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _target(array: np.ndarray, output: TensorType, function: Any, what: str) -> np.ndarray:
    name = getattr(function, "__name__", "the loss")
    shape, wanted = array.shape, output.shape
    column = 1 < output.ndim == array.ndim and shape[-1] == 1 and wanted[-1] != 1
    if function in _LABELS:
        if array.ndim == output.ndim - 1 or column:
            rows = array[..., 0] if column else array
            _same(rows.shape, wanted[:-1], what, output, name)
            return _labels(rows, wanted[-1], what, name)
        if function not in _LABELS_OR_PROBABILITIES:
            raise ShapeError(
                f"{what} has shape {shape}; {name} wants integer labels, one per example, for "
                f"outputs {written(wanted)}"
            )
        if array.ndim != output.ndim or (wanted[-1] is not None and shape[-1] != wanted[-1]):
            raise ShapeError(
                f"{what} has shape {shape}, the model's output {written(wanted)}: {name} "
                f"wants integer labels (examples,) or rows of {wanted[-1]} probabilities"
            )
        _same(shape, wanted, what, output, name)
        rows = fitting(array, output.dtype, what)
        check_sign(rows, what, "a probability")
        return rows
    if function in _OURS or array.ndim >= output.ndim or wanted[-1:] == (1,):
        if array.ndim == output.ndim - 1 and wanted[-1:] == (1,):
            array = array[..., np.newaxis]
        if array.ndim != output.ndim:
            labels = array.ndim == output.ndim - 1 and array.dtype.kind in "iu"
            advice = "; for class labels choose loss='categorical_crossentropy'" if labels else ""
            raise ShapeError(
                f"{what} has shape {shape}, the model's output {written(wanted)}: {name} "
                f"wants targets of the outputs' shape{advice}"
            )
        _same(array.shape, wanted, what, output, name)
        made = fitting(array, output.dtype, what)
        if function in _YES_OR_NO:
            check_sign(made, what, "a probability")
            if made.size and made.max() > 1:
                place = first(made > 1)
                raise IndexOutOfBoundsError(
                    f"{what}{place} is {array[made > 1][0]}: {name} wants 0 and 1, or "
                    "probabilities between"
                )
        return made
    # labels of a user's own loss
    return fitting(array, output.dtype if is_float(array) else "int64", what)


def _same(
    shape: tuple[int, ...], wanted: Sequence[int | None], what: str, output: TensorType, name: str
) -> None:
    if any(s is not None and s != n for n, s in zip(shape[1:], wanted[1:])):
        raise ShapeError(
            f"{what} has shape {shape}, the model's output is {written(output.shape)} ({name})"
        )


def _labels(array: np.ndarray, classes: int | None, what: str, name: str) -> np.ndarray:
    """Labels as int64, each at least 0 and below `classes`."""
    if is_float(array):
        check_finite(array, what)
        whole = array == np.floor(array)
        if not whole.all():
            raise TypeMismatchError(
                f"{what}{first(~whole)} is {array[~whole][0]}: {name} wants whole numbers, the "
                "numbers of classes"
            )
    if not array.size:
        return array.astype("int64")
    low, high = array.min(), array.max()
    if low < 0:
        advice = "; for two classes -1 and 1 choose loss='hinge', or 0 and 1" if low == -1 else ""
        raise IndexOutOfBoundsError(
            f"{what}{first(array < 0)} is {array[array < 0][0]}: classes are counted from 0{advice}"
        )
    if classes is not None and high >= classes:
        wrong = array >= classes
        advice = ""
        if classes == 1:
            advice = "; for two classes and one unit choose loss='binary_crossentropy'"
        elif high == classes and low == 1:
            advice = "; they seem to be counted from 1"
        raise IndexOutOfBoundsError(
            f"{what}{first(wrong)} is {array[wrong][0]}: the model's output has {classes} "
            f"class{'es' if classes > 1 else ''}, 0 to {classes - 1}{advice}"
        )
    return np.require(array, dtype="int64", requirements=["C", "A"]).reshape(array.shape)


def read_weights(given: Any, dtype: str, count: int) -> np.ndarray | None:
    """One weight per example, or None. Errors: also DataError where nothing weighs anything."""
    if given is None:
        return None
    weights = as_array(given, "sample_weight")
    if weights.shape == (count, 1):
        weights = weights[:, 0]
    if weights.shape != (count,):
        raise ShapeError(
            f"sample_weight has shape {weights.shape}, for {count} examples ({count},) is wanted"
        )
    weights = fitting(weights, dtype, "sample_weight")
    check_sign(weights, "sample_weight", "a weight")
    _check_any(weights)
    return weights


def weighted_by_class(
    examples: Examples, given: Mapping[Any, float] | str | None, outputs: Sequence[Variable]
) -> Examples:
    """Examples with the weights of their classes, times those they have.

    Classes that a dict does not name weigh 1; "balanced" weighs each class by
    examples / (classes * examples of the class).
    """
    if given is None:
        return examples
    weights = _by_class(given, examples.targets, outputs).astype(outputs[0].type.dtype)
    if examples.weights is not None:
        weights = weights * examples.weights
    _check_any(weights)
    return Examples(examples.inputs, examples.targets, weights)


def _check_any(weights: np.ndarray) -> None:
    if not weights.any():
        raise DataError("all weights are 0: nothing could be learned")


def _by_class(
    given: Mapping[Any, float] | str, targets: Sequence[np.ndarray], outputs: Sequence[Variable]
) -> np.ndarray:
    if len(targets) != 1:
        raise ConfigError("class_weight is for models with one output; use sample_weight")
    labels, output = targets[0], outputs[0].type
    if labels.ndim == 2 and labels.shape[1] > 1:
        labels = labels.argmax(axis=1)
    elif labels.ndim == 2:
        labels = labels[:, 0]
    if labels.ndim != 1 or (labels != np.floor(labels)).any():
        raise ConfigError(f"class_weight wants one class per example, y has shape {labels.shape}")
    found, places = np.unique(labels, return_inverse=True)
    if isinstance(given, str):
        if given != "balanced":
            raise ConfigError(f"class_weight={given!r} is neither a dict nor 'balanced'")
        factors = len(labels) / (len(found) * np.bincount(places))
        return np.asarray(factors[places])
    classes = output.shape[-1] if output.ndim > 1 and output.shape[-1] != 1 else 2
    table = dict.fromkeys(found.tolist(), 1.0)
    for label, weight in given.items():
        try:
            number, known = float(weight), label in table
        except (TypeError, ValueError):
            raise ConfigError(f"class_weight: {label!r}: {weight!r:.40} is no number") from None
        if not known and not (
            isinstance(label, int | np.integer) and (classes is None or 0 <= label < classes)
        ):
            raise ConfigError(f"class_weight names class {label!r:.40}, which is none")
        if not (np.isfinite(number) and number >= 0):
            raise ConfigError(f"class_weight: {label!r}: {number} is no weight: at least 0, finite")
        table[label] = number
    return np.array([table[label] for label in found.tolist()])[places]
