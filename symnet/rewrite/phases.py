"""The graph compiler on one page: the phases in order, and why each is there.

Every phase is one walk of the engine with one list of rules. All phases of a compilation share a
table of nodes, so whatever becomes structurally equal on the way becomes one node.
"""

import contextlib
import gc
from collections.abc import Collection, Iterator, Sequence

from symnet.graph import Variable
from symnet.rewrite.engine import RuleIndex, Walk
from symnet.rewrite.rules.algebra import ALGEBRA_RULES
from symnet.rewrite.rules.folding import FOLDING_RULES
from symnet.rewrite.rules.movement import MOVEMENT_RULES
from symnet.rewrite.rules.softmax import SOFTMAX_RULES
from symnet.rewrite.rules.stability import ELEMENTWISE_RULES

RULES_BY_PHASE = {
    "canonicalise": [*FOLDING_RULES, *ALGEBRA_RULES, *MOVEMENT_RULES],
    "stabilise": [*SOFTMAX_RULES, *ELEMENTWISE_RULES],
}
_INDEX = {phase: RuleIndex(rules) for phase, rules in RULES_BY_PHASE.items()}


def stabilise(outputs: Sequence[Variable], barriers: Collection[Variable] = ()) -> list[Variable]:
    """`outputs` with forms that overflow or cancel exchanged for forms that do not (design D12).

    `grad` calls it with the variables that it differentiates with respect to as barriers: they
    stay the objects that they are, and nothing is moved across them. Where no rule applies the
    result is the given graph itself.
    """
    walk = Walk(_INDEX["stabilise"], barriers)
    with _no_collection():
        results = walk.run(outputs)
    return results if walk.log else list(outputs)


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """A walk makes many objects and no garbage: collecting on the way costs four times the walk."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
