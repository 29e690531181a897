"""Borrowed memory belongs to one shared variable at a time."""

import gc

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

import symnet
from symnet.graph.storage import Owners

ACTIONS = st.tuples(
    st.sampled_from(["make", "set", "drop"]), st.integers(0, 40), st.integers(0, 12), st.integers(0)
)


@given(st.lists(ACTIONS, max_size=40))
@example([("make", 0, 1, 0), ("set", 0, 0, 0), ("make", 0, 1, 0)])
def test_no_two_variables_in_one_memory(actions):
    memory = np.zeros(40, "float32")
    alive = []
    for action, start, size, which in actions:
        part = memory[start : start + size]
        target = alive[which % len(alive)] if alive else None
        if action == "drop" and alive:
            alive.remove(target)
            continue
        others = [v for v in alive if action != "set" or v is not target]
        free = not any(np.shares_memory(v.storage, part) for v in others)
        own = False  # a value that may not be borrowed is copied into what is there
        if action == "set" and target is not None:
            own = np.shares_memory(target.storage, part)
            target.set_value(part, borrow=True)
        else:
            target = symnet.shared(part, borrow=True)
            alive.append(target)
        if free or not own:
            assert np.shares_memory(target.storage, part) == (free and part.size > 0)
        assert not any(np.shares_memory(target.storage, v.storage) for v in others)


class Holder:
    def __init__(self, host):
        self.host = host


def test_owners_that_are_gone_are_forgotten():
    owners = Owners()
    arrays = [np.zeros(100) for _ in range(2000)]
    for array in arrays:
        assert owners.enter(Holder(array), array)  # freed at once
    assert len(owners._starts) < 600


def test_many_owners():
    owners = Owners()
    memory = np.zeros(20_000)
    holders = [Holder(memory[k : k + 1]) for k in np.random.default_rng(0).permutation(20_000)]
    assert all(owners.enter(h, h.host) for h in holders)
    assert not any(owners.enter(Holder(h.host), h.host) for h in holders[:100])
    assert all(owners.enter(h, h.host) for h in holders[:100])
    assert not owners.enter(Holder(memory), memory)
    del holders
    gc.collect()
    assert owners.enter(Holder(memory), memory)
