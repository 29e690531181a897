"""Verdicts and reports from made-up measurements, and the command line."""

import json
import math
from dataclasses import replace

import pytest

from symnet.benchmarks import command, machine, report
from symnet.benchmarks.cases import CASES
from symnet.benchmarks.runner import Entry, Options
from symnet.benchmarks.verdicts import PROMISES, judge, quantity


def measured(case, peer, *rounds, variant="", **more):
    return Entry(case, peer, variant, rounds=list(rounds), error=1e-7, **more)


def outcome(entries, text):
    return next(v for v in judge(entries) if v.text == text)


def test_every_promise_is_about_something_that_is_measured():
    for promise in PROMISES:
        for case, peer, variant in promise.needs:
            assert peer in CASES[case].peers and variant in CASES[case].variants


@pytest.mark.parametrize(
    ("symnet", "other", "text", "expected"),
    [
        (0.97, ("numpy-gemm", 1.0), "mlp-128: symnet / its five gemms", "PASS"),
        (0.98, ("numpy-gemm", 1.0), "mlp-128: symnet / its five gemms", "FAIL"),
        (1.0, ("jax", 1.16), "mlp-128: JAX / symnet", "PASS"),
        (1.0, ("jax", 1.14), "mlp-128: JAX / symnet", "FAIL"),
    ],
)
def test_ratios(symnet, other, text, expected):
    peer, seconds = other
    entries = [
        measured("mlp-128", "symnet", 9, symnet, 0.1),
        measured("mlp-128", peer, 0.1, seconds, 9),
    ]
    assert outcome(entries, text).outcome == expected


def test_nothing_measured_is_no_verdict_but_a_failure_is():
    assert {v.outcome for v in judge([])} == {"not run"}
    gemm = measured("mlp-128", "numpy-gemm", 1.0)
    text = "mlp-128: symnet / its five gemms"
    assert outcome([gemm], text).outcome == "not run"
    for status, expected in (("failed", "FAIL"), ("wrong", "FAIL"), ("unavailable", "not run")):
        symnet = Entry("mlp-128", "symnet", status=status, reason="why")
        assert outcome([gemm, symnet], text).outcome == expected
    other = Entry("mlp-128", "numpy-gemm", status="failed")
    assert outcome([other, measured("mlp-128", "symnet", 1.0)], text).outcome == "not run"


@pytest.mark.parametrize(("busy", "mark"), [([0.1, 0, 0, 1.0], ""), ([0, 0, 0.9, 1.0], "?")])
def test_a_verdict_of_a_disturbed_run_is_none(monkeypatch, capsys, busy, mark):
    for seconds, word in ((2e-6, "PASS"), (4e-6, "FAIL")):
        entries = [measured("call", "symnet", *[seconds] * 4, busy=busy)]
        assert outcome(entries, "call of a tiny function").outcome == word + mark
    monkeypatch.setattr(command, "run", lambda cases, options: entries)
    assert command.main(["--strict"]) == 1


@pytest.mark.parametrize(("power", "expected"), [(1.0, "PASS"), (2.0, "FAIL")])
def test_growth_tells_linear_from_quadratic(power, expected):
    entries = [
        measured("compile", "symnet", 0.8 + 1e-3 * n**power, variant=f"{n} layers")
        for n in (10, 30, 100, 300, 1000)
    ]
    verdict = outcome(entries, "compile: seconds per layer, 300 to 1000 layers / 100 to 300")
    assert verdict.outcome == expected
    if power == 1:
        assert verdict.value == pytest.approx(1)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2.112e-3, "s", "2.11 ms"),
        (3.04e-6, "s", "3.04 us"),
        (0.2, "s", "200 ms"),
        (1.6, "s", "1.6 s"),
        (1234.0, "s", "1234 s"),
        (0.0, "s", "0 us"),
        (-2e-5, "s", "-20 us"),
        (0.934, "x", "0.93x"),
        (3.14e-7, "", "3.1e-07"),
        (math.nan, "x", "-"),
    ],
)
def test_quantity(value, unit, text):
    assert quantity(value, unit) == text


def test_quartiles():
    entry = measured("call", "numpy", 1.0, 2.0, 3.0, 4.0, 5.0)
    assert (entry.median, entry.spread) == (3.0, (2.0, 4.0))
    assert measured("call", "numpy", 1.0).spread == (1.0, 1.0)


ENTRIES = [
    measured("call", "numpy", 1e-6, 2e-6, versions={"numpy": "9.9"}, blas=["libopenblas: Zen"]),
    measured("call", "symnet", 4e-6, 4e-6),
    Entry("call", "torch", status="unavailable", reason="torch is not installed"),
    Entry("call", "jax", status="failed", reason="a | b", error=math.inf),
]


def test_markdown(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.delenv("OPENBLAS_L2_SIZE", raising=False)
    text = report.markdown(ENTRIES, judge(ENTRIES), Options())
    assert "| NumPy | 1.5 us | 1.25 us to 1.75 us | 0.38x | 1.0e-07 |" in text
    assert "| PyTorch eager | unavailable |  |  | torch is not installed |" in text
    assert "| JAX jit | failed |  |  | a / b |" in text
    assert "| call of a tiny function | 4 us | at most 3 us | FAIL |" in text
    assert "numpy 9.9, libopenblas: Zen" in text
    assert "`OPENBLAS_CORETYPE` stood in the environment and did not reach" in text
    assert "CORETYPE=Haswell" not in text
    kept = report.markdown(ENTRIES, [], Options(keep_env=True))
    assert "CORETYPE=Haswell" in kept and "Must show" not in kept
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert len(tables) > 20 and all(line.endswith("|") for line in tables)


def test_a_disturbed_machine_is_told():
    quiet = [replace(ENTRIES[0], busy=[0.0, 0.1])]
    loud = [replace(ENTRIES[0], busy=[0.0, 1.4])]
    assert "Not a quiet machine" not in report.markdown(quiet, [], Options())
    assert "before 1 of 2 turns other programs used the cores (up to 1.4" in report.markdown(
        loud, [], Options()
    )


def test_json_is_strict(tmp_path):
    data = report.records(ENTRIES, judge(ENTRIES), Options())
    report.write(tmp_path / "new" / "folder", "text", data)
    content = (tmp_path / "new" / "folder" / "report.json").read_text()
    assert (tmp_path / "new" / "folder" / "report.md").read_text() == "text"
    read = json.loads(content, parse_constant=lambda name: pytest.fail(name))
    assert read["entries"][0]["median"] == 1.5e-6 and read["entries"][3]["median"] is None
    assert read["options"]["rounds"] == 7


def test_machine_names_no_paths(monkeypatch):
    monkeypatch.setenv("SYMNET_CACHE", "/home/somebody")
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert machine.environment()["OMP_NUM_THREADS"] == "5"
    facts = {**machine.describe(), **machine.environment()}
    assert not any("/home" in str(value) for value in facts.values())
    assert machine.usable_cores() >= 1


def test_busy_cores_sees_work():
    import multiprocessing

    context = multiprocessing.get_context("fork")
    child = context.Process(target=lambda: [None for _ in iter(int, 1)], daemon=True)
    child.start()
    try:
        assert machine.busy_cores(0.3) > 0.2
    finally:
        child.kill()
        child.join()


def test_command(capsys, tmp_path):
    arguments = "--cases call --peers numpy --rounds 1 --seconds 0.001 --threads 1 --quiet"
    assert command.main([*arguments.split(), "--output", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "## call" in out and "| NumPy | " in out and err == ""
    assert (tmp_path / "report.md").read_text() == out[:-1]
    assert json.loads((tmp_path / "report.json").read_text())["entries"][0]["status"] == "ok"


@pytest.mark.parametrize(
    ("statuses", "strict", "code"),
    [("ok", False, 0), ("ok", True, 1), ("wrong", False, 1), ("failed", False, 1)],
)
def test_exit_code(monkeypatch, capsys, statuses, strict, code):
    slow = Entry("call", "symnet", status=statuses, rounds=[1.0] if statuses == "ok" else [])
    monkeypatch.setattr(command, "run", lambda cases, options: [slow])
    assert command.main(["--cases", "call", *(["--strict"] if strict else [])]) == code


def test_list_and_bad_arguments(capsys):
    assert command.main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in CASES)
    for bad in (["--cases", "mlp"], ["--peers", "mxnet"], ["--rounds", "0"]):
        with pytest.raises(SystemExit):
            command.main(bad)
    assert "mlp: unknown; there are mlp-128" in capsys.readouterr().err
