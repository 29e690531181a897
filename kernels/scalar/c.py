"""Traces as C++ text.

`PRELUDE` goes first, once; then `c_source(name, *dtypes)` for every function that a kernel uses:
`symnet_exp(float)`, `symnet_where(bool, int, int)`, overloaded by type. A compiler that fuses
products into a following sum is told not to (`-ffp-contract=off`); one for a device may have words
of its own for them, and then takes `ANYWHERE` behind its own version of `ON_HOST`.
"""

from __future__ import annotations

import math
import re
import struct
from typing import Any

from symnet.kernels.scalar.registry import FUNCTIONS
from symnet.kernels.scalar.trace import FLOATS, Number, Target, Value, bits_of, same_width

C_TYPES = {
    "bool": "bool", "int8": "signed char", "int16": "short", "int32": "int",
    "int64": "long long", "uint8": "unsigned char", "uint16": "unsigned short",
    "uint32": "unsigned int", "uint64": "unsigned long long", "float32": "float",
    "float64": "double",
}  # fmt: skip

ON_HOST = """\
#include <math.h>
#include <string.h>
#define SYMNET_FUNCTION static inline
SYMNET_FUNCTION unsigned int symnet_bits(float x) { unsigned int y; memcpy(&y, &x, 4); return y; }
SYMNET_FUNCTION float symnet_float(unsigned int x) { float y; memcpy(&y, &x, 4); return y; }
SYMNET_FUNCTION unsigned long long symnet_bits(double x)
{ unsigned long long y; memcpy(&y, &x, 8); return y; }
SYMNET_FUNCTION double symnet_float(unsigned long long x)
{ double y; memcpy(&y, &x, 8); return y; }
SYMNET_FUNCTION float symnet_product(float a, float b) { return a * b; }
SYMNET_FUNCTION double symnet_product(double a, double b) { return a * b; }
"""
ANYWHERE = """\
SYMNET_FUNCTION float symnet_fma(float a, float b, float c) { return fmaf(a, b, c); }
SYMNET_FUNCTION double symnet_fma(double a, double b, double c) { return fma(a, b, c); }
"""
PRELUDE = ON_HOST + ANYWHERE

_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|", "xor": "^",
          "shl": "<<", "rem": "%"}  # fmt: skip
_COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_ROUNDING = {"abs": "fabs", "sqrt": "sqrt", "floor": "floor", "ceil": "ceil", "trunc": "trunc",
             "round_even": "rint"}  # fmt: skip


class CTarget(Target):
    """Handles are names of constants v0, v1, ...; each distinct operation is one."""

    def __init__(self) -> None:
        self.names: dict[tuple[str, str], str] = {}  # (dtype, expression) -> name

    def _write(self, dtype: str, expression: str) -> str:
        return self.names.setdefault((dtype, expression), f"v{len(self.names)}")

    def lines(self, result: str) -> list[str]:
        """The definitions that `result` needs, in order."""
        needed = set(re.findall(r"\bv\d+\b", result))
        kept = []
        for (dtype, expression), name in reversed(self.names.items()):
            if name in needed:
                needed.update(re.findall(r"\bv\d+\b", expression))
                kept.append(f"const {C_TYPES[dtype]} {name} = {expression};")
        return kept[::-1]

    def constant(self, value: Number, dtype: str) -> Any:
        if dtype in FLOATS:
            form = ("<f", "<I") if dtype == "float32" else ("<d", "<Q")
            data = struct.pack(form[0], value)
            suffix = "u" if dtype == "float32" else "ull"
            if not math.isfinite(value):
                return f"symnet_float({struct.unpack(form[1], data)[0]:#x}{suffix})"
            exact = struct.unpack(form[0], data)[0]
            return f"({exact!r}{'f' if dtype == 'float32' else ''})"
        if dtype == "bool":
            return "true" if value else "false"
        return f"(({C_TYPES[dtype]}){int(value) % 2 ** bits_of(dtype):#x}ull)"

    def binary(self, op: str, a: Value, b: Value) -> Any:
        kind = C_TYPES[a.dtype]
        if a.floating:
            if op == "mul":
                return self._write(a.dtype, f"symnet_product({a.handle}, {b.handle})")
            if op == "rem":
                return self._write(a.dtype, f"fmod({a.handle}, {b.handle})")
            return self._write(a.dtype, f"{a.handle} {_SIGNS[op]} {b.handle}")
        if op == "shr":
            return self._write(a.dtype, f"({kind})({a.handle} >> {b.handle})")
        if op in ("div", "rem") or a.dtype == "bool":
            return self._write(a.dtype, f"({kind})({a.handle} {_SIGNS[op]} {b.handle})")
        # through an unsigned type at least as wide as int: signed overflow would be undefined
        wide = C_TYPES["uint64" if a.width == 64 else "uint32"]
        expression = f"({kind})(({wide}){a.handle} {_SIGNS[op]} ({wide}){b.handle})"
        return self._write(a.dtype, expression)

    def unary(self, op: str, a: Value) -> Any:
        kind = C_TYPES[a.dtype]
        if op == "neg":
            if a.floating:
                return self._write(a.dtype, f"-{a.handle}")
            wide = C_TYPES["uint64" if a.width == 64 else "uint32"]
            return self._write(a.dtype, f"({kind})(0u - ({wide}){a.handle})")
        if op == "invert":
            return self._write(a.dtype, f"({kind}){'!' if a.dtype == 'bool' else '~'}{a.handle}")
        suffix = "f" if a.dtype == "float32" else ""
        return self._write(a.dtype, f"{_ROUNDING[op]}{suffix}({a.handle})")

    def compare(self, op: str, a: Value, b: Value) -> Any:
        return self._write("bool", f"{a.handle} {_COMPARE[op]} {b.handle}")

    def select(self, condition: Value, a: Value, b: Value) -> Any:
        return self._write(a.dtype, f"{condition.handle} ? {a.handle} : {b.handle}")

    def muladd(self, a: Value, b: Value, c: Value) -> Any:
        return self._write(a.dtype, f"symnet_fma({a.handle}, {b.handle}, {c.handle})")

    def product_error(self, a: Value, b: Value, product: Value) -> Any:
        return self._write(a.dtype, f"symnet_fma({a.handle}, {b.handle}, -{product.handle})")

    def convert(self, a: Value, dtype: str) -> Any:
        return self._write(dtype, f"({C_TYPES[dtype]}){a.handle}")

    def bitcast(self, a: Value, dtype: str) -> Any:
        if a.floating:
            return self._write(dtype, f"({C_TYPES[dtype]})symnet_bits({a.handle})")
        if dtype in FLOATS:
            unsigned = C_TYPES[same_width(a.dtype, "uint")]
            return self._write(dtype, f"symnet_float(({unsigned}){a.handle})")
        return self._write(dtype, f"({C_TYPES[dtype]}){a.handle}")


def c_source(name: str, *dtypes: str) -> str:
    """The C++ text of one function for arguments of these dtypes."""
    function = FUNCTIONS[name]
    result = C_TYPES[function.result_dtype(*dtypes)]
    target = CTarget()
    values = [Value(target, f"x{i}", d) for i, d in enumerate(dtypes)]
    returned = function.build(target, *values).handle
    parameters = ", ".join(f"{C_TYPES[d]} x{i}" for i, d in enumerate(dtypes))
    body = "\n".join("    " + line for line in target.lines(returned))
    return (
        f"SYMNET_FUNCTION {result} symnet_{name}({parameters})\n"
        f"{{\n{body}\n    return {returned};\n}}\n"
    )
