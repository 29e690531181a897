"""Functions on the GPU: recordings, memory, errors that come later, products, and training."""

import os

import hardware
import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet import nn
from symnet.data import mnist
from symnet.errors import IndexOutOfBoundsError, OutOfMemoryError, RecordingError
from symnet.tensor.shared_randomstreams import RandomStreams

hardware.needed()
real = pytest.mark.skipif(hardware.FAKE, reason="needs a GPU")
F = np.float32


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(F)


def training(hidden=40):
    """A step of a perceptron with dropout and minibatches that move: costs and weights."""
    data = symnet.shared(normal(120, 30), name="data")
    classes = symnet.shared(np.arange(120) % 10, name="classes")
    k = T.lscalar("k")
    batch, target = data[k * 12 : (k + 1) * 12], classes[k * 12 : (k + 1) * 12]
    w = symnet.shared(normal(30, hidden, seed=1), name="w")
    v = symnet.shared(normal(hidden, 10, seed=2), name="v")
    seen = T.tanh(batch @ w) * RandomStreams(3).binomial((12, hidden), p=0.8, dtype="float32")
    cost = T.nnet.categorical_crossentropy(T.nnet.softmax(seen @ v), target).mean()
    updates = [(p, p - 0.1 * g) for p, g in zip((w, v), symnet.grad(cost, [w, v]))]
    return symnet.function([k], cost, updates=updates), (w, v)


def trained(how):
    step, weights = training()
    costs = how(step)
    return [np.asarray(costs), *(w.get_value() for w in weights)], step


def one_by_one(step):
    return [step(k) for k in range(10)]


def test_recorded_or_not_or_all_at_once(gpu, monkeypatch):
    """The same bits."""
    recorded, step = trained(one_by_one)
    assert step._runner.recorded is True, step._runner.why_not_recorded
    mapped, _ = trained(lambda step: step.map(range(10)))

    def refused(orders):
        raise RecordingError("for a test")

    monkeypatch.setattr(gpu, "record", refused)
    ordered, step = trained(one_by_one)
    assert step._runner.recorded is False
    assert "for a test" in step._runner.why_not_recorded
    for found in zip(recorded, mapped, ordered, strict=True):
        assert len({a.tobytes() for a in found}) == 1


def test_the_same_bits_again(gpu):
    first, _ = trained(one_by_one)
    second, _ = trained(one_by_one)
    for one, other in zip(first, second, strict=True):
        hardware.same(one, other)


def test_close_to_the_cpu(gpu):
    found, _ = trained(one_by_one)
    with symnet.config.change(device="cpu"):
        wanted, _ = trained(one_by_one)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


def test_several_functions_and_sizes(gpu):
    """Each keeps its bindings and its memory; a larger size makes the earlier ones void."""
    x = T.matrix("x")
    functions = [symnet.function([x], T.nnet.softmax(x * n).sum(axis=0)) for n in (1, 2, 3)]
    with symnet.config.change(device="cpu"):
        wanted = [symnet.function([x], T.nnet.softmax(x * n).sum(axis=0)) for n in (1, 2, 3)]
    for rows in (3, 500, 3, 20, 2000, 500):
        value = normal(rows, 65, seed=rows)
        for f, g in zip(functions, wanted):
            for _ in range(3):
                np.testing.assert_allclose(f(value), g(value), rtol=1e-4, atol=1e-5)
    functions[0].free()
    np.testing.assert_allclose(functions[0](value), wanted[0](value), rtol=1e-4, atol=1e-5)


# ---- errors


def test_an_error_is_told_at_the_next_result(gpu):
    w = symnet.shared(np.zeros(5, F), name="w")
    i = T.lvector("i")
    count = symnet.function([i], [], updates=[(w, T.inc_subtensor(w[i], 1))])
    for at in ([0, 1], [1, 1], [1, 7], [1, 2]):
        count(at)
    with pytest.raises(IndexOutOfBoundsError, match="7") as caught:
        w.get_value()
    assert "test_functions.py" in str(caught.value)
    hardware.same(w.get_value(), np.array([1, 3, 0, 0, 0], F))
    count([4])
    hardware.same(w.get_value(), np.array([1, 3, 0, 0, 1], F))


def test_products_that_must_not_happen_do_not_even_with_nan(gpu):
    """0 * NaN is NaN, so a factor of 0 would not do."""
    w = symnet.shared(np.ones((64, 64), F), name="w")
    table = symnet.shared(normal(10), name="table")
    x, i = T.matrix("x"), T.lvector("i")
    picked = table[i].sum()
    f = symnet.function([x, i], [], updates=[(w, w - 0.1 * T.dot(x.T, x)), (table, table + picked)])
    f(np.zeros((8, 64), F), [0])
    before = table.get_value()
    for _ in range(3):
        f(np.full((8, 64), np.nan, F), [10])
    with pytest.raises(IndexOutOfBoundsError):
        w.get_value()
    hardware.same(w.get_value(), np.ones((64, 64), F))
    hardware.same(table.get_value(), before)


def test_out_of_memory_names_lines_and_leaves_values_whole(gpu):
    w = symnet.shared(np.ones(10, F), name="w")
    x = T.vector("x")
    outer = T.exp(x.dimshuffle(0, "x") - x.dimshuffle("x", 0))
    f = symnet.function([x], T.dot(outer, x), updates=[(w, w + outer.sum())])
    f(np.zeros(10, F))
    if hardware.FAKE:
        machine = hardware.cupy().machine
        machine.limit = machine.used + (8 << 20)
        size = 4000
    else:
        size = 500_000  # 1 TB
    try:
        with pytest.raises(OutOfMemoryError, match=r"test_functions\.py"):
            f(np.zeros(size, F))
    finally:
        if hardware.FAKE:
            machine.limit = None
    hardware.same(w.get_value(), np.full(10, 101, F))
    f(np.zeros(10, F))
    hardware.same(w.get_value(), np.full(10, 201, F))


# ---- products


@pytest.mark.parametrize("dtype, bound", [("float32", 1e-5), ("float64", 1e-13)])
def test_products(gpu, dtype, bound):
    x, y = T.matrix("x", dtype=dtype), T.matrix("y", dtype=dtype)
    outputs = [x @ y, (x.T @ x)[::2], 0.5 * T.dot(x, y) + 1, T.dot(y.T, x.T).sum(axis=0)]
    f = symnet.function([x, y], outputs)
    for m, k, n in ((1, 1, 1), (5, 1, 7), (300, 200, 100), (33, 0, 4), (0, 3, 2), (1000, 3, 1)):
        a, b = normal(m, k).astype(dtype), normal(k, n, seed=1).astype(dtype)
        product = a.astype(float) @ b.astype(float)
        square = a.astype(float).T @ a.astype(float)
        wanted = [product, square[::2], 0.5 * product + 1, product.T.sum(axis=0)]
        for _ in range(3):
            for found, value in zip(f(a, b), wanted, strict=True):
                scale = max(1.0, np.abs(value).max(initial=0)) * max(k, 1) ** 0.5
                np.testing.assert_allclose(found, value, rtol=0, atol=10 * bound * scale)


@pytest.mark.parametrize("dtype, bound", [("float16", 1e-3), ("bfloat16", 8e-3)])
def test_half_types(gpu, dtype, bound):
    """What is exact has the CPU's bits; products are summed up in float32 and rounded once."""
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    x, y = T.matrix("x", dtype=dtype), T.matrix("y", dtype=dtype)
    exact, product = [x * y.T + x, T.maximum(x, 0) - y.T, abs(x).max(axis=1)], x @ y
    f = symnet.function([x, y], [*exact, product])
    with symnet.config.change(device="cpu"):
        g = symnet.function([x, y], exact)
    for m, k in ((1, 1), (64, 128), (33, 77), (200, 1)):
        a, b = normal(m, k).astype(dtype), normal(k, m, seed=1).astype(dtype)
        for _ in range(3):
            *found, last = f(a, b)
        for one, other in zip(found, g(a, b), strict=True):
            hardware.same(one, other)
        wanted = a.astype(float) @ b.astype(float)
        assert last.dtype == dtype
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(last.astype(float), wanted, rtol=bound, atol=1e-4 * scale)


def test_more_matrices_than_a_grid_is_high(gpu):
    """More than 65,535 of them, at addresses that are fixed and that move."""
    many = 70_000 if not hardware.FAKE else 70
    x, y = T.tensor3("x", dtype="float16"), T.tensor3("y", dtype="float16")
    k = T.lscalar("k")
    f = symnet.function([x, y, k], [T.batched_dot(x[:-1], y), T.batched_dot(x[k : k + many], y)])
    rng = np.random.default_rng(0)
    a = rng.integers(-3, 4, (many + 1, 2, 2)).astype("float16")
    b = rng.integers(-3, 4, (many, 2, 2)).astype("float16")
    for _ in range(3):
        first, second = f(a, b, 1)
        hardware.same(first, a[:-1] @ b)
        hardware.same(second, a[1:] @ b)


@real
def test_tf32_on_request_only(gpu):
    x, y = T.matrices("x", "y")
    a, b = normal(256, 512), normal(512, 256, seed=1)
    exact = a.astype(float) @ b.astype(float)
    errors = {}
    for precision in ("highest", "high"):
        with symnet.config.change(float32_matmul_precision=precision):
            found = symnet.function([x, y], x @ y)(a, b)
        errors[precision] = np.abs(found - exact).max()
    assert errors["highest"] < 2e-4 < errors["high"] < 0.2


# ---- training


def digits(count):
    """MNIST, or classes of blobs where it is not at hand: images and labels."""
    if os.environ.get("SYMNET_DATA") and not hardware.FAKE:
        found = mnist()
        return found.train_images[:count], found.train_labels[:count]
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, count)
    means = rng.integers(0, 200, (10, 28, 28))
    noise = rng.integers(0, 50, (count, 28, 28))
    return (means[labels] + noise).astype(np.uint8), labels.astype(np.uint8)


def perceptron():
    model = nn.Sequential(
        [nn.Rescaling(1 / 255), nn.Flatten(), nn.Dense(64, "relu"), nn.Dense(10, "softmax")],
        seed=0,
    )
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def test_fit_trains_as_on_the_cpu(gpu):
    images, labels = digits(20_000 if not hardware.FAKE else 400)
    logs = []
    for place in ("cuda", "cpu"):
        with symnet.config.change(device=place):
            model = perceptron()
            model.fit(images, labels, epochs=2, batch_size=100, seed=0, verbose=0)
            logs.append(model.evaluate(images, labels))
    there, here = logs
    assert there["accuracy"] > (0.9 if not hardware.FAKE else 0.2)
    np.testing.assert_allclose(there["loss"], here["loss"], rtol=0.02)
    np.testing.assert_allclose(there["accuracy"], here["accuracy"], atol=0.02)
