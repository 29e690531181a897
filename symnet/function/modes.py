"""How a function is compiled and run."""

from dataclasses import dataclass, replace
from typing import Any

from symnet.config import config
from symnet.errors import ConfigError


@dataclass(frozen=True)
class Mode:
    """backend  "compiled", "reference" (the NumPy interpreter), or "debug": both, every node compared
    rewrite  "full", or "none": only what the back end needs
    reuse    False: no buffer is used twice, nothing is done in place
    fuse     False: a kernel per node
    """

    backend: str = "compiled"
    rewrite: str = "full"
    reuse: bool = True
    fuse: bool = True

    def with_options(self, **options: Any) -> "Mode":
        return replace(self, **options)


_NAMED = {
    "compiled": Mode(),
    "reference": Mode("reference"),
    "debug": Mode("debug"),
    "FAST_RUN": Mode(),
    "FAST_COMPILE": Mode("reference"),
    "DebugMode": Mode("debug"),
    "DEBUG_MODE": Mode("debug"),
}


def as_mode(mode: Any) -> Mode:
    """A Mode from a name, a Mode, or None for the configured default. Errors: ConfigError."""
    if mode is None:
        return _NAMED[config.mode]
    if isinstance(mode, Mode):
        if mode.backend not in ("compiled", "reference", "debug"):
            raise ConfigError(f"no back end is called {mode.backend!r}")
        return mode
    try:
        return _NAMED[mode]
    except (KeyError, TypeError):
        raise ConfigError(f"mode={mode!r} is not one of {', '.join(_NAMED)}") from None
