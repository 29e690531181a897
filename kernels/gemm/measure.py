"""What the own kernel gains: `python -m symnet.kernels.gemm.measure [--axes] [float64]`.

Runs the gemms of the two networks of the benchmarks, and others, on two threads: through NumPy with
its own threads, through the private BLAS in slabs, and through our kernel in slabs. Prints the
fastest of many interleaved passes of each in microseconds, and ratios: the fastest, because a pass
in which somebody else had a core says nothing about the kernels. The slabs run in a native loop
with a spinning barrier after every step, one Python thread each, so nothing of the pool or the
interpreter is in the times.
"""

import ctypes
import importlib.util
import sys
import threading
import time
from pathlib import Path

import numpy as np
from numba import cfunc, types

from symnet.kernels import gemm
from symnet.kernels.gemm import cpu
from symnet.kernels.intrinsics import (
    as_ptr_int64,
    atomic_add,
    atomic_load,
    call_integer,
    call_step,
    pause,
)

THREADS = 2
ROUNDS = 5
STEP = types.void(*[types.int64] * 4)
SMALL = [
    ("NN", 16, 100, 784),
    ("NN", 16, 10, 100),
    ("TN+", 100, 10, 16),
    ("NT", 16, 100, 10),
    ("TN+", 784, 100, 16),
]
LARGE = [
    ("NN", 128, 1000, 784),
    ("NN", 128, 10, 1000),
    ("TN+", 1000, 10, 128),
    ("NT", 128, 1000, 10),
    ("TN+", 784, 1000, 128),
]
OTHER = [
    ("NT", 128, 784, 1000),
    ("NN", 128, 512, 128),
    ("NN", 64, 64, 64),
    ("NN", 256, 256, 256),
    ("NN", 512, 512, 512),
    ("NN", 1024, 1024, 1024),
    ("NN", 1, 1000, 784),
    ("NN", 1000, 1, 784),
    ("NN", 1000, 1000, 1),
    ("NN", 20000, 20, 25),
    ("NN", 2048, 2048, 2048),
]


def private_blas():
    """(name of its kernels, {dtype: address of gemm}) of the wheel scipy-openblas32, one thread."""
    folder = Path(importlib.util.find_spec("scipy_openblas32").origin).parent / "lib"
    (path,) = (p for p in folder.iterdir() if "openblas" in p.name and p.is_file())
    library = ctypes.CDLL(str(path))
    library.scipy_openblas_set_num_threads(1)
    library.scipy_openblas_get_corename.restype = ctypes.c_char_p
    address = lambda function: ctypes.cast(function, ctypes.c_void_p).value
    addresses = {
        "float32": address(library.scipy_cblas_sgemm),
        "float64": address(library.scipy_cblas_dgemm),
    }
    return library.scipy_openblas_get_corename().decode(), addresses


def drive(block, thread):
    """Run a table of steps `groups` times `repeats` times, and keep the fastest group's time.

    A row of the table: (function, args, lo and hi for every thread)."""
    words = as_ptr_int64(block)
    groups, repeats, steps, table = words[0], words[1], words[2], words[3]
    gate, threads, clock, times = as_ptr_int64(words[4]), words[5], words[6], words[7]
    width = 2 + 2 * threads
    passed, fastest = 0, 1 << 62
    now = as_ptr_int64(times)
    for _ in range(groups):
        if thread == 0:
            call_integer(clock, 1, times)
        start = now[0] * 1000000000 + now[1]
        for step in range(-1, repeats * steps):  # -1: nobody starts before the clock is read
            row = as_ptr_int64(table + 8 * (step % steps) * width)
            if step >= 0 and row[2 + 2 * thread] < row[3 + 2 * thread]:
                call_step(row[0], row[1], row[2 + 2 * thread], row[3 + 2 * thread], thread)
            atomic_add(gate, 0, 1)
            passed += threads
            while atomic_load(gate, 0) < passed:
                pause()
        if thread == 0:
            call_integer(clock, 1, times)
            fastest = min(fastest, now[0] * 1000000000 + now[1] - start)
            words[8] = fastest


class Case:
    """One gemm with its operands."""

    def __init__(self, form, m, n, k, dtype):
        rng = np.random.default_rng(0)
        self.ta, self.tb, self.adds = form[0] == "T", form[1] == "T", form.endswith("+")
        draw = lambda *shape: rng.standard_normal(shape).astype(dtype)
        self.a = draw(*(k, m) if self.ta else (m, k))
        self.b = draw(*(n, k) if self.tb else (k, n))
        self.c, self.out = np.zeros((m, n), dtype), np.zeros((m, n), dtype)
        self.form, self.shape, self.dtype = form, (m, n, k), np.dtype(dtype)

    def numpy(self):
        np.dot(
            self.a.T if self.ta else self.a, self.b.T if self.tb else self.b, out=self.out
        )  # fmt: skip

    def row(self, function, blas, own, axis=None):
        """A row of the driver's table, and what it points to."""
        m, n, k = self.shape
        plan = gemm.plan(m, n, k, self.dtype, THREADS, tb=self.tb)
        slabs, align = plan.slabs, plan.align
        if axis is not None and axis != plan.axis:
            slabs, align = THREADS, gemm.alignment(axis, self.dtype)
        axis = plan.axis if axis is None else axis
        args = gemm.arguments(
            self.a, self.b, self.c, ta=self.ta, tb=self.tb, alpha=-0.001 if self.adds else 1.0,
            beta=float(self.adds), axis=axis, own=own, blas=blas,
        )  # fmt: skip
        extent = (m, n, 1)[axis]
        bounds = [extent * s // slabs // align * align for s in range(slabs)] + [extent]
        # slab by slab in turn; slabs that one thread gets lie next to each other here
        edges = [bounds[slabs * t // THREADS] for t in range(THREADS)] + [extent]
        spans = [edge for t in range(THREADS) for edge in (edges[t], edges[t + 1])]
        if slabs == 1:
            spans = [0, extent] + [0, 0] * (THREADS - 1)
        return [function, args.ctypes.data, *spans], args


def slabs_us(driver, rows, groups, repeats):
    """Microseconds of the fastest group of passes over the table, two threads."""
    table, gate, now = np.array(rows, "i8"), np.zeros(8, "i8"), np.zeros(2, "i8")
    clock = ctypes.cast(ctypes.CDLL(None).clock_gettime, ctypes.c_void_p).value
    addresses = [table.ctypes.data, gate.ctypes.data, THREADS, clock, now.ctypes.data, 0]
    block = np.array([groups, repeats, len(rows), *addresses], "i8")
    threads = [
        threading.Thread(target=driver, args=(block.ctypes.data, thread))
        for thread in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return block[8] / repeats / 1000


def numpy_us(cases, groups, repeats):
    """Microseconds of the same gemms through NumPy, with its own threads: the fastest group."""
    fastest = float("inf")
    for _ in range(groups):
        start = time.perf_counter()
        for _ in range(repeats):
            for case in cases:
                case.numpy()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest / repeats * 1e6


def measure(driver, function, blas, cases, axis=None):
    """Microseconds of a list of cases: (NumPy, BLAS in slabs, own kernel in slabs)."""
    work = sum(2.0 * np.prod(case.shape) for case in cases) + 1e5
    repeats = max(1, int(5e6 / work))
    groups = max(2, min(200, int(2e9 / (work * repeats))))
    tables = [[case.row(function, blas, own, axis) for case in cases] for own in (0, 1)]
    times = [[], [], []]
    for _ in range(ROUNDS):
        times[0].append(numpy_us(cases, groups, repeats))
        time.sleep(0.05)  # NumPy's BLAS threads keep spinning for a while
        for own in (0, 1):
            rows = [row for row, _ in tables[own]]
            times[1 + own].append(slabs_us(driver, rows, groups, repeats))
    return [min(t) for t in times]


def main(arguments):
    """Print the table."""
    dtype = np.dtype("float64" if "float64" in arguments else "float32")
    library, addresses = private_blas()
    blas = addresses[dtype.name]
    step = cfunc(STEP, error_model="numpy")(cpu.sgemm if dtype.itemsize == 4 else cpu.dgemm)
    native = cfunc(types.void(types.int64, types.int64), error_model="numpy")(drive)
    driver = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64)(native.address)
    print(f"{library}, {dtype}, {gemm.vector_bytes()}-byte vectors, {THREADS} threads")
    print("| case | axis | NumPy us | BLAS slabs us | own us | own/NumPy | own/BLAS | plan |")
    print("|---|---|---|---|---|---|---|---|")

    def line(name, cases, axis=None):
        plan = gemm.plan(*cases[0].shape, dtype, THREADS)
        bare, theirs, ours = measure(driver, step.address, blas, cases, axis)
        shown = ["rows", "columns", "matrices"][plan.axis if axis is None else axis]
        used = "own" if plan.own else "BLAS"
        if len(cases) > 1:
            shown, used = ("planned" if axis is None else shown), ""
        print(
            f"| {name} | {shown} | {bare:.2f} | {theirs:.2f} | {ours:.2f} |"
            f" {ours / bare:.2f} | {ours / theirs:.2f} | {used} |",
            flush=True,
        )

    axes = [gemm.BY_ROWS, gemm.BY_COLUMNS] if "--axes" in arguments else [None]
    for title, shapes in (("five, B=16 H=100", SMALL), ("five, B=128 H=1000", LARGE)):
        cases = [Case(*shape, dtype) for shape in shapes]
        for axis in [None, *axes][bool(axes == [None]) :]:
            line(title, cases, axis)
    for shape in SMALL + LARGE + OTHER:
        case = Case(*shape, dtype)
        for axis in axes:
            line(f"{shape[0]} {'x'.join(map(str, shape[1:]))}", [case], axis)


if __name__ == "__main__":
    main(sys.argv[1:])
