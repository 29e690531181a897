"""Where random numbers come from when the user names no seed.

nn.set_seed(0)            # everything made from here on is reproducible
rng = generator()         # a stream of its own for each call
"""

import threading
from typing import Any

import numpy as np

from symnet.errors import ConfigError

_lock = threading.Lock()
_root = np.random.SeedSequence()  # the operating system's entropy, until `set_seed`


def set_seed(seed: int) -> None:
    """Make all draws without a seed of their own reproducible: those of the n-th `generator()`
    after this call depend on `seed` and n alone. Errors: ConfigError for no integer >= 0.
    """
    global _root
    checked = _integer(seed)
    with _lock:
        _root = np.random.SeedSequence(checked)


def generator(seed: Any = None) -> np.random.Generator:
    """A generator: of `seed`; `seed` itself where it is a generator; or, for None, of the next
    child of the global seed. Children are independent streams (NumPy's SeedSequence.spawn).
    """
    if isinstance(seed, np.random.Generator):
        return seed
    if seed is not None:
        return np.random.default_rng(_integer(seed))
    with _lock:
        (child,) = _root.spawn(1)
    return np.random.default_rng(child)


def drawn() -> int:
    """A seed for random draws, of the next child of the global seed."""
    return int(generator().integers(2**32))


def number(seed: Any) -> int:
    """A seed as a Python integer; a generator gives its next one. Errors: ConfigError."""
    if isinstance(seed, np.random.Generator):
        return int(seed.integers(2**63))
    return _integer(seed)


def _integer(seed: Any) -> int:
    if isinstance(seed, bool | np.bool_) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ConfigError(f"seed={seed!r:.60}: an integer, at least 0, is wanted")
    return int(seed)
