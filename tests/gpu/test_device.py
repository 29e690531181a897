"""The device itself: copies, recordings, order, memory, threads, and what a lost one says."""

import os
import subprocess
import sys
import threading

import hardware
import numpy as np
import pytest

from symnet.backends.gpu import moves
from symnet.backends.gpu.bind import BoundKernel
from symnet.backends.gpu.launch import Launch
from symnet.backends.gpu.source import Source
from symnet.errors import DeviceError, OutOfMemoryError, RecordingError

hardware.needed()
real = pytest.mark.skipif(hardware.FAKE, reason="needs a GPU")


def fetched(device, address, count, dtype):
    found = np.empty(count, dtype)
    device.get(found, address)
    return found


def test_what_it_is(device):
    assert device.architecture >= 75
    assert device.geometry.multiprocessors >= 1
    assert device.geometry.shared >= 48 << 10


@pytest.mark.parametrize("size", [1, 8, 560, 4000, 4095, 1 << 20, (9 << 20) + 3])
def test_copies_there_and_back(device, size):
    rng = np.random.default_rng(size)
    values = [rng.integers(0, 256, size).astype(np.uint8) for _ in range(3)]
    memory = [device.allocate(size) for _ in values]
    for m, v in zip(memory, values):
        given = v.copy()
        device.put(m.address, given)
        given[:] = 0  # it may be changed at once
    target = device.allocate(size)
    for m, v in zip(memory, values):
        hardware.same(fetched(device, m.address, size, np.uint8), v)
    device.copy(target.address, memory[0].address, size)
    hardware.same(fetched(device, target.address, size, np.uint8), values[0])
    device.clear(target.address, size)
    assert not fetched(device, target.address, size, np.uint8).any()


def test_a_recording_of_kernels_copies_and_clearing(device):
    table, state = device.allocate(8 * moves.WORDS), device.allocate(16)
    source, target, error = (device.allocate(800) for _ in range(3))
    device.put(table.address, np.array([source.address, 80, target.address, 80, 80]))
    device.put(source.address, np.arange(100))
    for memory in (state, target, error):
        device.clear(memory.address, memory.size)
    head = moves.end(table.address, [(0, 0, 0, 0, 80)], state.address, False, device.geometry)
    tail = moves.end(table.address, [], state.address, True, device.geometry)
    device.load([head.source, tail.source])

    def orders():
        device.launch(head, 0, error.address)
        device.launch(tail, 0, error.address)

    recording = device.record(orders)
    assert not fetched(device, target.address, 100, np.int64).any()
    for _ in range(7):
        recording.replay()
    assert fetched(device, state.address, 2, np.int64).tolist() == [7, 6]
    wanted = np.where(np.arange(100) < 70, np.arange(100), 0)
    hardware.same(fetched(device, target.address, 100, np.int64), wanted)


def test_a_recording_that_fails_leaves_all_as_it_was(device):
    memory = device.allocate(8)
    for order in (device.wait, lambda: device.allocate(1 << 20), lambda: 1 / 0):
        with pytest.raises(RecordingError):
            device.record(order)
        device.put(memory.address, np.ones(1))
        assert fetched(device, memory.address, 1, float) == 1
        device.record(lambda: device.clear(memory.address, 8)).replay()
        assert fetched(device, memory.address, 1, float) == 0


def test_times_are_those_of_the_device(device):
    memory = device.allocate(64 << 20)
    small = lambda: device.clear(memory.address, 256)
    large = lambda: [device.clear(memory.address, 64 << 20) for _ in range(20)]
    device.timed([small, large])
    first, second = device.timed([small, large])
    assert 0 < first < second < 10**10


def test_memory_is_used_again_in_order(device):
    size = 32 << 20
    kept = [device.allocate(size) for _ in range(6)]
    for k, target in enumerate(kept):
        source = device.allocate(size)
        device.put(source.address, np.full(size, k, np.uint8))
        device.copy(target.address, source.address, size)
        del source
    for k, target in enumerate(kept):
        assert (fetched(device, target.address, size, np.uint8) == k).all()


@real  # where memory is the host's, there may be as much
def test_out_of_memory(device):
    with pytest.raises(OutOfMemoryError, match="bytes are free"):
        device.allocate(1 << 50)
    device.allocate(1 << 20)


def test_many_threads(device):
    """Each needs the driver's context; orders of one do not come between those of another."""
    failed = []

    def work(number):
        try:
            memory = device.allocate(1 << 16)
            for k in range(20):
                with device.lock:
                    device.put(memory.address, np.full(1 << 16, number + k, np.uint8))
                    found = fetched(device, memory.address, 1 << 16, np.uint8)
                assert (found == number + k).all()
                device.record(lambda: device.clear(memory.address, 256)).replay()
        except BaseException as e:
            failed.append(e)

    threads = [threading.Thread(target=work, args=(10 * n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


@pytest.mark.filterwarnings("ignore")  # of others, who do not like forks either
def test_a_forked_child_is_told(device):
    device.wait()
    child = os.fork()
    if child == 0:
        try:
            device.wait()
        except DeviceError as e:
            os._exit(0 if "spawn" in str(e) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    device.wait()


LOST = """
import sys
sys.path[:0] = {path!r}
import numpy as np
import test_device
from symnet.backends.gpu.devices import device
from symnet.errors import DeviceLostError

gpu = device("cuda")
kernel = test_device.kernel("*(long long*)words.w[0] = 1;", [16])
gpu.load([kernel.source])
memory = gpu.allocate(8)
gpu.launch(kernel, memory.address, memory.address)
for order in (gpu.wait, gpu.wait, lambda: gpu.allocate(8)):
    try:
        order()
    except DeviceLostError as e:
        print(e)
"""


def kernel(text, words):
    """One block of a text of our own."""
    head = 'extern "C" __global__ void __launch_bounds__(256)\nENTRY(const symnet_words<'
    rest = "> words, const long long* live, long long* error)"
    source = Source(f"{head}{len(words)}{rest}\n{{\n{text}\n}}\n", (), len(words), 1, False)
    return BoundKernel(source, Launch(1), np.array(words, np.int64), 0)


@real
def test_a_lost_device_is_an_error_and_no_hang():
    code = LOST.format(path=sys.path)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.count("cannot use it any more") == 3, done.stdout + done.stderr


@real
def test_more_than_48_kb_of_shared_memory(device):
    size = device.geometry.shared
    text = f"""
    long long* const all = (long long*)symnet_dynamic;
    for (int k = threadIdx.x; k < {size // 8}; k += 256) all[k] = k;
    __syncthreads();
    long long sum = 0;
    if (threadIdx.x == 0) {{
        for (int k = 0; k < {size // 8}; k++) sum += all[k];
        *(long long*)words.w[0] = sum;
    }}
    """
    memory = device.allocate(8)
    one = kernel(text, [memory.address])
    one = BoundKernel(one.source, Launch(1, shared=size), one.words, 0)
    device.load([one.source])
    device.launch(one, memory.address, memory.address)
    count = size // 8
    assert fetched(device, memory.address, 1, np.int64) == count * (count - 1) // 2
