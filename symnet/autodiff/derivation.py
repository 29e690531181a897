"""How a gradient was derived, and exchanging variables in graphs that contain gradients.

`grad` differentiates a stabilised copy of the cost, so a gradient need not contain the variables
that the user holds: the gradient of log(1 + a), a = exp(x), is sigmoid(x) and knows no a. Plain
`clone_replace` would silently miss such an a. Every gradient that was taken of a rewritten graph
therefore remembers its derivation, and `substitute` derives it anew, this time keeping the
variables that are to be exchanged.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from symnet.errors import GradientError
from symnet.graph.clone import clone_replace
from symnet.graph.traversal import ancestors
from symnet.graph.variables import Variable

_serial = itertools.count()


@dataclass(frozen=True, eq=False)
class Derivation:
    """What a gradient is the gradient of, in the variables that the user holds.

    seeds     (variable, its adjoint): the cost with 1, known gradients
    wrt       what is differentiated with respect to
    constant  variables behind which nothing flows
    barriers  further variables that stabilising must keep
    frozen    outputs of the graph in which inner variables were exchanged already: that cannot be
              done a second time, it would need the first exchange to be undone
    """

    seeds: tuple[tuple[Variable, Variable], ...]
    wrt: tuple[Variable, ...]
    constant: tuple[Variable, ...]
    barriers: frozenset[Variable] = frozenset()
    frozen: tuple[Variable, ...] = ()
    serial: int = field(default_factory=lambda: next(_serial))

    @property
    def roots(self) -> list[Variable]:
        return [variable for variable, _ in self.seeds]

    @property
    def mentioned(self) -> list[Variable]:
        """Every variable that the derivation names."""
        return [*itertools.chain(*self.seeds), *self.wrt, *self.constant]


Differentiate = Callable[[Derivation], tuple[dict[Variable, Variable], dict[Variable, Variable]]]


def note(variable: Variable) -> tuple[Derivation, Variable] | None:
    """The derivation of a gradient that remembers it, and the wrt that it belongs to."""
    found = getattr(variable._tag, "derivation", None)
    # Copies of a variable share its tag; only the original is the gradient.
    return found[1:] if found is not None and found[0] is variable else None


def remember(
    derivation: Derivation, gradients: Mapping[Variable, Variable], rewritten: bool
) -> None:
    """Note on each gradient, by its wrt, how it was derived, if plain cloning would miss things:
    the graph was rewritten, or it holds a gradient of a graph that was."""
    own = ancestors(derivation.mentioned)
    if rewritten or any(v._tag is not None and note(v) for v in own):
        for variable, gradient in gradients.items():
            if gradient not in own:  # a gradient may be a variable that was there before
                gradient.tag.derivation = (gradient, derivation, variable)


def derivations(outputs: Iterable[Variable]) -> dict[Variable, tuple[Derivation, Variable]]:
    """The gradients met in the graph of `outputs` and of their derivations, oldest first."""
    found: dict[Variable, tuple[Derivation, Variable]] = {}
    seen: set[Variable] = set()
    stack = list(outputs)
    while stack:
        variable = stack.pop()
        if variable in seen:
            continue
        seen.add(variable)
        if variable.owner is not None:
            stack.extend(variable.owner.inputs)
        noted = note(variable)
        if noted is not None:
            found[variable] = noted
            stack.extend(noted[0].mentioned)
    return dict(sorted(found.items(), key=lambda item: item[1][0].serial))


def substitute(
    outputs: Sequence[Variable],
    exchange: Mapping[Variable, Variable],
    differentiate: Differentiate,
) -> list[Variable]:
    """See `symnet.autodiff.substitute`."""
    table = dict(exchange)
    interior = {v for v in table if v.owner is not None}
    notes = derivations(outputs)
    renewed: dict[Variable, Variable] = {}  # gradients derived anew
    again: dict[Derivation, dict[Variable, Variable]] = {}
    if interior:
        for gradient, (derivation, wrt) in notes.items():
            if derivation not in again:
                again[derivation] = _derive_anew(
                    derivation, interior, renewed, table, differentiate
                )
            if gradient not in table and wrt in again[derivation]:
                renewed[gradient] = again[derivation][wrt]
    outputs = clone_replace(outputs, renewed) if renewed else list(outputs)
    # One copy of everything, so that the derivations of the copies speak of the same variables.
    gradients = [renewed.get(g, g) for g in notes]
    everything = list(dict.fromkeys([v for d, _ in notes.values() for v in d.mentioned]))
    results = clone_replace([*outputs, *gradients, *everything], table)
    copies = dict(zip(everything, results[len(outputs) + len(gradients) :]))
    copied: dict[Derivation, Derivation] = {}
    for (derivation, wrt), before, after in zip(
        notes.values(), notes, results[len(outputs) : len(outputs) + len(gradients)]
    ):
        if after is not before and before not in table:
            if derivation not in copied:
                frozen = derivation.mentioned if again.get(derivation) else ()
                copied[derivation] = _copy(derivation, copies, frozen)
            remember(copied[derivation], {copies[wrt]: after}, True)
    return results[: len(outputs)]


def _derive_anew(
    derivation: Derivation,
    interior: set[Variable],
    renewed: Mapping[Variable, Variable],
    table: dict[Variable, Variable],
    differentiate: Differentiate,
) -> dict[Variable, Variable]:
    """New gradients by old wrt, keeping the `interior` variables; empty if nothing changes.

    Where an interior variable had to be rebuilt, `table` gets an entry for what it has become.
    """
    graph = ancestors([*derivation.mentioned, *derivation.frozen])
    keep = {v for v in interior if v in graph}
    stale = any(g in graph for g in renewed)
    if not keep and not stale:
        return {}
    if derivation.frozen:
        raise GradientError(
            f"a variable was already exchanged inside a gradient of {derivation.roots[0]}, and "
            f"now {', '.join(map(str, keep))} is to be: make both exchanges in one call"
        )
    fresh = dict(zip(derivation.mentioned, clone_replace(derivation.mentioned, renewed)))
    changed = replace(_copy(derivation, fresh), barriers=derivation.barriers | frozenset(keep))
    found, moved = differentiate(changed)
    for variable in keep:
        if variable in moved:
            table.setdefault(moved[variable], table[variable])
    return {old: found[fresh[old]] for old in derivation.wrt}


def _copy(
    derivation: Derivation, copies: Mapping[Variable, Variable], frozen: Iterable[Variable] = ()
) -> Derivation:
    """The derivation in other variables."""
    return Derivation(
        tuple((copies[a], copies[b]) for a, b in derivation.seeds),
        tuple(copies[v] for v in derivation.wrt),
        tuple(copies[v] for v in derivation.constant),
        derivation.barriers,
        (*derivation.frozen, *frozen),
    )
