"""What is measured on a device: cases, the counting of orders, peers on the CPU, the report."""

import ctypes
import functools
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from symnet.backends.gpu import cuda, devices, host, host_blas, libraries
from symnet.benchmarks import accelerator, command, compare, page, plots, report
from symnet.benchmarks.cases import GROUPS, Variant, kernels, rows
from symnet.benchmarks.cases.on_device import DEVICE_CASES
from symnet.benchmarks.peers import DEVICE_PEERS, PEERS
from symnet.benchmarks.peers.watch import Watch, beside_one_replay, stops
from symnet.benchmarks.process import Worker, WorkerError, environment
from symnet.benchmarks.runner import (
    DeviceMissing,
    Entry,
    Options,
    Runner,
    describe_device,
    peers_on,
    relative_error,
    run,
)
from symnet.benchmarks.verdicts import DEVICE_PROMISES, judge
from symnet.benchmarks.worker import build
from symnet.config import config

KINDS = list(DEVICE_CASES["kernels"].variants)
GPU = {"device": "NVIDIA H200", "driver": "580.1", "cuBLAS": "13.1.0"}


def test_the_tables_fit_each_other():
    for case in DEVICE_CASES.values():
        assert set(case.peers) <= set(DEVICE_PEERS) and "symnet" in case.peers
        assert case.group in GROUPS and case.kind == "loop"
        for variant in case.variants:
            large = case.parameters_of(variant)
            small = case.parameters_of(variant, small=True)
            assert large.keys() == small.keys() and large != small
    for promise in DEVICE_PROMISES:
        for case, peer, variant in promise.needs:
            assert peer in DEVICE_CASES[case].peers and variant in DEVICE_CASES[case].variants
    assert set(peers_on("emulated")) == {"copy", "symnet"}


# ---- the large kernels


@pytest.mark.parametrize("kind", KINDS)
def test_kernels_in_other_words(kind):
    n = 30
    d = kernels.Data(*(v.astype(np.float64) for v in kernels.data(n, n)))
    found = kernels.compute(kind, d)
    for i, j in ((0, 0), (2, 17), (29, 28)):
        a, b = d.a[i, j], d.b[i, j]
        e = np.exp(d.a[i])
        centred = d.a[i] - d.a[i].mean()
        expected = {
            "add": a + b,
            "chain": np.hypot(a, b) / (1 + np.exp(-a)) - 0.1 * a,
            "softmax": e[j] / e.sum(),
            "layer-norm": centred[j] / np.sqrt(d.a[i].var() + rows.EPSILON) * d.scale[j]
            + d.shift[j],
            "transpose": a + d.b[j, i],
            "column-sum": sum(d.a[k, j] for k in range(n)),
        }[kind]
        assert found[j if kind == "column-sum" else (i, j)] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("transpose", lambda d: d.a + d.b),
        ("transpose", lambda d: (d.a + d.b.T).T),
        ("add", lambda d: d.a + d.b.T),
        ("softmax", lambda d: np.full_like(d.a, 1 / d.a.shape[1])),
        ("softmax", lambda d: rows.softmax(d.a[:, ::-1])),
        ("column-sum", lambda d: d.a.sum(1)),
        ("layer-norm", lambda d: kernels.compute("layer-norm", d)[:, ::-1]),
    ],
)
def test_the_check_tells_other_results(kind, wrong):
    d = kernels.data(60, 60)
    right = kernels.values(kind, 60, 60)
    tolerance = DEVICE_CASES["kernels"].tolerance
    assert relative_error(kernels.summary(kernels.compute(kind, d)), right) < tolerance
    assert relative_error(kernels.summary(wrong(d)), right) > 100 * tolerance


def test_traffic_is_operands_and_result():
    assert kernels.traffic("add", 10, 20) == kernels.traffic("transpose", 10, 20) == 4 * 600
    assert kernels.traffic("softmax", 10, 20) == 4 * 400
    assert kernels.traffic("layer-norm", 10, 20) == 4 * (400 + 40)
    assert kernels.traffic("column-sum", 10, 20) == 4 * (200 + 20)


def test_the_copys_pattern_shows_a_part_that_is_missing():
    pattern = kernels.pattern(1000)
    assert len(pattern) == 1000 and pattern.min() > 0
    holed = pattern.copy()
    holed[990:] = 0
    assert relative_error(kernels.summary(holed), kernels.summary(pattern)) > 1e-3


def test_the_environment_does_not_choose_for_the_peers(tmp_path, monkeypatch):
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    monkeypatch.setenv("SYMNET_FLAGS", "device=cuda,floatX=float32")
    for name, peer in DEVICE_PEERS.items():
        env = environment(peer, threads=2, scratch=tmp_path)
        assert "NVIDIA_TF32_OVERRIDE" not in env and env["JAX_PLATFORMS"] == "cuda", name
    assert "NVIDIA_TF32_OVERRIDE" not in report.markdown([], [], Options(device="cuda"), GPU)
    for table in (PEERS, DEVICE_PEERS):
        env = environment(table["symnet"], threads=2, scratch=tmp_path)
        assert env["SYMNET_FLAGS"] == "floatX=float32,threads=2"
    kept = environment(DEVICE_PEERS["jax"], threads=2, scratch=tmp_path, keep=True)
    assert kept["NVIDIA_TF32_OVERRIDE"] == "1"


# ---- counting orders


class Device:
    """Knows the names that are watched; a recording launches what was recorded."""

    def __init__(self):
        self.done = []

    def launch(self):
        self.done.append("launch")

    multiply = copy = clear = put = launch

    def wait(self):
        self.done.append("wait")

    def get(self):
        self.wait()

    def record(self, orders):
        orders()
        device = self

        class Recording:
            def replay(self):
                device.launch()

        return Recording()


def test_orders_are_counted_once():
    device = Device()
    with Watch(device) as seen:
        recording = device.record(device.launch)
        for _ in range(3):
            recording.replay()
        device.put(), device.get(), device.copy()
        assert [seen.count(kind) for kind in ("replay", "launch", "put", "copy")] == [3, 0, 1, 1]
        assert seen.count("wait") == 1, "get waits itself"
    before = list(seen.events)
    recording.replay(), device.launch()
    assert seen.events == before and type(device).wait == device.wait.__func__
    assert device.done.count("launch") == 1 + 3 + 2 + 2


def replays(count, *between, which=1):
    events = []
    for k in range(count):
        events += [("replay", which), *(between if k < count - 1 else ())]
    return events


WAIT, LAUNCH, REPORT = ("wait", 0), ("launch", 0), ("report", 0)


@pytest.mark.parametrize(
    ("events", "beside"),
    [
        (replays(4), 0),
        ([LAUNCH, WAIT, *replays(4, ("put", 0), ("copy", 0)), LAUNCH, ("replay", 2)], 0),
        (replays(4, LAUNCH), 0.75),
        (replays(4, ("replay", 2), WAIT), 0.75),
        (replays(3), 0.25),
        ([], 1),
    ],
)
def test_one_graph_per_step(events, beside):
    assert beside_one_replay(events, 4) == beside


@pytest.mark.parametrize(
    ("events", "count"),
    [
        (replays(4), 0),
        ([WAIT, *replays(4), WAIT, WAIT], 0),
        (replays(4, WAIT, WAIT), 3),
        (replays(4, WAIT, WAIT, REPORT), 0),
        (replays(4, WAIT, REPORT, WAIT), 0),
        ([*replays(3, REPORT), WAIT, *replays(2)], 1),
        ([], 0),
    ],
)
def test_waits_within_an_epoch(events, count):
    assert stops(events, "report") == count


# ---- the other libraries, on the CPU


@pytest.mark.parametrize("family", ["mlp", "chain", "fit"])
@pytest.mark.parametrize("peer", ["torch", "torch-compiled", "jax"])
def test_peers_that_are_here_are_right(peer, family, tmp_path):
    """In the Python that SYMNET_BENCH_PYTHON names, or this one; most have none of them."""
    name = "mlp-128" if family == "mlp" else family
    case, known = DEVICE_CASES[name], DEVICE_PEERS[peer]
    parameters = case.parameters_of("", small=True)
    env = environment(known, threads=2, scratch=tmp_path, extra={"JAX_PLATFORMS": "cpu"})
    with Worker(known, env, 2) as worker:
        where = {"device": "cpu", "precision": "highest"}
        answer = worker.ask("setup", family=family, parameters=parameters | where)
        if "unavailable" in answer:
            pytest.skip(answer["unavailable"])
        found = worker.ask("check")
        expected = case.module.REFERENCES[found["against"]](**parameters)
        assert relative_error(found["values"], expected) < case.tolerance
        assert worker.ask("time", iterations=2)["seconds"] > 0
        assert set(worker.ask("facts")["facts"]) <= {"compiled without a graph"}


# ---- the report


def measured(case, peer, seconds, variant="", **more):
    return Entry(case, peer, variant, rounds=[seconds] * 3, error=1e-7, **more)


FACTS = {"launches beside one graph": 0.0, "waits": 0.0}
ENTRIES = [
    measured("mlp-128", "symnet", 1e-3, facts=FACTS, versions={"numpy": "2.4"}),
    measured("mlp-128", "torch-compiled", 2e-3, facts={"compiled without a graph": 1}),
    measured("mlp-128", "jax", 0.9e-3, versions={"jax": "0.10"}),
    measured("kernels", "copy", 0.95e-4, variant="add"),
    measured("kernels", "symnet", 1e-4, variant="add", facts=FACTS),
    measured("kernels", "copy", 0.5e-4, variant="softmax"),
    measured("kernels", "symnet", 1e-4, variant="softmax", facts=FACTS),
    measured("fit", "symnet", 0.05, facts={**FACTS, "waits": 0.5}),
]
ON_GPU = Options(device="cuda")


def outcomes(entries):
    return {v.text: v.outcome for v in judge(entries, DEVICE_PROMISES)}


def test_promises():
    found = outcomes(ENTRIES)
    assert found["mlp-128: PyTorch reduce-overhead / symnet"] == "PASS"
    assert found["mlp-128: JAX / symnet"] == "FAIL"
    assert found["add: share of the copy's bandwidth"] == "PASS"
    assert found["softmax: share of the copy's bandwidth"] == "FAIL"
    assert found["transpose: share of the copy's bandwidth"] == "not run"
    assert found["mlp-128: launches per step besides one recorded graph"] == "PASS"
    assert found["fit: waits per step but for the progress report"] == "FAIL"
    assert found["mlp-16: JAX / symnet"] == "not run"


def test_facts_are_judged_where_nothing_is_timed():
    checked = [replace(e, rounds=[], busy=[]) for e in ENTRIES]
    found = outcomes(checked)
    assert found["mlp-128: launches per step besides one recorded graph"] == "PASS"
    assert found["fit: waits per step but for the progress report"] == "FAIL"
    assert {found[text] for text in found if "/" in text or "share" in text} == {"not run"}
    busy = outcomes([replace(e, busy=[1.0] * 3) for e in ENTRIES])
    assert busy["mlp-128: launches per step besides one recorded graph"] == "PASS"
    assert busy["mlp-128: JAX / symnet"] == "FAIL?"


def test_markdown():
    text = report.markdown(ENTRIES, judge(ENTRIES, DEVICE_PROMISES), ON_GPU, GPU)
    assert "| device | NVIDIA H200 |" in text and "| cuBLAS | 13.1.0 |" in text
    assert "TF32 off" in text and "one wait" in text
    assert "| PyTorch reduce-overhead, without CUDA graphs | 2 ms |" in text
    assert "symnet, per iteration: launches beside one graph 0, waits 0.5." in text
    moved = kernels.traffic("add", 1 << 15, 1 << 10) / 1e9
    assert f"| copy, add | 95 us | 95 us to 95 us | {moved / 0.95e-4:,.0f} | 0.95x |" in text
    assert f"| symnet, add | 100 us | 100 us to 100 us | {moved / 1e-4:,.0f} | 1.00x |" in text
    assert "| symnet | 50 ms | 50 ms to 50 ms | 1,100,000 | 1.00x |" in text
    assert "in TF32" in report.markdown([], [], replace(ON_GPU, precision="high"), GPU)


def test_the_emulated_device_claims_no_times():
    checked = [replace(ENTRIES[0], rounds=[]), Entry("fit", "symnet", status="wrong", reason="7")]
    text = report.markdown(checked, judge(checked, DEVICE_PROMISES), Options(device="emulated"))
    assert "Nothing is timed" in text and "| symnet | correct |  |  | 1.0e-07 |" in text
    assert "| symnet | wrong |  |  |  | 7 |" in text
    assert not any(unit in text for unit in (" us |", " ms |", "TF32"))


def test_a_gpus_report_is_written_and_read(tmp_path):
    verdicts = judge(ENTRIES, DEVICE_PROMISES)
    data = report.records(ENTRIES, verdicts, ON_GPU, GPU)
    assert report.folder_name(data) == f"{data['date']}-nvidia-h200"
    report.write(tmp_path, "text", data)
    read = compare.read(tmp_path / "report.json")
    assert read["device"] == GPU and report.device_of(read) == "cuda"
    assert report.entries(read) == ENTRIES
    assert (tmp_path / "training.png").exists() and (tmp_path / "kernels.png").exists()
    assert {case for case, _ in plots._rows(read, "kernels")} == {
        "kernels, add",
        "kernels, softmax",
    }


def test_reports_about_different_devices_are_not_compared(tmp_path, capsys):
    files = []
    for options in (Options(), ON_GPU):
        files.append(tmp_path / f"{options.device}.json")
        files[-1].write_text(json.dumps(report.records([], [], options, GPU)))
    assert command.main(["--compare", *map(str, files)]) == 2
    assert "about the device cpu, one about cuda" in capsys.readouterr().err
    assert command.main(["--compare", *map(str, files[1:] * 2)]) == 0


def test_the_page_shows_the_newest_of_each_device(tmp_path):
    cpu = [Entry("mlp-128", "symnet", rounds=[1e-3] * 3), Entry("call", "numpy", rounds=[1e-6])]
    for day, options, entries in (
        ("2026-01-01-cpu", Options(), cpu),
        ("2026-02-02-gpu", ON_GPU, ENTRIES),
        ("2026-03-03-checked", Options(device="emulated"), []),
    ):
        data = report.records(entries, judge(entries, DEVICE_PROMISES), options, GPU)
        report.write(tmp_path / day, "text", data)
    own, gpu = page.newest(tmp_path), page.newest(tmp_path, "cuda")
    assert (own.name, gpu.name) == ("2026-01-01-cpu", "2026-02-02-gpu")
    target = tmp_path / "page.md"
    without = page.updated("words\n\n## Results\n\nold", own, target)
    assert "## Results on a GPU\n\nNot measured on hardware yet." in without
    text = page.updated(without, own, target, gpu)
    assert "Not measured" not in text and "NVIDIA H200, driver 580.1, cuBLAS 13.1.0" in text
    assert text.index("| NumPy |") < text.index("## Results on a GPU") < text.index("| copy, add |")
    assert "(2026-02-02-gpu/kernels.png)" in text and "jax 0.10, numpy 2.4" in text
    assert page.updated(text, own, target, gpu) == text


# ---- the command


def test_a_missing_device_is_told_before_anything_runs(monkeypatch, capsys):
    monkeypatch.setattr(command, "run", lambda *_: pytest.fail("nothing to run on"))
    for error in (DeviceMissing("no GPU can be used:\nCuPy is not installed"), WorkerError("died")):

        def raises(options, error=error):
            raise error

        monkeypatch.setattr(command, "describe_device", raises)
        assert command.main(["--device", "cuda"]) == 2
        out, err = capsys.readouterr()
        assert out == "" and err == f"symnet bench --device cuda: {error}\n"


def test_cases_and_peers_belong_to_a_device(monkeypatch, capsys):
    assert command.main(["--device", "cuda", "--list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in DEVICE_CASES) and "autoencoder" not in listed
    for arguments, message in (
        ("--device cuda --cases autoencoder", "autoencoder: not on this device; there are mlp-128"),
        ("--device cuda --peers numpy", "numpy: not on this device"),
        ("--cases kernels", "kernels: not on this device"),
        ("--device emulated --peers torch", "torch: not on this device"),
        ("--device emulated --save", "nothing to save"),
    ):
        with pytest.raises(SystemExit):
            command.main(arguments.split())
        assert message in capsys.readouterr().err
    seen = []
    monkeypatch.setattr(command, "describe_device", lambda options: GPU)
    monkeypatch.setattr(command, "run", lambda cases, options: seen.append(options) or [])
    assert command.main("--device cuda --float32-matmul-precision high".split()) == 0
    assert seen[0].peers == tuple(DEVICE_PEERS) and seen[0].precision == "high"
    assert seen[0].threads == command.default_threads("cuda") > 0


def test_what_is_told_once_or_of_each():
    two = [Entry("kernels", "symnet", kind, facts={"waits": 0.0}) for kind in ("add", "chain")]
    assert report.told(two) == ["symnet, per iteration: waits 0."]
    two[1].facts = {"waits": 1.0}
    assert report.told(two)[1] == "symnet, chain, per iteration: waits 1."
    assert report.told(ENTRIES[1:3]) == [], "not of other libraries"


# ---- symnet on the emulated device


@pytest.fixture(scope="module")
def checked():
    """The whole suite as `symnet bench --device emulated` runs it."""
    if host.compiler() is None:
        pytest.skip("the emulated device needs a C++ compiler")
    options = Options(
        threads=2, quiet=True, device="emulated", peers=tuple(peers_on("emulated"))
    )  # fmt: skip
    return run(DEVICE_CASES.values(), options)


def test_symnet_is_right_on_the_emulated_device(checked):
    assert len(checked) == len(DEVICE_CASES) - 1 + 2 * len(KINDS)
    for entry in checked:
        assert (entry.status, entry.reason) == ("ok", ""), entry.case
        assert entry.error < DEVICE_CASES[entry.case].tolerance and not entry.rounds


def test_symnet_keeps_what_needs_no_clock(checked):
    verdicts = judge(checked, DEVICE_PROMISES)
    kept = [v.text for v in verdicts if v.outcome != "not run"]
    assert len(kept) == 5 and all(v.outcome != "FAIL" for v in verdicts), kept


def test_the_emulated_device_is_described():
    facts = describe_device(Options(device="emulated"))
    assert facts["device"] == "emulated" and facts["multiprocessors"] > 0


def test_what_is_missing_for_a_gpu_is_told_by_symnet(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # none, even where there is one
    with pytest.raises(DeviceMissing, match="no GPU can be used"):
        describe_device(Options(device="cuda"))


# ---- symnet's programs on CUDA, with a CuPy over the host's memory (tests/backends/gpu)


@functools.cache
def cublas():
    return ctypes.CDLL(str(host.library(host_blas.TEXT, "")))


@pytest.fixture
def cuda_device(monkeypatch):
    if host.compiler() is None:
        pytest.skip("the stand-in for a GPU needs a C++ compiler")
    folder = Path(__file__).parents[1] / "backends" / "gpu"
    monkeypatch.syspath_prepend(str(folder))
    import fake_cupy

    made = fake_cupy.make()
    monkeypatch.setattr(cuda, "compile_module", fake_cupy.compile_module(made.machine))
    device = cuda.CudaDevice(made, fake_cupy.Cublas(made.machine, cublas()))
    before = devices.use("cuda", device)
    yield device
    devices.use("cuda", before)


@pytest.mark.parametrize("name", DEVICE_CASES)
def test_symnets_programs_with_cuda(cuda_device, name):
    case = DEVICE_CASES[name]
    for peer in {"copy", "symnet"} & set(case.peers):
        variant = "transpose" if name == "kernels" else ""
        parameters = case.parameters_of(variant, small=True)
        program = build(DEVICE_PEERS[peer], case.family, device="cuda", **parameters)
        expected = case.module.REFERENCES[program.against](**parameters)
        assert relative_error(program.check(), expected) < case.tolerance
        program.run(2)
        if peer == "symnet":
            facts = program.facts()
            assert facts["launches beside one graph"] == facts["waits"] == 0


def test_a_gpu_is_described(cuda_device, monkeypatch):
    runtime = SimpleNamespace(
        getDeviceProperties=lambda _: {"name": b"NVIDIA H200", "totalGlobalMem": 139 << 30},
        driverGetVersion=lambda: 13010,
        runtimeGetVersion=lambda: 13000,
    )
    cupy = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime), __version__="14.2.0")
    monkeypatch.setattr(libraries, "cupy", lambda: cupy)
    monkeypatch.setattr(accelerator, "_cublas", lambda major: f"{major}.1.0")
    monkeypatch.setattr(accelerator.kernels, "nvrtc", lambda: SimpleNamespace(version=(13, 0)))
    facts = accelerator.describe("cuda")
    assert (facts["device"], facts["memory"]) == ("NVIDIA H200", "139 GiB")
    assert (facts["CUDA of the driver"], facts["CUDA"]) == ("13.1", "13.0")
    assert (facts["cuBLAS"], facts["NVRTC"]) == ("13.1.0", "13.0")
    assert "14.2.0" in facts["CuPy"] and facts["architecture"].startswith("sm_")


# ---- the runner


def test_a_device_is_timed_in_rounds(tmp_path):
    """With small cases on the emulated device, as a GPU is timed."""
    if host.compiler() is None:
        pytest.skip("the emulated device needs a C++ compiler")
    options = Options(rounds=2, threads=2, seconds=0.002, quiet=True, device="emulated")
    runner = Runner(replace(options, peers=("copy", "symnet")), tmp_path)
    runner.small = False
    add = Variant({"kind": "add", "rows": 40, "columns": 50})
    case = replace(DEVICE_CASES["kernels"], variants={"add": add})
    copy, own = runner.run(case)
    for entry in (copy, own):
        assert entry.status == "ok" and len(entry.rounds) == 2, entry.reason
        assert entry.iterations >= 1 and entry.error < case.tolerance
    assert own.facts["waits"] == 0 and copy.facts == {}


@pytest.mark.parametrize("peer", ["torch", "torch-compiled", "jax"])
def test_a_peer_that_finds_no_gpu_is_missing_not_failed(peer, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    case = replace(DEVICE_CASES["chain"], parameters={"size": 3000}, peers=(peer,))
    (entry,) = run([case], Options(rounds=1, threads=2, quiet=True, device="cuda", peers=(peer,)))
    assert entry.status == "unavailable" and not entry.rounds, entry.reason
    assert "not installed" in entry.reason or "finds no" in entry.reason


def test_the_setting_chooses_the_device():
    for device in ("cpu", "cuda"):
        with config.change(device=device):
            assert command._parser().parse_args([]).device == device
            assert command._parser().parse_args(["--device", "emulated"]).device == "emulated"
