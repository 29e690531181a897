"""The lines of a program that built a graph."""

from collections.abc import Iterable, Sequence

from symnet.function.arguments import Signature
from symnet.function.explain.parts import Line
from symnet.graph.origin import UNKNOWN, Origin
from symnet.graph.variables import Apply, Constant, Variable


class Lines:
    """The user's lines in the order of the program, by file and number."""

    def __init__(self, signature: Signature, nodes: Sequence[Apply], roots: Sequence[Variable]):
        built: dict[Origin, int] = {}
        makes: dict[Origin, list[str]] = {}
        sources: dict[Variable, None] = dict.fromkeys(signature.variables)
        for node in nodes:
            built[node.origin] = built.get(node.origin, 0) + 1
            sources.update(dict.fromkeys(v for v in node.inputs if v.owner is None))
        sources.update(dict.fromkeys(s for s, _ in signature.updates))
        sources.update(dict.fromkeys(v for v in roots if v.owner is None))
        for variable in sources:
            if isinstance(variable, Constant):
                continue
            makes.setdefault(variable.origin, []).append(str(variable))
        origins = sorted({*built, *makes} - {UNKNOWN}, key=lambda o: (o.file, o.line))
        self.found = [
            Line(k, origin, built.get(origin, 0), makes.get(origin, []))
            for k, origin in enumerate(origins)
        ]
        self._number = {origin: k for k, origin in enumerate(origins)}

    def numbers(self, origin: Origin, nodes: Iterable[Apply]) -> list[int]:
        """The lines of a step: the one it is booked under first."""
        others = sorted({n.origin for n in nodes} - {origin}, key=lambda o: (o.file, o.line))
        return [self._at(o) for o in [origin, *others] if o != UNKNOWN]

    def _at(self, origin: Origin) -> int:
        known = self._number.get(origin)
        if known is None:
            known = self._number[origin] = len(self.found)
            self.found.append(Line(known, origin))
        return known
