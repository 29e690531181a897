"""Brings docs/benchmarks.md up to date with the newest results.

    python -m symnet.benchmarks.page

The page's text ends at `## Results`; what follows is made of the newest folder of
benchmarks/results/, with its pictures.
"""

import os
import sys
from pathlib import Path

from . import compare, report
from .cases import CASES, GROUPS

_ROOT = Path(__file__).resolve().parent.parent
RESULTS = _ROOT / "benchmarks" / "results"
PAGE = _ROOT / "docs" / "benchmarks.md"
HEADING = "## Results\n"


def newest(results: Path) -> Path | None:
    """The folder with the latest report; their names begin with the date."""
    found = sorted(path.parent for path in results.glob("*/report.json"))
    return found[-1] if found else None


def updated(text: str, folder: Path, page: Path) -> str:
    """The page's text with the results of `folder`; links are relative to `page`."""
    return text.partition(HEADING)[0] + HEADING + "\n" + results(folder, page)


def results(folder: Path, page: Path) -> str:
    """The section's contents."""
    data = compare.read(folder / "report.json")
    base = Path(os.path.relpath(folder, page.parent)).as_posix()
    entries = report.entries(data)
    facts, options = data["machine"], data["options"]
    versions: dict[str, str] = {}
    for entry in entries:
        versions |= {k: v for k, v in entry.versions.items() if v[:1].isdigit() and k != "python"}
    parts = [
        f"{data['date']}, symnet {data['symnet']}: {facts['processor']}, {facts['usable cores']} "
        f"cores, {facts['memory']}, {facts['system']}, {facts['python']}; {options['threads']} "
        f"threads, {options['rounds']} rounds. "
        + ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
        + ". Only ratios within one run mean anything; do not compare times from two reports.\n\n"
        "A ratio is the peer's median over symnet's: above 1x symnet is ahead. Error: largest "
        "relative error against a float64 reference in NumPy. Spread: first to third quartile.",
        report.verdict_table(report.verdicts(data)),
    ]
    for group, title in {**GROUPS, "": "Among others"}.items():
        own = [name for name in CASES if CASES[name].group == group]
        tables = [
            (name, [e for e in entries if e.case == name])
            for name in own
            if any(e.case == name for e in entries)
        ]
        if not tables:
            continue
        parts.append(f"### {title}")
        picture = group or "compile"
        if (folder / f"{picture}.png").exists():
            parts.append(f"![{title}]({base}/{picture}.png)")
        for name, rows in tables:
            parts += [f"#### {name}", CASES[name].heading, report.case_table(rows)]
    return "\n\n".join(parts) + "\n"


def main() -> int:
    folder = newest(RESULTS)
    if folder is None:
        print(f"no results in {RESULTS}", file=sys.stderr)
        return 1
    before = PAGE.read_text("utf-8")
    after = updated(before, folder, PAGE)
    PAGE.write_text(after, "utf-8")
    print(f"{PAGE.name}: {'current' if before == after else 'updated'} ({folder.name})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
