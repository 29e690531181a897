"""The registry of element-wise ops: every record against itself, and against mathematics."""

import math
import pickle

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, from_dtype

import symnet.tensor as T
from symnet.autodiff import grad
from symnet.backends.reference import evaluate
from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph.types import DTYPES, FLOATS, HALVES, TensorType
from symnet.kernels.scalar.evaluate import evaluate as scalar_function
from symnet.ops import arithmetic, exponential, scalar, special
from symnet.ops.conversion import common_dtype
from symnet.ops.elementwise import ELEMENTWISE

NAMES = sorted(ELEMENTWISE.keys() - {f"cast_{half}" for half in HALVES})  # see test_halves.py
WHOLE = [d for d in DTYPES if d not in HALVES]
SPECIAL = {
    "f": [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -2.5, 2.0, 3.0, 7.25, -30.0, 100.0, 1e-30, -1e-42,
          1e30, math.inf, -math.inf, math.nan],
    "i": [0, 1, -1, 2, -2, 3, 7, -8, 31, 32, 63, 64, 100, -128, 127],
    "u": [0, 1, 2, 3, 7, 8, 31, 64, 127, 128, 255],
    "b": [False, True],
}  # fmt: skip


def computed(name: str, arguments: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """A record's expression through our scalar functions, and its NumPy reference."""
    op = ELEMENTWISE[name]
    node = op.make_node(*(TensorType(a.dtype.name, (None,) * a.ndim)() for a in arguments))
    wanted = op.compute_dtypes(node)

    def value(tree, neighbour):
        if isinstance(tree, scalar.Arg):
            return arguments[tree.position].astype(wanted[tree.position], copy=False)
        if isinstance(tree, scalar.Number):
            return np.array(tree.value, neighbour)
        # literals take the dtype of the first argument that has one of its own
        typed = [value(a, None) for a in tree.args if not isinstance(a, scalar.Number)]
        near = typed[-1].dtype
        return scalar_function(tree.function, *(value(a, near) for a in tree.args))

    with np.errstate(all="ignore"):
        ours = value(op.tree, None).astype(node.out.type.dtype)
    (reference,) = op.perform(node, arguments)
    assert reference.dtype == node.out.type.dtype
    return ours, reference


def assert_same(name: str, ours: np.ndarray, reference: np.ndarray) -> None:
    if reference.dtype.kind != "f":
        np.testing.assert_array_equal(ours, reference, err_msg=name)
        return
    # float32 log2 and log10 of NumPy err by 2 units; compositions by a few
    eps = np.finfo(reference.dtype).eps
    np.testing.assert_allclose(ours, reference, rtol=16 * eps, atol=4 * eps, err_msg=name)


def takes(name: str, dtypes: list[str]) -> bool:
    try:
        ELEMENTWISE[name].rule(dtypes)
    except TypeMismatchError:
        return False
    return True


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "int64", "uint8", "bool"])
@pytest.mark.parametrize("name", NAMES)
def test_expression_and_reference_agree_on_special_values(name, dtype):
    nargs = ELEMENTWISE[name].nargs
    if not takes(name, [dtype] * nargs):
        return
    values = np.array(SPECIAL[np.dtype(dtype).kind]).astype(dtype)
    grid = [g.ravel() for g in np.meshgrid(*[values] * nargs)]
    assert_same(name, *computed(name, grid))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_expression_and_reference_agree(data):
    name = data.draw(st.sampled_from(NAMES))
    nargs = ELEMENTWISE[name].nargs
    dtypes = [data.draw(st.sampled_from(WHOLE)) for _ in range(nargs)]
    if not takes(name, dtypes):
        return
    size = data.draw(st.integers(0, 5))
    arguments = []
    for dtype in dtypes:
        # beyond that float32 sine and cosine of NumPy are not exact, and logarithms overflow
        bounds = {"min_value": -1e5, "max_value": 1e5} if dtype in FLOATS else {}
        arguments.append(
            data.draw(arrays(dtype, size, elements=from_dtype(np.dtype(dtype), **bounds)))
        )
    assert_same(name, *computed(name, arguments))


@pytest.mark.parametrize("name", NAMES)
def test_op_pickles_to_itself(name):
    assert pickle.loads(pickle.dumps(ELEMENTWISE[name])) is ELEMENTWISE[name]


# ---- dtypes


@given(st.sampled_from(DTYPES), st.sampled_from(DTYPES))
def test_common_dtype_is_symmetric_and_keeps_floats(a, b):
    meet = common_dtype([a, b])
    assert meet == common_dtype([b, a])
    if a in FLOATS and b not in FLOATS:
        assert meet == a
    if a not in FLOATS and b not in FLOATS:
        assert meet not in FLOATS


@pytest.mark.parametrize(
    ("build", "dtype"),
    [
        (lambda: T.fvector() * T.lvector(), "float32"),
        (lambda: T.ivector() / T.ivector(), "float32"),
        (lambda: T.fvector() + np.float64(0.1), "float32"),
        (lambda: T.bvector() + 1, "int8"),
        (lambda: T.ivector() + 0.5, "float32"),
        (lambda: T.tensor("bool", (None,)) + T.tensor("bool", (None,)), "int8"),
        (lambda: T.dvector() < 1, "bool"),
        (lambda: T.where(T.dvector(), T.fvector(), 0), "float32"),
        (lambda: T.exp(T.lvector()), "float32"),
        (lambda: T.lvector() // 2, "int64"),
        (lambda: T.cast(T.dvector(), "int16"), "int16"),
    ],
)
def test_result_dtypes(build, dtype):
    assert build().type.dtype == dtype


def test_integers_do_not_become_floats_by_promotion():
    assert (T.tensor("uint64", ()) + T.lscalar()).type.dtype == "int64"


# ---- shapes


def test_static_sizes_that_do_not_fit_name_both_operands():
    a, b = T.matrix("a", shape=(2, 3)), T.matrix("b", shape=(2, 4))
    with pytest.raises(ShapeError, match=r"(?s)add: sizes 3 and 4 .*a: float32\(2, 3\).*2, 4"):
        a + b


@pytest.mark.parametrize(
    ("a", "b", "out"),
    [
        ((None, 3), (1, 3), (None, 3)),
        ((2, 1), (1, 3), (2, 3)),
        ((None,), (5,), (5,)),
        ((4, 5), (5,), (4, 5)),
        ((4, 5), (), (4, 5)),
        ((1,), (None,), (None,)),
    ],
)
def test_static_shapes_broadcast(a, b, out):
    assert (T.tensor("float32", a) * T.tensor("float32", b)).type.shape == out


def test_a_runtime_size_of_one_does_not_broadcast():
    a, b = T.dvector("a"), T.dvector("b")
    with pytest.raises(ShapeError):
        evaluate([a + b], {a: np.ones(3), b: np.ones(1)})


def test_wrong_number_of_arguments():
    with pytest.raises(TypeMismatchError, match="takes 2 arguments, not 1"):
        arithmetic.add(T.scalar())


def test_bits_of_floats_are_refused():
    with pytest.raises(TypeMismatchError, match="bit_and"):
        T.fvector() & 1


# ---- values that expression and reference could get wrong together


def value(expression, **inputs):
    (result,) = evaluate([expression], inputs)
    return result


@pytest.mark.parametrize(
    ("op", "scipy_function"),
    [
        (special.erf, scipy.special.erf),
        (special.erfc, scipy.special.erfc),
        (exponential.sigmoid, scipy.special.expit),
        (exponential.softplus, lambda x: np.logaddexp(x, 0)),
    ],
)
def test_against_scipy(op, scipy_function):
    x = T.dvector()
    points = np.concatenate([np.linspace(-40, 40, 101), [800.0, -800.0]])
    (result,) = evaluate([op(x)], {x: points})
    np.testing.assert_allclose(result, scipy_function(points), rtol=1e-13, atol=1e-300)


def test_products_with_logarithms_against_scipy():
    x, y = T.dvector(), T.dvector()
    a, b = np.array([0, 0, 1, 2, 0.5]), np.array([0, 3, 0, 4, 0.1])
    results = evaluate([exponential.xlogy(x, y), exponential.xlog1py(x, y)], {x: a, y: b})
    np.testing.assert_allclose(results[0], scipy.special.xlogy(a, b))
    np.testing.assert_allclose(results[1], scipy.special.xlog1py(a, b))


def test_integer_division_has_pythons_meaning():
    x, y = T.lvector(), T.lvector()
    pairs = [(a, b) for a in range(-7, 8) for b in (-3, -2, -1, 1, 2, 5)]
    a, b = np.array(pairs).T
    quotient, rest = evaluate([x // y, x % y], {x: a, y: b})
    assert [divmod(m, n) for m, n in pairs] == list(zip(quotient.tolist(), rest.tolist()))
    quotient, rest = evaluate([x // y, x % y], {x: a, y: 0 * b})
    assert not quotient.any()
    assert not rest.any()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "bool"])
def test_casts_of_floats_saturate_and_never_are_undefined(dtype):
    x = T.dvector()
    points = np.array([math.nan, math.inf, -math.inf, 2.9, -2.9, 300.0, -300.0, 1e30])
    (result,) = evaluate([T.cast(x, dtype)], {x: points})
    if dtype == "bool":
        assert result.all()
        return
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    expected = [0 if v != v else int(min(max(v, low), high)) for v in points]
    assert result.tolist() == expected


def test_rounding_of_halves():
    x = T.dvector()
    points = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49999999999999994])
    even, away = evaluate([T.round(x), T.round(x, "half_away_from_zero")], {x: points})
    assert even.tolist() == [-2, -2, 0, 0, 2, 2, 0]
    assert away.tolist() == [-3, -2, -1, 1, 2, 3, 0]


def test_strong_products_and_quotients():
    x, y = T.dvector(), T.dvector()
    bad = np.array([math.inf, -math.inf, math.nan, 0.0, 2.0])
    zero = {x: np.zeros(5), y: bad}
    product, swapped, quotient = evaluate(
        [arithmetic.strong_mul(x, y), arithmetic.strong_mul(y, x), arithmetic.strong_div(x, y)],
        zero,
    )
    assert not product.any()
    assert not swapped.any()
    assert not quotient.any()


# ---- gradients

POINTS = np.array([-2.0, -1.0, 0.0, 1.0, 4.0])


def derivatives(build, points, order=2):
    """Values of the first derivatives of an element-wise function."""
    x = T.dvector("x")
    found, y = [], build(x)
    for _ in range(order):
        y = grad(y.sum(), x, disconnected_inputs="ignore")
        found.append(y)
    return evaluate(found, {x: np.asarray(points, "float64")})


@pytest.mark.parametrize(
    ("build", "points", "first", "second"),
    [
        # the adjoint vanishes at the point, the second derivative does not
        (lambda x: (T.sqrt(x) - 2) ** 2, [4.0], [0.0], [0.125]),
        (lambda x: T.log(x) ** 2, [1.0], [0.0], [2.0]),
        (lambda x: (1 / x - 1) ** 2, [1.0], [0.0], [2.0]),
        (lambda x: (abs(x) - 1) ** 2, [1.0, -1.0], [0.0, 0.0], [2.0, 2.0]),
        (lambda x: (T.exp(x) - 1) ** 2, [0.0], [0.0], [2.0]),
        (lambda x: (T.maximum(x, 1) - 2) ** 2, [2.0], [0.0], [2.0]),
        (lambda x: (T.reciprocal(x) - 1) ** 2, [1.0], [0.0], [2.0]),
        # powers
        (lambda x: x**2, [0.0, -3.0], [0.0, -6.0], [2.0, 2.0]),
        (lambda x: x**3, [0.0, -2.0], [0.0, 12.0], [0.0, -12.0]),
        (lambda x: x**1, [0.0], [1.0], [0.0]),
        (lambda x: x**0, [0.0], [0.0], [0.0]),
        (lambda x: x**-1, [-2.0], [-0.25], [-0.25]),
        (lambda x: x * x * x, [0.0], [0.0], [0.0]),
        # kinks
        (abs, [0.0], [0.0], [0.0]),
        (lambda x: T.nnet.relu(x), [-1.0, 0.0, 2.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]),
        (lambda x: T.nnet.relu(x) ** 2, [-1.0, 0.0, 2.0], [0.0, 0.0, 4.0], [0.0, 0.0, 2.0]),
        (lambda x: T.clip(x, -1, 1), [-2.0, -1.0, 0.5, 1.0], [0, 1, 1, 1], [0, 0, 0, 0]),
        # tails
        (T.nnet.softplus, [800.0, -800.0, 0.0], [1.0, 0.0, 0.5], [0.0, 0.0, 0.25]),
        (T.nnet.sigmoid, [800.0, 0.0], [0.0, 0.25], [0.0, 0.0]),
        (T.tanh, [800.0, 0.0], [0.0, 1.0], [0.0, 0.0]),
        (lambda x: T.logaddexp(x, x), [1.0, -math.inf], [1.0, 1.0], [0.0, 0.0]),
        (lambda x: T.logaddexp(x, 0), [0.0], [0.5], [0.25]),
    ],
)
def test_first_and_second_derivative(build, points, first, second):
    one, two = derivatives(build, points)
    np.testing.assert_allclose(one, first, atol=1e-15)
    np.testing.assert_allclose(two, second, atol=1e-15)


MASKED = {
    "sqrt": lambda x: T.where(x > 0, T.sqrt(x), 0),
    "log": lambda x: T.where(x > 0, T.log(x), 0),
    "reciprocal": lambda x: T.where(x > 0, 1 / x, 0),
    "division": lambda x: T.where(x > 0, (x + 1) / (x * x), 0),
    "product": lambda x: T.where(x > 0, x * (1 / x), 0),
    "power": lambda x: T.where(x > 0, x**0.5, 0),
    "power of itself": lambda x: T.where(x > 0, x**x, 0),
    "exp": lambda x: T.where(x < 1, x, T.exp(1e6 + x)),
    "maximum": lambda x: T.where(x > 0, T.maximum(T.log(x), -1), 0),
    "arcsin": lambda x: T.where(abs(x) < 0.9, T.arcsin(x), 0),
    "tanh of nan": lambda x: T.where(x > 0, T.tanh(T.log(x)), 0),
    "softplus of nan": lambda x: T.where(x > 0, T.nnet.softplus(T.log(x)), 0),
    "arctan2": lambda x: T.where(x > 0, T.arctan2(x, x * 0), 0),
    "hypot": lambda x: T.where(x > 0, T.hypot(x, 0), 0),
    "xlogy": lambda x: T.where(x > 0, T.xlogy(x, x), 0),
    "floor_mod": lambda x: T.where(x > 0, 5 % x, 0),
}


@pytest.mark.parametrize("name", MASKED)
def test_what_a_mask_hides_does_not_leak_into_gradients(name):
    one, two = derivatives(MASKED[name], [-1.0, 0.0, 0.5])
    assert np.isfinite(one).all(), one
    assert np.isfinite(two).all(), two
    assert one[2] or name in ("arctan2", "product")


@pytest.mark.parametrize(
    ("op", "first", "second"),
    [(T.maximum, [0, 1, 1], [1, 0, 0]), (T.minimum, [1, 1, 0], [0, 0, 1])],
)
def test_ties_of_extrema_go_to_the_first_argument(op, first, second):
    x, y = T.dvector(), T.dvector()
    got = evaluate(
        grad(op(x, y).sum(), [x, y]), {x: np.array([1.0, 2.0, 3.0]), y: np.array([2.0, 2.0, 2.0])}
    )
    assert got[0].tolist() == first
    assert got[1].tolist() == second


def test_gradient_by_the_exponent():
    x, y = T.dvector(), T.dvector()
    by_y = grad((x**y).sum(), y)
    points = {x: np.array([0.0, 0.0, 2.0, 1.0]), y: np.array([2.0, 0.0, 3.0, 5.0])}
    (got,) = evaluate([by_y], points)
    np.testing.assert_allclose(got, [0, 0, 8 * math.log(2), 0])
    mixed = grad(by_y.sum(), x)
    (got,) = evaluate([mixed], {x: np.array([0.0, 2.0]), y: np.array([2.0, 3.0])})
    np.testing.assert_allclose(got, [0, 4 + 12 * math.log(2)])


def test_norm_at_zero_has_a_zero_gradient():
    x = T.dvector()
    (got,) = evaluate([grad(x.norm(), x)], {x: np.zeros(3)})
    assert got.tolist() == [0, 0, 0]


def test_casts_between_floats_pass_gradients_back_in_the_dtype_they_came_in():
    x = T.fvector()
    gradient = grad(T.cast(x, "float64").sum(), x)
    assert gradient.type.dtype == "float32"


SMOOTH = [
    name
    for name, op in ELEMENTWISE.items()
    if op.gradient is not None
    and not name.startswith(("cast_", "where"))
    and name not in ("maximum", "minimum", "clip", "relu", "floor_mod", "abs")
]


@pytest.mark.parametrize("name", SMOOTH)
def test_gradient_against_differences(name):
    op = ELEMENTWISE[name]
    low, high = op.domain or (-2.0, 2.0)
    rng = np.random.default_rng(len(name))
    points = [rng.uniform(low, high, 7) for _ in range(op.nargs)]
    variables = [T.dvector() for _ in points]
    out = op(*variables)
    weights = rng.normal(size=7)
    first = grad((out * weights).sum(), variables)
    second = grad(sum(g.sum() for g in first), variables, disconnected_inputs="ignore")

    def at(expressions, shift):
        moved = {v: p + shift * (k == which) for k, (v, p) in enumerate(zip(variables, points))}
        return evaluate(expressions, moved)

    h = 1e-5
    for which in range(op.nargs):
        difference = (at([out], h)[0] - at([out], -h)[0]) * weights / (2 * h)
        np.testing.assert_allclose(at(first, 0)[which], difference, rtol=1e-6, atol=1e-6)
        difference = (sum(at(first, h)) - sum(at(first, -h))) / (2 * h)
        np.testing.assert_allclose(at(second, 0)[which], difference, rtol=1e-5, atol=1e-5)
