"""`symnet bench`: the command line of the suite."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import compare, report
from .cases import CASES
from .peers import PEERS
from .runner import Options, run
from .verdicts import judge

RESULTS = "benchmarks/results"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the suite and print the report. Returns 1 if symnet failed, was wrong, (`--strict`)
    broke a promise or (`--compare`) became slower, 2 for files that are no reports, else 0."""
    arguments = _parser().parse_args(argv)
    if arguments.list:
        print("\n".join(f"{case.name:12} {case.title}" for case in CASES.values()))
        return 0
    if arguments.compare:
        return _compare(*map(Path, arguments.compare))
    options = Options(
        rounds=arguments.rounds,
        threads=arguments.threads,
        seconds=arguments.seconds,
        keep_env=arguments.keep_env,
        peers=tuple(arguments.peers),
        patience=arguments.patience,
        quiet=arguments.quiet,
    )
    entries = run([CASES[name] for name in arguments.cases], options)
    verdicts = judge(entries)
    text = report.markdown(entries, verdicts, options)
    print(text)
    data = report.records(entries, verdicts, options)
    if arguments.output:
        report.write(Path(arguments.output), text, data)
    if arguments.save:
        report.write(Path(arguments.save) / report.folder_name(data), text, data)
    bad = any(e.peer == "symnet" and e.status != "ok" for e in entries)
    broken = arguments.strict and any(v.outcome.startswith("FAIL") for v in verdicts)
    return int(bad or broken)


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
  symnet bench --compare old/report.json new/report.json""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--list", action="store_true", help="list the cases and end")
    add("--cases", type=_names(CASES), default=list(CASES), metavar="A,B", help="default: all")
    add(
        "--peers", type=_names(PEERS), default=list(PEERS), metavar="A,B",
        help=f"of {', '.join(PEERS)}; default: all",
    )  # fmt: skip
    add("--rounds", type=_positive(int), default=5, help="interleaved rounds (default 5)")
    add("--threads", type=_positive(int), default=2, help="threads of every peer (default 2)")
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
    add("--keep-env", action="store_true", help="leave OPENBLAS_CORETYPE and the like alone")
    add("--strict", action="store_true", help="exit with 1 if a promise is broken")
    add("--quiet", action="store_true", help="no progress on standard error")
    return parser
