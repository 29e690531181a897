"""Draws against the published vectors of Philox, exact integers, the compiled definitions, and the
distributions they are to have. Seeds are fixed, so the statistical tests cannot fail by chance.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symnet.tensor  # noqa: F401
from symnet.autodiff import grad
from symnet.backends.reference import evaluate
from symnet.errors import IndexOutOfBoundsError, ShapeError, TypeMismatchError
from symnet.function import function
from symnet.graph import TensorType
from symnet.kernels.scalar import evaluate as compiled
from symnet.ops.conversion import as_variable
from symnet.ops.generate import REFERENCES
from symnet.ops.random import Permutation, RandomStreams, philox
from symnet.ops.reduction import sum_
from symnet.ops.shape import shape

MASK = 2**32 - 1


def value(x, **more):
    return evaluate([x], more.get("values"))[0]


def advance(streams):
    """What a call of a compiled function does to the state."""
    ((state, update),) = streams.updates()
    state.set_value(value(update))


# ---- bits


@pytest.mark.parametrize(
    "key, counter, words",
    [  # known-answer vectors published with Random123
        ((0, 0), (0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((MASK,) * 2, (MASK,) * 4, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0xA4093822, 0x299F31D0),
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_known_answers(key, counter, words):
    assert tuple(int(w) for w in philox(key, counter)) == words


def words_of(place, step, seed, stream):
    """From the definition in the module's docstring, for one element."""
    return philox((seed, stream), (place & MASK, place >> 32, step & MASK, step >> 32))


@given(st.integers(0, MASK), st.integers(0, 2**63 - 1))
def test_elements_depend_on_seed_stream_step_and_place(seed, step):
    streams = RandomStreams(seed)
    streams.state.set_value(np.array([seed, step]))
    streams.uniform()  # stream 0
    u = value(streams.uniform((2, 3), dtype="float32"))
    for place in range(6):
        word = int(words_of(place, step, seed, 1)[0])
        assert u.ravel()[place] == (word >> 8) * 2.0**-24


# ---- the compiled definitions are the same functions


@given(st.integers(0, MASK))
def test_references_agree_with_the_compiled_definitions(seed):
    sizes, state = (64,), (seed, 5, 2**33 + 1)
    place = np.arange(64, dtype="uint32")
    counter = [place, *(np.full_like(place, k) for k in (0, 1, 2))]
    keys = [np.full_like(place, k) for k in (seed, 5)]
    words = [compiled.evaluate(f"philox_word{k}", *keys, *counter) for k in range(4)]

    np.testing.assert_array_equal(
        REFERENCES["uniform_float32"](sizes, *state),
        compiled.evaluate("uniform_from_bits_float32", words[0]),
    )
    np.testing.assert_array_equal(
        REFERENCES["uniform_float64"](sizes, *state),
        compiled.evaluate("uniform_from_bits_float64", *words[:2]),
    )
    for n in (1, 10, 2**31 + 1, 2**62 + 12345):
        np.testing.assert_array_equal(
            REFERENCES["integers"](sizes, *state, np.int64(n)),
            compiled.evaluate("bounded_from_bits", *words[:2], np.full(64, n)),
        )
    for dtype, count in (("float32", 2), ("float64", 4)):
        reference = REFERENCES[f"normal_{dtype}"](sizes, *state)
        ours = compiled.evaluate(f"normal_from_bits_{dtype}", *words[:count])
        np.testing.assert_array_max_ulp(reference, ours, 4)


# ---- distributions


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform(dtype):
    u = value(RandomStreams(1).uniform((400, 500), dtype=dtype))
    assert u.dtype == dtype and 0 <= u.min() < 1e-4 and 1 - 1e-4 < u.max() < 1
    counts = np.histogram(u, 50, (0, 1))[0]
    assert np.sum((counts - 4000) ** 2 / 4000) < 90  # chi-squared, 49 degrees: 0.03%
    neighbours = np.corrcoef(u[:, 1:].ravel(), u[:, :-1].ravel())[0, 1]
    assert abs(neighbours) < 0.01


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal(dtype):
    z = value(RandomStreams(2).normal((400, 500), dtype=dtype)).astype("float64")
    error = 1 / np.sqrt(z.size)
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(np.mean(z**power) - moment) < 4 * np.sqrt(spread) * error
    assert abs(np.mean(np.abs(z) < 1) - 0.682689) < 4 * 0.47 * error


def test_parameters():
    streams = RandomStreams(3)
    u = value(streams.uniform((1000,), low=-2, high=3.0))
    assert u.dtype == "float32" and -2 <= u.min() < -1.9 and 2.9 < u.max() <= 3
    z = value(streams.normal((10000,), avg=5.0, std=0.1))
    assert abs(z.mean() - 5) < 0.01 and abs(z.std() - 0.1) < 0.01
    mean = as_variable(np.array([0.0, 100.0]))
    spread = value(streams.normal((1000, 2), avg=mean, std=1.0, dtype="float64"))
    np.testing.assert_allclose(spread.mean(0), [0, 100], atol=0.2)
    assert value(streams.normal(avg=mean)).shape == (2,)
    assert value(streams.uniform()).shape == ()


def test_bernoulli_and_binomial():
    streams = RandomStreams(4)
    b = value(streams.bernoulli((10000,), 0.3))
    assert b.dtype == "int64" and set(b) == {0, 1} and abs(b.mean() - 0.3) < 0.02
    rates = as_variable(np.array([0.0, 0.5, 1.0], "float32"))
    by_rate = value(streams.bernoulli((5000, 3), rates, dtype="bool")).mean(0)
    assert by_rate[0] == 0 and by_rate[2] == 1 and abs(by_rate[1] - 0.5) < 0.03
    k = value(streams.binomial((10000,), n=5, p=0.3, dtype="float32"))
    assert k.dtype == "float32" and k.max() == 5 and abs(k.mean() - 1.5) < 0.05
    assert value(streams.binomial(p=rates)).shape == (3,)
    with pytest.raises(TypeMismatchError, match="constant"):
        streams.binomial((2,), n=TensorType("int64")())


def test_whole_numbers():
    streams = RandomStreams(5)
    i = value(streams.randint((20000,), -3, 4))
    assert i.dtype == "int64" and set(i) == set(range(-3, 4))
    assert np.bincount(i + 3).min() > 2600
    assert set(value(streams.randint((500,), 3, dtype="int8"))) == {0, 1, 2}
    assert set(value(streams.random_integers((500,), 1, 3))) == {1, 2, 3}
    n = TensorType("int64")("n")
    assert value(streams.randint((50,), n), values={n: 1}).max() == 0
    with pytest.raises(ShapeError, match="between"):
        streams.randint((2,), 3, 3)


# ---- permutations


@given(st.integers(0, 40), st.integers(0, MASK))
def test_permutations_follow_the_stated_shuffle(n, seed):
    streams = RandomStreams(seed)
    order = list(range(n))
    for i in range(1, n):
        high, low, _, _ = words_of(i, 0, seed, 0)
        j = (((int(high) << 32) | int(low)) * (i + 1)) >> 64
        order[i], order[j] = order[j], order[i]
    assert value(streams.permutation(n=n)).tolist() == order


def test_all_orders_are_equally_likely():
    streams = RandomStreams(6)
    permutation = streams.permutation(n=3)
    counts = {}
    for _ in range(3000):
        key = tuple(value(permutation))
        counts[key] = counts.get(key, 0) + 1
        advance(streams)
    assert len(counts) == 6 and sum((c - 500) ** 2 / 500 for c in counts.values()) < 21  # 0.1%


def test_permutation_sizes():
    streams = RandomStreams(7)
    assert streams.permutation(n=5).type == TensorType("int64", (5,))
    n = TensorType("int64")("n")
    assert sorted(value(streams.permutation(n=n), values={n: 7})) == list(range(7))
    with pytest.raises(ShapeError):
        value(streams.permutation(n=n), values={n: -1})
    with pytest.raises(ShapeError):
        streams.permutation(n=-1)
    with pytest.raises(TypeMismatchError):
        Permutation()(as_variable(3))


def test_several_permutations_and_shuffled_rows():
    streams = RandomStreams(7)
    orders = value(streams.permutation((2, 3), n=20)).reshape(6, 20)
    assert len({tuple(order) for order in orders}) == 6
    np.testing.assert_array_equal(np.sort(orders), np.tile(np.arange(20), (6, 1)))
    assert value(streams.permutation((0,), n=4)).shape == (0, 4)
    x = np.arange(40).reshape(2, 20)
    for rows in (x, x[0], x.reshape(1, 2, 20)):
        shuffled = value(streams.shuffle_row_elements(rows))
        assert not np.array_equal(shuffled, rows)
        np.testing.assert_array_equal(np.sort(shuffled), rows)
    with pytest.raises(TypeMismatchError, match="not known"):
        streams.permutation(TensorType("int64")("k"), n=3)


# ---- classes


def test_classes_come_as_often_as_they_should():
    p = np.array([0.1, 0.0, 0.6, 0.3])
    streams = RandomStreams(3)
    drawn = value(streams.multinomial((4000,), pvals=p))
    assert set(drawn.sum(1)) == {1} and drawn[:, 1].sum() == 0
    chosen = value(streams.choice((4000,), a=[5.0, 6.0, 7.0, 8.0], p=p, dtype="float64"))
    for counts in (drawn.sum(0), np.array([(chosen == a).sum() for a in (5, 6, 7, 8)])):
        some = p > 0
        assert ((counts[some] - 4000 * p[some]) ** 2 / (4000 * p[some])).sum() < 13.8  # 0.1%
    even = np.bincount(value(streams.choice((4000,), a=4)))
    assert ((even - 1000) ** 2 / 1000).sum() < 16.3


def test_forms_of_multinomial_and_choice():
    streams = RandomStreams(4)
    p = TensorType("float32", (None, None))("p")
    rows = np.eye(3, dtype="float32")[[2, 0]]
    one = function([p], streams.multinomial(pvals=p, dtype="float32"))
    np.testing.assert_array_equal(one(rows), rows)  # nothing else is possible
    assert (value(streams.multinomial((5, 2), n=7, pvals=p), values={p: rows}) == 7 * rows).all()
    assert sorted(value(streams.choice(5, a=5, replace=False))) == [0, 1, 2, 3, 4]
    assert value(streams.choice(a=5)).shape == ()
    with pytest.raises(IndexOutOfBoundsError):
        value(streams.choice(6, a=5, replace=False))
    for build in (
        lambda: streams.multinomial(n=TensorType("int64")("n")),
        lambda: streams.multinomial(pvals=0.5),
        lambda: streams.multinomial(3, pvals=np.ones((2, 2, 2))),
        lambda: streams.choice(3, a=rows),
        lambda: streams.choice(2, a=3, p=[0.2, 0.3, 0.5], replace=False),
    ):
        with pytest.raises(TypeMismatchError):
            build()


# ---- streams


def test_same_seed_same_numbers_another_seed_others():
    def draws(seed):
        streams = RandomStreams(seed)
        return [value(streams.uniform((3,))), value(streams.normal((3,)))]

    np.testing.assert_array_equal(draws(1), draws(1))
    assert not np.any(np.array(draws(1)) == np.array(draws(2)))


def test_every_draw_has_a_stream_of_its_own_and_every_step_new_numbers():
    streams = RandomStreams(1)
    draws = [streams.uniform((4,)) for _ in range(3)]
    seen = []
    for _ in range(3):
        seen.extend(value(d) for d in draws)
        np.testing.assert_array_equal(value(draws[0]), seen[-3])  # without an update nothing moves
        advance(streams)
    assert len(np.unique(np.concatenate(seen))) == 36
    streams.seed(1)
    np.testing.assert_array_equal(value(draws[0]), seen[0])


def test_seeds():
    assert RandomStreams(2**32 - 1).state.get_value().tolist() == [2**32 - 1, 0]
    hashed = [RandomStreams(s).state.get_value()[0] for s in (2**32, -1, 1, 2**70, -(2**70))]
    assert len(set(hashed)) == 5 and all(0 <= h < 2**32 for h in hashed)
    assert RandomStreams().state.get_value()[0] != RandomStreams().state.get_value()[0]
    assert RandomStreams(np.int64(5)).state.get_value()[0] == 5
    for bad in (1.5, "1", True):
        with pytest.raises(TypeMismatchError):
            RandomStreams(bad)


def test_sizes_in_all_forms():
    streams = RandomStreams(1)
    x = TensorType("float64", (None, 2))("x")
    assert value(streams.uniform(shape(x)), values={x: np.zeros((3, 2))}).shape == (3, 2)
    sizes = TensorType("int64", (None,))("sizes")
    drawn = streams.normal(sizes, ndim=2)
    assert value(drawn, values={sizes: [2, 0]}).shape == (2, 0)
    assert value(streams.uniform(4)).shape == (4,)
    with pytest.raises(TypeMismatchError, match="do not broadcast"):
        streams.uniform((2,), low=x)
    with pytest.raises(TypeMismatchError, match="float"):
        streams.uniform((2,), dtype="int64")


def test_gradients_flow_to_the_parameters_only():
    streams = RandomStreams(8)
    scale = TensorType("float64")("scale")
    drawn = streams.normal((5,), 1.0, scale, dtype="float64")
    slope = grad(sum_(drawn), scale)
    z, s = evaluate([drawn, slope], {scale: 2.0})
    np.testing.assert_allclose(s, np.sum(z - 1) / 2)
