"""Variables with operators: what a user holds.

    TensorVariable         input, or result of an op
    TensorConstant         fixed array
    TensorSharedVariable   array that lives between calls

`<`, `<=`, `>`, `>=` build expressions; `==` and `!=` of variables compare identity, as in Theano,
so that variables work in sets and dictionaries: use `T.eq` and `T.neq`.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from symnet.errors import CompilerError, TypeMismatchError
from symnet.graph.variables import Constant, SharedVariable, Variable, use_variable_classes
from symnet.ops import (
    arithmetic,
    bits,
    casting,
    contraction,
    exponential,
    generate,
    indexing,
    logic,
)
from symnet.ops.movement import as_axis
from symnet.tensor import assembly, elementwise, movement
from symnet.tensor import reduction as reductions

_evaluator: Callable[..., Any] | None = None


def use_evaluator(evaluate: Callable[..., Any]) -> None:
    """The hook by which `function` gives variables their `.eval()`."""
    global _evaluator
    _evaluator = evaluate


_numpy: dict[str, Callable[..., Any]] = {}


def use_numpy_ufuncs(apply: Callable[..., Any]) -> None:
    """The hook for NumPy's ufuncs: `apply(ufunc, method, inputs, kwargs)`; see numpy_ufuncs.py."""
    _numpy["ufunc"] = apply


def use_numpy_functions(apply: Callable[..., Any]) -> None:
    """The hook for NumPy's other functions: `apply(function, args, kwargs)`."""
    _numpy["function"] = apply


class TensorOperators(Variable):
    """Operators and methods that all kinds of variables share."""

    __slots__ = ()

    # ---- arithmetic

    def __add__(self, other: Any) -> Any:
        return arithmetic.add(self, other)

    def __radd__(self, other: Any) -> Any:
        return arithmetic.add(other, self)

    def __sub__(self, other: Any) -> Any:
        return arithmetic.sub(self, other)

    def __rsub__(self, other: Any) -> Any:
        return arithmetic.sub(other, self)

    def __mul__(self, other: Any) -> Any:
        return arithmetic.mul(self, other)

    def __rmul__(self, other: Any) -> Any:
        return arithmetic.mul(other, self)

    def __truediv__(self, other: Any) -> Any:
        return arithmetic.true_div(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return arithmetic.true_div(other, self)

    def __floordiv__(self, other: Any) -> Any:
        return arithmetic.floor_div(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return arithmetic.floor_div(other, self)

    def __mod__(self, other: Any) -> Any:
        return arithmetic.floor_mod(self, other)

    def __rmod__(self, other: Any) -> Any:
        return arithmetic.floor_mod(other, self)

    def __divmod__(self, other: Any) -> Any:
        return arithmetic.floor_div(self, other), arithmetic.floor_mod(self, other)

    def __rdivmod__(self, other: Any) -> Any:
        return arithmetic.floor_div(other, self), arithmetic.floor_mod(other, self)

    def __pow__(self, other: Any) -> Any:
        return exponential.power(self, other)

    def __rpow__(self, other: Any) -> Any:
        return exponential.power(other, self)

    def __neg__(self) -> Any:
        return arithmetic.neg(self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return arithmetic.absolute(self)

    # ---- comparison; == and != are identity

    def __lt__(self, other: Any) -> Any:
        return logic.lt(self, other)

    def __le__(self, other: Any) -> Any:
        return logic.le(self, other)

    def __gt__(self, other: Any) -> Any:
        return logic.gt(self, other)

    def __ge__(self, other: Any) -> Any:
        return logic.ge(self, other)

    # ---- bits of integers, logic of booleans

    def __and__(self, other: Any) -> Any:
        return bits.bit_and(self, other)

    def __rand__(self, other: Any) -> Any:
        return bits.bit_and(other, self)

    def __or__(self, other: Any) -> Any:
        return bits.bit_or(self, other)

    def __ror__(self, other: Any) -> Any:
        return bits.bit_or(other, self)

    def __xor__(self, other: Any) -> Any:
        return bits.bit_xor(self, other)

    def __rxor__(self, other: Any) -> Any:
        return bits.bit_xor(other, self)

    def __invert__(self) -> Any:
        return bits.bit_not(self)

    def __lshift__(self, other: Any) -> Any:
        return bits.shift_left(self, other)

    def __rlshift__(self, other: Any) -> Any:
        return bits.shift_left(other, self)

    def __rshift__(self, other: Any) -> Any:
        return bits.shift_right(self, other)

    def __rrshift__(self, other: Any) -> Any:
        return bits.shift_right(other, self)

    # ---- what a symbolic variable cannot do

    def __bool__(self) -> NoReturn:
        raise TypeMismatchError(
            f"{self} is symbolic and has no truth value yet; choose with T.where(condition, a, b), "
            "combine conditions with & and |, and compute values with .eval() or a function"
        )

    def __len__(self) -> NoReturn:
        raise TypeMismatchError(f"{self} is symbolic; its length is the expression x.shape[0]")

    def __float__(self) -> NoReturn:
        raise TypeMismatchError(f"{self} is symbolic and not a number; see .eval()")

    __int__ = __complex__ = __index__ = __float__

    def __format__(self, spec: str) -> str:
        if spec:
            raise TypeMismatchError(
                f"{self} is symbolic; only its value, as of .eval(), can be formatted by {spec!r}"
            )
        return str(self)

    def __setitem__(self, key: Any, value: Any = None) -> NoReturn:
        raise TypeMismatchError(
            f"{self} is symbolic and does not change; T.set_subtensor(x[...], y) and "
            "T.inc_subtensor(x[...], y) give a new expression"
        )

    __delitem__ = __setitem__

    def __contains__(self, item: Any) -> NoReturn:
        raise TypeMismatchError(f"{self} is symbolic; T.eq(x, item).any() is the expression")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeMismatchError(
            f"NumPy asks for the values of {self}, which is symbolic; use the function of the same "
            "name in symnet.tensor (T.stack makes a tensor of a list), or compute values with "
            ".eval()"
        )

    # ---- NumPy's functions on symbolic variables

    __array_priority__ = 1000

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return _numpy["ufunc"](ufunc, method, inputs, kwargs)

    def __array_function__(
        self, function: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        return _numpy["function"](function, args, kwargs)

    # ---- dtype

    def astype(self, dtype: Any) -> Any:
        """With another dtype; itself if it has it already."""
        return casting.cast(self, dtype)

    cast = astype

    # ---- shape

    @property
    def shape(self) -> Any:
        """The sizes as an int64 vector; `x.shape[0]` is one of them. Known ones: `x.type.shape`."""
        return movement.shape(self)

    @property
    def size(self) -> Any:
        """The number of elements."""
        return movement.size(self)

    @property
    def T(self) -> Any:
        """With dimensions reversed."""
        return movement.transpose(self)

    def transpose(self, *axes: Any) -> Any:
        """With dimensions in the order `axes`, or reversed."""
        return movement.transpose(self, *axes)

    def dimshuffle(self, *order: Any) -> Any:
        """With dimensions in another order, "x" for a new one of size 1; see `T.dimshuffle`."""
        return movement.dimshuffle(self, *order)

    def swapaxes(self, axis1: int, axis2: int) -> Any:
        """With two dimensions exchanged."""
        return movement.swapaxes(self, axis1, axis2)

    def reshape(self, *sizes: Any, ndim: int | None = None) -> Any:
        """With other sizes, of which one may be -1: `x.reshape(2, -1)`, `x.reshape((n, m))`, or a
        symbolic vector of known length or with `ndim` given."""
        return movement.reshape(self, sizes[0] if len(sizes) == 1 else sizes, ndim)

    def flatten(self, ndim: int = 1) -> Any:
        """With dimensions from the `ndim`-th on merged into one."""
        return movement.flatten(self, ndim)

    def ravel(self) -> Any:
        """All elements as a vector."""
        return movement.flatten(self)

    def squeeze(self, axis: Any = None) -> Any:
        """Without dimensions of static size 1."""
        return movement.squeeze(self, axis)

    def repeat(self, repeats: Any, axis: int | None = None) -> Any:
        """With each element repeated; see `T.repeat`."""
        return movement.repeat(self, repeats, axis)

    # ---- indexing

    def __getitem__(self, key: Any) -> Any:
        return indexing.index(self, key)

    def __iter__(self) -> Iterator[Any]:
        if not self.type.ndim or self.type.shape[0] is None:
            raise TypeMismatchError(
                f"{self} ({self.type}) cannot be iterated over: its length is not known while "
                "the expression is built; T.specify_shape states it, and scan loops over it"
            )
        return (self[k] for k in range(self.type.shape[0]))

    def diagonal(self, offset: int = 0) -> Any:
        """The diagonal of a matrix; see `T.diagonal`."""
        return assembly.diagonal(self, offset)

    def trace(self) -> Any:
        """The sum of the diagonal of a matrix."""
        return assembly.trace(self)

    def take(self, indices: Any, axis: int | None = None) -> Any:
        """The entries at `indices` along `axis`; see `T.take`."""
        x = movement.flatten(self) if axis is None else self
        axis = as_axis(axis or 0, x.type.ndim)
        return indexing.index(x, (slice(None),) * axis + (indices,))

    # ---- reductions

    def sum(
        self, axis: Any = None, dtype: Any = None, keepdims: bool = False, acc_dtype: Any = None
    ) -> Any:
        """Sum along `axis`; see `T.sum`."""
        return reductions.sum_(self, axis, dtype, keepdims, acc_dtype)

    def prod(
        self, axis: Any = None, dtype: Any = None, keepdims: bool = False, acc_dtype: Any = None
    ) -> Any:
        """Product along `axis`; see `T.prod`."""
        return reductions.prod(self, axis, dtype, keepdims, acc_dtype)

    def mean(
        self, axis: Any = None, dtype: Any = None, keepdims: bool = False, acc_dtype: Any = None
    ) -> Any:
        """Arithmetic mean along `axis`; see `T.mean`."""
        return reductions.mean(self, axis, dtype, keepdims, acc_dtype)

    def var(self, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
        """Variance along `axis`."""
        return reductions.var(self, axis, ddof, keepdims)

    def std(self, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
        """Standard deviation along `axis`."""
        return reductions.std(self, axis, ddof, keepdims)

    def norm(self, L: Any = 2, axis: Any = None, keepdims: bool = False) -> Any:
        """Vector norm of order `L` along `axis`; see `T.norm`."""
        return reductions.norm(self, L, axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Maximum along `axis`."""
        return reductions.max_(self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Minimum along `axis`."""
        return reductions.min_(self, axis, keepdims)

    def argmax(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Index of the first maximum along `axis`."""
        return reductions.argmax(self, axis, keepdims)

    def argmin(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Index of the first minimum along `axis`."""
        return reductions.argmin(self, axis, keepdims)

    def any(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Whether any element along `axis` is nonzero."""
        return reductions.any_(self, axis, keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Whether every element along `axis` is nonzero."""
        return reductions.all_(self, axis, keepdims)

    # ---- products of matrices

    def dot(self, other: Any) -> Any:
        """Product over the last dimension of this and the last but one of `other`."""
        return contraction.dot(self, other)

    def __matmul__(self, other: Any) -> Any:
        return contraction.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return contraction.matmul(other, self)

    # ---- element by element

    def clip(self, min: Any, max: Any) -> Any:
        """With values outside [min, max] moved to the bounds."""
        return arithmetic.clip(self, min, max)

    def round(self, mode: str = "half_to_even") -> Any:
        """The nearest whole numbers; see `T.round`."""
        return elementwise.round(self, mode)

    def fill(self, value: Any) -> Any:
        """`value` in the shape of this."""
        return generate.full_like(self, value)

    def zeros_like(self, dtype: Any = None) -> Any:
        """Zeros in the shape of this."""
        return generate.zeros_like(self, dtype)

    def ones_like(self, dtype: Any = None) -> Any:
        """Ones in the shape of this."""
        return generate.ones_like(self, dtype)

    # ---- values

    def eval(self, inputs: Mapping[Any, Any] | None = None) -> Any:
        """The value, `inputs` giving those of the inputs it depends on, by variable or name."""
        if _evaluator is None:
            raise CompilerError("no back end is set up: import symnet, not symnet.tensor alone")
        return _evaluator(self, inputs or {})

    def copy(self, name: str | None = None) -> Any:
        """Another variable of the same value."""
        copied = arithmetic.identity(self)
        copied.name = name
        return copied


class TensorVariable(TensorOperators):
    """An input, or the result of an op."""

    __slots__ = ()


class TensorConstant(TensorOperators, Constant):
    """A fixed array: `.data`, which nobody may change."""

    __slots__ = ()


class TensorSharedVariable(TensorOperators, SharedVariable):
    """An array that lives between calls: `get_value`, `set_value`, and `updates` of functions."""

    __slots__ = ()


use_variable_classes(TensorVariable, TensorConstant, TensorSharedVariable)
