"""What a user calls: `function`, `In`, `Out`, `shared`, `transfer`, and `.eval()`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from symnet.backends.choice import resident
from symnet.config import config
from symnet.errors import (
    DuplicateInputError,
    FunctionError,
    MissingInputError,
    TypeMismatchError,
)
from symnet.function.arguments import In, Out, Signature
from symnet.function.call import Function
from symnet.function.modes import Mode, as_device, as_mode
from symnet.function.transfer import transfer
from symnet.graph.describe import listed
from symnet.graph.foreign import as_array, has_dtype
from symnet.graph.traversal import graph_inputs, leaves
from symnet.graph.variables import (
    Constant,
    SharedVariable,
    Variable,
    make_shared,
    use_residences,
)
from symnet.ops.conversion import is_weak, weak_dtype
from symnet.tensor.variable import use_evaluator

__all__ = ["Function", "In", "Mode", "Out", "function", "shared", "transfer"]


def function(
    inputs: Sequence[Any] = (),
    outputs: Any = None,
    mode: Any = None,
    updates: Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None = None,
    givens: Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None = None,
    no_default_updates: Any = False,
    accept_inplace: bool = False,
    name: str | None = None,
    rebuild_strict: bool = True,
    allow_input_downcast: bool | None = None,
    profile: bool | None = None,
    on_unused_input: str | None = None,
    device: str | None = None,
) -> Function:
    """Compile a function from symbolic inputs to outputs and updates of shared variables.

    inputs      variables or `In` objects, one per argument
    outputs     one expression, a list, or a dict; calls give back arrays in the same form.
                None: no outputs, calls give back []
    mode        "compiled", "reference" (NumPy, node by node), "debug" (both, every node compared),
                or a `Mode`; None: config.mode
    updates     pairs (shared variable, new value); all new values are computed from the old ones
    givens      pairs (variable, value): in the graph the variable is replaced by the value
    no_default_updates  True, or a list of shared variables: do not make the updates that these
                bring along (random streams do)
    name        for messages
    allow_input_downcast  True: convert arguments even if digits are lost; None: only scalars, and
                lists of Python floats, to float32; False: never
    profile     True: measure every step of compiled code; see `Function.profile`
    on_unused_input  "raise" (as by default), "warn" or "ignore"
    device      where compiled code runs: "cpu", "cuda" (a GPU) or "emulated"; None: config.device.
                Shared variables go where a function needs them; arguments may be NumPy arrays or
                arrays in the device's memory

    `accept_inplace` and `rebuild_strict` are accepted for compatibility with Theano 1.0.

    Errors: MissingInputError, UnusedInputError, DuplicateInputError, UpdateError,
    TypeMismatchError, ShapeError; all before anything is compiled. DeviceError where there is no
    such device, with what is missing for it.
    """
    device = as_device(device)
    if isinstance(inputs, (Variable, In)) or not isinstance(inputs, Iterable):
        raise TypeMismatchError("inputs is a list of variables, not one variable")
    signature = Signature(
        list(inputs),
        outputs,
        updates,
        givens,
        no_default_updates,
        on_unused_input,
        allow_input_downcast,
    )
    return Function(signature, as_mode(mode), name, bool(profile), device)


def shared(
    value: Any,
    name: str | None = None,
    strict: bool = False,
    allow_downcast: bool | None = None,
    borrow: bool = False,
    broadcastable: Sequence[bool] | None = None,
    shape: Sequence[int | None] | None = None,
) -> SharedVariable:
    """A variable with a value that compiled functions read and update.

    value          an array (of any library that speaks DLPack; a frame or series of pandas), or
                   a number: a Python float gets floatX, an int int64. An array in a device's
                   memory is copied there
    borrow         use the array itself as storage, if it is contiguous, writeable, and not the
                   storage of another shared variable; else it is copied
    broadcastable  dimensions of size 1 that broadcast; by default none does, so sizes may change
    shape          static sizes (None: may change), which let more be checked and specialised
    strict, allow_downcast   as in Theano: conversions that `set_value` makes

    Errors: TypeMismatchError for what is no numeric array; ShapeError.
    """
    if isinstance(value, Variable):
        raise TypeMismatchError(f"shared: {value} is symbolic; give the array it should start from")
    if is_weak(value):
        value = np.asarray(value, dtype=weak_dtype(value))
    elif not has_dtype(value):
        array = as_array(value, "the value of a shared variable")
        value = array.astype(config.floatX) if array.dtype == np.float64 else array
    if shape is None and broadcastable is not None:
        shape = [1 if flag else None for flag in broadcastable]
    return make_shared(value, name, borrow, shape, False if strict else allow_downcast)


def _evaluate(variable: Variable, inputs: Mapping[Any, Any]) -> np.ndarray:
    """`.eval()`: compile on first use, keep the function on the variable."""
    values: dict[Variable, Any] = {}
    for key, value in inputs.items():
        if isinstance(key, str):
            named = [v for v in graph_inputs([variable]) if v.name == key]
            if len(named) != 1:
                many = "several inputs are" if named else "no input is"
                raise FunctionError(
                    f"eval: {many} called {key!r}{listed(graph_inputs([variable]))}"
                )
            key = named[0]
        if not isinstance(key, Variable):
            raise TypeMismatchError(f"eval: {key!r:.60} is neither a variable nor a name")
        if key in values:
            raise DuplicateInputError(f"eval: {key} is given twice{listed([key])}")
        values[key] = value
    wanted = (config.mode, config.device, *values)
    known = getattr(variable.tag, "evaluator", None)
    if known is None or known.wanted != wanted:
        missing = [
            v
            for v in leaves([variable], stop=set(values))
            if v not in values and not isinstance(v, (Constant, SharedVariable))
        ]
        if missing:
            raise MissingInputError(f"eval: inputs without a value{listed(missing)}")
        compiled = function(list(values), variable, on_unused_input="ignore")
        known = variable.tag.evaluator = _Evaluator(wanted, compiled)
    return known.compiled(*values.values())


class _Evaluator:
    """What `.eval()` keeps on a variable; None after pickling and in copies."""

    def __init__(self, wanted: tuple[Any, ...], compiled: Function):
        self.wanted = wanted
        self.compiled = compiled

    def __reduce__(self) -> tuple[Any, ...]:
        return type(None), ()


use_evaluator(_evaluate)
use_residences(resident)
