"""`symnet bench`: the command line of the suite."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from symnet.config import config

from . import compare, machine, report
from .cases import CASES
from .cases.on_device import DEVICE_CASES
from .peers import DEVICE_PEERS, PEERS
from .process import WorkerError
from .runner import DeviceMissing, Options, cases_on, describe_device, peers_on, run
from .verdicts import judge, promises_on

RESULTS = "benchmarks/results"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the suite and print the report. Returns 1 if symnet failed, was wrong, (`--strict`)
    broke a promise or (`--compare`) became slower, 2 for files that are no reports and for a device
    that is not there, else 0."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    device = arguments.device
    cases, peers = cases_on(device), peers_on(device)
    if arguments.list:
        print("\n".join(f"{case.name:12} {case.title}" for case in cases.values()))
        return 0
    if arguments.compare:
        return _compare(*map(Path, arguments.compare))
    if device == "emulated" and arguments.save:
        parser.error("on the emulated device nothing is timed: there is nothing to save")
    for given, known in ((arguments.cases, cases), (arguments.peers, peers)):
        if unknown := [name for name in given or () if name not in known]:
            parser.error(f"{', '.join(unknown)}: not on this device; there are {', '.join(known)}")
    options = Options(
        rounds=arguments.rounds,
        threads=arguments.threads or default_threads(device),
        seconds=arguments.seconds,
        keep_env=arguments.keep_env,
        peers=tuple(arguments.peers or peers),
        patience=arguments.patience,
        quiet=arguments.quiet,
        device=device,
        precision=arguments.float32_matmul_precision,
    )
    try:
        facts = describe_device(options) if device != "cpu" else {}
    except (DeviceMissing, WorkerError) as error:
        print(f"symnet bench --device {device}: {error}", file=sys.stderr)
        return 2
    entries = run([cases[name] for name in arguments.cases or cases], options)
    verdicts = judge(entries, promises_on(device))
    text = report.markdown(entries, verdicts, options, facts)
    print(text)
    data = report.records(entries, verdicts, options, facts)
    if arguments.output:
        report.write(Path(arguments.output), text, data)
    if arguments.save:
        report.write(Path(arguments.save) / report.folder_name(data), text, data)
    bad = any(e.peer == "symnet" and e.status != "ok" for e in entries)
    broken = arguments.strict and any(v.outcome.startswith("FAIL") for v in verdicts)
    return int(bad or broken)


def default_threads(device: str) -> int:
    """Two, so that CPUs can be compared; beside a GPU what the libraries' own threads need."""
    return 2 if device == "cpu" else min(8, machine.usable_cores())


def _compare(old: Path, new: Path) -> int:
    try:
        text, status = compare.compare(compare.read(old), compare.read(new))
    except compare.ReportError as error:
        print(f"symnet bench: {error}", file=sys.stderr)
        return 2
    print(text)
    return status


def _names(table: dict) -> object:
    """An argparse type: names of the table, separated by commas."""

    def parse(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        if unknown := [name for name in names if name not in table]:
            raise argparse.ArgumentTypeError(
                f"{', '.join(unknown)}: unknown; there are {', '.join(table)}"
            )
        return names

    return parse


def _positive(kind: type) -> object:
    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            number = "whole number" if kind is int else "number"
            raise argparse.ArgumentTypeError(f"{text!r} is no {number}") from None
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} is not positive")
        return value

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="symnet bench",
        description="Compare symnet with other libraries on this machine.",
        epilog="""\
SYMNET_BENCH_PYTHON names the Python in which the other libraries are installed, if not this one.
A library that is not installed is left out.

examples:
  symnet bench --cases mlp-128,chain --peers symnet,jax
  symnet bench --patience 600 --save
  symnet bench --device cuda --save
  symnet bench --compare old/report.json new/report.json""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--list", action="store_true", help="list the cases and end")
    add(
        "--device", choices=("cpu", "cuda", "emulated"), default=config.device,
        help="cuda: on a GPU; emulated: check the GPU's programs without one, time nothing "
        f"(default {config.device}, the setting)",
    )  # fmt: skip
    add("--cases", type=_names(CASES | DEVICE_CASES), metavar="A,B", help="default: all")
    add(
        "--peers", type=_names(PEERS | DEVICE_PEERS), metavar="A,B",
        help=f"of {', '.join(PEERS)}; on a GPU of {', '.join(DEVICE_PEERS)}; default: all",
    )  # fmt: skip
    add("--rounds", type=_positive(int), default=5, help="interleaved rounds (default 5)")
    add(
        "--threads", type=_positive(int),
        help="threads of every peer (default 2; beside a GPU all, up to 8)",
    )  # fmt: skip
    add(
        "--seconds", type=_positive(float), default=0.2,
        help="length of a peer's turn in a round (default 0.2)",
    )  # fmt: skip
    add(
        "--patience", type=float, default=0.0, metavar="SECONDS",
        help="wait so long in all for other programs to leave the cores alone (default 0)",
    )  # fmt: skip
    add("--output", metavar="FOLDER", help="write report.md, report.json and pictures there")
    add(
        "--save", nargs="?", const=RESULTS, metavar="FOLDER",
        help=f"likewise, into a new folder FOLDER/<date>-<processor> (default {RESULTS})",
    )  # fmt: skip
    add(
        "--compare", nargs=2, metavar=("OLD", "NEW"),
        help="measure nothing: name what is slower in NEW than in OLD, two report.json, relative "
        "to the other libraries in each; exit with 1 if something is",
    )  # fmt: skip
    add(
        "--float32-matmul-precision", choices=("highest", "high"), default="highest",
        help="on a GPU: high lets all peers multiply in TF32 (default highest)",
    )  # fmt: skip
    add("--keep-env", action="store_true", help="leave OPENBLAS_CORETYPE and the like alone")
    add("--strict", action="store_true", help="exit with 1 if a promise is broken")
    add("--quiet", action="store_true", help="no progress on standard error")
    return parser
