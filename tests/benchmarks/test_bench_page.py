"""The page in docs/ and the results it is made of."""

import pytest

from symnet.benchmarks import page, report
from symnet.benchmarks.cases import CASES
from symnet.benchmarks.cases.on_device import DEVICE_CASES
from symnet.benchmarks.runner import Entry, Options
from symnet.benchmarks.verdicts import judge


@pytest.fixture
def folder(tmp_path):
    entries = [
        Entry("mlp-128", "symnet", rounds=[1e-3] * 3, versions={"python": "3", "numpy": "2.9"}),
        Entry("mlp-128", "jax", rounds=[2e-3] * 3, versions={"jax": "0.9"}),
        Entry("compile", "symnet", "10 layers", rounds=[1.0]),
        Entry("compile", "symnet", "30 layers", rounds=[2.0]),
    ]
    folder = tmp_path / "benchmarks" / "results" / "2026-02-03-some-cpu"
    report.write(folder, "text", report.records(entries, judge(entries), Options()))
    return folder


def test_the_newest_folder_counts(folder):
    older = folder.parent / "2025-12-31-some-cpu"
    older.mkdir()
    (older / "report.json").write_text("{}")
    (folder.parent / "2027-01-01-empty").mkdir()
    assert page.newest(folder.parent) == folder
    assert page.newest(folder.parent / "nothing") is None


def test_results_replace_what_stood_there(folder, tmp_path):
    target = tmp_path / "docs" / "page.md"
    text = "# Benchmarks\n\nwords\n\n## Results\n\nold figures\n"
    made = page.updated(text, folder, target)
    assert made.startswith("# Benchmarks\n\nwords\n\n## Results\n") and "old figures" not in made
    assert "| JAX jit | 2 ms | 2 ms to 2 ms | 2.00x | - |" in made
    assert "| mlp-128: JAX / symnet | 2.00x | at least 1.15x | PASS |" in made
    assert "jax 0.9, numpy 2.9" in made
    for name in ("training", "compile"):
        link = f"../benchmarks/results/2026-02-03-some-cpu/{name}.png"
        assert f"({link})" in made and (target.parent / link).resolve().exists()
    assert "kernels.png" not in made and "#### chain" not in made
    assert page.updated(made, folder, target) == made


def test_command(folder, tmp_path, monkeypatch, capsys):
    target = tmp_path / "page.md"
    target.write_text("words\n\n## Results\n")
    monkeypatch.setattr(page, "PAGE", target)
    monkeypatch.setattr(page, "RESULTS", folder.parent)
    for state in ("updated", "current"):
        assert page.main() == 0
        assert f"page.md: {state} (2026-02-03-some-cpu)" in capsys.readouterr().out
    monkeypatch.setattr(page, "RESULTS", tmp_path / "nothing")
    assert page.main() == 1 and "no results" in capsys.readouterr().err


def test_the_page_shows_the_newest_results():
    folder = page.newest(page.RESULTS)
    if folder is None:
        pytest.skip("no results are committed")
    text = page.PAGE.read_text("utf-8")
    gpu = page.newest(page.RESULTS, "cuda")
    assert text == page.updated(text, folder, page.PAGE, gpu), (
        "run python -m symnet.benchmarks.page"
    )


def test_the_page_names_every_case():
    text = page.PAGE.read_text("utf-8").partition(page.HEADING)[0]
    assert [name for name in CASES | DEVICE_CASES if f"`{name}`" not in text] == []
