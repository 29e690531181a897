"""From fused steps to a program: where everything lies, in which order steps run, what is in place.

Everything about mutation is decided here (design D8, D8a):

- All updates of a call read the old values. A step may write straight into a shared value only if
  every other reader of the old value can run before it, and everything that can fail too;
  otherwise the new value is written to the arena and copied at the end.
- A step writes over a dying input only if it reads that input just where it writes.
- A copy that only makes a private version of a dying value is dropped.

`reuse=False` switches all of it off: the oracle in tests.
"""

import heapq
from collections.abc import Sequence
from typing import Any

from symnet.errors import UpdateError
from symnet.graph import dims
from symnet.graph.dims import Dim, Size
from symnet.graph.origin import Origin
from symnet.graph.traversal import toposort
from symnet.graph.variables import Apply, Constant, SharedVariable, Variable
from symnet.ops.contraction import BatchedDot, Gemm
from symnet.schedule.access import contiguous_strides
from symnet.schedule.fusion import (
    Fusion,
    GemmStep,
    LoopStep,
    PermutationStep,
    Strided,
    Write,
    has_lowering,
)
from symnet.schedule.fusion import Step as FusedStep
from symnet.schedule.kernel import Kernel, check_kernel
from symnet.schedule.lower import Call, Lowering
from symnet.schedule.plain import PlainKernel, PlainLowering
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
    check_program,
)
from symnet.schedule.shapes import Shapes

UNFUSED_SIGNATURES = 64  # more distinct kernels than this would take too long to compile


class NotNative(Exception):
    """A node that runs on the host, so that the graph has to be split."""


class Planner:
    """Builds the program for outputs and updates of a graph whose sources are given."""

    def __init__(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        updates: Sequence[tuple[SharedVariable, Variable]],
        *,
        reuse: bool = True,
        fuse: bool = True,
        origins: dict[Origin, int] | None = None,
    ):
        self.inputs = list(inputs)
        self.outputs = list(outputs)
        self.updates = list(updates)
        self.reuse = reuse
        self.fuse = fuse
        self.origins = origins if origins is not None else {}

    # ---- the whole way

    def run(self) -> Program:
        roots = self.outputs + [v for _, v in self.updates]
        nodes = toposort(roots, stop=set(self.inputs))
        for node in nodes:
            if not has_lowering(node.op):
                raise NotNative(node)
        self._sources(nodes, roots)
        self.shapes = Shapes(nodes, self.sources)
        for variable in roots:
            if variable not in self.shapes.of:  # a constant that no node reads
                self.shapes.add_source(variable)
        self.fusion = self._fuse(nodes, roots)
        self._targets()
        steps = self.fusion.steps
        self.lowerings: dict[int, Lowering | PlainLowering] = {}
        self.plain_kernels: dict[tuple, PlainKernel] = {}
        self.reads: dict[int, set[Variable]] = {}  # stored variables, aliases resolved to roots
        self.writes: dict[int, list[Variable]] = {}
        for step in steps:
            if isinstance(step, LoopStep):
                self.lowerings[step.seq] = self._lower(step)
        self._dataflow(steps)
        order = self._order(steps)
        order = self._in_place(order)
        return self._emit(order)

    def _sources(self, nodes: Sequence[Apply], roots: Sequence[Variable]) -> None:
        """Objects for inputs, shared variables and array constants, in the order met."""
        self.objects: list[Object] = []
        self.object_of: dict[Variable, int] = {}
        self.shared: list[SharedVariable] = []
        self.constants: list[Constant] = []

        def add(variable: Variable, role: str, position: int) -> None:
            self.object_of[variable] = len(self.objects)
            self.objects.append(Object(role, position, variable.type.dtype, variable.type.shape))

        for position, variable in enumerate(self.inputs):
            add(variable, "input", position)
        met: dict[Variable, None] = dict.fromkeys(s for s, _ in self.updates)
        for node in nodes:
            met.update(dict.fromkeys(v for v in node.inputs if v.owner is None))
        met.update(dict.fromkeys(v for v in roots if v.owner is None))
        for variable in met:
            if variable in self.object_of:
                continue
            if isinstance(variable, SharedVariable):
                add(variable, "shared", len(self.shared))
                self.shared.append(variable)
            elif isinstance(variable, Constant) and variable.data.size != 1:
                add(variable, "constant", len(self.constants))
                self.constants.append(variable)
        self.sources = set(self.object_of)

    def _fuse(self, nodes: Sequence[Apply], roots: Sequence[Variable]) -> Fusion:
        fusion = Fusion(nodes, roots, self.shapes, self.fuse)
        if not fusion.run(UNFUSED_SIGNATURES if self.fuse else None):
            fusion = Fusion(nodes, roots, self.shapes, fuse=False)
            fusion.run()
        return fusion

    def _lower(self, step: LoopStep) -> Lowering | PlainLowering:
        plain = PlainLowering.of(step, self.shapes, self._stored_before, self.plain_kernels)
        if plain is not None:
            return plain
        lowering = Lowering(step, self.shapes, self._stored_before)
        lowering.prepare()
        return lowering

    def _stored_before(self, variable: Variable, seq: int) -> bool:
        fusion = self.fusion
        if variable in self.sources:
            return True
        return variable in fusion.stored and fusion.seq_of.get(variable, -1) < seq

    # ---- targets: which object an output or an update is written to

    def _targets(self) -> None:
        """Give every output and update a variable whose storage it is; copies where needed."""
        self.target_object: dict[Variable, int] = {}
        self.result: list[tuple[int, tuple[Size, ...], str]] = []
        self.wanted: dict[Variable, SharedVariable] = {}  # value that may be written in place
        self.rebinds: list[tuple[int, int]] = []
        self.final_copies: list[tuple[SharedVariable, Variable]] = []
        position_of = {s: k for k, s in enumerate(self.shared)}

        def fresh_output(variable: Variable) -> int:
            number = len(self.objects)
            self.objects.append(
                Object("output", len(self.result), variable.type.dtype, variable.type.shape)
            )
            self.result.append((number, self.shapes.of[variable], variable.type.dtype))
            return number

        def computed(variable: Variable) -> bool:
            return (
                variable in self.fusion.stored
                and variable not in self.sources
                and variable not in self.fusion.alias
                and variable not in self.target_object
                and variable not in self.wanted
            )

        def same_sizes(shared: SharedVariable, variable: Variable) -> bool:
            return all(
                a is b or (isinstance(a, int) and a == b)
                for a, b in zip(self.shapes.of[shared], self.shapes.of[variable])
            )

        aliased = {view.root for view in self.fusion.alias.values()}
        for shared, variable in self.updates:
            if variable is shared:
                continue
            if not same_sizes(shared, variable):
                number = fresh_output(variable)
                self.rebinds.append((position_of[shared], len(self.result) - 1))
                if computed(variable) and variable not in aliased:
                    self.target_object[variable] = number
                else:
                    self._copy_to(variable, number)
            elif computed(variable) and self.reuse and variable not in aliased:
                self.wanted[variable] = shared
            else:
                self.final_copies.append((shared, variable))
        for variable in self.outputs:
            number = fresh_output(variable)
            if computed(variable) and variable not in aliased:
                self.target_object[variable] = number
            else:
                self._copy_to(variable, number)
        updated = {s for s, _ in self.updates}
        safe = [
            self._private(variable)
            if any(self._root(leaf) in updated for leaf in self.fusion.leaves(variable))
            else variable
            for _, variable in self.final_copies
        ]
        for (shared, _), variable in zip(self.final_copies, safe):
            self._copy_to(variable, self.object_of[shared])

    def _private(self, variable: Variable) -> Variable:
        """A copy in the arena: the value is part of a shared one that will be overwritten."""
        return self._copy_step(variable)

    def _copy_to(self, variable: Variable, number: int) -> None:
        """A last step that copies `variable` into an object."""
        self.target_object[self._copy_step(variable)] = number

    def _copy_step(self, variable: Variable) -> Variable:
        """A step that copies `variable` into a variable of its own, which is given back."""
        target = Variable(variable.type, origin=variable.origin)
        self.shapes.of[target] = self.shapes.of[variable]
        axes = [s for s in self.shapes.of[variable] if s != 1]
        step = LoopStep(len(self.fusion.steps), axes, variable.origin)
        at = tuple(self.fusion._fresh(variable))
        step.writes.append(Write(target, at, variable, at))
        for leaf in self.fusion.leaves(variable):
            if leaf not in self.fusion.stored:
                self.fusion.store(leaf)
        step.seq = len(self.fusion.steps)
        self.fusion.steps.append(step)
        self.fusion.seq_of[target] = step.seq
        self.fusion.stored.add(target)
        return target

    # ---- who reads and writes what

    def _dataflow(self, steps: Sequence[FusedStep]) -> None:
        for step in steps:
            if isinstance(step, LoopStep):
                read = {v for v, _, _ in self.lowerings[step.seq].loads()}
                self.writes[step.seq] = [w.target for w in step.writes]
            elif isinstance(step, GemmStep):
                node = step.node
                if isinstance(node.op, Gemm):
                    _, alpha, a, b, _ = node.inputs
                    scalars = [v for v in (alpha,) if not isinstance(v, Constant)]
                else:
                    (a, b), scalars = node.inputs, []
                read = {self._strided(v).root for v in (a, b)} | set(scalars)
                self.writes[step.seq] = [node.outputs[0]]
            else:
                read = {
                    v for v in step.node.inputs
                    if v in self.fusion.stored and self.shapes.value_or_none(v) is None
                }  # fmt: skip
                self.writes[step.seq] = [step.node.outputs[0]]
            self.reads[step.seq] = {self._root(v) for v in read}

    def _root(self, variable: Variable) -> Variable:
        view = self.fusion.alias.get(variable)
        return variable if view is None else view.root

    def _strided(self, variable: Variable) -> Strided:
        view = self.fusion.strided(variable)
        assert view is not None
        return view

    def _can_fail(self, step: FusedStep) -> bool:
        return isinstance(step, LoopStep) and self.lowerings[step.seq].can_fail

    # ---- order

    def _order(self, steps: Sequence[FusedStep]) -> list[FusedStep]:
        """A valid order in which writers of shared values come last.

        First tries to honour, for every value that wants to be written in place, that the readers
        of the old value and whatever can fail come before its writers; a value for which that is
        impossible is written to the arena and copied instead.
        """
        writers: dict[Variable, list[int]] = {}
        readers: dict[Variable, list[int]] = {}
        for step in steps:
            for v in self.writes[step.seq]:
                writers.setdefault(v, []).append(step.seq)
            for v in self.reads[step.seq]:
                readers.setdefault(v, []).append(step.seq)
        failing = [s.seq for s in steps if self._can_fail(s)]
        before: list[set[int]] = [set() for _ in steps]
        for step in steps:
            for v in self.reads[step.seq]:
                before[step.seq].update(w for w in writers.get(v, ()) if w != step.seq)
            for v in self.writes[step.seq]:  # several writers of one buffer keep their order
                before[step.seq].update(w for w in writers[v] if w < step.seq)
        final = {
            w for v, number in self.target_object.items()
            if self.objects[number].role == "shared" for w in writers.get(v, ())
        }  # fmt: skip
        for w in final:
            shared = [
                s for s, number in self.object_of.items()
                if any(self.target_object.get(t) == number for t in self.writes[w])
            ]  # fmt: skip
            for s in shared:
                before[w].update(r for r in readers.get(s, ()) if r != w)
            before[w].update(f for f in failing if f not in final)
        for variable, shared_variable in list(self.wanted.items()):
            own = sorted(writers[variable])
            first = steps[own[0]]
            identity = isinstance(first, LoopStep) and first.copy_of is shared_variable
            late = () if identity else own[1:]  # these would read what the first has destroyed
            if any(shared_variable in self.reads[w] for w in late) or any(
                not self._overwrites(steps[w], variable, shared_variable) for w in own
            ):
                self._give_up(variable, steps, before, readers, failing)
        while True:
            extra: dict[int, set[int]] = {}
            for variable, shared_variable in self.wanted.items():
                for w in writers[variable]:
                    need = extra.setdefault(w, set())
                    need.update(
                        r for r in readers.get(shared_variable, ()) if r not in writers[variable]
                    )
                    need.update(f for f in failing if f != w)
            order, stuck = _sort(before, extra, set(extra) | final)
            if order is not None:
                return (
                    [steps[k] for k in order] if len(order) == len(steps) else self._reorder(order)
                )
            victim = next((v for v in self.wanted if any(w in stuck for w in writers[v])), None)
            if victim is None:  # cannot happen: without extras the numbering itself is an order
                raise AssertionError("no order of steps")
            self._give_up(victim, steps, before, readers, failing)
            steps = self.fusion.steps

    def _reorder(self, order: list[int]) -> list[FusedStep]:
        return [self.fusion.steps[k] for k in order]

    def _give_up(
        self,
        variable: Variable,
        steps: Sequence[FusedStep],
        before: list[set[int]],
        readers: dict[Variable, list[int]],
        failing: list[int],
    ) -> None:
        """Write `variable` to the arena and copy it into its shared value at the end."""
        shared = self.wanted.pop(variable)
        self._copy_to(variable, self.object_of[shared])
        step = self.fusion.steps[-1]
        assert isinstance(step, LoopStep)
        self.lowerings[step.seq] = self._lower(step)
        self._dataflow([step])
        producers = [w for w, vs in self.writes.items() if variable in vs and w != step.seq]
        before.append(set(producers))
        before[step.seq].update(r for r in readers.get(shared, ()))
        before[step.seq].update(failing)
        readers.setdefault(variable, []).append(step.seq)

    def _overwrites(self, step: FusedStep, variable: Variable, shared: SharedVariable) -> bool:
        """Whether a step that writes `variable` may do so over the old value of `shared`."""
        if isinstance(step, GemmStep):
            return shared not in self.reads[step.seq]
        if not isinstance(step, LoopStep):
            return shared not in self.reads[step.seq]
        if self._can_fail(step):
            return False
        return self._reads_where_it_writes(step, variable, shared)

    def _reads_where_it_writes(self, step: LoopStep, target: Variable, source: Variable) -> bool:
        """Whether every element of `source` is read before that of `target` is written."""
        if source not in self.reads[step.seq]:
            return True
        if step.copy_of is source:
            return True  # the copy falls away
        write = next(w for w in step.writes if w.target is target)
        if write.gathers or step.serial:
            return False
        lowering = self.lowerings[step.seq]
        stage = lowering.stage_of(target)
        for variable, at, last in lowering.loads():
            if self._root(variable) is not source:
                continue
            if variable is not source or at != write.to or last > stage:
                return False
        return True

    # ---- storage

    def _in_place(self, order: list[FusedStep]) -> list[FusedStep]:
        """Assign a storage to every stored variable; drop copies that became identities."""
        storage: dict[Variable, Storage] = {}
        for variable, number in self.object_of.items():
            storage[variable] = ("object", number)
        for variable, number in self.target_object.items():
            storage[variable] = ("object", number)
        for variable, shared in self.wanted.items():
            storage[variable] = ("object", self.object_of[shared])
        last_use: dict[Variable, int] = {}
        for k, step in enumerate(order):
            for v in self.reads[step.seq]:
                last_use[v] = k
        first_write: dict[Variable, int] = {}
        kept: list[FusedStep] = []
        self.buffer_of: dict[int, tuple[str, Size]] = {}
        reused: set[Variable] = set()  # values whose storage lives on under another variable
        for k, step in enumerate(order):
            for v in self.writes[step.seq]:
                if v in storage:
                    first_write.setdefault(v, k)
                    continue
                source = None
                if self.reuse and v not in first_write:
                    source = self._dying_source(step, v, k, last_use, storage, reused)
                if source is not None:
                    storage[v] = storage[source]
                    reused.add(source)
                else:
                    number = len(self.buffer_of)
                    storage[v] = ("buffer", number)
                    self.buffer_of[number] = (v.type.dtype, dims.product(self.shapes.of[v]))
                first_write.setdefault(v, k)
            if isinstance(step, LoopStep) and step.copy_of is not None:
                target = step.writes[0].target
                if storage[target] == storage.get(self._root(step.copy_of)):
                    continue
            kept.append(step)
        self.storage = storage
        return kept

    def _dying_source(
        self,
        step: FusedStep,
        target: Variable,
        now: int,
        last_use: dict[Variable, int],
        storage: dict[Variable, Storage],
        reused: set[Variable],
    ) -> Variable | None:
        """A value that dies in this step and whose memory `target` may take over."""
        if not isinstance(step, LoopStep) or self._can_fail(step):
            return None
        sizes = self.shapes.of[target]
        for source in self.reads[step.seq]:
            if (
                storage.get(source, ("", 0))[0] == "buffer"
                and source not in reused
                and last_use.get(source) == now
                and source.type.dtype == target.type.dtype
                and len(self.shapes.of[source]) == len(sizes)
                and all(a is b or a == b for a, b in zip(self.shapes.of[source], sizes))
                and self._reads_where_it_writes(step, target, source)
            ):
                return source
        return None

    # ---- the program

    def _place(self, variable: Variable) -> Place:
        view = self.fusion.alias.get(variable)
        if view is None:
            return self.storage[variable], 0
        return self.storage[view.root], view.offset  # type: ignore[return-value]

    def _origin(self, origin: Origin) -> int:
        return self.origins.setdefault(origin, len(self.origins))

    def _emit(self, order: list[FusedStep]) -> Program:
        self.registers: list[tuple] = []
        self.register_of: dict[Dim, Reg] = {}
        self.kernels: dict[Kernel, int] = {}
        self.program_steps: list[Step] = []
        names: list[str] = []
        self.extra: list[tuple[str, Size]] = []
        for step in order:
            before = len(self.program_steps)
            if isinstance(step, LoopStep):
                self._emit_loop(step)
            elif isinstance(step, GemmStep):
                self._emit_gemm(step)
            else:
                self._emit_permutation(step)
            label = (
                ", ".join(str(w.target) for w in step.writes[:3])
                if isinstance(step, LoopStep)
                else str(step.node.outputs[0])
            )
            names += [label] * (len(self.program_steps) - before)
        checks = tuple(
            SizeCheck(
                self._ref(c.condition), c.message, self._origin(c.origin), c.index,
                (self._ref(c.shown[0]), self._ref(c.shown[1])),
            )
            for c in self.shapes.checks
        )  # fmt: skip
        outputs = tuple(
            Output(number, tuple(self._ref(s) for s in sizes), dtype)
            for number, sizes, dtype in self.result
        )
        program = Program(
            tuple(self.objects),
            (),
            checks,
            (),
            tuple(self.kernels),
            tuple(self.program_steps),
            outputs,
            tuple(self.rebinds),
            tuple(names),
        )
        program.buffers = self._lifetimes(program)
        program.registers = tuple(self.registers)
        return program

    def _lifetimes(self, program: Program) -> tuple[Buffer, ...]:
        from_step: dict[int, int] = {}
        to_step: dict[int, int] = {}
        for number, step in enumerate(program.steps):
            for kind, k in _storages(step):
                if kind == "buffer":
                    from_step.setdefault(k, number)
                    to_step[k] = number
        total = len(program.steps)
        return tuple(
            Buffer(
                dtype,
                self._ref(size),
                from_step.get(k, 0) if self.reuse else 0,
                to_step.get(k, 0) if self.reuse else total,
            )
            for k, (dtype, size) in sorted(self.buffer_of.items())
        )

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
                entry = (
                    top.op,
                    *(self.register_of[a] if isinstance(a, Dim) else _wrapped(a) for a in top.args),
                )
            self.register_of[top] = Reg(len(self.registers))
            self.registers.append(entry)
            stack.pop()
        return self.register_of[size]

    def _new_buffer(self, dtype: str, size: Size) -> Storage:
        number = len(self.buffer_of)
        self.buffer_of[number] = (dtype, size)
        return ("buffer", number)

    def _emit_loop(self, step: LoopStep) -> None:
        calls = self.lowerings[step.seq].run(self._place)
        partials: list[Storage] = []
        for call in calls:
            for dtype, size in call.partials:
                partials.append(self._new_buffer(dtype, size))
            self._emit_call(call, partials)

    def _emit_call(self, call: Call, partials: list[Storage]) -> None:
        number = self.kernels.get(call.kernel)
        if number is None:
            check_kernel(call.kernel)
            number = self.kernels[call.kernel] = len(self.kernels)
        operands: list[Any] = []
        for storage, offset in call.operands:
            if storage[0] == "partial":
                operands.append((partials[storage[1]], 0))
            else:
                operands.append((storage, self._ref(offset)))
        scalars = tuple(
            self._ref(s) if isinstance(s, (int, Dim)) else ("constant", s.dtype.name, s.item())
            for s in call.scalars
        )
        self.program_steps.append(
            KernelStep(
                number,
                tuple(operands),
                tuple(self._ref(s) for s in call.slots),
                scalars,
                tuple((self._origin(o), self._ref(s)) for o, s in call.checks),
                None
                if call.blocks is None
                else (self._ref(call.blocks[0]), self._ref(call.blocks[1])),
                self._origin(call.origin),
            )
        )

    def _matrix(self, variable: Variable) -> tuple[Matrix, tuple[Size, ...]]:
        view = self._strided(variable)
        strides = [self._ref(s) for s in view.strides]
        batch = strides[0] if len(strides) == 3 else 0
        place: Place = (self.storage[view.root], self._ref(view.offset))
        return Matrix(place, strides[-2], strides[-1], batch), self.shapes.of[variable]

    def _emit_gemm(self, step: GemmStep) -> None:
        node = step.node
        out = node.outputs[0]
        alpha: Place | None = None
        alpha_const, beta = 1.0, 0.0
        if isinstance(node.op, Gemm):
            _, scale, a, b, weight = node.inputs
            beta = float(weight.data.item()) if isinstance(weight, Constant) else 1.0
            if isinstance(scale, Constant):
                alpha_const = float(scale.data.item())
            else:
                storage, offset = self._place(scale)
                alpha = (storage, self._ref(offset))
        else:
            a, b = node.inputs
        left, left_sizes = self._matrix(a)
        right, right_sizes = self._matrix(b)
        m, k = left_sizes[-2:]
        n = right_sizes[-1]
        batch: Size = left_sizes[0] if isinstance(node.op, BatchedDot) else 1
        sizes = self.shapes.of[out]
        strides = contiguous_strides(sizes)
        place = self._place(out)
        target = Matrix(
            (place[0], self._ref(place[1])), self._ref(strides[-2]), 1,
            self._ref(strides[0]) if len(strides) == 3 else 0,
        )  # fmt: skip
        self.program_steps.append(
            MatmulStep(
                out.type.dtype,
                *(self._ref(s) for s in (m, n, k, batch)),
                left,
                right,
                target,
                alpha,
                alpha_const,
                beta,
                self._origin(step.origin),
            )
        )

    def _emit_permutation(self, step: PermutationStep) -> None:
        node = step.node
        out = self._place(node.outputs[0])
        (n,) = self.shapes.of[node.outputs[0]]
        words: list[Any] = []
        for v in node.inputs[1:]:
            size = self.shapes.value_or_none(v)
            if size is not None:
                words.append(self._ref(size))
            else:
                storage, offset = self._place(v)
                words.append((storage, self._ref(offset)))
        self.program_steps.append(
            ShuffleStep(
                (out[0], self._ref(out[1])), self._ref(n), tuple(words), self._origin(step.origin)
            )
        )


def _wrapped(number: int) -> int:
    """A number as int64 arithmetic leaves it."""
    return (number + 2**63) % 2**64 - 2**63


def _storages(step: Step) -> list[Storage]:
    if isinstance(step, KernelStep):
        return [p[0] for p in step.operands]
    if isinstance(step, MatmulStep):
        found = [step.a.place[0], step.b.place[0], step.out.place[0]]
        return found + ([step.alpha[0]] if step.alpha is not None else [])
    return [step.out[0]] + [
        w[0] for w in step.words if isinstance(w, tuple) and not isinstance(w, Reg)
    ]


def _sort(
    before: list[set[int]], extra: dict[int, set[int]], late: set[int]
) -> tuple[list[int] | None, set[int]]:
    """Kahn's algorithm; steps in `late` as late as possible. (order, steps that are stuck)."""
    count = len(before)
    need = [len(b | extra.get(k, set())) for k, b in enumerate(before)]
    after: list[list[int]] = [[] for _ in range(count)]
    for k, b in enumerate(before):
        for p in b | extra.get(k, set()):
            after[p].append(k)
    ready = [(k in late, k) for k in range(count) if need[k] == 0]
    heapq.heapify(ready)
    order: list[int] = []
    while ready:
        _, k = heapq.heappop(ready)
        order.append(k)
        for later in after[k]:
            need[later] -= 1
            if need[later] == 0:
                heapq.heappush(ready, (later in late, later))
    if len(order) == count:
        return order, set()
    return None, set(range(count)) - set(order)


def plan(
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    updates: Sequence[tuple[SharedVariable, Variable]] = (),
    *,
    reuse: bool = True,
    fuse: bool = True,
    check: bool = True,
) -> tuple[Program, Planner]:
    """The program that computes `outputs` and `updates` from `inputs`, checked.

    Errors: UpdateError for two updates of one shared variable.
    """
    seen: set[SharedVariable] = set()
    for shared, _ in updates:
        if shared in seen:
            raise UpdateError(f"{shared} is updated twice")
        seen.add(shared)
    planner = Planner(inputs, outputs, updates, reuse=reuse, fuse=fuse)
    program = planner.run()
    if check:
        check_program(program)
    return program, planner
