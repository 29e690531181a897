"""Schedules: their shapes, and equal values for numbers and for expressions."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet.errors import ConfigError
from symnet.nn.names import describe, lookup, names_of
from symnet.nn.schedules import (
    constant,
    cosine,
    exponential,
    inverse_time,
    linear,
    polynomial,
    step_decay,
    warmup,
)

EXAMPLES = [
    constant(0.1),
    linear(0.1, 0.001, 10),
    linear(0.0, 1.0, 0.5),
    polynomial(1.0, 0.1, 5),
    polynomial(1.0, 0.0, 5, power=0.5),
    cosine(0.1, 0.0, 9),
    exponential(0.1, 0.9),
    exponential(0.1, 1.5, epochs=3),
    step_decay(0.1, 0.5, epochs=2),
    inverse_time(0.1, 0.3),
    inverse_time(0.1, 0.0),
    warmup(2, cosine(0.1, 0.0, 8)),
    warmup(2, 0.3, start=0.1),
    warmup(1, warmup(1, linear(1, 0, 4), start=0.5)),
]


def compiled(schedule, dtype="float64"):
    t = T.TensorType(dtype, ())("t")
    return symnet.function([t], schedule(t), on_unused_input="ignore")


def test_every_schedule_has_an_example():
    assert {type(s).__name__ for s in EXAMPLES} == set(names_of("schedule"))


@pytest.mark.parametrize("schedule", EXAMPLES, ids=str)
def test_numbers_and_expressions_agree(schedule):
    double, single = compiled(schedule), compiled(schedule, "float32")

    @settings(max_examples=30, deadline=None)
    @given(st.one_of(st.integers(0, 20).map(float), st.floats(0, 30, width=32)))
    def check(t):
        value = schedule(t)
        assert type(value) is float
        np.testing.assert_allclose(double(t), value, rtol=1e-12, atol=1e-15)
        assert single(np.float32(t)).dtype == "float32"
        np.testing.assert_allclose(single(np.float32(t)), value, rtol=2e-5, atol=2e-7)

    check()


@pytest.mark.parametrize("schedule", EXAMPLES, ids=str)
def test_a_counter_of_steps_is_a_time(schedule):
    """steps / steps per epoch, as a training loop has it."""
    step = T.lscalar("step")
    f = symnet.function([step], schedule(step / 4), on_unused_input="ignore")
    for k in range(20):
        np.testing.assert_allclose(f(k), schedule(k / 4), rtol=2e-5, atol=2e-7)


@pytest.mark.parametrize("schedule", EXAMPLES, ids=str)
def test_json_has_all_of_it(schedule):
    described = describe("schedule", schedule)
    again = lookup("schedule", json.loads(json.dumps(described)))
    assert again == schedule and hash(again) == hash(schedule)


@pytest.mark.parametrize(
    "schedule, values",
    [
        (constant(0.1), {0: 0.1, 99: 0.1}),
        (linear(1.0, 0.2, 4), {0: 1.0, 1: 0.8, 2: 0.6, 4: 0.2, 9: 0.2}),
        (polynomial(1.0, 0.0, 4, power=2), {0: 1.0, 2: 0.25, 3: 0.0625, 4: 0.0, 9: 0.0}),
        (cosine(1.0, 0.0, 4), {0: 1.0, 1: (1 + 0.5**0.5) / 2, 2: 0.5, 4: 0.0, 9: 0.0}),
        (exponential(1.0, 0.5), {0: 1.0, 1: 0.5, 3: 0.125, 0.5: 0.5**0.5}),
        (exponential(1.0, 0.1, epochs=10), {10: 0.1, 20: 0.01}),
        (step_decay(1.0, 0.5, epochs=3), {0: 1.0, 2.999: 1.0, 3: 0.5, 5.9: 0.5, 6: 0.25}),
        (inverse_time(1.0, 0.5), {0: 1.0, 2: 0.5, 6: 0.25}),
        (warmup(2, linear(1.0, 0.0, 4)), {0: 0.0, 1: 0.5, 2: 1.0, 4: 0.5, 6: 0.0}),
        (warmup(2, 0.5, start=0.1), {0: 0.1, 1: 0.3, 2: 0.5, 50: 0.5}),
    ],
)
def test_values(schedule, values):
    for t, value in values.items():
        assert schedule(t) == pytest.approx(value, rel=1e-12, abs=1e-15)


def test_numpy_numbers_become_pythons():
    assert linear(np.float32(0.5), np.int64(0), np.float64(2)) == linear(0.5, 0, 2)
    json.dumps(linear(np.float32(0.5), np.int64(0), np.float64(2)).config())


@pytest.mark.parametrize(
    "make",
    [
        lambda: constant(-0.1),
        lambda: constant(math.nan),
        lambda: constant("fast"),
        lambda: constant(True),
        lambda: linear(1, 0, 0),
        lambda: linear(1, 0, math.inf),
        lambda: exponential(1, 0.0),
        lambda: polynomial(1, 0, 3, power=0),
        lambda: step_decay(1, 0.5, epochs=-1),
        lambda: warmup(2, "cosine"),
        lambda: warmup(0, constant(1)),
    ],
)
def test_what_is_no_setting(make):
    with pytest.raises(ConfigError, match="finite number"):
        make()
