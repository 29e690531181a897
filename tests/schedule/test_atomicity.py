"""After a failed call every shared variable holds, bit for bit, what it held (design D8a)."""

from dataclasses import dataclass

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.errors import IndexOutOfBoundsError, ShapeError
from symnet.graph import Op, clone_replace, toposort
from symnet.ops.shape import ShapeOf
from symnet.tensor.shared_randomstreams import RandomStreams
from symnet.testing import random_graph

MODES = ("compiled", "reference", symnet.Mode(reuse=False), symnet.Mode(rewrite="none"))
every_mode = pytest.mark.parametrize("mode", MODES, ids=str)

x = T.matrix("x")
y = T.lvector("y")
i = T.lscalar("i")


def bits(function):
    return {str(s): (s.storage.shape, s.storage.tobytes()) for s in function.get_shared()}


def assert_fails_cleanly(function, error, *args, **kwargs):
    before = bits(function)
    with pytest.raises(error) as caught:
        function(*args, **kwargs)
    assert bits(function) == before
    return caught


def filled(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@dataclass(frozen=True)
class Picky(Op):
    """A user's op, run in Python: the identity, but for arrays whose sum is negative."""

    def output_types(self, given):
        return [given.type]

    def infer_shape(self, node, shapes, context):
        return shapes

    def perform(self, node, inputs):
        if inputs[0].sum() < 0:
            raise ArithmeticError("negative sum")
        return [inputs[0]]  # the very array: it may be a shared variable's storage


def network():
    """A step with momentum, whose gradients are added into the weights by gemm; and its parts."""
    W = symnet.shared(filled(0, 5, 4), name="W")
    b = symnet.shared(filled(1, 4), name="b")
    moved = [symnet.shared(0 * p.get_value(), name=f"m{p}") for p in (W, b)]
    cost = T.nnet.categorical_crossentropy(T.nnet.softmax(T.dot(x, W) + b), y).mean()
    updates = []
    for p, m, g in zip((W, b), moved, symnet.grad(cost, [W, b])):
        step = 0.9 * m - 0.1 * g
        updates += [(m, step), (p, p + step)]
    return cost, updates


@every_mode
def test_label_behind_a_gemm_that_adds_into_a_weight(mode):
    cost, updates = network()
    train = symnet.function([x, y], cost, updates=updates, mode=mode)
    rows = filled(2, 6, 5)
    before = bits(train)
    for _ in range(3):
        train(rows, [0, 1, 2, 3, 0, 1])
        assert bits(train) != before
        assert_fails_cleanly(train, IndexOutOfBoundsError, rows, [0, 1, 2, 3, 0, 4])
        assert_fails_cleanly(train, ShapeError, rows, [0, 1])
        assert_fails_cleanly(train, ShapeError, rows[:, :4], [0, 1, 2, 3, 0, 1])
        before = bits(train)


@every_mode
def test_index_that_depends_on_the_updated_weight(mode):
    """The read that fails comes after everything else in the order of computation."""
    W = symnet.shared(filled(0, 5, 4), name="W")
    new = W + T.dot(x.T, x[:, :4])
    table = symnet.shared(np.arange(4, dtype="float32"), name="table")
    place = T.cast(T.argmax(T.dot(new.T, new).sum(axis=1)), "int64") + i
    f = symnet.function([x, i], table[place] * new.sum(), updates=[(W, new)], mode=mode)
    rows = filled(3, 7, 5)
    f(rows, 0)
    assert_fails_cleanly(f, IndexOutOfBoundsError, rows, 40)
    g = symnet.function(
        [x, y],
        [],
        updates=[(W, new), (table, T.inc_subtensor(table[y], new[0, :1].sum()))],
        mode=mode,
    )
    g(rows, [0, 3])
    assert_fails_cleanly(g, IndexOutOfBoundsError, rows, [0, 4])
    assert_fails_cleanly(g, IndexOutOfBoundsError, rows, [-5])


@every_mode
def test_random_streams_do_not_advance(mode):
    def draws(failures):
        u = RandomStreams(7).normal((3,))
        f = symnet.function([y], u + T.arange(4)[y].sum(), mode=mode)
        drawn = []
        for k in range(6):
            drawn.append(f([0]))
            if k in failures:
                assert_fails_cleanly(f, IndexOutOfBoundsError, [4])
        return np.array(drawn)

    plain = draws(())
    assert len(np.unique(plain)) == plain.size
    assert np.array_equal(plain, draws((0, 2, 3)))


@every_mode
def test_ops_in_python(mode):
    """They run between native segments; shared variables are written after the last one."""
    W = symnet.shared(filled(0, 3, 4), name="W")
    count = symnet.shared(0, name="count")
    seen = Picky()(T.dot(x, W))
    late = Picky()(seen.sum(axis=0) + 1)
    updates = [(W, W + late * 2), (count, count + 1)]
    f = symnet.function([x], [seen, late], updates=updates, mode=mode)
    good = np.sign(W.get_value().sum(axis=1))[None, :].astype("float32")
    before = bits(f)
    f(good)
    assert bits(f) != before
    message = assert_fails_cleanly(f, ArithmeticError, -10 * good)
    assert any("test_atomicity.py" in note for note in message.value.__notes__)
    assert_fails_cleanly(f, ShapeError, good[:, :2])


@every_mode
def test_the_storage_itself_handed_through_python(mode):
    start = np.abs(filled(0, 3, 4))
    W = symnet.shared(start.copy(), name="W")
    M = symnet.shared(np.ones((3, 4), "float32"), name="M")
    f = symnet.function([], Picky()(W), updates=[(W, W + Picky()(M)), (M, Picky()(W))], mode=mode)
    out = f()
    assert np.array_equal(out, start) and np.array_equal(M.get_value(), start)
    assert np.array_equal(W.get_value(), start + 1)
    out[:] = -1
    assert np.array_equal(W.get_value(), start + 1)


@every_mode
def test_map_keeps_the_completed_calls(mode):
    count = symnet.shared(np.zeros(3, "int64"), name="count")
    u = RandomStreams(7).uniform((2,))
    value = T.arange(5)[i]
    f = symnet.function([i], [value, u], updates=[(count, count + value)], mode=mode)
    with pytest.raises(IndexOutOfBoundsError):
        f.map([1, 2, 3, 5, 4])
    assert np.array_equal(count.get_value(), [6, 6, 6])
    values, drawn = f.map([4, 4])
    assert np.array_equal(values, [4, 4]) and np.array_equal(count.get_value(), [14, 14, 14])
    again = symnet.function([], RandomStreams(7).uniform((2,)), mode=mode)
    expected = np.array([again() for _ in range(5)])
    assert np.array_equal(drawn, expected[3:])  # the failed call drew nothing


@every_mode
def test_growing_shared_variable(mode):
    c = symnet.shared(np.zeros(1, "float32"), name="c")
    n = symnet.shared(0, name="n")
    longer = T.concatenate([c, T.arange(4)[y].astype("float32")])
    f = symnet.function([y], c.sum(), updates=[(c, longer), (n, n + 1)], mode=mode)
    for size in range(2, 5):
        f([size - 1])
        assert c.get_value().shape == (size,)
        assert_fails_cleanly(f, IndexOutOfBoundsError, [4])
    assert np.array_equal(c.get_value(), [0, 1, 2, 3]) and n.get_value() == 3


def read_for_values(roots):
    """The variables that `roots` need for more than their sizes."""
    found, pending = set(), list(roots)
    while pending:
        v = pending.pop()
        if v not in found:
            found.add(v)
            if v.owner is not None and not isinstance(v.owner.op, ShapeOf):
                pending.extend(v.owner.inputs)
    return found


def poisoned(seed):
    """A random program with updates and a guard, zeros[index], added to a random variable of it.

    Returns (function, arguments but the index), or None where nothing that is needed can take it.
    """
    rng = np.random.default_rng(seed)
    program = random_graph(seed, 15)
    built = program.build()
    index = T.lvector("index")
    zeros = symnet.shared(np.zeros(3, "float32"), name="zeros")
    momentum = symnet.shared(np.zeros(2, "float32"), name="momentum")
    draw = RandomStreams(seed).normal((2,))
    roots = [*built.outputs, *(new for _, new in built.updates), momentum * 0.9 + draw]
    needed = read_for_values(roots)
    places = [
        v
        for node in toposort(roots)
        for v in node.outputs
        if v in needed and (v.type.dtype == "float32" or (v.type.dtype == "int64" and v.type.ndim))
    ]
    place = places[int(rng.integers(len(places)))]
    guarded = place + zeros[index].sum().astype(place.type.dtype)
    if guarded.type != place.type:
        return None
    found = clone_replace(roots, {place: guarded})
    count = len(built.outputs)
    targets = [*(s for s, _ in built.updates), momentum]
    f = symnet.function(
        [*built.inputs, index],
        found[:count],
        updates=list(zip(targets, found[count:])),
        on_unused_input="ignore",
    )
    if zeros not in f.get_shared():
        return None
    values = program.input_values()
    return f, [values[v.name] for v in built.inputs]


@pytest.mark.parametrize("seeds", [range(k, k + 20) for k in range(0, 120, 20)], ids=str)
def test_random_failing_calls(seeds):
    failed = 0
    for seed in seeds:
        made = poisoned(seed)
        if made is None:
            continue
        f, args = made
        bad = [3, -4, 2**40][seed % 3]
        assert_fails_cleanly(f, IndexOutOfBoundsError, *args, [0, bad])  # the first call
        before = bits(f)
        f(*args, [1, 2])
        assert bits(f) != before  # the momentum moved
        assert_fails_cleanly(f, IndexOutOfBoundsError, *args, [bad, 1, 1])  # other sizes
        f(*args, [1, 2, 0])
        assert_fails_cleanly(f, IndexOutOfBoundsError, *args, [2, bad, 1])  # sizes as before
        failed += 3
    assert failed >= 30
