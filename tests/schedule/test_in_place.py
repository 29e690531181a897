"""What is overwritten, when, and that nobody notices.

`Mode(reuse=False)` shares no memory at all and is the oracle; shared values must come out equal bit
for bit after several calls.
"""

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.errors import CompilerError
from symnet.rewrite import optimise
from symnet.schedule import memory
from symnet.schedule.buffers import plan
from symnet.schedule.dataflow import Dataflow
from symnet.schedule.program import KernelStep, accesses

x, y = T.matrices("x", "y")
labels = T.lvector("labels")


def numbers(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape).astype("float32")


def weights(*shape, name=None):
    return symnet.shared(numbers(*shape), shape=shape, name=name)


def swapped():
    a, b = weights(4), weights(4)
    return [], [(a, b), (b, a)]


def swapped_after_an_operation():
    a, b = weights(4), weights(4)
    return [a + b], [(a, T.exp(b) + a), (b, a - b)]


def swapped_backwards():
    a, b = weights(4), weights(4)
    return [], [(a, b[::-1]), (b, a[::-1])]


def swapped_in_other_shapes():
    a, b = weights(4), weights(2, 2)
    return [], [(a, b.reshape((4,))), (b, a.reshape((2, 2)))]


def rotated_products():
    a, b, c = (weights(3, 3) for _ in range(3))
    return [], [(a, T.dot(b, c)), (b, T.dot(c, a)), (c, T.dot(a, b))]


def many_swaps():
    pairs = [(weights(3, 3), weights(3, 3)) for _ in range(20)]
    updates = [(a, T.dot(b, a)) for a, b in pairs] + [(b, T.dot(a, b)) for a, b in pairs]
    return [], updates


def product_with_itself():
    w = weights(3, 3)
    return [w.sum()], [(w, w - 0.1 * T.dot(w, w))]


def product_added_while_read_elsewhere():
    w = weights(4, 4)
    return [T.dot(x, w).sum(), w.T.sum(axis=0)], [(w, w - 0.1 * T.dot(x.T, x))]


def one_value_for_two():
    a, b = weights(4), weights(4)
    value = T.exp(a) * T.tanh(b)
    return [value, value], [(a, value), (b, value)]


def transposed():
    w = weights(4, 4)
    return [], [(w, w.T + 1)]


def less_its_row_means():
    w = weights(6, 5)
    return [], [(w, w - w.mean(axis=1, keepdims=True))]


def less_its_column_means():
    w = weights(6, 5)
    return [w.sum()], [(w, w - w.mean(axis=0) + w.max(axis=0))]


def by_its_norm():
    w, n = weights(60, 500), symnet.shared(np.float32(1))
    norm = T.sqrt(T.sqr(w).sum())
    return [norm], [(w, w / norm), (n, n + norm)]


def row_values_and_full_ones():
    w, v = weights(6, 5), weights(6)
    total = w.sum(axis=1)
    return [], [(v, v + total), (w, w * v.dimshuffle(0, "x") + total.dimshuffle(0, "x"))]


def regions_of_itself():
    w = weights(6)
    a = T.set_subtensor(w[:3], w[:3] * 2)
    b = T.inc_subtensor(a[1:4], w[1:4])
    return [], [(w, T.set_subtensor(b[::-2], 1.0))]


def a_part_from_itself():
    w = weights(6)
    return [], [(w, T.set_subtensor(w[1:4], T.exp(w[1:4]) + x[0, :3]))]


def shifted():
    w, v = weights(6), weights(6)
    return [], [
        (w, T.set_subtensor(w[1:], w[:-1])),
        (v, T.concatenate([v[3:], v[:3] + v[3:]])),
    ]


def scattered_from_itself():
    w, v = weights(6, 4), weights(6, 4)
    return [], [
        (w, T.inc_subtensor(w[labels], w[labels] * 2)),
        (v, T.inc_subtensor(v[labels], -0.1 * x)),
    ]


def behind_a_reshape():
    w, v = weights(6), weights(6)
    square = w.reshape((2, 3))
    return [square], [
        (w, (square * 2 + square.sum()).reshape((6,))),
        (v, (v.reshape((2, 3)).T + 1).reshape((6,))),
    ]


def from_each_other_and_an_input():
    a, b = weights(4), weights(4)
    return [a + x[0]], [(a, x[0]), (b, a)]


def broadcast():
    w, v = weights(5, 4), weights(4)
    return [], [(w, T.broadcast_to(v, (5, 4))), (v, w[0] + x[0])]


def scaled_by_shared_scalars():
    w, rate, decay = weights(4, 4), symnet.shared(np.float32(0.1)), symnet.shared(np.float32(0.9))
    new = decay * w - rate * T.dot(x.T, x)
    return [rate * 2], [(w, new), (rate, rate * w.sum()), (decay, decay * 0.5)]


def products_of_products():
    a = T.dot(x, x.T)
    return [T.dot(T.dot(a, a), a)], []


CASES = [
    swapped, swapped_after_an_operation, swapped_backwards, swapped_in_other_shapes,
    rotated_products, many_swaps, product_with_itself, product_added_while_read_elsewhere,
    one_value_for_two, transposed, less_its_row_means, less_its_column_means, by_its_norm,
    row_values_and_full_ones, regions_of_itself, a_part_from_itself, shifted,
    scattered_from_itself, behind_a_reshape, from_each_other_and_an_input, broadcast,
    scaled_by_shared_scalars, products_of_products,
]  # fmt: skip
GIVEN = {x: numbers(3, 4), labels: np.array([0, 0, 5])}


def run(case, mode):
    outputs, updates = case()
    f = symnet.function(list(GIVEN), outputs, updates=updates, mode=mode, on_unused_input="ignore")
    results = [f(*GIVEN.values()) for _ in range(3)]
    return [*(a for r in results for a in r), *(s.get_value() for s, _ in updates)]


@pytest.mark.parametrize("rewrite", ["full", "none"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.__name__)
def test_nobody_notices(case, rewrite):
    wanted = run(case, symnet.Mode(reuse=False, rewrite=rewrite))
    for mode in (symnet.Mode(rewrite=rewrite), symnet.Mode(rewrite=rewrite, fuse=False)):
        found = run(case, mode)
        for a, b in zip(found, wanted, strict=True):
            if mode.fuse:
                assert a.tobytes() == b.tobytes()
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    for a, b in zip(run(case, "reference"), wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def steps_and_buffers(outputs, updates, inputs=tuple(GIVEN)):
    """(steps, buffers) of a program with and without reuse."""
    counts = []
    for reuse in (True, False):
        program, _ = plan(inputs, outputs, updates, reuse=reuse)
        counts.append((len(program.steps), len(program.buffers)))
    return counts


def test_a_step_of_gradient_descent_needs_no_memory():
    w = weights(4, 4)
    rewritten = symnet.function([x], [], updates=[(w, w - 0.1 * T.dot(x.T, x))])
    assert len(rewritten.program.steps) == 1
    assert not rewritten.program.buffers
    (step,) = rewritten.program.steps
    assert (step.alpha_const, step.beta) == (pytest.approx(-0.1), 1)


def test_element_wise_values_take_over_dying_ones():
    a = T.dot(x, x.T)
    b = T.tanh(T.dot(a, a)) + 1
    c = T.dot(b, b)
    reused, apart = steps_and_buffers([c.sum()], [])
    assert reused[0] == apart[0]
    assert reused[1] < apart[1]


def test_swapping_saves_one_value_only():
    """One of the two is computed in place of the other after that has been saved."""
    a, b = weights(4, 4), weights(4, 4)
    square = T.tensor("float32", shape=(4, 4))
    updates = [(a, T.dot(square, b)), (b, T.dot(square, a))]
    (steps, buffers), (apart, _) = steps_and_buffers([], updates, [square])
    assert apart == 4
    assert (steps, buffers) == (3, 1)


def test_identity_copies_fall_away():
    w = weights(6, 4)
    updates = [(w, T.inc_subtensor(w[1:3], x[:2]))]
    (steps, buffers), (apart, _) = steps_and_buffers([], updates)
    assert (steps, buffers) == (1, 0)
    assert apart == 3


def test_what_can_fail_comes_before_what_is_overwritten():
    w, table = weights(4, 4), weights(6)
    outputs = [T.inc_subtensor(table[labels], 1.0).sum()]
    program, planner = plan(
        list(GIVEN), outputs, [(w, w * 2), (table, table - table[labels].sum())]
    )
    failing = [k for k, s in enumerate(program.steps) if isinstance(s, KernelStep) and s.checks]
    shared = {("object", planner.object_of[v]) for v in (w, table)}
    destroying = [
        k for k, s in enumerate(program.steps) if shared & set(accesses(s, program.kernels)[1])
    ]
    assert failing and destroying
    assert max(failing) < min(destroying)


def test_an_index_that_depends_on_the_new_value_delays_the_update():
    w, table = weights(4, 4), weights(6)
    new = w + T.dot(x.T, x)
    place = T.argmax(T.dot(new, new), axis=1)
    program, planner = plan(list(GIVEN), [table[place]], [(w, new)])
    *before, last = program.steps
    assert accesses(last, program.kernels)[1] == [("object", planner.object_of[w])]
    assert any(isinstance(s, KernelStep) and s.checks for s in before)


def test_plans_are_the_same_every_time():
    """Nothing depends on the addresses of variables, which differ from process to process."""
    texts = set()
    for _ in range(5):
        w = weights(4, 4)
        h = [T.tanh(T.dot(x, w) + k) for k in range(6)]
        total = T.dot(h[0] * h[1], w) + h[2] * h[3] - T.exp(h[4]) * h[5]
        texts.add(str(plan([x], [total, total.sum(axis=0)], [(w, w + T.dot(x.T, total))])[0]))
    assert len(texts) == 1


# ---- the checkers find what the planner must not do


def expect_refusal(*cases):
    refused = 0
    for case in cases:
        outputs, updates = case()
        rewritten, _ = optimise([*outputs, *(new for _, new in updates)])
        new = zip([s for s, _ in updates], rewritten[len(outputs) :])
        try:
            plan(list(GIVEN), rewritten[: len(outputs)], list(new))
        except CompilerError as error:
            assert "malformed" in str(error) or "reads" in str(error) or "holds" in str(error)
            refused += 1
    return refused


def test_overwriting_what_is_read_elsewhere_is_found(monkeypatch):
    monkeypatch.setattr(Dataflow, "reads_where_it_writes", lambda *args: True)
    assert expect_refusal(transposed) == 1
    assert expect_refusal(shifted) == 1


def test_overwriting_the_factor_of_a_product_is_found(monkeypatch):
    monkeypatch.setattr(Dataflow, "may_overwrite", lambda *args: True)
    assert expect_refusal(product_with_itself, shifted, transposed) == 3


def test_taking_over_memory_that_is_still_read_is_found(monkeypatch):
    def greedy(flow, order, fixed, reuse):
        """Every value goes into the first buffer."""
        found = memory.Memory(dict(fixed), [("float32", 100)], list(order))
        for values in flow.writes:
            for v in values:
                found.storage.setdefault(v, ("buffer", 0))
        return found

    monkeypatch.setattr("symnet.schedule.buffers.assign", greedy)
    assert expect_refusal(products_of_products) == 1


def test_a_wrong_order_is_found(monkeypatch):
    from symnet.schedule import dataflow

    monkeypatch.setattr(
        "symnet.schedule.buffers.order",
        lambda flow, wishes: dataflow.order(flow, wishes)[::-1],
    )
    assert expect_refusal(products_of_products, rotated_products, many_swaps) == 3


def test_of_each_pair_in_each_other_s_way_one_value_is_given_up():
    pairs = [(weights(2), weights(2)) for _ in range(300)]
    updates = [(a, T.exp(b)) for a, b in pairs] + [(b, T.tanh(a)) for a, b in pairs]
    program, _ = plan([], [], updates, fuse=False)
    assert len(program.buffers) == 300
    assert len(program.steps) == 900  # two values of each pair, and a copy
