"""erf and erfc: a polynomial near 0, and e**(-x**2) times one in (x - K)/(x + K) further out.

The form of the latter is that of Shepherd and Laframboise (Math. Comp. 36, 1981), with our own
minimax coefficients (minimax.py).
"""

from symnet.kernels.scalar.exponential import exp_of_sum, with_sign_of
from symnet.kernels.scalar.registry import define
from symnet.kernels.scalar.trace import Value, muladd, polynomial, select, two_product

# erf(x)/x - 1 in x**2 for |x| <= 1
_ERF = {
    # relative error 2^-29.3, 2^-56.3
    "float32": (
        0.12837916612625122,
        -0.3761262595653534,
        0.1128358244895935,
        -0.026853637769818306,
        0.0051879375241696835,
        -0.0008006430580280721,
        7.840601756470278e-05,
    ),
    "float64": (
        0.1283791670955126,
        -0.3761263890318388,
        0.11283791670958992,
        -0.02686617064566151,
        0.005223977629461873,
        -0.0008548327208659222,
        0.00012055338412260652,
        -1.4925752523059392e-05,
        1.6463295072227894e-06,
        -1.637268691038265e-07,
        1.4799399762658016e-08,
        -1.1877063454881885e-09,
        6.758564799703782e-11,
    ),
}
# (1 + 2x) e**(x**2) erfc(x) in (x - K)/(x + K) from x = 0 to where erfc underflows
_ERFC = {
    # K = 2, relative error 2^-27.2; K = 4, relative error 2^-54.4
    "float32": (
        1.2769783735275269,
        -0.09276381880044937,
        -0.16603022813796997,
        0.16405102610588074,
        -0.05422050878405571,
        -0.008031241595745087,
        0.008719361387193203,
        0.0012560691684484482,
        -0.0014385057147592306,
        -0.0004096757329534739,
        0.00018082605674862862,
        8.696088480064645e-05,
    ),
    "float64": (
        1.2329951186255526,
        -0.1396211168405629,
        0.015379652102614574,
        0.06809705425473546,
        -0.10103906603612642,
        0.09373283499689461,
        -0.0663303658152621,
        0.037167515560302,
        -0.016197734025567147,
        0.0050319697804020085,
        -0.0007577735204839078,
        -0.0001992556651314875,
        0.00015062283242391666,
        -2.4402553700163577e-05,
        -1.1225969321878333e-05,
        5.716403067923389e-06,
        3.0268701818436657e-07,
        -8.330048018546462e-07,
        6.208556158817927e-08,
        1.136174973357618e-07,
        -7.893538855205463e-09,
        -1.3081121713123593e-08,
        -1.6052892742279437e-09,
    ),
}
_CENTRE = {"float32": 2.0, "float64": 4.0}
_ZERO_FROM = {"float32": 10.25, "float64": 27.5}


def _erfc_of_positive(a: Value) -> Value:
    centre, limit = _CENTRE[a.dtype], _ZERO_FROM[a.dtype]
    a = select(a > limit, limit, a)
    high, low = two_product(a, a)  # an error in the exponent would grow with x**2
    factor = polynomial((a - centre) / (a + centre), _ERFC[a.dtype]) / muladd(a, 2.0, 1.0)
    return exp_of_sum(-high, -low) * factor


def _erf_near_zero(x: Value) -> Value:
    return muladd(polynomial(x * x, _ERF[x.dtype]), x, x)


@define()
def erf(x: Value) -> Value:
    a = x.abs()
    value = select(a < 1.0, _erf_near_zero(a), 1.0 - _erfc_of_positive(a))
    return with_sign_of(value, x)


@define()
def erfc(x: Value) -> Value:
    """1 - erf(x), accurate where that is small."""
    a = x.abs()
    value = _erfc_of_positive(a)
    return select(a < 0.5, 1.0 - _erf_near_zero(x), select(x < 0, 2.0 - value, value))
