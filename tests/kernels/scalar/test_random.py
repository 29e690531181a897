"""Philox and the draws made of it: known answers, equal bits everywhere, right distributions."""

import mpmath
import numpy as np
import pytest
import scipy.stats
from mpmath import mp

from symnet.kernels.scalar import FUNCTIONS
from symnet.kernels.scalar.accuracy import ULP_BOUNDS
from symnet.kernels.scalar.evaluate import evaluate

# Random123 1.14, kat_vectors, philox4x32 10: counter, key, output
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip
WORDS = tuple(f"philox_word{i}" for i in range(4))


def hexadecimal(text):
    return [np.array([int(word, 16)], np.uint32) for word in text.split()]


@pytest.mark.parametrize("counter, key, output", KNOWN)
def test_known_answers(native, counter, key, output):
    arguments = hexadecimal(key) + hexadecimal(counter)
    for name, got, expected in zip(WORDS, native(WORDS, *arguments).values(), hexadecimal(output)):
        assert got == expected
        assert evaluate(name, *arguments) == expected


@pytest.fixture(scope="module")
def words(native):
    """Four arrays of random words, the extremes among them."""
    n = 1 << 16
    zero = np.zeros(n, np.uint32)
    made = native(WORDS, zero + 7, zero + 9, np.arange(n, dtype=np.uint32), zero, zero, zero)
    ends = np.array(np.meshgrid(*[[0, 1, 2**29, 2**31, 2**32 - 1]] * 4), np.uint32).reshape(4, -1)
    return [np.concatenate([made[name], end]) for name, end in zip(WORDS, ends)]


@pytest.mark.parametrize("name", [n for n, f in FUNCTIONS.items() if f.strict])
def test_draws_have_the_same_bits_in_compiled_code_and_numpy(native, words, name):
    arguments = words[: FUNCTIONS[name].arity]
    assert np.array_equal(native(name, *arguments), evaluate(name, *arguments))


def test_uniforms_are_the_words_leading_bits(native, words):
    single = native("uniform_from_bits_float32", words[0])
    assert np.array_equal(single.astype(np.float64) * 2**24, words[0] >> 8)
    double = native("uniform_from_bits_float64", *words[:2])
    high, low = (w.astype(np.uint64) for w in words[:2])
    bits = ((high >> np.uint64(5)) << np.uint64(26)) | (low >> np.uint64(6))
    assert np.array_equal((double * 2.0**53).astype(np.uint64), bits)
    assert single.max() < 1
    assert double.max() < 1


@pytest.mark.parametrize("name", ["normal_from_bits_float32", "normal_from_bits_float64"])
def test_normals_are_accurate(native, words, name):
    short = [w[-900:] for w in words[: FUNCTIONS[name].arity]]
    got = native(name, *short)
    with mpmath.workprec(120):
        for g, *w in zip(got.tolist(), *(v.tolist() for v in short)):
            if name.endswith("32"):
                radius = mp.mpf(float(np.float32(w[0]) + np.float32(0.5))) / 2**32
                turn = mp.mpf(w[1]) / 2**32
            else:
                radius = mp.mpf((w[0] >> 5) * 2**26 + (w[1] >> 6) + 1) / 2**53
                turn = (w[2] + mp.mpf(w[3] >> 1) / 2**31) / mp.mpf(2) ** 32
            exact = mp.sqrt(-2 * mp.log(radius)) * mp.cospi(2 * turn)
            unit = np.spacing(got.dtype.type(max(abs(float(exact)), 1e-30)))
            # exactly pi/2 and 3 pi/2 give exactly zero
            assert abs(g - exact) <= ULP_BOUNDS[name][got.dtype.name] * mp.mpf(float(unit))


def test_distributions(native, words):
    n = 1 << 16
    draws = [w[:n] for w in words]
    for name, law in (("uniform", "uniform"), ("normal", "norm")):
        for dtype in ("float32", "float64"):
            name_of = f"{name}_from_bits_{dtype}"
            sample = native(name_of, *draws[: FUNCTIONS[name_of].arity]).astype(np.float64)
            assert scipy.stats.kstest(sample, law).pvalue > 1e-3


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_bounded_integers_are_the_high_word_of_the_product(native, words, dtype):
    high, low = words[:2]
    for n in (1, 2, 3, 10, 2**31, 2**32 + 5, 2**63 - 1):
        bound = np.full(high.shape, n, dtype)
        got = native("bounded_from_bits", high, low, bound)
        expected = [((h << 32 | m) * n) >> 64 for h, m in zip(high.tolist(), low.tolist())]
        assert got.tolist() == expected
        assert np.array_equal(evaluate("bounded_from_bits", high, low, bound), got)
