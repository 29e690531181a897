"""The common call as straight code.

For each compiled function a Python function is generated that takes a frame, enters the addresses
of the arguments and of fresh outputs, and makes one native call. Whatever is unusual about a call
(another size, an array that needs converting, an error) makes it return `general(arguments)`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symnet.backends.cpu.runner import Runner, apart, current_threads
from symnet.graph.variables import SharedVariable

_PYTHON = {"int64": "int", "float32": "float", "float64": "float"}  # scalars taken as they are


def straight_call(
    runner: Runner,
    form: Any,
    defaults: Sequence[np.ndarray | None],
    convert: Sequence[bool],
    general: Callable[[tuple], Any],
    missing: object,
) -> Callable[..., Any] | None:
    """A function of the inputs by position; `missing` stands for one that is left out.

    form      how outputs are given back, see `Signature`
    defaults  an array for each input that may be left out, else None
    convert   whether a Python number may be taken for a scalar input

    None where every call has to go the general way.
    """
    if runner.program.rebinds:
        return None
    text = _text(runner, form, defaults, convert)
    scope: dict[str, Any] = {
        "SharedVariable": SharedVariable,
        "apart": apart,
        "empty": np.empty,
        "general": general,
        "missing": missing,
        "native": runner.call,
        "ndarray": np.ndarray,
        "runner": runner,
        "threads": current_threads,
    }
    scope.update({f"dtype{k}": d for k, d in enumerate(runner.output_dtypes)})
    scope.update({f"default{k}": d for k, d in enumerate(defaults)})
    if isinstance(form, list):
        scope.update({f"key{k}": key for k, key in enumerate(form)})
    exec(text, scope)
    # taken out, lest the function be kept alive by its own globals
    call: Callable[..., Any] = scope.pop("call")
    return call


def _text(
    runner: Runner, form: Any, defaults: Sequence[np.ndarray | None], convert: Sequence[bool]
) -> str:
    names = [f"a{k}" for k in range(len(defaults))]
    everything = f"({''.join(n + ', ' for n in names)})"
    lines = [f"def call({''.join(f'{n}=missing, ' for n in names)}*more):"]
    put = lambda depth, text: lines.append("    " * depth + text)
    # a required argument that is left out is found by the native check of its type
    for name, default in zip(names, defaults):
        if default is not None:
            put(1, f"if {name} is missing: {name} = default{name[1:]}")
    put(1, f"if more: return general({everything} + more)")
    put(1, "try: frame = runner.free.pop()")
    put(1, f"except IndexError: return general({everything})")
    put(1, "status = 1")
    put(1, "try:")
    put(
        2, "if frame.epoch == SharedVariable.epoch and (frame.alone or frame.threads == threads()):"
    )
    put(3, "objects = frame.objects")
    fits = []
    for k, (number, may_convert) in enumerate(zip(runner.input_numbers, convert)):
        o = runner.program.objects[number]
        check = f"type(a{k}) is ndarray and apart(a{k}, frame.roots)"
        python = _PYTHON.get(o.dtype) if may_convert and not o.shape else None
        if python is not None:
            put(3, f"if type(a{k}) is {python}:")
            put(4, f"cell = frame.cells[{k}]")
            put(4, f"cell[1][0] = a{k}")
            put(4, f"objects[{number}] = cell[0]")
            put(3, f"else: objects[{number}] = id(a{k})")
            check = f"(type(a{k}) is {python} or {check})"
        else:
            put(3, f"objects[{number}] = id(a{k})")
        if runner.overwritten:
            fits.append(check)
    outs = [f"out{k}" for k in range(len(runner.output_numbers))]
    for k, number in enumerate(runner.output_numbers):
        put(3, f"out{k} = empty(frame.output_shapes[{k}], dtype{k})")
        put(3, f"objects[{number}] = id(out{k})")
    put(3, f"if {' and '.join(fits) or True}: status = native(frame.address)")
    # an int that is no int64; the last call's outputs fit into no memory, this one's may
    put(1, "except (ValueError, MemoryError): pass")
    put(1, "finally: frame.home.append(frame)")
    put(1, f"if status: return general({everything})")
    if form == "single":
        put(1, f"return {outs[0]}")
    elif isinstance(form, list):
        put(1, f"return {{{', '.join(f'key{k}: {out}' for k, out in enumerate(outs))}}}")
    else:
        put(1, f"return [{', '.join(outs)}]")
    return "\n".join(lines)
