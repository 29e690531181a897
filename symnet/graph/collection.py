"""The garbage collector, held off while passes build graphs."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """A pass makes many objects and hardly any garbage: collecting on the way costs several times
    the pass itself, more with every node that is alive."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
