"""Pickles and deep copies of variables: any length, identities, names, tags, values."""

import copy
import itertools
import pickle
from dataclasses import dataclass

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.graph import Bundle, Op, toposort
from symnet.ops.conversion import as_variable

WAYS = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "protocol 0": lambda value: pickle.loads(pickle.dumps(value, 0)),
    "pickle in Python": lambda value: pickle.loads(pickle._dumps(value)),
    "deepcopy": copy.deepcopy,
}


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def way(request):
    return request.param


def test_a_long_chain(way):
    out = x = T.scalar("x")
    for _ in range(20_000):
        out = T.sin(out)
    again = way(out)
    assert again is not out and len(toposort([again])) == 20_000
    node = again.owner
    while node is not None:
        (last,) = node.inputs
        node = last.owner
    assert last.name == "x" and last is not x and last.type is x.type


def test_identities_names_and_tags(way):
    x = T.matrix("x")
    W = symnet.shared(np.ones((2, 2), "float32"), name="W")
    h = T.tanh(T.dot(x, W))
    h.name = "h"
    h.tag.itself, h.tag.note = h, "hidden"
    cost = (h * h).sum()
    x2, h2, cost2, W2 = way([x, h, cost, W])
    assert h2.name == "h" and h2.tag.note == "hidden" and h2.tag.itself is h2
    assert str(h2.owner.origin) == str(h.owner.origin)
    assert set(symnet.graph.leaves([cost2])) >= {x2, W2}
    value = np.float32([[0.1, -0.2]])
    gradient = symnet.function([x2], symnet.grad(cost2, h2))
    np.testing.assert_allclose(gradient(value), 2 * np.tanh(value @ W.get_value()), rtol=1e-5)
    W2.set_value(np.zeros((2, 2), "float32"))
    assert cost2.eval({x2: value}) == 0 and cost.eval({x: value}) > 0


def test_unnamed_outputs_of_a_node_keep_their_notes(way):
    x = T.vector("x")
    first, second = T.split(x, [1, 2], 2, axis=0)
    second.name = "tail"
    assert way(first.sum()).owner.inputs[0].owner.outputs[0].name is None
    assert way([first, second])[1].name == "tail"


def test_constants_stay_read_only(way):
    again = way(T.vector() * np.float32([1, 2, 3]))
    (constant,) = (v for v in again.owner.inputs if v.owner is None and hasattr(v, "data"))
    with pytest.raises(ValueError, match="read-only"):
        constant.data[0] = 5


def test_a_default_update_that_leads_back(way):
    state = symnet.shared(np.float32(1), name="state")
    out = state
    for _ in range(2000):
        out = out * 0.5 + 0.5
    state.default_update = out
    again = way(out + 1)
    (state2,) = symnet.graph.shared_inputs([again])
    assert again.owner.inputs[0] is state2.default_update
    assert symnet.graph.shared_inputs([state2.default_update]) == [state2]


def test_eval_keeps_nothing_in_a_pickle():
    y = T.scalar("x") * 2
    before = pickle.dumps(y)
    assert y.eval({"x": 3}) == 6
    assert len(pickle.dumps(y)) < len(before) + 200
    assert pickle.loads(pickle.dumps(y)).eval({"x": 3}) == 6


def test_after_a_failure_the_next_one_is_whole():
    @dataclass(frozen=True)
    class Local(Op):  # a local class cannot be pickled
        def output_types(self, x):
            return [x.type]

    out = x = T.scalar()
    for _ in range(3000):
        out = T.sin(out)
    for bad in (Local()(out), T.sin(Local()(out))):
        with pytest.raises((AttributeError, pickle.PicklingError)):
            pickle.dumps(bad)
    assert len(toposort([pickle.loads(pickle.dumps(out))])) == 3000
    assert len(toposort([copy.deepcopy(out)])) == 3000 and x.owner is None


def test_bundles_are_read_back_as_lists(way):
    x = T.scalar("x")
    chain = [as_variable(x)]
    for _ in range(500):
        chain.append(T.sin(chain[-1]))
    again = way(Bundle(chain))
    assert isinstance(again, list) and len(again) == 501
    assert all(b.owner.inputs[0] is a for a, b in itertools.pairwise(again))
    # a walk for the bundle, not one for each of its variables
    assert len(pickle.dumps(Bundle(chain))) < 3 * len(pickle.dumps(chain[-1]))
