"""The runner: real workers on tiny cases, and every way in which a peer can fail."""

import math
import os
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symnet.benchmarks.cases import CASES, Case, Variant, mlp
from symnet.benchmarks.peers import PEERS, Peer
from symnet.benchmarks.process import Worker, WorkerError, environment, interpreter
from symnet.benchmarks.runner import Options, Runner, relative_error, run

TINY = Case(
    "tiny",
    "a tiny step",
    "mlp",
    ("numpy-gemm", "numpy"),
    {"sizes": [784, 8, 10], "batch": 4, "examples": 40},
)
QUICK = Options(rounds=2, threads=1, seconds=0.002, quiet=True)


@pytest.fixture
def worker(tmp_path):
    peer = PEERS["numpy"]
    with Worker(peer, environment(peer, threads=1, scratch=tmp_path), 1) as worker:
        yield worker


def test_a_case_is_checked_and_timed():
    entries = run([TINY], QUICK)
    assert [e.peer for e in entries] == ["numpy-gemm", "numpy"]
    for entry in entries:
        assert entry.status == "ok" and entry.error < 1e-5, entry.reason
        assert len(entry.rounds) == len(entry.busy) == 2 and entry.iterations > 1
        assert all(1e-7 < seconds < 0.1 for seconds in entry.rounds)
        assert "numpy" in entry.versions


def test_wrong_values_are_not_timed(monkeypatch):
    monkeypatch.setitem(mlp.REFERENCES, "trajectory", lambda **_: [2.5] * mlp.STEPS)
    gemm, step = run([TINY], QUICK)
    assert gemm.status == "ok"
    assert step.status == "wrong" and not step.rounds and "exceeds 0.0001" in step.reason
    assert math.isnan(step.median)


@pytest.mark.parametrize("wrapper", [{"wrapper": "alternating"}, {"wrapper": "threads"}])
def test_wrappers_run_in_workers(wrapper):
    threads = {"threads": 4} if wrapper["wrapper"] == "threads" else {}
    case = replace(TINY, variants={"wrapped": Variant(wrapper | threads)}, peers=("numpy",))
    (entry,) = run([case], QUICK)
    assert entry.status == "ok" and len(entry.rounds) == 2, entry.reason


def test_a_case_of_kind_fresh_starts_a_worker_each_time(monkeypatch):
    started = []
    monkeypatch.setattr(
        "symnet.benchmarks.runner.Worker",
        lambda peer, env, threads: started.append(env) or Worker(peer, env, threads),
    )
    variants = {"cold": Variant(), "warm": Variant({"cold": False})}
    case = replace(CASES["call"], kind="fresh", peers=("numpy",), variants=variants)
    for entry in run([case], QUICK):
        assert entry.status == "ok" and len(entry.rounds) == 2, entry.reason
    caches = [env["SYMNET_CACHE"] for env in started]
    warm = caches[0]  # filled before the rounds begin
    assert len(caches) == 5 and caches.count(warm) == 3, "two caches are empty ones"


def test_a_case_may_share_one_worker_among_its_variants(monkeypatch):
    started = []
    monkeypatch.setattr(
        "symnet.benchmarks.runner.Worker",
        lambda peer, env, threads: started.append(peer.name) or Worker(peer, env, threads),
    )
    sizes = {str(n): Variant({"size": n}) for n in (1000, 2000)}
    case = replace(CASES["chain"], parameters={}, variants=sizes, peers=("numpy",))
    for share, workers in ((False, 2), (True, 1)):
        started.clear()
        entries = run([replace(case, share=share)], QUICK)
        assert len(started) == workers
        assert [len(e.rounds) for e in entries] == [2, 2], entries[0].reason
        # each variant is compared with a reference of its own
        assert all(e.status == "ok" and e.error < 1e-5 for e in entries)


def test_peak_memory_is_that_of_the_program():
    sizes = {str(n): Variant({"size": n}) for n in (1000, 1 << 22)}
    case = replace(CASES["memory-chain"], parameters={}, variants=sizes, peers=("numpy",))
    small, large = run([case], QUICK)
    assert small.status == large.status == "ok" and small.unit == "B", small.reason
    assert len(large.rounds) == 1 and small.median > 5 * 2**20
    # two inputs and at least one intermediate result, 16 MiB each
    assert 40 * 2**20 < large.median - small.median < 400 * 2**20


def test_a_turn_has_at_least_as_many_iterations_as_the_case_wants():
    (entry,) = run([replace(TINY, peers=("numpy",), least=700)], replace(QUICK, rounds=1))
    assert entry.iterations == 700


def test_startup_measures_a_process():
    case = replace(CASES["import"], peers=("numpy",))
    (entry,) = run([case], QUICK)
    assert entry.status == "ok" and all(0 < s < 30 for s in entry.rounds), entry.reason


def test_startup_reports_the_exception(tmp_path, monkeypatch):
    (tmp_path / "torch.py").write_text(
        "import atexit, sys\natexit.register(sys.stderr.write, 'a last note')\nraise OSError(7)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("SYMNET_BENCH_PYTHON", raising=False)
    (entry,) = run([replace(CASES["import"], peers=("torch",))], QUICK)
    assert (entry.status, entry.reason) == ("failed", "OSError: 7")


def without(tmp_path, monkeypatch, *packages):
    """Make packages look as if they were not installed, in every new process."""
    for name in packages:
        (tmp_path / f"{name}.py").write_text(
            f"raise ModuleNotFoundError(\"No module named '{name}'\", name='{name}')"
        )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("SYMNET_BENCH_PYTHON", raising=False)


@pytest.mark.parametrize("case", [replace(CASES["call"], peers=("torch",)), CASES["import"]])
def test_a_peer_that_is_not_installed_is_left_out(tmp_path, monkeypatch, case):
    without(tmp_path, monkeypatch, "torch")
    (entry,) = run([replace(case, peers=("torch",))], QUICK)
    assert entry.status == "unavailable" and "torch" in entry.reason and not entry.rounds


def test_torch_compile_without_a_compiler(tmp_path, monkeypatch):
    without(tmp_path, monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    (entry,) = run([replace(CASES["call"], peers=("torch-compiled",))], QUICK)
    assert entry.status == "unavailable" and "needs a C++ compiler" in entry.reason


def test_one_failure_does_not_end_the_others(monkeypatch, tmp_path):
    monkeypatch.setitem(PEERS, "ghost", Peer("ghost", "Ghost", "ghost", ()))
    case = replace(TINY, peers=("ghost", "numpy"))
    ghost, numpy = run([case], replace(QUICK, peers=("ghost", "numpy")))
    assert ghost.status == "failed" and "ghost" in ghost.reason
    assert numpy.status == "ok" and len(numpy.rounds) == 2


def test_errors_in_a_worker_come_back_and_it_lives_on(worker):
    with pytest.raises(WorkerError, match="KeyError: 'nonsense'"):
        worker.ask("setup", family="nonsense", parameters={})
    assert worker.ask("setup", family="call", parameters={})["limit"] is None
    assert worker.ask("check") == {"values": [1.0, 2.0, 3.0, 4.0], "against": "values"}
    assert worker.ask("time", iterations=3)["seconds"] > 0


def test_a_dead_worker_is_reported(worker):
    worker.ask("setup", family="call", parameters={})
    worker.process.kill()
    with pytest.raises(WorkerError, match="died with status -9"):
        worker.ask("check")


def test_a_hanging_worker_is_given_up_and_ended(worker):
    worker.ask("setup", family="mlp", parameters=TINY.parameters)
    with pytest.raises(WorkerError, match=r"no answer after 0\.2 seconds"):
        worker.ask("time", iterations=10**9, timeout=0.2)
    worker.close()
    assert worker.process.returncode is not None


def test_an_answer_that_is_none(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("print('hello from a library', flush=True)")
    peer = PEERS["numpy"]
    env = environment(peer, threads=1, scratch=tmp_path, extra={"PYTHONPATH": str(tmp_path)})
    # printed before the worker can redirect it: an error of this peer, not an end of the run
    with Worker(peer, env, 1) as worker, pytest.raises(WorkerError, match="hello from a library"):
        worker.ask("setup", family="call", parameters={})


def test_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("SYMNET_FLAGS", "floatX=float64,threads=9")
    env = environment(PEERS["symnet"], threads=3, scratch=tmp_path, extra={"EXTRA": "1"})
    assert "OPENBLAS_CORETYPE" not in env and env["EXTRA"] == "1"
    assert env["SYMNET_FLAGS"] == "floatX=float64,threads=3"
    assert env["OMP_NUM_THREADS"] == env["NUMBA_NUM_THREADS"] == env["NPROC"] == "3"
    assert all(
        env[k].startswith(str(tmp_path)) for k in ("SYMNET_CACHE", "TORCHINDUCTOR_CACHE_DIR")
    )
    kept = environment(PEERS["jax"], threads=3, scratch=tmp_path, keep=True)
    assert kept["OPENBLAS_CORETYPE"] == "Haswell"
    assert "PYTHONPATH" not in kept or kept["PYTHONPATH"] == os.environ.get("PYTHONPATH")


def test_interpreter(monkeypatch):
    monkeypatch.setenv("SYMNET_BENCH_PYTHON", "/opt/python")
    assert interpreter(PEERS["torch"]) == "/opt/python"
    assert interpreter(PEERS["symnet"]) == interpreter(PEERS["numpy"]) == sys.executable


def test_patience_ends(tmp_path, monkeypatch):
    monkeypatch.setattr("symnet.benchmarks.machine.busy_cores", lambda seconds: 1.5)
    runner = Runner(replace(QUICK, patience=0.05), tmp_path)
    (entry,) = runner.run(replace(TINY, peers=("numpy",)))
    assert runner.patience <= 0 and entry.busy == [1.5, 1.5]


@given(st.lists(st.floats(-1e6, 1e6).filter(lambda v: abs(v) > 1e-6), min_size=1, max_size=5))
def test_relative_error(values):
    assert relative_error(values, values) == 0
    assert relative_error([v * 1.5 for v in values], values) == pytest.approx(0.5)
    assert relative_error([*values, 0.0], values) == math.inf
    assert relative_error([math.nan, *values[1:]], values) == math.inf
