"""Data on their way into a model: converted, and checked before anything is compiled or changed.

Data are arrays, lists of numbers, pandas frames and series, or anything with DLPack. What comes out
is C-contiguous, in native byte order. Inputs keep their dtype where the model's program can convert
minibatch by minibatch (images stay bytes); targets are int64 labels, or in the outputs' dtype.

Errors: TypeMismatchError for what is not numbers, such as labels that are texts; ShapeError for
sizes and lengths that do not fit; DataError for no examples at all, and for NaN or infinite values;
IndexOutOfBoundsError for labels that are no class. Each says what was found, and where first.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.errors import (
    ConfigError,
    DataError,
    IndexOutOfBoundsError,
    ShapeError,
    TypeMismatchError,
)
from symnet.graph.types import FLOATS, TensorType
from symnet.graph.variables import SharedVariable, Variable
from symnet.nn import losses

_LABELS_OR_PROBABILITIES = {
    losses.categorical_crossentropy,
    losses.categorical_crossentropy_from_logits,
}
_LABELS = {losses.negative_log_likelihood, losses.multiclass_hinge, *_LABELS_OR_PROBABILITIES}
_YES_OR_NO = {losses.binary_crossentropy, losses.binary_crossentropy_from_logits}
_OURS = {getattr(losses, name) for name in losses.__all__}
_ROWS = 4096  # numbers of one look for NaN, roughly: what stays in the first cache
_ENCODE = (
    "; encode them as integers 0, 1, ..., e.g. with sklearn.preprocessing.LabelEncoder, or use "
    "symnet.sklearn.SymnetClassifier"
)


@dataclass(frozen=True)
class Examples:
    """Arrays whose first dimension runs over the examples; `weights` is a float vector or None."""

    inputs: list[np.ndarray]
    targets: list[np.ndarray]
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.inputs[0])

    def part(self, rows: slice) -> "Examples":
        """Some of them, without a copy."""
        weights = None if self.weights is None else self.weights[rows]
        return Examples([a[rows] for a in self.inputs], [a[rows] for a in self.targets], weights)


# ---- from anything to arrays


def as_array(given: Any, what: str) -> np.ndarray:
    """Numbers as an array. Errors: TypeMismatchError, ShapeError for a ragged list."""
    if given is None:
        raise TypeMismatchError(f"{what} is None")
    if isinstance(given, SharedVariable):
        given = given.get_value(borrow=True)
    if isinstance(given, Variable):
        raise TypeMismatchError(f"{what} is the symbolic {given} ({given.type}); give an array")
    if isinstance(given, Mapping | str | bytes):
        raise TypeMismatchError(f"{what} is a {type(given).__name__}, not an array")
    if hasattr(given, "toarray") and hasattr(given, "nnz"):
        raise TypeMismatchError(
            f"{what} is sparse ({type(given).__name__}, shape {given.shape}); give {what}.toarray()"
        )
    if hasattr(given, "dtypes") and hasattr(given, "columns"):
        return _of_numbers(_of_frame(given, what), what, given)
    if isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given):
        raise DataError(f"{what} has masked values; fill them first")
    if isinstance(given, np.ndarray):
        return _of_numbers(np.asarray(given), what, given)
    if hasattr(given, "to_numpy"):
        return _of_numbers(np.asarray(given.to_numpy()), what, given)
    if hasattr(given, "__dlpack__") and hasattr(given, "__dlpack_device__"):
        try:
            return _of_numbers(np.from_dlpack(given), what, given)
        except (BufferError, RuntimeError, ValueError, TypeError) as problem:
            raise TypeMismatchError(
                f"{what}, a {type(given).__name__}, cannot be read by DLPack: {problem}"
            ) from None
    try:
        array = np.asarray(given)
    except ValueError:
        raise ShapeError(f"{what} is a list whose parts differ in length; pad them") from None
    return _of_numbers(array, what, given)


def _of_frame(frame: Any, what: str) -> np.ndarray:
    for column, dtype in zip(frame.columns, frame.dtypes):
        kind = getattr(dtype, "kind", "O")
        if kind not in "biuf":
            raise TypeMismatchError(
                f"column {column!r} of {what} has dtype {dtype}, not numbers; encode or drop it"
            )
        if hasattr(dtype, "na_value") and bool(frame[column].isna().any()):
            raise DataError(f"column {column!r} of {what} has missing values; fill or drop them")
    kinds = {np.dtype(getattr(dtype, "numpy_dtype", dtype)) for dtype in frame.dtypes}
    return np.asarray(frame.to_numpy(dtype=np.result_type(*kinds) if kinds else None))


def _of_numbers(array: np.ndarray, what: str, given: Any) -> np.ndarray:
    kind = array.dtype.kind
    if kind in "biuf":
        return array
    if kind == "O" and array.size and all(isinstance(v, bool | int | float) for v in array.flat):
        advice = f"; convert it, {what}.astype(float)" if hasattr(given, "dtype") else ""
        raise TypeMismatchError(f"{what} has dtype object{advice}")
    texts = kind in "US" or (kind == "O" and any(isinstance(v, str | bytes) for v in array.flat))
    if texts:
        first = next(v for v in array.flat if isinstance(v, str | bytes))
        named = f" ({given.name!r})" if getattr(given, "name", None) is not None else ""
        encode = _ENCODE if what.startswith("y") or "target" in what else "; numbers are wanted"
        raise TypeMismatchError(f"{what}{named} holds texts, such as {str(first)!r:.40}{encode}")
    if kind == "O":
        found = next((v for v in array.flat if not isinstance(v, bool | int | float)), None)
        held = type(found).__name__
        raise TypeMismatchError(
            f"{what} has dtype object and holds {held}; if its parts differ in length, pad them"
        )
    raise TypeMismatchError(f"{what} has dtype {array.dtype}; real numbers are wanted")


def _plain(array: np.ndarray, dtype: Any, what: str) -> np.ndarray:
    """In native byte order, contiguous, aligned; values checked after rounding to `dtype`."""
    with np.errstate(over="ignore"):
        made = np.require(array, dtype=dtype, requirements=["C", "A"]).reshape(array.shape)
    check_finite(made, what, array)
    return made


def check_finite(array: np.ndarray, what: str, source: np.ndarray | None = None) -> None:
    """Errors: DataError that names the first NaN or infinite value and where it is."""
    if array.dtype.kind != "f" or not array.size:
        return
    flat = array.reshape(-1)
    for start in range(0, flat.size, _ROWS):
        if not np.isfinite(flat[start : start + _ROWS]).all():
            offset = start + int(np.argmin(np.isfinite(flat[start : start + _ROWS])))
            place = np.unravel_index(offset, array.shape)
            value = array[place] if source is None else source[place]
            shown = ", ".join(str(int(k)) for k in place)
            if np.isfinite(value):
                raise DataError(f"{what}[{shown}] is {value}, too large for {array.dtype}")
            raise DataError(f"{what}[{shown}] is {value}: NaN and infinite values teach nothing")


# ---- inputs


def read_inputs(x: Any, inputs: Sequence[Variable] | None, what: str = "x") -> list[np.ndarray]:
    """One array per input of a model; `inputs` is None where the model is not built yet."""
    count = 1 if inputs is None else len(inputs)
    if count == 1:
        given = [x]
        names = [what]
        if isinstance(x, (list, tuple)) and len(x) == 1 and hasattr(x[0], "shape"):
            if inputs is not None and np.ndim(x[0]) == inputs[0].type.ndim:
                given = [x[0]]
    else:
        assert inputs is not None
        given, names = _several(x, inputs, what)
    arrays = [
        _input(as_array(one, name), None if inputs is None else inputs[k], name, one)
        for k, (one, name) in enumerate(zip(given, names))
    ]
    for array, name in zip(arrays, names):
        if not len(array):
            raise DataError(f"{name} is empty: shape {array.shape}")
        if len(array) != len(arrays[0]):
            raise ShapeError(f"{names[0]} has {len(arrays[0])} examples, {name} has {len(array)}")
    return arrays


def _several(x: Any, variables: Sequence[Variable], what: str) -> tuple[list[Any], list[str]]:
    """Arrays for several inputs or outputs: a list in their order, or a dict by their names."""
    wanted = [str(v) for v in variables]
    if isinstance(x, Mapping):
        if set(x) != set(wanted):
            raise ShapeError(f"{what} names {sorted(map(str, x))}, the model has {wanted}")
        return [x[name] for name in wanted], [f"{what}[{name!r}]" for name in wanted]
    if not isinstance(x, (list, tuple)) or len(x) != len(wanted):
        held = f"{len(x)} arrays" if isinstance(x, (list, tuple)) else f"a {type(x).__name__}"
        raise ShapeError(f"{what} is {held}, the model has {len(wanted)}: {', '.join(wanted)}")
    return list(x), [f"{what}[{k}]" for k in range(len(wanted))]


def _input(array: np.ndarray, variable: Variable | None, what: str, given: Any) -> np.ndarray:
    if variable is None:
        if array.ndim < 2:
            raise ShapeError(
                f"{what} has shape {array.shape}; (examples, ...) is wanted"
                + (f": {what}.reshape(-1, 1) for one number per example" if array.ndim else "")
            )
    else:
        _fits(array, variable, what)
    kind = array.dtype.kind
    wanted = None if variable is None else variable.type.dtype
    if kind == "f":
        if wanted is not None and wanted not in FLOATS:
            raise _wrong_dtype(array, variable, what)
        try:
            return _plain(array, wanted or _float_of(array), what)
        except DataError as problem:
            raise _with_column(problem, array, given) from None
    if wanted is not None and wanted not in FLOATS and wanted != array.dtype.name:
        if not np.can_cast(array.dtype, wanted, "safe"):
            raise _wrong_dtype(array, variable, what)
    return _plain(array, array.dtype.newbyteorder("="), what)


def _wrong_dtype(array: np.ndarray, variable: Any, what: str) -> TypeMismatchError:
    return TypeMismatchError(
        f"{what} has dtype {array.dtype}, the model's input {variable} is {variable.type}"
    )


def _float_of(array: np.ndarray) -> str:
    return "float64" if array.dtype.itemsize > 4 else "float32"


def _with_column(problem: DataError, array: np.ndarray, given: Any) -> DataError:
    if not hasattr(given, "columns") or array.ndim != 2:
        return problem
    row, column = np.argwhere(~np.isfinite(array))[0]
    return DataError(f"{problem} (row {row}, column {given.columns[column]!r})")


def _fits(array: np.ndarray, variable: Variable, what: str) -> None:
    wanted = variable.type.shape
    sizes = zip(array.shape[1:], wanted[1:])
    if array.ndim == len(wanted) and all(s is None or s == n for n, s in sizes):
        return
    shown = _shape_text(wanted)
    advice = ""
    if array.ndim == len(wanted) - 1 and all(
        s is None or s == n for n, s in zip(array.shape, wanted[1:])
    ):
        advice = f"; for a single example give {what}[None]"
    raise ShapeError(
        f"{what} has shape {array.shape}, the model's input {variable} is {shown}{advice}"
    )


def _shape_text(shape: Sequence[int | None]) -> str:
    inner = ", ".join("?" if n is None else str(n) for n in shape)
    return f"({inner}{',' if len(shape) == 1 else ''})"


# ---- targets


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
        given, names = _several(y, outputs, what)
    made = []
    for one, name, output, function in zip(given, names, outputs, functions):
        array = check_length(one, count, name)
        made.append(_target(array, output.type, _unwrapped(function), name))
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


def _unwrapped(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _target(array: np.ndarray, output: TensorType, function: Any, what: str) -> np.ndarray:
    name = getattr(function, "__name__", "the loss")
    shape, wanted = array.shape, output.shape
    column = (
        array.ndim == output.ndim and shape[-1] == 1 and wanted[-1] != 1
        if output.ndim > 1
        else False
    )
    if function in _LABELS:
        if array.ndim == output.ndim - 1 or column:
            rows = array[..., 0] if column else array
            _same(rows.shape, wanted[:-1], what, output, name)
            return _labels(rows, wanted[-1], what, name)
        if function not in _LABELS_OR_PROBABILITIES:
            raise ShapeError(
                f"{what} has shape {shape}; {name} wants integer labels, one per example, for "
                f"outputs {_shape_text(wanted)}"
            )
        if array.ndim != output.ndim or (wanted[-1] is not None and shape[-1] != wanted[-1]):
            raise ShapeError(
                f"{what} has shape {shape}, the model's output {_shape_text(wanted)}: {name} "
                f"wants integer labels (examples,) or rows of {wanted[-1]} probabilities"
            )
        _same(shape, wanted, what, output, name)
        rows = _plain(array, output.dtype, what)
        _at_least_zero(rows, what, "a probability")
        return rows
    if function in _OURS or array.ndim >= output.ndim or wanted[-1:] == (1,):
        if array.ndim == output.ndim - 1 and wanted[-1:] == (1,):
            array = array[..., np.newaxis]
        if array.ndim != output.ndim:
            labels = array.ndim == output.ndim - 1 and array.dtype.kind in "iu"
            advice = "; for class labels choose loss='categorical_crossentropy'" if labels else ""
            raise ShapeError(
                f"{what} has shape {shape}, the model's output {_shape_text(wanted)}: {name} "
                f"wants targets of the outputs' shape{advice}"
            )
        _same(array.shape, wanted, what, output, name)
        made = _plain(array, output.dtype, what)
        if function in _YES_OR_NO:
            _at_least_zero(made, what, "a probability")
            if made.size and made.max() > 1:
                place = _first(made > 1)
                raise IndexOutOfBoundsError(
                    f"{what}{place} is {array[made > 1][0]}: {name} wants 0 and 1, or "
                    "probabilities between"
                )
        return made
    # labels of a user's own loss
    return _plain(array, output.dtype if array.dtype.kind == "f" else "int64", what)


def _same(
    shape: tuple[int, ...], wanted: Sequence[int | None], what: str, output: TensorType, name: str
) -> None:
    if any(s is not None and s != n for n, s in zip(shape[1:], wanted[1:])):
        raise ShapeError(
            f"{what} has shape {shape}, the model's output is {_shape_text(output.shape)} ({name})"
        )


def _labels(array: np.ndarray, classes: int | None, what: str, name: str) -> np.ndarray:
    """Labels as int64, each at least 0 and below `classes`."""
    if array.dtype.kind == "f":
        check_finite(array, what)
        whole = array == np.floor(array)
        if not whole.all():
            raise TypeMismatchError(
                f"{what}{_first(~whole)} is {array[~whole][0]}: {name} wants whole numbers, the "
                "numbers of classes"
            )
    if not array.size:
        return array.astype("int64")
    low, high = array.min(), array.max()
    if low < 0:
        advice = "; for two classes -1 and 1 choose loss='hinge', or 0 and 1" if low == -1 else ""
        raise IndexOutOfBoundsError(
            f"{what}{_first(array < 0)} is {array[array < 0][0]}: classes are counted from 0"
            f"{advice}"
        )
    if classes is not None and high >= classes:
        wrong = array >= classes
        advice = ""
        if classes == 1:
            advice = "; for two classes and one unit choose loss='binary_crossentropy'"
        elif high == classes and low == 1:
            advice = "; they seem to be counted from 1"
        raise IndexOutOfBoundsError(
            f"{what}{_first(wrong)} is {array[wrong][0]}: the model's output has {classes} "
            f"class{'es' if classes > 1 else ''}, 0 to {classes - 1}{advice}"
        )
    return np.require(array, dtype="int64", requirements=["C", "A"]).reshape(array.shape)


def _first(wrong: np.ndarray) -> str:
    place = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    return f"[{', '.join(str(int(k)) for k in place)}]"


def _at_least_zero(array: np.ndarray, what: str, wanted: str) -> None:
    if array.size and array.min() < 0:
        raise IndexOutOfBoundsError(
            f"{what}{_first(array < 0)} is {array[array < 0][0]}: {wanted} is at least 0"
        )


# ---- weights


def read_weights(
    sample_weight: Any,
    class_weight: Mapping[Any, float] | str | None,
    targets: Sequence[np.ndarray],
    outputs: Sequence[Variable],
    count: int,
) -> np.ndarray | None:
    """One weight per example, the product of both kinds; None where there are none.

    Classes that `class_weight` does not name weigh 1; "balanced" weighs each class by
    examples / (classes * examples of the class).
    """
    weights: np.ndarray | None = None
    dtype = outputs[0].type.dtype
    if sample_weight is not None:
        weights = as_array(sample_weight, "sample_weight")
        if weights.shape == (count, 1):
            weights = weights[:, 0]
        if weights.shape != (count,):
            raise ShapeError(
                f"sample_weight has shape {weights.shape}, for {count} examples ({count},) is "
                "wanted"
            )
        weights = _plain(weights, dtype, "sample_weight")
        _at_least_zero(weights, "sample_weight", "a weight")
    if class_weight is not None:
        by_class = _by_class(class_weight, targets, outputs).astype(dtype)
        weights = by_class if weights is None else weights * by_class
    if weights is not None and not weights.any():
        raise DataError("all weights are 0: nothing could be learned")
    return weights


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


def checked_split(count: int, share: float) -> int:
    """How many of `count` examples, the last, a validation split holds back."""
    if isinstance(share, bool) or not isinstance(share, int | float | np.number):
        raise ConfigError(f"validation_split={share!r:.40} is no number")
    if not 0 <= share < 1:
        raise ConfigError(f"validation_split={share!r}: a share from 0 to below 1 is wanted")
    held = round(count * float(share))
    if share and not 0 < held < count:
        raise DataError(
            f"validation_split={share:g} of {count} examples is {held}: both parts need some"
        )
    return held
