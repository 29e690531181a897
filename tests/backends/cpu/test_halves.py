"""Compiled functions of halves: bit for bit the interpreter's values, fused or not."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet.backends.reference import evaluate
from symnet.errors import IndexOutOfBoundsError, TypeMismatchError
from symnet.function import Mode, function
from symnet.graph.types import FLOATS, HALVES, NUMPY_DTYPES, TensorType
from symnet.kernels.scalar.accuracy import ULP_BOUNDS
from symnet.ops.elementwise import ELEMENTWISE
from symnet.rewrite.phases import optimise
from symnet.schedule.buffers import plan
from symnet.schedule.kernel import Let, Load, Scalar, Store
from symnet.schedule.program import MatmulStep
from symnet.testing.strategies import arrays

PLAIN = Mode(rewrite="none", fuse=False, reuse=False)
HALF = st.sampled_from(sorted(HALVES))


def steps_apart(a, b):
    """How many halves lie between a and b; NaN is as far from others as can be."""

    def number(x):
        bits = x.view("uint16").astype("int64")
        return np.where(bits & 0x8000, -(bits & 0x7FFF), bits)

    one, other = np.isnan(a.astype("float32")), np.isnan(b.astype("float32"))
    return np.where(one | other, (one != other) * 10**6, abs(number(a) - number(b)))


def assert_same(found, wanted, steps=0):
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    if found.dtype.name in HALVES:
        assert np.max(steps_apart(found, wanted), initial=0) <= steps, (found, wanted)
    else:
        np.testing.assert_array_equal(found, wanted)


def halves(half):
    """Every half, in an order in which neighbours differ."""
    bits = np.arange(2**16, dtype="uint32") * 40503 % 2**16
    return bits.astype("uint16").view(NUMPY_DTYPES[half])


def exact(name):
    """Whether an op is made of functions that round correctly, so that NumPy's has its bits."""
    return not any(f in ELEMENTWISE[name].expression for f in ULP_BOUNDS)


@pytest.mark.parametrize("half", sorted(HALVES))
def test_every_half_through_memory(half):
    x = TensorType(half, (None,))("x")
    outputs = [x[::-1], x.astype("float32"), x.astype("float32").astype(half), -x, T.abs_(x)]
    given_ = halves(half)
    for mode in (None, PLAIN):
        f = function([x], outputs, mode=mode)
        for found, wanted in zip(f(given_), evaluate(outputs, {x: given_})):
            assert_same(found, wanted)


@settings(max_examples=60, deadline=None)
@given(st.data(), HALF, st.sampled_from(sorted(ELEMENTWISE)))
def test_elementwise_ops(data, half, name):
    op = ELEMENTWISE[name]
    try:
        op.rule([half] * op.nargs)
    except TypeMismatchError:
        return
    args = [data.draw(arrays(half, (40,), special=True)) for _ in range(op.nargs)]
    variables = [TensorType(half, (None,))() for _ in args]
    out = op(*variables)
    (wanted,) = evaluate([out], dict(zip(variables, args)))
    for mode in (None, PLAIN):
        found = function(variables, out, mode=mode)(*args)
        if wanted.dtype.name in FLOATS - HALVES:
            assert_same(found, wanted)
        else:
            assert_same(found, wanted, 0 if exact(name) else 1)


CASES = {
    "chain": lambda x, y: (x * y + x) / 3 - y * 0.1,
    "kept inside": lambda x, y: T.sqrt(abs(x * y)) * 7 + x,
    "mixed": lambda x, y: (x * y).astype("float32") * 1.1 + y,
    "with integers": lambda x, y: x + T.arange(x.shape[1]),
    "choice": lambda x, y: T.where(x < y, x * 3, T.maximum(y, 0.3)),
    "rows": lambda x, y: (x - T.mean(x, axis=1, keepdims=True)) * y,
    "columns": lambda x, y: T.sum(x * y, axis=0),
    "everything": lambda x, y: T.sum(x * y) * 0.5,
    "largest": lambda x, y: [T.max(x * y, axis=1), T.argmax(x, axis=0), T.min(y)],
    "products": lambda x, y: T.prod(x, axis=1) + T.sum(y, axis=1),
    "joined": lambda x, y: T.concatenate([x * 0.1, y[:, ::-1]], axis=1),
    "parts": lambda x, y: T.inc_subtensor(x[1:3], y[:2] * 0.1),
    "taken": lambda x, y: T.inc_subtensor(x[np.array([1, 1, 0])], (x * y)[:3]),
    "one row set": lambda x, y: T.set_subtensor(x[0], (x * y)[1])[:, 1:],
    "reshaped": lambda x, y: (x * 0.3).reshape((-1,))[::-1] + 1,
    "doubles": lambda x, y: (x.astype("float64") * 0.1).astype(x.dtype) + y,
    "several": lambda x, y: [x + y, (x + y) * x, T.sum(x + y, axis=1), x > y],
}


@pytest.mark.parametrize("half", sorted(HALVES))
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("shape", [(5, 7), (1, 33), (40, 600), (5000, 9)])
def test_fused_or_not_it_is_what_the_interpreter_says(name, half, shape):
    rng = np.random.default_rng(len(name))
    kind = NUMPY_DTYPES[half]
    x, y = (TensorType(half, (None, None))(n) for n in "xy")
    # few digits, so that the sums of float32 are exact in any order
    a, b = (rng.integers(-8, 9, shape).astype(kind) / kind.type(8) for _ in "xy")
    if name in ("parts", "taken", "one row set") and shape[0] < 5:
        return
    if name == "products":
        a = np.abs(a) * kind.type(0) + kind.type(1)
    outputs = CASES[name](x, y)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    wanted = evaluate(outputs, {x: a, y: b})
    for mode in (None, PLAIN):
        f = function([x, y], outputs, mode=mode, on_unused_input="ignore")
        for found, right in zip(f(a, b), wanted):
            assert_same(found, right)


@pytest.mark.parametrize("half", sorted(HALVES))
@pytest.mark.parametrize("transposed", [False, True])
def test_products_add_up_in_float32(half, transposed):
    rng = np.random.default_rng(0)
    kind = NUMPY_DTYPES[half]
    x, y = (TensorType(half, (None, None))(n) for n in "xy")
    a, b = (rng.integers(-4, 5, (300, 300)).astype(kind) for _ in "xy")
    out = T.dot(x.T, y[::-1]) if transposed else T.dot(x, y) * 0.5 + x
    for mode in (None, PLAIN):
        assert_same(function([x, y], out, mode=mode)(a, b), evaluate([out], {x: a, y: b})[0])
    stacked = TensorType(half, (None, None, None))("z")
    c = rng.integers(-4, 5, (3, 20, 30)).astype(kind)
    out = T.batched_dot(stacked, stacked.dimshuffle(0, 2, 1))
    assert_same(function([stacked], out)(c), evaluate([out], {stacked: c})[0])


@pytest.mark.parametrize("half", sorted(HALVES))
def test_limits(half):
    kind = NUMPY_DTYPES[half]
    info = ml_dtypes.finfo(kind)
    x = TensorType(half, (None,))("x")
    f = function([x], [x * 2, x / 2, x - x, x * 0 + 1])
    double, by_two, nothing, one = f(
        np.array([info.max, -info.max, info.smallest_subnormal, info.tiny, np.inf, np.nan], kind)
    )
    assert double[:2].tolist() == [np.inf, -np.inf]
    assert float(double[2]) == 2 * float(info.smallest_subnormal)
    assert float(by_two[3]) == float(info.tiny) / 2  # subnormal
    assert float(by_two[2]) == 0  # a tie, to even
    assert np.isnan(nothing[4:].astype("float32")).all() and np.isnan(one[4:].astype("f4")).all()
    half_way = function([y := TensorType("float32", (None,))("y")], y.astype(half))
    top = float(info.max)
    step = top - float(np.nextafter(info.max, kind.type(0)))
    found = half_way(np.array([top + step / 2 * (1 - 2**-12), top + step / 2], "float32"))
    assert found.astype("float32").tolist() == [top, np.inf]


@pytest.mark.parametrize("half", sorted(HALVES))
def test_updates_in_place_and_atomic(half):
    kind = NUMPY_DTYPES[half]
    w = symnet.shared(np.ones((4, 3), kind), name="w")
    x, i = T.matrix("x", dtype=half), T.lscalar("i")
    cost = T.sum(T.sqr(T.dot(x, w.T)))
    step = function([x, i], cost + w[i, 0], updates=[(w, w - 0.01 * symnet.grad(cost, w))])
    a = np.arange(6).reshape(2, 3).astype(kind) / kind.type(8)
    built = [cost, w - 0.01 * symnet.grad(cost, w)]
    for _ in range(3):
        _, wanted = evaluate(built, {x: a})
        step(a, 1)
        assert_same(w.get_value(), wanted, 1)
    before = w.get_value()
    with pytest.raises(IndexOutOfBoundsError):
        step(a, 4)
    assert_same(w.get_value(), before)


def test_mixed_precision_keeps_weights_in_float32():
    w = symnet.shared(np.full((3, 2), 0.1, "float32"), name="w")
    x = T.matrix("x")
    p = T.dot(x.astype("bfloat16"), w.astype("bfloat16")).astype("float32")
    cost = T.mean(T.sqr(p))
    (g,) = symnet.grad(cost, [w])
    assert g.dtype == "float32"
    train = function([x], cost, updates=[(w, w - 0.1 * g)])
    data = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    costs = [float(train(data)) for _ in range(20)]
    assert costs[-1] < 0.5 * costs[0] and w.get_value().dtype == np.float32


@pytest.mark.parametrize("half", sorted(HALVES))
def test_kernels_know_halves_as_operands_only(half):
    x = TensorType(half, (None, None))("x")
    out = T.nnet.softmax(T.dot(x, x.T) * 0.1) + x.sum(axis=0) * T.exp(x[0, 0])
    (result,), _ = optimise([out])
    program, _ = plan([x], [result])
    for kernel in program.kernels:
        assert not HALVES.intersection(kernel.scalars)
        assert not any(o.per_thread and o.dtype in HALVES for o in kernel.operands)
        for s in kernel.statements():
            if isinstance(s, (Let, Load, Scalar)):
                assert s.dtype not in HALVES
            if isinstance(s, Store) and kernel.operands[s.operand].dtype in HALVES:
                assert dict_of_dtypes(kernel).get(s.value, "float32") == "float32"
        assert not any(a.dtype in HALVES for stage in kernel.stages for a in stage.accumulators)
    products = [s for s in program.steps if isinstance(s, MatmulStep)]
    assert [s.dtype for s in products] == ["float32"]


def dict_of_dtypes(kernel):
    found = {s.name: s.dtype for s in kernel.statements() if isinstance(s, (Let, Load, Scalar))}
    for stage in kernel.stages:
        found.update({a.name: a.dtype for a in stage.accumulators})
    return found


@pytest.mark.parametrize("half", sorted(HALVES))
def test_a_back_end_may_multiply_halves_itself(half):
    x = TensorType(half, (None, None))("x")
    for level in ("full", "none"):
        (result,), _ = optimise([T.dot(x, x.T) + x], level, native_half_products=True)
        program, _ = plan([x], [result])
        (product,) = [s for s in program.steps if isinstance(s, MatmulStep)]
        assert (product.dtype, product.beta) == (half, 0)  # rounded before anything is added
