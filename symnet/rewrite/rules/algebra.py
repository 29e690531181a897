"""Identities of arithmetic and logic: fewer operations, one spelling for equal things.

Values stay what they were, also inf and nan, but for the sign of a zero: x + 0 becomes x although
-0.0 + 0.0 is 0.0. Products of constants are merged only where that neither overflows nor
underflows; sums of floating-point constants are left as written.
"""

import math
from typing import Any

import numpy as np

from symnet.graph import Apply, Variable
from symnet.graph.types import DIGITS, FLOATS, HALVES, NUMPY_DTYPES
from symnet.graph.variables import make_constant
from symnet.ops.arithmetic import (
    absolute,
    add,
    floor_div,
    maximum,
    minimum,
    mul,
    neg,
    square,
    strong_div,
    strong_mul,
    true_div,
)
from symnet.ops.casting import CASTS, cast
from symnet.ops.logic import logical_and, logical_not, logical_or, where
from symnet.rewrite.engine import Walk, rewrites
from symnet.rewrite.pattern import Bindings, rule, scalar_value, wildcard

x, y, z = wildcard("x"), wildcard("y"), wildcard("z")
b = wildcard("b", "bool")
m = wildcard("m", ndim=2)


def _whole(bound: Bindings, walk: Walk) -> bool:
    return bound["x"].type.dtype not in FLOATS


def _real(bound: Bindings, walk: Walk) -> bool:
    return bound["x"].type.dtype in FLOATS


IDENTITIES = [
    rule("x + 0", x + 0, x),
    rule("x - 0", x - 0, x),
    rule("x * 1", x * 1, x),
    rule("x / 1", x / 1, x),
    rule("x // 1", floor_div(x, 1), x, where=_whole),
    rule("x * 0", x * 0, 0, where=_whole),  # inf * 0 is nan
    rule("x ** 0", x**0, 1),
    rule("x ** 1", x**1, x),
    rule("x ** 2", x**2, square(x)),
    rule("x * x", x * x, square(x)),
    # signs: outwards, and into sums
    rule("minus minus", neg(neg(x)), x),
    rule("x * -1", x * -1, -x),
    rule("x / -1", x / -1, -x),
    rule("x + (-y)", x + (-y), x - y),
    rule("x - (-y)", x - (-y), x + y),
    rule("-(x - y)", -(x - y), y - x),
    rule("(-x) * y", (-x) * y, -(x * y)),
    rule("(-x) / y", (-x) / y, -(x / y)),
    rule("x / (-y)", x / (-y), -(x / y)),
    rule("abs(-x)", absolute(-x), absolute(x)),
    rule("abs abs", absolute(absolute(x)), absolute(x)),
    rule("abs square", absolute(square(x)), square(x), where=_real),  # integers wrap
    rule("square(-x)", square(-x), square(x)),
    rule("square abs", square(absolute(x)), square(x)),
    # the products of gradients, where 0 times anything is 0
    rule("strong x * 0", strong_mul(x, 0), 0),
    rule("strong x * 1", strong_mul(x, 1), x),
    rule("strong x * -1", strong_mul(x, -1), -x),
    rule("strong (-x) * y", strong_mul(-x, y), -strong_mul(x, y)),
    rule("strong x * y of integers", strong_mul(x, y), x * y, where=_whole),
    rule("strong 0 / x", strong_div(0, x), 0),
    rule("strong x / 1", strong_div(x, 1), x),
    rule("strong (-x) / y", strong_div(-x, y), -strong_div(x, y)),
    # choices
    rule("where True", where(True, x, y), x),
    rule("where False", where(False, x, y), y),
    rule("where of equals", where(b, x, x), x),
    rule("where not", where(logical_not(b), x, y), where(b, y, x)),
    rule("where in where, taken", where(b, where(b, x, y), z), where(b, x, z)),
    rule("where in where, not taken", where(b, x, where(b, y, z)), where(b, x, z)),
    rule("maximum of equals", maximum(x, x), x),
    rule("minimum of equals", minimum(x, x), x),
    rule("not not", logical_not(logical_not(b)), b),
    rule("and True", logical_and(b, True), b),
    rule("and False", logical_and(b, False), False),
    rule("or False", logical_or(b, False), b),
    rule("or True", logical_or(b, True), True),
    rule("and of equals", logical_and(b, b), b),
    rule("or of equals", logical_or(b, b), b),
]

# ---- constants among factors and terms


def _literal(walk: Walk, variable: Variable, dtype: str) -> Any:
    """The value of a constant operand of `dtype`, or None."""
    return scalar_value(variable, walk) if variable.type.dtype == dtype else None


_RANGES = {
    "float64": (2.3e-308, 1.7e308), "float32": (1.2e-38, 3.4e38), "bfloat16": (1.2e-38, 3.3e38),
    "float16": (6.2e-5, 6.5e4),
}  # fmt: skip


def _normal(value: Any, dtype: str) -> bool:
    """Whether a product by `value` may stand for products by its factors."""
    if dtype not in FLOATS:
        return True
    smallest, largest = _RANGES[dtype]
    return smallest < abs(value) < largest


def _split(walk: Walk, node: Apply) -> tuple[Variable, Variable, Any] | None:
    """(x, constant, its value) of a commutative op, one of whose arguments is a constant."""
    dtype = node.outputs[0].type.dtype
    for this, other in (node.inputs, node.inputs[::-1]):
        value = _literal(walk, this, dtype)
        if value is not None and other.type.dtype == dtype:
            return other, this, value
    return None


def _combined(operation: Any, c: Any, d: Any, dtype: str) -> Any:
    """Two constants combined in their own dtype."""
    kind = NUMPY_DTYPES[dtype]
    with np.errstate(all="ignore"):
        return operation(np.asarray(c, kind), np.asarray(d, kind))


def _same_shape(node: Apply, other: Variable) -> bool:
    """Whether `node` gets its dimensions from `other` alone."""
    return node.outputs[0].type is other.type and all(
        v is other or v.type.ndim == 0 or set(v.type.shape) == {1} for v in node.inputs
    )


@rewrites(mul, examples=lambda: [(m * 3) * 5, 0.5 * (0.25 * m), m * 2.0 * 3.0])
def product_with_constants(node: Apply, walk: Walk) -> Variable | None:
    """(x * c) * d -> x * (c * d)"""
    outer = _split(walk, node)
    if outer is None:
        return None
    inner_node = walk.made_by(outer[0], mul)
    inner = None if inner_node is None else _split(walk, inner_node)
    if inner is None or not _same_shape(node, outer[0]) or not _same_shape(inner_node, inner[0]):  # type: ignore[arg-type]
        return None
    dtype = node.outputs[0].type.dtype
    factor = _combined(np.multiply, inner[2], outer[2], dtype)
    if not all(_normal(v, dtype) for v in (inner[2], outer[2], factor)):
        return None
    return mul(inner[0], make_constant(factor, dtype))


@rewrites(add, examples=lambda: [add(add(cast(m, "int64"), 3), 5)])
def sum_with_constants(node: Apply, walk: Walk) -> Variable | None:
    """(x + c) + d -> x + (c + d) for integers, which wrap and so associate"""
    dtype = node.outputs[0].type.dtype
    if dtype in FLOATS:
        return None
    outer = _split(walk, node)
    inner_node = None if outer is None else walk.made_by(outer[0], add)
    inner = None if inner_node is None else _split(walk, inner_node)
    if outer is None or inner is None or inner_node is None:
        return None
    if not _same_shape(node, outer[0]) or not _same_shape(inner_node, inner[0]):
        return None
    return add(inner[0], make_constant(_combined(np.add, inner[2], outer[2], dtype), dtype))


@rewrites(neg, examples=lambda: [neg(m * 3)])
def sign_into_constant(node: Apply, walk: Walk) -> Variable | None:
    """-(x * c) -> x * -c"""
    product = walk.made_by(node.inputs[0], mul)
    found = None if product is None else _split(walk, product)
    if found is None or node.outputs[0].type.dtype not in FLOATS:
        return None
    if not _same_shape(product, found[0]):  # type: ignore[arg-type]
        return None
    return mul(found[0], make_constant(-found[2], node.outputs[0].type.dtype))


@rewrites(true_div, examples=lambda: [m / 4, m / 0.5])
def division_by_power_of_two(node: Apply, walk: Walk) -> Variable | None:
    """x / c -> x * (1 / c) where 1 / c is exact"""
    above, below = node.inputs
    dtype = node.outputs[0].type.dtype
    value = _literal(walk, below, dtype)
    if not value or not math.isfinite(value) or abs(math.frexp(value)[0]) != 0.5:
        return None
    if not _normal(1 / value, dtype) or not _same_shape(node, above):
        return None
    return mul(above, make_constant(1 / value, dtype))


@rewrites(
    strong_mul, strong_div, examples=lambda: [strong_mul(m, 3), strong_div(m, 3), strong_div(2, m)]
)
def plain_product(node: Apply, walk: Walk) -> Variable | None:
    """a strong product with a constant that is neither 0, inf nor nan -> the plain product"""
    first, second = node.inputs
    dtype = node.outputs[0].type.dtype
    plain: Any = mul
    if node.op is strong_div:
        plain = true_div
        values = [_literal(walk, second, dtype), _literal(walk, first, dtype)]
    else:
        values = [_literal(walk, first, dtype), _literal(walk, second, dtype)]
    if any(value and math.isfinite(value) for value in values):
        return plain.make_node(first, second, origin=node.origin).outputs[0]
    return None


# ---- conversions


def _exact(source: str, target: str) -> bool:
    """Whether every value of one dtype is a value of the other."""
    if source in FLOATS:
        return source == target or (target in FLOATS - HALVES and DIGITS[source] <= DIGITS[target])
    a = NUMPY_DTYPES[source]
    if target in FLOATS:
        return source == "bool" or a.itemsize * 8 <= DIGITS[target]
    c = NUMPY_DTYPES[target]
    return bool(a == c or (a.kind == "b") or (a.kind == c.kind and a.itemsize <= c.itemsize)
                or (a.kind == "u" and c.kind == "i" and a.itemsize < c.itemsize))  # fmt: skip


@rewrites(
    *CASTS.values(),
    examples=lambda: [
        cast(cast(cast(m, "int8"), "int64"), "float32"),
        cast(cast(cast(m, "float32"), "float64"), "float32"),
        cast(cast(b, "float64"), "int32"),
    ],
)
def cast_of_cast(node: Apply, walk: Walk) -> Variable | None:
    """cast(cast(x, a), c) -> cast(x, c) where a holds every value of x"""
    (given,) = node.inputs
    target = node.outputs[0].type.dtype
    if given.type.dtype == target:
        return given
    inner = walk.owner(given)
    if inner is None or CASTS.get(given.type.dtype) is not inner.op:
        return None
    (source,) = inner.inputs
    if not _exact(source.type.dtype, given.type.dtype):
        return None
    through_float = given.type.dtype in FLOATS and target not in FLOATS
    if through_float and not _exact(source.type.dtype, target):
        return None  # floats saturate where integers wrap
    return cast(source, target)


ALGEBRA_RULES = [
    *IDENTITIES,
    product_with_constants,
    sum_with_constants,
    sign_into_constant,
    division_by_power_of_two,
    plain_product,
    cast_of_cast,
]
