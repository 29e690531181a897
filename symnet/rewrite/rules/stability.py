"""Forms that overflow or cancel become forms that do not (design D12).

Inside its range each left side equals its right side; where the left side overflowed, underflowed
or cancelled, the right side gives the true value. `grad` differentiates the result.
"""

from symnet.ops.arithmetic import absolute, identity, neg, reciprocal, sqrt, square
from symnet.ops.exponential import exp, expm1, log, log1p, logaddexp, sigmoid, softplus
from symnet.ops.special import erf, erfc
from symnet.ops.trigonometric import tanh
from symnet.rewrite.pattern import rule, wildcard

x, y = wildcard("x"), wildcard("y")

ELEMENTWISE_RULES = [
    rule("identity", identity(x), x),  # it would hide from each other what is on its two sides
    rule("minus minus", neg(neg(x)), x),
    # logarithms and exponentials that undo each other
    rule("log exp", log(exp(x)), x),
    rule("log1p expm1", log1p(expm1(x)), x, domain=lambda x: x > -700),
    rule("expm1 log1p", expm1(log1p(x)), x, domain=lambda x: x >= -1),
    rule("sqrt square", [sqrt(square(x)), sqrt(x * x)], absolute(x)),
    # cancellation near 0
    rule("log(1 + x)", log(1 + x), log1p(x)),
    rule("log(1 - x)", log(1 - x), log1p(-x)),
    rule("exp(x) - 1", [exp(x) - 1, exp(x) + (-1)], expm1(x)),
    rule("1 - exp(x)", 1 - exp(x), -expm1(x)),
    rule("1 - erf", 1 - erf(x), erfc(x)),
    rule("1 + erf", 1 + erf(x), erfc(-x)),
    rule("1 - erfc", 1 - erfc(x), erf(x)),
    # the sigmoid family: exp overflows, 1 - sigmoid cancels
    rule("1 - sigmoid", 1 - sigmoid(x), sigmoid(-x)),
    rule("1 / (1 + exp)", [1 / (1 + exp(x)), reciprocal(1 + exp(x))], sigmoid(-x)),
    rule("exp / (1 + exp)", exp(x) / (1 + exp(x)), sigmoid(x)),
    rule("log sigmoid", log(sigmoid(x)), -softplus(-x)),
    rule("log1p(-sigmoid)", log1p(-sigmoid(x)), -softplus(x), domain=lambda x: x < 700),
    rule("log1p exp", log1p(exp(x)), softplus(x)),
    rule("log(exp + exp)", log(exp(x) + exp(y)), logaddexp(x, y)),
    rule("tanh", (exp(x) - exp(-x)) / (exp(x) + exp(-x)), tanh(x)),
    rule(
        "tanh from sigmoid",
        [2 * sigmoid(2 * x) - 1, 2 * sigmoid(2 * x) + (-1)],
        tanh(x),
    ),
    rule(
        "sigmoid from tanh",
        [(1 + tanh(0.5 * x)) * 0.5, (1 + tanh(x / 2)) * 0.5, (1 + tanh(x / 2)) / 2,
         (1 + tanh(0.5 * x)) / 2, 0.5 + 0.5 * tanh(0.5 * x), 0.5 + 0.5 * tanh(x / 2)],
        sigmoid(x),
    ),
]  # fmt: skip
