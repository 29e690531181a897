"""A stand-in for cuBLAS on host memory, for the emulated device: the same functions, stricter.

`TEXT` is C++ that exports what `blas.py` calls; `library` is what it becomes. Matrices are
column-major, streams do not matter, device addresses are those of the host. What a call must not
rely on is an error here: sizes of 0, leading dimensions that do not fit, memory that is not aligned
where tensor cores would load 16 bytes at once, a workspace that is missing. A factor alpha of 0 is
multiplied like any other.

Sums are made in float64 and rounded once; factors are rounded to TF32 where that is allowed. Put
behind the headers of cuBLAS it is refused if a prototype or a constant is not theirs.
"""

import ctypes
import functools

from symnet.backends.gpu import host
from symnet.backends.gpu.blas import CONSTANTS, PROTOTYPES

_DECLARATIONS = "\n".join(
    f'extern "C" cublasStatus_t {name}({arguments});' for name, arguments in PROTOTYPES.items()
)
_ASSERTIONS = "\n".join(
    f'static_assert({name} == {value}, "{name}");' for name, value in CONSTANTS.items()
)

TEXT = f"""\
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <vector>

#ifndef CUBLAS_API_H_
struct cublasContext;
typedef cublasContext* cublasHandle_t;
typedef struct CUstream_st* cudaStream_t;
enum cublasStatus_t {{
    CUBLAS_STATUS_SUCCESS = 0, CUBLAS_STATUS_NOT_INITIALIZED = 1, CUBLAS_STATUS_INVALID_VALUE = 7,
    CUBLAS_STATUS_EXECUTION_FAILED = 13, CUBLAS_STATUS_NOT_SUPPORTED = 15
}};
enum cublasOperation_t {{ CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 }};
enum cublasPointerMode_t {{ CUBLAS_POINTER_MODE_HOST = 0, CUBLAS_POINTER_MODE_DEVICE = 1 }};
enum cublasMath_t {{ CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION = 16 }};
enum cublasGemmAlgo_t {{ CUBLAS_GEMM_DEFAULT = -1 }};
enum cublasComputeType_t {{
    CUBLAS_COMPUTE_32F = 68, CUBLAS_COMPUTE_64F = 70, CUBLAS_COMPUTE_32F_FAST_TF32 = 77
}};
enum cudaDataType {{ CUDA_R_32F = 0, CUDA_R_64F = 1, CUDA_R_16F = 2, CUDA_R_16BF = 14 }};
#endif
{_DECLARATIONS}
{_ASSERTIONS}
"""

TEXT += r"""
struct Handle {
    void* workspace;
    cublasPointerMode_t mode;
};

static float from_bits(uint32_t bits) { float x; memcpy(&x, &bits, 4); return x; }
static uint32_t to_bits(float x) { uint32_t bits; memcpy(&bits, &x, 4); return bits; }

/* a float with so many bits of its fraction dropped, to the nearest, ties to even */
static float shortened(float x, int dropped)
{
    const uint32_t bits = to_bits(x), mask = (1u << dropped) - 1;
    if ((bits >> 23 & 255) == 255) return x;
    return from_bits((bits + (mask >> 1) + (bits >> dropped & 1)) & ~mask);
}

static double from_half(uint16_t half)
{
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const double sign = half >> 15 ? -1 : 1;
    if (exponent == 0) return sign * __builtin_ldexp(fraction, -24);
    if (exponent == 31) return fraction ? __builtin_nan("") : sign * __builtin_inf();
    return sign * __builtin_ldexp(fraction + 1024, exponent - 25);
}

static uint16_t to_half(double x)
{
    const uint16_t sign = __builtin_signbit(x) ? 0x8000 : 0;
    const double size = __builtin_fabs(x);
    if (size != size) return 0x7e00;
    if (size >= 65520) return sign | 0x7c00;
    int exponent = -14;
    if (size >= 0x1p-14) exponent = __builtin_ilogb(size);
    /* 11 bits are left; a carry goes into the exponent as it should */
    const int fraction = (int)__builtin_rint(__builtin_ldexp(size, 10 - exponent));
    return sign | (uint16_t)(((exponent + 14) << 10) + fraction);
}

static size_t size_of(cudaDataType type)
{
    return type == CUDA_R_64F ? 8 : type == CUDA_R_32F ? 4 : 2;
}

static double load(const void* p, int64_t k, cudaDataType type)
{
    switch (type) {
    case CUDA_R_64F: return ((const double*)p)[k];
    case CUDA_R_32F: return ((const float*)p)[k];
    case CUDA_R_16F: return from_half(((const uint16_t*)p)[k]);
    default: return from_bits((uint32_t)((const uint16_t*)p)[k] << 16);
    }
}

static void store(void* p, int64_t k, cudaDataType type, double x)
{
    switch (type) {
    case CUDA_R_64F: ((double*)p)[k] = x; break;
    case CUDA_R_32F: ((float*)p)[k] = (float)x; break;
    case CUDA_R_16F: ((uint16_t*)p)[k] = to_half((float)x); break;
    default: ((uint16_t*)p)[k] = (uint16_t)(to_bits(shortened((float)x, 16)) >> 16);
    }
}

struct Product {
    cublasHandle_t handle;
    bool turn_a, turn_b;
    int64_t m, n, k, lda, ldb, ldc;
    const void *alpha, *beta;
    cudaDataType type;
    cublasComputeType_t compute;

    cublasStatus_t check(cudaDataType b, cudaDataType c, int64_t batch) const
    {
        const Handle* const own = (const Handle*)handle;
        if (!own || !own->workspace) return CUBLAS_STATUS_NOT_INITIALIZED;
        if (m <= 0 || n <= 0 || k <= 0 || batch <= 0 || !alpha || !beta ||
            lda < (turn_a ? k : m) || ldb < (turn_b ? n : k) || ldc < m)
            return CUBLAS_STATUS_INVALID_VALUE;
        const bool fits = (type == CUDA_R_64F) == (compute == CUBLAS_COMPUTE_64F) &&
                          (type == CUDA_R_32F || compute != CUBLAS_COMPUTE_32F_FAST_TF32);
        return fits && b == type && c == type ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
    }

    bool aligned(const void* p) const
    {
        const bool packs = size_of(type) == 2 || compute == CUBLAS_COMPUTE_32F_FAST_TF32;
        return (uintptr_t)p % (packs ? 16 : size_of(type)) == 0;
    }

    double factor(const void* p, int64_t at) const
    {
        const double x = load(p, at, type);
        return compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? shortened((float)x, 13) : x;
    }

    double scalar(const void* p) const
    {
        return type == CUDA_R_64F ? *(const double*)p : *(const float*)p;
    }

    __attribute__((optimize("O3"))) void run(const void* a, const void* b, void* c) const
    {
        const double scale = scalar(alpha), keep = scalar(beta);
        std::vector<double> left(m * k), column(m);
        for (int64_t l = 0; l < k; l++)
            for (int64_t i = 0; i < m; i++)
                left[l * m + i] = factor(a, turn_a ? i * lda + l : l * lda + i);
        for (int64_t j = 0; j < n; j++) {
            double* const sums = column.data();
            memset(sums, 0, m * sizeof(double));
            for (int64_t l = 0; l < k; l++) {
                const double y = factor(b, turn_b ? l * ldb + j : j * ldb + l);
                const double* const x = left.data() + l * m;
                for (int64_t i = 0; i < m; i++) sums[i] += x[i] * y;
            }
            for (int64_t i = 0; i < m; i++) {
                const int64_t at = j * ldc + i;
                const double sum = scale * sums[i];
                store(c, at, type, keep == 0 ? sum : sum + keep * load(c, at, type));
            }
        }
    }
};

static const char* moved(const void* p, int64_t elements, cudaDataType type)
{
    return (const char*)p + elements * (int64_t)size_of(type);
}

extern "C" {
const char* cublasGetStatusString(cublasStatus_t status)
{
    switch (status) {
    case CUBLAS_STATUS_NOT_INITIALIZED: return "not initialised, or without a workspace";
    case CUBLAS_STATUS_INVALID_VALUE: return "an argument that is not valid";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "a matrix that is not aligned";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "not supported";
    default: return "unknown status";
    }
}

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle)
{
    *handle = (cublasHandle_t) new Handle{nullptr, CUBLAS_POINTER_MODE_HOST};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t)
{
    ((Handle*)handle)->workspace = nullptr;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, size_t size)
{
    if (!workspace || !size || (uintptr_t)workspace % 256) return CUBLAS_STATUS_NOT_SUPPORTED;
    ((Handle*)handle)->workspace = workspace;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t mode)
{
    ((Handle*)handle)->mode = mode;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) { return CUBLAS_STATUS_SUCCESS; }

cublasStatus_t cublasGemmStridedBatchedEx_64(
    cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int64_t m, int64_t n,
    int64_t k, const void* alpha, const void* a, cudaDataType type_a, int64_t lda,
    long long step_a, const void* b, cudaDataType type_b, int64_t ldb, long long step_b,
    const void* beta, void* c, cudaDataType type_c, int64_t ldc, long long step_c, int64_t batch,
    cublasComputeType_t compute, cublasGemmAlgo_t)
{
    const Product p{handle, op_a == CUBLAS_OP_T, op_b == CUBLAS_OP_T, m, n, k, lda, ldb, ldc,
                    alpha, beta, type_a, compute};
    const cublasStatus_t status = p.check(type_b, type_c, batch);
    if (status) return status;
    if (batch > 1 && step_c < ldc * (n - 1) + m) return CUBLAS_STATUS_INVALID_VALUE;
    for (int64_t i = 0; i < batch; i++)
        p.run(moved(a, i * step_a, type_a), moved(b, i * step_b, type_a),
              (void*)moved(c, i * step_c, type_a));
    return status;
}

cublasStatus_t cublasGemmBatchedEx_64(
    cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int64_t m, int64_t n,
    int64_t k, const void* alpha, const void* const* a, cudaDataType type_a, int64_t lda,
    const void* const* b, cudaDataType type_b, int64_t ldb, const void* beta, void* const* c,
    cudaDataType type_c, int64_t ldc, int64_t batch, cublasComputeType_t compute, cublasGemmAlgo_t)
{
    const Product p{handle, op_a == CUBLAS_OP_T, op_b == CUBLAS_OP_T, m, n, k, lda, ldb, ldc,
                    alpha, beta, type_a, compute};
    const cublasStatus_t status = p.check(type_b, type_c, batch);
    if (status) return status;
    for (int64_t i = 0; i < batch; i++) {
        if (!p.aligned(a[i]) || !p.aligned(b[i]) || !p.aligned(c[i]))
            return CUBLAS_STATUS_EXECUTION_FAILED;
        p.run(a[i], b[i], c[i]);
    }
    return status;
}

cublasStatus_t cublasGemmEx_64(
    cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int64_t m, int64_t n,
    int64_t k, const void* alpha, const void* a, cudaDataType type_a, int64_t lda, const void* b,
    cudaDataType type_b, int64_t ldb, const void* beta, void* c, cudaDataType type_c, int64_t ldc,
    cublasComputeType_t compute, cublasGemmAlgo_t algo)
{
    return cublasGemmStridedBatchedEx_64(handle, op_a, op_b, m, n, k, alpha, a, type_a, lda, 0, b,
                                         type_b, ldb, 0, beta, c, type_c, ldc, 0, 1, compute, algo);
}

cublasStatus_t cublasGemmStridedBatchedEx(
    cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,
    const void* alpha, const void* a, cudaDataType type_a, int lda, long long step_a,
    const void* b, cudaDataType type_b, int ldb, long long step_b, const void* beta, void* c,
    cudaDataType type_c, int ldc, long long step_c, int batch, cublasComputeType_t compute,
    cublasGemmAlgo_t algo)
{
    return cublasGemmStridedBatchedEx_64(handle, op_a, op_b, m, n, k, alpha, a, type_a, lda, step_a,
                                         b, type_b, ldb, step_b, beta, c, type_c, ldc, step_c,
                                         batch, compute, algo);
}

cublasStatus_t cublasGemmBatchedEx(
    cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,
    const void* alpha, const void* const* a, cudaDataType type_a, int lda, const void* const* b,
    cudaDataType type_b, int ldb, const void* beta, void* const* c, cudaDataType type_c, int ldc,
    int batch, cublasComputeType_t compute, cublasGemmAlgo_t algo)
{
    return cublasGemmBatchedEx_64(handle, op_a, op_b, m, n, k, alpha, a, type_a, lda, b, type_b,
                                  ldb, beta, c, type_c, ldc, batch, compute, algo);
}

cublasStatus_t cublasGemmEx(
    cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,
    const void* alpha, const void* a, cudaDataType type_a, int lda, const void* b,
    cudaDataType type_b, int ldb, const void* beta, void* c, cudaDataType type_c, int ldc,
    cublasComputeType_t compute, cublasGemmAlgo_t algo)
{
    return cublasGemmEx_64(handle, op_a, op_b, m, n, k, alpha, a, type_a, lda, b, type_b, ldb, beta,
                           c, type_c, ldc, compute, algo);
}
}
"""


@functools.cache
def library() -> ctypes.CDLL:
    """The stand-in, built and loaded once. Errors: BackendError without a C++ compiler."""
    return ctypes.CDLL(str(host.library(TEXT, "")))
