"""References against finite differences, wrappers against a fake, symnet's programs."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from symnet.benchmarks.cases import (
    CASES,
    GROUPS,
    chain,
    fit,
    layers,
    manners,
    mlp,
    new_batch,
    optimizers,
    rows,
)
from symnet.benchmarks.cases.digest import digest
from symnet.benchmarks.peers import PEERS
from symnet.benchmarks.runner import relative_error
from symnet.benchmarks.worker import build


def test_the_tables_fit_each_other():
    for case in CASES.values():
        assert set(case.peers) <= set(PEERS)
        if case.kind != "startup":
            assert case.module.REFERENCES
        assert case.group in {*GROUPS, ""}


@pytest.mark.parametrize(
    ("sizes", "loss"),
    [([40, 4], "labels"), ([40, 30, 20, 3], "labels"), ([40, 30, 20, 40], "pixels")],
)
def test_mlp_trajectory_descends_the_gradient(monkeypatch, sizes, loss):
    """The change of the cost in a tiny step on the same batch is rate times |gradient|^2."""
    monkeypatch.setattr(mlp.Data, "batch", lambda self, k, size: (self.x, self.y))
    size = {"sizes": sizes, "batch": 8, "examples": 8, "loss": loss}
    d = mlp.data(sizes, 8, loss)
    values = [p.astype(np.float64) for p in d.parameters]

    def cost(values):
        h = d.x.astype(np.float64)
        for k in range(0, len(values), 2):
            h = h @ values[k] + values[k + 1]
            h = np.maximum(h, 0) if k < len(values) - 2 else h
        if loss == "pixels":
            return (np.log1p(np.exp(h)) - h * d.y).mean()
        return (np.log(np.exp(h).sum(1)) - h[np.arange(8), d.y]).mean()

    square = 0.0
    for k, p in enumerate(values):
        for at in np.ndindex(p.shape):
            moved = [q.copy() for q in values]
            moved[k][at] += 1e-6
            square += ((cost(moved) - cost(values)) / 1e-6) ** 2
    first, second, *_ = mlp.trajectory(**size, rate=1e-6)
    assert first == pytest.approx(cost(values), rel=1e-12)
    assert (first - second) / 1e-6 == pytest.approx(square, rel=1e-3)


def test_layers_costs_descend_the_gradient(monkeypatch):
    size = {"layers": 3, "batch": 4, "width": 3}
    x, weights, biases = layers.data(**size)
    values = [v.astype(np.float64) for v in (*weights, *biases)]

    def cost(values):
        h = x.astype(np.float64)
        for k in range(3):
            h = np.tanh(h @ values[k] + values[3 + k])
        return (h**2).mean()

    square = 0.0
    for k, p in enumerate(values):
        for at in np.ndindex(p.shape):
            moved = [q.copy() for q in values]
            moved[k][at] += 1e-6
            square += ((cost(moved) - cost(values)) / 1e-6) ** 2
    monkeypatch.setattr(layers, "RATE", 1e-6)
    first, second = layers.costs(**size)
    assert first == pytest.approx(cost(values), rel=1e-12)
    assert (first - second) / 1e-6 == pytest.approx(square, rel=1e-3)


def test_data_is_as_bright_as_mnist_and_the_same_every_time():
    d = mlp.data([784, 10, 10], 500)
    assert d.x.dtype == np.float32 and d.y.dtype == np.int64
    assert (d.x > 0).mean() == pytest.approx(0.2, abs=0.01) and 0 <= d.x.min() <= d.x.max() < 1
    again = mlp.data([784, 10, 10], 500)
    for a, b in zip((d.x, d.y, *d.parameters), (again.x, again.y, *again.parameters)):
        np.testing.assert_array_equal(a, b)


def test_the_autoencoders_trajectory_shows_the_rate():
    parameters = CASES["autoencoder"].parameters
    costs = mlp.trajectory(**parameters)
    wrong = mlp.trajectory(**parameters | {"rate": 1.01 * parameters["rate"]})
    assert relative_error(wrong, costs) > CASES["autoencoder"].tolerance


def test_gradients_of_the_chain():
    x, z = (v.astype(np.float64) for v in chain.data(50))
    value, gx, gz = chain.gradient(x, z)
    assert value == chain.total(x, z)
    for k in range(50):
        step = np.where(np.arange(50) == k, 1e-6, 0)
        for gradient, dx, dz in ((gx, step, 0), (gz, 0, step)):
            slope = (chain.total(x + dx, z + dz) - chain.total(x - dx, z - dz)) / 2e-6
            assert gradient[k] == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_gradients_of_rows():
    d = rows.data(3, 5)
    d = rows.Data(*(v.astype(np.float64) for v in d[:4]), d.labels)

    def slope(kind, field, at):
        def value(by):
            moved = getattr(d, field).copy()
            moved[at] += by
            e = d._replace(**{field: moved})
            (result,) = rows.compute(kind, e)
            if kind == "softmax":
                return -np.log(result[np.arange(3), d.labels]).mean()
            return (result * d.upstream).sum()

        return (value(1e-6) - value(-1e-6)) / 2e-6

    (by_logits,) = rows.compute("cross-entropy", d)
    by_x, by_scale, by_shift = rows.compute("layer-norm-gradient", d)
    for gradient, kind, field in (
        (by_logits, "softmax", "x"),
        (by_x, "layer-norm", "x"),
        (by_scale, "layer-norm", "scale"),
        (by_shift, "layer-norm", "shift"),
    ):
        for at in np.ndindex(gradient.shape):
            assert gradient[at] == pytest.approx(slope(kind, field, at), rel=1e-4, abs=1e-8)


def test_rows_are_normalised():
    d = rows.data(4, 1000)._replace(scale=np.float32(1), shift=np.float32(0))
    (p,) = rows.compute("softmax", d)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    (h,) = rows.compute("layer-norm", d)
    np.testing.assert_allclose(h.mean(1), 0, atol=1e-5)
    np.testing.assert_allclose(h.std(1), 1, rtol=1e-3)


def test_digests_tell_arrays_apart():
    a = np.arange(1.0, 13).reshape(3, 4)
    assert digest(a, a) == 2 * digest(a)
    assert digest(a) != digest(a.T) and digest(a) != digest(a[:, ::-1])
    assert digest(a)[0] == 6.5


def test_fits_reference_is_one_epoch_of_the_trajectory(monkeypatch):
    """With as few examples as a minibatch, the loss is the first cost; what comes after is the
    network of the second."""
    monkeypatch.setattr(fit, "FEW", 8)
    monkeypatch.setattr(fit, "FEW_HELD", 8)
    monkeypatch.setattr(mlp.Data, "batch", lambda self, k, size: (self.x[:8], self.y[:8]))
    size = {"sizes": [784, 5, 10], "batch": 8, "examples": 8}
    given = fit.data(**size, held=8)
    monkeypatch.setattr(
        mlp, "data", lambda *_: mlp.Data(given.x, given.y, given.parameters[::2],
                                         given.parameters[1::2]),
    )  # fmt: skip
    costs = mlp.trajectory(**size, rate=fit.RATE)
    monkeypatch.setattr(fit, "data", lambda *_: given._replace(held_x=given.x, held_y=given.y))
    loss, accuracy, held_loss, held_accuracy = fit.epoch(**size, held=8)
    assert [loss, held_loss] == pytest.approx(costs[:2])
    assert 0 <= accuracy <= held_accuracy <= 1
    assert fit.epoch_without_accuracy(**size, held=8) == [loss, held_accuracy]


def test_fits_labels_can_be_learned():
    d = fit.data([784, 5, 10], 2000, 200)
    assert np.bincount(d.y, minlength=10).min() > 50
    assert len(d.x) == 2000 and len(d.held_x) == len(d.held_y) == 200
    means = np.stack([d.x[d.y == k].mean(0) for k in range(10)]) - d.x.mean(0)
    guess = (d.held_x @ means.T).argmax(1)
    assert (guess == d.held_y).mean() > 0.3


class Fake:
    against = "nothing"
    built = []

    def __init__(self, seconds):
        self.seconds, self.calls, self.threads = seconds, 0, set()
        Fake.built.append(self)

    def check(self):
        return [1.0]

    def run(self, iterations):
        self.calls += iterations
        self.threads.add(threading.get_ident())
        time.sleep(self.seconds * iterations)


@pytest.fixture
def built():
    Fake.built = []
    return Fake.built


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on only when told; this machine may be busy."""
    fake = SimpleNamespace(now=0.0, perf_counter=lambda: fake.now)
    monkeypatch.setattr(manners, "time", fake)
    monkeypatch.setattr(new_batch, "time", fake)
    return fake


def test_alternating_counts_the_program_only(built, clock, monkeypatch):
    def passes(what, seconds):
        def run(*args, **kwargs):
            clock.now += seconds
            return what(*args, **kwargs)

        return run

    monkeypatch.setattr(manners.np, "dot", passes(np.dot, 1.0))
    monkeypatch.setattr(Fake, "run", passes(Fake.run, 0.25))
    wrapped = manners.Alternating(Fake, seconds=0.0)
    assert wrapped.run(20) == 5.0 and built[0].calls == 20 and clock.now == 25.0
    assert wrapped.check() == [1.0] and wrapped.against == "nothing"


@pytest.mark.parametrize(("threads", "together"), [(1, False), (4, True)])
def test_threads_run_every_program_as_often(built, threads, together):
    wrapped = manners.Threads(Fake, threads=threads, seconds=0.005)
    wrapped.run(3)
    assert [program.calls for program in built] == [3] * 4
    main = {threading.get_ident()}
    assert all((program.threads != main) == together for program in built)


def test_new_batch_takes_a_new_size_every_time(clock):
    class Program(new_batch.Program):
        seen = []

        def cost(self, x, y):
            new = len(x) not in self.seen
            self.seen.append(len(x))
            clock.now += 0.25 if new else 0.125
            return 0.0

    program = Program(10)
    assert program.run(3) == 3 * 0.125
    assert len(set(program.seen)) == 3 and program.check() == [0.0] * 3


MLP = {"sizes": [784, 10, 10], "batch": 8, "examples": 80}
SMALL = [
    ("mlp", MLP),
    ("mlp", {"sizes": [784, 10], "batch": 8, "examples": 80}),
    ("mlp", {"sizes": [30, 9, 8, 30], "batch": 8, "examples": 80, "loss": "pixels", "rate": 1.0}),
    ("chain", {"size": 1000}),
    ("chain", {"size": 1000, "kind": "array"}),
    ("chain", {"size": 1000, "kind": "gradient"}),
    *(
        ("rows", {"kind": kind, "rows": 30, "columns": 20})
        for kind in ("softmax", "cross-entropy", "layer-norm", "layer-norm-gradient")
    ),
    *(("optimizers", {"rule": rule}) for rule in optimizers.SETTINGS),
    ("fit", {"sizes": [784, 10, 10], "batch": 128, "examples": 1000, "held": 500}),
    ("call", {}),
    ("new_batch", {"hidden": 10}),
    ("layers", {"layers": 3, "batch": 4, "width": 5}),
]


def reference(family, program, parameters):
    case = next(case for case in CASES.values() if case.family == family)
    return case.module.REFERENCES[program.against](**parameters)


@pytest.mark.parametrize(("family", "parameters"), SMALL)
@pytest.mark.parametrize("peer", ["symnet", "numpy"])
def test_programs_agree_with_the_references(peer, family, parameters):
    if peer == "numpy" and family in ("new_batch", "layers", "fit"):
        pytest.skip("not a case of NumPy's")
    program = build(PEERS[peer], family, **parameters)
    if family == "layers":
        program.run(1)
    assert relative_error(program.check(), reference(family, program, parameters)) < 1e-5
    program.run(2)


@pytest.mark.parametrize("parameters", [parameters for family, parameters in SMALL[:3]])
def test_the_floor_has_the_products_of_the_step(parameters):
    program = build(PEERS["numpy-gemm"], "mlp", **parameters)
    layers = len(parameters["sizes"]) - 1
    assert len(program.products) == 3 * layers - 1
    assert relative_error(program.check(), reference("mlp", program, parameters)) < 1e-5


@pytest.mark.parametrize("family", ["mlp", "fit"])
@pytest.mark.parametrize("peer", ["torch", "torch-indexed", "jax", "keras", "sklearn"])
def test_peers_that_are_here_agree_too(peer, family, monkeypatch):
    """Most are not; the suite itself checks every one before it measures."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    parameters = next(parameters for name, parameters in SMALL if name == family)
    try:
        program = build(PEERS[peer], family, **parameters)
    except (ImportError, KeyError) as missing:
        pytest.skip(f"{peer}: {missing}")
    assert relative_error(program.check(), reference(family, program, parameters)) < 1e-4


def test_building_is_what_is_measured():
    program = build(PEERS["numpy"], "mlp", "building", **MLP)
    assert not hasattr(program, "program")
    program.run(1)
    first = program.program
    assert relative_error(program.check(), reference("mlp", program, MLP)) < 1e-5
    program.run(1)
    assert program.program is not first and program.program.data is program.given
