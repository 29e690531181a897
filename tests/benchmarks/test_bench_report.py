"""Verdicts and reports from made-up measurements, and the command line."""

import json
import math
import sys
from dataclasses import replace

import pytest

from symnet.benchmarks import command, compare, machine, plots, report
from symnet.benchmarks.cases import CASES
from symnet.benchmarks.cases.on_device import DEVICE_CASES
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
    assert read["options"]["rounds"] == Options().rounds


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


def test_memory_is_in_bytes_and_fit_in_images_per_second():
    memory = replace(ENTRIES[1], case="memory-step", unit="B", rounds=[2.0**28])
    assert "| symnet | 256 MiB | 256 MiB to 256 MiB | 1.00x |" in report.case_table([memory])
    epoch = [measured("fit", "symnet", 0.5), measured("fit", "torch", 2.0)]
    text = report.case_table([*epoch, Entry("fit", "keras", status="failed", reason="why")])
    assert "| symnet | 500 ms | 500 ms to 500 ms | 110,000 | 1.00x |" in text
    assert "| PyTorch eager | 2 s | 2 s to 2 s | 27,500 | 4.00x |" in text
    assert len({line.count("|") for line in text.splitlines()}) == 1


def test_a_report_that_is_read_says_the_same(tmp_path):
    verdicts = judge(ENTRIES)
    report.write(tmp_path, "text", report.records(ENTRIES, verdicts, Options()))
    read = compare.read(tmp_path / "report.json")
    entries = report.entries(read)
    assert report.case_table(entries) == report.case_table(ENTRIES)
    assert report.verdict_table(report.verdicts(read)) == report.verdict_table(verdicts)


@pytest.mark.parametrize(
    ("processor", "name"),
    [
        ("AMD EPYC", "amd-epyc"),
        ("Intel(R) Xeon(R) CPU E5-2690 v4 @ 2.60GHz", "intel-xeon-e5-2690-v4"),
        ("AMD Ryzen 9 7950X 16-Core Processor", "amd-ryzen-9-7950x"),
        ("", ""),
    ],
)
def test_name_of_the_folder(processor, name):
    data = {"date": "2026-11-24", "machine": {"processor": processor}, "options": {"threads": 2}}
    expected = "-".join(filter(None, ["2026-11-24", name, "2-threads"]))
    assert report.folder_name(data) == expected


def test_save(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(command, "run", lambda cases, options: ENTRIES[:2])
    monkeypatch.setattr(machine, "_processor", lambda: "Some CPU 7")
    assert command.main(["--cases", "call", "--save", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    assert folder.name.endswith("-some-7-2-threads")
    assert {path.name for path in folder.iterdir()} == {"report.json", "report.md", "kernels.png"}


LAYERS = [
    measured("compile", "symnet", 0.1 * n, variant=f"{n} layers") for n in (10, 30, 100)
]  # fmt: skip


def test_pictures(tmp_path):
    entries = [
        *ENTRIES,
        *LAYERS,
        *(measured("mlp-128", peer, 2.0) for peer in CASES["mlp-128"].peers),
        measured("optimizers", "symnet", 1.0, variant="adam"),  # nothing to compare with
    ]
    drawn = plots.draw(report.records(entries, [], Options()), tmp_path)
    assert [path.name for path in drawn] == ["training.png", "kernels.png", "compile.png"]
    for path in drawn:
        assert path.read_bytes()[1:4] == b"PNG"
    assert plots.draw(report.records([], [], Options()), tmp_path) == []


def test_every_peer_has_a_look():
    cases = [*CASES.values(), *DEVICE_CASES.values()]
    peers = {peer for case in cases for peer in case.peers} - {"symnet"}
    assert peers == set(plots._LOOKS)
    assert len(set(plots._LOOKS.values())) == len(plots._LOOKS)


def test_a_report_without_matplotlib(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    report.write(tmp_path, "text", report.records(ENTRIES, [], Options()))
    assert "no pictures: matplotlib" in capsys.readouterr().err
    assert (tmp_path / "report.json").exists()
