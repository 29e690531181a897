"""From ordered steps, of which it is known where everything lies, to the program."""

from collections.abc import Sequence
from typing import Any

from symnet.graph.dims import Dim, Size
from symnet.graph.origin import Origin
from symnet.graph.variables import Constant, Variable
from symnet.ops.contraction import Gemm
from symnet.schedule.access import contiguous_strides
from symnet.schedule.dataflow import Dataflow
from symnet.schedule.draft import Call
from symnet.schedule.kernel import Kernel, check_kernel
from symnet.schedule.memory import Memory
from symnet.schedule.program import (
    Buffer,
    KernelStep,
    MatmulStep,
    Matrix,
    Object,
    Output,
    Place,
    Program,
    Ref,
    Reg,
    ShuffleStep,
    SizeCheck,
    Step,
    Storage,
    storages,
)
from symnet.schedule.steps import GemmStep, LoopStep, PermutationStep


class Assembler:
    """Writes the program.

    object_of  number of the object that holds a source variable
    origins    the origins that the program refers to by number; extended
    """

    def __init__(
        self,
        flow: Dataflow,
        memory: Memory,
        object_of: dict[Variable, int],
        origins: list[Origin],
    ):
        self.flow = flow
        self.shapes = flow.fusion.shapes
        self.reading = flow.fusion.reading
        self.memory = memory
        self.object_of = object_of
        self.origins = origins
        self._number_of: dict[int, int] = {}  # by id: nodes of one line keep origins of their own
        self.registers: list[tuple] = []
        self.register_of: dict[Dim, Reg] = {}
        self.kernels: dict[Kernel, int] = {}
        self.steps: list[Step] = []

    def run(
        self,
        objects: Sequence[Object],
        results: Sequence[tuple[int, tuple[Size, ...], str]],
        rebinds: Sequence[tuple[int, int]],
        reuse: bool,
    ) -> Program:
        """The program. `results` are object, sizes and dtype of each output."""
        names: list[str] = []
        for step in self.memory.steps:
            before = len(self.steps)
            if isinstance(step, LoopStep):
                self._loop(step)
                label = ", ".join(str(w.target) for w in step.writes[:3])
            else:
                self._gemm(step) if isinstance(step, GemmStep) else self._permutation(step)
                label = str(step.node.outputs[0])
            names += [label] * (len(self.steps) - before)
        checks = tuple(
            SizeCheck(
                self._ref(c.condition), c.message, self._origin(c.origin), c.index,
                (self._ref(c.shown[0]), self._ref(c.shown[1])),
            )
            for c in self.shapes.checks
        )  # fmt: skip
        outputs = tuple(
            Output(number, tuple(map(self._ref, sizes)), dtype) for number, sizes, dtype in results
        )
        buffers = self._buffers(reuse)
        return Program(
            tuple(objects),
            tuple(self.registers),
            checks,
            buffers,
            tuple(self.kernels),
            tuple(self.steps),
            outputs,
            tuple(rebinds),
            tuple(names),
        )

    def _buffers(self, reuse: bool) -> tuple[Buffer, ...]:
        """Every buffer with its lifetime; without reuse that is the whole program."""
        first: dict[Storage, int] = {}
        last: dict[Storage, int] = {}
        for number, step in enumerate(self.steps if reuse else ()):
            for storage in storages(step):
                first.setdefault(storage, number)
                last[storage] = number
        end = 0 if reuse else len(self.steps)
        return tuple(
            Buffer(
                dtype,
                self._ref(size),
                first.get(("buffer", k), 0),
                last.get(("buffer", k), end),
            )
            for k, (dtype, size) in enumerate(self.memory.buffers)
        )

    # ---- numbers

    def _ref(self, size: Size) -> Ref:
        """A size as a register of the shape program; iterative."""
        if isinstance(size, int):
            return _wrapped(size)
        stack = [size]
        while stack:
            top = stack[-1]
            if top in self.register_of:
                stack.pop()
                continue
            if top.op == "dim":
                entry: tuple = ("dim", self.object_of[top.args[0]], top.args[1])
            elif top.op == "value":
                entry = ("value", self.object_of[top.args[0]])
            else:
                missing = [a for a in top.args if isinstance(a, Dim) and a not in self.register_of]
                if missing:
                    stack.extend(missing)
                    continue
                args = [
                    self.register_of[a] if isinstance(a, Dim) else _wrapped(a) for a in top.args
                ]
                entry = (top.op, *args)
            self.register_of[top] = Reg(len(self.registers))
            self.registers.append(entry)
            stack.pop()
        return self.register_of[size]

    def _origin(self, origin: Origin) -> int:
        number = self._number_of.setdefault(id(origin), len(self.origins))
        if number == len(self.origins):
            self.origins.append(origin)
        return number

    def _lies(self, variable: Variable) -> tuple[Storage, Size]:
        view = self.reading.alias.get(variable)
        if view is None:
            return self.memory.storage[variable], 0
        return self.memory.storage[view.root], view.offset

    def _place(self, variable: Variable) -> Place:
        storage, offset = self._lies(variable)
        return storage, self._ref(offset)

    # ---- steps

    def _loop(self, step: LoopStep) -> None:
        partials: list[Storage] = []
        for call in self.flow.lowerings[step.seq].run(self._lies):
            partials += [self.memory.new_buffer(dtype, size) for dtype, size in call.partials]
            self._call(call, partials)

    def _call(self, call: Call, partials: list[Storage]) -> None:
        number = self.kernels.get(call.kernel)
        if number is None:
            check_kernel(call.kernel)
            number = self.kernels[call.kernel] = len(self.kernels)
        operands: list[Place] = [
            (partials[storage[1]], 0) if storage[0] == "partial" else (storage, self._ref(offset))
            for storage, offset in call.operands
        ]
        scalars = tuple(
            self._ref(s) if isinstance(s, (int, Dim)) else ("constant", s.dtype.name, s.item())
            for s in call.scalars
        )
        blocks = None
        if call.blocks is not None:
            blocks = self._ref(call.blocks[0]), self._ref(call.blocks[1])
        self.steps.append(
            KernelStep(
                number,
                tuple(operands),
                tuple(map(self._ref, call.slots)),
                scalars,
                tuple((self._origin(o), self._ref(s)) for o, s in call.checks),
                blocks,
                self._origin(call.origin),
            )
        )

    def _matrix(self, variable: Variable) -> Matrix:
        view = self.reading.strided(variable)
        assert view is not None
        batch, row, column = map(self._ref, (0, *view.strides)[-3:])
        place = self.memory.storage[view.root], self._ref(view.offset)
        return Matrix(place, row, column, batch)

    def _gemm(self, step: GemmStep) -> None:
        node = step.node
        out = node.outputs[0]
        alpha: Place | None = None
        alpha_const, beta = 1.0, 0.0
        if isinstance(node.op, Gemm):
            _, scale, a, b, weight = node.inputs
            # a weight that is computed has been applied to what is added to already
            beta = float(weight.data.item()) if isinstance(weight, Constant) else 1.0
            if isinstance(scale, Constant):
                alpha_const = float(scale.data.item())
            else:
                alpha = self._place(scale)
        else:
            a, b = node.inputs
        left, right = self._matrix(a), self._matrix(b)
        batch, m, k = map(self._ref, (1, *self.shapes.of[a])[-3:])
        n = self._ref(self.shapes.of[b][-1])
        strides = contiguous_strides(self.shapes.of[out])
        across, row, column = map(self._ref, (0, *strides)[-3:])
        target = Matrix(self._place(out), row, column, across)
        self.steps.append(
            MatmulStep(
                out.type.dtype,
                m,
                n,
                k,
                batch,
                left,
                right,
                target,
                alpha,
                alpha_const,
                beta,
                self._origin(step.origin),
            )
        )

    def _permutation(self, step: PermutationStep) -> None:
        node = step.node
        (n,) = self.shapes.of[node.outputs[0]]
        words: list[Any] = []
        for v in node.inputs[1:]:
            size = self.shapes.value_or_none(v)
            words.append(self._place(v) if size is None else self._ref(size))
        out = self._place(node.outputs[0])
        self.steps.append(ShuffleStep(out, self._ref(n), tuple(words), self._origin(step.origin)))


def _wrapped(number: int) -> int:
    """A number as int64 arithmetic leaves it."""
    return (number + 2**63) % 2**64 - 2**63
