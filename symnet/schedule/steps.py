"""What fusion makes of a graph: steps in an order that respects what they read."""

from dataclasses import dataclass, field

from symnet.graph.dims import Size
from symnet.graph.origin import Origin
from symnet.graph.variables import Apply, Variable
from symnet.schedule.access import Coordinates


@dataclass(slots=True, eq=False)
class Write:
    """Store `source` read at `at` into the buffer of `target` at `to`.

    gathers gives, for dimensions of the target that an index array selects, that array and where
    to read it.
    """

    target: Variable
    to: Coordinates
    source: Variable
    at: Coordinates
    add: bool = False
    gathers: dict[int, tuple[Variable, Coordinates]] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class LoopStep:
    """A fused loop nest over `axes`; `reduced` of them are reduced.

    members     variables computed in it, with their coordinates in its axes
    full        members with an element per point of all axes; the others have one per row
    reductions  of each reduction in it the coordinates of its input and of its result
    serial      axes that are run in order, by one thread
    outside     variables that it reads from memory
    copy_of     what it copies, if it is a plain copy: in place there is nothing to do
    signature   equal for steps that do the same
    """

    seq: int
    axes: list[Size]
    origin: Origin
    reduced: frozenset[int] | None = None
    members: dict[Variable, Coordinates] = field(default_factory=dict)
    full: set[Variable] = field(default_factory=set)
    reductions: dict[Variable, tuple[Coordinates, Coordinates]] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    serial: frozenset[int] = frozenset()
    cost: int = 0
    outside: set[Variable] = field(default_factory=set)
    copy_of: Variable | None = None
    signature: int = 0

    @property
    def kept(self) -> list[int]:
        reduced = self.reduced or frozenset()
        return [axis for axis in range(len(self.axes)) if axis not in reduced]


@dataclass(slots=True, eq=False)
class GemmStep:
    """out = beta * out + alpha * a @ b, the operands strided views; batched if `node` is."""

    seq: int
    node: Apply
    origin: Origin


@dataclass(slots=True, eq=False)
class PermutationStep:
    """A random permutation, by its hand-written kernel."""

    seq: int
    node: Apply
    origin: Origin


FusedStep = LoopStep | GemmStep | PermutationStep
