"""`symnet bench`: the command line of the suite."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from . import report
from .cases import CASES
from .peers import PEERS
from .runner import Options, run
from .verdicts import judge


def main(argv: Sequence[str] | None = None) -> int:
    """Run the suite and print the report. Returns 1 if symnet failed, was wrong or (`--strict`)
    broke a promise, else 0."""
    arguments = _parser().parse_args(argv)
    if arguments.list:
        print("\n".join(f"{case.name:12} {case.title}" for case in CASES.values()))
        return 0
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
    if arguments.output:
        report.write(Path(arguments.output), text, report.records(entries, verdicts, options))
    bad = any(e.peer == "symnet" and e.status != "ok" for e in entries)
    broken = arguments.strict and any(v.outcome.startswith("FAIL") for v in verdicts)
    return int(bad or broken)


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
        value = kind(text)
        if not value > 0:
            raise argparse.ArgumentTypeError(f"{text} is not positive")
        return value

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="symnet bench",
        description="Compare symnet with NumPy, PyTorch, JAX and PyTensor on this machine.",
        epilog="SYMNET_BENCH_PYTHON names the Python in which PyTorch, JAX and PyTensor are "
        "installed, if not this one. A peer that is not installed is left out.",
    )
    add = parser.add_argument
    add("--list", action="store_true", help="list the cases and end")
    add("--cases", type=_names(CASES), default=list(CASES), metavar="A,B", help="default: all")
    add(
        "--peers", type=_names(PEERS), default=list(PEERS), metavar="A,B",
        help=f"of {', '.join(PEERS)}; default: all",
    )  # fmt: skip
    add("--rounds", type=_positive(int), default=7, help="interleaved rounds (default 7)")
    add("--threads", type=_positive(int), default=2, help="threads of every peer (default 2)")
    add(
        "--seconds", type=_positive(float), default=0.25,
        help="length of a peer's turn in a round (default 0.25)",
    )  # fmt: skip
    add(
        "--patience", type=float, default=0.0, metavar="SECONDS",
        help="wait so long in all for other programs to leave the cores alone (default 0)",
    )  # fmt: skip
    add("--output", metavar="FOLDER", help="write report.md and report.json there")
    add("--keep-env", action="store_true", help="leave OPENBLAS_CORETYPE and the like alone")
    add("--strict", action="store_true", help="exit with 1 if a promise is broken")
    add("--quiet", action="store_true", help="no progress on standard error")
    return parser
