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
import threading
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph import origin as origins
from symnet.graph import types
from symnet.graph.foreign import as_array, device_of, not_numeric
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


class Residence(Protocol):
    """A shared variable's value in a device's memory, as a back end holds it.

    device  the name of the device
    shape   of the value
    dtype   its name
    """

    device: str
    shape: tuple[int, ...]
    dtype: str

    def fetch(self, host: np.ndarray) -> None:
        """Fill `host`, of the value's shape and dtype, when all that was ordered is done. Errors:
        what went wrong on the device since somebody last asked."""

    def array(self) -> Any:
        """The device array, for users; no copy."""


_storage_epoch = itertools.count(1)
_owners = Owners()
_moving = threading.Lock()  # held while it changes where values are current, never while they move


class SharedVariable(Variable):
    """A mutable array that lives between calls; functions read it and may update it.

    The value lies on the host, on a device, or on both; whoever works on it asks for it in one of
    three ways:

        peek()     for reading on the host; a current copy on a device stays current
        storage    for writing on the host: from then on the host's array is the only current copy
        remote     the last copy on a device, or None; whether it is current, `remote_current`

    Compiled functions hold addresses of copies. `SharedVariable.epoch` counts whenever one that
    somebody may hold is replaced or no longer current; then they ask anew. The host's array is no
    other shared variable's.
    """

    __slots__ = (
        "__weakref__",
        "_writes",
        "allow_downcast",
        "default_update",
        "host",
        "host_current",
        "remote",
        "remote_current",
    )
    epoch: int = 0

    def __init__(
        self,
        type: TensorType,
        value: np.ndarray,
        name: str | None = None,
        allow_downcast: bool | None = None,
    ):
        super().__init__(type, name=name)
        self._keep(value)
        self.default_update: Variable | None = None
        self.allow_downcast = allow_downcast

    def _keep(self, value: np.ndarray) -> None:
        self.host = value
        self.host_current = True
        self.remote: Residence | None = None
        self.remote_current = False
        self._writes = 0  # of the device, while they make the host's array outdated

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        kept = {name: getattr(self, name) for name in Variable.__slots__}
        kept.update(allow_downcast=self.allow_downcast, default_update=self.default_update)
        return None, {**kept, "storage": self.peek()}

    def __setstate__(self, state: tuple[None, dict[str, Any]]) -> None:
        for name, value in state[1].items():
            if name == "storage":
                self._keep(value)
            else:
                setattr(self, name, value)

    # ---- where the value is

    def peek(self) -> np.ndarray:
        """The value as the host's array, only for reading. Errors: those of `Residence.fetch`."""
        while not self.host_current:
            writes, remote, host = self._writes, self.remote, self.host
            assert remote is not None
            if host.shape != remote.shape:
                host = np.empty(remote.shape, host.dtype)
            remote.fetch(host)
            with _moving:
                if writes == self._writes and not self.host_current:
                    self.host, self.host_current = host, True
        return self.host

    @property
    def storage(self) -> np.ndarray:
        """The host's array, for reading and writing: from now on it is the only current copy.

        The one on a device is kept, outdated, so that its memory is used again. Setting it is
        `rebind`. Errors: those of `Residence.fetch`.
        """
        while self.remote_current:
            self.peek()
            with _moving:
                if self.host_current:
                    self._only_host()
        return self.host

    @storage.setter
    def storage(self, array: np.ndarray) -> None:
        self.rebind(array)

    def rebind(self, array: np.ndarray) -> None:
        """Make `array` the storage. It must be of the type, C-contiguous and writeable."""
        with _moving:
            self.host, self.host_current = array, True
            if self.remote is not None and self.remote.shape != array.shape:
                self.remote = None
            self._only_host()

    def place(self, remote: Residence) -> None:
        """The same value is on a device now, too."""
        with _moving:
            self.remote, self.remote_current = remote, True
            SharedVariable.epoch = next(_storage_epoch)

    def moved(self) -> None:
        """The copy on the device was overwritten there, or may have been: the host's is outdated
        now."""
        with _moving:
            self._writes += 1
            if self.host_current:
                self.host_current = False
                SharedVariable.epoch = next(_storage_epoch)

    def replace(self, remote: Residence) -> None:
        """Another value, perhaps of another shape, which is on a device only."""
        with _moving:
            self.remote, self.remote_current, self.host_current = remote, True, False
            self._writes += 1
            SharedVariable.epoch = next(_storage_epoch)

    def _only_host(self) -> None:
        self.remote_current = False
        self._writes += 1
        SharedVariable.epoch = next(_storage_epoch)

    @property
    def current_shape(self) -> tuple[int, ...]:
        """The sizes of the value, without bringing it home."""
        remote = self.remote
        return self.host.shape if self.host_current or remote is None else remote.shape

    # ---- for users

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        """The value: a copy, or with borrow=True the storage itself.

        return_internal_type  where the value is on a device: the device array (with borrow=True
                              itself, else a copy) instead of a NumPy array

        What is borrowed is the value until a function on another device updates it.
        """
        remote = self.remote
        if return_internal_type and self.remote_current and remote is not None:
            array = remote.array()
            if not borrow:
                copied = _resident(array)
                return array.copy() if copied is None else copied.array()
            self.moved()  # whoever has it may write
            return array
        if not borrow:
            return self.peek().copy()
        storage = self.storage
        _owners.enter(self, storage)
        return storage

    def set_value(self, value: Any, borrow: bool = False) -> None:
        """Give it another value of the same type; the sizes may differ where the type allows.

        With borrow=True a fitting array becomes the storage itself, unless its memory is another
        shared variable's: then it is copied. An array in a device's memory, of whichever library,
        is copied there; the value is then on that device. Errors: TypeMismatchError, ShapeError;
        the old value stays.
        """
        label = f"the value for shared variable {self}"
        if isinstance(value, Variable):
            raise TypeMismatchError(f"{label} is symbolic: {value}; see get_value and eval")
        # a copy, for it belongs to the variable: at the old place, which functions know, if it fits
        remote = _resident(value, self.remote)
        if remote is not None:
            check_device_array(self.type, remote, label)
            self.replace(remote)
            return
        array = self.type.filter(value, self.allow_downcast, label)
        if borrow and array.flags.writeable and _owners.enter(self, array):
            self.rebind(array)
        elif self.host_current and array.shape == self.host.shape:
            np.copyto(self.host, array)
            with _moving:  # afterwards, so that nobody takes the half of it to a device
                self.host_current = True
                if self.remote_current:
                    self._only_host()
        else:
            self.rebind(array.copy())

    def __dlpack__(self, **wishes: Any) -> Any:
        """The value for another library, without a copy: `torch.from_dlpack(shared)`.

        As with `get_value(borrow=True)`, both see what either writes, until a value of another
        shape is set, or a function on another device updates it. A value that is on a device is
        given as it lies there. `wishes` are those of the protocol (`stream`, `copy`, ...).
        """
        array = self.get_value(borrow=True, return_internal_type=True)
        return array.__dlpack__(**{k: wish for k, wish in wishes.items() if wish is not None})

    def __dlpack_device__(self) -> tuple[int, int]:
        """DLPack's numbers of the device: (1, 0) is the host's memory."""
        remote = self.remote
        array = remote.array() if self.remote_current and remote is not None else self.host
        kind, number = array.__dlpack_device__()
        return int(kind), int(number)


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
_hooks: dict[str, Any] = {}  # filled by graph.pickling, which needs walks; and use_residences
types._hooks["variable"] = lambda type_, name=None: _classes["variable"](type_, name=name)


def use_residences(resident: Callable[[Any, Residence | None], Residence | None]) -> None:
    """The hook by which shared variables take device arrays: it makes a copy that they own, in the
    memory of the second argument if that fits, or says None where it cannot."""
    _hooks["resident"] = resident


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
    remote = None if isinstance(value, Variable) else _resident(value)
    if remote is not None:
        return _shared_on_device(remote, name, shape, allow_downcast)
    array = as_array(value, "the value of a shared variable")
    if array.dtype.name not in types.DTYPES:
        reason = not_numeric(value, array)
        raise TypeMismatchError(f"a shared variable cannot hold {value!r:.60}: it {reason}")
    static = _declared(shape, array.shape)
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    storage = np.require(native, requirements="CAW").reshape(array.shape)
    if not borrow and np.may_share_memory(storage, array):
        storage = storage.copy()
    variable: SharedVariable = _classes["shared"](
        TensorType(array.dtype.name, static), storage, name=name, allow_downcast=allow_downcast
    )
    if borrow and not _owners.enter(variable, storage):
        variable.rebind(storage.copy())
    return variable


def _resident(value: Any, into: Residence | None = None) -> Residence | None:
    """A copy of a device array for a variable; else None."""
    made: Residence | None = None if device_of(value) is None else _hooks["resident"](value, into)
    return made


def _declared(shape: Sequence[int | None] | None, found: tuple[int, ...]) -> tuple[int | None, ...]:
    """The static shape of a new shared variable. Errors: ShapeError."""
    static = (None,) * len(found) if shape is None else tuple(shape)
    if len(static) != len(found) or any(
        s is not None and s is not False and int(s) != n for s, n in zip(static, found)
    ):
        raise ShapeError(f"the value has shape {found}, shape={shape} was declared")
    return static


def _shared_on_device(
    remote: Residence,
    name: str | None,
    shape: Sequence[int | None] | None,
    allow_downcast: bool | None,
) -> SharedVariable:
    """A shared variable whose value is on a device only."""
    kind = TensorType(remote.dtype, _declared(shape, remote.shape))
    nothing = np.empty((0,) * len(remote.shape), kind.numpy_dtype)
    variable: SharedVariable = _classes["shared"](
        kind, nothing, name=name, allow_downcast=allow_downcast
    )
    variable.replace(remote)
    return variable


def check_device_array(kind: TensorType, array: Any, what: str) -> None:
    """Whether an array in a device's memory is of a type: it is not converted.

    Errors: TypeMismatchError, ShapeError.
    """
    dtype, shape = str(array.dtype), tuple(array.shape)
    if dtype != kind.dtype:
        raise TypeMismatchError(
            f"{what} has dtype {dtype}, {kind} is wanted; arrays on a device are not converted"
        )
    if len(shape) != kind.ndim:
        raise TypeMismatchError(
            f"{what} has {len(shape)} dimensions (shape {shape}); {kind} has {kind.ndim}"
        )
    for axis, size in enumerate(kind.shape):
        if size is not None and shape[axis] != size:
            raise ShapeError(
                f"{what} has shape {shape}; {kind} wants size {size} in dimension {axis}"
            )
