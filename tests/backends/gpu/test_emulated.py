"""The emulated device: its own rules, and runs under every circumstance that must not matter."""

import functools

import numpy as np
import pytest
from emulating import runner, values
from hypothesis import example, given, settings
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet.backends.gpu import host
from symnet.backends.gpu.bind import BoundKernel
from symnet.backends.gpu.launch import Device
from symnet.backends.gpu.source import Source
from symnet.errors import BackendError, CompilerError, IndexOutOfBoundsError, ShapeError
from symnet.tensor.shared_randomstreams import RandomStreams

pytestmark = pytest.mark.skipif(host.compiler() is None, reason="no C++ compiler")
x, y = T.matrices("x", "y")
i = T.lscalar("i")
labels = T.lvector("labels")


# ---- the shim


def source(text, meets=True):
    head = 'extern "C" __global__ void __launch_bounds__(256)\nENTRY(const symnet_words<1> words, '
    return Source(
        f"{head}const long long* live, long long* error)\n{{\n{text}\n}}\n", (), 1, 1, meets
    )


def run_text(text, count=256, grid=1, downwards=False):
    """Run a text whose first word is the address of `count` int64."""
    kernel = source(text)
    host.prepare([kernel])
    out = np.zeros(count + 1, np.int64)
    out = out[out.ctypes.data % 16 // 8 :][:count]  # aligned
    word = np.array([out.ctypes.data], np.int64)
    error = np.zeros(3, np.int64)
    status = host.launchers[kernel](
        word.ctypes.data, None, error.ctypes.data, grid, 256, 0, downwards
    )
    return out, status, error


@pytest.mark.parametrize("downwards", [False, True])
def test_threads_exchange_values(downwards):
    text = """\
    __shared__ long long all_[256];
    long long* const out = (long long*)words.w[0];
    const int mine = (int)threadIdx.x;
    long long x = __shfl_xor_sync(0xffffffffu, (long long)mine, 5);
    x = 1000 * x + __shfl_xor_sync(0xffffffffu, (long long)mine, 16);
    all_[mine] = x;
    __syncthreads();
    out[mine] = all_[255 - mine];"""
    out, status, _ = run_text(text, downwards=downwards)
    t = 255 - np.arange(256)
    assert status == 0 and np.array_equal(out, 1000 * (t ^ 5) + (t ^ 16))


@pytest.mark.parametrize(
    "text",
    [
        "if (threadIdx.x < 100) __syncthreads();",
        "if (threadIdx.x % 2) __syncthreads();\nelse __syncthreads();",
        "if (threadIdx.x % 32 < 16) __shfl_xor_sync(0xffffffffu, 1, 1);",
        "if (threadIdx.x < 32) __syncthreads();\nelse __shfl_xor_sync(0xffffffffu, 1, 1);",
    ],
)
def test_threads_that_wait_in_vain_are_an_error(text):
    _, status, _ = run_text(text)
    assert status == 1
    assert "waits in line" in host.complaint()


@pytest.mark.parametrize("wrong", [False, True])
def test_packs_that_are_not_aligned_are_an_error(wrong):
    text = f"""\
    int* const p = (int*)words.w[0] + {1 if wrong else 0};
    symnet_write(p + 4 * threadIdx.x, symnet_read<4>(p));"""
    _, status, _ = run_text(text, count=520)
    assert status == wrong
    if wrong:
        assert "an access of 16 bytes at 0x" in host.complaint()


@pytest.mark.parametrize("downwards", [False, True])
def test_the_first_report_is_kept(downwards):
    text = "if (threadIdx.x == 7) symnet_report(error, 3, blockIdx.x, 9);"
    _, status, error = run_text(text, grid=4, downwards=downwards)
    assert status == 0 and error.tolist() == [3, 3 if downwards else 0, 9]


@pytest.mark.parametrize("kind", ["float", "double", "long long", "bool", "signed char", "short"])
@pytest.mark.parametrize("lanes", [1, 2, 16, 32, 64, 256])
@pytest.mark.parametrize("how", ["rows", "columns"])
def test_reductions_of_groups(how, lanes, kind):
    text = f"""\
    __shared__ unsigned long long shared_[256];
    {kind} x = ({kind})(threadIdx.x % 100 == 17);
    const auto most = []({kind} a, {kind} b) {{ return a > b ? a : b; }};
    x = symnet_reduce_{how}(x, {lanes}, shared_, most);
    ((long long*)words.w[0])[threadIdx.x] = (long long)x;"""
    out, status, _ = run_text(text)
    assert status == 0
    ones = np.arange(256) % 100 == 17
    if how == "rows":
        wanted = np.repeat(ones.reshape(-1, lanes).any(axis=1), lanes)
    else:
        wanted = np.tile(ones.reshape(lanes, -1).any(axis=0), lanes)
    assert np.array_equal(out, wanted)


def test_a_text_that_is_wrong():
    with pytest.raises(BackendError, match="nonsense"):
        host.prepare([source("nonsense")])


def test_writing_beside_a_buffer_is_found(monkeypatch):
    one = runner([x], [x + 1], apart=True)
    (step,) = one.linked.steps
    body = step.source.body.replace("symnet_write(p1 + at_,", "symnet_write(p1 + 4 + at_,")
    assert body != step.source.body
    broken = Source(body, step.source.functions, step.source.words, 4, False)
    one.linked.steps = (type(step)(step.step, broken, step.live, False, 0),)
    with pytest.raises(CompilerError, match="beside a buffer"):
        one.run([values(3, 4)])


# ---- circumstances


def everything():
    p = T.nnet.softmax(x)
    z = T.tanh(T.dot(x[:50], y[:50].T))
    rows = (T.arange(x.shape[0]) * 7) % x.shape[0]
    return [
        p, symnet.grad((p * y).sum(), x), T.exp(x) * y, x.sum(axis=0), T.sqr(y).sum(),
        T.argmax(x, axis=1), x.T * 2 + y.T, z.max(axis=0), T.inc_subtensor(x[rows], y),
        x[rows] + y, T.cast(x > y, "float32").mean(axis=1), T.nnet.softmax(y, axis=0),
    ]  # fmt: skip


SHAPES = [(70, 36), (3, 1000), (300, 5), (1, 1), (33, 64), (2, 40_000), (5_000, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_order_of_threads_and_blocks_does_not_matter(shape):
    outputs = everything()
    a, b = values(*shape), values(*shape, seed=1)
    upwards = runner([x, y], outputs).run([a, b])
    downwards = runner([x, y], outputs, downwards=True).run([a, b])
    for one, other in zip(upwards, downwards, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    "circumstances",
    [{}, {"offset": 8}, {"geometry": Device(132)}, {"geometry": Device(1, 0)}],
    ids=["small device", "nothing aligned", "large device", "no shared memory"],
)
def test_values_are_those_of_the_cpu(circumstances, shape):
    outputs = everything()
    a, b = values(*shape), values(*shape, seed=1)
    found = runner([x, y], outputs, **circumstances).run([a, b])
    for one, wanted in zip(found, symnet.function([x, y], outputs)(a, b), strict=True):
        np.testing.assert_allclose(one, wanted, rtol=2e-5, atol=1e-4)


# ---- rows in parts


def parts(one):
    (binding,) = one.bindings
    return {s.launch.parts for s in binding.bound.steps if isinstance(s, BoundKernel)}


@pytest.mark.parametrize("shape", [(1, 50_000), (2, 40_001), (3, 100_000)], ids=str)
def test_few_long_rows_are_cut_into_parts(shape):
    p = T.nnet.softmax(x)
    outputs = [
        p, symnet.grad((p * y).sum(), x), T.argmax(x, axis=1), x.sum(axis=1) + 1,
        T.any(x > 4, axis=1), x - y.mean(axis=1, keepdims=True),
    ]  # fmt: skip
    a, b = values(*shape), values(*shape, seed=1)
    one = runner([x, y], outputs, geometry=Device(4))
    found = one.run([a, b])
    assert max(parts(one)) > 1
    for f, wanted in zip(found, symnet.function([x, y], outputs)(a, b), strict=True):
        np.testing.assert_allclose(f, wanted, rtol=2e-5, atol=1e-6)
    again = runner([x, y], outputs, geometry=Device(4), downwards=True).run([a, b])
    assert [f.tobytes() for f in found] == [f.tobytes() for f in again]


def test_few_tall_columns_are_cut_into_parts():
    outputs = [x.sum(axis=0), T.max(x * y, axis=0), T.nnet.softmax(x, axis=0)]
    a, b = values(30_000, 5), values(30_000, 5, seed=1)
    one = runner([x, y], outputs, geometry=Device(4))
    found = one.run([a, b])
    assert max(parts(one)) > 1
    for f, wanted in zip(found, symnet.function([x, y], outputs)(a, b), strict=True):
        np.testing.assert_allclose(f, wanted, rtol=2e-5, atol=2e-5)


def test_rows_whose_values_are_overwritten_are_not_cut():
    """Every part would compute them again, from what the first has written."""
    total = symnet.shared(np.zeros(2, "float32"), name="total")
    mean = (x * total.dimshuffle(0, "x")).sum(axis=1)
    updates = [(total, total + mean + 1)]
    one = runner([x], [], updates, geometry=Device(4))
    a = np.ones((2, 50_000), "float32")
    for _ in range(3):
        before = total.get_value()
        one.run([a])
        np.testing.assert_allclose(total.get_value(), before + before * 50_000 + 1)


# ---- scatter


@pytest.mark.parametrize("downwards", [False, True])
@pytest.mark.parametrize("n, bins", [(5000, 7), (1000, 900), (300, 1), (0, 3)])
def test_scatter_into_a_vector(n, bins, downwards):
    v, w = T.vector("v"), T.vector("w")
    outputs = [T.inc_subtensor(v[labels], w), T.set_subtensor(v[labels], w)]
    rng = np.random.default_rng(n)
    start, at = values(bins), rng.integers(-bins, bins, n)
    put = rng.integers(-9, 9, n).astype("float32")  # sums are exact
    one = runner([v, w, labels], outputs, geometry=Device(4), downwards=downwards)
    added, last = one.run([start, put, at])
    wanted = start.astype("float64")
    np.add.at(wanted, at, put)
    np.testing.assert_allclose(added, wanted, rtol=1e-4, atol=1e-4)
    wanted = start.copy()
    for k, value in zip(at, put):
        wanted[k] = value
    assert np.array_equal(last, wanted)


@pytest.mark.parametrize("columns", [1, 5, 300])
def test_scatter_of_rows_is_in_order(columns):
    """Sums of what cancels show the order: it is that of the indices, whoever owns them."""
    outputs = [T.inc_subtensor(x[labels], y), T.set_subtensor(x[labels], y)]
    rng = np.random.default_rng(columns)
    start, at = values(50, columns), rng.integers(0, 50, 2000)
    put = (values(2000, columns, seed=3) * 10.0 ** rng.integers(-6, 6, (2000, 1))).astype("float32")
    one = runner([x, y, labels], outputs, geometry=Device(4))
    added, last = one.run([start, put, at])
    (binding,) = one.bindings
    assert max(s.launch.owners for s in binding.bound.steps) > 1
    wanted, final = start.copy(), start.copy()
    for k, row in zip(at, put):
        wanted[k] += row
        final[k] = row
    assert added.tobytes() == wanted.tobytes() and last.tobytes() == final.tobytes()


def test_scatter_with_several_indices():
    m, j = T.lvector("m"), T.lvector("j")
    w = T.vector("w")
    one = runner([x, m, j, w], [T.inc_subtensor(x[m, j], w)], geometry=Device(4))
    rng = np.random.default_rng(0)
    start, put = np.zeros((6, 7), "float32"), rng.integers(0, 9, 700).astype("float32")
    a, b = rng.integers(0, 6, 700), rng.integers(0, 7, 700)
    wanted = start.copy()
    np.add.at(wanted, (a, b), put)
    assert np.array_equal(one.run([start, a, b, put])[0], wanted)


# ---- sizes


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 40), st.integers(0, 700), st.integers(0, 3))
def test_sizes_need_no_new_texts(rows, columns, seed):
    one = rows_and_columns()
    a, b = values(rows, columns, seed=seed), values(rows, columns, seed=seed + 1)
    before = len(host.built()) if one.bindings else None
    found = one.run([a, b])
    assert before in (None, len(host.built()))
    for f, wanted in zip(found, [np.exp(a).sum(axis=1), a.sum(axis=0) * 2, a + b], strict=True):
        np.testing.assert_allclose(f, wanted, rtol=1e-5, atol=1e-5)


@functools.cache
def rows_and_columns():
    return runner([x, y], [T.exp(x).sum(axis=1), x.sum(axis=0) * 2, x + y])


# ---- bindings and words that move


def test_a_minibatch_that_moves_needs_no_other_binding():
    """Its number is in device memory: launches stay what they were, so a graph could."""
    X = symnet.shared(np.arange(40, dtype="float32").reshape(20, 2), name="X")
    total = symnet.shared(np.zeros(2, "float32"), name="total")
    batch = X[i * 4 : (i + 1) * 4]
    one = runner([i], [batch.mean(), (batch * i).sum()], [(total, total + batch.sum(axis=0))])
    assert any(step.live for step in one.linked.steps)
    data = X.get_value()
    for k in (0, 1, 2, 4, 3):
        mean, scaled = one.run([np.array(k)])
        part = data[4 * k : 4 * k + 4]
        assert mean == part.mean() and scaled == (part * k).sum()
    assert len(one.bindings) == 1
    assert np.array_equal(total.get_value(), data.sum(axis=0))


def test_products_read_what_moves():
    X = symnet.shared(values(20, 3), name="X")
    batch = X[i * 4 : (i + 1) * 4]
    one = runner([i], [T.dot(batch, batch.T)])
    for k in range(5):
        part = X.get_value()[4 * k : 4 * k + 4]
        np.testing.assert_allclose(one.run([np.array(k)])[0], part @ part.T, rtol=1e-5)
    assert len(one.bindings) == 1


def test_new_sizes_and_new_arrays_are_bound():
    W = symnet.shared(values(3, 2), name="W")
    one = runner([x], [T.dot(x, W)], [(W, W * 2)])
    for rows in (4, 5, 4):
        a, before = values(rows, 3), W.get_value()
        np.testing.assert_allclose(one.run([a])[0], a @ before, rtol=1e-5)
        assert np.array_equal(W.get_value(), 2 * before)
    W.set_value(values(3, 7, seed=5))
    assert one.run([values(4, 3)])[0].shape == (4, 7)


# ---- errors


def test_a_failed_check_changes_nothing():
    W = symnet.shared(values(5, 3), name="W")
    count = symnet.shared(np.zeros(4, "float32"), name="count")
    picked = W[labels]
    one = runner([labels], [picked.sum()], [(W, W + 1), (count, count + picked.sum())])
    before = W.get_value()
    for bad, named in (([0, 5, 1], 5), ([-6, 0], -6)):
        with pytest.raises(IndexOutOfBoundsError) as caught:
            one.run([np.array(bad)])
        assert f"index {named} is out of bounds for a dimension of size 5" in str(caught.value)
        assert "picked = W[labels]" in str(caught.value)
        assert np.array_equal(W.get_value(), before) and not count.get_value().any()
    one.run([np.array([0, 4, -5])])
    assert np.array_equal(W.get_value(), before + 1)


def test_errors_are_worded_as_on_the_cpu():
    z = T.matrix("z", shape=(None, 3))
    cases = [
        ([x, y], x + y, (values(2, 3), values(3, 3))),
        ([x, i], x[i], (values(2, 3), 2)),
        ([x, labels], x[labels], (values(2, 3), [0, 7])),
        ([z], z + 1, (values(2, 4),)),
    ]
    for inputs, output, arguments in cases:
        texts = []
        for where in ("cpu", "emulated"):
            f = symnet.function(inputs, output, device=where)
            with pytest.raises((ShapeError, IndexOutOfBoundsError)) as caught:
                f(*arguments)
            texts.append(str(caught.value).partition("\n")[0])
        assert texts[0] == texts[1]


# ---- random numbers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_are_those_of_the_cpu_bit_for_bit(dtype):
    streams = RandomStreams(12)
    draws = [
        streams.uniform((40, 33), dtype=dtype), streams.normal((7, 300), dtype=dtype),
        streams.binomial((50,), p=0.3), streams.random_integers((60,), 0, 1000),
    ]  # fmt: skip
    outputs = [*draws, draws[0].T * 1, T.exp(draws[1]).sum(axis=0)]
    on_cpu = symnet.function([], outputs, no_default_updates=True)()
    found = runner([], outputs).run([])
    for f, wanted in zip(found[:5], on_cpu[:5], strict=True):
        assert f.tobytes() == wanted.tobytes()
    np.testing.assert_allclose(found[5], on_cpu[5], rtol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1500), st.integers(0, 2**32 - 1), st.booleans())
@example(257, 0, False)
@example(20_000, 7, False)
@example(20_000, 7, True)
def test_permutations_are_those_of_the_cpu(n, seed, downwards):
    """In whatever order threads make the exchanges that need no order."""
    streams = RandomStreams(seed)
    size = T.lscalar("size")
    order = streams.permutation(n=size)
    on_cpu = symnet.function([size], order, no_default_updates=True)(n)
    one = runner([size], [order], downwards=downwards)
    assert np.array_equal(one.run([np.array(n)])[0], on_cpu)
    assert sorted(on_cpu.tolist()) == list(range(n))
