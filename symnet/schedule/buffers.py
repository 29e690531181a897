"""From a graph to its program; and what of the outside world a call may overwrite, and when.

All updates of a call read the old values (design D8). A new value is computed straight in the
memory of its shared variable if every other reader of the old value can run before, and everything
that can fail too (design D8a); otherwise it is computed in the arena and copied at the end.
`reuse=False` switches this off, and all sharing of memory: the oracle in tests.
"""

from collections.abc import Sequence

from symnet.errors import UpdateError
from symnet.graph.dims import Size
from symnet.graph.origin import Origin
from symnet.graph.traversal import toposort
from symnet.graph.variables import Apply, Constant, SharedVariable, Variable
from symnet.schedule.assemble import Assembler
from symnet.schedule.dataflow import Dataflow, Wishes, order
from symnet.schedule.fusion import Fusion, has_lowering
from symnet.schedule.memory import assign, check_memory
from symnet.schedule.program import Object, Program, Storage, check_program
from symnet.schedule.shapes import Shapes
from symnet.schedule.steps import FusedStep

UNFUSED_SIGNATURES = 64  # more distinct kernels than this would take too long to compile


class NotNative(Exception):
    """A node that runs on the host, so that the graph has to be split."""


class Planner:
    """Builds the program for outputs and updates of a graph whose sources are given.

    After `run`: `shared` and `constants` are the variables behind the objects of these roles, by
    position, and `origins` numbers the lines that the program's steps and checks come from. `flow`
    and `memory` say which values each step reads and writes, and where they lie.
    """

    def __init__(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        updates: Sequence[tuple[SharedVariable, Variable]],
        *,
        reuse: bool = True,
        fuse: bool = True,
    ):
        self.inputs = list(inputs)
        self.outputs = list(outputs)
        self.updates = [(s, v) for s, v in updates if s is not v]
        self.reuse = reuse
        self.fuse = fuse
        self.shared: list[SharedVariable] = []
        self.constants: list[Constant] = []
        self.origins: list[Origin] = []
        self.objects: list[Object] = []
        self.object_of: dict[Variable, int] = {}
        self._targets: dict[Variable, int] = {}  # values that lie in an object from the start
        self._results: list[tuple[int, tuple[Size, ...], str]] = []
        self._rebinds: list[tuple[int, int]] = []

    def run(self, check: bool = True) -> Program:
        """The program. Errors: NotNative, NotASize; CompilerError if `check` finds a mistake."""
        roots = self.outputs + [v for _, v in self.updates]
        nodes = toposort(roots, stop=set(self.inputs))
        for node in nodes:
            if not has_lowering(node.op):
                raise NotNative(node)
        self._sources(nodes, roots)
        shapes = Shapes(nodes, self.object_of)
        for variable in roots:
            if variable not in shapes.of:  # a constant that no node reads
                shapes.add_source(variable)
        fusion = self.fusion = self._fuse(nodes, roots, shapes)
        wishes = self._destinations()
        flow = self.flow = Dataflow(fusion)
        steps = [fusion.steps[seq] for seq in order(flow, wishes)]
        fixed: dict[Variable, Storage] = {}
        for table in (self.object_of, self._targets):
            fixed.update((v, ("object", number)) for v, number in table.items())
        for variable, shared in wishes.instead.items():
            fixed[variable] = ("object", self.object_of[shared])
        memory = self.memory = assign(flow, steps, fixed, self.reuse)
        if check:
            final = dict.fromkeys(self.object_of)
            held = {fixed[v]: v for v in final}
            held.update((("object", number), v) for v, number in self._targets.items())
            held.update((fixed[v], v) for v in wishes.instead)
            check_memory(flow, steps, memory.storage, self.object_of, held.items())
        assembler = Assembler(flow, memory, self.object_of, self.origins)
        program = assembler.run(self.objects, self._results, self._rebinds, self.reuse)
        if check:
            check_program(program)
        return program

    def _sources(self, nodes: Sequence[Apply], roots: Sequence[Variable]) -> None:
        """Objects for inputs, shared variables and array constants, in the order met."""

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

    def _fuse(self, nodes: Sequence[Apply], roots: Sequence[Variable], shapes: Shapes) -> Fusion:
        fusion = Fusion(nodes, roots, shapes, self.fuse)
        if not fusion.run(UNFUSED_SIGNATURES if self.fuse else None):
            fusion = Fusion(nodes, roots, shapes, fuse=False)
            fusion.run()
        return fusion

    # ---- outputs and updates

    def _destinations(self) -> Wishes:
        """Where outputs and updates go: the values themselves, or copies of them."""
        shapes, reading = self.fusion.shapes, self.fusion.reading
        position_of = {s: k for k, s in enumerate(self.shared)}
        wishes = Wishes(self._copy_into_shared)

        def computed(variable: Variable) -> Variable | None:
            """What steps compute, wherever it is wanted: the value, or what it is a reshape of."""
            view = reading.alias.get(variable)
            if view is not None:
                if not view.whole:
                    return None
                variable = view.root
            taken = self.object_of, self._targets, wishes.instead
            return None if any(variable in table for table in taken) else variable

        def fresh_output(variable: Variable) -> None:
            number = len(self.objects)
            type_ = variable.type
            self.objects.append(Object("output", len(self._results), type_.dtype, type_.shape))
            self._results.append((number, shapes.of[variable], type_.dtype))
            value = computed(variable)
            self._targets[self.fusion.copy(variable) if value is None else value] = number

        copies: list[tuple[SharedVariable, Variable]] = []
        for shared, variable in self.updates:
            if shapes.of[shared] != shapes.of[variable]:
                self._rebinds.append((position_of[shared], len(self._results)))
                fresh_output(variable)
            elif (value := computed(variable)) is not None and self.reuse:
                wishes.instead[value] = shared
            else:
                copies.append((shared, variable))
        for variable in self.outputs:
            fresh_output(variable)
        # a value that is itself an updated shared variable, or a view of one, is saved first
        updated = {s for s, _ in self.updates}
        saved = [
            self.fusion.copy(variable) if self._lies_in(variable) in updated else variable
            for _, variable in copies
        ]
        for (shared, _), variable in zip(copies, saved):
            wishes.final[self._copy_into_shared(variable, shared).seq] = shared
        return wishes

    def _lies_in(self, variable: Variable) -> Variable:
        view = self.fusion.reading.alias.get(variable)
        return variable if view is None else view.root

    def _copy_into_shared(self, variable: Variable, shared: Variable) -> FusedStep:
        self._targets[self.fusion.copy(variable)] = self.object_of[shared]
        return self.fusion.steps[-1]


def plan(
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    updates: Sequence[tuple[SharedVariable, Variable]] = (),
    *,
    reuse: bool = True,
    fuse: bool = True,
    check: bool = True,
) -> tuple[Program, Planner]:
    """The program that computes `outputs` and `updates` from `inputs`, checked; and its planner.

    Errors: UpdateError for two updates of one shared variable; NotNative, NotASize for a graph that
    has to be split.
    """
    seen: set[SharedVariable] = set()
    for shared, _ in updates:
        if shared in seen:
            raise UpdateError(f"{shared} is updated twice")
        seen.add(shared)
    planner = Planner(inputs, outputs, updates, reuse=reuse, fuse=fuse)
    return planner.run(check), planner
