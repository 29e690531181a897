"""The engine's promises: types, sharing, barriers, termination, work linear in the graph."""

import numpy as np
import pytest

import symnet.tensor as T
from symnet.backends.reference import evaluate
from symnet.config import config
from symnet.errors import CompilerError, ShapeError
from symnet.graph import TensorType, toposort
from symnet.ops.arithmetic import add, mul, neg
from symnet.ops.exponential import exp, log
from symnet.rewrite import rewrite, rewrites, rule, strict, wildcard
from symnet.rewrite.engine import RuleIndex, Walk

x, y = wildcard("x"), wildcard("y")
LOG_EXP = rule("log exp", log(exp(x)), x)
PLUS_ZERO = rule("x + 0", x + 0, x)


def test_what_does_not_change_is_shared_with_the_given_graph():
    v = T.matrix("v")
    kept, gone = T.tanh(v), T.log(T.exp(v))
    (after,), _ = rewrite([T.sin(kept) + gone], [LOG_EXP])
    assert after.owner.inputs[0].owner.inputs == (kept,) and after.owner.inputs[1] is v


def test_a_replacement_is_rewritten_too():
    v = T.matrix("v")
    steps = [rule("open", T.sqr(x), log(exp(x + 0))), PLUS_ZERO, LOG_EXP]
    with strict():
        (after,), trace = rewrite([T.sqr(v)], steps)
    assert after is v and [step.rule for step in trace] == ["open", "x + 0", "log exp"]


def test_a_shared_subexpression_is_rewritten_once():
    v = T.matrix("v")
    part = T.log(T.exp(v))
    _, trace = rewrite([part + 1, part * 2, T.tanh(part)], [LOG_EXP])
    assert len(trace) == 1


def test_barriers_stay():
    v = T.matrix("v")
    inner = T.exp(v)
    outputs = [T.log(inner)]
    assert rewrite(outputs, [LOG_EXP], barriers=[inner]) == (outputs, [])


def test_a_rule_that_breaks_the_type_is_refused_and_named():
    @rewrites(exp)
    def wrong_type(node, walk):
        """exp(x) -> its float64 value"""
        return T.cast(node.inputs[0], "float64")

    v = T.fmatrix("v")
    with strict(), pytest.raises(CompilerError, match=r"'wrong type'.*float64"):
        rewrite([T.exp(v)], [wrong_type])
    (after,), trace = rewrite([T.exp(v)], [wrong_type])
    assert after.owner.op is exp and not trace


def test_a_rule_that_loses_static_sizes_is_refused():
    @rewrites(exp)
    def forgetful(node, walk):
        """exp(x) -> something of unknown size"""
        return T.matrix()

    v = TensorType("float32", (3, 4))("v")
    with strict(), pytest.raises(CompilerError, match="forgetful"):
        rewrite([T.exp(v)], [forgetful])


def test_a_rule_that_grows_for_ever_ends():
    growing = rule("growing", exp(x), exp(x + 1))
    v = T.matrix("v")
    with strict(), pytest.raises(CompilerError, match="'growing'"):
        rewrite([T.exp(v)], [growing])
    (after,), trace = rewrite([T.exp(v)], [growing])
    assert len(trace) < 100 and after.type is T.exp(v).type


def test_sharper_sizes_that_show_an_error_leave_it_to_the_run():
    v, w = TensorType("float32", (3,))("v"), TensorType("float32", (4,))("w")
    unknown = T.vector("unknown")

    @rewrites(exp)
    def sharpen(node, walk):
        """exp(unknown) -> v, which has a static size"""
        return v if node.inputs[0] is unknown else None

    y = T.exp(unknown) + w
    (after,), _ = rewrite([y], [sharpen])
    zeros = np.zeros(3, "float32")
    with pytest.raises(ShapeError):
        evaluate([after], {v: zeros, unknown: zeros, w: np.zeros(4, "float32")})


def test_integers_that_became_floats_keep_the_dtype_they_got():
    n = T.ivector("n")
    with config.change(floatX="float64"):
        y = T.exp(n + 0)
    with config.change(floatX="float32"):
        (after,), _ = rewrite([y], [PLUS_ZERO])
    assert after.type.dtype == "float64" and after.owner.inputs == (n,)


def test_rules_are_tried_only_at_their_ops():
    met = []

    @rewrites(exp)
    def spy(node, walk):
        """records where it is tried"""
        met.append(node.op)

    v = T.matrix("v")
    rewrite([T.exp(v) + T.sin(v) * T.log(v)], [spy])
    assert met == [exp]


def test_uses_count_inputs_and_outputs():
    v = T.matrix("v")
    a = T.exp(v)
    walk = Walk(RuleIndex([]))
    walk.run([a + a, a])
    assert walk.uses(a) == 3 and walk.uses(v) == 1


def test_visits_are_linear_in_nodes():
    def visits(n):
        count = 0

        @rewrites()
        def counter(node, walk):
            """counts"""
            nonlocal count
            count += 1

        v = T.vector("v")
        out = v
        for k in range(n):
            out = T.tanh(T.log(T.exp(out)) * (1.0 + k))
        rewrite([out], [LOG_EXP, counter])
        return count

    assert visits(400) == 2 * visits(200)


# ---- patterns


def test_commutative_ops_match_in_either_order():
    v, w = T.matrix("v"), T.matrix("w")
    r = rule("distribute", x * y + x, x * (y + 1))
    for form in (v * w + v, v + v * w, w * v + v, v + w * v):
        (after,), _ = rewrite([form], [r])
        assert after.owner.op is mul and v in after.owner.inputs


def test_the_same_wildcard_is_the_same_variable():
    v, w = T.matrix("v"), T.matrix("w")
    r = rule("double", x + x, 2 * x)
    assert rewrite([v + v], [r])[0][0].owner.op is mul
    assert rewrite([v + w], [r])[0][0].owner.op is add


@pytest.mark.parametrize("zero", [0, 0.0, np.float64(0), np.zeros((1, 1), "int8"), False])
def test_a_literal_matches_a_constant_of_any_dtype_and_broadcasting(zero):
    v = T.dmatrix("v")
    assert rewrite([v + zero], [PLUS_ZERO])[0] == [v]


def test_an_implicit_conversion_stays():
    n, v = T.imatrix("n"), T.fmatrix("v")
    (after,), _ = rewrite([n + np.float32(0)], [PLUS_ZERO])
    assert after.type.dtype == "float32" and after.owner.inputs == (n,)
    (after,), _ = rewrite([T.log(T.exp(n))], [LOG_EXP])
    assert after.type.dtype == "float32"
    # int8 products wrap before they become floats: log(exp) of the product, not of its factors
    small = T.bmatrix("small")
    (after,), _ = rewrite([T.log(T.exp(small * small)) + v], [LOG_EXP])
    values = {small: np.full((1, 1), 16, "int8"), v: np.zeros((1, 1), "float32")}
    assert evaluate([after], values)[0] == 0


def test_a_condition_decides():
    v = T.matrix("v")
    never = rule("never", neg(neg(x)), x, where=lambda bound, walk: False)
    twice = neg(neg(v))
    assert rewrite([twice], [never]) == ([twice], [])


def test_broadcast_operands_that_vanish_leave_their_shape():
    column = TensorType("float32", (3, 1))("column")
    ones = T.ones((1, 4))
    (after,), _ = rewrite([column * ones], [rule("x * 1", x * 1, x)])
    assert after.type.shape == (3, 4)
    assert mul not in {n.op for n in toposort([after])}
