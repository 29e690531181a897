"""The benchmark suite. In a checkout their files lie in the top-level folder benchmarks/."""

import os

__path__.append(os.path.join(os.path.dirname(__file__), os.pardir, os.pardir, "benchmarks"))

from symnet.benchmarks.command import main  # noqa: E402

__all__ = ["main"]
