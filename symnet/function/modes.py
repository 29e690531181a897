"""How and where a function is compiled and run."""

from dataclasses import dataclass, replace
from typing import Any

from symnet.config import DEVICES, config
from symnet.errors import ConfigError
from symnet.rewrite.phases import LEVELS

BACKENDS = ("compiled", "reference", "debug")


@dataclass(frozen=True)
class Mode:
    """What is done with a graph before it runs, and where it runs.

    backend  "compiled", "reference" (the NumPy interpreter), or "debug": both, every node compared
    rewrite  "full", or "none": only what the back end needs
    reuse    False: no buffer is used twice, nothing is done in place
    fuse     False: a kernel per node

    Errors: ConfigError for other values.
    """

    backend: str = "compiled"
    rewrite: str = "full"
    reuse: bool = True
    fuse: bool = True

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise ConfigError(f"backend={self.backend!r} is not one of {', '.join(BACKENDS)}")
        if self.rewrite not in LEVELS:
            raise ConfigError(f"rewrite={self.rewrite!r} is not one of {', '.join(LEVELS)}")

    def with_options(self, **options: Any) -> "Mode":
        """The same mode with some fields changed. Errors: ConfigError."""
        try:
            return replace(self, **options)
        except TypeError:
            raise ConfigError(f"a Mode has no options {', '.join(options)}; see Mode") from None


_NAMED = {
    "compiled": Mode(),
    "reference": Mode("reference"),
    "debug": Mode("debug"),
    "FAST_RUN": Mode(),
    "FAST_COMPILE": Mode("reference"),
    "DebugMode": Mode("debug"),
    "DEBUG_MODE": Mode("debug"),
}


def as_device(device: str | None) -> str:
    """The name of a device, or for None the configured default. Errors: ConfigError."""
    if device is None:
        return config.device
    if device not in DEVICES:
        raise ConfigError(f"device={device!r} is not one of {', '.join(DEVICES)}")
    return device


def as_mode(mode: Any) -> Mode:
    """A Mode from a name, a Mode, or None for the configured default. Errors: ConfigError."""
    if mode is None:
        return _NAMED[config.mode]
    if isinstance(mode, Mode):
        return mode
    try:
        return _NAMED[mode]
    except (KeyError, TypeError):
        raise ConfigError(f"mode={mode!r} is not one of {', '.join(_NAMED)}") from None
