"""A graph as native segments with Python between them.

What native code cannot do ends a segment: an op that says nothing about its lowering (it runs its
`perform`), and a size that only values tell. Most graphs are one segment. Shared variables are
written in the last one, after everything else has succeeded (design D8a, D15).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.backends.choice import Runner
from symnet.graph.traversal import toposort
from symnet.graph.variables import Apply, Constant, SharedVariable, Variable
from symnet.schedule.fusion import has_lowering
from symnet.schedule.shapes import NotASize, Shapes

RunNode = Callable[[Apply, Sequence[np.ndarray]], list[np.ndarray]]


@dataclass(slots=True)
class Segment:
    """Native outputs computed from earlier values, then host nodes that read them."""

    inputs: list[Variable]
    outputs: list[Variable]
    host: list[Apply]


def split(
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    updates: Sequence[tuple[SharedVariable, Variable]],
) -> list[Segment]:
    """The segments, in order. The last one has no host nodes and computes outputs and updates."""
    roots = list(outputs) + [v for _, v in updates]
    nodes = toposort(roots, stop=set(inputs))
    cuts = _value_dependent_sizes(nodes, inputs)
    level: dict[Variable, int] = {}  # the segment in which a variable can be read
    last = 0
    for node in nodes:
        here = max((level.get(v, 0) for v in node.inputs), default=0)
        native = has_lowering(node.op)
        for out in node.outputs:
            level[out] = here if native and out not in cuts else here + 1
            last = max(last, level[out])
    if last == 0:
        return [Segment(list(inputs), list(outputs), [])]

    segments = [Segment([], [], []) for _ in range(last + 1)]
    computed_in: dict[Variable, int] = {}
    for node in nodes:
        here = max((level.get(v, 0) for v in node.inputs), default=0)
        if not has_lowering(node.op):
            segments[here].host.append(node)
        for out in node.outputs:
            computed_in[out] = here
    needed: list[dict[Variable, None]] = [{} for _ in segments]
    given: list[dict[Variable, None]] = [{} for _ in segments]
    host_outputs = {out for s in segments for node in s.host for out in node.outputs}

    def read(variable: Variable, segment: int) -> None:
        if isinstance(variable, (Constant, SharedVariable)) and variable not in inputs:
            return
        given[segment].setdefault(variable)
        origin = computed_in.get(variable)
        if origin is not None and variable not in host_outputs:
            needed[origin].setdefault(variable)

    for node in nodes:
        here = max((level.get(v, 0) for v in node.inputs), default=0)
        native = has_lowering(node.op)
        for v in node.inputs:
            if not native and v not in host_outputs and v in computed_in:
                needed[computed_in[v]].setdefault(v)
            elif native and (v in host_outputs or computed_in.get(v, here) < here or v in inputs):
                read(v, here)
    for variable in roots:
        if computed_in.get(variable, last) < last or variable in host_outputs or variable in inputs:
            read(variable, last)
    for number, segment in enumerate(segments):
        segment.inputs = list(given[number])
        segment.outputs = list(needed[number])
    segments[-1].outputs = list(outputs)
    return segments


def _value_dependent_sizes(nodes: Sequence[Apply], inputs: Sequence[Variable]) -> set[Variable]:
    """Integer scalars that sizes depend on and that only kernels can compute."""
    cuts: set[Variable] = set()
    host = {out for node in nodes if not has_lowering(node.op) for out in node.outputs}
    while True:
        native = [node for node in nodes if has_lowering(node.op)]
        try:
            Shapes(native, {*inputs, *cuts, *host})
        except NotASize as found:
            if found.variable in cuts:
                raise
            cuts.add(found.variable)
            continue
        return cuts


class SegmentedRunner:
    """Runs several native segments with host nodes between them, as one atomic call.

    On a device, what goes from a segment to another one passes through the host: its errors are
    known before anything is updated.

    runners     one per segment; None where a segment has nothing to compute natively
    home        makes a NumPy array of a device array
    host_times  with `profile`: nanoseconds and calls of each host node
    """

    program = None  # there are several

    def __init__(
        self,
        segments: Sequence[Segment],
        runners: Sequence[Runner | None],
        inputs: Sequence[Variable],
        run_node: RunNode,
        profile: bool = False,
        home: Callable[[Any], np.ndarray] = np.asarray,
    ):
        self.segments = list(segments)
        self.runners: list[Any] = list(runners)
        self.inputs = list(inputs)
        self.adopt = home
        self.kept: set[int] = self.runners[-1].kept
        self.run_node = self._timed(run_node) if profile else run_node
        self.host_times: dict[Apply, tuple[int, int]] = {}

    def _timed(self, run_node: RunNode) -> RunNode:
        def run(node: Apply, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
            begin = time.perf_counter_ns()
            found = run_node(node, inputs)
            before, calls = self.host_times.get(node, (0, 0))
            self.host_times[node] = before + time.perf_counter_ns() - begin, calls + 1
            return found

        return run

    def clear(self) -> None:
        """Forget what is kept for the next call."""
        for runner in self.runners:
            if runner is not None:
                runner.clear()

    def run(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        """One call with fitting arrays, as `Runner.run`."""
        values: dict[Variable, np.ndarray] = dict(zip(self.inputs, arrays))

        def value(variable: Variable) -> np.ndarray:
            if variable in values:
                return values[variable]
            if isinstance(variable, SharedVariable):
                return variable.peek()
            assert isinstance(variable, Constant)
            return variable.data

        results: list[Any] = []
        for segment, runner in zip(self.segments, self.runners):
            if runner is not None:
                results = runner.run([value(v) for v in segment.inputs])
                if segment is not self.segments[-1]:
                    values.update(zip(segment.outputs, results))
            for node in segment.host:
                found = self.run_node(node, [value(v) for v in node.inputs])
                for variable, array in zip(node.outputs, found):
                    values[variable] = np.require(
                        np.asarray(array, variable.type.numpy_dtype), requirements="CA"
                    ).reshape(np.shape(array))
        return results
