"""The report: Markdown for people, JSON for programs."""

import dataclasses
import datetime
import json
import math
import os
import re
import sys
from pathlib import Path

from symnet.version import __version__

from . import machine, plots
from .cases import CASES
from .peers import PEERS
from .process import BLAS_CHOICES
from .runner import QUIET, Entry, Options
from .verdicts import Verdict, quantity


def markdown(entries: list[Entry], verdicts: list[Verdict], options: Options) -> str:
    """The whole report as text."""
    parts = ["# symnet benchmarks", _conditions(options)]
    if disturbed := _disturbed(entries):
        parts.append(disturbed)
    parts.append(_machine(entries, options))
    if any(v.outcome != "not run" for v in verdicts):
        parts += ["## Must show", verdict_table(verdicts)]
    for name in dict.fromkeys(entry.case for entry in entries):
        own = [entry for entry in entries if entry.case == name]
        parts += [f"## {name}", CASES[name].heading, case_table(own)]
    return "\n\n".join(parts) + "\n"


def records(entries: list[Entry], verdicts: list[Verdict], options: Options) -> dict:
    """The whole report as plain data; NaN becomes None."""
    data = {
        "date": datetime.date.today().isoformat(),
        "symnet": __version__,
        "machine": machine.describe(),
        "environment": machine.environment(),
        "options": vars(options),
        "verdicts": [vars(v) for v in verdicts],
        "entries": [entry.record() for entry in entries],
    }
    return _finite(data)


def write(folder: Path, text: str, data: dict) -> None:
    """`report.md`, `report.json` and, with matplotlib, pictures in a folder, which is made if need
    be."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(text, encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    try:
        plots.draw(data, folder)
    except ModuleNotFoundError as error:
        print(f"no pictures: {error.name} is not installed", file=sys.stderr)


def entries(data: dict) -> list[Entry]:
    """The entries of a report that was read."""
    names = [f.name for f in dataclasses.fields(Entry)]
    return [Entry(**{k: e[k] for k in names if k in e}) for e in data["entries"]]


def verdicts(data: dict) -> list[Verdict]:
    """The verdicts of a report that was read."""
    none = {"value": math.nan}  # as it stands in JSON
    return [Verdict(**(v | (none if v["value"] is None else {}))) for v in data["verdicts"]]


def folder_name(data: dict) -> str:
    """`2026-11-24-amd-epyc-2-threads`, of a report."""
    facts = data["machine"]
    processor = re.sub(
        r"\(r\)|\(tm\)|@.*|\bcpu\b|processor|\d+-core", " ", facts["processor"].lower()
    )
    words = re.findall(r"[a-z0-9.]+", processor)
    return "-".join([data["date"], *words, f"{data['options']['threads']}-threads"])


def _conditions(options: Options) -> str:
    removed = [name for name in BLAS_CHOICES if name in os.environ]
    if options.keep_env:
        blas = "The environment was kept as it was (`--keep-env`)."
    elif removed:
        blas = (
            f"{' and '.join(f'`{name}`' for name in removed)} stood in the environment "
            "and did not reach the peers, so that every BLAS picks its own kernels "
            "(`--keep-env` lets it)."
        )
    else:
        blas = "No variable forced a BLAS's choice of kernels."
    return (
        f"Medians of {options.rounds} interleaved rounds (some slow cases: fewer), every peer in a "
        f"process of its own, {options.threads} threads. Spread: first to third quartile of the "
        "rounds. A ratio is the peer's median over symnet's: above 1x symnet is faster. Error: "
        f"largest relative error against a float64 reference in NumPy. {blas}"
    )


def _disturbed(entries: list[Entry]) -> str:
    """A warning if other programs ran too."""
    turns = [busy for entry in entries for busy in entry.busy]
    many = sum(busy > QUIET for busy in turns)
    if many * 10 <= len(turns):
        return ""
    return (
        f"**Not a quiet machine:** before {many} of {len(turns)} turns other programs used the "
        f"cores (up to {max(turns):.1f} of them). The figures below are unreliable, "
        "and a verdict with a question mark is none."
    )


def _machine(entries: list[Entry], options: Options) -> str:
    rows = [(key, str(value)) for key, value in machine.describe().items()]
    variables = machine.environment()
    if not options.keep_env:
        variables = {k: v for k, v in variables.items() if k not in BLAS_CHOICES}
    rows.append(("environment", ", ".join(f"{k}={v}" for k, v in variables.items()) or "-"))
    for peer in dict.fromkeys(entry.peer for entry in entries if entry.versions):
        first = next(e for e in entries if e.peer == peer and e.versions)
        facts = [f"{name} {version}" for name, version in first.versions.items()]
        rows.append((PEERS[peer].title, ", ".join([*facts, *first.blas])))
    return "## Machine\n\n" + _table(("", ""), rows)


def verdict_table(verdicts: list[Verdict]) -> str:
    """The promises, what was measured, and the outcomes."""
    rows = [(v.text, quantity(v.value, v.unit), v.limit, v.outcome) for v in verdicts]
    return _table(("", "measured", "promised", ""), rows)


def case_table(entries: list[Entry]) -> str:
    """The entries of a case."""
    base = {e.variant: e.median for e in entries if e.peer == "symnet" and e.rounds}
    images = CASES[entries[0].case].images
    head = ("", "median", "spread", *(["images/s"] if images else []), "ratio", "error")
    rows = []
    for e in entries:
        title = ", ".join(filter(None, (PEERS[e.peer].title, e.variant)))
        if not e.rounds:
            blank = [""] * (len(head) - 3)
            rows.append((title, e.status, *blank, e.reason.replace("|", "/")[:200]))
            continue
        low, high = (quantity(v, e.unit) for v in e.spread)
        rate = [f"{images / e.median:,.0f}"] if images else []
        ratio = quantity(e.median / base[e.variant], "x") if e.variant in base else "-"
        error = "-" if e.error is None else f"{e.error:.1e}"
        note = "" if e.status == "ok" else f" ({e.status}: {e.reason[:100]})"
        median = quantity(e.median, e.unit)
        rows.append((title + note, median, f"{low} to {high}", *rate, ratio, error))
    return _table(head, rows)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _finite(value: object) -> object:
    """JSON has no NaN and no infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return value
