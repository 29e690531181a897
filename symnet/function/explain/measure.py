"""Measuring a function without touching it: copies with shared variables of their own are run."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.backends.choice import Executable, inspection
from symnet.backends.cpu.segments import SegmentedRunner
from symnet.graph.variables import Apply

SECONDS = 0.5  # for which the copies are run, about
CALLS = (4, 200)  # of each, at least and at most
QUARTILE = 25  # per cent of the calls are faster than what is told: others disturb, never help
TURN = 4  # calls of one copy, before it is the other's turn


@dataclass(eq=False)
class Times:
    """Seconds per call of every step of every native program, and of what runs in Python."""

    steps: list[np.ndarray]
    calls: int
    host: dict[Apply, float]


@dataclass(eq=False)
class Measurement:
    """What is known of a function that has run.

    runner   whose frames hold the sizes of the last call
    times    None: nothing was measured
    call     seconds of a whole call, steps not measured; None if unknown
    plain    a runner whose steps are not measured apart, or None
    """

    runner: Executable
    times: Times | None = None
    call: float | None = None
    plain: Executable | None = None


def so_far(runner: Executable) -> Measurement:
    """What a function knows about itself: its profile, if it has one, and the last sizes."""
    steps, calls = [], 0
    for one in runner.runners:
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
    runner = profiled._runner
    found_tables = (r.profile for r in runner.runners if r is not None)
    tables = [table for table in found_tables if table is not None]
    taken: list[list[np.ndarray]] = [[] for _ in tables]

    def measured() -> None:
        before = [table[:, 0].copy() for table in tables]
        profiled(*args)
        for found, table, start in zip(taken, tables, before):
            found.append(table[:, 0] - start)

    wait, last = inspection(plain.device).wait, plain._runner.runners[-1]

    def called() -> None:
        plain(*args)
        wait(last)

    whole = _alternate((called, _restart(plain)), (measured, _restart(profiled)), taken)
    typical = iter([np.percentile(found, QUARTILE, axis=0) * 1e-9 for found in taken])
    steps = [next(typical) if r is not None else np.zeros(0) for r in runner.runners]
    host = so_far(runner).times
    times = Times(steps, len(whole), {} if host is None else host.host)
    return Measurement(runner, times, float(np.percentile(whole, QUARTILE)), plain._runner)


def _restart(function: Any) -> Callable[[], None]:
    """Gives shared variables that a call rebinds their first values again."""
    kept = [
        (runner.shared[position], runner.shared[position].get_value())
        for runner in function._runner.runners
        if runner is not None
        for position, _ in runner.program.rebinds
    ]

    def restart() -> None:
        for shared, value in kept:
            shared.set_value(value)

    return restart


Task = tuple[Callable[[], object], Callable[[], None]]


def _alternate(plain: Task, profiled: Task, taken: list[list[np.ndarray]]) -> list[float]:
    """Seconds of each call of `plain`. A few calls of the one, a few of the other, and so on:
    whatever else the machine does hits both. The first calls bind and do not count."""
    for call, restart in (plain, profiled):
        for _ in range(2):
            restart()
            call()
    for found in taken:
        found.clear()
    seconds: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(seconds) < CALLS[0] or (len(seconds) < CALLS[1] and time.perf_counter() < end):
        for call, restart in (plain, profiled):
            for _ in range(TURN):
                restart()
                begin = time.perf_counter()
                call()
                if call is plain[0]:
                    seconds.append(time.perf_counter() - begin)
    return seconds
