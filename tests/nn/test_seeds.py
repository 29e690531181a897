import threading

import numpy as np
import pytest

from symnet import nn
from symnet.errors import ConfigError
from symnet.nn.seeds import generator, number


def draws(count):
    return [generator().integers(2**62) for _ in range(count)]


def test_a_seed_fixes_everything_drawn_after_it():
    nn.set_seed(7)
    first = draws(4)
    nn.set_seed(7)
    assert draws(4) == first
    nn.set_seed(8)
    assert draws(4) != first
    assert len(set(first)) == 4


def test_a_stream_does_not_depend_on_how_much_others_draw():
    nn.set_seed(3)
    generator().normal(size=1000)
    second = generator().integers(2**62)
    nn.set_seed(3)
    generator()
    assert generator().integers(2**62) == second


def test_named_seeds_and_generators():
    assert generator(5).integers(2**62) == np.random.default_rng(5).integers(2**62)
    assert generator(np.int64(5)).integers(2**62) == generator(5).integers(2**62)
    mine = np.random.default_rng(1)
    assert generator(mine) is mine
    nn.set_seed(3)
    first = draws(2)
    nn.set_seed(3)
    generator(1)  # takes no child of the global seed
    assert draws(2) == first


def test_threads_get_different_streams():
    nn.set_seed(0)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.extend(draws(50))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    nn.set_seed(0)
    assert sorted(found) == sorted(draws(200))


@pytest.mark.parametrize("seed", [-1, 1.0, True, "0", [1]])
def test_what_is_no_seed(seed):
    with pytest.raises(ConfigError, match="integer"):
        nn.set_seed(seed)
    with pytest.raises(ConfigError, match="integer"):
        generator(seed)
    with pytest.raises(ConfigError):
        nn.set_seed(None)


def test_seeds_as_numbers():
    assert type(number(np.uint8(3))) is int and number(np.uint8(3)) == 3
    a, b = (np.random.default_rng(0) for _ in range(2))
    drawn = number(a), number(a)
    assert drawn == (number(b), number(b)) and drawn[0] != drawn[1]
    with pytest.raises(ConfigError, match="an integer, at least 0"):
        number(-1)
