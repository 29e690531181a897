"""The table of scalar functions, and the decorator that fills it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from symnet.errors import TypeMismatchError
from symnet.kernels.scalar.trace import DTYPES, FLOATS, INTEGERS, SIGNED, Target, Value


@dataclass(frozen=True)
class ScalarFunction:
    """A scalar function: its name, what it takes, what it gives, and its one definition.

    `parameters` holds, per argument, "T" (all of these have one dtype, which is in `dtypes`), "I"
    (any integer dtype) or a dtype; `result` is "T" or a dtype. `inline` marks definitions of a few
    instructions, which a target writes in place instead of as a function of their own.
    """

    name: str
    parameters: tuple[str, ...]
    result: str
    dtypes: tuple[str, ...]
    definition: Callable[..., Value]
    inline: bool
    strict: bool

    @property
    def arity(self) -> int:
        return len(self.parameters)

    @property
    def kind(self) -> str:
        """Kind of the result: "same" dtype as the arguments, "bool", or "fixed"."""
        return {"T": "same", "bool": "bool"}.get(self.result, "fixed")

    def result_dtype(self, *dtypes: str) -> str:
        """Dtype of the result for arguments of these dtypes, or `TypeMismatchError`."""
        shared = {d for p, d in zip(self.parameters, dtypes) if p == "T"}
        fits = len(dtypes) == self.arity and len(shared) <= 1 and shared <= set(self.dtypes)
        for parameter, dtype in zip(self.parameters, dtypes):
            if parameter == "I":
                fits = fits and dtype in INTEGERS
            elif parameter != "T":
                fits = fits and dtype == parameter
        if not fits:
            raise TypeMismatchError(
                f"{self.name}({', '.join(self.parameters)}) does not take ({', '.join(dtypes)})"
                + (f"; T is one of {', '.join(self.dtypes)}" if "T" in self.parameters else "")
            )
        return shared.pop() if self.result == "T" else self.result

    def build(self, target: Target, *arguments: Value) -> Value:
        """Write the definition into a target."""
        before, target.fused = target.fused, target.fused and not self.strict
        try:
            return self.definition(*arguments)
        finally:
            target.fused = before


FUNCTIONS: dict[str, ScalarFunction] = {}

_KINDS = {
    "any": DTYPES,
    "number": INTEGERS + FLOATS,
    "integer": INTEGERS,
    "signed": SIGNED + FLOATS,
    "bits": ("bool", *INTEGERS),
    "wide": ("int64", "uint64"),
    "float": FLOATS,
    "bool": ("bool",),
}


def define(
    dtypes: str = "float",
    parameters: str = "T",
    result: str = "T",
    *,
    name: str = "",
    inline: bool = False,
    strict: bool = False,
) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Enter a definition into `FUNCTIONS` under its Python name less a trailing underscore.

    `dtypes` names a set in `_KINDS` or one dtype; `parameters` is written "T T"; `strict` forbids
    fused multiply-add, so that every back end gives the same bits.
    """

    def enter(definition: Callable[..., Value]) -> Callable[..., Value]:
        key = name or definition.__name__.rstrip("_")
        assert key not in FUNCTIONS, f"{key} is defined twice"
        FUNCTIONS[key] = ScalarFunction(
            key,
            tuple(parameters.split()),
            result,
            _KINDS.get(dtypes, (dtypes,)),
            definition,
            inline,
            strict,
        )
        return definition

    return enter
