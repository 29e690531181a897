"""Variables as messages name them: what they are, and the user's line that built them."""

from collections.abc import Sequence

from symnet.graph.origin import UNKNOWN
from symnet.graph.variables import Variable


def describe(variable: Variable) -> str:
    """`name: float32(?, 3), built at file:line  `text``; without the line where it is unknown."""
    where = "" if variable.origin is UNKNOWN else f", built at {variable.origin}"
    return f"{variable}: {variable.type}{where}"


def listed(variables: Sequence[Variable]) -> str:
    """The end of a message: every variable described on a line of its own."""
    return "".join(f"\n  {describe(variable)}" for variable in variables)
