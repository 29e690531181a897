"""The short way for the commonest step: one element-wise node over stored arrays and numbers.

Graphs of very many nodes are not fused (their kernels would all differ), and then nearly every step
is of this kind. Steps that look alike share one kernel, which is lowered once by the general way;
the others only name their operands.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from symnet.graph import dims
from symnet.graph.variables import Apply, Constant, Variable
from symnet.ops.elementwise import Elementwise
from symnet.schedule.access import Coordinates
from symnet.schedule.draft import Call, Place
from symnet.schedule.kernel import Kernel
from symnet.schedule.lower import Lowering
from symnet.schedule.shapes import Shapes
from symnet.schedule.steps import LoopStep
from symnet.schedule.values import number


@dataclass(slots=True)
class PlainKernel:
    """A kernel, and which input (or -1: the output) each of its operands and scalars is."""

    kernel: Kernel
    operands: list[int]
    scalars: list[int]


class PlainLowering:
    """Stands for a Lowering of such a step."""

    can_fail = False

    def __init__(
        self,
        step: LoopStep,
        node: Apply,
        shapes: Shapes,
        stored_before: Callable[[Variable, int], bool],
        kernels: dict[tuple, PlainKernel],
        kinds: list[tuple[str, str]],
    ):
        self.step = step
        self.node = node
        self.shapes = shapes
        self.stored_before = stored_before
        self.kernels = kernels
        self.kinds = kinds  # "number", "scalar" or "array", and dtype, of each input

    @classmethod
    def of(
        cls,
        step: LoopStep,
        shapes: Shapes,
        stored_before: Callable[[Variable, int], bool],
        kernels: dict[tuple, PlainKernel],
    ) -> "PlainLowering | None":
        """The short way for a step, or None where it needs the general one."""
        if len(step.members) != 1 or len(step.writes) != 1 or step.reductions or step.serial:
            return None
        target = step.writes[0].target
        node = target.owner
        if node is None or target not in step.members or not isinstance(node.op, Elementwise):
            return None
        if target.type.ndim == 0 and shapes.value_or_none(target) is not None:
            return None  # the shape program computes it
        sizes = shapes.of[target]
        kinds: list[tuple[str, str]] = []
        for v in node.inputs:
            if isinstance(v, Constant) and v.data.size == 1 and v.type.ndim == 0:
                kind = "number"
            elif not stored_before(v, step.seq):
                return None
            elif v.type.ndim == 0 and target.type.ndim:
                kind = "scalar"
            elif shapes.of[v] == sizes:
                kind = "array"
            else:
                return None
            kinds.append((kind, v.type.dtype))
        return cls(step, node, shapes, stored_before, kernels, kinds)

    def loads(self) -> list[tuple[Variable, Coordinates, int]]:
        """As `Lowering.loads`."""
        full = self.step.writes[0].to
        return [
            (v, full if kind == "array" else (), 0)
            for v, (kind, _) in zip(self.node.inputs, self.kinds)
            if kind != "number"
        ]

    def stage_of(self, target: Variable) -> int:
        """As `Lowering.stage_of`."""
        return 0

    def run(self, place: Callable[[Variable], Place]) -> list[Call]:
        """As `Lowering.run`."""
        target = self.step.writes[0].target
        places: list[Place | None] = []
        numbers: list[bytes | None] = []
        for v, (kind, _) in zip(self.node.inputs, self.kinds):
            places.append(None if kind == "number" else place(v))
            numbers.append(_number(v).tobytes() if kind == "number" else None)
        out = place(target)
        # which operands are the same place, which share a storage, and which numbers are equal:
        # all that makes two such steps differ in their kernels
        found = [p for p in (*places, out) if p is not None]
        same_place = tuple(found.index(p) for p in found)
        storages = [storage for storage, _ in found]
        same_storage = tuple(storages.index(s) for s in storages)
        same_number = tuple(None if n is None else numbers.index(n) for n in numbers)
        kinds = tuple(self.kinds)
        dtype, loops = target.type.dtype, bool(self.step.axes)
        key = (self.node.op, dtype, loops, kinds, same_place, same_storage, same_number)
        plain = self.kernels.get(key)
        if plain is None:
            plain = self.kernels[key] = self._general(place, places)
        operands = [out if k < 0 else places[k] for k in plain.operands]
        return [
            Call(
                plain.kernel,
                operands,  # type: ignore[arg-type]
                [dims.product(self.step.axes)] if loops else [],
                [_number(self.node.inputs[k]) for k in plain.scalars],
                [],
                self.step.origin,
            )
        ]

    def _general(
        self, place: Callable[[Variable], Place], places: list[Place | None]
    ) -> PlainKernel:
        (call,) = Lowering(self.step, self.shapes, self.stored_before).run(place)
        operands = [places.index(p) if p in places else -1 for p in call.operands]
        numbers = [
            (_number(v).dtype.name, _number(v).tobytes()) if kind == "number" else None
            for v, (kind, _) in zip(self.node.inputs, self.kinds)
        ]
        scalars = [numbers.index((s.dtype.name, s.tobytes())) for s in call.scalars]
        return PlainKernel(call.kernel, operands, scalars)


def _number(variable: Variable) -> np.generic:
    assert isinstance(variable, Constant)
    return number(variable)
