"""The intrinsics do what they say, and loops over scoped accesses vectorise without checks."""

import ctypes
import itertools
import re
import sys

import numba
import numpy as np
import pytest

from symnet.kernels import intrinsics

STEP = "void(int64, int64, int64, int64)"
_names = itertools.count()


def compiled(body, signature=STEP, head="args, lo, hi, thread"):
    """The cfunc of a kernel given as the text of its body."""
    name = f"kernel_{next(_names)}"
    lines = "\n".join("    " + line for line in body.strip("\n").split("\n"))
    scope = vars(intrinsics) | {"np": np}
    exec(f"def {name}({head}):\n{lines}\n", scope)
    return numba.cfunc(signature, error_model="numpy")(scope[name])


def words(*values):
    return np.array([v.ctypes.data if isinstance(v, np.ndarray) else v for v in values], np.int64)


def run(kernel, block, lo, hi, thread=0):
    kernel.ctypes(block.ctypes.data, lo, hi, thread)


def vector_lines(kernel):
    return re.findall(r"[yz]mm", kernel.inspect_llvm() and kernel._library.get_asm_str())


@pytest.mark.parametrize("name", sorted(intrinsics.DTYPES))
def test_load_and_store_of_every_dtype(name):
    kernel = compiled(
        f"""
p, q = as_ptr_{name}(invariant_word(args, 0)), as_ptr_{name}(invariant_word(args, 1))
for i in range(lo, hi):
    store_1(q, i, load_0(p, i))
"""
    )
    source = np.arange(70).astype(name)
    target = np.zeros_like(source)
    run(kernel, words(source, target), 2, 67)
    assert (target[2:67] == source[2:67]).all() and not target[:2].any() and not target[67:].any()


def test_any_nonzero_byte_is_true_and_true_is_stored_as_one():
    kernel = compiled(
        """
p, q = as_ptr_bool(invariant_word(args, 0)), as_ptr_bool(invariant_word(args, 1))
for i in range(lo, hi):
    store_1(q, i, not load_0(p, i))
"""
    )
    source, target = np.array([0, 1, 2, 255], np.uint8), np.full(4, 7, np.uint8)
    run(kernel, words(source, target), 0, 4)
    assert target.tolist() == [1, 0, 0, 0]


ELEMENTWISE = """
p, q = as_ptr_float32(invariant_word(args, 0)), as_ptr_float32(invariant_word(args, 1))
r = as_ptr_float32(invariant_word(args, 2))
for i in range(lo, hi):
    {store}(r, i, {load}(p, i) * {load}(q, i))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads x86 assembly")
def test_scoped_loops_vectorise_without_overlap_checks():
    scoped = compiled(ELEMENTWISE.format(load="load_0", store="store_1"))
    plain = compiled(ELEMENTWISE.format(load="load", store="store"))
    assert vector_lines(scoped)
    assert "vector.memcheck" not in scoped._library.get_llvm_str()
    assert "vector.memcheck" in plain._library.get_llvm_str()


@pytest.mark.parametrize("step", ["add_reassoc", "max_step", "min_step"])
def test_reductions_vectorise(step):
    kernel = compiled(
        f"""
p, q = as_ptr_float32(invariant_word(args, 0)), as_ptr_float32(invariant_word(args, 1))
total = load_0(p, lo)
for i in range(lo + 1, hi):
    total = {step}(total, load_0(p, i))
store_1(q, 0, total)
"""
    )
    assert vector_lines(kernel)
    data = np.random.default_rng(1).integers(-999, 999, 1003).astype(np.float32)
    out = np.zeros(1, np.float32)
    run(kernel, words(data, out), 0, data.size)
    expected = {"add_reassoc": np.sum, "max_step": np.max, "min_step": np.min}[step](data)
    assert out[0] == expected
    if step != "add_reassoc":
        data[500] = np.nan
        run(kernel, words(data, out), 0, data.size)
        assert np.isnan(out[0])


@pytest.mark.parametrize("name", ["int8", "uint8", "int64", "uint64", "float64", "bool"])
def test_extremum_orders_each_dtype(name):
    kernel = compiled(
        f"""
p = as_ptr_{name}(invariant_word(args, 0))
store(p, 2, max_step(load(p, 0), load(p, 1)))
store(p, 3, min_step(load(p, 0), load(p, 1)))
"""
    )
    dtype = np.dtype(name)
    low = 0 if dtype.kind in "ub" else -3
    high = 1 if dtype.kind == "b" else np.iinfo(dtype).max if dtype.kind in "iu" else 1e300
    for pair in ((low, high), (high, low)):
        data = np.array([*pair, 0, 0], dtype)
        run(kernel, words(data), 0, 0)
        assert data[2] == max(data[:2]) and data[3] == min(data[:2])


def test_ordinary_addition_is_not_reassociated():
    kernel = compiled(
        """
p = as_ptr_float32(invariant_word(args, 0))
total = np.float32(0)
for i in range(lo, hi):
    total = total + load_0(p, i)
store_0(p, 0, total)
"""
    )
    data = np.random.default_rng(2).standard_normal(1001).astype(np.float32)
    expected = np.float32(0)
    for value in data:
        expected = np.float32(expected + value)
    run(kernel, words(data), 0, data.size)
    assert data[0] == expected


def test_bits_and_back():
    kernel = compiled(
        """
p = as_ptr_int64(invariant_word(args, 0))
f, d = as_ptr_float32(invariant_word(args, 1)), as_ptr_float64(invariant_word(args, 2))
store(p, 0, float32_to_bits(load(f, 0)))
store(p, 1, float64_to_bits(load(d, 0)))
store(f, 1, bits_to_float32(np.int32(load(p, 0))))
store(d, 1, bits_to_float64(load(p, 1)))
"""
    )
    out, f, d = np.zeros(2, np.int64), np.array([-1.5, 0], "f4"), np.array([-2.25, 0])
    run(kernel, words(out, f, d), 0, 0)
    assert out[0] == f[:1].view(np.int32)[0] and out[1] == d[:1].view(np.int64)[0]
    assert f[1] == f[0] and d[1] == d[0]


@pytest.mark.parametrize("name", ["int32", "int64"])
def test_atomics(name):
    kernel = compiled(
        f"""
p = as_ptr_{name}(invariant_word(args, 0))
atomic_store(p, 1, atomic_load(p, 0))
store(p, 3, atomic_add(p, 2, 5))
store(p, 4, atomic_cas(p, 0, 7, 70))
store(p, 5, atomic_cas(p, 0, 8, 80))
store(p, 6, atomic_exchange(p, 1, 9))
"""
    )
    data = np.array([7, 0, 1, 0, 0, 0, 0], name)
    run(kernel, words(data), 0, 0)
    assert data.tolist() == [70, 9, 6, 1, 7, 70, 7]


def test_calls_by_address():
    inner = compiled(
        """
p = as_ptr_int64(args)
p[0], p[1], p[2] = lo, hi, thread
"""
    )
    outer = compiled(
        """
call_step(invariant_word(args, 0), invariant_word(args, 1), lo + 1, hi + 1, thread + 1)
r = as_ptr_int64(invariant_word(args, 1))
r[3] = call_integer(invariant_word(args, 2), -41)
call_void(invariant_word(args, 0), invariant_word(args, 3), 5, 6, 7)
"""
    )
    labs = ctypes.cast(ctypes.CDLL(None).labs, ctypes.c_void_p).value
    out, other = np.zeros(4, np.int64), np.zeros(3, np.int64)
    run(outer, words(inner.address, out, labs, other), 10, 20, 30)
    assert out.tolist() == [11, 21, 31, 41] and other.tolist() == [5, 6, 7]


@pytest.mark.skipif(sys.platform != "linux", reason="system call numbers of Linux")
def test_system_call():
    syscall = ctypes.cast(ctypes.CDLL(None).syscall, ctypes.c_void_p).value
    kernel = compiled(
        """
p = as_ptr_int64(args)
p[1] = system_call(p[0], 39, 0, 0, 0, 0, 0, 0)
"""
    )
    block = words(syscall, 0)
    run(kernel, block, 0, 0)
    assert block[1] > 0


def test_stack_and_memory_operations():
    kernel = compiled(
        """
room = stack_float64(32)
base = address_of(room)
memory_fill(base, 255, 256)
memory_copy(base, args, 8 * hi)
prefetch(room, 3)
pause()
memory_move(base + 8, base, 8 * hi)
memory_copy(args, base, 8 * (hi + 1))
p = as_ptr_int64(args)
p[hi + 1] = base % 64
p[hi + 2] = as_ptr_int64(base)[31]
"""
    )
    block = np.arange(1, 9, dtype=np.int64)
    run(kernel, block, 0, 4)
    assert block.tolist() == [1, 1, 2, 3, 4, 0, -1, 8]


def test_gemm_and_gemv_by_address():
    library = pytest.importorskip("scipy_openblas32")
    blas = ctypes.CDLL(f"{library.get_lib_dir()}/lib{library.get_library()}.so")
    rng = np.random.default_rng(0)
    for letter, dtype in (("s", "float32"), ("d", "float64")):
        a, b = rng.random((3, 5)).astype(dtype), rng.random((4, 5)).astype(dtype)
        c, x, y = np.ones((3, 4), dtype), rng.random(5).astype(dtype), np.ones(3, dtype)
        gemm, gemv = (
            ctypes.cast(getattr(blas, f"scipy_cblas_{letter}{kind}"), ctypes.c_void_p).value
            for kind in ("gemm", "gemv")
        )
        expected, vector = 2 * a @ b.T + 3 * c, 2 * a @ x + 3 * y
        kernel = compiled(
            f"""
w = as_ptr_int64(args)
call_{letter}gemm(w[0], 111, 112, 3, 4, 5, 2.0, w[2], 5, w[3], 5, 3.0, w[4], 4)
call_{letter}gemv(w[1], 111, 3, 5, 2.0, w[2], 5, w[5], 1, 3.0, w[6], 1)
"""
        )
        run(kernel, words(gemm, gemv, a, b, c, x, y), 0, 0)
        np.testing.assert_allclose(c, expected, rtol=1e-6)
        np.testing.assert_allclose(y, vector, rtol=1e-6)


@pytest.mark.parametrize("rows", [1, 5, 16, 40])
@pytest.mark.parametrize("columns", [1, 7, 16, 40])
def test_transposing_squares(rows, columns):
    """Rows beyond the last repeat it, columns beyond the last are 0 and are not read; on the way
    back nothing else is written."""
    size = intrinsics.TILE
    there = compiled(
        """
p, q = as_ptr_float32(invariant_word(args, 0)), as_ptr_float32(invariant_word(args, 1))
transpose_in(q, 3, 64, p, 0, 50, lo, hi)
"""
    )
    back = compiled(
        """
p, q = as_ptr_float32(invariant_word(args, 0)), as_ptr_float32(invariant_word(args, 1))
transpose_out(p, 0, 50, q, 3, 64, lo, hi)
"""
    )
    source = np.arange(size * 50, dtype="float32").reshape(size, 50)
    square = np.full((size, 64), -1, "float32")
    run(there, words(source, square), rows, columns)
    inside = source[np.minimum(np.arange(size), rows - 1), :size].copy()
    inside[:, columns:] = 0
    assert (square[:, 3 : 3 + size] == inside.T).all()
    assert (square[:, :3] == -1).all() and (square[:, 3 + size :] == -1).all()
    target = np.full((size, 50), -2, "float32")
    run(back, words(target, square), rows, columns)
    written = np.full_like(target, -2)
    written[:rows, : min(columns, size)] = source[:rows, : min(columns, size)]
    assert (target == written).all()
