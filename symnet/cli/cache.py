"""`symnet cache`: what the store of compiled kernels and programs holds."""

import argparse
import sys
from collections.abc import Sequence

from symnet.backends.cpu import cache
from symnet.config import cache_folder


def main(argv: Sequence[str]) -> int:
    """Show, clear or check. Returns 1 if `check` found entries that are not whole, else 0."""
    arguments = _parser().parse_args(argv)
    return {"show": _show, "clear": _clear, "check": _check}[arguments.action]()


def _show() -> int:
    print(cache_folder())
    entries = cache.entries()
    for kind in cache.KINDS:
        sizes = [entry.size for entry in entries if entry.kind == kind]
        print(f"{kind:10} {len(sizes):6} files  {sum(sizes) / 2**20:8.1f} MiB")
    return 0


def _clear() -> int:
    print(f"{cache.clear()} files removed from {cache_folder()}")
    if left := cache.entries():
        print(f"symnet: {len(left)} files could not be removed", file=sys.stderr)
        return 2
    return 0


def _check() -> int:
    broken = cache.check()
    for entry in broken:
        print(f"{entry.path}: not whole; it will be compiled again when next needed")
    print(f"{len(cache.entries())} files, {len(broken)} of them not whole, in {cache_folder()}")
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="symnet cache",
        description="The store of compiled code: kernels and whole programs.",
        epilog="example:\n  symnet cache show\n\n"
        "SYMNET_CACHE names the folder. `check` ends with status 1 if a file is not whole.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "action",
        nargs="?",
        default="show",
        choices=("show", "clear", "check"),
        help="show (the default): number and size of files; clear: remove them; check: read and "
        "verify each",
    )
    return parser
