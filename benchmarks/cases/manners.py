"""Wrappers that run a program among others: its manners, not its speed."""

import threading
import time
from collections.abc import Callable

import numpy as np


class Alternating:
    """Every iteration of the program follows a NumPy gemm on all threads; only it is timed."""

    def __init__(self, build: Callable, **parameters: object):
        self.program = build(**parameters)
        self.against = self.program.against
        self.a = np.full((600, 600), 0.5, np.float32)
        self.out = np.empty_like(self.a)

    def check(self) -> list[float]:
        return self.program.check()

    def run(self, iterations: int) -> float:
        """Seconds spent in the program."""
        seconds = 0.0
        for _ in range(iterations):
            np.dot(self.a, self.a, out=self.out)
            start = time.perf_counter()
            self.program.run(1)
            seconds += time.perf_counter() - start
        return seconds


class Threads:
    """Four programs with parameters of their own, run by one Python thread or by four.

    An iteration is one call of each program.
    """

    def __init__(self, build: Callable, threads: int, **parameters: object):
        self.programs = [build(**parameters) for _ in range(4)]
        self.against = self.programs[0].against
        self.threads = threads

    def check(self) -> list[float]:
        return [program.check() for program in self.programs][-1]

    def run(self, iterations: int) -> float:
        start = time.perf_counter()
        if self.threads == 1:
            for _ in range(iterations):
                for program in self.programs:
                    program.run(1)
        else:
            crew = [threading.Thread(target=p.run, args=(iterations,)) for p in self.programs]
            for thread in crew:
                thread.start()
            for thread in crew:
                thread.join()
        return time.perf_counter() - start
