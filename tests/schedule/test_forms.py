"""Every form of kernel and kind of step, over shapes and dtypes: against the reference interpreter,
against the same program without any sharing of memory, and against other numbers of threads.

The three compiled results must be equal bit for bit; the reference may round otherwise.
"""

import functools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet.backends.cpu import bind
from symnet.tensor.shared_randomstreams import RandomStreams

FLOATS = ("float32", "float64")
ALL = (*FLOATS, "int64", "int32", "int8", "uint8", "bool")
SIZES = st.sampled_from([0, 1, 2, 3, 5, 8, 17, 33, 64, 65])


def softmax_and_its_gradient(x, y):
    p = T.nnet.softmax(x)
    return [p, symnet.grad((p * y).sum(), x)]


def layer_norm(x, y):
    centred = x - x.mean(axis=1, keepdims=True)
    scale = T.sqrt(T.sqr(centred).mean(axis=1, keepdims=True) + 1e-3)
    return [centred / scale, symnet.grad((centred / scale * y).sum(), x)]


def batch_norm(x, y):
    centred = x - x.mean(axis=0)
    scale = T.sqrt(T.sqr(centred).mean(axis=0) + 1e-3)
    return [centred / scale, symnet.grad((centred / scale * y).sum(), x)]


def regions(x, y):
    a = T.set_subtensor(x[1:], y[:-1])
    b = T.inc_subtensor(a[::-2], y[::-2])
    return [b, T.set_subtensor(b[:, :1], T.cast(0, x.dtype)), T.inc_subtensor(x[:, ::-1], x)]


def scatter(x, y):
    rows = T.arange(x.shape[0]) // 2
    return [
        T.inc_subtensor(x[rows], y),
        T.set_subtensor(x[rows], y),
        T.inc_subtensor(x[rows, T.minimum(rows, x.shape[1] - 1)], y[:, 0]),
    ]


def gather(x, y):
    rows = (T.arange(x.shape[0]) * 7 + 3) % T.maximum(x.shape[0], 1)
    return [x[rows], (x + y)[rows, 0], (x + y)[rows].sum(axis=0), x[rows[::-1]] + y]


def chained_in_place(x, y):
    """Values that take over each other's memory, in different forms."""
    a = T.exp(-T.sqr(x))
    b = T.dot(a, y.T)
    c = T.tanh(b) / (1 + b.sum(axis=1, keepdims=True) ** 2)
    d = T.dot(c, x)
    e = d - d.max(axis=0)
    return [e * T.sqr(e).sum(axis=0), d[::-1].sum()]


# name: (dtypes, smallest sizes, expressions of two matrices of equal shape)
CASES = {
    "map": (ALL, 0, lambda x, y: [T.where(x > y, x, y), x.T, x[::-1, ::2], T.maximum(x.T, y.T)]),
    "map of floats": (FLOATS, 0, lambda x, y: [T.exp(x) * y + T.log1p(x * x), T.tanh(x.T) - y.T]),
    "several dtypes": (
        ALL,
        0,
        lambda x, y: [T.cast(x, "float64") * 0.5, T.cast(y, "int64") + 1, T.eq(x, y), x.sum()],
    ),
    "rows": (ALL, 0, lambda x, y: [x.sum(axis=1), T.prod(x[:, :5], axis=1), T.any(x > y, axis=1)]),
    "columns": (ALL, 0, lambda x, y: [x.sum(axis=0), T.all(x <= y, axis=0), (x * y).sum(axis=0)]),
    "blocks": (ALL, 0, lambda x, y: [x.sum(), T.any(x > y), T.all(x > y), T.prod(x[:3, :3])]),
    "extremes": (
        ALL,
        1,
        lambda x, y: [f(a, axis=k) for f in (T.max, T.min) for a in (x, y.T) for k in (0, 1, None)],
    ),
    "positions": (
        ALL,
        1,
        lambda x, y: [f(x, axis=k) for f in (T.argmax, T.argmin) for k in (0, 1, None)],
    ),
    "softmax": (FLOATS, 1, softmax_and_its_gradient),
    "softmax of columns": (FLOATS, 1, lambda x, y: [T.nnet.softmax(x, axis=0) * y]),
    "layer norm": (FLOATS, 1, layer_norm),
    "batch norm": (FLOATS, 1, batch_norm),
    "reductions of reductions": (
        FLOATS,
        1,
        lambda x, y: [x.sum(axis=1).max(), (x - x.mean()).max(axis=0), T.sqr(x - y.mean()).mean()],
    ),
    "regions": (ALL, 1, regions),
    "scatter": (ALL, 1, scatter),
    "gather": (ALL, 1, gather),
    "joining": (
        ALL,
        0,
        lambda x, y: [T.concatenate([x, y[::-1], x[:0]]), T.stack([x.T, y.T], axis=1)],
    ),
    "reshapes": (
        ALL,
        0,
        lambda x, y: [x.reshape((-1,))[::-1], x.T.reshape((-1,)), (y.T.flatten() > 0).sum()],
    ),
    "gemm": (
        FLOATS,
        0,
        lambda x, y: [
            T.dot(x, y.T),
            T.dot(x.T, y) * 0.5,
            T.dot(x[::-1, ::2], y.T[::2]),
            T.dot(x, y[0:1].T),
        ],
    ),
    "gemm added": (FLOATS, 0, lambda x, y: [T.dot(x, T.dot(y.T, x)) * 2 - 0.5 * y]),
    "batched gemm": (
        FLOATS,
        1,
        lambda x, y: [
            T.batched_dot(x.dimshuffle(0, "x", 1), y.dimshuffle(0, 1, "x")),
            T.batched_dot(x.dimshuffle(1, 0, "x")[::-1], y.T.dimshuffle(0, "x", 1)),
        ],
    ),
    "in place": (FLOATS, 1, chained_in_place),
}  # fmt: skip
SHARED_ALIKE = {"gemm", "gemm added", "batched gemm", "in place"}  # products: per thread count


@functools.cache
def functions(name, dtype):
    """The reference, the usual program, and the one without reuse."""
    x, y = (T.tensor(dtype, shape=(None, None), name=n) for n in "xy")
    outputs = CASES[name][2](x, y)
    modes = "reference", symnet.Mode(), symnet.Mode(reuse=False)
    return [symnet.function([x, y], outputs, mode=m, on_unused_input="ignore") for m in modes]


def values(dtype, shape, seed):
    rng = np.random.default_rng(seed)
    if dtype.startswith("float"):
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(0, 2 if dtype == "bool" else 5, shape).astype(dtype)


def assert_bit_equal(found, wanted):
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        assert a.tobytes() == b.tobytes()


@pytest.fixture(autouse=True)
def share_everything(monkeypatch):
    """Steps are cut into slabs however small they are."""
    monkeypatch.setattr(bind, "SHARE_NS", -1.0)


@pytest.mark.parametrize(
    "name, dtype", [(name, dtype) for name, case in CASES.items() for dtype in case[0]]
)
def test_forms(name, dtype):
    reference, usual, apart = functions(name, dtype)
    least = CASES[name][1]

    @settings(max_examples=12, deadline=None)
    @given(n=SIZES, m=SIZES, seed=st.integers(0, 99))
    @example(n=1, m=1, seed=0)
    @example(n=max(least, 0), m=7, seed=1)
    @example(n=7, m=max(least, 0), seed=2)
    @example(n=3, m=1100, seed=3)
    @example(n=1100, m=3, seed=4)
    def check(n, m, seed):
        n, m = max(n, least), max(m, least)
        x, y = values(dtype, (n, m), seed), values(dtype, (n, m), seed + 1)
        wanted = reference(x, y)
        with symnet.config.change(threads=2):
            found = usual(x, y)
            assert_bit_equal(apart(x, y), found)
        with symnet.config.change(threads=1):
            alone = usual(x, y)
        if name not in SHARED_ALIKE:
            assert_bit_equal(alone, found)
        tolerance = 1e-9 if dtype == "float64" else 3e-4
        for a, b in zip(found, wanted, strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape
            scale = np.abs(b.astype("float64")).max(initial=1)
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale)

    check()


@pytest.mark.parametrize("shape", [(9000,), (3, 9000), (9000, 3), (2, 3, 3000)])
@pytest.mark.parametrize("dtype", FLOATS)
def test_long_sums_lose_no_digits(dtype, shape):
    """Sums of more than one block, over everything and over each axis."""
    x = T.tensor(dtype, shape=(None,) * len(shape))
    f = symnet.function([x], [x.sum(), *(x.sum(axis=k) for k in range(len(shape)))])
    value = (np.random.default_rng(0).random(shape) + 1).astype(dtype)
    exact = [value.sum(dtype="float64")]
    exact += [value.sum(axis=k, dtype="float64") for k in range(len(shape))]
    bound = 4e-7 if dtype == "float32" else 1e-14
    for found, wanted in zip(f(value), exact, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=bound)


@pytest.mark.parametrize("axes", [(0,), (1,), (3, 0), (2, 1), (0, 1, 2), (1, 3), (3, 2, 1, 0)])
def test_reductions_over_several_axes(axes):
    x = T.tensor4("x")
    f = symnet.function([x], [x.sum(axis=axes), T.max(x, axis=axes), T.exp(x.T).sum(axis=axes)])
    value = values("float32", (3, 4, 5, 6), 0)
    found = f(value)
    np.testing.assert_allclose(found[0], value.sum(axis=axes), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found[1], value.max(axis=axes))
    np.testing.assert_allclose(found[2], np.exp(value.T).sum(axis=axes), rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, None])
def test_positions_of_nan(axis):
    """NaN is the extreme, and the first one wins, also across blocks of the reduction."""
    x = T.matrix("x")
    f = symnet.function([x], [T.argmax(x, axis=axis), T.argmin(x, axis=axis), T.max(x, axis=axis)])
    value = values("float32", (9, 2000), 0)
    value[[1, 3, 3, 8], [5, 1500, 1700, 1999]] = np.nan
    found = f(value)
    np.testing.assert_array_equal(found[0], np.argmax(value, axis=axis))
    np.testing.assert_array_equal(found[1], np.argmin(value, axis=axis))
    np.testing.assert_array_equal(found[2], np.max(value, axis=axis))


def test_the_last_value_put_wins():
    x, v = T.vectors("x", "v")
    i, j = T.lvectors("i", "j")
    m = T.matrix("m")
    f = symnet.function([x, i, v], [T.set_subtensor(x[i], v), T.inc_subtensor(x[i], v)])
    at, put = np.array([2, 0, 2, -1, 2, 0]), np.arange(6, dtype="float32")
    set_, added = f(np.zeros(4, "float32"), at, put)
    assert set_.tolist() == [5, 0, 4, 3]
    assert added.tolist() == [6, 0, 6, 3]
    g = symnet.function([m, i, j, v], T.set_subtensor(m[i, j], v))
    value = g(np.zeros((3, 4), "float32"), at[:5] % 3, [1, 1, 1, 0, 1], put[:5])
    assert value.tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [3, 4, 0, 0]]


def test_more_operands_than_alias_scopes():
    """A kernel of 30 outputs: beyond the 24 scopes that the intrinsics have."""
    x = T.vector("x")
    f = symnet.function([x], [x * (k + 0.5) for k in range(30)])
    value = values("float32", (100,), 0)
    for k, found in enumerate(f(value)):
        np.testing.assert_array_equal(found, value * np.float32(k + 0.5))


def test_two_scratch_rows_lie_apart():
    x = T.matrix("x")
    e, t = T.exp(x), T.tanh(x)
    both = e / e.sum(axis=1, keepdims=True) + t * t.sum(axis=1, keepdims=True)
    f = symnet.function([x], both, mode=symnet.Mode(rewrite="none"))
    (kernel,) = f.program.kernels
    assert sum(o.per_thread for o in kernel.operands) == 2
    value = values("float32", (70, 33), 0)
    e, t = np.exp(value), np.tanh(value)
    wanted = e / e.sum(axis=1, keepdims=True) + t * t.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(f(value), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_draws_read_through_views_are_the_same_draws(kind):
    draw = getattr(RandomStreams(3), kind)((6, 5))
    outputs = [draw, draw[1:4], draw.T, draw[::-1, 2], draw[4, 1], draw.reshape((-1,))[7:9] * 1]
    for whole, rows, turned, column, one, flat in (
        symnet.function([], outputs)(),
        symnet.function([], outputs, mode=symnet.Mode(fuse=False))(),
    ):
        np.testing.assert_array_equal(rows, whole[1:4])
        np.testing.assert_array_equal(turned, whole.T)
        np.testing.assert_array_equal(column, whole[::-1, 2])
        np.testing.assert_array_equal(one, whole[4, 1])
        np.testing.assert_array_equal(flat, whole.reshape(-1)[7:9])


@settings(max_examples=25, deadline=None)
@given(n=st.integers(0, 9), start=st.integers(-12, 12), stop=st.integers(-12, 12))
def test_slices_with_bounds_known_at_run_time(n, start, stop):
    """Of a value in the arena, whose offset then changes from call to call."""
    f = run_time_slices()
    value = values("float32", (n, 4), 0)
    e = np.exp(value)
    found = f(value, start, stop)
    wanted = e[start:stop], e[start:stop:-1].sum(axis=0), np.dot(e[start:stop], value.T), e[stop:]
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@functools.cache
def run_time_slices():
    x, start, stop = T.matrix("x"), T.lscalar("start"), T.lscalar("stop")
    e = T.exp(x)
    outputs = [e[start:stop], e[start:stop:-1].sum(axis=0), T.dot(e[start:stop], x.T), e[stop:]]
    return symnet.function([x, start, stop], outputs)


def test_sizes_that_only_values_tell():
    x = T.vector("x")
    n = T.cast(T.exp(x).sum(), "int64")
    f = symnet.function([x], [T.arange(n), T.zeros((n, 2)) + x.sum()])
    for size in (1, 4, 7):
        count, rows = f(np.zeros(size, "float32"))
        assert count.tolist() == list(range(size))
        assert rows.shape == (size, 2)


def test_a_reduction_that_nobody_needs():
    """The position of the largest of one number needs no number."""
    x = T.matrix("x")
    f = symnet.function([x], T.argmax(T.max(T.exp(x), axis=None, keepdims=True), axis=None))
    assert f(np.ones((3, 4), "float32")) == 0
