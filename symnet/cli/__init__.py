"""The command `symnet`: train on MNIST, measure, and look after the installation.

Without arguments it prints its help.

Exit status: 0; 2 for what the user can put right (one line on standard error says what); 130 after
Ctrl-C. Each command is imported when it is called.
"""

import errno
import importlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from symnet.errors import SymnetError
from symnet.version import __version__

if TYPE_CHECKING:
    import argparse

__all__ = ["main"]

COMMANDS = {
    "mnist": "train a network on the MNIST digits",
    "predict": "tell which digits are on pictures",
    "bench": "compare symnet with PyTorch, JAX, Keras and others on this machine",
    "info": "show what symnet runs on, what is wrong with it, and how to mend it",
    "cache": "show, clear or check the store of compiled code",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; `--help` and usage errors end in
    SystemExit, as argparse does."""
    parser = _parser()
    given = sys.argv[1:] if argv is None else argv
    if not given:
        parser.print_help()
        return 0
    if sys.stdout is None:  # closed before Python started: nobody wants to read anything
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    arguments = parser.parse_args(given)
    rest = arguments.arguments
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            if arguments.command == "bench":
                # loaded by name: the benchmarks stand above all rooms, and nothing depends on them
                status = importlib.import_module("symnet.benchmarks").main(rest)
            else:
                status = importlib.import_module(f"symnet.cli.{arguments.command}").main(rest)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _say("interrupted", 130)
    except SymnetError as error:
        return _say(error, 2)
    except BrokenPipeError:
        _drop_output()  # whoever read it has gone
        return 141
    except OSError as error:
        if error.errno == errno.ENOSPC and error.filename is None:  # files of ours are named
            _drop_output()
            return _say(f"standard output: {error.strerror}", 2)
        named = error.filename is not None and error.strerror
        return _say(f"{error.filename}: {error.strerror}" if named else error, 2)
    except MemoryError as error:
        return _say(f"not enough memory: {error}".removesuffix(": "), 2)
    return int(status)


def _drop_output() -> None:
    """Python's own flush at the end must not complain again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_warning(message: Warning | str, *_where: object, **_more: object) -> None:
    """As errors are shown: one line, and not the line of symnet's own code that warns."""
    _say(f"warning: {message}", 0)


def _say(message: object, status: int) -> int:
    print(f"symnet: {' '.join(str(message).split())}", file=sys.stderr, flush=True)
    return status


def _parser() -> "argparse.ArgumentParser":
    import argparse  # `import symnet` loads this package, for its start only

    listed = "\n".join(f"  {name:8} {text}" for name, text in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="symnet",
        description="Symbolic tensor expressions, compiled to native code.",
        epilog=f"commands:\n{listed}\n\n"
        "`symnet COMMAND --help` explains each.\n\nexample:\n  symnet mnist --epochs 3",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = __version__
    parser.add_argument("--version", action="version", version=f"symnet {version}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="what to do")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="its arguments")
    return parser
