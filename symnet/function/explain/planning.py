"""A function's programs, planned again; and what their arrays are called."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from symnet.backends.choice import Executable
from symnet.backends.cpu.segments import split
from symnet.function.arguments import Signature
from symnet.function.modes import Mode
from symnet.graph.variables import Apply, Variable
from symnet.schedule.buffers import Planner, plan
from symnet.schedule.program import Program


@dataclass(eq=False)
class Part:
    """A native program as planned again, with its place in the function; or Python nodes.

    first    number of its first step
    labels   what its objects are called
    host     nodes that run in Python behind it
    number   of the segment
    values   what arrays are called that go from segment to segment
    """

    program: Program | None
    planner: Planner | None
    first: int
    labels: list[str]
    host: list[Apply]
    number: int
    values: dict[Variable, str]


def plan_again(
    signature: Signature,
    rewritten: Sequence[Variable],
    mode: Mode,
    runner: Executable,
    labels: Sequence[str],
) -> list[Part]:
    """The programs of a function, planned again."""
    inputs = signature.variables
    results = list(rewritten[: len(signature.outputs)])
    updates = list(zip([s for s, _ in signature.updates], rewritten[len(signature.outputs) :]))
    if runner.program is not None:
        program, planner = plan(inputs, results, updates, reuse=mode.reuse, fuse=mode.fuse)
        return [Part(program, planner, 0, _labels(planner, program, inputs, labels, {}), [], 0, {})]
    parts: list[Part] = []
    values: dict[Variable, str] = {}
    segments = split(inputs, results, updates)
    first = 0
    for number, segment in enumerate(segments):
        last = number == len(segments) - 1
        part = Part(None, None, first, [], segment.host, number, values)
        if segment.outputs or last:
            own = updates if last else ()
            program, planner = plan(
                segment.inputs, segment.outputs, own, reuse=mode.reuse, fuse=mode.fuse
            )
            own_labels = labels if last else [value_name(v, values) for v in segment.outputs]
            part.program, part.planner = program, planner
            part.labels = _labels(planner, program, inputs, own_labels, values)
            first += len(program.steps)
        first += len(segment.host)
        parts.append(part)
    return parts


def value_name(variable: Variable, values: dict[Variable, str]) -> str:
    """The name of an array between native programs and Python."""
    if variable.owner is None:
        return str(variable)
    return values.setdefault(variable, variable.name or f"val{len(values)}")


def output_labels(signature: Signature) -> list[str]:
    """What the outputs are called: the keys of a dict, names, or numbers."""
    if isinstance(signature.form, list):
        return [str(key) for key in signature.form]
    if len(signature.outputs) == 1:
        return [signature.outputs[0].name or "output"]
    return [v.name or f"output {k}" for k, v in enumerate(signature.outputs)]


def _labels(
    planner: Planner,
    program: Program,
    inputs: Sequence[Variable],
    outputs: Sequence[str],
    values: dict[Variable, str],
) -> list[str]:
    """What a program's objects are called, each another way."""
    found: list[str] = []
    rebound = {output: planner.shared[position] for position, output in program.rebinds}
    for o in program.objects:
        if o.role == "input":
            variable = planner.inputs[o.position]
            if variable in inputs:
                label = variable.name or f"input {list(inputs).index(variable)}"
            else:
                label = value_name(variable, values)
        elif o.role == "shared":
            label = planner.shared[o.position].name or f"shared {o.position}"
        elif o.role == "constant":
            label = planner.constants[o.position].name or f"constant {o.position}"
        elif o.position in rebound:
            label = f"new {rebound[o.position].name or 'value'}"
        else:
            label = outputs[o.position - len(rebound)]
        again = label
        for number in itertools.count(2):
            if again not in found:
                break
            again = f"{label} ({number})"
        found.append(again)
    return found
