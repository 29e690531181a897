"""Arrays on their way into a model: from anything that is one, and checked.

Taken are NumPy's, lists of numbers, pandas' frames and series, and whatever has DLPack. Messages
say what was found, and where first.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from symnet.errors import DataError, IndexOutOfBoundsError, ShapeError, TypeMismatchError
from symnet.function import transfer
from symnet.graph import foreign
from symnet.graph.types import is_float
from symnet.graph.variables import SharedVariable, Variable

_NUMBERS = 65536  # looked at together for NaN: what stays in the cache of a core
_ENCODE = (
    "; encode them as integers 0, 1, ..., e.g. with sklearn.preprocessing.LabelEncoder, or use "
    "symnet.sklearn.SymnetClassifier"
)


def as_array(given: Any, what: str) -> np.ndarray:
    """Numbers as an array. Errors: TypeMismatchError, ShapeError for a ragged list."""
    if given is None:
        raise TypeMismatchError(f"{what} is None")
    if isinstance(given, SharedVariable):
        given = given.peek()
    if isinstance(given, Variable):
        raise TypeMismatchError(f"{what} is the symbolic {given} ({given.type}); give an array")
    if isinstance(given, Mapping | Iterator | set | str | bytes):
        raise TypeMismatchError(f"{what} is a {type(given).__name__}, not an array")
    if foreign.device_of(given) is not None:
        given = transfer(given, "cpu")
    if hasattr(given, "toarray") and hasattr(given, "nnz"):
        raise TypeMismatchError(
            f"{what} is sparse ({type(given).__name__}, shape {given.shape}); give {what}.toarray()"
        )
    if hasattr(given, "dtypes") and hasattr(given, "columns"):
        return _of_numbers(_of_frame(given, what), what, given)
    if isinstance(given, np.ndarray):
        if np.any(getattr(given, "mask", False)):  # looking for np.ma would import it
            raise DataError(f"{what} has masked values; fill them first")
        return _of_numbers(np.asarray(given), what, given)
    if hasattr(given, "to_numpy"):
        return _of_numbers(np.asarray(given.to_numpy()), what, given)
    if not isinstance(given, list | tuple):
        return _of_numbers(foreign.as_array(given, what), what, given)
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
    if kind in "biuf" or is_float(array):
        return array
    if kind == "O" and array.size and all(isinstance(v, bool | int | float) for v in array.flat):
        advice = f"; convert it, {what}.astype(float)" if hasattr(given, "dtype") else ""
        raise TypeMismatchError(f"{what} has dtype object{advice}")
    texts = kind in "US" or (kind == "O" and any(isinstance(v, str | bytes) for v in array.flat))
    if texts:
        first = next(v for v in array.flat if isinstance(v, str | bytes))
        named = f" ({given.name!r})" if getattr(given, "name", None) is not None else ""
        targets = what.partition("[")[0].endswith("y")
        encode = _ENCODE if targets else "; numbers are wanted"
        raise TypeMismatchError(f"{what}{named} holds texts, such as {str(first)!r:.40}{encode}")
    if kind == "O":
        found = next((v for v in array.flat if not isinstance(v, bool | int | float)), None)
        held = type(found).__name__
        raise TypeMismatchError(
            f"{what} has dtype object and holds {held}; if its parts differ in length, pad them"
        )
    raise TypeMismatchError(f"{what} has dtype {array.dtype}; real numbers are wanted")


def fitting(array: np.ndarray, dtype: Any, what: str) -> np.ndarray:
    """In native byte order, contiguous, aligned; values checked after rounding to `dtype`."""
    with np.errstate(over="ignore"):
        made = np.require(array, dtype=dtype, requirements=["C", "A"]).reshape(array.shape)
    check_finite(made, what, array)
    return made


def check_finite(array: np.ndarray, what: str, source: np.ndarray | None = None) -> None:
    """Errors: DataError that names the first NaN or infinite value and where it is."""
    if not is_float(array) or not array.size:
        return
    flat = array.reshape(-1)
    for start in range(0, flat.size, _NUMBERS):
        if not np.isfinite(flat[start : start + _NUMBERS]).all():
            offset = start + int(np.argmin(np.isfinite(flat[start : start + _NUMBERS])))
            place = np.unravel_index(offset, array.shape)
            value = array[place] if source is None else source[place]
            shown = ", ".join(str(int(k)) for k in place)
            if np.isfinite(value):
                raise DataError(f"{what}[{shown}] is {value}, too large for {array.dtype}")
            raise DataError(f"{what}[{shown}] is {value}: every value must be finite")


def first(wrong: np.ndarray) -> str:
    """The place of the first True, as an index: "[3, 1]"."""
    place = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
    return f"[{', '.join(str(int(k)) for k in place)}]"


def check_sign(array: np.ndarray, what: str, wanted: str) -> None:
    """Errors: IndexOutOfBoundsError that names the first number below 0."""
    if array.size and array.min() < 0:
        raise IndexOutOfBoundsError(
            f"{what}{first(array < 0)} is {array[array < 0][0]}: {wanted} is at least 0"
        )
