"""The benchmark suite: cases, peers, and the runner behind `symnet bench`."""

from symnet.benchmarks.command import main

__all__ = ["main"]
