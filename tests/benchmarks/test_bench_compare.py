"""Two reports against each other, from made-up measurements."""

import json
import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symnet.benchmarks import command, compare, report
from symnet.benchmarks.runner import Entry, Options
from symnet.benchmarks.verdicts import judge


def made(*entries):
    """A report as it is read from a file."""
    verdicts = judge(list(entries))
    return json.loads(json.dumps(report.records(list(entries), verdicts, Options())))


def rounds(seed, median=1.0, noise=0.02, machine=None, n=7):
    """Times with noise of their own, on a machine whose speed changes from round to round."""
    rng = random.Random(seed)
    machine = machine or [1.0] * n
    return [median * m * math.exp(rng.gauss(0, noise)) for m in machine[:n]]


def entry(peer, times, case="call", variant="", **more):
    return Entry(case, peer, variant, rounds=times, **more)


def pair(seed, symnet=1.0, speed=1.0, machine=None, noise=0.02, **more):
    """A report with symnet and two peers."""
    return made(
        *(
            entry(peer, rounds(seed + k, median * speed, noise, machine), **more)
            for k, (peer, median) in enumerate([("symnet", symnet), ("torch", 3), ("jax", 2)])
        )
    )


def test_a_slower_symnet_is_named_and_a_faster_one_too():
    old, new = pair(0), pair(10, symnet=1.4)
    (change,) = compare.changes(old, new)
    assert change.regression and change.factor == pytest.approx(1.4, rel=0.05)
    text, status = compare.compare(old, new)
    assert status == 1 and "slower: call: 1.4" in text and "relative to torch, jax" in text
    text, status = compare.compare(new, old)
    assert status == 0 and "faster: call: 0.7" in text and "slower" not in text


@given(st.integers(0, 10**6), st.floats(0.2, 5))
def test_another_clock_rate_is_no_regression(seed, speed):
    old, new = pair(seed), pair(seed + 10, speed=speed)
    (change,) = compare.changes(old, new)
    assert not change.regression and not change.improvement


def test_a_disturbance_that_meets_all_is_none():
    machine = [1, 1, 4, 4, 1, 3, 5]
    (change,) = compare.changes(pair(0), pair(10, machine=machine))
    assert not change.regression and change.factor == pytest.approx(1, abs=0.05)


def test_a_noisy_report_needs_a_larger_change():
    quiet = compare.changes(pair(0), pair(10, symnet=1.2))[0]
    noisy = compare.changes(pair(0, noise=0.3), pair(10, symnet=1.2, noise=0.3))[0]
    assert quiet.regression and not noisy.regression and noisy.margin > 1.3 > quiet.margin
    assert compare.changes(pair(0, noise=0.3), pair(10, symnet=9, noise=0.3))[0].regression


def test_small_changes_are_nobodys_business():
    assert not compare.changes(pair(0, noise=0), pair(0, symnet=1.07, noise=0))[0].regression
    assert compare.changes(pair(0, noise=0), pair(0, symnet=1.09, noise=0))[0].regression


def test_one_peer_that_changed_does_not_decide():
    def three(torch, **more):
        times = {"symnet": 1, "jax": 2, "numpy": 3}
        peers = [entry(p, rounds(k, t)) for k, (p, t) in enumerate(times.items())]
        return made(*peers, entry("torch", rounds(9, torch), **more))

    (change,) = compare.changes(three(4), three(2))
    assert not change.regression
    # another version is another yardstick
    old, new = (three(t, versions={"torch": v}) for t, v in ((4, "1"), (2, "2")))
    assert compare.changes(old, new)[0].against == "jax, numpy"
    # unless there is no other
    lone = [
        made(entry("symnet", rounds(1)), entry("torch", rounds(2, t), versions={"torch": v}))
        for t, v in ((4, "1"), (2, "2"))
    ]
    assert compare.changes(*lone)[0].regression


def test_variants_are_told_apart():
    def two(adam):
        pairs = [("sgd", 1), ("adam", adam)]
        symnet = [entry("symnet", rounds(k, t), "optimizers", v) for k, (v, t) in enumerate(pairs)]
        return made(*symnet, *(entry("jax", rounds(5), "optimizers", v) for v, _ in pairs))

    text, status = compare.compare(two(1), two(2))
    assert status == 1 and "slower: optimizers (adam)" in text and "(sgd)" not in text


def test_what_stands_alone_is_compared_on_the_same_processor_only():
    old, new = (made(entry("symnet", rounds(k, t))) for k, t in ((0, 1), (1, 1.5)))
    assert compare.changes(old, new)[0].regression
    assert not compare.changes(old, made(entry("symnet", rounds(1, 1.2))))[0].regression
    new["machine"]["processor"] = "another"
    assert compare.changes(old, new) == []
    text, status = compare.compare(old, new)
    assert status == 0 and "no measurement in common" in text
    memory = [made(replace(entry("symnet", [size]), unit="B")) for size in (1e8, 1.2e8)]
    assert compare.changes(*memory)[0].regression


def test_promises_and_values_that_broke():
    kept, broken = (made(entry("symnet", [t] * 4, busy=[0] * 4)) for t in (1e-6, 1e-5))
    text, status = compare.compare(kept, broken)
    assert status == 1 and "promise broken: call of a tiny function: 10 us, at most 3 us" in text
    assert "promise" not in compare.compare(broken, broken)[0]
    assert "promise" not in compare.compare(broken, kept)[0]
    disturbed = made(entry("symnet", [1e-5] * 4, busy=[1.5] * 4))
    assert "promise" not in compare.compare(kept, disturbed)[0]
    for status in ("wrong", "failed"):
        gone = made(Entry("call", "symnet", status=status, reason="why"))
        text, code = compare.compare(kept, gone)
        assert code == 1 and f"call: {status}: why" in text
    assert compare.compare(kept, made())[1] == 0


def test_times_that_are_none_are_left_out():
    """The difference of two times may come out as 0 or less."""
    strange = made(entry("symnet", [1.0, -1e-6]), entry("jax", [1.0, 2.0]))
    assert compare.changes(strange, strange) == []


def test_command(tmp_path, capsys):
    paths = [tmp_path / name for name in ("old.json", "new.json")]
    for path, data in zip(paths, (pair(0), pair(10, symnet=2))):
        path.write_text(json.dumps(data))
    old, new = map(str, paths)
    assert command.main(["--compare", old, new]) == 1
    assert "slower: call" in capsys.readouterr().out
    assert command.main(["--compare", old, old]) == 0
    assert "1 of 1 within their margins" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "No such file"), ("{", "no JSON"), ("[]", "no report"), ('{"a": 1}', "no report")],
)
def test_files_that_are_no_reports(tmp_path, capsys, content, message):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    assert command.main(["--compare", str(path), str(path)]) == 2
    assert message in capsys.readouterr().err
