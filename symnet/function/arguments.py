"""What a user passes to `function`: inputs, outputs, updates, givens; checked and in one form."""

import copy
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from symnet.autodiff import substitute
from symnet.config import config
from symnet.errors import (
    DuplicateInputError,
    MissingInputError,
    SymnetError,
    TypeMismatchError,
    UnusedInputError,
    UpdateError,
)
from symnet.graph.describe import describe, listed
from symnet.graph.traversal import ancestors, leaves, toposort
from symnet.graph.types import FLOATS
from symnet.graph.variables import Constant, SharedVariable, Variable
from symnet.ops.casting import cast
from symnet.ops.conversion import as_variable, is_weak, weak_constant
from symnet.tensor.movement import specify_shape


class In:
    """An input of a function, with what `function` should know about it.

    variable        the symbolic input
    name            name for calls by keyword; by default the variable's
    value           default: the input may then be left out of a call
    mutable         the function may overwrite the argument; accepted, never needed
    borrow          accepted as in Theano; arguments are never copied without need
    strict          take arrays of exactly the right dtype only
    allow_downcast  take arguments that lose digits when converted
    """

    def __init__(
        self,
        variable: Variable,
        name: str | None = None,
        value: Any = None,
        update: Any = None,
        mutable: bool = False,
        strict: bool = False,
        allow_downcast: bool | None = None,
        autoname: bool = True,
        implicit: bool | None = None,
        borrow: bool | None = None,
    ):
        if update is not None:
            raise TypeMismatchError(
                "In(update=...) is not supported: make the state a shared variable and give "
                "function(updates=...)"
            )
        self.variable = variable
        self.name = name if name is not None else getattr(variable, "name", None)
        self.value = value
        self.mutable = mutable
        self.strict = strict
        self.allow_downcast = allow_downcast


class Out:
    """An output of a function. Outputs are always fresh arrays, so `borrow` changes nothing.

    on_device  give it back as the array of the device on which the function runs, and do not wait
               until it is computed; an error of that call is raised by whoever asks for a value
               later. On the CPU, and in modes "debug" and "reference", a NumPy array as ever
    """

    def __init__(self, variable: Any, borrow: bool = False, on_device: bool = False):
        self.variable = variable
        self.borrow = borrow
        self.on_device = on_device


Pairs = Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None


class Signature:
    """Inputs, outputs and updates of a function in plain form.

    inputs    In objects, one per argument
    outputs   variables; `form` says how results are given back: None, "single", "list" or the
              keys of a dict
    updates   (shared, new value) in the order given
    kept      positions of the outputs that stay on their device
    """

    def __init__(
        self,
        inputs: Sequence[Any],
        outputs: Any,
        updates: Pairs,
        givens: Pairs,
        no_default_updates: Any,
        on_unused_input: str | None,
        allow_input_downcast: bool | None,
    ):
        self.inputs = [_input(given, allow_input_downcast) for given in inputs]
        self._no_duplicates()
        self.outputs, self.form, self.kept = _outputs(outputs)
        table = _pairs(givens, "givens")
        self.updates = _updates(updates)
        self._exchange(table)
        self._default_updates(no_default_updates)
        self._exchange(table, only_defaults=True)
        self._check_inputs(on_unused_input or "raise")

    @classmethod
    def plain(
        cls,
        inputs: list[In],
        outputs: list[Variable],
        form: Any,
        updates: list[tuple[SharedVariable, Variable]],
        kept: frozenset[int],
    ) -> "Signature":
        """A signature of parts that were checked before."""
        made = cls.__new__(cls)
        made.inputs, made.outputs, made.form, made.updates = inputs, outputs, form, updates
        made.kept = kept
        return made

    @property
    def variables(self) -> list[Variable]:
        return [i.variable for i in self.inputs]

    def _no_duplicates(self) -> None:
        seen: dict[Variable, int] = {}
        for position, given in enumerate(self.inputs):
            if given.variable in seen:
                raise DuplicateInputError(
                    f"the same variable is input {seen[given.variable]} and input {position}"
                    f"{listed([given.variable])}"
                )
            seen[given.variable] = position

    def _exchange(self, table: list[tuple[Any, Any]], only_defaults: bool = False) -> None:
        if not table:
            return
        exchange: dict[Variable, Variable] = {}
        for old, new in table:
            if not isinstance(old, Variable):
                raise TypeMismatchError(f"givens: {old!r:.60} is not a symbolic variable")
            if old in exchange:
                raise DuplicateInputError(f"givens name {old} twice{listed([old])}")
            exchange[old] = fit(new, old, f"givens: the value for {old}", TypeMismatchError)
        own = set(self.variables)
        for old in exchange:
            if old in own:
                raise DuplicateInputError(
                    f"{old} is an input and is given a value in givens{listed([old])}"
                )
        start = self._defaults_from if only_defaults else 0
        values = [v for _, v in self.updates[start:]]
        outputs = [] if only_defaults else self.outputs
        found = substitute([*outputs, *values], exchange)
        if not only_defaults:
            self.outputs = found[: len(outputs)]
        values = found[len(outputs) :]
        targets = [s for s, _ in self.updates[start:]]
        self.updates[start:] = list(zip(targets, values))

    def _default_updates(self, without: Any) -> None:
        """Updates that shared variables bring along (random streams), unless refused."""
        self._defaults_from = len(self.updates)
        if without is True:
            return
        refused = set(without) if without else set()
        updated = {s for s, _ in self.updates}
        pending = self.outputs + [v for _, v in self.updates]
        seen: set[SharedVariable] = set()
        while pending:
            found = [
                v
                for v in leaves(pending)
                if isinstance(v, SharedVariable) and v not in seen and v.default_update is not None
            ]
            pending = []
            for shared in found:
                seen.add(shared)
                if shared not in updated and shared not in refused:
                    value = fit(
                        shared.default_update, shared, f"default update of {shared}", UpdateError
                    )
                    self.updates.append((shared, value))
                    pending.append(value)

    def _check_inputs(self, on_unused: str) -> None:
        if on_unused not in ("raise", "warn", "ignore"):
            raise TypeMismatchError(
                f"on_unused_input={on_unused!r} is not 'raise', 'warn' or 'ignore'"
            )
        roots = self.outputs + [v for _, v in self.updates]
        own = set(self.variables)
        for leaf in leaves(roots, stop=own):
            if leaf not in own and not isinstance(leaf, (Constant, SharedVariable)):
                raise MissingInputError(
                    f"the outputs or updates need {leaf}, which is neither an input nor given in "
                    f"givens{listed([leaf])}{_reader(leaf, roots, own)}"
                )
        if on_unused == "ignore":
            return
        used = ancestors(roots, stop=own)
        for given in self.inputs:
            if given.variable not in used:
                text = (
                    f"input {given.variable} is not needed for the outputs or updates; leave it "
                    f"out or pass on_unused_input='ignore'{listed([given.variable])}"
                )
                if on_unused == "raise":
                    raise UnusedInputError(text)
                warnings.warn(text, stacklevel=4)


def _reader(leaf: Variable, roots: Sequence[Variable], stop: set[Variable]) -> str:
    """The end of a message about a missing input: the first expression that reads it."""
    for node in toposort(roots, stop):
        if leaf in node.inputs:
            return f"\n  read by {describe(node.outputs[0])}"
    return ""


def _input(given: Any, allow_downcast: bool | None) -> In:
    found = copy.copy(given) if isinstance(given, In) else In(given)
    if not isinstance(found.variable, Variable):
        raise TypeMismatchError(f"input {given!r:.60} is not a symbolic variable")
    if isinstance(found.variable, SharedVariable):
        raise TypeMismatchError(
            f"shared variable {found.variable} cannot be an input; use set_value, or exchange it "
            f"for an input with givens{listed([found.variable])}"
        )
    if isinstance(found.variable, Constant):
        raise TypeMismatchError(f"constant {found.variable} cannot be an input")
    if found.allow_downcast is None:
        found.allow_downcast = allow_downcast
    return found


def _outputs(outputs: Any) -> tuple[list[Variable], Any, frozenset[int]]:
    form: Any
    if outputs is None:
        given, form = [], None
    elif isinstance(outputs, Mapping):
        given, form = list(outputs.values()), list(outputs)
    elif isinstance(outputs, (list, tuple)):
        given, form = list(outputs), "list"
    else:
        given, form = [outputs], "single"
    kept = frozenset(k for k, o in enumerate(given) if isinstance(o, Out) and o.on_device)
    return [as_variable(o.variable if isinstance(o, Out) else o) for o in given], form, kept


def _pairs(given: Pairs, what: str) -> list[tuple[Any, Any]]:
    if not given:
        return []
    items = list(given.items()) if isinstance(given, Mapping) else list(given)
    for item in items:
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise TypeMismatchError(f"{what}: {item!r:.60} is not a pair (variable, value)")
    return [tuple(item) for item in items]  # type: ignore[misc]


def _updates(updates: Pairs) -> list[tuple[SharedVariable, Variable]]:
    found: list[tuple[SharedVariable, Variable]] = []
    seen: set[Variable] = set()
    for target, value in _pairs(updates, "updates"):
        if not isinstance(target, SharedVariable):
            end = listed([target]) if isinstance(target, Variable) else ""
            raise UpdateError(
                f"{target!s:.60} cannot be updated: it is not a shared variable "
                f"({type(target).__name__}){end}"
            )
        if target in seen:
            raise UpdateError(f"shared variable {target} is updated twice{listed([target])}")
        seen.add(target)
        found.append((target, fit(value, target, f"the update of {target}", UpdateError)))
    return found


def fit(value: Any, target: Variable, what: str, error: type[SymnetError]) -> Variable:
    """`value` as a variable that can stand for `target`. Errors: `error` with both types."""
    wanted = target.type
    try:
        if is_weak(value):
            variable: Variable = weak_constant(value, wanted.dtype)
        else:
            variable = as_variable(value)
    except TypeMismatchError as problem:
        raise error(f"{what}: {problem}") from None
    given = variable.type
    if given.dtype != wanted.dtype and not isinstance(value, Variable):
        lossless = wanted.dtype in FLOATS and given.dtype in FLOATS
        if lossless or not hasattr(value, "dtype"):
            variable = cast(variable, wanted.dtype)
            given = variable.type
    sizes = list(zip(given.shape, wanted.shape))
    fits = given.dtype == wanted.dtype and given.ndim == wanted.ndim
    if not fits or any(a is not None and b is not None and a != b for a, b in sizes):
        advice = ""
        if given.dtype != wanted.dtype and given.ndim == wanted.ndim:
            advice = f"; convert it with .astype({wanted.dtype!r})"
            if given.dtype == "float64" and config.floatX == "float32":
                advice += " (some operand of it is float64)"
        raise error(f"{what} is {given}, {target} is {wanted}{advice}{listed([variable, target])}")
    if any(a is None and b is not None for a, b in sizes):  # a declared size is to be kept
        variable = specify_shape(variable, wanted.shape)
    return variable
