"""Two reports against each other: where has symnet become slower?

Times of two reports say nothing about each other: machine, load and clock differ. So the measure
is symnet's time over the peers' in the same report. Rounds are interleaved, and round k of symnet
and round k of a peer see the same machine, so their ratio is taken round by round; the change is
that of the medians' logarithms, and its noise comes from the spread of the rounds. The median over
the peers keeps one peer that changed from deciding.

What no peer shares is compared as it is (in bytes or seconds), with a wider margin for seconds, and
only between reports from the same processor.
"""

import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path

from .verdicts import quantity

LEAST = 0.08  # changes below are nobody's business (in logarithms: about as much in parts of one)
LEAST_ALONE = 0.25  # likewise of seconds that stand alone
ERRORS = 3.0  # standard errors that a change must exceed
Key = tuple[str, str, str]  # case, peer, variant


class ReportError(Exception):
    """A file that is no report of this suite."""


@dataclass(frozen=True)
class Change:
    """`factor` is how much longer symnet takes, relative to `against`; `margin` what is allowed."""

    case: str
    variant: str
    factor: float
    margin: float
    against: str

    @property
    def regression(self) -> bool:
        return self.factor > self.margin

    @property
    def improvement(self) -> bool:
        return self.factor < 1 / self.margin


def read(path: Path) -> dict:
    """A report.json. Errors: ReportError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ReportError(f"{path}: no JSON ({error})") from None
    if not isinstance(data, dict) or not {"entries", "verdicts", "machine"} <= set(data):
        raise ReportError(f"{path}: no report of `symnet bench` (has no entries)")
    return data


def changes(old: dict, new: dict) -> list[Change]:
    """Every case and variant that symnet has been measured in, in both reports."""
    before, after = _measured(old), _measured(new)
    found = []
    for case, peer, variant in after:
        own = (case, "symnet", variant)
        if peer != "symnet" or own not in before:
            continue
        peers = [
            other for other in _peers(after, case, variant) if (case, other, variant) in before
        ]
        # a peer of another version is another yardstick; use it only if there is no better one
        same = [p for p in peers if _versions(before, case, p, variant) ==
                _versions(after, case, p, variant)]  # fmt: skip
        change = _relative(before, after, own, same or peers)
        if change is None and old["machine"].get("processor") == new["machine"].get("processor"):
            change = _alone(before[own], after[own])
        if change is not None:
            found.append(change)
    return found


def broken(old: dict, new: dict) -> list[str]:
    """Promises that were kept and no longer are; cases that symnet no longer gets right."""
    kept = {v["text"] for v in old["verdicts"] if v["outcome"].rstrip("?") == "PASS"}
    lines = [
        f"promise broken: {v['text']}: {quantity(_number(v['value']), v['unit'])}, {v['limit']}"
        for v in new["verdicts"]
        if v["outcome"] == "FAIL" and v["text"] in kept
    ]
    right = {_key(e) for e in old["entries"] if e["peer"] == "symnet" and e["status"] == "ok"}
    lines += [
        f"{_title(e['case'], e['variant'])}: {e['status']}: {e['reason']}"
        for e in new["entries"]
        if e["status"] in ("wrong", "failed") and _key(e) in right
    ]
    return lines


def compare(old: dict, new: dict) -> tuple[str, int]:
    """The comparison as text, and 1 if there is a regression, else 0. Errors: ReportError for
    reports about different devices."""
    devices = [report.get("options", {}).get("device", "cpu") for report in (old, new)]
    if devices[0] != devices[1]:
        raise ReportError(f"one report is about the device {devices[0]}, one about {devices[1]}")
    found, lines = changes(old, new), broken(old, new)
    lines += [f"slower: {_line(c)}" for c in found if c.regression]
    status = int(bool(lines))
    lines += [f"faster: {_line(c)}" for c in found if c.improvement]
    steady = sum(not c.regression and not c.improvement for c in found)
    lines.append(f"{steady} of {len(found)} within their margins")
    if not found:
        lines.append("the reports have no measurement in common")
    return "\n".join(lines), status


def _relative(before: dict, after: dict, own: Key, peers: list[str]) -> Change | None:
    """The change of symnet's time over the peers'."""
    case, _, variant = own
    logs, variances = [], []
    for peer in peers:
        other = case, peer, variant
        then, now = _ratios(before[own], before[other]), _ratios(after[own], after[other])
        logs.append(statistics.median(now) - statistics.median(then))
        variances.append(_error(then) ** 2 + _error(now) ** 2)
    if not logs:
        return None
    # the peers' errors are not independent (symnet's is in all): no smaller than the median one
    margin = max(LEAST, ERRORS * math.sqrt(statistics.median(variances)))
    factor = math.exp(statistics.median(logs))
    return Change(case, variant, factor, math.exp(margin), ", ".join(peers))


def _alone(before: dict, after: dict) -> Change:
    then, now = ([math.log(r) for r in e["rounds"]] for e in (before, after))
    least = LEAST_ALONE if after.get("unit", "s") == "s" else LEAST
    margin = max(least, ERRORS * math.hypot(_error(then), _error(now)))
    factor = math.exp(statistics.median(now) - statistics.median(then))
    return Change(after["case"], after["variant"], factor, math.exp(margin), "itself")


def _ratios(own: dict, other: dict) -> list[float]:
    """Logarithms of symnet's time over the other's, round by round."""
    return [math.log(a / b) for a, b in zip(own["rounds"], other["rounds"])]


def _error(values: list[float]) -> float:
    """Standard error of the median, by the median deviation: single disturbed rounds do not count.

    For normal noise the deviation is 0.6745 and the median's error 1.2533 / sqrt(n), in standard
    deviations.
    """
    middle = statistics.median(values)
    deviation = statistics.median(abs(v - middle) for v in values)
    return deviation / 0.6745 * 1.2533 / math.sqrt(len(values))


def _measured(report: dict) -> dict[Key, dict]:
    """The entries with usable rounds (a difference of times may be negative, and is not)."""
    return {
        _key(e): e
        for e in report["entries"]
        if e["status"] == "ok" and e["rounds"] and all(r and r > 0 for r in e["rounds"])
    }


def _peers(entries: dict[Key, dict], case: str, variant: str) -> list[str]:
    return [p for c, p, v in entries if (c, v) == (case, variant) and p != "symnet"]


def _versions(entries: dict[Key, dict], case: str, peer: str, variant: str) -> dict:
    return entries[case, peer, variant].get("versions", {})


def _key(entry: dict) -> Key:
    return entry["case"], entry["peer"], entry["variant"]


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _title(case: str, variant: str) -> str:
    return f"{case} ({variant})" if variant else case


def _line(c: Change) -> str:
    return (
        f"{_title(c.case, c.variant)}: {c.factor:.2f} times the time, "
        f"relative to {c.against} (margin {c.margin:.2f})"
    )
