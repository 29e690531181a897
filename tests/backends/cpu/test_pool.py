"""The pool among others: forks, few cores, no threads, other callers, sleep, signals, exit."""

import math
import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from tape_frames import Frame, Step

from symnet.backends.cpu import compile, pool, tape
from symnet.backends.cpu import tape_layout as layout
from symnet.config import config

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

KERNELS = """
from symnet.kernels.intrinsics import *

def work(args, lo, hi, thread):
    x, threads = as_ptr_int64(invariant_word(args, 0)), as_ptr_int64(invariant_word(args, 1))
    for _ in range(invariant_word(args, 2)):
        pause()
    for i in range(lo, hi):
        x[i] = x[i] * 3 + i
    atomic_add(threads, thread, 1)
"""


NEVER = 2**62  # on the clock: a frame that learned then always shares its steps


class Job:
    """Repeated steps over one array; `expected()` is what they compute in one call."""

    def __init__(self, threads, steps=20, slabs=4, pauses=200, size=1000):
        function = compile.native_function(KERNELS, "work")
        self.x, self.by_thread = np.zeros(size, np.int64), np.zeros(layout.MAX_THREADS, np.int64)
        self.args = np.array([self.x.ctypes.data, self.by_thread.ctypes.data, pauses], np.int64)
        step = Step(function, self.args.ctypes.data, size, slabs=slabs)
        whole = Step(function, self.args.ctypes.data, size)
        program = tape.ShapeProgram()
        self.steps = steps
        self.frame = Frame(program, [step, step, whole] * steps, threads=threads)
        self.frame.words[layout.LEARNED] = NEVER

    def call(self):
        self.x[:] = 0
        assert tape.calls().call(self.frame.address) == layout.OK
        return np.array_equal(self.x, self.expected())

    def expected(self):
        x = np.zeros(len(self.x), np.int64)
        for _ in range(3 * self.steps):
            x = x * 3 + np.arange(len(x))
        return x


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYMNET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def process(text, *command, **environment):
    """Run the text in a new process after the definitions above; fails when it hangs."""
    head = f"""
import sys, time
sys.path.insert(0, {os.path.dirname(__file__)!r})
from symnet.backends.cpu import native
from test_pool import *
"""
    code = head + textwrap.dedent(text)
    done = subprocess.run(
        [*command, sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_workers_take_part():
    job = Job(2, pauses=3000)
    for _ in range(20):
        assert job.call()
        if job.by_thread[1]:
            break
    assert job.by_thread[0] and job.by_thread[1] and not job.by_thread[2:].any()


def test_nothing_to_share_starts_nothing():
    process("assert Job(4, slabs=1).call() and pool.pool().started == 1")
    process("assert Job(1, slabs=4).call() and pool.pool().started == 1")


def test_more_threads_than_processors_and_fewer_again():
    for threads in (1, 3, 7, 2):
        job = Job(threads, slabs=9)
        for _ in range(10):
            assert job.call()
        assert not job.by_thread[threads:].any()
    assert pool.pool().started >= 7


def test_threads_calling_at_once_disturb_nobody():
    jobs = [Job(2, steps=5) for _ in range(4)]
    right = []

    def loop(job):
        for _ in range(50):
            right.append(job.call())

    callers = [threading.Thread(target=loop, args=(job,)) for job in jobs]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert right == [True] * 200


FORK = """
    job = Job(2)
    assert job.call()
    child = os.fork()
    if child == 0:
        fresh = Job(2)
        started = pool.pool().started
        os._exit(0 if started == 1 and fresh.call() and job.call()
                 and pool.pool().started == 2 else 1)
    assert job.call()
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_starts_its_own_workers():
    process(FORK, PYTHONWARNINGS="ignore::DeprecationWarning")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_child_forked_while_another_thread_runs_a_region():
    text = """
    busy, other = Job(2, pauses=2_000_000), Job(2)
    thread = threading.Thread(target=busy.call)
    thread.start()
    while not pool.pool().words[layout.BUSY]:
        pass
    child = os.fork()
    if child == 0:
        os._exit(0 if other.call() and pool.pool().started == 2 else 1)
    assert os.waitpid(child, 0)[1] == 0
    os._exit(0)
    """
    process(text, PYTHONWARNINGS="ignore::DeprecationWarning")


@needs_linux
def test_pinned_to_one_processor():
    text = """
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    assert pool.available_threads() == 1 == pool.thread_count()
    for threads in (1, 2, 3):
        assert all(Job(threads).call() for _ in range(5))
    """
    process(text)


def test_under_a_thread_limit_of_openmp():
    process("assert all(Job(2).call() for _ in range(5))", OMP_THREAD_LIMIT="1")


def test_where_threads_cannot_be_created():
    text = """
    p = pool.pool()
    refuse = native.word_functions("def refuse(a, b, c, d):\\n    return 11\\n", {})["refuse"]
    p.words[layout.CREATE] = refuse
    assert all(Job(2).call() for _ in range(5)) and p.started == 1
    """
    process(text)


def test_without_a_futex():
    text = """
    pool.pool().words[layout.FUTEX_CALL] = 0
    job = Job(2)
    for _ in range(20):
        assert job.call()
        time.sleep(0.002)
    assert job.by_thread[1] > 0
    """
    process(text)


def test_frames_stop_sharing_where_it_is_slower_and_try_again():
    job = Job(2, steps=1)
    words = job.frame.words

    def shared_calls(count):
        runs = 0
        for _ in range(count):
            words[layout.TOOK] = -1
            assert job.call()
            runs += words[layout.TOOK] != -1
        return runs

    assert shared_calls(10) == 10
    words[layout.LEARNED] = 0
    assert shared_calls(2) == 1  # short: one run alone, to compare
    assert words[layout.ALONE_NS] > 0 and words[layout.LEARNED] > 0
    words[layout.LEARNED] = NEVER
    words[layout.ALONE_NS] = 1  # sharing cannot win
    words[layout.ALONE_LEFT] = 0
    assert shared_calls(1000) == 1
    words[layout.ALONE_LEFT] = 1
    words[layout.ALONE_FOR] = 1000
    assert shared_calls(1 + layout.TRIAL) == layout.TRIAL
    words[layout.ALONE_NS] = 10**15  # sharing wins
    words[layout.ALONE_LEFT] = words[layout.TRIAL_LEFT] = 0
    assert shared_calls(100) == 100


def test_idle_workers_sleep():
    text = """
    jobs = [Job(3, pauses=3000) for _ in range(2)]
    for pauses in range(20):
        assert jobs[0].call()
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1
    assert jobs[1].call()
    """
    process(text)


def test_a_short_call_after_a_pause_wakes_nobody():
    text = """
    job, words = Job(2), pool.pool().words
    assert job.call()  # starts the worker

    def wakes(worth_ns):
        words[layout.WORTH_NS] = worth_ns
        words[layout.IDLE_NS] = 1
        while words[layout.SLEEPERS] == 0:
            time.sleep(0.001)
        words[layout.IDLE_NS] = 10**15  # nor during the call
        words[layout.ENDED] = -(10**18)
        before = words[layout.FUTEX]
        assert job.call()
        return words[layout.FUTEX] > before

    assert not wakes(10**18)
    assert wakes(0)
    """
    process(text)


@needs_linux
def test_workers_leave_signals_to_python():
    text = """
    import signal
    assert Job(2).call()
    caught = []
    signal.signal(signal.SIGUSR1, lambda *_: caught.append(1))
    interrupt, fault = 1 << signal.SIGINT - 1, 1 << signal.SIGSEGV - 1

    def sound():
        for task in os.listdir("/proc/self/task"):
            status = open(f"/proc/self/task/{task}/status").read()
            blocked = int(status.split("SigBlk:")[1].split()[0], 16)
            if blocked & interrupt and not blocked & fault:
                return True

    deadline = time.monotonic() + 20  # the worker may be slow to start
    while not sound():
        assert time.monotonic() < deadline
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []), "the caller's own mask is restored"
    os.kill(os.getpid(), signal.SIGUSR1)
    assert caught
    """
    process(text)


def test_the_process_ends_quietly_with_workers_awake():
    for _ in range(3):
        process("assert Job(4, pauses=3000).call()")


def test_thread_count_follows_the_setting():
    with config.change(threads=3):
        assert pool.thread_count() == 3
    with config.change(threads=100_000):
        assert pool.thread_count() == layout.MAX_THREADS
    with config.change(threads=0):
        assert pool.thread_count() == pool.available_threads() >= 1


def test_quota_of_control_groups(tmp_path, monkeypatch):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert pool._limits(tmp_path, "/a/b", pool._quota_v2) == []
    (inner / "cpu.max").write_text("max 100000\n")
    (tmp_path / "a" / "cpu.max").write_text("150000 100000\n")
    assert min(pool._limits(tmp_path, "/a/b", pool._quota_v2)) == 1.5
    for folder, quota in ((inner, "-1"), (tmp_path / "a", "250000")):
        (folder / "cpu.cfs_quota_us").write_text(quota)
        (folder / "cpu.cfs_period_us").write_text("100000")
    assert sorted(pool._limits(tmp_path, "/a/b", pool._quota_v1)) == [2.5, math.inf]
    monkeypatch.setattr(pool, "_quota", lambda: 0.3)
    assert pool.available_threads() == 1
