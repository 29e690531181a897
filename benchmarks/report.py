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
from .cases import Case
from .process import BLAS_CHOICES, GPU_CHOICES
from .runner import QUIET, Entry, Options, cases_on, peers_on
from .verdicts import Verdict, quantity

Facts = dict[str, object]


def markdown(
    entries: list[Entry], verdicts: list[Verdict], options: Options, device: Facts | None = None
) -> str:
    """The whole report as text. `device`: facts about it, if it is not the CPU."""
    parts = ["# symnet benchmarks", _conditions(options)]
    if disturbed := _disturbed(entries):
        parts.append(disturbed)
    parts.append(_machine(entries, options, device or {}))
    if any(v.outcome != "not run" for v in verdicts):
        parts += ["## Must show", verdict_table(verdicts)]
    for name in dict.fromkeys(entry.case for entry in entries):
        own = [entry for entry in entries if entry.case == name]
        heading = cases_on(options.device)[name].heading
        parts += [f"## {name}", heading, case_table(own, options.device), *told(own)]
    return "\n\n".join(parts) + "\n"


def records(
    entries: list[Entry], verdicts: list[Verdict], options: Options, device: Facts | None = None
) -> dict:
    """The whole report as plain data; NaN becomes None."""
    data = {
        "date": datetime.date.today().isoformat(),
        "symnet": __version__,
        "machine": machine.describe(),
        "device": device or {},
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


def device_of(data: dict) -> str:
    """The device that a report is about: "cpu", "cuda" or "emulated"."""
    return data.get("options", {}).get("device", "cpu")


def folder_name(data: dict) -> str:
    """`2026-11-24-amd-epyc-2-threads`, of a report; `2026-11-24-nvidia-h200` if it is of a GPU."""
    if device_of(data) != "cpu":
        words = re.findall(r"[a-z0-9.]+", str(data["device"]["device"]).lower())
        return "-".join([data["date"], *words])
    facts = data["machine"]
    processor = re.sub(
        r"\(r\)|\(tm\)|@.*|\bcpu\b|processor|\d+-core", " ", facts["processor"].lower()
    )
    words = re.findall(r"[a-z0-9.]+", processor)
    return "-".join([data["date"], *words, f"{data['options']['threads']}-threads"])


def _conditions(options: Options) -> str:
    if options.device == "emulated":
        return (
            "The programs of `--device cuda`, tiny, on the emulated device: the text for the GPU, "
            "run by the host. They are checked against a float64 reference in NumPy (error: the "
            "largest relative error). **Nothing is timed**, and nothing here is about a GPU."
        )
    if options.device != "cpu":
        return f"{_device_conditions(options)} {READING}"
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


READING = (
    "Spread: first to third quartile of the rounds. A ratio is the peer's median over symnet's: "
    "above 1x symnet is faster; that of a copy is the share of its bandwidth that symnet reaches. "
    "Error: largest relative error against a float64 reference in NumPy."
)


def _device_conditions(options: Options) -> str:
    products = (
        "products of float32 in float32, TF32 off"
        if options.precision == "highest"
        else "products of float32 in TF32"
    )
    return (
        f"Medians of {options.rounds} interleaved rounds, every peer in a process of its own; "
        f"for all of them: data on the device, {products}, and wall time from the first of many "
        "iterations that are put into the device's queue to the end of the last, with one wait, "
        "after it (and one per epoch in `fit`)."
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


def _machine(entries: list[Entry], options: Options, device: Facts) -> str:
    rows = [(key, str(value)) for key, value in (device | machine.describe()).items()]
    variables = machine.environment()
    if not options.keep_env:
        removed = BLAS_CHOICES if options.device == "cpu" else (*BLAS_CHOICES, *GPU_CHOICES)
        variables = {k: v for k, v in variables.items() if k not in removed}
    rows.append(("environment", ", ".join(f"{k}={v}" for k, v in variables.items()) or "-"))
    for peer in dict.fromkeys(entry.peer for entry in entries if entry.versions):
        first = next(e for e in entries if e.peer == peer and e.versions)
        facts = [f"{name} {version}" for name, version in first.versions.items()]
        rows.append((peers_on(options.device)[peer].title, ", ".join([*facts, *first.blas])))
    return "## Machine\n\n" + _table(("", ""), rows)


def verdict_table(verdicts: list[Verdict]) -> str:
    """The promises, what was measured, and the outcomes."""
    rows = [(v.text, quantity(v.value, v.unit), v.limit, v.outcome) for v in verdicts]
    return _table(("", "measured", "promised", ""), rows)


def case_table(entries: list[Entry], device: str = "cpu") -> str:
    """The entries of a case on a device."""
    case, peers = cases_on(device)[entries[0].case], peers_on(device)
    base = {e.variant: e.median for e in entries if e.peer == "symnet" and e.rounds}
    unit = "images/s" if case.images else "GB/s" if case.traffic else ""
    head = ("", "median", "spread", *filter(None, [unit]), "ratio", "error")
    rows = []
    for e in entries:
        title = ", ".join(filter(None, (peers[e.peer].title, e.variant)))
        error = "-" if e.error is None else f"{e.error:.1e}"
        blank = [""] * (len(head) - 3)
        if not e.rounds:
            right = e.status == "ok"  # checked, not timed
            last = error if right else e.reason.replace("|", "/")[:200]
            rows.append((title, "correct" if right else e.status, *blank, last))
            continue
        low, high = (quantity(v, e.unit) for v in e.spread)
        rate = [_rate(case, e)] if unit else []
        ratio = quantity(e.median / base[e.variant], "x") if e.variant in base else "-"
        note = "" if e.status == "ok" else f" ({e.status}: {e.reason[:100]})"
        median = quantity(e.median, e.unit)
        rows.append((title + note + _told(e), median, f"{low} to {high}", *rate, ratio, error))
    return _table(head, rows)


def told(entries: list[Entry]) -> list[str]:
    """What symnet's programs order on a device, if it is known, as a sentence."""
    own = {e.variant: e.facts for e in entries if e.peer == "symnet" and e.facts}
    same = len({str(facts) for facts in own.values()}) == 1
    return [
        f"symnet{f', {variant}' if variant and not same else ''}, per iteration: "
        + ", ".join(f"{name} {value:.2g}" for name, value in facts.items())
        + "."
        for variant, facts in (list(own.items())[:1] if same else own.items())
    ]


def _rate(case: Case, entry: Entry) -> str:
    """Images a second, or gigabytes that are read or written."""
    if case.images:
        return f"{case.images / entry.median:,.0f}"
    moved = case.module.traffic(**case.parameters_of(entry.variant))
    return f"{moved / entry.median / 1e9:,.0f}"


def _told(entry: Entry) -> str:
    """What a reader has to know of a peer whose CUDA graphs are missing."""
    return ", without CUDA graphs" if entry.facts.get("compiled without a graph") else ""


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
