"""The threads that run the tape: few, well-mannered, and ours (design D16).

One region runs at a time per process: a sequence of steps, each cut into slabs. The native half is
tape_native.py; its memory is one block of words (tape_layout.py) that is never freed, since a
worker may look at it until the process ends.

The protocol. TURN is one 64-bit word, (sequence << 24 | slabs taken from the back
<< 12 | slabs taken from the front). Slot `sequence % 64` of a
ring describes the published step. A thread reads the slot and takes a slab by compare-and-swap of
TURN: success proves that the sequence had not moved on, so what it read was current, and the slot
cannot be reused before the slab is done. After its slab a thread raises the slot's DONE; whoever
completes the last slab carries the region on: it runs the steps of one slab itself, publishes the
next step with several, or declares the region finished. So

- nobody waits for a thread that has not taken a slab: the caller takes all that nobody else took;
- a worker touches a program's memory only while it holds a slab, so a region that is finished, or
  a call that was never published, leaves no thread behind in memory that is then freed;
- results depend on how a step was cut, never on who ran what.

A second caller that finds the pool busy runs its own slabs in order, alone. Idle workers spin for
`IDLE_NS`, then sleep on a futex. Publishing makes a system call only when somebody sleeps, and when
waking them pays: not for a call that last took less than `WORTH_NS` and comes after a pause. A
forked child has no workers and starts its own when it first shares a step. Where threads cannot be
created everything runs on the caller.

Sharing can be slower than not sharing: for calls of some 50 us, and whenever other processes or
other libraries' threads occupy the processors, so that a worker loses its processor for
milliseconds while it holds a slab. So a frame compares: short runs (and long ones in which the
caller mostly waited) are now and then done alone, and while sharing has been the slower way the
frame runs alone, for at most 64 ms before it tries the workers again.
"""

import contextlib
import ctypes
import functools
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from symnet.backends.cpu import tape_layout as layout
from symnet.backends.cpu.native import word_functions
from symnet.config import config
from symnet.errors import BackendError

SPIN_NS = 5_000
LINGER_NS = 1_000_000
IDLE_NS = 20_000
WORTH_NS = 100_000

_FUTEX_CALLS = {"x86_64": 202, "aarch64": 98, "riscv64": 98}
_FATAL = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGABRT")

_NO_CLOCK = "def no_clock(clock, time):\n    time[0], time[1] = 0, 0\n"

_lock = threading.Lock()
_pool: "Pool | None" = None


def thread_count() -> int:
    """Threads for compiled code: `config.threads`, or what this process may use when that is 0."""
    return min(config.threads or available_threads(), layout.MAX_THREADS)


def available_threads() -> int:
    """Processors this process may run on, no more than its control group's quota, rounded up."""
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1
    return max(1, math.ceil(min(processors, _quota())))


def pool() -> "Pool":
    """The process's pool. Its threads start when a step is first shared."""
    global _pool
    if _pool is None:
        with _lock:
            if _pool is None:
                _pool = Pool()
    return _pool


class Pool:
    """The pool's words in memory, and the addresses of the native functions.

    `address` goes into every frame's POOL word; `functions` are the entries of tape_native.py.
    """

    def __init__(self) -> None:
        _check_object_layout()
        folder = Path(__file__).parent
        text = (folder / "tape_native.py").read_text("utf-8")
        self.functions = word_functions(text, vars(layout))
        self.address = _allocate(layout.POOL_WORDS)
        span = ctypes.c_int64 * layout.POOL_WORDS
        self.words = np.frombuffer(span.from_address(self.address), np.int64)
        self._signals = _signal_set()
        self.reset()
        words = self.words
        words[layout.SPIN_NS] = SPIN_NS
        words[layout.LINGER_NS] = LINGER_NS
        words[layout.IDLE_NS] = IDLE_NS
        words[layout.WORTH_NS] = WORTH_NS
        words[layout.SIGNALS] = self._signals.ctypes.data
        words[layout.SIG_SETMASK] = getattr(signal, "SIG_SETMASK", 0)
        words[layout.CLOCK_ID] = getattr(time, "CLOCK_MONOTONIC", 0)
        for word, name in _C_FUNCTIONS.items():
            words[word] = _c_function(name)
        if sys.platform == "linux" and words[layout.SYSCALL]:
            words[layout.FUTEX_CALL] = _FUTEX_CALLS.get(os.uname().machine, 0)
        if not words[layout.CLOCK]:
            words[layout.CLOCK] = word_functions(_NO_CLOCK, {})["no_clock"]
        posix = (layout.CREATE, layout.DETACH, layout.SIGMASK, layout.YIELD, layout.SLEEP)
        words[layout.NO_THREADS] = not all(words[word] for word in posix)

    def reset(self) -> None:
        """Forget regions and workers: at the start, and in a forked child."""
        words = self.words
        words[layout.TURN] = (words[layout.TURN] >> layout.TICKET_BITS) + 1 << layout.TICKET_BITS
        words[layout.SLOTS :] = 0
        words[layout.SLEEPERS] = words[layout.BUSY] = 0
        words[layout.STARTED] = words[layout.FINISHED] = 1
        words[layout.RECORDS] = self.address

    @property
    def started(self) -> int:
        """Threads that exist, the caller included."""
        return int(self.words[layout.STARTED])


_C_FUNCTIONS = {
    layout.SYSCALL: "syscall",
    layout.YIELD: "sched_yield",
    layout.CLOCK: "clock_gettime",
    layout.SLEEP: "usleep",
    layout.CREATE: "pthread_create",
    layout.DETACH: "pthread_detach",
    layout.SIGMASK: "pthread_sigmask",
}


def _c_function(name: str) -> int:
    """Address of a function of the C library, 0 where there is none."""
    try:
        function = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return 0
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _allocate(words: int) -> int:
    """Zeroed memory on a cache line's boundary that outlives the interpreter."""
    calloc = ctypes.pythonapi.PyMem_RawCalloc
    calloc.restype, calloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t, ctypes.c_size_t]
    address = calloc(words + 16, layout.WORD)
    if not address:
        raise MemoryError("no memory for the thread pool")
    return (address + 127) // 128 * 128


def _signal_set() -> np.ndarray:
    """All signals but those that report a fault: Python's handlers belong to Python's threads."""
    bits = np.full(128, 0xFF, np.uint8)
    for name in _FATAL:
        number = int(getattr(signal, name, 1)) - 1
        bits[number // 8] &= ~np.uint8(1 << number % 8)
    return bits


@functools.cache
def _quota() -> float:
    """Processors that the control group grants, infinite without a limit."""
    limits = [math.inf]
    try:
        groups = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return math.inf
    for line in groups:
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
                limits += _limits(Path(root), group, _quota_v2)
        elif "cpu" in controllers.split(","):
            for root in ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"):
                limits += _limits(Path(root), group, _quota_v1)
    return min(limits)


def _limits(root: Path, group: str, read: Callable[[Path], float]) -> list[float]:
    """The quotas of a group and of all groups around it."""
    found = []
    inner = root / group.strip("/")
    for folder in (inner, *inner.parents):
        with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
            found.append(read(folder))
        if folder == root:
            break
    return found


def _quota_v2(folder: Path) -> float:
    quota, period = (folder / "cpu.max").read_text().split()
    return math.inf if quota == "max" else int(quota) / int(period)


def _quota_v1(folder: Path) -> float:
    quota = int((folder / "cpu.cfs_quota_us").read_text())
    return math.inf if quota <= 0 else quota / int((folder / "cpu.cfs_period_us").read_text())


def _check_object_layout() -> None:
    """Compare what native code will read of arrays and tuples with what they say themselves."""
    for sample in (np.zeros((3, 5), np.float32), np.zeros((2, 4, 6))[:, ::2], np.array(7, "i2")):
        array = id(sample) + layout.OBJECT_HEADER
        shape = _word(array + layout.ARRAY_SHAPE) if sample.ndim else 0
        flags = _half(array + layout.ARRAY_FLAGS)
        if (
            _word(array - layout.WORD) != id(np.ndarray)
            or _word(array + layout.ARRAY_DATA) != sample.ctypes.data
            or _half(array + layout.ARRAY_NDIM) != sample.ndim
            or _word(array + layout.ARRAY_DTYPE) != id(sample.dtype)
            or any(
                _word(shape + layout.WORD * axis) != size for axis, size in enumerate(sample.shape)
            )
            or bool(flags & layout.C_CONTIGUOUS) != sample.flags.c_contiguous
            or bool(flags & layout.ALIGNED) != sample.flags.aligned
            or bool(flags & layout.WRITEABLE) != sample.flags.writeable
        ):
            raise BackendError(f"NumPy {np.__version__} lays out its arrays in an unknown way")
    items = ("a", "b")
    second = id(items) + layout.TUPLE_ITEMS + layout.WORD
    if _word(id(items) + layout.TUPLE_SIZE) != 2 or _word(second) != id(items[1]):
        raise BackendError(f"Python {sys.version.split()[0]} lays out tuples in an unknown way")


def _word(address: int) -> int:
    return ctypes.c_int64.from_address(address).value


def _half(address: int) -> int:
    return ctypes.c_int32.from_address(address).value


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    if _pool is not None:
        _pool.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
