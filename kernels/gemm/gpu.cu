/* What matrix products need around cuBLAS. backends/gpu/products.py defines the names of argument
   words ahead of this text, says what they hold, and puts an entry behind it. */
namespace symnet_gemm {

struct read {
    /* a scalar of any floating dtype */
    SYMNET_FUNCTION double scalar(long long address, long long kind)
    {
        if (kind == FLOAT64) return *(const double*)address;
        if (kind == FLOAT32) return *(const float*)address;
        const unsigned int half = *(const unsigned short*)address;
        if (kind == BFLOAT16) return symnet_float(half << 16);
        const unsigned int sign = half >> 15 << 31, fraction = half & 1023;
        const unsigned int exponent = half >> 10 & 31;
        if (exponent == 0) return (sign ? -1.0 : 1.0) / 16777216.0 * fraction;
        return symnet_float(sign | (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13);
    }
    SYMNET_FUNCTION double number(long long bits)
    {
        return symnet_float((unsigned long long)bits);
    }
};

/* For COUNT products: the addresses of their matrices, as arrays of pointers, and their scalars. A
   block per product. Where a product must leave its result alone, the pointers lead elsewhere. */
template <int COUNT>
SYMNET_FUNCTION void prepare(const symnet_words<COUNT * ENTRY_WORDS>& words, const long long* live,
                             const long long* error)
{
    for (int product = (int)blockIdx.x; product < COUNT; product += (int)gridDim.x) {
        const long long* const w = words.w + product * ENTRY_WORDS;
        const long long* const from = live + w[LIVE];
        const long long batch = w[BATCH], kind = w[KIND];
        bool idle = w[GUARDED] && error[0] != 0;
        if (w[SCALARS]) {
            const double alpha = read::number(w[ALPHA]) * read::scalar(from[3], kind);
            idle |= alpha == 0;  /* then the factors do not count, be they NaN */
            if (threadIdx.x == 0) {
                double* const scalars = (double*)w[SCALARS];
                if (kind == FLOAT64) {
                    scalars[0] = alpha;
                    scalars[1] = read::number(w[BETA]);
                } else {
                    *(float*)scalars = (float)alpha;
                    *(float*)(scalars + 1) = (float)read::number(w[BETA]);
                }
            }
        }
        long long* const pointers = (long long*)w[POINTERS];
        for (long long k = threadIdx.x; k < batch; k += SYMNET_THREADS) {
            pointers[k] = from[0] + k * w[STEP_A];
            pointers[batch + k] = from[1] + k * w[STEP_B];
            pointers[2 * batch + k] = idle ? w[SPARE] : from[2] + k * w[STEP_OUT];
        }
    }
}

/* A batch of matrices becomes one of other strides; without a source, zeros. */
template <typename T>
SYMNET_FUNCTION void copy(const symnet_words<COPY_WORDS>& words, const long long* live,
                          const long long* error)
{
    const long long* const w = words.w;
    if (w[ONLY_IF_WELL] && error[0] != 0) return;
    const T* const source = (const T*)(w[SOURCE_MOVES] ? live[w[SOURCE]] : w[SOURCE]);
    T* const target = (T*)(w[TARGET_MOVES] ? live[w[TARGET]] : w[TARGET]);
    const long long rows = w[ROWS], columns = w[COLUMNS], total = w[MATRICES] * rows * columns;
    const long long all = (long long)gridDim.x * SYMNET_THREADS;
    const long long first = (long long)blockIdx.x * SYMNET_THREADS + threadIdx.x;
    for (long long point = first; point < total; point += all) {
        long long matrix = point;
        const long long column = symnet_last(matrix, columns), row = symnet_last(matrix, rows);
        const auto at = [&](const long long* strides)
        { return matrix * strides[0] + row * strides[1] + column * strides[2]; };
        target[at(w + TO)] = source ? source[at(w + FROM)] : (T)0;
    }
}

}  // namespace symnet_gemm
