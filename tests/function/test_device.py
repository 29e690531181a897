"""Functions choose where they run."""

import copy
import pickle
import subprocess
import sys
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.backends.gpu.host import compiler
from symnet.errors import (
    AssertionFailedError,
    ConfigError,
    DeviceError,
    IndexOutOfBoundsError,
    OutOfMemoryError,
    ShapeError,
    TypeMismatchError,
)
from symnet.graph import Op, TensorType

A = np.arange(6, dtype="float32").reshape(2, 3)

ON_THE_CPU = """
import sys
import numpy as np
import symnet
import symnet.tensor as T

x, y = T.matrix("x"), T.lvector("y")
w = symnet.shared(np.ones((3, 2), "float32"), name="w")
cost = T.nnet.categorical_crossentropy(T.nnet.softmax(x @ w), y).mean()
f = symnet.function([x, y], cost, updates=[(w, w - T.grad(cost, w))], profile=True)
f(np.ones((4, 3), "float32"), np.zeros(4, "int64"))
str(f.explain()), str(f.profile)
f.copy().free()
symnet.transfer(np.ones(3), "cpu")
w.get_value(borrow=True, return_internal_type=True)
found = [m for m in sys.modules if m.split(".")[0] == "cupy" or m.startswith("symnet.backends.gpu")]
print(found)
"""


def test_who_computes_on_the_cpu_imports_nothing_of_others():
    done = subprocess.run(
        [sys.executable, "-c", ON_THE_CPU], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


emulated = pytest.mark.skipif(compiler() is None, reason="the emulated device needs a C++ compiler")


def test_names_of_devices():
    x = T.matrix("x")
    with pytest.raises(ConfigError, match="cpu, cuda, emulated"):
        symnet.function([x], x, device="gpu0")
    with pytest.raises(ConfigError, match="cpu, cuda, emulated"):
        symnet.config.device = "gpu"
    with pytest.raises(ConfigError, match="cpu, cuda, emulated"):
        symnet.transfer(A, "gpu")
    assert symnet.function([x], x).device == "cpu"


class OnDevice:
    """An array of a device that nobody else can read."""

    symnet_device = "emulated"
    dtype, shape = np.dtype("float32"), (2, 3)


def test_a_function_on_the_cpu_takes_no_device_array():
    x = T.matrix("x")
    f = symnet.function([x], 2 * x)
    for call in (f, lambda a: f.map([a]), lambda a: f(x=a)):
        with pytest.raises(TypeMismatchError):
            call(OnDevice())
    with pytest.raises(TypeMismatchError, match=r"symnet.transfer\(array, 'cpu'\)"):
        f(OnDevice())


STRANGE = [
    "abc",
    None,
    np.ones(2, "complex64"),
    np.array(["2020-01-01"], "datetime64[D]"),
    np.ones(2, "longdouble"),
    np.zeros(2, "i4,f4"),
]


@pytest.mark.parametrize("value", STRANGE, ids=lambda v: str(getattr(v, "dtype", v)))
@pytest.mark.parametrize("device", ["cpu", "emulated"])
def test_what_symnet_does_not_compute_with_is_not_transferred(value, device):
    with pytest.raises(TypeMismatchError, match=r"transfer: .* has dtype .*; there are bool, int8"):
        symnet.transfer(value, device)


@emulated
@pytest.mark.parametrize("dtype", [">f4", ">i4", ">f8", ">u2"])
def test_numbers_of_another_byte_order_are_transferred_as_numbers(dtype):
    array = np.arange(6, dtype=dtype).reshape(2, 3)
    for given in (array, array.T, array[::-1], array[0, 1]):
        there = symnet.transfer(given, "emulated")
        assert there.shape == given.shape and there.dtype.isnative
        np.testing.assert_array_equal(symnet.transfer(there, "cpu"), given)


def test_transfer_on_the_host():
    assert symnet.transfer(A) is A
    assert symnet.transfer([[1.0]], "cpu").tolist() == [[1.0]]
    w = symnet.shared(A)
    assert symnet.transfer(w, "cpu") is w
    with pytest.raises(TypeMismatchError, match="symbolic"):
        symnet.transfer(T.matrix("x"), "cpu")
    with pytest.raises(TypeMismatchError, match="not an array"):
        symnet.transfer([[1], [2, 3]], "cpu")


def test_on_device_means_nothing_on_the_cpu():
    x = T.matrix("x")
    f = symnet.function([x], {"a": symnet.Out(2 * x, on_device=True), "b": x + 1})
    found = f(A)
    assert type(found["a"]) is np.ndarray
    assert found["a"].tolist() == (2 * A).tolist()


# ---- on the emulated device


def training(device):
    x, y = T.matrix("x"), T.lvector("y")
    w = symnet.shared(np.full((3, 2), 0.5, "float32"), name="w")
    cost = T.nnet.categorical_crossentropy(T.nnet.softmax(x @ w), y).mean()
    return symnet.function([x, y], cost, updates=[(w, w - T.grad(cost, w))], device=device), w


X, Y = np.array([[1, 2, 3], [0, -1, 1]], "float32"), np.array([0, 1])


@emulated
def test_functions_on_both_devices_share_variables():
    train, w = training("emulated")
    here, own = training("cpu")
    read = {d: symnet.function([], 2 * w, device=d) for d in ("cpu", "emulated")}
    scale = symnet.function([], [], updates=[(w, w * 0.5)], device="cpu")
    for _ in range(3):
        np.testing.assert_allclose(train(X, Y), here(X, Y), rtol=1e-6)
        assert w.remote_current
        assert np.array_equal(read["cpu"](), read["emulated"]())
        assert w.remote_current
        scale()
        assert not w.remote_current
        own.set_value(own.get_value() * 0.5)
    np.testing.assert_allclose(w.get_value(), own.get_value(), rtol=1e-6)


@emulated
def test_the_setting_decides_where_nothing_is_said():
    x = T.matrix("x")
    with symnet.config.change(device="emulated"):
        f = symnet.function([x], 2 * x)
        assert f.device == "emulated"
        assert (2 * x).eval({x: A}).tolist() == (2 * A).tolist()
        assert symnet.function([x], x, device="cpu").device == "cpu"
    expression = 3 * x
    assert expression.eval({x: A}).tolist() == (3 * A).tolist()
    assert expression.tag.evaluator.compiled.device == "cpu"
    with symnet.config.change(device="emulated"):
        assert expression.eval({x: A}).tolist() == (3 * A).tolist()
        assert expression.tag.evaluator.compiled.device == "emulated"


@emulated
@pytest.mark.parametrize(
    "again", [copy.copy, lambda f: f.copy(), lambda f: pickle.loads(pickle.dumps(f))]
)
def test_copies_and_pickles_keep_the_device(again):
    f, w = training("emulated")
    expected = float(f(X, Y))
    twin = again(f)
    assert twin.device == "emulated"
    assert float(twin(X, Y)) < expected
    f.free()
    assert np.isfinite(f(X, Y))
    assert np.isfinite(w.get_value()).all()


@emulated
def test_device_arrays_go_in_and_out():
    x = T.matrix("x")
    f = symnet.function([x], [symnet.Out(2 * x, on_device=True), x + 1], device="emulated")
    there = symnet.transfer(A, "emulated")
    assert symnet.transfer(there, "emulated") is there
    doubled, plus = f(there)
    assert type(plus) is np.ndarray
    assert plus.tolist() == (A + 1).tolist()
    assert type(doubled) is type(there)
    again, _ = f(x=doubled)
    assert symnet.transfer(again, "cpu").tolist() == (4 * A).tolist()
    assert np.from_dlpack(again).tolist() == (4 * A).tolist()
    stacked, _ = f.map(np.stack([A, 2 * A]))
    assert np.asarray(stacked).tolist() == [(2 * A).tolist(), (4 * A).tolist()]
    with pytest.raises(TypeMismatchError, match=r"symnet.transfer\(array, 'cpu'\)"):
        symnet.function([x], x)(there)


@emulated
def test_wrong_device_arrays_are_refused():
    x = T.matrix("x")
    fixed = TensorType("float32", (None, 3))("fixed")
    f = symnet.function([x], 2 * x, device="emulated")
    g = symnet.function([fixed], 2 * fixed, device="emulated")
    shared = symnet.shared(A, name="w")
    cases = [
        (A.astype("float64"), TypeMismatchError, "float64.*float32.*not converted"),
        (A[0], TypeMismatchError, "1 dimensions"),
    ]
    for array, error, text in cases:
        there = symnet.transfer(array, "emulated")
        with pytest.raises(error, match=text) as caught:
            f(there)
        assert "input 0 (x)" in str(caught.value)
        assert __file__ in str(caught.value)
        with pytest.raises(error, match=text):
            shared.set_value(there)
    with pytest.raises(ShapeError, match="size 3 in dimension 1"):
        g(symnet.transfer(A[:, :2], "emulated"))
    assert shared.get_value().tolist() == A.tolist()


@emulated
def test_shared_values_on_the_device():
    there = symnet.transfer(A, "emulated")
    shared = symnet.shared(there, name="w", shape=(None, 3))
    assert shared.remote_current and not shared.host_current
    assert str(shared.type) == "float32(?, 3)"
    lent = shared.get_value(borrow=True, return_internal_type=True)
    assert type(lent) is type(there)
    f = symnet.function([], [], updates=[(shared, shared + 1)], device="emulated")
    f()
    assert np.asarray(there).tolist() == A.tolist()  # it was copied
    assert shared.get_value().tolist() == (A + 1).tolist()
    remote = shared.remote
    shared.set_value(there)
    assert shared.remote is remote  # the address stays
    assert shared.remote_current and not shared.host_current
    f()
    copied = shared.get_value(return_internal_type=True)
    f()
    assert np.asarray(copied).tolist() == (A + 1).tolist()
    assert np.from_dlpack(shared).tolist() == (A + 2).tolist()
    shared.set_value(shared.get_value(borrow=True, return_internal_type=True))  # itself
    assert shared.get_value().tolist() == (A + 2).tolist()
    shared.set_value(symnet.transfer(A[:1], "emulated"))
    assert shared.get_value().tolist() == A[:1].tolist()
    with pytest.raises(ShapeError, match="was declared"):
        symnet.shared(there, shape=(None, 4))


@emulated
def test_moving_shared_values():
    shared = symnet.shared(A)
    assert symnet.transfer(shared, "emulated") is shared
    assert shared.remote_current and shared.host_current
    remote = shared.remote
    symnet.transfer(shared, "emulated")
    assert shared.remote is remote
    symnet.transfer(shared, "cpu")
    assert shared.remote is None
    assert shared.get_value().tolist() == A.tolist()


def table():
    i = T.lvector("i")
    w = symnet.shared(np.arange(4, dtype="float32"), name="w")
    return i, w, w[i]


@emulated
def test_errors_are_those_of_the_cpu():
    """Same classes, same words, the user's line; shared values as before."""
    texts = {}
    for device in ("cpu", "emulated"):
        i, w, taken = table()
        x, y = T.matrix("x"), T.matrix("y")
        steps = [
            (symnet.function([i], taken.sum(), updates=[(w, w + 1)], device=device), ([1, 7],)),
            (symnet.function([x, y], x + y, device=device), (A, A[:, :2])),
            (symnet.function([x], x @ T.ones((4, 2)), device=device), (A,)),
            (symnet.function([x], x, device=device), ("text",)),
            (symnet.function([x], x, device=device), (A[0],)),
        ]
        found = []
        for f, args in steps:
            with pytest.raises(symnet.errors.SymnetError) as caught:
                f(*args)
            found.append((type(caught.value), str(caught.value)))
        assert w.get_value().tolist() == [0, 1, 2, 3]
        steps[0][0]([0, 1])
        assert w.get_value().tolist() == [1, 2, 3, 4]
        texts[device] = found
    assert texts["emulated"] == texts["cpu"]
    assert texts["cpu"][0][0] is IndexOutOfBoundsError


@emulated
def test_what_the_host_cannot_hold_is_out_of_memory_and_passes():
    n = T.lscalar("n")
    w = symnet.shared(np.ones(3, "float32"), name="w")
    square = T.exp(T.zeros((n, n)))
    product = T.dot(square, T.ones((n, n))).sum() + w.sum()
    f = symnet.function([n], product, updates=[(w, w + 1)], device="emulated")
    out = symnet.function([n], T.ones((n, n, n)) * 2, device="emulated")
    first = f(2)
    with pytest.raises(OutOfMemoryError, match=r"4\.0 TB  float32 result of dot, built at"):
        f(10**6)
    assert w.get_value().tolist() == [2, 2, 2] and f(2) == first + 3
    with pytest.raises(OutOfMemoryError, match=r"output 0: float32\(1048576, 1048576, 1048576\)"):
        out(2**20)
    with pytest.raises(ShapeError, match="does not fit into 64 bits"):
        out(2**21)
    assert out(2).sum() == 16


def told(look):
    """`look` raises the error of a call with index 9, and of one only."""
    with pytest.raises(IndexOutOfBoundsError, match=r"index 9 .* size 4"):
        look()
    return look()


@emulated
def test_whoever_waits_for_a_result_is_told_the_errors_of_all_functions():
    i, _, taken = table()
    other = symnet.shared(np.ones(2, "float32"), name="other")
    n = T.lscalar("n")
    fails = symnet.function([i], symnet.Out(taken, on_device=True), device="emulated")
    more = symnet.function([], other + 1, updates=[(other, other + 1)], device="emulated")
    count = symnet.function([n], n + 1, device="emulated")
    silent = symnet.function([], [], updates=[(other, other[::-1])], device="emulated")
    looks = [
        lambda out: symnet.transfer(out, "cpu"),
        lambda out: more(),
        lambda out: count.map(range(3)),
        lambda out: other.get_value(),
        lambda out: other.get_value(borrow=True),
    ]
    for look in looks:
        silent()  # so that the value is on the device only
        out = fails([9])
        silent()  # does not wait
        told(partial(look, out))
    assert other.get_value().tolist() == [2, 2]  # what was told an error has done nothing


@emulated
def test_errors_of_several_functions_are_told_one_after_the_other():
    i, _, taken = table()
    first, second = (
        symnet.function([i], symnet.Out(k * taken, on_device=True), device="emulated")
        for k in (1, 2)
    )
    scalar = T.lscalar("scalar")
    last = symnet.function([i, scalar], taken.sum() + scalar, device="emulated")
    first([7]), second([8])
    for index in (7, 8, 9):
        with pytest.raises(IndexOutOfBoundsError, match=f"index {index} "):
            last([9], 1)
    assert last([0], 1) == last([0], 1)


@emulated
def test_the_message_of_an_error_tells_no_other():
    i, _, taken = table()
    number = symnet.shared(np.float32(2), name="number")  # shown with its value, which is fetched
    double = symnet.function([], [], updates=[(number, 2 * number)], device="emulated")
    first, second = (
        symnet.function([i], symnet.Out(k * number * taken, on_device=True), device="emulated")
        for k in (1, 2)
    )
    first([7]), second([8])
    for index, value in ((7, 4.0), (8, 8.0)):
        double()
        with pytest.raises(IndexOutOfBoundsError, match=rf"index {index} [^$]*number = {value}"):
            number.get_value()
    double()
    assert number.get_value() == 16


@emulated
def test_setting_a_value_asks_for_no_error():
    i, w, taken = table()
    f = symnet.function([i], [], updates=[(w, w + taken.sum())], device="emulated")
    f([9])
    w.set_value(np.ones(4, "float32"))
    there = w.get_value(borrow=True, return_internal_type=True)
    assert type(there) is np.ndarray and there.tolist() == [1, 1, 1, 1]
    f([0])  # does nothing: the error was not told
    told(w.get_value)
    assert w.get_value().tolist() == [1, 1, 1, 1]
    f([0])
    assert w.get_value().tolist() == [2, 2, 2, 2]


@emulated
@pytest.mark.parametrize("mode", ["debug", "reference"])
def test_other_modes_bring_device_arrays_home(mode):
    x = T.matrix("x", shape=(None, 3))
    out = symnet.Out(2 * x, on_device=True)
    f = symnet.function([x], out, device="emulated", mode=mode)
    found = f(symnet.transfer(A, "emulated"))
    assert type(found) is np.ndarray
    np.testing.assert_array_equal(found, 2 * A)
    for wrong in (A.astype("float64"), A[0], A[:, :2]):  # as in mode "compiled"
        compiled = symnet.function([x], out, device="emulated")
        there = symnet.transfer(wrong, "emulated")
        texts = []
        for g in (f, compiled):
            with pytest.raises(symnet.errors.SymnetError) as caught:
                g(there)
            texts.append((type(caught.value), str(caught.value)))
        assert texts[0] == texts[1]


@emulated
def test_an_error_nobody_waited_for_comes_with_the_value():
    i, w, taken = table()
    f = symnet.function([i], [], updates=[(w, w + taken.sum())], device="emulated")
    f([1, 2])
    f([9])
    f([1])  # does nothing any more: what went before it is not known yet
    with pytest.raises(IndexOutOfBoundsError, match=r"index 9 .* size 4"):
        w.get_value()
    assert w.get_value().tolist() == [3, 4, 5, 6]
    f([0])
    assert w.get_value().tolist() == [6, 7, 8, 9]


@dataclass(frozen=True)
class Doubled(Op):
    """A user's op, which runs in Python."""

    def output_types(self, given):
        return [given.type]

    def infer_shape(self, node, shapes, context):
        return shapes

    def perform(self, node, inputs):
        assert type(inputs[0]) is np.ndarray
        return [2 * inputs[0]]


@emulated
def test_python_between_programs_of_a_device():
    x = T.matrix("x")
    w = symnet.shared(A, name="w")
    value = T.exp(Doubled()(x + w)) * w
    out = symnet.Out(value, on_device=True)
    f = symnet.function([x], [out, x], updates=[(w, w + value)], device="emulated")
    there = symnet.transfer(A / 10, "emulated")
    expected = np.exp(2 * (A / 10 + A)) * A
    for given in (A / 10, there):
        w.set_value(A)
        found, same = f(given)
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-6)
        assert type(found) is type(there)
        np.testing.assert_allclose(np.asarray(same), A / 10)
        np.testing.assert_allclose(w.get_value(), A + expected, rtol=1e-6)
    assert f.program is None
    w.set_value(A)
    many, _ = f.map(np.stack([A / 10] * 2))
    np.testing.assert_allclose(many[0], expected, rtol=1e-6)
    f.free()


@emulated
def test_debug_mode_compares_with_the_device():
    x = T.matrix("x")
    f = symnet.function([x], T.tanh(x).sum(), mode="debug", device="emulated")
    np.testing.assert_allclose(f(A), np.tanh(A).sum(), rtol=1e-5)
    f._comparison.compiled[0][1].run = lambda arrays: [a + 1 for a in arrays]
    with pytest.raises(AssertionFailedError):
        f(A)
    reference = symnet.function([x], 2 * x, mode="reference", device="emulated")
    assert reference(A).tolist() == (2 * A).tolist()


def test_a_device_that_is_missing_is_named_with_what_would_help():
    try:
        import cupy

        if cupy.cuda.runtime.getDeviceCount():
            pytest.skip("there is a GPU")
    except Exception:  # without CuPy, or without a driver
        pass
    x = T.matrix("x")
    with pytest.raises(DeviceError, match="cuda") as caught:
        symnet.function([x], x, device="cuda")
    assert "pip install" in str(caught.value) or "driver" in str(caught.value)
    with pytest.raises(DeviceError, match="cuda"):
        symnet.transfer(A, "cuda")
