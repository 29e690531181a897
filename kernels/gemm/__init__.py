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

beta = 0 never reads C; K = 0 or alpha = 0 give beta C. The own kernel reads neither argument
outside its elements. Results depend on lo and hi only, never on the thread.

This module imports neither Numba nor llvmlite at import; `cpu.py` holds the text to be compiled.
"""

import functools

WORDS = 22
(
    A, B, C, M, N, K, LDA, LDB, LDC, TA, TB, ALPHA, ALPHA_CONST, BETA,
    BATCH, STRIDE_A, STRIDE_B, STRIDE_C, AXIS, OWN, BLAS,
) = range(21)  # fmt: skip

BY_ROWS, BY_COLUMNS, BY_MATRICES = 0, 1, 2

VECTORS = 3  # of a tile of C
DEPTH = 256  # rows of B that a panel holds: 48 KiB with the widest vectors
HEIGHT = 512  # rows of A that pass over a panel
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
