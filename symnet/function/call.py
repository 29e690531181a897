"""A compiled function: what a user calls.

The call of a function with fitting arguments is a generated Python function of straight code: take
a frame, enter the addresses, one native call. Everything else (conversion, other sizes, errors)
goes through `Function._general`.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symnet.backends.cpu.runner import Runner
from symnet.backends.cpu.segments import SegmentedRunner
from symnet.backends.reference import evaluate
from symnet.errors import (
    DuplicateInputError,
    FunctionError,
    MissingInputError,
    ShapeError,
    TypeMismatchError,
)
from symnet.function.arguments import In, Signature
from symnet.function.build import build
from symnet.function.debugging import compare_everything
from symnet.function.modes import Mode
from symnet.function.profiling import Profile
from symnet.graph.variables import SharedVariable


class Function:
    """A compiled function. Call it with arrays by position or by the inputs' names.

    Outputs are fresh NumPy arrays, in the form in which they were given to `symnet.function`
    (one, a list, a dict). A call is atomic: after an error every shared variable holds what it
    held before.
    """

    def __init__(self, signature: Signature, mode: Mode, name: str | None, profile: bool):
        self._signature = signature
        self.mode = mode
        self.name = name
        self.inputs: list[In] = signature.inputs
        self._labels = [
            i.name if i.name else f"input {k}" for k, i in enumerate(signature.inputs)
        ]
        self.profile: Profile | None = None
        self._runner: Runner | SegmentedRunner | None = None
        if mode.backend == "compiled":
            self._runner = build(signature, mode, profile)
            if profile and isinstance(self._runner, Runner):
                self.profile = Profile(self._runner, name)
        self._fast = self._make_fast()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        fast = self._fast
        if fast is not None and not kwargs:
            return fast(*args)
        return self._general(args, kwargs)

    # ---- the common call

    def _make_fast(self) -> Callable[..., Any] | None:
        """Straight code for calls by position; falls back on `_general` when anything is unusual."""
        runner = self._runner
        if not isinstance(runner, Runner) or runner.program.rebinds or runner.overwritten_inputs:
            return None
        names = [f"a{k}" for k in range(len(self.inputs))]
        defaults = [i.value is not None for i in self.inputs]
        if any(defaults):
            return None
        given_all = f"({''.join(n + ', ' for n in names)})"
        parameters = ", ".join([*(f"{n}=missing" for n in names), "*more"])
        lines = [f"def call({parameters}):"]
        if names:
            lines.append(f"    if more or {names[-1]} is missing:")
            lines.append(f"        return general(tuple(a for a in {given_all} if a is not missing) + more, {{}})")
        else:
            lines.append("    if more: return general(more, {})")
        lines += [
            "    try: frame = runner.free.pop()",
            "    except IndexError: frame = None",
            "    if frame is None: return general(" + given_all + ", {})",
            "    try:",
            "        status = 1",
            "        if frame.epoch == SharedVariable.epoch and frame.threads == threads():",
            "            objects = frame.objects",
        ]
        indent = " " * 12
        for k, (given, number) in enumerate(zip(self.inputs, runner.input_numbers)):
            kind = given.variable.type
            if kind.ndim == 0 and kind.dtype in ("int64", "float32", "float64"):
                python = "int" if kind.dtype == "int64" else "float"
                lines += [
                    f"{indent}if type(a{k}) is {python}:",
                    f"{indent}    cell = frame.cell({k})",
                    f"{indent}    cell[()] = a{k}",
                    f"{indent}    objects[{number}] = id(cell)",
                    f"{indent}else: objects[{number}] = id(a{k})",
                ]
            else:
                lines.append(f"{indent}objects[{number}] = id(a{k})")
        outs = []
        for k, number in enumerate(runner.output_numbers):
            lines.append(f"{indent}o{k} = empty(frame.output_shapes[{k}], d{k})")
            lines.append(f"{indent}objects[{number}] = id(o{k})")
            outs.append(f"o{k}")
        lines += [
            f"{indent}status = native(frame.address)",
            "    finally:",
            "        frame.home.append(frame)",
            f"    if status: return general({given_all}, {{}})",
        ]
        form = self._signature.form
        if form == "single":
            lines.append(f"    return {outs[0]}")
        elif isinstance(form, list):
            lines.append("    return {" + ", ".join(f"{k!r}: {o}" for k, o in zip(form, outs)) + "}")
        else:
            lines.append(f"    return [{', '.join(outs)}]")
        scope: dict[str, Any] = {
            "general": self._general,
            "runner": runner,
            "SharedVariable": SharedVariable,
            "empty": np.empty,
            "native": runner.call,
            "missing": _MISSING,
            "threads": runner.current_threads,
        }
        scope.update({f"d{k}": d for k, d in enumerate(runner.output_dtypes)})
        exec("\n".join(lines), scope)
        function: Callable[..., Any] = scope["call"]
        return function

    # ---- every other call

    def _general(self, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        arrays = self._arrays(args, kwargs)
        return self._shaped(self._run(arrays))

    def _run(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        if self._runner is not None:
            return self._runner.run(arrays)
        signature = self._signature
        values = dict(zip(signature.variables, arrays))
        if self.mode.backend == "debug":
            compare_everything(signature, self.mode, arrays)
        roots = signature.outputs + [v for _, v in signature.updates]
        results = evaluate(roots, values)
        count = len(signature.outputs)
        new = list(zip([s for s, _ in signature.updates], results[count:]))
        for shared, value in new:
            for axis, size in enumerate(shared.type.shape):
                if size is not None and value.shape[axis] != size:
                    raise ShapeError(
                        f"the update of {shared} has shape {value.shape}; {shared.type} is wanted"
                    )
        for shared, value in new:
            shared.set_value(value)
        return results[:count]

    def _arrays(self, args: Sequence[Any], kwargs: dict[str, Any]) -> list[np.ndarray]:
        if len(args) > len(self.inputs):
            raise FunctionError(
                f"{self} takes {len(self.inputs)} inputs "
                f"({', '.join(self._labels)}), {len(args)} were given"
            )
        given: list[Any] = list(args) + [_MISSING] * (len(self.inputs) - len(args))
        for name, value in kwargs.items():
            places = [k for k, i in enumerate(self.inputs) if i.name == name]
            if not places:
                raise FunctionError(
                    f"{self} has no input called {name!r}; there are {', '.join(self._labels)}"
                )
            if given[places[0]] is not _MISSING:
                raise DuplicateInputError(f"{self}: input {name!r} is given twice")
            given[places[0]] = value
        arrays = []
        for k, (value, wanted) in enumerate(zip(given, self.inputs)):
            if value is _MISSING:
                if wanted.value is None:
                    raise MissingInputError(f"{self}: {self._label(k)} is missing")
                value = wanted.value
                if isinstance(value, SharedVariable):
                    value = value.get_value(borrow=True)
            arrays.append(self._array(k, value, wanted))
        return arrays

    def _array(self, k: int, value: Any, wanted: In) -> np.ndarray:
        kind = wanted.variable.type
        if wanted.strict and getattr(value, "dtype", None) != kind.numpy_dtype:
            raise TypeMismatchError(
                f"{self}: {self._label(k)} is strict and wants {kind}, not {value!r:.60}"
            )
        try:
            return kind.filter(value, wanted.allow_downcast, f"{self}: {self._label(k)}")
        except (TypeMismatchError, ShapeError) as error:
            origin = wanted.variable.origin
            raise type(error)(f"{error}\n  the input was made at {origin}") from None

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

    def map(
        self, *sequences: Any, between: Callable[[int], bool] | None = None
    ) -> Any:
        """Call the function once per element of the sequences, in native code; outputs stacked.

        sequences  one per input: an array whose first dimension runs over the calls, or for a
                   scalar a range
        between    called about every 50 ms with the number of calls done; True ends the loop early

        Updates happen call by call: `costs = train.map(range(batches))` is an epoch. After an
        error or an interrupt the completed calls have happened, the others have not.
        """
        if len(sequences) != len(self.inputs):
            raise FunctionError(f"{self}.map takes {len(self.inputs)} sequences, one per input")
        arrays = []
        for k, (given, wanted) in enumerate(zip(sequences, self.inputs)):
            kind = wanted.variable.type
            stacked = kind.clone(shape=(None, *kind.shape))
            value = np.arange(given.start, given.stop, given.step) if isinstance(given, range) else given
            arrays.append(
                stacked.filter(value, wanted.allow_downcast, f"{self}.map: {self._label(k)}")
            )
        counts = {len(a) for a in arrays}
        if len(counts) != 1:
            raise ShapeError(f"{self}.map: the sequences have different lengths {sorted(counts)}")
        (count,) = counts
        if isinstance(self._runner, Runner) and not self._runner.program.rebinds:
            return self._shaped(self._runner.map(arrays, count, between))
        results = []
        for position in range(count):
            results.append(self._run([a[position] for a in arrays]))
            if between is not None and between(position + 1):
                break
        return self._shaped([np.stack(r) for r in zip(*results)])

    # ---- looking inside

    @property
    def program(self) -> Any:
        """The scheduled program, for printing; None in the modes that do not compile."""
        return self._runner.program if isinstance(self._runner, Runner) else None

    def __repr__(self) -> str:
        return f"<symnet function {self.name or ''}({', '.join(self._labels)})>"

    __str__ = __repr__


_MISSING = object()
_ = warnings
