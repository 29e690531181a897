"""Linked programs: what is fixed, keyed on, pointed at, and patched before each call."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symnet
import symnet.tensor as T
from symnet.backends.cpu import tape_layout
from symnet.backends.cpu.emit import words
from symnet.backends.cpu.link import ALWAYS, link
from symnet.backends.words import itemsize, scalar_bits
from symnet.kernels import gemm, permutation
from symnet.rewrite import optimise
from symnet.schedule.buffers import plan
from symnet.tensor.shared_randomstreams import RandomStreams

x = T.matrix("x")
i = T.lscalar("i")


def linked(inputs, outputs):
    return link(plan(inputs, optimise(outputs)[0])[0])


@given(
    st.sampled_from(["bool", "int8", "uint8", "int32", "uint32", "int64", "float32", "float64"]),
    st.floats(allow_nan=True) | st.integers(0, 1),
)
def test_numbers_as_words(dtype, value):
    if not dtype.startswith("float"):
        value = int(value == 1)
    with np.errstate(over="ignore"):
        number = np.array(value).astype(dtype)
    word = np.array([scalar_bits(dtype, number.item())], np.int64)
    back = word.view(dtype)[0] if dtype.startswith("float") else word.astype(dtype)[0]
    np.testing.assert_array_equal(back, number)


def test_a_uint64_fits_a_word():
    assert scalar_bits("uint64", 2**64 - 1) == -1


def test_item_sizes():
    for dtype in ("bool", "int8", "uint16", "int32", "float32", "float64", "uint64"):
        assert itemsize(dtype) == np.dtype(dtype).itemsize


def test_blocks_follow_each_other():
    order = RandomStreams(3).permutation(n=4)
    h = T.exp(T.dot(x, x.T))
    found = linked([x, i], [h.sum(), T.dot(h, h)[i:], order])
    ends = {}
    for step in found.steps:
        if step.kind == "kernel":
            length = words(found.program.kernels[step.number])
        else:
            length = gemm.WORDS if step.kind == "gemm" else permutation.WORDS
        ends[step.first] = step.first + length
    starts = sorted(ends)
    assert starts[0] == 0
    assert [ends[s] for s in starts[:-1]] == starts[1:]
    assert {s.kind for s in found.steps} == {"kernel", "gemm", "shuffle"}


def test_every_word_has_one_purpose():
    h = T.exp(T.dot(x, x.T))
    found = linked([x, i], [h.sum(), T.dot(h[i:], h), T.nnet.softmax(h)])
    patched = found.code[found.code[:, 0] == tape_layout.OP_STORE, 5] // tape_layout.WORD
    groups = [found.size_words, found.pointer_words, found.error_words, patched]
    everything = np.concatenate(groups)
    assert len(np.unique(everything)) == len(everything)
    assert everything.max() < len(found.template)
    assert not found.template[everything].any()


def test_sizes_are_keys_and_offsets_are_not():
    """A minibatch at another place needs no other binding, one of another size does."""
    data = symnet.shared(np.arange(40, dtype="float32").reshape(20, 2))
    batch = T.lscalar("batch")
    f = symnet.function([i, batch], T.exp(data[i * batch : (i + 1) * batch]).sum())
    bindings = f._runner._bindings
    for k in range(5):
        f(k, 4)
    assert len(bindings) == 1
    f(0, 5)
    assert len(bindings) == 2
    f(3, 5)
    assert len(bindings) == 2


def test_offsets_into_the_arena_that_change_from_call_to_call():
    h = T.exp(T.dot(x, x.T))
    f = symnet.function([x, i], T.dot(h[i : i + 2], x))
    value = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
    whole = np.exp(value @ value.T)
    for k in range(5):
        np.testing.assert_allclose(f(value, k), whole[k : k + 2] @ value, rtol=1e-5)


def test_a_linked_program_survives_pickling():
    """It lies in the cache; dtypes have other addresses in the process that reads it."""
    found = pickle.loads(pickle.dumps(linked([x], [T.nnet.softmax(x).sum(axis=0)])))
    code = found.local_code()
    rows = code[code[:, 0] == tape_layout.OP_OBJ_CHECK]
    assert len(rows) == 1
    assert rows[0, 2] == id(np.dtype("float32"))


def test_extents_are_what_slabs_are_cut_from():
    steps = {s.number: s for s in linked([x], [x.sum(axis=1), x.sum(axis=0), x.sum()]).steps}
    forms = {linked([x], [v]).program.kernels[0].form for v in (x.sum(axis=1), x.sum(axis=0))}
    assert forms == {"rows", "columns"}
    assert all(s.work for s in steps.values())
    (combine,) = [s for s in steps.values() if s.extent == ALWAYS]
    assert combine.kind == "kernel"


@pytest.mark.parametrize("static", [(3, None), (None, 2)])
def test_static_sizes_of_arguments_are_checked(static):
    v = T.tensor("float32", shape=static)
    f = symnet.function([v], v.sum())
    assert f(np.ones((3, 2), "float32")) == 6
    with pytest.raises(symnet.errors.ShapeError):
        f(np.ones((4, 4), "float32"))
