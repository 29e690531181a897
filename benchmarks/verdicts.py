"""The promises that the suite checks, one line each."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from .cases.on_device import DEVICE_CASES
from .runner import Entry

Key = tuple[str, str, str]  # case, peer, variant


@dataclass(frozen=True)
class Promise:
    """`value` of the entries it needs must be at most (or at least) `limit`. If it is about a
    `fact` that programs tell, no time need have been measured."""

    text: str
    needs: tuple[Key, ...]
    value: Callable[..., float]
    limit: float
    at_least: bool = False
    unit: str = "x"
    fact: str = ""

    def measured(self, entry: Entry | None) -> bool:
        """Whether it can be judged by this entry."""
        if entry is None:
            return False
        return self.fact in entry.facts if self.fact else bool(entry.rounds)


@dataclass(frozen=True)
class Verdict:
    """`outcome` is PASS, FAIL or "not run"; "PASS?" and "FAIL?" if other programs ran meanwhile."""

    text: str
    value: float
    limit: str
    outcome: str
    unit: str


def _ratio(over: Entry, under: Entry) -> float:
    return over.median / under.median


def _median(entry: Entry) -> float:
    return entry.median


def _compare(text: str, over: Key, under: Key, limit: float, *, at_least: bool = False) -> Promise:
    return Promise(text, (over, under), _ratio, limit, at_least)


def _absolute(text: str, key: Key, limit: float) -> Promise:
    return Promise(text, (key,), _median, limit, unit="s")


_LAYERS = (10, 30, 100, 300, 1000)


def growth(*entries: Entry) -> float:
    """Seconds per layer between the two deepest nets over those between the two before."""
    times = [entry.median for entry in entries]
    slopes = [
        (t1 - t0) / (n1 - n0) for t0, t1, n0, n1 in zip(times, times[1:], _LAYERS, _LAYERS[1:])
    ]
    return slopes[-1] / slopes[-2] if slopes[-2] > 0 else math.inf


def _s(case: str, variant: str = "") -> Key:
    return case, "symnet", variant


PROMISES = (
    _compare(
        "mlp-128: symnet / its five gemms",
        _s("mlp-128"), ("mlp-128", "numpy-gemm", ""), 0.97,
    ),
    _compare("mlp-128: JAX / symnet", ("mlp-128", "jax", ""), _s("mlp-128"), 1.15, at_least=True),
    _compare(
        "mlp-128: PyTorch eager / symnet",
        ("mlp-128", "torch", ""), _s("mlp-128"), 1.25, at_least=True,
    ),
    _compare("mlp-16: symnet / its five gemms", _s("mlp-16"), ("mlp-16", "numpy-gemm", ""), 0.95),
    _compare("mlp-16: JAX / symnet", ("mlp-16", "jax", ""), _s("mlp-16"), 3.0, at_least=True),
    _compare("chain: JAX / symnet", ("chain", "jax", ""), _s("chain"), 1.5, at_least=True),
    _compare(
        "fit: PyTorch with its DataLoader / symnet",
        ("fit", "torch", ""), _s("fit"), 1.5, at_least=True,
    ),
    _compare("fit: Keras on JAX / symnet", ("fit", "keras", ""), _s("fit"), 1.3, at_least=True),
    Promise(
        "chain: relative error of symnet's sum",
        (_s("chain"),), lambda entry: entry.error, 1e-6, unit="",
    ),
    _absolute("first result, empty cache", _s("start", "cold"), 1.6),
    _absolute("first result, second process", _s("start", "warm"), 0.25),
    _absolute("import symnet", _s("import"), 0.2),
    _absolute("call of a tiny function", _s("call"), 3e-6),
    _absolute("a new batch size, more than a known one", _s("new-batch"), 1e-3),
    _compare(
        "manners: alternating / alone",
        _s("manners", "alternating"), _s("manners", "alone"), 2.2,
    ),
    _compare(
        "manners: alternating / alone, OPENBLAS_THREAD_TIMEOUT=4",
        _s("manners", "alternating, timeout"), _s("manners", "alone, timeout"), 1.2,
    ),
    _compare(
        "threads-128: four threads / one",
        _s("threads-128", "four"), _s("threads-128", "one"), 1.3,
    ),
    _compare(
        "threads-16: four threads / one",
        _s("threads-16", "four"), _s("threads-16", "one"), 1.3,
    ),
    Promise(
        "compile: seconds per layer, 300 to 1000 layers / 100 to 300",
        tuple(_s("compile", f"{n} layers") for n in _LAYERS), growth, 1.5,
    ),
)  # fmt: skip


def _none(text: str, case: str, fact: str) -> Promise:
    return Promise(text, (_s(case),), lambda entry: entry.facts[fact], 0.0, unit="", fact=fact)


_BESIDE, _WAITS = "launches beside one graph", "waits"  # per step, of peers/symnet_device.py

DEVICE_PROMISES = (
    *(
        _compare(f"{case}: {title} / symnet", (case, peer, ""), _s(case), 1.0, at_least=True)
        for case in ("mlp-128", "mlp-16")
        for peer, title in (("torch-compiled", "PyTorch reduce-overhead"), ("jax", "JAX"))
    ),
    *(
        _compare(
            f"{kind}: share of the copy's bandwidth",
            ("kernels", "copy", kind), _s("kernels", kind), 0.9, at_least=True,
        )
        for kind in DEVICE_CASES["kernels"].variants
    ),
    *(
        _none(f"{case}: launches per step besides one recorded graph", case, _BESIDE)
        for case in ("mlp-128", "mlp-16", "fit")
    ),
    _none("mlp-128: waits per step, the cost staying on the device", "mlp-128", _WAITS),
    _none("fit: waits per step but for the progress report", "fit", _WAITS),
)  # fmt: skip


def promises_on(device: str) -> tuple[Promise, ...]:
    """What is promised of this device. Of the emulated one all that is not about time can be
    judged."""
    return PROMISES if device == "cpu" else DEVICE_PROMISES


def judge(entries: list[Entry], promises: tuple[Promise, ...] = PROMISES) -> list[Verdict]:
    """Every promise against what was measured; a case that failed in symnet is a FAIL."""
    found = {(entry.case, entry.peer, entry.variant): entry for entry in entries}
    verdicts = []
    for promise in promises:
        needed = [found.get(key) for key in promise.needs]
        broken = any(e and e.peer == "symnet" and e.status in ("failed", "wrong") for e in needed)
        complete = all(map(promise.measured, needed))
        value = float(promise.value(*needed)) if complete and not broken else math.nan
        kept = value >= promise.limit if promise.at_least else value <= promise.limit
        outcome = "FAIL" if broken else "not run" if not complete else "PASS" if kept else "FAIL"
        timed = complete and not promise.fact
        if timed and not broken and any(e.disturbed for e in needed):
            outcome += "?"
        sign = "at least" if promise.at_least else "at most"
        limit = f"{sign} {quantity(promise.limit, promise.unit)}"
        verdicts.append(Verdict(promise.text, value, limit, outcome, promise.unit))
    return verdicts


def quantity(value: float, unit: str) -> str:
    """`2.11 ms`, `0.93x`, `3.1e-07`; a dash for what was not measured."""
    if math.isnan(value):
        return "-"
    if unit == "x":
        return f"{value:.2f}x"
    if unit == "B":
        return f"{value / 2**20:.0f} MiB"
    if unit == "s":
        size = abs(value)
        scale, name = (1e6, "us") if size < 1e-3 else (1e3, "ms") if size < 1 else (1.0, "s")
        return (
            f"{value * scale:.3g} {name}" if size * scale < 1000 else f"{value * scale:.0f} {name}"
        )
    return f"{value:.2g}"
