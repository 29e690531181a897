"""A compiled function: what a user calls."""

import copy
import itertools
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from symnet.backends.choice import Executable, fetch, on_host
from symnet.backends.cpu.runner import Runner
from symnet.backends.reference import evaluate
from symnet.errors import (
    DuplicateInputError,
    FunctionError,
    MissingInputError,
    ShapeError,
    TypeMismatchError,
    UpdateError,
)
from symnet.function.arguments import In, Signature
from symnet.function.build import build
from symnet.function.debugging import Comparison
from symnet.function.explain import Explanation
from symnet.function.explain.measure import Measurement, measure, so_far
from symnet.function.modes import Mode
from symnet.function.profiling import Profile
from symnet.function.straight import straight_call
from symnet.graph.clone import clone_replace
from symnet.graph.describe import describe, listed
from symnet.graph.foreign import device_of
from symnet.graph.pickling import Bundle
from symnet.graph.traversal import shared_inputs
from symnet.graph.variables import SharedVariable, Variable, check_device_array, make_shared


class Function:
    """A compiled function. Call it with arrays by position or by the inputs' names.

    Outputs are fresh NumPy arrays (but see `Out`), in the form in which they were given to
    `symnet.function` (one, a list, a dict). A call is atomic: after an error every shared variable
    holds what it held before. Functions may be called from several threads, and pickled: the graph
    is stored, with the values of its shared variables, and compiled again (or loaded) when
    unpickled.

    name     for messages
    mode     see `Mode`
    device   where it runs: "cpu", "cuda", "emulated"
    inputs   an `In` for each argument
    profile  with profile=True, compiled: the measured times, see `Profile`; else None

    Errors of a call: MissingInputError, DuplicateInputError, FunctionError (too many, unknown
    name), TypeMismatchError, ShapeError, IndexOutOfBoundsError, AssertionFailedError.
    """

    def __init__(
        self, signature: Signature, mode: Mode, name: str | None, profile: bool, device: str
    ):
        self._signature = signature
        self.mode = mode
        self.device = device
        self.name = name
        self.inputs: list[In] = signature.inputs
        self.profile: Profile | None = None
        self._runner: Executable | None = None
        self._defaults = [self._default(k) for k in range(len(self.inputs))]
        self._comparison: Comparison | None = None
        if mode.backend == "compiled":
            self._runner = build(signature, mode, profile, device)
            if profile:
                self.profile = Profile(self._runner, name, device)
        elif profile:
            warnings.warn(
                f"profile=True measures compiled code; mode {mode.backend!r} is not measured, and "
                "the function's profile is None",
                RuntimeWarning,
                stacklevel=3,
            )
        self._short = self._straight()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            args = self._by_name(args, kwargs)
        short = self._short
        return self._general(args) if short is None else short(*args)

    def _straight(self) -> Callable[..., Any] | None:
        if not isinstance(self._runner, Runner):  # not the CPU's, or not one program
            return None
        if any(isinstance(i.value, SharedVariable) for i in self.inputs):
            return None
        convert = [i.allow_downcast is not False and not i.strict for i in self.inputs]
        general = _weakly(self)
        return straight_call(
            self._runner, self._signature.form, self._defaults, convert, general, _MISSING
        )

    def _general(self, args: Sequence[Any]) -> Any:
        """A call with anything as arguments; `_MISSING` stands for one that is left out."""
        return self._shaped(self._run(self._arrays(args)))

    def _run(self, arrays: list[Any]) -> list[Any]:
        if self._runner is not None:
            return self._runner.run(arrays)
        if self.mode.backend == "debug":
            if self._comparison is None:
                self._comparison = Comparison(self._signature, self.mode, self.device)
            self._comparison.check(arrays)
        return self._interpret(arrays)

    def _interpret(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        signature = self._signature
        roots = signature.outputs + [v for _, v in signature.updates]
        results = evaluate(roots, dict(zip(signature.variables, arrays)))
        count = len(signature.outputs)
        new = list(zip(signature.updates, results[count:]))
        for (shared, update), value in new:
            if any(s not in (None, n) for s, n in zip(shared.type.shape, value.shape)):
                raise ShapeError(
                    f"the update of {shared} has shape {value.shape}{listed([update, shared])}"
                )
        for (shared, _), value in new:
            if value.shape == shared.current_shape:
                np.copyto(shared.storage, value)
            else:
                shared.rebind(value)
        return results[:count]

    # ---- arguments

    def _by_name(self, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """Arguments given by position and by name, all by position."""
        given: list[Any] = list(args) + [_MISSING] * (len(self.inputs) - len(args))
        for name, value in kwargs.items():
            places = [k for k, i in enumerate(self.inputs) if i.name == name]
            if len(places) != 1:
                many = "several inputs" if places else "no input"
                raise FunctionError(
                    f"{self} has {many} called {name!r}{listed(self._signature.variables)}"
                )
            if given[places[0]] is not _MISSING:
                raise DuplicateInputError(
                    f"{self}: {self._label(places[0])} is given twice"
                    f"{listed([self.inputs[places[0]].variable])}"
                )
            given[places[0]] = value
        return tuple(given)

    def _arrays(self, args: Sequence[Any]) -> list[Any]:
        if len(args) > len(self.inputs):
            given = sum(a is not _MISSING for a in args)
            raise FunctionError(
                f"{self} takes {len(self.inputs)} inputs, {given} were given"
                f"{listed(self._signature.variables)}"
            )
        return [
            self._array(k, args[k] if k < len(args) else _MISSING) for k in range(len(self.inputs))
        ]

    def _array(self, k: int, value: Any) -> Any:
        """The value of an argument as the runner takes it."""
        wanted = self.inputs[k]
        kind = wanted.variable.type
        if value is _MISSING:
            default = self._defaults[k]
            if default is not None:
                return default
            value = wanted.value
            if value is None:
                raise MissingInputError(
                    f"{self}: {self._label(k)} is missing{listed([wanted.variable])}"
                )
        if isinstance(value, SharedVariable):
            value = value.peek()
        try:
            if isinstance(value, Variable):
                raise TypeMismatchError(f"an array is wanted, not {describe(value)}")
            if device_of(value) == self.device:
                # the interpreter of the other modes computes on the host
                adopted = fetch(value) if self._runner is None else self._runner.adopt(value)
                check_device_array(kind, adopted, "the argument")
                return adopted
            if wanted.strict and getattr(value, "dtype", None) != kind.numpy_dtype:
                raise TypeMismatchError(f"it is strict and wants {kind}, not {value!r:.60}")
            return kind.filter(value, wanted.allow_downcast, "the argument")
        except (TypeMismatchError, ShapeError) as error:
            raise type(error)(
                f"{self}: {self._label(k)}: {error}{listed([wanted.variable])}"
            ) from None

    def _default(self, k: int) -> np.ndarray | None:
        """The array that stands for input `k` when it is left out, unless that may change."""
        value = self.inputs[k].value
        if value is None or isinstance(value, SharedVariable):
            return None
        array: np.ndarray = self._array(k, on_host(value))
        return array.copy()

    def _label(self, k: int) -> str:
        name = self.inputs[k].name
        return f"input {k}" + (f" ({name})" if name else "")

    def _shaped(self, results: list[np.ndarray]) -> Any:
        form = self._signature.form
        if form == "single":
            return results[0]
        if isinstance(form, list):
            return dict(zip(form, results))
        return results

    # ---- many calls

    def map(self, *sequences: Any, between: Callable[[int], bool] | None = None) -> Any:
        """Call the function once per element of the sequences, in native code; outputs stacked.

        sequences  one per input: an array whose first dimension runs over the calls, or for a
                   scalar a range
        between    called about every 50 ms with the number of calls done; True ends the loop early

        Updates happen call by call: `costs = train.map(range(batches))` is an epoch. After an
        error or an interrupt the completed calls have happened, the others have not.

        Errors: as of a call; ShapeError for sequences of different lengths, or outputs whose
        shapes change from call to call.
        """
        if not sequences or len(sequences) != len(self.inputs):
            raise FunctionError(
                f"{self}.map takes {len(self.inputs)} sequences, one per input, "
                f"{len(sequences)} were given{listed(self._signature.variables)}"
            )
        arrays = [self._sequence(k, given) for k, given in enumerate(sequences)]
        counts = {len(a) for a in arrays}
        if len(counts) != 1:
            raise ShapeError(f"{self}.map: the sequences have different lengths {sorted(counts)}")
        (count,) = counts
        runner = self._runner
        if runner is not None and runner.program is not None and not runner.program.rebinds:
            (native,) = runner.runners
            assert native is not None
            return self._shaped(native.map(arrays, count, between))
        results: list[list[np.ndarray]] = []
        for position in range(count):
            results.append(self._run([a[position, ...] for a in arrays]))
            if between is not None and between(position + 1):
                break
        outputs = self._signature.outputs
        if not results:
            return self._shaped(
                [np.empty((0,) * (v.type.ndim + 1), v.type.numpy_dtype) for v in outputs]
            )
        try:
            return self._shaped([np.stack([*map(on_host, r)]) for r in zip(*results)])
        except ValueError:
            shapes = [sorted({a.shape for a in r}) for r in zip(*results)]
            raise ShapeError(
                f"{self}.map: outputs of different shapes cannot be stacked: {shapes}"
                f"{listed(outputs)}"
            ) from None

    def _sequence(self, k: int, given: Any) -> np.ndarray:
        wanted = self.inputs[k]
        kind = wanted.variable.type
        given = on_host(given)
        if isinstance(given, range):
            given = np.arange(given.start, given.stop, given.step, dtype="int64")
        try:
            return kind.clone(shape=(None, *kind.shape)).filter(
                given, wanted.allow_downcast, "the sequence"
            )
        except (TypeMismatchError, ShapeError) as error:
            raise type(error)(
                f"{self}.map: {self._label(k)}: {error}{listed([wanted.variable])}"
            ) from None

    def free(self) -> None:
        """Give back the memory that is kept for the next call: intermediate results, and arrays
        that shared variables had when this function last ran. The next call takes it anew, which
        costs a fraction of a millisecond."""
        if self._runner is not None:
            self._runner.clear()

    # ---- copies

    def copy(
        self,
        share_memory: bool = False,
        swap: Mapping[SharedVariable, SharedVariable] | None = None,
        delete_updates: bool = False,
        name: str | None = None,
        profile: bool | None = None,
    ) -> "Function":
        """The same function with other shared variables, or without its updates.

        swap            shared variables and what stands for them in the copy
        delete_updates  the copy makes no updates

        `share_memory` is accepted for compatibility with Theano 1.0. Errors: UpdateError for a
        swap of what is not shared, or of other types.
        """
        signature = copy.copy(self._signature)
        updates = [] if delete_updates else signature.updates
        table: dict[Variable, Variable] = dict((swap or {}).items())
        for old, new in table.items():
            if not isinstance(old, SharedVariable) or not isinstance(new, SharedVariable):
                raise UpdateError(f"{self}.copy: {old} and {new} are not both shared variables")
            if old.type is not new.type:
                raise UpdateError(
                    f"{self}.copy: the types of {old} and {new} differ{listed([old, new])}"
                )
        targets = [table.get(s, s) for s, _ in updates]
        roots = clone_replace([*signature.outputs, *(v for _, v in updates)], table)
        signature.outputs = roots[: len(signature.outputs)]
        signature.updates = _pairs(targets, roots[len(signature.outputs) :])
        measured = self.profile is not None if profile is None else profile
        return Function(signature, self.mode, name or self.name, measured, self.device)

    def __copy__(self) -> "Function":
        return self.copy()

    def __getstate__(self) -> dict[str, Any]:
        signature = self._signature
        inputs = [copy.copy(i) for i in self.inputs]
        for given in inputs:
            given.variable = None  # type: ignore[assignment]  # it is in the bundle
        updates = [v for pair in signature.updates for v in pair]
        return {
            "variables": Bundle([*signature.variables, *signature.outputs, *updates]),
            "inputs": inputs,
            "outputs": len(signature.outputs),
            "form": signature.form,
            "kept": signature.kept,
            "device": self.device,
            "mode": self.mode,
            "name": self.name,
            "profile": self.profile is not None,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        inputs, rest = state["inputs"], iter(state["variables"])
        for given, variable in zip(inputs, rest):
            given.variable = variable
        outputs = list(itertools.islice(rest, state["outputs"]))
        updates = [(shared, next(rest)) for shared in rest]
        kept = state.get("kept", frozenset())  # older pickles know no devices
        signature = Signature.plain(inputs, outputs, state["form"], updates, kept)
        self.__init__(  # type: ignore[misc]
            signature,
            state["mode"],
            state["name"],
            state["profile"],
            state.get("device", "cpu"),
        )

    # ---- looking inside

    @property
    def outputs(self) -> list[Variable]:
        """The expressions of the outputs, and of the new values of shared variables."""
        return self._signature.outputs + [v for _, v in self._signature.updates]

    @property
    def program(self) -> Any:
        """The scheduled program, for printing; None in the modes that do not compile."""
        return None if self._runner is None else self._runner.program

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """What became of the expressions: lines, rules, kernels, program, memory, time and bytes.

        With arguments, given as in a call, the function is run some times to measure its steps. A
        copy is: shared variables keep their values, though other functions may be slower for a
        third of a second. Without, times are those of the profile, if there is one, and sizes those
        of the last call. `print` the explanation, or write its page: `f.explain(x).html("f.html")`.

        The function is compiled anew to be explained, so this takes about as long as compiling it.
        Errors: with arguments as of a call.
        """
        measurement: Measurement | None = None
        if self._runner is not None:
            if args or kwargs or not self.inputs:
                given = self._by_name(args, kwargs)
                arrays = self._arrays(given)  # what is on the device is adopted anew by each call
                ready = [a if type(a) is np.ndarray else b for a, b in zip(arrays, given)]
                measurement = measure(self._private, ready)
            else:
                measurement = so_far(self._runner)
        return Explanation(
            self._signature, self.mode, self.name, self._runner, measurement, self.device
        )

    def _private(self, profile: bool) -> "Function":
        """A copy that updates shared variables of its own."""
        swap = {
            s: make_shared(s.get_value(), s.name, shape=s.type.shape)
            for s, _ in self._signature.updates
        }
        return self.copy(swap=swap, profile=profile)

    def get_shared(self) -> list[SharedVariable]:
        """The shared variables that the function reads or updates."""
        targets = [s for s, _ in self._signature.updates]
        return list(dict.fromkeys([*shared_inputs(self.outputs), *targets]))

    def __repr__(self) -> str:
        names = [i.name or f"input {k}" for k, i in enumerate(self.inputs)]
        return f"<symnet function {self.name or ''}({', '.join(names)})>"

    __str__ = __repr__


def _weakly(function: Function) -> Callable[[Sequence[Any]], Any]:
    """`function._general` without keeping the function, and so its arenas, alive in a cycle."""
    reference = weakref.ref(function)

    def general(args: Sequence[Any]) -> Any:
        alive = reference()
        assert alive is not None  # it is being called
        return alive._general(args)

    return general


def _pairs(
    targets: Sequence[Variable], values: Sequence[Variable]
) -> list[tuple[SharedVariable, Variable]]:
    return [(s, v) for s, v in zip(targets, values) if isinstance(s, SharedVariable)]


_MISSING = object()
