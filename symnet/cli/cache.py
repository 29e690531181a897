"""`symnet cache`: what the store of compiled kernels and programs holds, and downloaded data."""

import argparse
import datetime
import sys
from collections.abc import Sequence
from pathlib import Path

from symnet.backends.cpu import cache
from symnet.cli import machine
from symnet.config import cache_folder, config
from symnet.data import mnist
from symnet.errors import DataError


def main(argv: Sequence[str]) -> int:
    """Show, clear or check. Returns 1 if `check` found files that are not whole, 2 if `clear`
    could not remove all, else 0."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.data and arguments.action != "clear":
        parser.error("--data goes with clear")
    if arguments.action == "clear":
        return _clear(arguments.data)
    return {"show": _show, "check": _check}[arguments.action]()


def _show() -> int:
    folder = cache_folder()
    print(folder)
    entries = cache.entries()
    for kind in cache.KINDS:
        sizes = [entry.size for entry in entries if entry.kind == kind]
        print(_row(kind, sizes) + f" of at most {cache.LIMIT / 2**20:.0f}")
    print(_row("data", [path.stat().st_size for path in _downloaded()]))
    if entries:
        print(f"used           from {_day(entries[0].used)} to {_day(entries[-1].used)}")
    why = machine.why_not_writable(folder)
    if config.cache != "on":
        print(f"cache={config.cache} in the settings: nothing new is stored")
    elif why:
        print(f"nothing new can be stored: {why}")
    else:
        print(f"writable, {min(machine.free(folder) / 1024, 1e6):.1f} GiB free")
    return 0


def _row(kind: str, sizes: Sequence[int]) -> str:
    return f"{kind:10} {len(sizes):6} files  {sum(sizes) / 2**20:8.1f} MiB"


def _day(seconds: float) -> str:
    return datetime.date.fromtimestamp(seconds).isoformat()


def _downloaded() -> list[Path]:
    """Files of data sets; readers of the library put them there."""
    return sorted(path for path in (cache_folder() / "data").rglob("*") if path.is_file())


def _clear(data: bool) -> int:
    removed, left = cache.clear(), len(cache.entries())
    for path in _downloaded() if data else ():
        try:
            path.unlink()
            removed += 1
        except OSError:
            left += 1
    print(f"{removed} files removed from {cache_folder()}")
    if left:
        print(f"symnet: {left} files could not be removed", file=sys.stderr)
        return 2
    return 0


def _check() -> int:
    broken = cache.check()
    for entry in broken:
        print(f"{entry.path}: not whole; it will be compiled again when next needed")
    files, bad = len(cache.entries()), len(broken)
    folder = cache_folder() / "data" / "mnist"
    if machine.digits_in(folder):
        files += len(_downloaded())
        try:
            mnist(folder)
        except DataError as problem:
            print(f"{problem}; it will be downloaded again when next needed")
            bad += 1
    print(f"{files} files, {bad} of them not whole, in {cache_folder()}")
    return 1 if bad else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="symnet cache",
        description="The store of compiled code, kernels and whole programs, and of downloaded "
        "data.",
        epilog="example:\n  symnet cache show\n  symnet cache clear --data\n\n"
        "SYMNET_CACHE names the folder. Nothing has to be cleared after an update: what is out of "
        "date is\nnot used, and goes when the store is full. `check` ends with status 1 if a file "
        "is not whole.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "action",
        nargs="?",
        default="show",
        choices=("show", "clear", "check"),
        help="show (the default): number and size of files; clear: remove compiled code; check: "
        "read and verify each file",
    )
    parser.add_argument("--data", action="store_true", help="clear: also remove downloaded data")
    return parser
