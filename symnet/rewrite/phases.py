"""The graph compiler on one page: the phases in order, and why each is there.

Every phase is one walk of the engine with one list of rules. The phases of a compilation share a
table of nodes (`intern`): whatever is structurally equal, or becomes so on the way, is one node,
and computed once. What no output needs is not visited, so dead code is gone without a phase.
"""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

from symnet.graph import Variable, toposort
from symnet.graph.collection import without_collection
from symnet.graph.types import HALVES
from symnet.ops.barrier import Barrier
from symnet.ops.contraction import BatchedDot, Dot
from symnet.ops.elementwise import Elementwise
from symnet.ops.exponential import power
from symnet.ops.gather import CheckedIndex, Put
from symnet.ops.nnet import LogSoftmax, LogSumExp, Softmax
from symnet.ops.subtensor import IncSubtensor
from symnet.rewrite.engine import RuleIndex, Step, Walk
from symnet.rewrite.intern import Interner
from symnet.rewrite.rules.algebra import ALGEBRA_RULES
from symnet.rewrite.rules.blas import BLAS_RULES
from symnet.rewrite.rules.folding import FOLDING_RULES
from symnet.rewrite.rules.movement import MOVEMENT_RULES
from symnet.rewrite.rules.softmax import SOFTMAX_RULES
from symnet.rewrite.rules.specialise import EXPAND_RULES, HALF_RULES, INDEX_RULES, SPECIALISE_RULES
from symnet.rewrite.rules.stability import ELEMENTWISE_RULES

CANONICAL_RULES = [*FOLDING_RULES, *ALGEBRA_RULES, *MOVEMENT_RULES, *INDEX_RULES]
STABILITY_RULES = [*SOFTMAX_RULES, *ELEMENTWISE_RULES]

RULES_BY_PHASE = {
    # One spelling for equal things, so that later rules need one pattern each; and the forms that
    # overflow or cancel exchanged for those that do not. Together, because each feeds the other.
    "simplify": [*CANONICAL_RULES, *STABILITY_RULES],
    # Cheaper ops for special arguments; and softmax and its relatives, which had to stay whole for
    # the stability rules, taken apart so that forward pass and gradient share max, exp and sum.
    "specialise": [*SPECIALISE_RULES, *EXPAND_RULES, *CANONICAL_RULES, *STABILITY_RULES],
    # Products of halves become products in float32 between casts, which fuse with what is around.
    # Left out for back ends that multiply halves themselves.
    "halves": HALF_RULES,
    # Products absorb what scales them and what they are added to. Last, because it asks how often
    # a product is read, which only the finished graph knows.
    "blas": BLAS_RULES,
    # Only what the schedule cannot do without, for graphs that are to stay as they were written.
    "expand": EXPAND_RULES,
    # What `grad` does to a cost before it differentiates it.
    "stabilise": STABILITY_RULES,
}

# "halves", where there is something to do for it, comes before "blas" or last.
LEVELS = {"full": ("simplify", "specialise", "blas"), "none": ("expand",)}

# A phase that only has something to do where one of these ops is, is left out elsewhere.
_OCCASIONS: dict[str, set[Any]] = {
    "specialise": {
        power,
        Put,
        IncSubtensor,
        CheckedIndex,
        Dot,
        BatchedDot,
        Softmax,
        LogSoftmax,
        LogSumExp,
    },
    "blas": {Dot},
    "expand": {Barrier, Dot, BatchedDot, Softmax, LogSoftmax, LogSumExp},
}

_INDEX = {phase: RuleIndex(rules) for phase, rules in RULES_BY_PHASE.items()}


class Phase(NamedTuple):
    """A phase as it was run: the graph before and after, and the rules that were applied."""

    name: str
    before: list[Variable]
    after: list[Variable]
    steps: list[Step]


_trace: ContextVar[list[Phase] | None] = ContextVar("trace", default=None)


@contextlib.contextmanager
def tracing() -> Iterator[list[Phase]]:
    """A block in which every phase that runs on this thread is entered into the list.

    `f.explain()` traces the compilation of f. Around `symnet.grad` it shows what was stabilised
    before the cost was differentiated.
    """
    found: list[Phase] = []
    token = _trace.set(found)
    try:
        yield found
    finally:
        _trace.reset(token)


def optimise(
    outputs: Sequence[Variable], level: str = "full", *, native_half_products: bool = False
) -> tuple[list[Variable], list[Step]]:
    """`outputs` rewritten for the schedule, and the rules that were applied, in order.

    level                 "full": all phases; "none": only what the schedule needs
    native_half_products  whether the back end multiplies matrices of halves itself (a MatmulStep
                          of their dtype, which adds up in float32); else it multiplies in float32
    """
    results = list(outputs)
    trace: list[Step] = []
    interner = Interner()
    with without_collection():
        for phase in _phases(level, results, native_half_products):
            if not _has_occasion(phase, results):
                continue
            walk = Walk(_INDEX[phase], (), interner)
            before, results = results, walk.run(results)
            trace.extend(walk.log)
            _enter(phase, before, results, walk)
        _name(outputs, results)
    return results, trace


def stabilise(outputs: Sequence[Variable], barriers: Collection[Variable] = ()) -> list[Variable]:
    """`outputs` with forms that overflow or cancel exchanged for forms that do not (design D12).

    `grad` calls it with the variables that it differentiates with respect to as barriers: they
    stay the objects that they are, and nothing is moved across them. Where no rule applies the
    result is the given graph itself.
    """
    walk = Walk(_INDEX["stabilise"], barriers)
    with without_collection():
        results = walk.run(outputs)
    _enter("stabilise", list(outputs), results, walk)
    return results if walk.log else list(outputs)


def _enter(name: str, before: list[Variable], after: list[Variable], walk: Walk) -> None:
    trace = _trace.get()
    if trace is not None:
        trace.append(Phase(name, before, after, walk.log))


def _phases(level: str, outputs: Sequence[Variable], native_half_products: bool) -> list[str]:
    names = list(LEVELS[level])
    if not native_half_products and any(
        isinstance(node.op, (Dot, BatchedDot)) and node.outputs[0].type.dtype in HALVES
        for node in toposort(outputs)
    ):
        names.insert(names.index("blas") if "blas" in names else len(names), "halves")
    return names


def _has_occasion(phase: str, outputs: Sequence[Variable]) -> bool:
    wanted = _OCCASIONS.get(phase)
    return wanted is None or any(
        (node.op if type(node.op) is Elementwise else type(node.op)) in wanted
        for node in toposort(outputs)
    )


def _name(before: Sequence[Variable], after: Sequence[Variable]) -> None:
    """Nodes that the phases made take the names of the outputs that they stand for."""
    users = set(toposort(before))
    for old, new in zip(before, after):
        if new.name is None and new.owner is not None and new.owner not in users:
            new.name = old.name
