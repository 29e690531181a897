"""Brings docs/benchmarks.md up to date with the newest results.

    python -m symnet.benchmarks.page

The page's text ends at `## Results`; what follows is made of the newest folder of
benchmarks/results/ that is about the CPU, and of the newest about a GPU, with their pictures.
"""

import json
import os
import sys
from pathlib import Path

from . import compare, report
from .cases import GROUPS
from .runner import Entry, cases_on

_ROOT = Path(__file__).resolve().parent.parent
RESULTS = _ROOT / "benchmarks" / "results"
PAGE = _ROOT / "docs" / "benchmarks.md"
HEADING = "## Results\n"


NOT_MEASURED = """\
Not measured on hardware yet. `symnet bench --device cuda --save` measures, and
`python -m symnet.benchmarks.page` writes here what it found.
"""


def newest(results: Path, device: str = "cpu") -> Path | None:
    """The folder with the latest report about that device; their names begin with the date."""
    for path in sorted(results.glob("*/report.json"), reverse=True):
        if report.device_of(json.loads(path.read_text("utf-8"))) == device:
            return path.parent
    return None


def updated(text: str, folder: Path, page: Path, gpu: Path | None = None) -> str:
    """The page's text with the results of `folder`, and those of `gpu` if there are any; links are
    relative to `page`."""
    on_gpu = results(gpu, page) if gpu else NOT_MEASURED
    words = text.partition(HEADING)[0]
    return f"{words}{HEADING}\n{results(folder, page)}\n## Results on a GPU\n\n{on_gpu}"


def results(folder: Path, page: Path) -> str:
    """The section's contents."""
    data = compare.read(folder / "report.json")
    base = Path(os.path.relpath(folder, page.parent)).as_posix()
    entries, device = report.entries(data), report.device_of(data)
    cases = cases_on(device)
    parts = [_conditions(data, entries), report.verdict_table(report.verdicts(data))]
    for group, title in {**GROUPS, "": "Among others"}.items():
        tables = [
            (name, rows)
            for name, case in cases.items()
            if case.group == group and (rows := [e for e in entries if e.case == name])
        ]
        if not tables:
            continue
        parts.append(f"### {title}")
        picture = group or "compile"
        if (folder / f"{picture}.png").exists():
            parts.append(f"![{title}]({base}/{picture}.png)")
        for name, rows in tables:
            table = report.case_table(rows, device)
            parts += [f"#### {name}", cases[name].heading, table, *report.told(rows)]
    return "\n\n".join(parts) + "\n"


def _conditions(data: dict, entries: list[Entry]) -> str:
    """When, on what, with which versions; and how to read the tables."""
    facts, options = data["machine"], data["options"]
    versions: dict[str, str] = {}
    for entry in entries:
        versions |= {k: v for k, v in entry.versions.items() if v[:1].isdigit() and k != "python"}
    listed = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    host = (
        f"{facts['processor']}, {facts['usable cores']} cores, {facts['memory']}, "
        f"{facts['system']}, {facts['python']}; {options['threads']} threads, "
        f"{options['rounds']} rounds. {listed}. Only ratios within one run mean anything; do not "
        "compare times from two reports.\n\n"
    )
    head = f"{data['date']}, symnet {data['symnet']}: "
    if report.device_of(data) == "cpu":
        return (
            f"{head}{host}"
            "A ratio is the peer's median over symnet's: above 1x symnet is ahead. Error: largest "
            "relative error against a float64 reference in NumPy. Spread: first to third quartile."
        )
    name, *rest = data["device"].items()
    device = ", ".join([str(name[1]), *(f"{key} {value}" for key, value in rest)])
    return f"{head}{device}; beside it {host}{report.READING}"


def main() -> int:
    folder = newest(RESULTS)
    if folder is None:
        print(f"no results in {RESULTS}", file=sys.stderr)
        return 1
    before = PAGE.read_text("utf-8")
    after = updated(before, folder, PAGE, newest(RESULTS, "cuda"))
    PAGE.write_text(after, "utf-8")
    print(f"{PAGE.name}: {'current' if before == after else 'updated'} ({folder.name})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
