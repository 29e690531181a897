"""Device arrays as arguments and as results."""

from contextlib import contextmanager

import numpy as np
import pytest
from emulating import device, runner, values
from hypothesis import given, settings
from hypothesis import strategies as st
from watching import Watched

import symnet
import symnet.tensor as T
from symnet.backends.gpu import back_end, devices, host
from symnet.backends.gpu.binding import SMALL
from symnet.backends.gpu.bindings import PLACES
from symnet.backends.gpu.emulated import EmulatedArray
from symnet.errors import DeviceError, TypeMismatchError

pytestmark = pytest.mark.skipif(host.compiler() is None, reason="no C++ compiler")
x = T.matrix("x")
v = T.vector("v")
i = T.lscalar("i")


@contextmanager
def compiled(inputs, outputs, **options):
    with device() as on:
        yield on, symnet.function(inputs, outputs, **options)


def test_outputs_that_stay_on_the_device():
    with compiled([x], [symnet.Out(x * 2, on_device=True), x.sum()]) as (_, f):
        a = values(30, 40)
        first, total = f(a)
        second, _ = f(a + 1)
        assert isinstance(first, EmulatedArray) and first.shape == (30, 40)
        assert np.array_equal(first, a * 2) and np.array_equal(second, (a + 1) * 2)
        assert np.isclose(total, a.sum(), rtol=1e-4, atol=1e-4)
        assert np.array_equal(np.from_dlpack(first), a * 2)
        assert np.array_equal(f(first)[0], a * 4)  # and go in again
        stack = f.map(np.stack([a, a + 1, a + 2]))[0]
        assert isinstance(stack, EmulatedArray)
        assert np.array_equal(np.asarray(stack), 2 * np.stack([a, a + 1, a + 2]))


def test_nobody_waits_for_outputs_that_stay():
    on = Watched()
    one = runner([x], [x * 2, x + 1], on=on)
    one.kept = {0, 1}
    for _ in range(3):
        one.run([values(30, 40)])
    assert not [a for a in on.taken() if a[0] == "get"]


def given_array(on, array):
    memory = on.allocate(array.nbytes)
    on.put(memory.address, np.ascontiguousarray(array))
    return on.array(memory, array.shape, array.dtype.name)


def test_device_arrays_are_read_where_they_are():
    on = Watched()
    one = runner([x], [x.sum(axis=1)], on=on)
    arrays = [values(30, 40, seed=k) for k in range(2 * PLACES)]
    given_ = [given_array(on, a) for a in arrays]
    for _ in range(2):
        for a, g in zip(arrays, given_):
            np.testing.assert_allclose(one.run([one.adopt(g)])[0], a.sum(axis=1), atol=1e-4)
    # the first few addresses have bindings of their own, the others share one
    assert len(one.bindings) == PLACES + 1
    on.taken()
    one.run([one.adopt(given_[0])])
    assert not [a for a in on.taken() if a[0] == "put"]
    np.testing.assert_allclose(one.run([arrays[3]])[0], arrays[3].sum(axis=1), atol=1e-4)
    np.testing.assert_allclose(one.run([one.adopt(given_[1])])[0], arrays[1].sum(axis=1), atol=1e-4)


def test_small_and_scalar_device_arrays():
    one = runner([v, i], [v * 2, v.sum() + i])
    a = values(5)
    assert a.nbytes <= SMALL
    g, three = given_array(one.device, a), given_array(one.device, np.array(3))
    for k in range(3):
        double, total = one.run([one.adopt(g), one.adopt(three) if k else np.array(3)])
        assert np.array_equal(double, a * 2) and np.isclose(total, a.sum() + 3)
    assert np.array_equal(one.run([a + 1, np.array(0)])[0], (a + 1) * 2)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_device_arrays_with_strides_are_copied(data):
    base = np.arange(4000, dtype="float32").reshape(20, 10, 20)
    cuts = [
        slice(data.draw(st.integers(0, n)), None, data.draw(st.sampled_from([1, 2, 3, -1, -2])))
        for n in base.shape
    ]
    order = data.draw(st.permutations(range(3)))
    view = base[tuple(cuts)].transpose(order)

    class Foreign:
        def __dlpack__(self, **wishes):
            return view.__dlpack__()

        def __dlpack_device__(self):
            return 1, 0

    one = three_dimensions()
    assert np.array_equal(one.run([one.adopt(Foreign())])[0], view + 1)


def three_dimensions(known=[]):  # noqa: B006
    if not known:
        z = T.tensor3("z")
        known.append(runner([z], [z + 1]))
    return known[0]


def test_a_device_array_that_is_updated_meanwhile():
    """An argument that lies in a shared variable's memory is read before that is overwritten."""
    W = symnet.shared(values(30, 40), name="W")
    one = runner([x], [x.sum()], [(W, W * 0 + x[::-1])])
    one.run([W.get_value()])
    before = W.get_value()
    borrowed = W.get_value(borrow=True, return_internal_type=True)
    one.run([one.adopt(borrowed)])
    assert np.array_equal(W.get_value(), before[::-1])


def test_what_is_no_device_array():
    one = runner([x], [x + 1])
    for wrong in (np.ones((2, 3), "float32"), [[1.0]], "text"):
        with pytest.raises(TypeMismatchError, match="emulated device"):
            one.adopt(wrong)


def test_transfers():
    end = back_end.back_end("emulated")
    a = values(3, 4)
    there = end.resident(a)
    assert np.array_equal(end.fetch(there.array()), a)
    strided = end.fetch(end.resident(there.array()).array())
    assert np.array_equal(strided, a)
    with pytest.raises(DeviceError, match="no device is called"):
        devices.device("nonsense")
