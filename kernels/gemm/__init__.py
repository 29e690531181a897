"""The gemm step: C = alpha op(A) op(B) + beta C, batched, float32 and float64.

A step of the tape with the ABI `void(args, lo, hi, thread)`; `args` is the address of `WORDS`
int64 words, numbered by the constants below:

    A, B, C             addresses of the first elements
    M, N, K             op(A) is M x K, op(B) is K x N, C is M x N
    LDA, LDB, LDC       elements between rows of A, B and C as they lie in memory (row-major)
    TA, TB              1 when op transposes: A then lies as K x M, B as N x K
    ALPHA               address of a scalar of the step's dtype that multiplies alpha, or 0
    ALPHA_CONST, BETA   bits of float64 numbers
    BATCH               number of matrices
    STRIDE_A, _B, _C    elements from one matrix to the next
    AXIS                what lo..hi counts: `BY_ROWS` or `BY_COLUMNS` of C, or `BY_MATRICES`
    OWN                 1: our own kernel; 0: the BLAS
    BLAS                address of cblas_sgemm or cblas_dgemm with 32-bit integers

beta = 0 never reads C; K = 0 or alpha = 0 give beta C; C overlaps neither A nor B. Nothing outside
their elements is read or written. Results depend on lo and hi only, never on the thread.

This module imports neither Numba nor llvmlite at import; `cpu.py` holds the text to be compiled.
"""

import functools
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

WORDS = 22
(
    A, B, C, M, N, K, LDA, LDB, LDC, TA, TB, ALPHA, ALPHA_CONST, BETA,
    BATCH, STRIDE_A, STRIDE_B, STRIDE_C, AXIS, OWN, BLAS,
) = range(21)  # fmt: skip

BY_ROWS, BY_COLUMNS, BY_MATRICES = 0, 1, 2

VECTORS = 3  # of a tile of C
DEPTH = 256  # rows of B that a panel holds: 48 KiB with the widest vectors
HEIGHT = 512  # rows of A that pass over a panel
DOT_VECTORS = 256  # vectors of a dot product that are summed before they are added
FEW_ROWS = 4  # below so many rows of C, a transposed B is read as it lies
SHARED_TILES = 4  # tiles of rows from which copying B into the panel pays
PREFETCH_DEPTH = 64  # k from which C is fetched ahead of its tile


@functools.cache
def vector_bytes() -> int:
    """Bytes of the widest vector of this processor that the own kernel uses: 64, 32 or 16."""
    import llvmlite.binding as llvm  # noqa: PLC0415

    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 64
    if features.get("avx2") and features.get("fma"):
        return 32
    return 16


def tile_rows() -> int:
    """Rows of the register tile: 8 x 3 of 32 registers, or 4 x 3 of 16."""
    return 8 if vector_bytes() == 64 else 4


class Plan(NamedTuple):
    """How a gemm is shared out: what lo..hi counts, into how many slabs, of what multiple, and
    whether our own kernel does it."""

    axis: int
    slabs: int
    align: int
    own: bool


SHARED_WORK = 1 << 17  # multiplications below which one thread is faster than two
SLAB_WORK = 1 << 24  # multiplications that a slab keeps when there are more slabs than threads
SLAB_ROWS = 128  # and rows, because every slab of rows packs all of B
OWN_WORK = 1 << 30  # multiplications above which a BLAS for the same vectors is faster
NARROW_CORES = frozenset({"Haswell", "Zen", "Sandybridge", "Nehalem", "Prescott", "Core2", "Atom"})


def alignment(axis: int, dtype) -> int:
    """Multiple that the interior bounds of slabs along `axis` should have."""
    if axis == BY_ROWS:
        return tile_rows()
    return vector_bytes() // np.dtype(dtype).itemsize if axis == BY_COLUMNS else 1


def plan(
    m: int, n: int, k: int, dtype, threads: int, *, batch: int = 1, tb: bool = False,
    blas_core: str = "",
) -> Plan:  # fmt: skip
    """Share C (m x n, inner size k, `batch` of them) among threads: a function of shapes alone.

    `tb` says that B is transposed. `blas_core` is OpenBLAS's name for the kernels that it uses, if
    known: those for narrower vectors than ours win at no size. Large gemms get more slabs than
    threads, so that a thread that somebody else keeps off its core takes fewer of them."""
    slow_blas = blas_core in NARROW_CORES and vector_bytes() == 64
    huge = max(m, n, k) >= 1 << 31  # beyond the BLAS's integers
    own = huge or (vector_bytes() > 16 and (m * n * k <= OWN_WORK or slow_blas))
    work = m * n * k * batch
    if threads == 1 or work < SHARED_WORK:
        return Plan(BY_ROWS, 1, 1, own)
    if batch >= 4 * threads or (batch > 1 and batch % threads == 0):
        return Plan(BY_MATRICES, min(batch, 4 * threads), 1, own)
    rows, lanes = tile_rows(), alignment(BY_COLUMNS, dtype)

    def cost(m, n):
        """Vector operations per k of one slab: its tiles, and packing B where that happens."""
        vectors = -(-n // lanes)
        packs = tb or m > SHARED_TILES * rows
        return -(-m // rows) * rows * vectors + 8 * packs * vectors

    def largest(extent, align):
        """Size of the last slab when every thread gets one, or of all if that is not possible."""
        slabs = min(threads, max(extent // align, 1))
        return extent - extent * (slabs - 1) // slabs // align * align

    by_rows, by_columns = cost(largest(m, rows), n), cost(m, largest(n, lanes))
    axis = BY_ROWS if by_rows <= by_columns else BY_COLUMNS
    align = alignment(axis, dtype)
    slabs = min(threads, max((m, n)[axis] // align, 1))
    most = n // align if axis == BY_COLUMNS else m // SLAB_ROWS
    while 2 * slabs <= min(4 * threads, most, work // SLAB_WORK):
        slabs *= 2
    return Plan(axis, slabs, align, own)


def bits(number: float) -> int:
    """The bits of a float64, as the words ALPHA_CONST and BETA hold them."""
    return struct.unpack("q", struct.pack("d", number))[0]


def arguments(
    a, b, c, *, ta=False, tb=False, alpha=1.0, alpha_address=0, beta=0.0, axis=BY_ROWS, own=True,
    blas=0,
) -> np.ndarray:  # fmt: skip
    """An argument block for arrays of 2 dimensions, or of 3 (a batch) with one matrix each or more.

    Rows may be strided, columns may not. A matrix of 2 dimensions is used for the whole batch."""
    size = c.itemsize
    words = np.zeros(WORDS, np.int64)
    m, n = c.shape[-2:]
    words[[M, N, K]] = m, n, a.shape[-2 if ta else -1]
    words[[TA, TB, AXIS, OWN, BLAS]] = ta, tb, axis, own, blas
    words[[ALPHA, ALPHA_CONST, BETA]] = alpha_address, bits(alpha), bits(beta)
    words[BATCH] = c.shape[0] if c.ndim == 3 else 1
    for array, place, row, stride in (
        (a, A, LDA, STRIDE_A), (b, B, LDB, STRIDE_B), (c, C, LDC, STRIDE_C),
    ):  # fmt: skip
        words[place], words[row] = array.ctypes.data, array.strides[-2] // size
        words[stride] = array.strides[0] // size if array.ndim == 3 else 0
    return words


def source() -> tuple[str, str]:
    """The text to compile, with the entries `sgemm` and `dgemm`, and the text that it depends on
    besides `kernels.intrinsics`: this module's constants."""
    here = Path(__file__)
    return here.with_name("cpu.py").read_text(), here.read_text()
