"""What can be moved in packs, fetched ahead, and kept."""

import symnet
import symnet.tensor as T
from symnet.backends.gpu.packs import fetched, kept, kept_bytes, packs
from symnet.backends.gpu.tiles import is_crossed, tiles_of
from symnet.rewrite import optimise
from symnet.schedule.buffers import plan

x, y = T.matrices("x", "y")
h = T.tensor("float16", (None, None), name="h")
w = T.vector("w")
cube = T.tensor3("cube")
labels = T.lvector("labels")


def kernels(*outputs):
    results, _ = optimise(list(outputs))
    return plan([x, y, h, w, cube, labels], results)[0].kernels


def test_a_softmax_keeps_its_row_in_one_set_of_registers():
    """What it computes takes the place of what it has read."""
    (kernel,) = kernels(T.nnet.softmax(x))
    row, powers = kept(kernel)
    assert (row.first, row.last, row.loaded) == (0, 1, True)
    assert (powers.first, powers.last, powers.loaded) == (1, 2, False)
    assert row.register == powers.register == 0
    assert kept_bytes(kernel) == 4


def test_what_is_needed_later_keeps_its_registers():
    p = T.nnet.softmax(x)
    (kernel,) = kernels(p * x)
    assert [k.register for k in kept(kernel)] == [0, 1]
    assert kept_bytes(kernel) == 8


def test_types_do_not_share_registers():
    (kernel,) = kernels(T.nnet.softmax(h))
    assert [k.register for k in kept(kernel)] == [0, 1] and kept_bytes(kernel) == 6


def test_rows_that_are_read_once_are_not_kept():
    for expression in (x.sum(axis=1), T.exp(x).sum(axis=1), x.sum(axis=0), T.nnet.softmax(x, 0)):
        *_, kernel = kernels(expression)
        assert kept(kernel) == [] and kept_bytes(kernel) == 0


def test_the_gradient_of_a_cost_keeps_what_several_stages_read():
    cost = T.nnet.categorical_crossentropy(T.nnet.softmax(x), labels).mean()
    found = kernels(symnet.grad(cost, x))
    assert [kept_bytes(k) for k in found if k.form == "rows"] == [4]


def test_halves_come_eight_at_a_time():
    assert packs(kernels(h + h * 2)[0])[0] == 8
    assert packs(kernels(h * x)[0])[0] == 4


def test_reads_by_indices_that_are_read_are_not_ahead():
    (kernel,) = kernels(x[labels] + y)
    statements = kernel.stages[0].row
    operands = sorted(statements[k].operand for k in fetched(statements))
    gathered = next(s.operand for s in statements if getattr(s, "index", None) and s.index.values)
    assert len(operands) == 2 and gathered not in operands


def test_maps_that_go_by_tiles():
    for expression in (x.T + y, x.T * 2, x.T + w, cube.dimshuffle(2, 0, 1) + 1):
        (kernel,) = kernels(expression)
        assert is_crossed(kernel)
    for expression in (x + y, x + w, x[:, ::2] * 2, x + w.dimshuffle(0, "x"), x[labels] * 2):
        (kernel,) = kernels(expression)
        assert not is_crossed(kernel)


def test_number_of_tiles():
    (kernel,) = kernels(x.T + y)
    assert tiles_of(kernel, [64, 128]) == 4  # tiles of 32 by 64
    assert tiles_of(kernel, [65, 129]) == 9
    assert tiles_of(kernel, [3, 256]) == 1  # of 8 by 256
    assert tiles_of(kernel, [0, 5]) == tiles_of(kernel, [5, 0]) == 0
