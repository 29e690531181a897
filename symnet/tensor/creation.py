"""Inputs and constants.

`T.matrix("x")` and its siblings make an input of floatX, or of `dtype`. With a dtype letter in
front (b int8, w int16, i int32, l int64, f float32, d float64) they are types: `T.lvector("y")`.
The plural ones make several: `x, y = T.matrices("x", "y")`, `T.matrices("xy")`, `T.matrices(2)`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from symnet.config import config
from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph.types import TensorType
from symnet.graph.variables import Variable
from symnet.ops.casting import dtype_name
from symnet.ops.conversion import as_variable
from symnet.tensor.variable import TensorConstant, TensorVariable

Flags = tuple[int | None, ...]


def _input(default: Flags, name: str | None, dtype: Any, shape: Any) -> TensorVariable:
    if not isinstance(name, str | None):
        raise TypeMismatchError(f"the name of an input is text, not {name!r:.80}")
    if not isinstance(shape, Sequence | None):
        raise TypeMismatchError(f"shape={shape!r:.80}: one size (or None) per dimension is wanted")
    sizes = default if shape is None else tuple(shape)
    if len(sizes) != len(default):
        raise ShapeError(f"shape={sizes} has {len(sizes)} entries; {len(default)} are wanted")
    made: TensorVariable = TensorType(config.floatX if dtype is None else dtype_name(dtype), sizes)(
        name
    )
    return made


def scalar(name: str | None = None, dtype: Any = None) -> TensorVariable:
    """An input without dimensions. `dtype` defaults to floatX."""
    return _input((), name, dtype, None)


def vector(name: str | None = None, dtype: Any = None, shape: Any = None) -> TensorVariable:
    """An input with one dimension. `shape` may give its size: `shape=(10,)`."""
    return _input((None,), name, dtype, shape)


def matrix(name: str | None = None, dtype: Any = None, shape: Any = None) -> TensorVariable:
    """An input with two dimensions. `shape` may give sizes known now: `shape=(None, 784)`."""
    return _input((None, None), name, dtype, shape)


def row(name: str | None = None, dtype: Any = None) -> TensorVariable:
    """An input with two dimensions, of which the first has size 1 and broadcasts."""
    return _input((1, None), name, dtype, None)


def col(name: str | None = None, dtype: Any = None) -> TensorVariable:
    """An input with two dimensions, of which the second has size 1 and broadcasts."""
    return _input((None, 1), name, dtype, None)


def tensor3(name: str | None = None, dtype: Any = None, shape: Any = None) -> TensorVariable:
    """An input with three dimensions; `shape` as in `matrix`."""
    return _input((None,) * 3, name, dtype, shape)


def tensor4(name: str | None = None, dtype: Any = None, shape: Any = None) -> TensorVariable:
    """An input with four dimensions; `shape` as in `matrix`."""
    return _input((None,) * 4, name, dtype, shape)


def tensor5(name: str | None = None, dtype: Any = None, shape: Any = None) -> TensorVariable:
    """An input with five dimensions; `shape` as in `matrix`."""
    return _input((None,) * 5, name, dtype, shape)


def tensor(
    dtype: Any,
    shape: Sequence[int | bool | None] | None = None,
    name: str | None = None,
    broadcastable: Sequence[bool] | None = None,
) -> TensorVariable:
    """An input of any dtype and number of dimensions.

    `shape` has a size or None per dimension; flags as Theano's `broadcastable` do as well (True
    means size 1). Errors: TypeMismatchError, ShapeError.
    """
    flags = broadcastable if shape is None else shape
    if flags is None or (shape is not None and broadcastable is not None):
        raise TypeMismatchError("T.tensor takes a dtype and either shape or broadcastable")
    made: TensorVariable = TensorType(dtype_name(dtype), flags)(name)
    return made


def _several(make: Callable[..., TensorVariable]) -> Callable[..., list[TensorVariable]]:
    def several(*names: Any, dtype: Any = None) -> list[TensorVariable]:
        if len(names) == 1 and isinstance(names[0], int):
            return [make(dtype=dtype) for _ in range(names[0])]
        if len(names) == 1:
            names = tuple(names[0])  # the letters of a string, or a sequence of names
        return [make(name, dtype=dtype) for name in names]

    several.__name__ = several.__qualname__ = f"several {make.__name__}"
    several.__doc__ = (
        f"Several inputs as `{make.__name__}` makes them: names, one string of letters, or a count."
    )
    return several


scalars = _several(scalar)
vectors = _several(vector)
matrices = _several(matrix)
rows = _several(row)
cols = _several(col)
tensor3s = _several(tensor3)
tensor4s = _several(tensor4)
tensor5s = _several(tensor5)

LETTERS = {
    "b": "int8", "w": "int16", "i": "int32", "l": "int64", "f": "float32", "d": "float64",
}  # fmt: skip


def _types(shape: Flags) -> list[TensorType]:
    return [TensorType(dtype, shape) for dtype in LETTERS.values()]


# types: called with a name they make an input
bscalar, wscalar, iscalar, lscalar, fscalar, dscalar = _types(())
bvector, wvector, ivector, lvector, fvector, dvector = _types((None,))
bmatrix, wmatrix, imatrix, lmatrix, fmatrix, dmatrix = _types((None, None))
brow, wrow, irow, lrow, frow, drow = _types((1, None))
bcol, wcol, icol, lcol, fcol, dcol = _types((None, 1))
btensor3, wtensor3, itensor3, ltensor3, ftensor3, dtensor3 = _types((None,) * 3)
btensor4, wtensor4, itensor4, ltensor4, ftensor4, dtensor4 = _types((None,) * 4)
btensor5, wtensor5, itensor5, ltensor5, ftensor5, dtensor5 = _types((None,) * 5)


def _several_of(shape: Flags) -> list[Callable[..., list[TensorVariable]]]:
    return [_several(_of_type(type_)) for type_ in _types(shape)]


def _of_type(type_: TensorType) -> Callable[..., TensorVariable]:
    def make(name: str | None = None, dtype: Any = None) -> TensorVariable:
        made: TensorVariable = type_.clone(None if dtype is None else dtype_name(dtype))(name)
        return made

    make.__name__ = str(type_)
    return make


bscalars, wscalars, iscalars, lscalars, fscalars, dscalars = _several_of(())
bvectors, wvectors, ivectors, lvectors, fvectors, dvectors = _several_of((None,))
bmatrices, wmatrices, imatrices, lmatrices, fmatrices, dmatrices = _several_of((None, None))
brows, wrows, irows, lrows, frows, drows = _several_of((1, None))
bcols, wcols, icols, lcols, fcols, dcols = _several_of((None, 1))
btensor3s, wtensor3s, itensor3s, ltensor3s, ftensor3s, dtensor3s = _several_of((None,) * 3)
btensor4s, wtensor4s, itensor4s, ltensor4s, ftensor4s, dtensor4s = _several_of((None,) * 4)
btensor5s, wtensor5s, itensor5s, ltensor5s, ftensor5s, dtensor5s = _several_of((None,) * 5)


def constant(value: Any, name: str | None = None, dtype: Any = None) -> TensorConstant:
    """A fixed array. Python floats and lists of them become floatX, integers int64.

    Errors: TypeMismatchError if it is not numeric.
    """
    if isinstance(value, Variable):
        raise TypeMismatchError(f"{value} is symbolic already")
    made: Any = as_variable(value, None if dtype is None else dtype_name(dtype), name)
    return made  # type: ignore[no-any-return]
