"""Every page's Python blocks run; printouts and pictures below them are what they make today."""

import functools
import importlib
import importlib.util
import re
from pathlib import Path

import pytest

import symnet
import symnet.nn
from symnet.backends.gpu.host import compiler
from symnet.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("symnet", "kernels", "benchmarks", "tests", "docs")
_spec = importlib.util.spec_from_file_location("update", ROOT / "docs" / "update.py")
update = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(update)


@pytest.mark.parametrize("page", update.pages(), ids=lambda p: str(p.relative_to(ROOT)))
def test_page_runs_and_is_current(page):
    text = page.read_text("utf-8")
    if 'device="emulated"' in text and compiler() is None:
        pytest.skip("the emulated device needs a C++ compiler")
    now, pictures = update.updated(text)
    assert now == text, "run docs/update.py"
    for address, content in pictures.items():
        for png in (content, (page.parent / address).read_bytes()):
            assert png.startswith(b"\x89PNG"), address


def renewed(text):
    return update.updated(text)[0]


def test_readme_is_among_the_pages():
    assert ROOT / "README.md" in update.pages()


def test_old_printouts_are_renewed_and_current_ones_kept():
    page = "a\n```python\nprint(1 + 1)\n```\nb\n```text\n{}\n```\nc\n"
    assert renewed(page.format(3)) == page.format(2)
    assert renewed(page.format(2)) == page.format(2)


def test_numbers_may_vary_where_a_page_says_so():
    page = "```python\nprint('took 2.5 us')\n```\n\n```text varies\ntook   {} {}\n```\n"
    assert renewed(page.format(17, "us")) == page.format(17, "us")
    assert "took 2.5 us" in renewed(page.format(17, "ms"))


def test_blocks_of_a_page_are_one_program():
    page = "```python\na = 6\n```\n\n```python\nprint(a * 7)\n```\n\n```text\n\n```\n"
    assert "```text\n42\n```" in renewed(page)


def test_commands_run_among_the_python_blocks():
    page = (
        "```python\nopen('a', 'w').write('1')\n```\n\n```sh run\ncat a\nsymnet --version\n```\n\n"
        "```text\n```\n\n```sh\nnot run\n```\n"
    )
    assert "```text\n1symnet " in renewed(page)


@pytest.mark.parametrize(
    "page",
    [
        "```sh run\nfalse\n```\n",
        "```python\n1 / 0\n```\n",
        "```text\nfrom nowhere\n```\n\n```python\nprint(1)\n```\n",
        "```python\nprint(1)\n```\n\n![never drawn](a.png)\n",
    ],
)
def test_broken_pages_fail(page):
    with pytest.raises(update.PageError):
        update.updated(page)


def test_pictures_are_what_the_page_draws():
    page = "```python\nopen('a.png', 'w').write('drawn')\n```\n\n![A picture](there/a.png)\n"
    assert update.updated(page) == (page, {"there/a.png": b"drawn"})


def test_links_between_pages_lead_somewhere():
    broken = []
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]:
        prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert broken == []


def test_files_named_in_pages_exist():
    sources = [str(p.relative_to(ROOT)) for f in ROOT.iterdir() if f.name in FOLDERS
               for p in f.rglob("*.py")] + ["setup.py"]  # fmt: skip
    missing = []
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        prose = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
        for name in re.findall(r"`([\w/]+\.py)`", prose):
            if not any(path == name or path.endswith(f"/{name}") for path in sources):
                missing.append(f"{page.relative_to(ROOT)}: {name}")
    assert missing == []


def exists(name):
    root, *path = name.split(".")
    value = {"symnet": symnet, "nn": symnet.nn, "T": symnet.tensor}[root]
    try:
        functools.reduce(getattr, path, value)
    except AttributeError:
        try:
            importlib.import_module(name)
        except ImportError:
            return False
    return True


def test_names_in_prose_exist():
    """`nn.Dense` in a sentence, or in the last column of a table (the others hold other names)."""
    missing = []
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        prose = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
        lines = [
            line.rstrip("| ").rpartition(" | ")[2] if line.startswith("|") else line
            for line in prose.partition("\n## Not yet")[0].splitlines()
        ]
        for code in re.findall(r"`([^`]+)`", "\n".join(lines)):
            names = re.findall(r"(?<![\w./'\"])(?:symnet|nn|T)(?:\.[A-Za-z_]\w*)+", code)
            missing += [f"{page.relative_to(ROOT)}: {name}" for name in names if not exists(name)]
    assert missing == []


def test_every_command_has_its_place():
    page = (ROOT / "docs" / "command-line.md").read_text("utf-8")
    assert [name for name in COMMANDS if f"`symnet {name}" not in page] == []
