"""Runs cases: one process per peer and variant, checked first, then timed in interleaved rounds."""

import itertools
import json
import math
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import machine
from .cases import CASES, Case, Variant, startup, wrappers
from .cases.on_device import DEVICE_CASES
from .peers import DEVICE_PEERS, PEERS, Peer
from .process import Worker, WorkerError, environment, interpreter

PAUSE = 0.1  # seconds between two turns: the spinning workers of the last peer's pool fall asleep
MEMORY_ITERATIONS = 20  # before the peak of memory is read
TF32_TOLERANCE = 1e-2  # its products have 10 bits of fraction
QUIET = 0.3  # cores that other programs may use without disturbing


@dataclass
class Entry:
    """What became of one peer in one variant of a case. Times are seconds per iteration.

    `status` is "ok", "unavailable", "wrong" (values differ from the reference: not timed) or
    "failed"; `reason` explains the last three. `error` is the largest relative error of the
    checked values, `busy` how many cores other programs used just before each round, `facts` what
    else the program tells of itself (on a device only).
    """

    case: str
    peer: str
    variant: str = ""
    unit: str = "s"
    status: str = "ok"
    reason: str = ""
    error: float | None = None
    iterations: int = 0
    rounds: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    blas: list[str] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        return statistics.median(self.rounds) if self.rounds else math.nan

    @property
    def spread(self) -> tuple[float, float]:
        """First and third quartile of the rounds."""
        if len(self.rounds) < 2:
            return self.median, self.median
        quarters = statistics.quantiles(self.rounds, n=4, method="inclusive")
        return quarters[0], quarters[2]

    @property
    def disturbed(self) -> bool:
        """Whether other programs used the cores before more than a quarter of the rounds."""
        return sum(busy > QUIET for busy in self.busy) * 4 > len(self.busy)

    def record(self) -> dict:
        """For the JSON report."""
        low, high = self.spread
        return asdict(self) | {"median": self.median, "quartiles": [low, high]}


@dataclass
class Options:
    """How to run. `seconds` is the length of one turn of one peer; `patience` the seconds in all
    that may be spent on waiting for other programs to finish.

    device     "cpu"; "cuda"; "emulated": tiny cases on the device that runs on the host, which are
               checked and not timed
    precision  of float32 products on a device: "highest", or "high" for TF32
    """

    rounds: int = 5
    threads: int = 2
    seconds: float = 0.2
    keep_env: bool = False
    patience: float = 0.0
    peers: tuple[str, ...] = tuple(PEERS)
    quiet: bool = False
    device: str = "cpu"
    precision: str = "highest"


class Runner:
    """Runs cases one after the other; `run` returns the entries of one."""

    def __init__(self, options: Options, scratch: Path):
        self.options, self.scratch = options, scratch
        self.on_device, self.small = options.device != "cpu", options.device == "emulated"
        self.peers = peers_on(options.device)
        self.references: dict[tuple[str, str, str], list[float]] = {}
        self.lock = threading.Lock()  # of the references
        self.folders = itertools.count()
        self.patience = options.patience

    def run(self, case: Case) -> list[Entry]:
        """Measure every peer (that is wanted and takes part) in every variant of a case."""
        entries = [
            Entry(case.name, peer, variant, unit=case.unit)
            for peer in case.peers
            if peer in self.options.peers and peer in self.peers
            for variant in case.variants
        ]
        measure = {
            "loop": self._loop,
            "fresh": self._fresh,
            "memory": self._memory,
            "startup": self._startup,
        }[case.kind]
        start = time.monotonic()
        measure(case, entries)
        self._say(f"{case.name}: {time.monotonic() - start:.0f} s")
        return entries

    def device(self) -> dict[str, object]:
        """Facts about the device. Errors: DeviceMissing, WorkerError."""
        peer = self.peers["symnet"]
        with Worker(peer, self._environment(peer, Variant()), self.options.threads) as worker:
            facts = worker.ask("device", name=self.options.device)
        if "missing" in facts:
            raise DeviceMissing(facts["missing"])
        return facts

    def _rounds(self, case: Case) -> range:
        return range(min(self.options.rounds, case.rounds or self.options.rounds))

    def _environment(self, peer: Peer, variant: Variant, *, empty: bool = False) -> dict[str, str]:
        """Environment of a peer; `empty` gives it caches that nobody has used."""
        scratch = self.scratch / f"empty{next(self.folders)}" if empty else self.scratch
        return environment(
            peer,
            threads=self.options.threads,
            scratch=scratch,
            keep=self.options.keep_env,
            extra=variant.env,
        )

    def _loop(self, case: Case, entries: list[Entry]) -> None:
        workers: dict[tuple[str, str], Worker] = {}
        groups: dict[tuple[str, str], list[Entry]] = {}
        for entry in entries:
            key = entry.peer, "" if case.share else entry.variant
            groups.setdefault(key, []).append(entry)
        try:
            for key, (first, *_) in groups.items():
                peer = self.peers[first.peer]
                env = self._environment(peer, case.variants[first.variant])
                workers[key] = Worker(peer, env, self.options.threads)
            self._say(f"{case.name}: set up")
            with ThreadPoolExecutor(machine.usable_cores()) as pool:
                list(pool.map(lambda key: self._ready(case, groups[key], workers[key]), groups))
            if self.small:
                return
            turns = [(entry, workers[key]) for key, group in groups.items() for entry in group]
            for entry, worker in turns:
                if entry.status == "ok":
                    with _recorded(entry):
                        self._calibrate(case, entry, worker)
            for k in self._rounds(case):
                self._say(f"{case.name}: round {k + 1}")
                for entry, worker in _rotated(turns, k):
                    if entry.status == "ok":
                        self._settle(entry)
                        with _recorded(entry):
                            seconds = self._time(entry, worker, entry.iterations)
                            entry.rounds.append(seconds / entry.iterations)
        finally:
            for worker in workers.values():
                worker.close()

    def _ready(self, case: Case, entries: list[Entry], worker: Worker) -> None:
        """Set up the programs of one worker and compare them with the reference. Workers get ready
        at the same time: nothing is measured yet, and many compile."""
        for entry in entries:
            with _recorded(entry):
                entry.iterations = self._set_up(case, entry, worker) or 0
                if entry.status == "ok":
                    self._check(case, entry, worker.ask("check", slot=entry.variant))
                if entry.status == "ok" and self.on_device:
                    entry.facts = worker.ask("facts", slot=entry.variant)["facts"]

    def _calibrate(self, case: Case, entry: Entry, worker: Worker) -> None:
        """Find how many iterations make a turn, unless the program has a limit."""
        if entry.iterations:
            return
        count, seconds = 1, self._time(entry, worker, 1)
        while seconds < self.options.seconds / 3 and count < 10**7:
            count *= 4 if seconds < self.options.seconds / 16 else 2
            seconds = self._time(entry, worker, count)
        entry.iterations = max(case.least, round(count * self.options.seconds / max(seconds, 1e-9)))

    def _time(self, entry: Entry, worker: Worker, iterations: int) -> float:
        """Seconds of a turn."""
        return worker.ask("time", iterations=iterations, slot=entry.variant)["seconds"]

    def _set_up(self, case: Case, entry: Entry, worker: Worker) -> int | None:
        """Build the program; returns the most iterations a turn may have, None for any."""
        parameters = case.parameters_of(entry.variant, small=self.small)
        if self.on_device:
            parameters |= {"device": self.options.device, "precision": self.options.precision}
        answer = worker.ask("setup", family=case.family, parameters=parameters, slot=entry.variant)
        if "unavailable" in answer:
            entry.status, entry.reason = "unavailable", answer["unavailable"]
            return None
        entry.versions, entry.blas = answer["versions"], answer["blas"]
        return answer["limit"]

    def _check(self, case: Case, entry: Entry, answer: dict) -> None:
        parameters = case.parameters_of(entry.variant, small=self.small)
        for name in wrappers.PARAMETERS:
            parameters.pop(name, None)
        key = case.family, answer["against"], json.dumps(parameters, sort_keys=True)
        with self.lock:
            if key not in self.references:
                self.references[key] = case.module.REFERENCES[answer["against"]](**parameters)
        entry.error = relative_error(answer["values"], self.references[key])
        tolerance = case.tolerance if self.options.precision == "highest" else TF32_TOLERANCE
        if not entry.error <= tolerance:
            entry.status = "wrong"
            entry.reason = (
                f"relative error {entry.error:.2g} exceeds {tolerance:g}: "
                f"{answer['values']} for {self.references[key]}"
            )

    def _fresh(self, case: Case, entries: list[Entry]) -> None:
        cold = {name: v.parameters.get("cold", True) for name, v in case.variants.items()}
        # round 0 fills the caches of the warm variants
        for k, entry in itertools.product([-1, *self._rounds(case)], entries):
            if entry.status != "ok" or (k < 0 and cold[entry.variant]):
                continue
            self._say(f"{_label(entry)}: round {k + 1}")
            peer, variant = self.peers[entry.peer], case.variants[entry.variant]
            env = self._environment(peer, variant, empty=cold[entry.variant])
            if k >= 0:
                self._settle(entry)
            with Worker(peer, env, self.options.threads) as worker, _recorded(entry):
                self._set_up(case, entry, worker)
                if entry.status == "ok":
                    seconds = self._time(entry, worker, 1)
                    self._check(case, entry, worker.ask("check", slot=entry.variant))
                if entry.status == "ok" and k >= 0:
                    entry.iterations = 1
                    entry.rounds.append(seconds)

    def _memory(self, case: Case, entries: list[Entry]) -> None:
        # round 0 fills the caches
        for k, entry in itertools.product([-1, *self._rounds(case)], entries):
            if entry.status != "ok":
                continue
            self._say(f"{_label(entry)}: round {k + 1}")
            peer, variant = self.peers[entry.peer], case.variants[entry.variant]
            env = self._environment(peer, variant)
            with Worker(peer, env, self.options.threads) as worker, _recorded(entry):
                self._set_up(case, entry, worker)
                if entry.status != "ok":
                    continue
                self._check(case, entry, worker.ask("check", slot=entry.variant))
                if entry.status == "ok" and k >= 0:
                    entry.iterations = MEMORY_ITERATIONS
                    self._time(entry, worker, entry.iterations)
                    entry.rounds.append(worker.ask("memory")["bytes"])

    def _startup(self, case: Case, entries: list[Entry]) -> None:
        # round 0 brings the files into memory, and fills the caches of the warm variants
        for k, entry in itertools.product([-1, *self._rounds(case)], entries):
            if entry.status != "ok":
                continue
            self._say(f"{_label(entry)}: round {k + 1}")
            peer, variant = self.peers[entry.peer], case.variants[entry.variant]
            cold = variant.parameters.get("cold")
            if k >= 0:
                self._settle(entry)
            with _recorded(entry):
                seconds = startup.measure(
                    entry.peer,
                    case.parameters["script"],
                    interpreter(peer),
                    self._environment(peer, variant),
                    self._environment(peer, variant, empty=True) if cold else None,
                )
                entry.iterations = 1
                if k >= 0:
                    entry.rounds.append(seconds)

    def _settle(self, entry: Entry) -> None:
        """Let the last peer's threads fall asleep, and other programs end if there is patience."""
        time.sleep(PAUSE)
        while (busy := machine.busy_cores(PAUSE)) > QUIET and self.patience > 0:
            start = time.monotonic()
            time.sleep(min(1.0, self.patience))
            self.patience -= time.monotonic() - start
        entry.busy.append(busy)

    def _say(self, text: str) -> None:
        if not self.options.quiet:
            print(text, file=sys.stderr, flush=True)


class _recorded:
    """Context in which a failure is written into the entry and ends only that entry."""

    def __init__(self, entry: Entry):
        self.entry = entry

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, startup.Failed) and str(error).startswith("ModuleNotFoundError"):
            self.entry.status, self.entry.reason = "unavailable", str(error)
        elif isinstance(error, (WorkerError, startup.Failed, OSError)):
            self.entry.status, self.entry.reason = "failed", str(error)
        else:
            return False
        return True


def relative_error(values: list[float], reference: list[float]) -> float:
    """The largest relative difference; NaN or another number of values counts as infinite."""
    if len(values) != len(reference):
        return math.inf
    errors = [abs(v - r) / abs(r) if r else abs(v) for v, r in zip(values, reference)]
    return max((math.inf if math.isnan(e) else e for e in errors), default=0.0)


class DeviceMissing(Exception):
    """There is no such device here; the message says what is missing."""


def cases_on(device: str) -> dict[str, Case]:
    """The cases that are measured on this device, by name."""
    return CASES if device == "cpu" else DEVICE_CASES


def peers_on(device: str) -> dict[str, Peer]:
    """The peers that can be measured on this device, by name."""
    if device == "emulated":  # nobody else knows it
        return {name: peer for name, peer in DEVICE_PEERS.items() if not peer.foreign}
    return PEERS if device == "cpu" else DEVICE_PEERS


def describe_device(options: Options) -> dict[str, object]:
    """Facts about the device of the options. Errors: DeviceMissing, WorkerError."""
    with tempfile.TemporaryDirectory(prefix="symnet-bench-") as scratch:
        return Runner(options, Path(scratch)).device()


def run(cases: Iterable[Case], options: Options) -> list[Entry]:
    """Run the cases with caches of their own in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="symnet-bench-") as scratch:
        runner = Runner(options, Path(scratch))
        return [entry for case in cases for entry in runner.run(case)]


def _label(entry: Entry) -> str:
    return ", ".join(filter(None, (entry.case, entry.peer, entry.variant)))


def _rotated(items: list, k: int) -> list:
    """Another one begins in every round."""
    k %= max(len(items), 1)
    return items[k:] + items[:k]
