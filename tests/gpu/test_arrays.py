"""Arrays of CuPy, PyTorch and JAX go in and out without a copy, in the order of their streams."""

import threading

import hardware
import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.errors import DeviceError, TypeMismatchError

hardware.needed()
real = pytest.mark.skipif(hardware.FAKE, reason="needs a GPU")
F = np.float32
x = T.matrix("x")
VALUE = np.linspace(-1, 1, 12, dtype=F).reshape(4, 3)


@pytest.fixture
def double(device):
    """2 x + 1, on the device."""
    return symnet.function([x], symnet.Out(2 * x + 1, on_device=True), device="cuda")


def test_cupy(cupy, double):
    for k in range(6):
        given = cupy.asarray(VALUE + k, order="F" if k % 2 else "C")
        found = double(given)
        assert isinstance(found, cupy.ndarray)
        hardware.same(found.get(), 2 * (VALUE + F(k)) + 1)
        hardware.same(given.get(), VALUE + F(k))


def test_an_input_that_is_changed_after_the_call(cupy, double):
    given = cupy.asarray(np.ones((1000, 300), F))
    found = []
    for _ in range(6):
        found.append(double(given))
        given += 1
    for k, y in enumerate(found):
        hardware.same(y.get(), np.full((1000, 300), 2 * (k + 1) + 1, F))


def test_outputs_that_are_changed_and_dropped(cupy, double):
    given = cupy.asarray(np.ones((2000, 500), F))
    sums = []
    for k in range(10):
        y = double(given)
        y += k
        sums.append(y)
        if k % 3 == 2:
            del sums[-2]
            sums.insert(-1, None)
        del y
    for k, y in enumerate(sums):
        if y is not None:
            assert (y.get() == 3 + k).all()


def test_a_stream_of_the_user(cupy, double):
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        given = cupy.asarray(np.zeros((1500, 700), F))
        for k in range(5):
            given += 1
            found = double(given)
            found += 1
            assert (found.get() == 2 * (k + 1) + 2).all()


def test_work_of_cupy_in_another_thread_goes_on(cupy, device):
    """Functions are compiled, recorded and replayed meanwhile."""
    stop, failed, rounds = threading.Event(), [], []

    def work():
        try:
            while not stop.is_set():
                a = cupy.asarray(np.ones((400, 400), F))
                for _ in range(10):
                    a += 1
                assert (a.get() == 11).all()
                rounds.append(1)
        except BaseException as e:
            failed.append(e)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for n in range(5):
            w = symnet.shared(np.zeros(100 + n, F))
            f = symnet.function([], (w * n).sum(), updates=[(w, w + 1)], device="cuda")
            for k in range(20):
                assert f() == k * n * (100 + n)
    finally:
        stop.set()
        thread.join()
    assert not failed
    assert rounds


@real
def test_another_thread_that_waits_for_the_whole_device(cupy, device):
    """It may spoil a recording, and fail itself; every call is right all the same."""
    stop, refused = threading.Event(), []

    def work():
        while not stop.is_set():
            try:
                cupy.cuda.Device(0).synchronize()
            except cupy.cuda.runtime.CUDARuntimeError as e:
                refused.append(e)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for n in range(10):
            w = symnet.shared(np.zeros(100 + n, F))
            f = symnet.function([], (w * n).sum(), updates=[(w, w + 1)], device="cuda")
            for k in range(10):
                assert f() == k * n * (100 + n)
    finally:
        stop.set()
        thread.join()
    assert all(e.status in range(900, 908) for e in refused)


@real
@pytest.mark.filterwarnings("ignore")  # of PyTorch's import
def test_a_call_inside_somebody_s_capture(double):
    """It is refused, and both go on."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("PyTorch without CUDA")
    given = torch.ones((4, 3), device="cuda")
    double(given)
    graph, result = torch.cuda.CUDAGraph(), torch.zeros((4, 3), device="cuda")
    with torch.cuda.graph(graph):
        with pytest.raises(DeviceError, match="is captured"):
            double(given)
        result += given
    graph.replay()
    assert bool((result == 1).all())
    hardware.same(double(given).get(), np.full((4, 3), 3, F))


def test_shared_variables(cupy, device):
    w = symnet.shared(np.zeros(5, F), name="w")
    f = symnet.function([], [], updates=[(w, w + 1)], device="cuda")
    f()
    there = w.get_value(borrow=True, return_internal_type=True)
    assert isinstance(there, cupy.ndarray)
    hardware.same(there.get(), np.ones(5, F))
    f()
    hardware.same(w.get_value(), np.full(5, 2, F))
    w.set_value(cupy.asarray(np.full(5, 7, F)))
    f()
    hardware.same(w.get_value(), np.full(5, 8, F))


def test_transfer(cupy, device):
    there = symnet.transfer(VALUE, "cuda")
    assert isinstance(there, cupy.ndarray)
    hardware.same(symnet.transfer(there, "cpu"), VALUE)


def test_functions_of_both_devices(cupy, device):
    w = symnet.shared(np.ones(3, F), name="w")
    there = symnet.function([], w.sum(), updates=[(w, 2 * w)], device="cuda")
    here = symnet.function([], w.sum(), updates=[(w, w + 1)], device="cpu")
    assert [float(f()) for f in (there, here, there, here)] == [3, 6, 9, 18]
    with pytest.raises(TypeMismatchError, match="transfer"):
        symnet.function([x], x + 1, device="cpu")(cupy.asarray(VALUE))


@real
@pytest.mark.filterwarnings("ignore")  # of its import
def test_pytorch(double):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("PyTorch without CUDA")
    given = torch.tensor(VALUE, device="cuda")
    for k in range(5):
        found = torch.from_dlpack(double(given))
        hardware.same(found.cpu().numpy(), 2 * (VALUE + F(k)) + 1)
        given += 1
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        given = torch.zeros((2000, 2000), device="cuda")
        for k in range(5):
            given += 1
            found = torch.from_dlpack(double(given))
            assert bool((found == 2 * (k + 1) + 1).all())
    with pytest.raises(TypeMismatchError, match="requires"):
        double(torch.zeros((2, 2), device="cuda", requires_grad=True))
    h = T.matrix("h", dtype="bfloat16")
    halves = symnet.function([h], 2 * T.cast(h, "float32"), device="cuda")
    hardware.same(halves(torch.ones((2, 3), dtype=torch.bfloat16, device="cuda")),
                  np.full((2, 3), 2, F))  # fmt: skip


@real
@pytest.mark.filterwarnings("ignore")  # of its import
def test_jax(double):
    jax = pytest.importorskip("jax")
    try:
        place = jax.devices("cuda")[0]
    except RuntimeError:
        pytest.skip("JAX without CUDA")
    for k in range(5):
        given = jax.device_put(VALUE + F(k), place)
        found = jax.dlpack.from_dlpack(double(given))
        hardware.same(np.asarray(found), 2 * (VALUE + F(k)) + 1)


def test_arrays_of_another_kind(cupy, double):
    with pytest.raises(TypeMismatchError, match="int64"):
        double(cupy.asarray(np.ones((2, 2), np.int64)))
    with pytest.raises((TypeMismatchError, DeviceError)):
        double(cupy.asarray(np.ones(2, F)))
