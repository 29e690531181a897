"""Settings, from `SYMNET_FLAGS="floatX=float64,threads=4"` and by assignment at run time.

    floatX    dtype of `T.matrix()` and friends, and of Python floats: "float32" or "float64"
    threads   threads of the compiled code; 0 means: as many as this process may use
    mode      default mode of `symnet.function`: "compiled", "reference" or "debug"
    cache     "on", "off", or "read" (use stored kernels, store none)
    blas      path of a BLAS library that exports cblas_sgemm; empty: the private OpenBLAS wheel
    device    where functions run: "cpu", "cuda" (a GPU), or "emulated" (a GPU's programs on the
              host, for tests; slow)
    float32_matmul_precision  "highest", or "high": GPUs may round the factors of float32 products
              to 11 bits (TF32), which is several times faster; sums stay float32

The cache folder is `SYMNET_CACHE`, else `$XDG_CACHE_HOME/symnet`, else the platform's user cache.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from symnet.errors import ConfigError

DEVICES = ("cpu", "cuda", "emulated")
_CHOICES: dict[str, tuple[str, ...] | None] = {
    "floatX": ("float32", "float64"),
    "mode": ("compiled", "reference", "debug"),
    "cache": ("on", "off", "read"),
    "device": DEVICES,
    "float32_matmul_precision": ("highest", "high"),
    "blas": None,
    "threads": None,
}


class Config:
    """The settings object behind `symnet.config`; attribute assignment checks the value."""

    floatX: str
    threads: int
    mode: str
    cache: str
    blas: str
    device: str
    float32_matmul_precision: str

    def __init__(self, flags: str = ""):
        self.floatX, self.threads, self.mode, self.cache, self.blas = (
            "float32", 0, "compiled", "on", "",
        )  # fmt: skip
        self.device, self.float32_matmul_precision = "cpu", "highest"
        for item in filter(None, (part.strip() for part in flags.split(","))):
            name, equals, value = item.partition("=")
            if not equals:
                raise ConfigError(f"SYMNET_FLAGS: {item!r} is not of the form name=value")
            setattr(self, name.strip(), value.strip())

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _CHOICES:
            raise ConfigError(f"no setting is called {name!r}; there are {', '.join(_CHOICES)}")
        if name == "threads":
            try:
                value = int(value)  # type: ignore[call-overload]
            except (TypeError, ValueError):
                raise ConfigError(f"threads={value!r} is not a whole number") from None
            if value < 0:
                raise ConfigError(f"threads={value} is negative; 0 means all available")
        choices = _CHOICES[name]
        if choices and value not in choices:
            raise ConfigError(f"{name}={value!r} is not one of {', '.join(choices)}")
        object.__setattr__(self, name, value)

    @contextlib.contextmanager
    def change(self, **settings: object) -> Iterator[None]:
        """Use other settings inside a `with` block."""
        before = {name: getattr(self, name) for name in settings if name in _CHOICES}
        try:
            for name, value in settings.items():
                setattr(self, name, value)
            yield
        finally:
            for name, value in before.items():
                setattr(self, name, value)


def cache_folder() -> Path:
    """The folder for compiled kernels and downloaded data. It is not created here."""
    if chosen := os.environ.get("SYMNET_CACHE"):
        return Path(chosen).expanduser()
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "symnet"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "symnet"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "symnet"
    return Path.home() / ".cache" / "symnet"


config = Config(os.environ.get("SYMNET_FLAGS", ""))
