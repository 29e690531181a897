"""Sizes as expressions: what a compiled program computes about shapes before it runs.

Grammar::

    Size = int
         | Dim("dim", (variable, axis))        run-time size of a source variable's dimension
         | Dim("value", (variable,))           value of an integer source scalar
         | Dim(op, Size*)                      op in OPERATORS

Dims are interned, so equal expressions are the same object and may be compared with `is`. Integer
division and remainder are Python's (floor); comparisons and logic give 0 or 1.
"""

from typing import Any
from weakref import WeakValueDictionary

OPERATORS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "floordiv": lambda a, b: a // b if b else 0,
    "mod": lambda a, b: a % b if b else 0,
    "min": min,
    "max": max,
    "eq": lambda a, b: int(a == b),
    "ne": lambda a, b: int(a != b),
    "lt": lambda a, b: int(a < b),
    "le": lambda a, b: int(a <= b),
    "and": lambda a, b: int(bool(a) and bool(b)),
    "or": lambda a, b: int(bool(a) or bool(b)),
    "select": lambda c, a, b: a if c else b,
}

_interned: "WeakValueDictionary[tuple, Dim]" = WeakValueDictionary()


class Dim:
    """A size that is known when the program runs."""

    __slots__ = ("__weakref__", "args", "op")
    op: str
    args: tuple

    def __new__(cls, op: str, args: tuple) -> "Dim":
        key = (op, tuple((a if isinstance(a, (int, Dim)) else id(a)) for a in args))
        known = _interned.get(key)
        if known is None:
            known = object.__new__(cls)
            known.op, known.args = op, args
            _interned[key] = known  # while it lives it holds args, so the ids in keys are unique
        return known

    def __repr__(self) -> str:
        if self.op == "dim":
            return f"{self.args[0]}.shape[{self.args[1]}]"
        if self.op == "value":
            return str(self.args[0])
        return f"{self.op}({', '.join(map(repr, self.args))})"


Size = int | Dim


def apply(op: str, *args: Size) -> Size:
    """An operator on sizes, folded where its operands are known."""
    if all(type(a) is int for a in args):
        return int(OPERATORS[op](*args))
    a, b = args[0], args[-1]
    if op == "add":
        if a == 0:
            return b
        if b == 0:
            return a
    elif op == "sub":
        if b == 0:
            return a
        if a is b:
            return 0
    elif op == "mul":
        if a == 0 or b == 0:
            return 0
        if a == 1:
            return b
        if b == 1:
            return a
    elif op == "floordiv":
        if b == 1:
            return a
    elif op in ("min", "max"):
        if a is b:
            return a
    elif op in ("eq", "le"):
        if a is b:
            return 1
    elif op in ("ne", "lt"):
        if a is b:
            return 0
    elif op == "select":
        if type(a) is int:
            return args[1] if a else args[2]
        if args[1] is args[2]:
            return args[1]
    return Dim(op, args)


def add(a: Size, b: Size) -> Size:
    return apply("add", a, b)


def sub(a: Size, b: Size) -> Size:
    return apply("sub", a, b)


def mul(a: Size, b: Size) -> Size:
    return apply("mul", a, b)


def product(sizes: Any) -> Size:
    total: Size = 1
    for size in sizes:
        total = apply("mul", total, size)
    return total


def slice_bounds(size: Size, start: Size | None, stop: Size | None, step: int) -> tuple[Size, Size]:
    """First index and length of `range(size)[start:stop:step]`, with Python's clipping."""
    if step > 0:
        lower, upper = 0, size
        first = 0 if start is None else _clip(start, size, lower, upper)
        last = size if stop is None else _clip(stop, size, lower, upper)
        span = apply("sub", last, first)
        length = apply("floordiv", add(span, step - 1), step)
    else:
        lower, upper = -1, sub(size, 1)
        first = upper if start is None else _clip(start, size, lower, upper)
        last = -1 if stop is None else _clip(stop, size, lower, upper)
        span = apply("sub", first, last)
        length = apply("floordiv", add(span, -step - 1), -step)
    return first, apply("max", length, 0)


def _clip(index: Size, size: Size, lower: Size, upper: Size) -> Size:
    if type(index) is int:
        moved = add(index, size) if index < 0 else index
    else:
        moved = apply("select", apply("lt", index, 0), add(index, size), index)
    return apply("min", apply("max", moved, lower), upper)


def evaluate(size: Size, values: dict["Dim", int]) -> int:
    """The number behind a size, iteratively; `values` maps leaves and is extended with results."""
    if isinstance(size, int):
        return size
    stack = [size]
    while stack:
        top = stack[-1]
        if top in values:
            stack.pop()
            continue
        missing = [a for a in top.args if isinstance(a, Dim) and a not in values]
        if missing:
            stack.extend(missing)
            continue
        numbers = [values[a] if isinstance(a, Dim) else a for a in top.args]
        values[top] = int(OPERATORS[top.op](*numbers))
        stack.pop()
    return values[size]
