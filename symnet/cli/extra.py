"""Packages that the library does without and a command does not."""

import importlib.util

from symnet.errors import ConfigError

CALLED = {"PIL": "pillow"}  # packages that are imported by another name


def require(command: str, *packages: str) -> None:
    """Raise ConfigError, naming the extra to install, unless all packages are there."""
    missing = [
        CALLED.get(name, name) for name in packages if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise ConfigError(f"{command} needs {', '.join(missing)}: pip install 'symnet[cli]'")
