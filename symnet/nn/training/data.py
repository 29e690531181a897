"""The examples of a call of `fit` or `evaluate`, and the inputs of `predict`.

Everything is converted and checked before anything is compiled or changed. What comes out is
C-contiguous, in native byte order. Inputs keep their dtype where a program can convert minibatch
by minibatch, so images stay bytes.

Errors: TypeMismatchError for what is not numbers; ShapeError for sizes and lengths that do not
fit; DataError for no examples at all, and for NaN or infinite values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.errors import ConfigError, DataError, ShapeError, TypeMismatchError
from symnet.graph.types import FLOATS, is_float
from symnet.graph.variables import Variable
from symnet.nn.layers.core import written
from symnet.nn.training.arrays import as_array, fitting


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
        given, names = several(x, inputs, what)
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


def several(x: Any, variables: Sequence[Variable], what: str) -> tuple[list[Any], list[str]]:
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
    wanted = None if variable is None else variable.type.dtype
    if is_float(array):
        if wanted is not None and wanted not in FLOATS:
            raise _wrong_dtype(array, variable, what)
        try:
            return fitting(array, wanted or _float_of(array), what)
        except DataError as problem:
            raise _with_column(problem, array, given) from None
    if wanted is not None and wanted not in FLOATS and wanted != array.dtype.name:
        if not np.can_cast(array.dtype, wanted, "safe"):
            raise _wrong_dtype(array, variable, what)
    return fitting(array, array.dtype.newbyteorder("="), what)


def _wrong_dtype(array: np.ndarray, variable: Any, what: str) -> TypeMismatchError:
    return TypeMismatchError(
        f"{what} has dtype {array.dtype}, the model's input {str(variable)!r} is {variable.type}"
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
    shown = written(wanted)
    advice = ""
    if array.ndim == len(wanted) - 1 and all(
        s is None or s == n for n, s in zip(array.shape, wanted[1:])
    ):
        advice = f"; for a single example give {what}[None]"
    raise ShapeError(
        f"{what} has shape {array.shape}, the model's input {str(variable)!r} is {shown}{advice}"
    )


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
