"""Variables as messages name them: what they are, and the user's line that built them."""

from collections.abc import Sequence

from symnet.errors import SymnetError
from symnet.graph.origin import UNKNOWN
from symnet.graph.variables import Variable


def describe(variable: Variable) -> str:
    """`name: float32(?, 3), built at file:line  `text``; without the line where it is unknown."""
    where = "" if variable.origin is UNKNOWN else f", built at {variable.origin}"
    return f"{variable}: {variable.type}{where}"


def listed(variables: Sequence[Variable]) -> str:
    """The end of a message: every variable described on a line of its own."""
    return "".join(f"\n  {describe(variable)}" for variable in variables)


def name_in(error: SymnetError, variables: Sequence[Variable]) -> None:
    """Add to an error's message those of `variables` that it does not describe yet."""
    text = str(error)
    unnamed = [v for v in dict.fromkeys(variables) if describe(v) not in text]
    error.args = (text + listed(unnamed),)


class naming:
    """A `with` block whose errors of symnet's own also show where `variables` were built."""

    __slots__ = ("variables",)

    def __init__(self, *variables: Variable):
        self.variables = variables

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SymnetError):
            name_in(error, self.variables)
