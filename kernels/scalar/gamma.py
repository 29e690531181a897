"""gammaln and digamma.

Arguments below 8 are moved to [1, 2] by the recurrence, where polynomials hold the zeros at 1 and 2
of the one, and at 1.4616... of the other, as factors; from 8 on the asymptotic series serve;
negative arguments are reflected (DLMF 5.5, 5.11). Coefficients are ours (minimax.py).
"""

from math import inf, log, nan, pi

from symnet.kernels.scalar.exponential import FORMATS
from symnet.kernels.scalar.logarithm import log as logarithm
from symnet.kernels.scalar.registry import define
from symnet.kernels.scalar.trace import Value, muladd, polynomial, select
from symnet.kernels.scalar.trigonometric import cos_near_zero, sin_near_zero

# lgamma(1 + u) / (u (u - 1)) in u - 1/2 for 0 <= u <= 1
_GAMMALN = {
    # relative error 2^-25.01, 2^-54.7
    "float32": (
        0.48312896490097046,
        -0.14595989882946014,
        0.06291037797927856,
        -0.03130811080336571,
        0.016817860305309296,
        -0.009435154497623444,
        0.005273805931210518,
        -0.0031218859367072582,
        0.0025396826677024364,
        -0.0015170632395893335,
    ),
    "float64": (
        0.4831289505409809,
        -0.14595989591430608,
        0.06291140107456945,
        -0.03130848750101054,
        0.016797098630837497,
        -0.009425622448551541,
        0.005446457856403903,
        -0.003212074072326315,
        0.001922915936941522,
        -0.0011644146201642556,
        0.0007115239828592141,
        -0.0004379925633147122,
        0.00027127344276597085,
        -0.0001689223086691913,
        0.00010556373388208369,
        -6.611694800876023e-05,
        4.236550028503676e-05,
        -2.7282172750986856e-05,
        1.436249640165926e-05,
        -8.207665601272872e-06,
        1.1244149393966017e-05,
        -7.875706840427403e-06,
    ),
}
# digamma(1 + u) / (1 + u - root) in u - 1/2 for 0 <= u <= 1
_DIGAMMA = {
    # relative error 2^-26.52, 2^-54.29
    "float32": (
        0.9510558843612671,
        -0.42362749576568604,
        0.24054190516471863,
        -0.14839890599250793,
        0.09499815106391907,
        -0.06205562502145767,
        0.04073150455951691,
        -0.025787927210330963,
        0.017574429512023926,
        -0.01637273095548153,
        0.010251632891595364,
    ),
    "float64": (
        0.9510558760318328,
        -0.4236274212814606,
        0.24054248424080238,
        -0.14840492305388428,
        0.09498872445127542,
        -0.06192213327527625,
        0.040760834018941726,
        -0.026975796666455373,
        0.01790724622126603,
        -0.01190821998478638,
        0.007927056137476348,
        -0.005279938623598279,
        0.0035177455037226227,
        -0.0023454848291469365,
        0.0015658565369736878,
        -0.0010365046135102332,
        0.0006797631559763884,
        -0.00048581694816469,
        0.0003554054638537716,
        -0.00014502480427244722,
        4.6058759535291566e-05,
        -0.00017806436280114557,
        0.00015403139121185168,
    ),
}
# x (lgamma(x) - (x - 1/2) log x + x - log(2 pi)/2) in 1/x**2 for x >= 8
_STIRLING = {
    # relative error 2^-25.0, 2^-54.0
    "float32": (
        0.0833333358168602,
        -0.0027783531695604324,
        0.0008135837269946933,
    ),
    "float64": (
        0.08333333333333333,
        -0.0027777777777668144,
        0.0007936507860925086,
        -0.0005952357836339811,
        0.0008413848469467488,
        -0.0018860266366074407,
        0.004980246918005982,
    ),
}
# x**2 (log x - 1/(2x) - digamma(x)) in 1/x**2 for x >= 8
_PSI_TAIL = {
    # relative error 2^-25.0, 2^-54.0
    "float32": (
        0.0833333358168602,
        -0.008333544246852398,
        0.003912611864507198,
    ),
    "float64": (
        0.08333333333333333,
        -0.008333333333321083,
        0.0039682539586776725,
        -0.004166663268077019,
        0.007575110259002334,
        -0.021021747991285936,
        0.07877205134425601,
        -0.27806008658649994,
    ),
}
# the zero of digamma, less 1, in two parts
_ROOT = {
    "float32": (0.4616321325302124, 1.243815006546356e-08),
    "float64": (0.46163214496836236, -1.5522348162858677e-17),
}


def _sin_cos_pi(r: Value) -> tuple[Value, Value]:
    """sin and cos of pi r for 0 <= r <= 1/2."""
    fold = r > 0.25
    angle = select(fold, 0.5 - r, r) * pi
    sine, cosine = sin_near_zero(angle), cos_near_zero(angle)
    return select(fold, cosine, sine), select(fold, sine, cosine)


@define()
def gammaln(x: Value) -> Value:
    """log |gamma(x)|; inf at 0, -1, -2, ... Near its other negative zeros only the absolute
    error is small."""
    a = x.abs()
    small, large = a < 1.0, a >= 8.0
    y, product = a, a.like(1)
    for _ in range(6):
        lower, move = y - 1.0, y >= 2.0
        product, y = select(move, product * lower, product), select(move, lower, y)
    u = select(small, a, y - 1.0)  # gamma(1 + u); 1 + a would lose bits
    core = u * (u - 1.0) * polynomial(u - 0.5, _GAMMALN[x.dtype])
    power = logarithm(select(small | large, a, product))
    inverse = 1.0 / a
    series = polynomial(inverse * inverse, _STIRLING[x.dtype]) * inverse
    stirling = muladd(a - 0.5, power - 1.0, series + (log(2 * pi) / 2 - 0.5))
    value = select(large, stirling, core + select(small, -power, power))
    # gamma(-a) gamma(a) = -pi / (a sin(pi a))
    sine, _ = _sin_cos_pi((a - a.round_even()).abs())
    reflected = -logarithm(a * sine * (1 / pi)) - value
    negative = (x < 0) & (a > FORMATS[x.dtype].tiny)  # gamma(-a) is -1/a below
    return select(a == inf, inf, select(negative, reflected, value))


@define()
def digamma(x: Value) -> Value:
    """The derivative of gammaln; NaN at -1, -2, ..., and -inf at 0, inf at -0.

    Near its negative zeros only the absolute error is small.
    """
    a = x.abs()
    small, large = a < 1.0, a >= 8.0
    y = a
    # the sum of 1/(y-1), 1/(y-2), ... as one fraction; -1/a for digamma(1 + a) - 1/a
    numerator, denominator = select(small, -1.0, a.like(0)), select(small, a, 1.0)
    for _ in range(6):
        lower, move = y - 1.0, y >= 2.0
        numerator = select(move, muladd(numerator, lower, denominator), numerator)
        denominator = select(move, denominator * lower, denominator)
        y = select(move, lower, y)
    u = select(small, a, y - 1.0)
    root = _ROOT[x.dtype]
    core = ((u - root[0]) - root[1]) * polynomial(u - 0.5, _DIGAMMA[x.dtype])
    inverse = 1.0 / a
    square = inverse * inverse
    tail = muladd(inverse, 0.5, square * polynomial(square, _PSI_TAIL[x.dtype]))
    value = select(large, logarithm(a) - tail, core + numerator / denominator)
    # digamma(-a) = digamma(a) + 1/a + pi cot(pi a)
    r = a - a.round_even()
    sine, cosine = _sin_cos_pi(r.abs())
    cotangent = select(r < 0, -cosine, cosine) / sine * pi
    reflected = select(r == 0, nan, value + (inverse + cotangent))
    return select(x == 0, -1.0 / x, select(x < 0, reflected, value))
