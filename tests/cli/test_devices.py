"""`--device` of the commands: a GPU that is emulated, and one that is not there."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

import symnet
import symnet.cli.mnist
from symnet.backends.gpu import devices, libraries
from symnet.backends.gpu.host import compiler
from symnet.cli import info
from symnet.nn import read_parameters

emulated = pytest.mark.skipif(compiler() is None, reason="needs a C++ compiler")
SMALL = ("--hidden", 10, "--batch-size", 64, "--epochs", 2)
MISSING = ["CuPy is not installed: pip install it.", "There is no driver; nothing can help."]


@pytest.fixture
def no_gpu(monkeypatch):
    """A machine without one, wherever the tests run."""
    before = devices.use("cuda", None)
    monkeypatch.setattr(libraries, "missing", lambda: MISSING)
    monkeypatch.setattr("symnet.backends.gpu.cuda.missing", lambda: MISSING)
    yield
    devices.use("cuda", before)


@pytest.fixture
def undrawn(monkeypatch):
    monkeypatch.setattr(symnet.cli.mnist, "draw", lambda *_: iter(()))


def losses(folder):
    history = json.loads((folder / "history.json").read_text())
    return history["settings"]["device"], [epoch["loss"] for epoch in history["epochs"]]


@emulated
def test_training_on_a_device_is_that_of_the_cpu(run, undrawn, data, tmp_path):
    for device in ("cpu", "emulated"):
        folder = tmp_path / device
        status, out, err = run(
            "mnist", *SMALL, "--data", data, "--output", folder, "--device", device
        )
        assert (status, err) == (0, "")
        assert ("for the emulated device\n" in out) == (device == "emulated")
        assert losses(folder)[0] == device
    cpu, other = (losses(tmp_path / device)[1] for device in ("cpu", "emulated"))
    np.testing.assert_allclose(other, cpu, rtol=1e-4)
    a, b = (read_parameters(tmp_path / d / "model.safetensors") for d in ("cpu", "emulated"))
    for name, array in a.items():
        np.testing.assert_allclose(b[name], array, rtol=1e-3, atol=1e-4)
    assert symnet.config.device == "cpu"


@emulated
def test_a_run_goes_on_on_its_device_or_on_another(run, undrawn, data, tmp_path):
    common = ("mnist", "--data", data, "--output", tmp_path)
    with pytest.MonkeyPatch.context() as stop:
        begin = symnet.cli.progress.Watched.begin

        def interrupted(self, epoch):
            if epoch == 2:
                raise KeyboardInterrupt
            begin(self, epoch)

        stop.setattr(symnet.cli.progress.Watched, "begin", interrupted)
        assert run(*common, *SMALL, "--device", "emulated")[0] == 130
        status, _, err = run(*common, "--resume")
        assert status == 130 and err
        assert losses(tmp_path)[0] == "emulated"
    status, out, err = run(*common, "--resume", "--device", "cpu")
    assert (status, err) == (0, "")
    assert "epoch 2/2" in out and "thread" in out
    assert losses(tmp_path)[0] == "cpu" and len(losses(tmp_path)[1]) == 2


def test_runs_of_before_there_were_devices_go_on(run, undrawn, data, tmp_path):
    common = ("mnist", "--data", data, "--output", tmp_path)
    assert run(*common, *SMALL)[0] == 0
    history = json.loads((tmp_path / "history.json").read_text())
    del history["settings"]["device"]
    (tmp_path / "history.json").write_text(json.dumps(history))
    assert run(*common, "--resume")[0] == 0
    assert losses(tmp_path)[0] == "cpu"


@pytest.mark.parametrize("command", ["mnist", "predict", "info"])
def test_devices_that_nobody_knows_are_errors_of_usage(run, command):
    status, _, err = run(command, "--device", "abacus")
    assert status == 2
    assert "abacus" in err.splitlines()[-1] and "emulated" in err.splitlines()[-1]


def test_a_gpu_that_is_not_there_is_one_line(run, no_gpu, data, tmp_path):
    pytest.importorskip("PIL")
    for command in (
        ("mnist", "--data", data, "--output", tmp_path / "run"),
        ("predict", tmp_path / "no-model", tmp_path / "no-picture"),
    ):
        status, out, err = run(*command, "--device", "cuda")
        assert (status, out) == (2, "")
        assert err == f"symnet: no GPU can be used: {' '.join(MISSING)}\n"
    assert list(tmp_path.iterdir()) == []


@emulated
def test_pictures_are_told_on_a_device(run, digits, tmp_path):
    Image = pytest.importorskip("PIL.Image")
    pytest.importorskip("safetensors")
    model = symnet.nn.Sequential(
        [symnet.nn.Rescaling(1 / 255), symnet.nn.Flatten(), symnet.nn.Dense(10, "softmax")], seed=0
    )
    model.compile("momentum", "categorical_crossentropy")
    model.fit(digits.train_images, digits.train_labels, epochs=2, verbose=0, seed=0)
    model.save(tmp_path / "model.safetensors")
    Image.fromarray(255 - digits.test_images[0]).save(tmp_path / "digit.png")
    said = [
        run("predict", tmp_path / "model.safetensors", tmp_path / "digit.png", "--device", device)
        for device in ("cpu", "emulated")
    ]
    assert said[0] == said[1] and said[0][0] == 0


# ---- what info says


def test_info_names_what_a_gpu_lacks(run, no_gpu):
    status, out, err = run("info", "--device", "cuda")
    assert (status, err) == (1, "")  # for scripts
    assert re.search("^GPU .*functions (are to )?run on cuda$", out, re.MULTILINE)
    assert "- CuPy is not installed\n  pip install it\n" in out
    assert "- There is no driver; nothing can help.\n" in out
    assert re.search("^NVRTC   ", out, re.MULTILINE)


@emulated
def test_info_runs_a_function_on_the_device(monkeypatch):
    with symnet.config.change(device="emulated"):
        assert list(info._device()) == []
        monkeypatch.setattr(info, "function", lambda *_: lambda values: 0.0)
        (problem,) = info._device()
        monkeypatch.setattr(info, "problems", list)
        assert info.main([]) == 1
    assert "computed 0.0 instead of 33" in problem.what and "device=emulated" in problem.what


def test_info_loads_nothing_of_a_gpu():
    code = (
        "import sys; from symnet.cli import main; main(['info']); "
        "print([m for m in sys.modules if '.gpu' in m or 'cupy' in m], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
