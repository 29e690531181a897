"""Who reads and who writes which stored value, and an order of the steps in which that works out.

The planner wishes for values to be written over old ones (`Wishes`). The order is found so that
these wishes come true; a value for which that is impossible is copied at the end instead.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from symnet.errors import CompilerError
from symnet.graph.variables import Constant, Variable
from symnet.ops.contraction import Gemm
from symnet.schedule.fusion import Fusion
from symnet.schedule.lower import Lowering
from symnet.schedule.plain import PlainKernel, PlainLowering
from symnet.schedule.steps import FusedStep, GemmStep, LoopStep


class Dataflow:
    """Reads and writes of every step, by its number; views stand for what they look at.

    lowerings  how each loop step becomes a kernel: from there it is known what it really reads
    """

    def __init__(self, fusion: Fusion):
        self.fusion = fusion
        self.lowerings: dict[int, Lowering | PlainLowering] = {}
        self.reads: list[tuple[Variable, ...]] = []
        self.writes: list[tuple[Variable, ...]] = []
        self.readers: dict[Variable, list[int]] = {}
        self.writers: dict[Variable, list[int]] = {}
        self.failing: list[int] = []
        self._plain_kernels: dict[tuple, PlainKernel] = {}
        for step in fusion.steps:
            self.add(step)

    def add(self, step: FusedStep) -> None:
        """Book the next step."""
        seq = step.seq
        if isinstance(step, LoopStep):
            lowering = self.lowerings[seq] = self._lower(step)
            if lowering.can_fail:
                self.failing.append(seq)
            reads = [v for v, _, _ in lowering.loads()]
            writes = [w.target for w in step.writes]
        elif isinstance(step, GemmStep):
            node = step.node
            if isinstance(node.op, Gemm):
                _, alpha, *factors, _ = node.inputs
                reads = [] if isinstance(alpha, Constant) else [alpha]
            else:
                factors, reads = list(node.inputs), []
            for factor in factors:
                view = self.fusion.reading.strided(factor)
                assert view is not None
                reads.append(view.root)
            writes = [node.outputs[0]]
        else:
            reads = [v for v in step.node.inputs if not self.fusion.reading.is_size(v)]
            writes = [step.node.outputs[0]]
        self.reads.append(tuple(dict.fromkeys(map(self.root, reads))))
        self.writes.append(tuple(dict.fromkeys(writes)))
        for v in self.reads[seq]:
            self.readers.setdefault(v, []).append(seq)
        for v in self.writes[seq]:
            self.writers.setdefault(v, []).append(seq)

    def root(self, variable: Variable) -> Variable:
        """The stored value that a variable is, or is a reshape of."""
        view = self.fusion.reading.alias.get(variable)
        return variable if view is None else view.root

    def can_fail(self, step: FusedStep) -> bool:
        return isinstance(step, LoopStep) and self.lowerings[step.seq].can_fail

    def _lower(self, step: LoopStep) -> Lowering | PlainLowering:
        shapes, stored_before = self.fusion.shapes, self.fusion.stored_before
        plain = PlainLowering.of(step, shapes, stored_before, self._plain_kernels)
        if plain is not None:
            return plain
        return Lowering(step, shapes, stored_before)

    # ---- whether a value may be written over another

    def reads_where_it_writes(self, step: LoopStep, target: Variable, source: Variable) -> bool:
        """Whether every element of `source` is read before that of `target` is written."""
        if source not in self.reads[step.seq] or step.copy_of is source:
            return True  # an identity copy falls away
        write = next(w for w in step.writes if w.target is target)
        if write.gathers or step.serial:
            return False
        lowering = self.lowerings[step.seq]
        stage = lowering.stage_of(target)
        return all(
            variable is source and at == write.to and last <= stage
            for variable, at, last in lowering.loads()
            if self.root(variable) is source
        )

    def may_overwrite(self, target: Variable, source: Variable) -> bool:
        """Whether all steps that write `target` may do so in the memory of `source`, if nobody else
        reads that any more."""
        steps = [self.fusion.steps[seq] for seq in self.writers[target]]
        first, *later = steps
        identity = isinstance(first, LoopStep) and first.copy_of is source
        if not identity and any(source in self.reads[s.seq] for s in later):
            return False  # these would read what the first has destroyed
        for step in steps:
            if not isinstance(step, LoopStep):
                if source in self.reads[step.seq]:
                    return False
            elif self.can_fail(step) or not self.reads_where_it_writes(step, target, source):
                return False
        return True


@dataclass
class Wishes:
    """What the order has to respect about memory that lives longer than a call.

    give_up   called with a value that cannot be written in place and its shared variable; returns
              a last step that copies the one into the other
    instead   shared variable in whose memory a value is written, unless that is impossible
    final     for each last step that overwrites a shared variable: which
    """

    give_up: Callable[[Variable, Variable], FusedStep]
    instead: dict[Variable, Variable] = field(default_factory=dict)
    final: dict[int, Variable] = field(default_factory=dict)


class _Order:
    """Kahn's algorithm, with wishes that are dropped where they are in the way.

    Every step waits for the writers of what it reads. What overwrites shared memory also waits for
    the commit point, which waits for everything that can fail (design D8a), and for the readers of
    the old value. For the copies at the end that always works out; for a value that is written in
    place it need not: two values may each be read by what writes the other.
    """

    def __init__(self, flow: Dataflow, wishes: Wishes):
        self.flow = flow
        self.wishes = wishes
        self.order: list[int] = []
        self.ready: list[tuple[bool, int]] = []
        self.waiting: list[int] = []  # how much each step waits for
        self.after: list[list[int]] = []  # who waits for it
        self.hoping: dict[int, list[Variable]] = {}  # values in place whose writers wait for it
        self.hopes: dict[Variable, int] = {}  # how many steps a value in place waits for
        self.held: dict[int, list[Variable]] = {}  # values in place that hold a step back
        self.done: set[int] = set()
        self.failing = set(flow.failing)
        self.commit_waits = len(flow.failing)  # steps that can still fail
        self.behind_commit: list[int] = []
        self.late: set[int] = set()  # overwrite shared memory

    def run(self) -> list[int]:
        flow, wishes = self.flow, self.wishes
        for variable, shared in list(wishes.instead.items()):
            if not flow.may_overwrite(variable, shared):
                self._drop(variable)
        count = len(flow.reads)
        self.waiting = [0] * count
        self.after = [[] for _ in range(count)]
        self.late.update(wishes.final)
        for variable in wishes.instead:
            self._hope(variable)
        for seq in range(count):
            self._enter(seq)
        for seq in range(count):
            self._look(seq)
        while len(self.order) < len(flow.reads):
            if self.ready:
                self._emit(heapq.heappop(self.ready)[1])
            else:
                self._unlock()
        return self.order

    def _enter(self, seq: int) -> None:
        """Book what a step waits for in any case."""
        flow = self.flow
        before = {w for v in flow.reads[seq] for w in flow.writers.get(v, ()) if w != seq}
        for v in flow.writes[seq]:  # several writers of one buffer keep their order
            writers = flow.writers[v]
            if len(writers) > 1:
                before.update(w for w in writers if w < seq)
        shared = self.wishes.final.get(seq)
        if shared is not None:
            before.update(r for r in flow.readers.get(shared, ()) if r != seq)
            if self.commit_waits:
                self.waiting[seq] += 1
                self.behind_commit.append(seq)
        for b in before - self.done:
            self.after[b].append(seq)
            self.waiting[seq] += 1

    def _hope(self, variable: Variable) -> None:
        flow = self.flow
        writers = flow.writers[variable]
        shared = self.wishes.instead[variable]
        before = set(flow.readers.get(shared, ())).difference(writers)
        self.hopes[variable] = len(before) + (self.commit_waits > 0)
        for b in before:
            self.hoping.setdefault(b, []).append(variable)
        for w in writers:
            self.late.add(w)
            if self.hopes[variable]:
                self.held.setdefault(w, []).append(variable)

    def _look(self, seq: int) -> None:
        if self.waiting[seq] == 0 and not self.held.get(seq):
            heapq.heappush(self.ready, (seq in self.late, seq))

    def _emit(self, seq: int) -> None:
        self.order.append(seq)
        self.done.add(seq)
        for later in self.after[seq]:
            self.waiting[later] -= 1
            self._look(later)
        for variable in self.hoping.get(seq, ()):
            self._fulfil(variable)
        if seq in self.failing:
            self.commit_waits -= 1
            if self.commit_waits == 0:
                for later in self.behind_commit:
                    self.waiting[later] -= 1
                    self._look(later)
                for variable in list(self.hopes):
                    self._fulfil(variable)

    def _fulfil(self, variable: Variable) -> None:
        if variable in self.hopes:
            self.hopes[variable] -= 1
            if self.hopes[variable] == 0:
                self._release(variable)

    def _release(self, variable: Variable) -> None:
        """The steps that write `variable` need not wait for others' sake any more."""
        del self.hopes[variable]
        for w in self.flow.writers[variable]:
            if variable in self.held.get(w, ()):
                self.held[w].remove(variable)
                self._look(w)

    def _unlock(self) -> None:
        """Nothing can go on: drop the wish of the first step that waits for nothing else."""
        blocked = [w for w, values in self.held.items() if values and not self.waiting[w]]
        if not blocked:  # steps wait for earlier ones only, so without wishes all can go on
            raise CompilerError("the steps of a program wait for each other")
        for variable in list(self.held[min(blocked)]):
            copy = self._drop(variable)
            self._release(variable)
            self.waiting.append(0)
            self.after.append([])
            self.late.add(copy)
            self._enter(copy)
            self._look(copy)

    def _drop(self, variable: Variable) -> int:
        shared = self.wishes.instead.pop(variable)
        step = self.wishes.give_up(variable, shared)
        self.flow.add(step)
        self.wishes.final[step.seq] = shared
        return step.seq


def order(flow: Dataflow, wishes: Wishes) -> list[int]:
    """The numbers of all steps in a valid order. `wishes` is left with those that came true."""
    return _Order(flow, wishes).run()
