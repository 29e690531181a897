"""Types of variables: dtype and static shape.

A static shape is a tuple with one entry per dimension: a size known when the expression is built,
or None. Dimensions of static size 1 broadcast, no others do (design D3).

The half types float16 and bfloat16 are how numbers are stored: each op computes in float32 and
rounds its result to the half type (docs/design/0015-half-types.md). NumPy has no bfloat16; the
package ml_dtypes (the extra "half") brings it, and is imported when the first such type is made.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph.bfloat16 import bfloat16
from symnet.graph.foreign import as_array, has_dtype, not_numeric

DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "bfloat16", "float32", "float64",
)  # fmt: skip
HALVES = frozenset({"float16", "bfloat16"})
FLOATS = HALVES | {"float32", "float64"}
DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}  # binary, of a significand
INTEGERS = frozenset(d for d in DTYPES if "int" in d)


class _NumpyDtypes(dict[str, np.dtype]):
    """NumPy's dtype of each name; bfloat16's is looked for when it is asked for."""

    def __missing__(self, name: str) -> np.dtype:
        if name != "bfloat16":
            raise KeyError(name)
        found = self[name] = bfloat16()
        return found


NUMPY_DTYPES = _NumpyDtypes({name: np.dtype(name) for name in DTYPES if name != "bfloat16"})


def compute_dtype(dtype: str) -> str:
    """The dtype in which numbers of `dtype` are computed with: float32 for the half types."""
    return "float32" if dtype in HALVES else dtype


def to_compute(array: np.ndarray) -> np.ndarray:
    """`array`, or if it holds halves the same values as float32."""
    return array.astype(np.float32) if array.dtype.name in HALVES else array


def is_float(array: Any) -> bool:
    """Whether an array, or NumPy's dtype, is of a floating-point dtype. (To NumPy, bfloat16 is of
    an unknown kind.)"""
    dtype = getattr(array, "dtype", array)
    return dtype.kind == "f" or dtype.name == "bfloat16"


def largest(dtype: str) -> float:
    """The largest finite number of a floating-point dtype."""
    if dtype == "bfloat16":
        return float(2.0**128 - 2.0**120)
    return float(np.finfo(dtype).max)


_interned: dict[tuple, "TensorType"] = {}


class TensorType:
    """The type of a dense array: `dtype` (a name) and `shape` (sizes or None).

    Types are interned: equal types are the same object. `shape` entries may also be given as
    Theano's broadcast flags: True means size 1, False an unknown size.
    """

    __slots__ = ("dtype", "ndim", "shape")
    dtype: str
    shape: tuple[int | None, ...]
    ndim: int

    def __new__(cls, dtype: Any, shape: Sequence[int | bool | None] = ()) -> "TensorType":
        try:
            known = _interned.get((dtype, shape))
            # True is 1, which is what it means, but False is 0, which it does not mean
            if known is not None and type(dtype) is str and 0 not in shape:
                return known
        except TypeError:
            pass
        name = dtype if type(dtype) is str and dtype in DTYPES else _dtype_name(dtype)
        sizes = tuple(_static_size(size) for size in shape)
        key = (name, sizes)
        known = _interned.get(key)
        if known is None:
            NUMPY_DTYPES[name]  # or the error that says what is missing
            known = object.__new__(cls)
            object.__setattr__(known, "dtype", name)
            object.__setattr__(known, "shape", sizes)
            object.__setattr__(known, "ndim", len(sizes))
            known = _interned.setdefault(key, known)
        return known

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("types do not change")

    def __reduce__(self) -> tuple:
        return TensorType, (self.dtype, self.shape)

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        return tuple(size == 1 for size in self.shape)

    @property
    def numpy_dtype(self) -> np.dtype:
        return NUMPY_DTYPES[self.dtype]

    def clone(self, dtype: Any = None, shape: Sequence[int | None] | None = None) -> "TensorType":
        """The type with another dtype, another static shape, or both."""
        return TensorType(
            self.dtype if dtype is None else dtype, self.shape if shape is None else shape
        )

    def accepts(self, other: "TensorType") -> bool:
        """Whether every value of type `other` is a value of this type."""
        return self is other or (
            self.dtype == other.dtype
            and self.ndim == other.ndim
            and all(a is None or a == b for a, b in zip(self.shape, other.shape))
        )

    def filter(
        self, value: Any, allow_downcast: bool | None = None, what: str = "value"
    ) -> np.ndarray:
        """`value` as an array of this type: C-contiguous, aligned, native byte order.

        Arrays of other libraries are taken by DLPack or NumPy's protocol, pandas' frames and
        series included. Python's and NumPy's scalars are taken where they fit. Arrays of another
        dtype are converted only when nothing can be lost (int32 to int64, bool to float32), or with
        allow_downcast=True; allow_downcast=None also takes scalar floats into float32.

        Errors: TypeMismatchError (dtype, number of dimensions), ShapeError (a static size).
        """
        wanted = NUMPY_DTYPES[self.dtype]
        if type(value) is np.ndarray and value.dtype == wanted:
            array = value
        else:
            array = _convert(value, wanted, allow_downcast, what, self)
        if array.ndim != self.ndim:
            raise TypeMismatchError(
                f"{what} has {array.ndim} dimensions (shape {array.shape}); {self} has {self.ndim}"
            )
        for axis, size in enumerate(self.shape):
            if size is not None and array.shape[axis] != size:
                raise ShapeError(
                    f"{what} has shape {array.shape}; {self} wants size {size} in dimension {axis}"
                )
        fitting = np.require(array.astype(wanted, copy=False), requirements="CA")
        if fitting.dtype is not wanted:  # unpickled arrays have dtype objects of their own
            fitting = fitting.view(wanted)
        return fitting.reshape(array.shape)

    def __call__(self, name: str | None = None) -> Any:
        from_type = _hooks["variable"]
        return from_type(self, name=name)

    def __str__(self) -> str:
        return f"{self.dtype}({sizes_text(self.shape)})"

    def __repr__(self) -> str:
        return f"TensorType({self.dtype!r}, {self.shape!r})"


def sizes_text(shape: Sequence[int | None]) -> str:
    """Static sizes as text, ? for those that are not known."""
    return ", ".join("?" if size is None else str(size) for size in shape)


_hooks: dict[str, Any] = {}  # filled by graph.variables: types make variables, variables have types


def _dtype_name(dtype: Any) -> str:
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = str(dtype)
    if name not in DTYPES:
        raise TypeMismatchError(f"dtype {dtype!r} is not supported; there are {', '.join(DTYPES)}")
    return name


def _static_size(size: Any) -> int | None:
    if size is None or size is False:
        return None
    if size is True:
        return 1
    if isinstance(size, (int, np.integer)) and size >= 0:
        return int(size)
    raise ShapeError(f"a static size is a whole number or None, not {size!r}")


def _convert(
    value: Any, wanted: np.dtype, allow_downcast: bool | None, what: str, type_: TensorType
) -> np.ndarray:
    array = as_array(value, what)
    given = array.dtype
    if not (given.kind in "biuf" or given.name in HALVES) or given.itemsize > 8:
        raise TypeMismatchError(f"{what} {not_numeric(value, array)}; {type_} is wanted")
    # lists and numbers have no dtype of their own, and np.float64(0.1) is as good as 0.1
    python_scalar = not has_dtype(value) or isinstance(value, np.generic)
    if given.newbyteorder("=") == wanted or np.can_cast(given, wanted, "safe") or allow_downcast:
        return array.astype(wanted, copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        converted = array.astype(wanted)
    if python_scalar and is_float(wanted) and allow_downcast is None:
        if given.kind in "iu" or is_float(given):
            return converted
    if python_scalar and given.kind in "iu" and wanted.kind in "iu":
        if np.array_equal(converted, array) and bool(np.all((converted < 0) == (array < 0))):
            return converted
        raise TypeMismatchError(f"{what} holds {array.ravel()[:3]}..., out of range for {wanted}")
    if array.size == 0 and python_scalar:
        return converted
    raise TypeMismatchError(
        f"{what} has dtype {given}, {type_} is wanted and the conversion may lose digits; "
        f"convert it (.astype({wanted.name!r})) or pass allow_input_downcast=True"
    )
