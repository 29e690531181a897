"""The short way for the commonest step: one element-wise node over stored arrays and numbers.

Graphs of very many nodes are not fused (their kernels would all differ), and then nearly every step
is of this kind. Steps that look alike share one kernel, which is lowered once by the general way;
the others only name their operands.
"""

from collections.abc import Callable
from dataclasses import dataclass

from symnet.graph import dims
from symnet.graph.variables import Constant, Variable
from symnet.ops.elementwise import Elementwise
from symnet.schedule.access import Coordinates
from symnet.schedule.draft import Call, Place
from symnet.schedule.kernel import Kernel
from symnet.schedule.lower import Lowering
from symnet.schedule.shapes import Shapes
from symnet.schedule.steps import LoopStep


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
        shapes: Shapes,
        stored_before: Callable[[Variable, int], bool],
        kernels: dict[tuple, PlainKernel],
        pattern: tuple,
    ):
        self.step = step
        self.shapes = shapes
        self.stored_before = stored_before
        self.kernels = kernels
        self.pattern = pattern
        self.node = step.writes[0].target.owner

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
        pattern: list = [node.op, target.type.dtype, bool(step.axes)]
        for v in node.inputs:
            if isinstance(v, Constant) and v.data.size == 1 and v.type.ndim == 0:
                pattern.append(("number", v.type.dtype))
            elif not stored_before(v, step.seq):
                return None
            elif v.type.ndim == 0 and target.type.ndim:
                pattern.append(("scalar", v.type.dtype))
            elif shapes.of[v] == sizes:
                pattern.append(("array", v.type.dtype))
            else:
                return None
        return cls(step, shapes, stored_before, kernels, tuple(pattern))

    def loads(self) -> list[tuple[Variable, Coordinates, int]]:
        assert self.node is not None
        full = self.step.writes[0].to
        return [
            (v, full if kind[0] == "array" else (), 0)
            for v, kind in zip(self.node.inputs, self.pattern[3:])
            if kind[0] != "number"
        ]

    def stage_of(self, target: Variable) -> int:
        return 0

    def run(self, place: Callable[[Variable], Place]) -> list[Call]:
        assert self.node is not None
        target = self.step.writes[0].target
        inputs = self.node.inputs
        places = [place(v) if k[0] != "number" else None for v, k in zip(inputs, self.pattern[3:])]
        out = place(target)
        # which operands are the same place, and which share a storage, shapes the kernel
        different: list[Place] = []
        storages: list = []
        shape: list = []
        for p in (*places, out):
            if p is None:
                shape.append(None)
                continue
            if p not in different:
                different.append(p)
            if p[0] not in storages:
                storages.append(p[0])
            shape.append((different.index(p), storages.index(p[0])))
        numbers = [v if k[0] == "number" else None for v, k in zip(inputs, self.pattern[3:])]
        same = tuple(
            next((j for j in range(i) if _same_number(numbers[j], v)), None)
            for i, v in enumerate(numbers)
            if v is not None
        )
        key = (self.pattern, tuple(shape), same)
        plain = self.kernels.get(key)
        if plain is None:
            plain = self.kernels[key] = self._general(place, places, out)
        slots = [dims.product(self.step.axes)] if self.step.axes else []
        operands = [out if k < 0 else places[k] for k in plain.operands]
        scalars = [inputs[k].data.reshape(-1)[0] for k in plain.scalars]  # type: ignore[attr-defined]
        return [Call(plain.kernel, operands, slots, scalars, [], self.step.origin)]  # type: ignore[arg-type]

    def _general(
        self, place: Callable[[Variable], Place], places: list[Place | None], out: Place
    ) -> PlainKernel:
        lowering = Lowering(self.step, self.shapes, self.stored_before)
        (call,) = lowering.run(place)
        operands = [places.index(p) if p in places else -1 for p in call.operands]
        assert self.node is not None
        scalars = []
        for number in call.scalars:
            scalars.append(
                next(
                    k
                    for k, v in enumerate(self.node.inputs)
                    if isinstance(v, Constant)
                    and v.data.size == 1
                    and v.type.numpy_dtype == number.dtype
                    and v.data.reshape(-1)[0].tobytes() == number.tobytes()
                )
            )
        return PlainKernel(call.kernel, operands, scalars)


def _same_number(a: Variable | None, b: Variable) -> bool:
    return (
        isinstance(a, Constant)
        and isinstance(b, Constant)
        and a.type.dtype == b.type.dtype
        and a.data.tobytes() == b.data.tobytes()
    )
