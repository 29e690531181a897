"""The permutation step against its definition, and what makes it random."""

import ctypes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symnet
from symnet.backends.cpu.compile import native_function
from symnet.kernels import permutation
from symnet.ops.random import Permutation, RandomStreams


@pytest.fixture(scope="module")
def step():
    address = native_function(permutation.source(), "shuffle")
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)(address)


def run(step, n, seed, stream, when, by_address=()):
    """The step's result; the words named in `by_address` are passed as addresses."""
    out = np.full(n + 2, -7, np.int64)
    args = np.zeros(permutation.WORDS, np.int64)
    args[permutation.OUT], args[permutation.N] = out.ctypes.data + 8, n
    cells = np.array([seed, stream, when], np.int64)
    for k, word in enumerate((permutation.SEED, permutation.STREAM, permutation.STEP)):
        args[word] = cells.ctypes.data + 8 * k if word in by_address else cells[k]
        args[word + 1] = word in by_address
    step(args.ctypes.data, 0, 1, 0)
    assert out[0] == out[-1] == -7
    return out[1:-1]


def reference(n, seed, stream, when):
    inputs = [np.array(v, "int64") for v in (n, seed, stream, when)]
    return Permutation().perform(None, inputs)[0]


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(0, 70),
    seed=st.integers(0, 2**32 - 1),
    stream=st.integers(0, 2**32 - 1),
    when=st.integers(0, 2**63 - 1),
)
def test_agrees_with_the_reference(step, n, seed, stream, when):
    found = run(step, n, seed, stream, when)
    assert found.tolist() == reference(n, seed, stream, when).tolist()
    assert sorted(found) == list(range(n))


def test_words_by_address(step):
    wanted = run(step, 20, 3, 4, 5)
    for word in (permutation.SEED, permutation.STREAM, permutation.STEP):
        assert run(step, 20, 3, 4, 5, by_address={word}).tolist() == wanted.tolist()


def test_every_word_matters(step):
    base = run(step, 40, 1, 2, 3).tolist()
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4), (1, 2, 3 + 2**32)):
        assert run(step, 40, *other).tolist() != base


def test_all_orders_are_equally_likely(step):
    """24 orders of four elements over 24,000 steps: chi-squared below its 0.9999 quantile."""
    counts = {}
    for when in range(24_000):
        order = tuple(run(step, 4, 7, 0, when))
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24
    assert sum((c - 1000) ** 2 / 1000 for c in counts.values()) < 62.4


@pytest.mark.parametrize("mode", [symnet.Mode(), symnet.Mode(rewrite="none"), "reference"], ids=str)
def test_a_compiled_function_draws_anew_each_call(mode):
    order = RandomStreams(9).permutation(n=12)
    f = symnet.function([], [order, order[::-1]], mode=mode)
    first, back = f()
    second, _ = f()
    assert first.tolist() == back[::-1].tolist() == reference(12, 9, 0, 0).tolist()
    assert second.tolist() == reference(12, 9, 0, 1).tolist()
