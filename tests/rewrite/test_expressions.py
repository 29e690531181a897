"""Random element-wise expressions on special values: rewriting makes nothing worse.

The truth is the expression in float64, to 1e-12. Where float32 had it, the rewritten expression has
it in float32 too; where float32 overflowed or cancelled, anything is an improvement. The sign of a
zero is not kept, so neither is that of an infinity that is its reciprocal.
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import symnet.tensor as T
from symnet.backends.reference import evaluate
from symnet.rewrite import optimise, strict
from symnet.rewrite.rules.algebra import strong_div, strong_mul

SPECIAL = np.array(
    [0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 30.0, -30.0, 200.0, -200.0, 1e-6, -1e-6, 1e-30, 1e30,
     np.inf, -np.inf, np.nan], "float32",
)  # fmt: skip
UNARY = [T.exp, T.log, T.log1p, T.expm1, T.sqrt, T.sqr, T.abs_, T.neg, T.nnet.sigmoid,
         T.nnet.softplus, T.tanh, T.erf]  # fmt: skip
BINARY = [T.add, T.sub, T.mul, T.true_div, T.maximum, T.minimum, strong_mul, strong_div]
LEAVES = ["x", "y", 0, 1, 2, -1, 0.5]


def expressions():
    leaf = st.sampled_from(LEAVES)
    return st.recursive(
        leaf,
        lambda inner: (
            st.tuples(st.sampled_from(UNARY), inner)
            | st.tuples(st.sampled_from(BINARY), inner, inner)
            | st.tuples(st.just(_choice), inner, inner, inner)
        ),
        max_leaves=8,
    )


def _choice(c, a, b):
    return T.where(T.gt(c, 0), a, b)


def build(tree, variables):
    if not isinstance(tree, tuple):
        return variables.get(tree, tree) if isinstance(tree, str) else tree
    op, *args = tree
    return op(*[build(a, variables) for a in args])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(expressions())
def test_rewriting_makes_nothing_worse(tree):
    results = {}
    grid = np.meshgrid(SPECIAL, SPECIAL)
    for dtype in ("float32", "float64"):
        variables = {name: T.TensorType(dtype, (None,))(name) for name in "xy"}
        before = T.as_tensor_variable(build(tree, variables))
        with strict():
            (after,), _ = optimise([before])
        values = {v: g.ravel().astype(dtype) for v, g in zip(variables.values(), grid)}
        results[dtype] = [
            np.broadcast_to(r, grid[0].size) for r in evaluate([before, after], values)
        ]
    single, rewritten = results["float32"]
    truth, rewritten_double = results["float64"]
    good = close(single, truth, 1e-5)
    worse = good & ~close(rewritten, truth, 1e-3)
    assert not worse.any(), list(zip(single[worse], rewritten[worse], truth[worse]))[:3]
    assert (np.isnan(rewritten_double) <= np.isnan(truth)).all()


def close(a, b, tolerance):
    """Equal up to rounding; infinities may differ in sign; NaN agrees with nothing."""
    with np.errstate(all="ignore"):
        near = np.abs(a.astype("float64") - b) <= tolerance * np.abs(b) + 1e-12
    return near | (np.isinf(a) & np.isinf(b))
