"""Measuring a function without touching it: copies with shared variables of their own are run."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.backends.cpu.bind import Frame
from symnet.backends.cpu.runner import Runner
from symnet.backends.cpu.segments import SegmentedRunner
from symnet.graph.variables import Apply

SECONDS = 0.3  # for which each copy is run, about
CALLS = (3, 200)  # at least, at most


@dataclass
class Times:
    """Seconds per call of every step of every native program, and of what runs in Python."""

    steps: list[np.ndarray]
    calls: int
    host: dict[Apply, float]


@dataclass
class Measurement:
    """What is known of a function that has run.

    runner   whose frames hold the sizes of the last call
    times    None: nothing was measured
    call     seconds of a whole call, steps not measured; None if unknown
    plain    a runner whose steps are not measured apart, or None
    """

    runner: Runner | SegmentedRunner
    times: Times | None = None
    call: float | None = None
    plain: Runner | SegmentedRunner | None = None


def runners_of(runner: Runner | SegmentedRunner) -> list[Runner | None]:
    """The native programs, in order; None for a segment that only runs Python."""
    return [runner] if isinstance(runner, Runner) else list(runner.runners)


def last_frame(runner: Runner | None) -> Frame | None:
    """A frame of the sizes with which a program ran last; None if it never ran."""
    return runner.free[-1] if runner is not None and runner.free else None


def so_far(runner: Runner | SegmentedRunner) -> Measurement:
    """What a function knows about itself: its profile, if it has one, and the last sizes."""
    steps, calls = [], 0
    for one in runners_of(runner):
        table = None if one is None else one.profile
        if table is None:
            steps.append(np.zeros(0))
            continue
        calls = max(calls, int(table[:, 1].max(initial=0)))
        steps.append(table[:, 0] * 1e-9 / np.maximum(table[:, 1], 1))
    host = {}
    if isinstance(runner, SegmentedRunner):
        host = {node: spent * 1e-9 / n for node, (spent, n) in runner.host_times.items() if n}
    return Measurement(runner, Times(steps, calls, host) if calls else None)


def measure(copy_of: Callable[[bool], Any], args: Sequence[Any]) -> Measurement:
    """Run copies of a function with these arguments: one with a profile, one without.

    copy_of  copy_of(profile) makes a function that shares nothing that is written

    Shared variables whose value changes its shape start anew for each call. Errors: as of a call.
    """
    plain, profiled = copy_of(False), copy_of(True)
    whole = _repeat(lambda: plain(*args), _restart(plain))
    runner = profiled._runner
    found_tables = (r.profile for r in runners_of(runner) if r is not None)
    tables = [table for table in found_tables if table is not None]
    taken: list[list[np.ndarray]] = [[] for _ in tables]

    def call() -> None:
        before = [table[:, 0].copy() for table in tables]
        profiled(*args)
        for found, table, start in zip(taken, tables, before):
            found.append(table[:, 0] - start)

    times = _repeat(call, _restart(profiled))
    medians = iter([np.median(found[-len(times) :], axis=0) * 1e-9 for found in taken])
    steps = [next(medians) if r is not None else np.zeros(0) for r in runners_of(runner)]
    host = so_far(runner).times
    found = Times(steps, len(times), {} if host is None else host.host)
    return Measurement(runner, found, statistics.median(whole), plain._runner)


def _restart(function: Any) -> Callable[[], None]:
    """Gives shared variables that a call rebinds their first values again."""
    kept = [
        (runner.shared[position], runner.shared[position].get_value())
        for runner in runners_of(function._runner)
        if runner is not None
        for position, _ in runner.program.rebinds
    ]

    def restart() -> None:
        for shared, value in kept:
            shared.set_value(value)

    return restart


def _repeat(call: Callable[[], object], restart: Callable[[], None]) -> list[float]:
    """Seconds of each call, after two that bind and fill the caches."""
    for _ in range(2):
        restart()
        call()
    found: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(found) < CALLS[0] or (len(found) < CALLS[1] and time.perf_counter() < end):
        restart()
        begin = time.perf_counter()
        call()
        found.append(time.perf_counter() - begin)
    return found
