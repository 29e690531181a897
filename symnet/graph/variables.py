"""What an expression is made of: variables and apply nodes.

Grammar::

    Variable = Variable(type, owner: Apply | None, index)      the index-th output of owner
             | Constant(type, data)                            a fixed array
             | SharedVariable(type, value)                     a mutable array that functions update
    Apply    = Apply(op, inputs: Variable*, outputs: Variable*, origin)

A variable without owner that is neither constant nor shared is an input. Everything is immutable
but `name`, `tag` and the value of a shared variable. There are no back-pointers from a variable to
its consumers: a pass that needs them computes them.
"""

import itertools
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph import origin as origins
from symnet.graph import types
from symnet.graph.foreign import as_array, not_numeric
from symnet.graph.origin import Origin
from symnet.graph.storage import Owners
from symnet.graph.types import TensorType

if TYPE_CHECKING:
    from symnet.graph.op import Op


class Variable:
    """A node of the graph that stands for one array.

    type    dtype and static shape, a `TensorType`
    owner   the apply node whose result it is, of which it is output number `index`; else None
    name    what messages and printouts call it
    origin  the user's line that made it
    """

    __slots__ = ("_tag", "index", "name", "origin", "owner", "type")

    def __init__(
        self,
        type: TensorType,
        owner: "Apply | None" = None,
        index: int = 0,
        name: str | None = None,
        origin: Origin | None = None,
    ):
        self.type = type
        self.owner = owner
        self.index = index
        self.name = name
        self.origin = origin if origin is not None else origins.here()
        self._tag: SimpleNamespace | None = None

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _hooks["reduce_variable"](self, protocol)

    @property
    def tag(self) -> SimpleNamespace:
        """A place for the user's own annotations."""
        if self._tag is None:
            self._tag = SimpleNamespace()
        return self._tag

    @property
    def dtype(self) -> str:
        """The name of the elements' type: "float32"."""
        return self.type.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.type.ndim

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        """For each dimension whether its size is known to be 1, so that it broadcasts."""
        return self.type.broadcastable

    def __str__(self) -> str:
        if self.name:
            return self.name
        if self.owner is not None:
            out = f".{self.index}" if len(self.owner.outputs) > 1 else ""
            return f"{self.owner.op}{out}"
        return f"<{self.type}>"

    __repr__ = __str__


class Constant(Variable):
    """A fixed array. Its data must not be changed by anybody."""

    __slots__ = ("data",)

    def __init__(self, type: TensorType, data: np.ndarray, name: str | None = None):
        super().__init__(type, name=name, origin=origins.UNKNOWN)
        self.data = data

    def __setstate__(self, state: tuple[None, dict[str, Any]]) -> None:
        for name, value in state[1].items():
            setattr(self, name, value)
        self.data.flags.writeable = False  # arrays forget it when they are pickled

    def __str__(self) -> str:
        if self.name:
            return self.name
        if self.data.size <= 4:
            return f"{np.array2string(self.data, separator=', ')}"
        return f"<constant {self.type}>"

    __repr__ = __str__


_storage_epoch = itertools.count(1)
_owners = Owners()


class SharedVariable(Variable):
    """A mutable array that lives between calls; functions read it and may update it.

    `storage` is the one array behind it. Compiled functions hold its address, so it is replaced
    only through `rebind`, which bumps `SharedVariable.epoch`. It is no other shared variable's.
    """

    __slots__ = ("__weakref__", "allow_downcast", "default_update", "storage")
    epoch: int = 0  # counts replacements of any shared storage, see rebind

    def __init__(
        self,
        type: TensorType,
        value: np.ndarray,
        name: str | None = None,
        allow_downcast: bool | None = None,
    ):
        super().__init__(type, name=name)
        self.storage = value
        self.default_update: Variable | None = None
        self.allow_downcast = allow_downcast

    def get_value(self, borrow: bool = False) -> np.ndarray:
        """The value: a copy, or with borrow=True the storage itself."""
        if not borrow:
            return self.storage.copy()
        _owners.enter(self, self.storage)
        return self.storage

    def set_value(self, value: Any, borrow: bool = False) -> None:
        """Give it another value of the same type; the sizes may differ where the type allows.

        With borrow=True a fitting array becomes the storage itself, unless its memory is another
        shared variable's: then it is copied. Errors: TypeMismatchError, ShapeError; the old value
        stays.
        """
        label = f"the value for shared variable {self}"
        if isinstance(value, Variable):
            raise TypeMismatchError(f"{label} is symbolic: {value}; see get_value and eval")
        array = self.type.filter(value, self.allow_downcast, label)
        if borrow and array.flags.writeable and _owners.enter(self, array):
            self.rebind(array)
        elif array.shape == self.storage.shape:
            np.copyto(self.storage, array)
        else:
            self.rebind(array.copy())

    def __dlpack__(self, **wishes: Any) -> Any:
        """The storage for another library, without a copy: `torch.from_dlpack(shared)`.

        As with `get_value(borrow=True)`, both see what either writes, until a value of another
        shape is set. `wishes` are those of the protocol (`stream`, `max_version`, `copy`, ...).
        """
        storage = self.get_value(borrow=True)
        return storage.__dlpack__(**{k: wish for k, wish in wishes.items() if wish is not None})

    def __dlpack_device__(self) -> tuple[int, int]:
        """DLPack's numbers of the device: (1, 0), the host's memory."""
        kind, number = self.storage.__dlpack_device__()
        return int(kind), int(number)

    def rebind(self, array: np.ndarray) -> None:
        """Make `array` the storage. It must be of the type, C-contiguous and writeable."""
        self.storage = array
        SharedVariable.epoch = next(_storage_epoch)


class Apply:
    """An op applied to inputs. Made by `Op.make_node` only."""

    __slots__ = ("inputs", "op", "origin", "outputs")

    def __init__(
        self,
        op: "Op",
        inputs: Sequence[Variable],
        output_types: Sequence[TensorType],
        origin: Origin | None = None,
    ):
        self.op = op
        self.inputs = tuple(inputs)
        self.origin = origin if origin is not None else origins.here()
        make = _classes["variable"]
        self.outputs = tuple(
            [make(type_, self, k, None, self.origin) for k, type_ in enumerate(output_types)]
        )

    @property
    def out(self) -> Variable:
        """The only output."""
        (single,) = self.outputs
        return single

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _hooks["reduce_node"](self, protocol)

    def __setstate__(self, notes: Sequence[tuple[str | None, SimpleNamespace | None]]) -> None:
        for variable, (name, tag) in zip(self.outputs, notes):
            variable.name, variable._tag = name, tag

    def __str__(self) -> str:
        return f"{self.op}({', '.join(map(str, self.inputs))})"

    __repr__ = __str__


_classes: dict[str, Any] = {"variable": Variable, "constant": Constant, "shared": SharedVariable}
_hooks: dict[str, Any] = {}  # filled by graph.pickling, which needs the walks over graphs
types._hooks["variable"] = lambda type_, name=None: _classes["variable"](type_, name=name)


def use_variable_classes(variable: type, constant: type, shared: type) -> None:
    """The hook by which `tensor` gives variables their operators and methods."""
    _classes.update(variable=variable, constant=constant, shared=shared)


def make_constant(data: Any, dtype: str | None = None, name: str | None = None) -> Constant:
    """A constant holding a private, C-contiguous, read-only copy of `data`; its shape is static."""
    array = np.array(data, dtype=dtype, order="C", copy=True)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    array.flags.writeable = False
    constant: Constant = _classes["constant"](
        TensorType(array.dtype.name, array.shape), array, name=name
    )
    return constant


def make_shared(
    value: Any,
    name: str | None = None,
    borrow: bool = False,
    shape: Sequence[int | None] | None = None,
    allow_downcast: bool | None = None,
) -> SharedVariable:
    """A shared variable with the dtype and dimensions of `value`; see `symnet.shared`."""
    array = as_array(value, "the value of a shared variable")
    if array.dtype.name not in types.DTYPES:
        reason = not_numeric(value, array)
        raise TypeMismatchError(f"a shared variable cannot hold {value!r:.60}: it {reason}")
    static = (None,) * array.ndim if shape is None else tuple(shape)
    if len(static) != array.ndim or any(
        s is not None and s is not False and int(s) != n for s, n in zip(static, array.shape)
    ):
        raise ShapeError(f"the value has shape {array.shape}, shape={shape} was declared")
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    storage = np.require(native, requirements="CAW").reshape(array.shape)
    if not borrow and np.may_share_memory(storage, array):
        storage = storage.copy()
    variable: SharedVariable = _classes["shared"](
        TensorType(array.dtype.name, static), storage, name=name, allow_downcast=allow_downcast
    )
    if borrow and not _owners.enter(variable, storage):
        variable.storage = storage.copy()
    return variable
