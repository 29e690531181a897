"""Matrix products with what surrounds them: one Gemm instead of a product and passes over it.

`W - lr * dot(x.T, d)` becomes gemm(W, -lr, x.T, d, 1), which the schedule may write into W. Only
products that nobody else reads are absorbed; transposes are left to the schedule. Products of
halves stay alone: they are rounded before anything is added to them.
"""

# mypy: disable-error-code="attr-defined, operator"

from symnet.graph import Apply, Constant, Variable
from symnet.graph.types import FLOATS, HALVES
from symnet.graph.variables import make_constant
from symnet.ops.arithmetic import add, mul, neg, sub
from symnet.ops.contraction import Dot, Gemm, dot
from symnet.ops.movement import DimShuffle, dimshuffle
from symnet.rewrite.engine import Walk, rewrites
from symnet.rewrite.pattern import wildcard
from symnet.rewrite.rules.folding import constants_only
from symnet.rewrite.rules.movement import dimshuffle_of_broadcast, dimshuffle_of_dimshuffle

a, b, c = wildcard("a", ndim=2), wildcard("b", ndim=2), wildcard("c", ndim=2)
v, w = wildcard("v", ndim=1), wildcard("w", ndim=1)
s = wildcard("s")
Scalars = list[Variable]


def _as_scalar(variable: Variable) -> Variable | None:
    """A one-element operand as a 0-d variable, or None."""
    if set(variable.type.shape) - {1}:
        return None
    return dimshuffle(variable, ()) if variable.type.ndim else variable


def _scaled(walk: Walk, term: Variable) -> tuple[Variable, Scalars, bool]:
    """(x, factors, negative) such that `term` is x times the scalar factors."""
    factors: Scalars = []
    negative = False
    dtype = term.type.dtype
    while True:
        node = walk.owner(term)
        if node is None or node.op not in (neg, mul) or walk.uses(term) > 1:
            return term, factors, negative
        if node.op is neg:
            negative = not negative
            inner = node.inputs[0]
        else:
            first, second = node.inputs
            factor, inner = _as_scalar(first), second
            if factor is None:
                factor, inner = _as_scalar(second), first
            if factor is None or factor.type.dtype != dtype:
                return term, factors, negative
            factors.append(factor)
        if inner.type.dtype != dtype or inner.type.ndim != term.type.ndim:
            return (node.outputs[0], factors[:-1] if node.op is mul else factors,
                    negative if node.op is mul else not negative)  # fmt: skip
        term = inner


def _scalar(factors: Scalars, negative: bool, dtype: str) -> Variable:
    """The product of scalar factors with a sign."""
    if not factors:
        return make_constant(-1.0 if negative else 1.0, dtype)
    result = factors[0]
    for factor in factors[1:]:
        result = mul(result, factor)
    if not negative:
        return result
    return make_constant(-result.data) if isinstance(result, Constant) else neg(result)


def _product(walk: Walk, x: Variable) -> tuple[Apply, tuple[int, ...] | None] | None:
    """The Dot behind a matrix, or behind a vector made by dropping its dimension of size 1.

    The second element is the axis order of that vector.
    """
    if walk.uses(x) != 1:
        return None
    order = None
    view = walk.made_by(x, DimShuffle)
    if view is not None and x.type.ndim == 1:
        order, x = view.op.order, view.inputs[0]
        if walk.uses(x) != 1 or order == ("x",):
            return None
    node = walk.made_by(x, Dot)
    return None if node is None else (node, order)


def _gemm(walk: Walk, out: Variable, c: Variable, term: Variable,
          signs: tuple[bool, bool]) -> Variable | None:  # fmt: skip
    """`±c ± term` as a Gemm, if `term` is a scaled product and neither is broadcast."""
    dtype = out.type.dtype
    if c.type.dtype != dtype or term.type.dtype != dtype or c.type.ndim != term.type.ndim:
        return None
    x, factors, negative = _scaled(walk, term)
    found = _product(walk, x)
    if found is None:
        return None
    product, order = found
    if any((m == 1) != (n == 1) for m, n in zip(c.type.shape, x.type.shape)):
        return None
    base, base_factors, base_negative = _scaled(walk, c)
    # a factor that is or may become 0 stays a product: beta = 0 would hide a NaN in c
    safe = all(isinstance(f, Constant) and f.data.item() != 0 for f in base_factors)
    if base.type.shape != c.type.shape or not safe:
        base, base_factors, base_negative = c, [], False
    if order is not None:
        base = dimshuffle(base, [0 if axis in order else "x" for axis in range(2)])
    alpha = _scalar(factors, negative != signs[1], dtype)
    beta = _scalar(base_factors, base_negative != signs[0], dtype)
    result = Gemm()(base, alpha, *product.inputs, beta)
    return result if order is None else dimshuffle(result, order)


@rewrites(
    add,
    sub,
    examples=lambda: [
        c + dot(a, b),
        c - s * dot(a.T, b),
        0.9 * c - s * dot(a, b.T),
        dot(a, b) - c,
        v - 0.1 * dot(a, w),
        v + dot(w, a),
        dot(a, b) + dot(b, c),
    ],
)
def sum_with_product(node: Apply, walk: Walk) -> Variable | None:
    """beta * c ± alpha * dot(a, b) -> gemm(c, ±alpha, a, b, beta)"""
    out = node.outputs[0]
    if out.type.dtype not in FLOATS - HALVES or out.type.ndim not in (1, 2):
        return None
    first, second = node.inputs
    minus = node.op is sub
    result = _gemm(walk, out, first, second, (False, minus))
    return result if result is not None else _gemm(walk, out, second, first, (minus, False))


@rewrites(
    add,
    sub,
    examples=lambda: [
        c - s * Gemm()(a, s, a, b, s),
        0.9 * c - s * Gemm()(b, s, a, b, make_constant(1.0)),
    ],
)
def sum_with_gemm(node: Apply, walk: Walk) -> Variable | None:
    """c - s * gemm(r, alpha, a, b, beta) -> gemm(c - s * beta * r, -s * alpha, a, b, 1)

    Weight decay: the product is accumulated into what an element-wise kernel made of c and r.
    """
    out = node.outputs[0]
    dtype = out.type.dtype
    minus = node.op is sub
    for position in (1, 0):
        term, rest = node.inputs[position], node.inputs[1 - position]
        if rest.type.ndim != 2 or term.type.ndim != 2 or rest.type.dtype != dtype:
            continue
        x, factors, negative = _scaled(walk, term)
        inner = walk.made_by(x, Gemm)
        if inner is None or walk.uses(x) != 1 or x.type.dtype != dtype:
            continue
        if any((m == 1) != (n == 1) for m, n in zip(rest.type.shape, x.type.shape)):
            continue
        r, alpha, first, second, beta = inner.inputs
        negative = negative != (minus and position == 1)
        scale = _scalar(factors, negative, dtype)
        added = _times(r, _scalar([*factors, beta], False, dtype))
        base = neg(rest) if minus and position == 0 else rest
        base = sub(base, added) if negative else add(base, added)
        return Gemm()(base, mul(scale, alpha), first, second, make_constant(1.0, dtype))
    return None


def _times(x: Variable, factor: Variable) -> Variable:
    return x if isinstance(factor, Constant) and factor.data == 1 else mul(factor, x)


@rewrites(DimShuffle, examples=lambda: [dot(a, b).T])
def transpose_of_product(node: Apply, walk: Walk) -> Variable | None:
    """dot(a, b).T -> dot(b.T, a.T)"""
    product = walk.made_by(node.inputs[0], Dot)
    if node.op.order != (1, 0) or product is None or walk.uses(product.outputs[0]) != 1:
        return None
    first, second = product.inputs
    return Dot()(dimshuffle(second, (1, 0)), dimshuffle(first, (1, 0)))


BLAS_RULES = [
    transpose_of_product,
    sum_with_product,
    sum_with_gemm,
    constants_only,  # among the factors
    dimshuffle_of_dimshuffle,  # of the transposes that the first makes
    dimshuffle_of_broadcast,
]
