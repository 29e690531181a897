"""The gemm step against its NumPy reference: shapes, layouts, scalars, slabs, both ways."""

import ctypes
import functools
import itertools
import mmap
import random

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symnet.kernels import gemm
from symnet.kernels.gemm import reference
from symnet.kernels.gemm.measure import private_blas

STEP = "void(int64, int64, int64, int64)"
DTYPES = ("float32", "float64")


@functools.cache
def compiled(dtype, vector_bytes):
    """(cfunc, ctypes function) of the step, for vectors of another width than the machine's too."""
    native = gemm.vector_bytes
    text, _ = gemm.source()
    scope = {"__name__": f"gemm_of_{vector_bytes}"}
    try:
        gemm.vector_bytes = lambda: vector_bytes
        exec(compile(text, "gemm", "exec"), scope)
    finally:
        gemm.vector_bytes = native
    entry = scope["sgemm" if dtype == "float32" else "dgemm"]
    kernel = numba.cfunc(STEP, error_model="numpy")(entry)
    return kernel, kernel.ctypes


def run(words, cuts, dtype, vector_bytes=None):
    step = compiled(dtype, vector_bytes or gemm.vector_bytes())[1]
    for thread, (lo, hi) in enumerate(cuts):
        step(words.ctypes.data, lo, hi, thread)


def matrices(rng, dtype, batch, rows, cols, pad):
    """A stack of random matrices whose rows are `pad` elements apart; NaN in between."""
    whole = np.full((batch, rows, cols + pad), np.nan, dtype)
    inner = whole[:, :, :cols]
    inner[...] = rng.standard_normal(inner.shape)
    return whole, inner


def bound(a, b, c, alpha, beta, dtype):
    """Of rounding: (k + 4) eps (|alpha| |A| |B| + |beta C|), in any order of summation."""
    k = a.shape[-1]
    old = abs(beta * np.nan_to_num(c.astype("f8")))
    size = abs(alpha) * np.matmul(abs(a.astype("f8")), abs(b.astype("f8"))) + old
    return (k + 4) * np.finfo(dtype).eps * size + np.finfo(dtype).tiny


sizes = st.one_of(st.integers(0, 4), st.integers(5, 60), st.sampled_from([100, 129]))
depths = st.one_of(sizes, st.sampled_from([255, 256, 257, 515]))


@settings(max_examples=400, deadline=None)
@given(
    m=sizes, n=sizes, k=depths, ta=st.booleans(), tb=st.booleans(), own=st.booleans(),
    dtype=st.sampled_from(DTYPES), batch=st.sampled_from([1, 1, 3]),
    pads=st.tuples(*[st.sampled_from([0, 0, 1, 5])] * 3),
    alpha=st.sampled_from([1.0, -0.3, 0.0]), beta=st.sampled_from([0.0, 1.0, 0.7]),
    scalar=st.sampled_from([None, -2.0, 0.0]), shared_b=st.booleans(),
    axis=st.sampled_from([gemm.BY_ROWS, gemm.BY_COLUMNS, gemm.BY_MATRICES]),
    cuts=st.lists(st.floats(0, 1), max_size=3), vector_bytes=st.sampled_from([None, None, 32, 16]),
)  # fmt: skip
def test_agrees_with_numpy(
    m, n, k, ta, tb, own, dtype, batch, pads, alpha, beta, scalar, shared_b, axis, cuts,
    vector_bytes,
):  # fmt: skip
    rng = np.random.default_rng(m + 131 * n + 7 * k)
    _, a = matrices(rng, dtype, batch, *((k, m) if ta else (m, k)), pads[0])
    _, b = matrices(rng, dtype, batch, *((n, k) if tb else (k, n)), pads[1])
    whole, c = matrices(rng, dtype, batch, m, n, pads[2])
    if shared_b:
        b = b[0]
    if beta == 0:
        c[...] = np.nan
    factor = np.array([1.0 if scalar is None else scalar], dtype)
    words = gemm.arguments(
        a, b, c, ta=ta, tb=tb, alpha=alpha, beta=beta, axis=axis, own=own,
        alpha_address=0 if scalar is None else factor.ctypes.data, blas=private_blas()[1][dtype],
    )  # fmt: skip
    extent = (m, n, batch)[axis]
    edges = sorted([0, extent, *(round(cut * extent) for cut in cuts)])
    spans = list(itertools.pairwise(edges))
    alpha = alpha * factor[0]
    expected = reference.gemm(a, b, c, 0, extent, ta=ta, tb=tb, alpha=alpha, beta=beta, axis=axis)
    left, right = np.swapaxes(a, -1, -2) if ta else a, np.swapaxes(b, -1, -2) if tb else b
    allowed = bound(left, right, c, alpha, beta, dtype)
    before = whole.copy()
    run(words, spans, dtype, vector_bytes if own else None)
    assert (abs(c - expected) <= allowed).all()
    np.testing.assert_array_equal(whole[:, :, n:], before[:, :, n:])


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("axis", [gemm.BY_ROWS, gemm.BY_COLUMNS, gemm.BY_MATRICES])
def test_a_slab_writes_only_itself(axis, own):
    rng = np.random.default_rng(3)
    a, b, c = (rng.standard_normal(s).astype("f4") for s in ((5, 40, 33), (5, 33, 70), (5, 40, 70)))
    words = gemm.arguments(a, b, c, beta=1.0, axis=axis, own=own, blas=private_blas()[1]["float32"])
    before = c.copy()
    expected = reference.gemm(a, b, before, 1, 4, beta=1.0, axis=axis)
    run(words, [(1, 4)], "float32")
    touched = expected != before
    np.testing.assert_array_equal(c[~touched], before[~touched])
    np.testing.assert_allclose(c, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", list(itertools.product([False, True], repeat=2)))
def test_bits_do_not_depend_on_who_runs_which_slab_when(form, dtype):
    ta, tb = form
    rng = np.random.default_rng(5)
    a = rng.standard_normal((300, 90) if ta else (90, 300)).astype(dtype)
    b = rng.standard_normal((110, 300) if tb else (300, 110)).astype(dtype)
    results = []
    for seed in range(3):
        c = np.ones((90, 110), dtype)
        words = gemm.arguments(a, b, c, ta=ta, tb=tb, alpha=0.1, beta=1.0)
        spans = [(0, 16), (16, 40), (40, 41), (41, 90)]
        random.Random(seed).shuffle(spans)
        run(words, spans, dtype)
        results.append(c.tobytes())
    assert len(set(results)) == 1


class Guarded:
    """An array that starts or ends where memory that must not be touched does."""

    _libc = ctypes.CDLL(None)

    def __init__(self, values, at_end):
        page = mmap.PAGESIZE
        pages = -(-values.nbytes // page)
        self.memory = mmap.mmap(-1, (pages + 2) * page)
        raw = np.frombuffer(self.memory, np.uint8)
        for guard in (0, pages + 1):
            address = ctypes.c_void_p(raw.ctypes.data + guard * page)
            assert self._libc.mprotect(address, ctypes.c_size_t(page), 0) == 0
        start = page * (pages + 1) - values.nbytes if at_end else page
        self.array = raw[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
        self.array[...] = values


@pytest.mark.skipif(not hasattr(mmap, "MAP_ANONYMOUS"), reason="needs mprotect")
@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("shape", [(9, 3, 5), (3, 50, 7), (1, 33, 40), (33, 1, 40), (40, 21, 1)])
@pytest.mark.parametrize("vector_bytes", [None, 32])
def test_touches_nothing_outside_its_operands(shape, at_end, vector_bytes):
    m, n, k = shape
    rng = np.random.default_rng(11)
    for ta, tb in itertools.product([False, True], repeat=2):
        a = rng.standard_normal((k, m) if ta else (m, k)).astype("f4")
        b = rng.standard_normal((n, k) if tb else (k, n)).astype("f4")
        c = rng.standard_normal((m, n)).astype("f4")
        expected = reference.gemm(a, b, c, 0, m, ta=ta, tb=tb, beta=1.0)
        a, b, c = (Guarded(x, at_end) for x in (a, b, c))
        words = gemm.arguments(a.array, b.array, c.array, ta=ta, tb=tb, beta=1.0)
        run(words, [(0, m)], "float32", vector_bytes)
        np.testing.assert_allclose(c.array, expected, atol=1e-4)


def test_infinities_beside_a_slab_do_not_leak_into_it():
    a, b = np.ones((3, 4), "f4"), np.ones((4, 5), "f4")
    a[2], b[:, 4] = np.inf, np.nan
    c = np.zeros((3, 5), "f4")
    run(gemm.arguments(a, b, c, axis=gemm.BY_ROWS), [(0, 2)], "float32")
    assert (c[:2, :4] == 4).all() and np.isnan(c[:2, 4]).all() and not c[2].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_register_tile_is_not_spilled(dtype):
    """The loop over k of the widest tile keeps its accumulators in registers."""
    if gemm.vector_bytes() == 16:
        pytest.skip("no own kernel without AVX2")
    kernel = compiled(dtype, gemm.vector_bytes())[0]
    lines = kernel._library.get_asm_str().split("\n")
    suffix = "ps" if dtype == "float32" else "pd"
    wanted = gemm.tile_rows() * gemm.VECTORS
    loops, since_label = [], []
    for line in lines:
        if line.startswith(".L"):
            since_label = []
        since_label.append(line)
        if line.strip().startswith("j") and sum("vfmadd" in x for x in since_label) == wanted:
            loops.append(list(since_label))
    assert loops
    for body in loops[:1]:
        assert not any("rsp" in x and f"vmov{suffix[0]}" in x and "mm" in x for x in body)


def test_a_long_dot_product_is_summed_in_blocks():
    x = np.random.default_rng(7).random((1, 1 << 22), dtype="f4")
    c = np.zeros((1, 1), "f4")
    run(gemm.arguments(x, x, c, tb=True), [(0, 1)], "float32")
    exact = np.dot(x[0].astype("f8"), x[0].astype("f8"))
    assert abs(c[0, 0] / exact - 1) < 1e-6
