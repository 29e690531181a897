"""The same definitions on NumPy arrays: the tests' view of what compiled code computes.

`muladd` rounds twice here, so results may differ from compiled code by a unit or two in the last
place, except in functions that are defined `strict`: those agree bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from symnet.kernels.scalar.registry import FUNCTIONS
from symnet.kernels.scalar.trace import Number, Target, Value, bits_of

_BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "and": np.bitwise_and,
    "or": np.bitwise_or, "xor": np.bitwise_xor, "shl": np.left_shift, "shr": np.right_shift,
    "rem": np.fmod,
}  # fmt: skip
_UNARY = {
    "neg": np.negative, "invert": np.invert, "abs": np.abs, "sqrt": np.sqrt, "floor": np.floor,
    "ceil": np.ceil, "trunc": np.trunc, "round_even": np.rint,
}  # fmt: skip
_COMPARE = {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "eq": np.equal, "ne": np.not_equal,
}  # fmt: skip


class NumPyTarget(Target):
    """Handles are arrays; nothing is written, the trace is the computation."""

    fused = False

    def constant(self, value: Number, dtype: str) -> Any:
        if dtype.startswith(("int", "uint")):  # negative or large literals wrap
            return np.array(int(value) % 2 ** bits_of(dtype), f"u{dtype.lstrip('u')}").view(dtype)
        return np.array(value, dtype)

    def binary(self, op: str, a: Value, b: Value) -> Any:
        if op == "div":
            if a.floating:
                return a.handle / b.handle
            rest = np.fmod(a.handle, b.handle)
            return (a.handle - rest) // b.handle
        return _BINARY[op](a.handle, b.handle)

    def unary(self, op: str, a: Value) -> Any:
        return _UNARY[op](a.handle)

    def compare(self, op: str, a: Value, b: Value) -> Any:
        return _COMPARE[op](a.handle, b.handle)

    def select(self, condition: Value, a: Value, b: Value) -> Any:
        return np.where(condition.handle, a.handle, b.handle)

    def muladd(self, a: Value, b: Value, c: Value) -> Any:
        return a.handle * b.handle + c.handle

    def product_error(self, a: Value, b: Value, product: Value) -> Any:
        splitter = 2.0 ** (12 if a.dtype == "float32" else 27) + 1  # Veltkamp's splitting

        def halves(v: Any) -> tuple[Any, Any]:
            shifted = v * v.dtype.type(splitter)
            high = shifted - (shifted - v)
            return high, v - high

        (ah, al), (bh, bl) = halves(a.handle), halves(b.handle)
        return al * bl - (((product.handle - ah * bh) - al * bh) - ah * bl)

    def convert(self, a: Value, dtype: str) -> Any:
        return a.handle.astype(dtype)

    def bitcast(self, a: Value, dtype: str) -> Any:
        return np.ascontiguousarray(a.handle).view(dtype).reshape(np.shape(a.handle))


def evaluate(name: str, *arrays: Any) -> np.ndarray:
    """One of our functions at arrays (or scalars) that broadcast."""
    target = NumPyTarget()
    arrays = tuple(map(np.asarray, arrays))
    with np.errstate(all="ignore"):
        values = [Value(target, a, a.dtype.name) for a in arrays]
        result = FUNCTIONS[name].build(target, *values)
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    return np.broadcast_to(result.handle, shape)
