"""Matrix products by cuBLAS, through ctypes and with a handle of our own.

CuPy refuses to call cuBLAS while a stream is captured, so we call it ourselves. A call orders work
on the stream and does nothing else: the workspace is given ahead, and scalars are numbers, or
addresses on the device. `products.py` decides what is called. The same functions are exported by
`host_blas.py` for the emulated device; its text is checked against the headers of cuBLAS.

Reference: https://docs.nvidia.com/cuda/cublas/
"""

import ctypes
from typing import Any

from symnet.backends.gpu.products import BoundMatmul
from symnet.errors import DeviceError

CONSTANTS = {
    "CUBLAS_OP_N": 0,
    "CUBLAS_OP_T": 1,
    "CUBLAS_POINTER_MODE_HOST": 0,
    "CUBLAS_POINTER_MODE_DEVICE": 1,
    "CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION": 16,
    "CUBLAS_COMPUTE_32F": 68,
    "CUBLAS_COMPUTE_32F_FAST_TF32": 77,
    "CUBLAS_COMPUTE_64F": 70,
    "CUBLAS_GEMM_DEFAULT": -1,
    "CUDA_R_32F": 0,
    "CUDA_R_64F": 1,
    "CUDA_R_16F": 2,
    "CUDA_R_16BF": 14,
}

_GEMM = "cublasHandle_t, cublasOperation_t, cublasOperation_t, SIZE, SIZE, SIZE, const void*, "
_LAST = "cublasComputeType_t, cublasGemmAlgo_t"
_PLAIN = (
    f"{_GEMM}const void*, cudaDataType, SIZE, const void*, cudaDataType, SIZE, const void*, "
    f"void*, cudaDataType, SIZE, {_LAST}"
)
_STRIDED = (
    f"{_GEMM}const void*, cudaDataType, SIZE, long long, const void*, cudaDataType, SIZE, "
    f"long long, const void*, void*, cudaDataType, SIZE, long long, SIZE, {_LAST}"
)
_POINTERS = (
    f"{_GEMM}const void* const*, cudaDataType, SIZE, const void* const*, cudaDataType, SIZE, "
    f"const void*, void* const*, cudaDataType, SIZE, SIZE, {_LAST}"
)
PROTOTYPES = {
    "cublasCreate_v2": "cublasHandle_t*",
    "cublasSetStream_v2": "cublasHandle_t, cudaStream_t",
    "cublasSetWorkspace_v2": "cublasHandle_t, void*, size_t",
    "cublasSetPointerMode_v2": "cublasHandle_t, cublasPointerMode_t",
    "cublasSetMathMode": "cublasHandle_t, cublasMath_t",
    "cublasGemmEx": _PLAIN.replace("SIZE", "int"),
    "cublasGemmEx_64": _PLAIN.replace("SIZE", "int64_t"),
    "cublasGemmStridedBatchedEx": _STRIDED.replace("SIZE", "int"),
    "cublasGemmStridedBatchedEx_64": _STRIDED.replace("SIZE", "int64_t"),
    "cublasGemmBatchedEx": _POINTERS.replace("SIZE", "int"),
    "cublasGemmBatchedEx_64": _POINTERS.replace("SIZE", "int64_t"),
}
"""The C types of the arguments of what is called; all return `cublasStatus_t`."""

_C_TYPES = {"int64_t": ctypes.c_int64, "long long": ctypes.c_longlong, "size_t": ctypes.c_size_t}
_POINTER_TYPES = ("cublasHandle_t", "cudaStream_t")
_DTYPES = {
    "float32": CONSTANTS["CUDA_R_32F"],
    "float64": CONSTANTS["CUDA_R_64F"],
    "float16": CONSTANTS["CUDA_R_16F"],
    "bfloat16": CONSTANTS["CUDA_R_16BF"],
}
_MOST = 2**31 - 1  # that fits into an int
_HOST, _DEVICE = CONSTANTS["CUBLAS_POINTER_MODE_HOST"], CONSTANTS["CUBLAS_POINTER_MODE_DEVICE"]


class Blas:
    """A handle of cuBLAS on one stream, for as long as the process runs. It is made when nothing is
    captured; not thread-safe.

    Errors of all methods: DeviceError.
    """

    def __init__(self, library: ctypes.CDLL, stream: int, workspace: tuple[int, int]):
        """workspace: address, aligned to 256 bytes, and size of memory that stays."""
        self._library = library
        self._functions: dict[str, Any] = {}
        self._handle = ctypes.c_void_p()
        self._mode = _HOST
        self._call("cublasCreate_v2", ctypes.byref(self._handle))
        # in this order: a new stream takes the workspace away
        self._call("cublasSetStream_v2", self._handle, stream)
        self._call("cublasSetWorkspace_v2", self._handle, *workspace)
        # half types are summed up in float32 throughout
        self._call(
            "cublasSetMathMode",
            self._handle,
            CONSTANTS["CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION"],
        )

    def multiply(self, product: BoundMatmul, live: int) -> None:
        """Order a product; `live` is the address of the live words of its binding. Whether a check
        has failed is known to the pointers."""
        p = product
        mode = _DEVICE if p.scalars else _HOST
        if mode != self._mode:
            self._call("cublasSetPointerMode_v2", self._handle, mode)
            self._mode = mode
        double = p.step.dtype == "float64"
        alpha: Any
        beta: Any
        if p.scalars:
            alpha, beta = p.scalars, p.scalars + 8
        else:
            real = ctypes.c_double if double else ctypes.c_float
            alpha, beta = ctypes.byref(real(p.alpha)), ctypes.byref(real(p.beta))
        compute = CONSTANTS["CUBLAS_COMPUTE_64F" if double else "CUBLAS_COMPUTE_32F"]
        if p.tf32:
            compute = CONSTANTS["CUBLAS_COMPUTE_32F_FAST_TF32"]
        strided = p.by == "address" and p.batch > 1
        dtype = _DTYPES[p.step.dtype]
        matrices = []
        for o in (p.left, p.right, p.out):
            address = live + 8 * o.address if p.by == "live" else o.address
            matrices.append((address, dtype, o.ld, *((o.stride,) if strided else ())))
        name, batch = "cublasGemmEx", ()
        if strided:
            name, batch = "cublasGemmStridedBatchedEx", (p.batch,)
        elif p.by != "address":
            name, batch = "cublasGemmBatchedEx", (p.batch,)
        if max(p.m, p.n, p.k, p.batch, p.left.ld, p.right.ld, p.out.ld) > _MOST:
            name += "_64"
        left, right, out = matrices
        self._call(
            name, self._handle, int(p.left.transposed), int(p.right.transposed), p.m, p.n, p.k,
            alpha, *left, *right, beta, *out, *batch, compute, CONSTANTS["CUBLAS_GEMM_DEFAULT"],
        )  # fmt: skip

    def _call(self, name: str, *arguments: Any) -> None:
        function = self._functions.get(name)
        if function is None:
            function = self._functions[name] = _function(self._library, name)
        status = function(*arguments)
        if status:
            raise DeviceError(f"{name}: {self._meaning(status)}")

    def _meaning(self, status: int) -> str:
        try:
            text = self._library.cublasGetStatusString
        except AttributeError:
            return f"status {status}"
        text.restype, text.argtypes = ctypes.c_char_p, [ctypes.c_int]
        return f"{text(status).decode()} ({status})"


def _function(library: ctypes.CDLL, name: str) -> Any:
    try:
        function = library[name]
    except AttributeError:
        raise DeviceError(f"this cuBLAS has no {name}") from None
    function.restype = ctypes.c_int
    function.argtypes = [_c_type(text) for text in PROTOTYPES[name].split(", ")]
    return function


def _c_type(text: str) -> Any:
    """An enumeration is an int."""
    if text.endswith("*") or text in _POINTER_TYPES:
        return ctypes.c_void_p
    return _C_TYPES.get(text, ctypes.c_int)
