"""References against finite differences, wrappers against a fake, symnet's programs."""

import threading
import time

import numpy as np
import pytest

from symnet.benchmarks.cases import CASES, layers, manners, mlp, new_batch
from symnet.benchmarks.peers import PEERS
from symnet.benchmarks.runner import relative_error
from symnet.benchmarks.worker import build


def test_the_tables_fit_each_other():
    for case in CASES.values():
        assert set(case.peers) <= set(PEERS)
        if case.kind != "startup":
            assert case.module.REFERENCES


def test_mlp_trajectory_descends_the_gradient(monkeypatch):
    """The change of the cost in a tiny step on the same batch is rate times |gradient|^2."""
    size = {"batch": 8, "hidden": 5, "examples": 8}
    same = mlp.data(5, 8)
    monkeypatch.setattr(mlp.Data, "batch", lambda self, k, size: (self.x, self.y))
    before, after = [], []
    for rate in (1e-6, 2e-6):
        monkeypatch.setattr(mlp, "RATE", rate)
        costs = mlp.trajectory(**size)
        before.append(costs[0])
        after.append(costs[1])
    slope = (after[1] - after[0]) / 1e-6

    def cost(w1, b1, w2, b2):
        o = np.maximum(same.x @ w1 + b1, 0) @ w2 + b2
        o = o - o.max(1, keepdims=True)
        return (np.log(np.exp(o).sum(1)) - o[np.arange(8), same.y]).mean()

    parameters = [p.astype(np.float64) for p in same[2:]]
    square = 0.0
    for k, p in enumerate(parameters):
        for at in np.ndindex(p.shape):
            moved = [q.copy() for q in parameters]
            moved[k][at] += 1e-6
            square += ((cost(*moved) - cost(*parameters)) / 1e-6) ** 2
    assert before[0] == pytest.approx(cost(*parameters), rel=1e-9)
    assert slope == pytest.approx(-square, rel=1e-3)


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
    d = mlp.data(10, 500)
    assert d.x.dtype == np.float32 and d.y.dtype == np.int64
    assert (d.x > 0).mean() == pytest.approx(0.2, abs=0.01) and 0 <= d.x.min() <= d.x.max() < 1
    for a, b in zip(d, mlp.data(10, 500)):
        np.testing.assert_array_equal(a, b)


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


def test_alternating_counts_the_program_only(built):
    wrapped = manners.Alternating(Fake, seconds=0.0)
    start = time.perf_counter()
    counted = wrapped.run(20)
    assert built[0].calls == 20 and 0 < counted < (time.perf_counter() - start) / 2
    assert wrapped.check() == [1.0] and wrapped.against == "nothing"


@pytest.mark.parametrize(("threads", "together"), [(1, False), (4, True)])
def test_threads_run_every_program_as_often(built, threads, together):
    wrapped = manners.Threads(Fake, threads=threads, seconds=0.005)
    wrapped.run(3)
    assert [program.calls for program in built] == [3] * 4
    main = {threading.get_ident()}
    assert all((program.threads != main) == together for program in built)


def test_new_batch_takes_a_new_size_every_time():
    class Program(new_batch.Program):
        seen = []

        def cost(self, x, y):
            new = len(x) not in self.seen
            self.seen.append(len(x))
            time.sleep(0.02 if new else 0)
            return 0.0

    program = Program(10)
    assert program.run(3) == pytest.approx(0.06, rel=0.5)
    assert len(set(program.seen)) == 3 and program.check() == [0.0] * 3


SMALL = {
    "mlp": {"batch": 8, "hidden": 10, "examples": 80},
    "chain": {"size": 1000},
    "call": {},
    "new_batch": {"hidden": 10},
    "layers": {"layers": 3, "batch": 4, "width": 5},
}


@pytest.mark.parametrize("family", SMALL)
def test_symnet_agrees_with_the_references(family):
    program = build(PEERS["symnet"], family, **SMALL[family])
    if family == "layers":
        program.run(1)
    case = next(case for case in CASES.values() if case.family == family)
    reference = case.module.REFERENCES[program.against](**SMALL[family])
    assert relative_error(program.check(), reference) < 1e-5
    program.run(2)
