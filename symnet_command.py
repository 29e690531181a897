"""Where the command `symnet` starts, outside the package: importing that takes a while.

Ctrl-C meanwhile ends the process as the signal does by default, without a traceback: nothing has
been begun, and a KeyboardInterrupt inside an import would be reported as a broken package. What
the package says about its settings is one line.
"""

import signal
import sys


def main() -> int:
    """Run the command line; the exit status, see `symnet.cli`."""
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if usual:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from symnet.cli import main as run  # noqa: PLC0415
    except ValueError as error:
        if type(error).__name__ != "ConfigError":  # a malformed SYMNET_FLAGS
            raise
        print(f"symnet: {error}", file=sys.stderr)
        return 2
    if usual:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()
