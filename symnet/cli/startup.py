"""Errors while symnet is imported, when it is the command: one line, as later ones are.

`python -m symnet` imports the package before its `__main__`, and the installed command before
`symnet.cli`; so `symnet/__init__.py` imports this module first of all, and that is enough.
"""

import os
import sys
from types import TracebackType

from symnet.errors import SymnetError

NAMES = {"symnet", "symnet.exe", "symnet-script.py"}


def one_line_errors() -> None:
    """Where this process is the command, show what the user can put right, and Ctrl-C, without a
    traceback and with the exit status that `symnet.cli.main` gives them."""
    module = sys.argv[:1] == ["-m"] and ("-m", "symnet") in zip(sys.orig_argv, sys.orig_argv[1:])
    if module or (sys.argv and os.path.basename(sys.argv[0]) in NAMES):
        sys.excepthook = _hook


def _hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        text, status = "interrupted", 130
    elif issubclass(kind, SymnetError):
        text, status = " ".join(str(error).split()), 2
    else:
        sys.__excepthook__(kind, error, traceback)
        return
    print(f"symnet: {text}", file=sys.stderr, flush=True)
    raise SystemExit(status)


one_line_errors()
