"""The scalar functions as Numba intrinsics: `from symnet.kernels.scalar.cpu import exp, add`.

Each name of `FUNCTIONS` is an attribute, made on first use. Inside a compiled kernel the argument
types choose the version; Numba types no body, it only sees a call. Imports numba: import this
module only to compile something.
"""

from __future__ import annotations

from typing import Any

from numba.core import errors, types
from numba.extending import intrinsic

from symnet.errors import TypeMismatchError
from symnet.kernels.scalar import FUNCTIONS
from symnet.kernels.scalar.llvm import emit

_NAMES = {
    types.boolean: "bool",
    **{
        getattr(types, name): name
        for width in (8, 16, 32, 64)
        for name in (f"int{width}", f"uint{width}", f"float{width}")
        if name not in ("float8", "float16")
    },
}
_TYPES = {name: kind for kind, name in _NAMES.items()}


def _make(name: str) -> Any:
    function = FUNCTIONS[name]

    def type_and_lower(*arguments: Any) -> Any:
        try:
            dtypes = tuple(_NAMES[types.unliteral(a)] for a in arguments)
            result = function.result_dtype(*dtypes)
        except (KeyError, TypeMismatchError) as error:
            raise errors.TypingError(f"{name}{arguments}: {error}") from error

        def lower(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return emit(builder, name, dtypes, values)

        return _TYPES[result](*(_TYPES[d] for d in dtypes)), lower

    # Numba reads the argument names off the function, so their number must be real
    names = ", ".join(f"a{i}" for i in range(function.arity))
    scope: dict[str, Any] = {"type_and_lower": type_and_lower}
    exec(f"def {name}(context, {names}): return type_and_lower({names})", scope)
    scope[name].__doc__ = function.definition.__doc__
    return intrinsic(scope[name])


def __getattr__(name: str) -> Any:
    if name not in FUNCTIONS:
        raise AttributeError(f"no scalar function is called {name!r}")
    globals()[name] = made = _make(name)
    return made


def __dir__() -> list[str]:
    return sorted({*globals(), *FUNCTIONS})
