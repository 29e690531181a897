"""CudaDevice without hardware: on a CuPy of our own over the host's memory (fake_cupy.py), whose
names and signatures are those of the real one, where that is installed."""

import ctypes
import functools
import inspect
import os
import sys
import threading
import types
import weakref

import fake_cupy
import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.backends.gpu import arguments, bindings, cuda, devices, dlpack, host, host_blas, moves
from symnet.errors import (
    CompilerError,
    DeviceError,
    DeviceLostError,
    IndexOutOfBoundsError,
    OutOfMemoryError,
    RecordingError,
    TypeMismatchError,
)

pytestmark = pytest.mark.skipif(host.compiler() is None, reason="needs a C++ compiler")
F = np.float32


@functools.cache
def cublas():
    return ctypes.CDLL(str(host.library(host_blas.TEXT, "")))


@pytest.fixture
def cupy(monkeypatch):
    """A fresh device, which "cuda" is inside the test."""
    made = fake_cupy.make()
    monkeypatch.setattr(cuda, "compile_module", fake_cupy.compile_module(made.machine))
    made.device = cuda.CudaDevice(made, fake_cupy.Cublas(made.machine, cublas()))
    before = devices.use("cuda", made.device)
    yield made
    devices.use("cuda", before)


@pytest.fixture
def device(cupy):
    return cupy.device


def fetched(device, address, like):
    found = np.empty_like(like)
    device.get(found, address)
    return found


# ---- the device alone


def test_what_it_is_made_for(device):
    assert (device.name, device.architecture, device.apart) == ("cuda", 90, False)
    assert device.geometry.multiprocessors == fake_cupy.PROCESSORS
    assert 48 << 10 <= device.geometry.shared <= fake_cupy.SHARED_BLOCK


def test_what_was_put_may_be_changed_at_once(cupy, device):
    rng = np.random.default_rng(0)
    sizes = [1, 1000, cuda.STAGE + 7, 3, 2 * cuda.STAGE]
    wanted = [rng.integers(0, 256, n).astype(np.uint8) for n in sizes]
    memory = [device.allocate(n) for n in sizes]
    for m, w in zip(memory, wanted):
        given = w.copy()
        device.put(m.address, given)
        given[:] = 0
    for m, w in zip(memory, wanted):
        np.testing.assert_array_equal(fetched(device, m.address, w), w)


@pytest.mark.parametrize("by_argument", [arguments.MOST, 0])
def test_small_copies_go_as_arguments_of_kernels(cupy, device, monkeypatch, by_argument):
    """Whatever has whole words; so that the stream's order is all that counts."""
    monkeypatch.setattr(cuda, "BY_ARGUMENT", by_argument)
    memory, rng = device.allocate(5000), np.random.default_rng(0)
    wanted = rng.integers(0, 256, 5000).astype(np.uint8)
    device.put(memory.address, wanted)
    for place, size, launched in (
        (0, 8, 1), (8, 512, 1), (64, 520, 1), (8, 1536, 1), (0, 4000, 1), (992, 4000, 1),
        (0, 4008, 0), (4, 8, 0), (0, 12, 0), (0, 1, 0), (0, 0, 0),
    ):  # fmt: skip
        before = cupy.machine.launched
        given = rng.integers(0, 256, size).astype(np.uint8)
        wanted[place : place + size] = given
        device.put(memory.address + place, given)
        given[:] = 0
        np.testing.assert_array_equal(fetched(device, memory.address, wanted), wanted)
        assert cupy.machine.launched - before == (launched if by_argument else 0)


def test_several_small_copies_on_their_way(device):
    memory = device.allocate(800)
    for k in range(100):
        device.put(memory.address + 8 * k, np.array([k]))
    found = fetched(device, memory.address, np.empty(100, np.int64))
    np.testing.assert_array_equal(found, np.arange(100))


def test_copies_and_clearing(device):
    memory = device.allocate(32)
    device.put(memory.address, np.arange(32, dtype=np.uint8))
    device.copy(memory.address + 16, memory.address, 16)
    device.clear(memory.address, 8)
    device.copy(memory.address, memory.address + 8, 0)
    device.clear(memory.address, 0)
    wanted = np.r_[np.zeros(8), np.arange(8, 16), np.arange(16)].astype(np.uint8)
    np.testing.assert_array_equal(fetched(device, memory.address, wanted), wanted)


def test_memory_of_no_size(device):
    memory = device.allocate(0)
    assert memory.size == 0
    assert memory.address
    device.put(memory.address, np.empty(0, F))
    device.get(np.empty(0, F), memory.address)


def test_a_recording_does_nothing_until_it_is_replayed(device):
    memory = device.allocate(16)
    device.clear(memory.address, 16)
    ones = device.allocate(16)
    device.put(ones.address, np.ones(2, np.int64))
    recording = device.record(lambda: device.copy(memory.address, ones.address, 16))
    np.testing.assert_array_equal(fetched(device, memory.address, np.empty(2, np.int64)), 0)
    recording.replay()
    np.testing.assert_array_equal(fetched(device, memory.address, np.empty(2, np.int64)), 1)


@pytest.mark.parametrize(
    "order",
    [
        lambda d, m: d.allocate(8),
        lambda d, m: d.put(m.address, np.zeros(1)),
        lambda d, m: d.get(np.zeros(1), m.address),
        lambda d, m: d.wait(),
        lambda d, m: d.load([moves.ends_source()]),
        lambda d, m: d.hand_over(),
        lambda d, m: d.record(lambda: None),
        lambda d, m: d.timed([]),
        lambda d, m: 1 / 0,
    ],
)
def test_what_cannot_be_recorded(device, order):
    memory = device.allocate(8)
    with pytest.raises(RecordingError):
        device.record(lambda: order(device, memory))
    device.put(memory.address, np.ones(1))  # and everything works as before
    assert fetched(device, memory.address, np.zeros(1)) == 1


def test_a_stream_that_will_not_be_captured(cupy, device):
    """Running on the stream would do, so it is no error of the call."""
    cupy.machine.uncapturable = 901
    with pytest.raises(RecordingError, match="901"):
        device.record(lambda: None)
    cupy.machine.uncapturable = None
    device.record(lambda: None).replay()


def test_an_interrupt_ends_the_recording(device):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        device.record(interrupted)
    device.wait()


def test_a_bug_is_no_reason_not_to_record(device):
    kernel = moves.end(0, [], 0, False, device.geometry)
    with pytest.raises(CompilerError, match="not loaded") as caught:
        device.record(lambda: device.launch(kernel, 0, 0))
    assert not isinstance(caught.value, RecordingError)


def test_a_device_that_is_lost_meanwhile(cupy, device):
    memory = device.allocate(8)

    def orders():
        cupy.machine.broken = 719
        device.clear(memory.address, 8)

    with pytest.raises(DeviceLostError):
        device.record(orders)


def test_times(device):
    memory = device.allocate(8)
    clear = lambda: device.clear(memory.address, 8)
    assert device.timed([clear, lambda: (clear(), clear())]) == [250_000, 500_000]


def test_a_kernel_has_to_be_loaded(device):
    kernel = moves.end(0, [], 0, False, device.geometry)
    with pytest.raises(CompilerError, match="not loaded"):
        device.launch(kernel, 0, 0)


def test_words_are_passed_by_value(device):
    source = device.allocate(64)
    target, error = device.allocate(64), device.allocate(32)
    device.put(source.address, np.arange(16, dtype=np.int32))
    device.load([moves.gather_source()])
    kernel = moves.gather(target.address, source.address, (2, 3), (4, 8), 4, device.geometry)
    device.launch(kernel, 0, error.address)
    kernel.words[:] = 0  # before it has run
    found = fetched(device, target.address, np.empty((2, 3), np.int32))
    np.testing.assert_array_equal(found, [[0, 2, 4], [1, 3, 5]])


def test_another_thread(cupy, device):
    """The driver wants a context in every thread."""
    memory, failed = device.allocate(64), []

    def work():
        try:
            device.load([moves.ends_source()])
            device.put(memory.address, np.ones(1))
        except Exception as e:
            failed.append(e)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failed
    assert fetched(device, memory.address, np.zeros(1)) == 1


def test_another_current_device_is_refused(cupy, device):
    failed = []

    def work():
        with pytest.raises(DeviceError, match=r"device 1 is current.*CUDA_VISIBLE_DEVICES"):
            device.allocate(8)
        failed.append(False)

    cupy.machine.current = 1
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failed == [False]


def test_a_device_that_becomes_current_later_is_refused_too(cupy, device):
    memory = device.allocate(8)
    cupy.machine.current = 1
    for order in (lambda: device.allocate(8), lambda: device.clear(memory.address, 8)):
        with pytest.raises(DeviceError, match="device 1 is current"):
            order()
    cupy.machine.current = 0
    device.clear(memory.address, 8)
    assert fetched(device, memory.address, np.ones(1)) == 0


# ---- memory that is used again


def test_memory_is_used_again_in_the_stream_s_order(device):
    """The copy is ordered, not done, when the source's memory goes to the next."""
    kept = device.allocate(8)
    first = device.allocate(4096)
    device.put(first.address, np.ones(1))
    device.copy(kept.address, first.address, 8)
    address = first.address
    del first
    second = device.allocate(4096)
    assert second.address == address
    device.put(second.address, np.zeros(1))
    assert fetched(device, kept.address, np.zeros(1)) == 1


def dropped(cupy, device, size=8):
    """An array that the user has dropped while a library still reads it: where it was, and what
    that library will have seen."""
    memory = device.allocate(size)
    device.put(memory.address, np.ones(1))
    given = device.array(memory, (1,), "float64")
    device.hand_over()
    view, seen = given.view(), []
    cupy.machine.add(fake_cupy.NULL, lambda: seen.append(view[0]))
    return memory.address, seen


def test_memory_of_a_user_s_array_waits_for_the_user_s_orders(cupy, device):
    address, seen = dropped(cupy, device)
    again = device.allocate(8)
    assert again.address != address
    device.put(again.address, np.zeros(1))
    device.wait()
    assert not seen  # the stream has not waited
    cupy.machine.finish(fake_cupy.NULL)
    assert seen == [1]
    assert device.allocate(8).address == address


def test_for_much_memory_of_users_the_stream_waits(cupy, device, monkeypatch):
    monkeypatch.setattr(cuda, "BACK", 4096)
    address, seen = dropped(cupy, device, 8192)
    again = device.allocate(8192)
    assert again.address == address
    device.put(again.address, np.zeros(1))
    device.wait()
    assert seen == [1]


def test_memory_of_users_is_waited_for_before_there_is_too_little(cupy, device):
    size = 1 << 20
    cupy.machine.limit = cupy.machine.used + size
    address, seen = dropped(cupy, device, size)
    again = device.allocate(size)
    assert again.address == address
    device.put(again.address, np.zeros(1))
    device.wait()
    assert seen == [1]


def test_events_are_used_again(cupy, device):
    made = []
    for _ in range(5):
        dropped(cupy, device)
        device.allocate(8)
        cupy.machine.finish(fake_cupy.NULL)
        made.append(cupy.machine.next)
    assert made[1] == made[-1]


def test_out_of_memory(cupy, device):
    cupy.machine.limit = cupy.machine.used + (1 << 20)
    with pytest.raises(OutOfMemoryError, match=r"2,097,152 bytes.*1,048,576 of the GPU's"):
        device.allocate(2 << 20)
    device.allocate(1 << 20)


# ---- arrays of other libraries


def test_an_array_for_the_user_is_no_copy(cupy, device):
    memory = device.allocate(64)
    device.put(memory.address, np.arange(8.0))
    given = device.array(memory, (2, 3), "float64", 16)
    device.hand_over()
    del memory
    assert isinstance(given, cupy.ndarray)
    np.testing.assert_array_equal(given.get(), np.arange(2.0, 8).reshape(2, 3))


def test_adopted_arrays_are_complete(cupy, device):
    """What their library still has to do to them is done before they are read."""
    value = np.arange(6, dtype=F).reshape(2, 3)
    given = fake_cupy.array(cupy, value)
    found = device.adopt(given)
    assert (found.address, found.shape) == (given.data.ptr, (2, 3))
    assert (found.strides, found.dtype) == ((12, 4), "float32")
    np.testing.assert_array_equal(fetched(device, found.address, value), value)


class Producer:
    """An array of another library: of its own stream, which it synchronises as asked."""

    def __init__(self, cupy, value, place=(2, 0)):
        self.cupy, self.place = cupy, place
        with cupy.cuda.Stream(non_blocking=True) as self.stream:
            self.array = fake_cupy.array(cupy, value)

    def __dlpack_device__(self):
        return self.place

    def __dlpack__(self, stream=None):
        event = self.cupy.cuda.Event()
        event.record(self.stream)
        self.cupy.cuda.runtime.streamWaitEvent(stream, event.ptr)
        return self.array.view().__dlpack__()


class Numba:
    """An array that speaks `__cuda_array_interface__`."""

    def __init__(self, cupy, value, **more):
        self.stream = cupy.cuda.Stream(non_blocking=True)
        with self.stream:
            self.array = fake_cupy.array(cupy, value)
        self.__cuda_array_interface__ = {
            "shape": value.shape,
            "typestr": value.dtype.str,
            "data": (self.array.data.ptr, False),
            "version": 3,
            "stream": self.stream.ptr,
            **more,
        }


@pytest.mark.parametrize("kind", [Producer, Numba])
@pytest.mark.parametrize("dtype", ["float32", "int8", "bool", "float16", "uint64"])
def test_arrays_by_either_protocol(cupy, device, kind, dtype):
    value = np.arange(6).reshape(2, 3).astype(dtype)
    given = kind(cupy, value)
    found = device.adopt(given)
    assert (found.address, found.dtype) == (given.array.data.ptr, dtype)
    assert (found.shape, found.strides) == (value.shape, value.strides)
    np.testing.assert_array_equal(fetched(device, found.address, value), value)


def test_arrays_are_kept_until_they_have_been_read(cupy, device):
    given = Numba(cupy, np.ones(2, F))
    target = device.allocate(8)
    device.copy(target.address, device.adopt(given).address, 8)
    device.hand_over()
    seen = []
    weakref.finalize(given, seen.append, True)
    del given
    other = fake_cupy.array(cupy, np.ones(1))
    device.adopt(other)
    assert not seen
    device.wait()
    device.allocate(8)
    assert seen


def test_nothing_is_ordered_into_somebody_s_capture(cupy, device):
    """The capture goes on, and so does the device."""
    stream = cupy.cuda.Stream(non_blocking=True)
    speaking = Numba(cupy, np.ones(2, F))
    speaking.__cuda_array_interface__["stream"] = stream.ptr
    exported = Producer(cupy, np.ones(2, F))
    device.adopt(speaking.array)
    device.adopt(exported)
    device.hand_over()
    dropped(cupy, device)
    with stream:
        given = fake_cupy.array(cupy, np.ones(2, F))
        stream.begin_capture(cupy.cuda.runtime.streamCaptureModeRelaxed)
        for order in (
            lambda: device.adopt(given),
            lambda: device.adopt(speaking),
            lambda: device.adopt(exported),
            lambda: device.allocate(8),
            device.hand_over,
        ):
            with pytest.raises(DeviceError, match="is captured"):
                order()
        assert not stream.end_capture().orders
        found = device.adopt(given)
    np.testing.assert_array_equal(fetched(device, found.address, np.zeros(2, F)), 1)


@pytest.mark.parametrize("usable", [True, False])
def test_pytorch_s_current_stream_waits_too(cupy, device, monkeypatch, usable):
    stream = cupy.cuda.Stream(non_blocking=True)
    room = types.SimpleNamespace(
        is_initialized=lambda: usable,
        current_stream=lambda index: types.SimpleNamespace(cuda_stream=stream.ptr),
    )
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(cuda=room))
    memory, seen = device.allocate(8), []
    device.put(memory.address, np.ones(1))
    device.hand_over()
    view = device.array(memory, (1,), "float64").view()
    before = float(view[0])
    cupy.machine.add(stream.ptr, lambda: seen.append(float(view[0])))
    cupy.machine.finish(stream.ptr)
    assert seen == [1 if usable else before]


@pytest.mark.parametrize(
    "value, words",
    [
        (lambda c: Producer(c, np.ones(1), (1, 0)), "the host's memory"),
        (lambda c: Producer(c, np.ones(1), (3, 0)), "the host's memory"),
        (lambda c: Producer(c, np.ones(1), (2, 1)), "on CUDA device 1.*device 0"),
        (lambda c: Producer(c, np.ones(1), (10, 0)), "device kind 10"),
        (lambda c: Producer(c, np.ones(1, complex)), "kind 5 with 128 bits"),
        (lambda c: Numba(c, np.ones(1, complex)), "c16"),
        (lambda c: Numba(c, np.ones(1, ">f4")), ">f4"),
        (lambda c: Numba(c, np.ones(1, F), mask=np.ones(1)), "f4"),
        (lambda c: np.ones(1), "the host's memory"),
        (lambda c: [1.0], "list is no array in a GPU's memory"),
    ],
)
def test_arrays_that_are_refused(cupy, device, value, words):
    with pytest.raises(TypeMismatchError, match=words):
        device.adopt(value(cupy))


def test_an_array_that_its_library_keeps(cupy, device):
    class Tensor(Producer):
        def __dlpack__(self, stream=None):
            raise BufferError("it requires a gradient")

    with pytest.raises(TypeMismatchError, match=r"Tensor.*requires a gradient"):
        device.adopt(Tensor(cupy, np.ones(1)))


def test_capsules():
    for value in (np.float32(3), np.zeros((0, 3)), np.ones((4, 6), "int16")[::2, 1:4]):
        value = np.asarray(value)
        found = dlpack.from_capsule(value.__dlpack__())
        assert (found.shape, found.dtype) == (value.shape, value.dtype.name)
        if value.size:
            assert found.address == value.ctypes.data
            assert found.strides == value.strides


def test_bfloat16_capsules():
    torch = pytest.importorskip("torch")
    value = torch.ones((2, 3), dtype=torch.bfloat16)
    found = dlpack.from_capsule(value.__dlpack__())
    assert (found.dtype, found.address) == ("bfloat16", value.data_ptr())
    assert found.strides == (6, 2)


# ---- failures


@pytest.mark.parametrize("status", [700, 721])  # an illegal address; memory that fails
def test_a_lost_device_says_so_for_ever(cupy, device, status):
    memory = device.allocate(8)
    recording = device.record(lambda: device.clear(memory.address, 8))
    cupy.machine.broken = status
    for order in (device.wait, device.wait, recording.replay, lambda: device.allocate(8)):
        with pytest.raises(DeviceLostError, match=rf"{status}.*cannot use it any more"):
            order()
    cupy.machine.broken = None  # CUDA would not come back either
    with pytest.raises(DeviceLostError):
        device.clear(memory.address, 8)


def test_a_device_that_is_lost_before_a_thread_begins(cupy, device):
    cupy.machine.broken = 999
    caught = []

    def work():
        try:
            device.wait()
        except DeviceError as e:
            caught.append(e)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [type(e) for e in caught] == [DeviceLostError]
    assert device.lock.acquire(timeout=1)  # nobody has kept it
    device.lock.release()


@pytest.mark.parametrize("status", [400, 46])  # a wrong handle; others use the device
def test_other_errors_are_errors_once(cupy, device, status):
    cupy.machine.broken = status
    with pytest.raises(DeviceError, match=rf"CUDA refuses.*{status}") as caught:
        device.wait()
    assert not isinstance(caught.value, DeviceLostError)
    cupy.machine.broken = None
    device.wait()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform cannot fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_is_told(device):
    device.lock.acquire()  # by a thread that the child does not have
    child = os.fork()
    if child == 0:
        try:
            device.wait()
        except DeviceError as e:
            os._exit(0 if "spawn" in str(e) else 2)
        os._exit(1)
    device.lock.release()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    device.wait()


def test_what_is_missing_is_said():
    found = cuda.missing()
    assert all(s.endswith(".") and ":" in s for s in found)
    if not any("driver" in s.lower() for s in found):
        pytest.skip("this machine has a driver")
    with pytest.raises(DeviceError, match="driver"):
        cuda.CudaDevice()


# ---- functions


def test_a_function_is_recorded_and_replayed(cupy):
    x, w = T.matrix("x"), symnet.shared(np.ones((3, 2), F), name="w")
    cost = T.tanh(x @ w).sum()
    step = symnet.function([x], cost, updates=[(w, w - 0.1 * symnet.grad(cost, w))], device="cuda")
    u = symnet.shared(np.ones((3, 2), F))
    cost = T.tanh(x @ u).sum()
    same = symnet.function([x], cost, updates=[(u, u - 0.1 * symnet.grad(cost, u))])
    value = np.linspace(-1, 1, 12, dtype=F).reshape(4, 3)
    for k in range(5):
        np.testing.assert_allclose(step(value + k), same(value + k), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(w.get_value(), u.get_value(), rtol=1e-5, atol=1e-6)


def test_arrays_of_cupy_go_in_and_out(cupy):
    x = T.matrix("x")
    f = symnet.function([x], symnet.Out(2 * x + 1, on_device=True), device="cuda")
    value = np.linspace(-1, 1, 12, dtype=F).reshape(4, 3)
    for k in range(4):
        given = fake_cupy.array(cupy, value + k, "F" if k % 2 else "C")
        found = f(given)
        assert isinstance(found, cupy.ndarray)
        np.testing.assert_array_equal(found.get(), 2 * (value + k) + 1)


def test_large_outputs_that_stay_are_not_copied(cupy, monkeypatch):
    """Their memory is used again, so there is a recording for each address."""
    monkeypatch.setattr(cuda, "BACK", 0)
    monkeypatch.setattr(bindings, "LARGE", 4096)
    x = T.matrix("x")
    f = symnet.function([x], symnet.Out(2 * x + 1, on_device=True), device="cuda")
    value = np.linspace(-1, 1, 8000, dtype=F).reshape(80, 100)
    given, copied = fake_cupy.array(cupy, value), []
    order = cupy.cuda.runtime.memcpyAsync
    monkeypatch.setattr(
        cupy.cuda.runtime, "memcpyAsync", lambda *a: (copied.append(a[3]), order(*a))
    )
    found = None
    for _ in range(8):
        copied.clear()
        found = f(given)
    assert not copied
    assert f._runner.recorded is True
    np.testing.assert_array_equal(found.get(), 2 * value + 1)


def test_what_the_user_does_to_an_input_comes_after_it_was_read(cupy):
    x = T.vector("x")
    f = symnet.function([x], symnet.Out(2 * x, on_device=True), device="cuda")
    found = []
    given = fake_cupy.array(cupy, np.ones(300, F))
    view = given.view()
    for _ in range(4):
        found.append(f(given))
        cupy.machine.add(fake_cupy.NULL, lambda: np.add(view, 1, out=view))
    for k, y in enumerate(found):
        np.testing.assert_array_equal(y.get(), 2 * (k + 1))


def test_an_index_out_of_bounds_leaves_shared_values_whole(cupy):
    w = symnet.shared(np.zeros(5, F), name="w")
    i = T.ivector("i")
    f = symnet.function([i], [], updates=[(w, T.inc_subtensor(w[i], 1))], device="cuda")
    f(np.array([0, 1], "int32"))
    f(np.array([1, 7], "int32"))
    f(np.array([1, 2], "int32"))
    with pytest.raises(IndexOutOfBoundsError, match="7"):
        w.get_value()
    np.testing.assert_array_equal(w.get_value(), [1, 1, 0, 0, 0])


def test_out_of_memory_names_the_lines_and_leaves_values_whole(cupy):
    x = T.vector("x")
    w = symnet.shared(np.zeros(1000, F), name="w")
    outer = T.exp(x[:, None] * x[None, :])
    f = symnet.function([x], outer.sum() + T.dot(outer, x).sum(), updates=[(w, w + 1)],
                        device="cuda")  # fmt: skip
    f(np.ones(10, F))
    cupy.machine.limit = cupy.machine.used + (8 << 20)
    with pytest.raises(OutOfMemoryError, match=r"test_cuda.py"):
        f(np.ones(5000, F))
    f(np.ones(10, F))
    np.testing.assert_array_equal(w.get_value(), 2)


# ---- the real CuPy


def compared(name, ours, theirs):
    """Parameters of a function of the fake, and of CuPy's."""
    signature = inspect.signature(ours)
    own = [
        (n, None if p.default is p.empty else p.default)
        for n, p in signature.parameters.items()
        if n != "self"
    ]
    text = fake_cupy.line(theirs)
    assert "(" in text, f"{name}: {text}"
    real = fake_cupy.parameters(text)
    assert [n for n, _ in own] == [n for n, _ in real][: len(own)], f"{name}: {text}"
    assert all(default is not None for _, default in real[len(own) :]), f"{name}: {text}"
    for (n, default), (_, said) in zip(own, real):
        if default is not None and not said.startswith("stream"):
            assert str(default) == said.strip("'\""), f"{name}, {n}: {text}"


def test_the_real_cupy_has_what_is_used():
    real, fake = pytest.importorskip("cupy"), fake_cupy.make()
    assert callable(real.get_default_memory_pool)
    assert issubclass(real.cuda.memory.OutOfMemoryError, MemoryError)
    checked = 0
    for room in ("cuda.runtime", "cuda.driver", "cuda"):
        ours, theirs = fake, real
        for part in room.split("."):
            ours, theirs = getattr(ours, part), getattr(theirs, part)
        for name, value in vars(ours).items():
            if name.startswith("_") or name in ("runtime", "driver", "memory"):
                continue
            there = getattr(theirs, name)
            if name.endswith("Error"):
                assert issubclass(there, Exception)
            elif inspect.isclass(value):
                for method, function in vars(value).items():
                    if inspect.isfunction(function) and method not in ("__enter__", "__exit__"):
                        place = f"{name}.{method}"
                        if method != "__init__" or name in ("Stream", "Event"):
                            compared(place, function, getattr(there, method))
                        elif name not in ("Graph", "Device"):
                            compared(place, function, there)
                    elif isinstance(function, property):
                        assert hasattr(there, method)
            elif inspect.isfunction(value):
                compared(name, value, there)
            elif name.startswith(("memcpy", "streamCapture", "CU_FUNC")):
                assert there == value, name
            else:
                assert isinstance(there, int), name
            checked += 1
    assert checked > 35


def test_signatures_are_read_as_they_are_written():
    found = fake_cupy.parameters("f(self, int a, b=0, *, tuple c=None, size_t d=2)")
    assert found == [("a", None), ("b", "0"), ("c", "None"), ("d", "2")]
