"""The CUDA C text that every generated kernel starts with.

It is read by NVRTC and by a host compiler alike; for the latter, `shim.py` stands in for CUDA's own
words. First comes what scalar functions are made of (kernels/scalar/c.py). A kernel is one function

    ENTRY(words, live, error)

of its argument words (by value, so they lie in constant memory), of the words that change from call
to call (in device memory, so that a captured graph need not be touched), and of the error record:
the number of the failed check or 0, the index, the size.

Blocks have `THREADS` threads, and those of a reduction are cut into groups of `lanes`, a power of
two: one group reduces one row. In "rows" the lanes of a group are neighbours, in "columns" the
groups are, since there neighbouring rows lie next to each other in memory. The order in which
values are combined depends on `lanes` alone, so results do not depend on who was faster.
"""

from symnet.kernels.scalar import c

THREADS = 256  # of a block, always
WARP = 32
FULL_PACK = 16  # bytes of the widest memory access

_SCALARS = f"""\
#ifdef __CUDACC__
#define SYMNET_FUNCTION static __device__ __forceinline__
SYMNET_FUNCTION unsigned int symnet_bits(float x) {{ return __float_as_uint(x); }}
SYMNET_FUNCTION float symnet_float(unsigned int x) {{ return __uint_as_float(x); }}
SYMNET_FUNCTION unsigned long long symnet_bits(double x) {{ return __double_as_longlong(x); }}
SYMNET_FUNCTION double symnet_float(unsigned long long x) {{ return __longlong_as_double(x); }}
SYMNET_FUNCTION float symnet_product(float a, float b) {{ return __fmul_rn(a, b); }}
SYMNET_FUNCTION double symnet_product(double a, double b) {{ return __dmul_rn(a, b); }}
#else
{c.ON_HOST}#endif
{c.ANYWHERE}"""
"""Products are written so that NVRTC cannot fuse them into a following sum."""

TEXT = """\
#ifdef __CUDACC__
extern __shared__ __align__(16) unsigned char symnet_dynamic[];
#define SYMNET_CHECK_ALIGNED(p, bytes)  /* the hardware does */
#endif
template <int N> struct symnet_words { long long w[N]; };
template <int V> struct symnet_width { static constexpr int value = V; };
template <typename T, int V> struct alignas(sizeof(T) * V) symnet_pack { T v[V]; };

template <int V, typename T> SYMNET_FUNCTION symnet_pack<T, V> symnet_read(const T* p)
{
    SYMNET_CHECK_ALIGNED(p, sizeof(T) * V);
    return *reinterpret_cast<const symnet_pack<T, V>*>(p);
}
/* the same of what nobody writes while the kernel runs: loads may be moved past any store */
#ifdef __CUDACC__
template <int bytes> struct symnet_raw;
template <> struct symnet_raw<1> { typedef unsigned char type; };
template <> struct symnet_raw<2> { typedef unsigned short type; };
template <> struct symnet_raw<4> { typedef unsigned int type; };
template <> struct symnet_raw<8> { typedef uint2 type; };
template <> struct symnet_raw<16> { typedef uint4 type; };
template <int V, typename T> SYMNET_FUNCTION symnet_pack<T, V> symnet_read_fixed(const T* p)
{
    typedef typename symnet_raw<sizeof(T) * V>::type raw;
    union { raw given; symnet_pack<T, V> found; } both;
    both.given = __ldg(reinterpret_cast<const raw*>(p));
    return both.found;
}
template <typename T> SYMNET_FUNCTION T symnet_fixed(const T* p) { return __ldg(p); }
#else
template <int V, typename T> SYMNET_FUNCTION symnet_pack<T, V> symnet_read_fixed(const T* p)
{ return symnet_read<V>(p); }
template <typename T> SYMNET_FUNCTION T symnet_fixed(const T* p) { return *p; }
#endif
/* a pack of elements that do not lie side by side, or are not aligned */
template <int V, typename T>
SYMNET_FUNCTION symnet_pack<T, V> symnet_gather(const T* p, long long stride)
{
    symnet_pack<T, V> found;
    for (int k = 0; k < V; k++) found.v[k] = p[k * stride];
    return found;
}
template <int V, typename T>
SYMNET_FUNCTION symnet_pack<T, V> symnet_gather_fixed(const T* p, long long stride)
{
    symnet_pack<T, V> found;
    for (int k = 0; k < V; k++) found.v[k] = symnet_fixed(p + k * stride);
    return found;
}
/* an element, after which the pointer goes on */
template <typename T> SYMNET_FUNCTION T symnet_on(T*& p, long long hop)
{
    const T found = *p;
    p += hop;
    return found;
}
template <typename T> SYMNET_FUNCTION T symnet_fixed_on(const T*& p, long long hop)
{
    const T found = symnet_fixed(p);
    p += hop;
    return found;
}
template <int V, typename T> SYMNET_FUNCTION void symnet_write(T* p, const symnet_pack<T, V>& x)
{
    SYMNET_CHECK_ALIGNED(p, sizeof(T) * V);
    *reinterpret_cast<symnet_pack<T, V>*>(p) = x;
}
template <int V, typename T>
SYMNET_FUNCTION void symnet_write(T* p, const symnet_pack<T, V>& x, bool aligned)
{
    if (aligned) symnet_write(p, x);
    else for (int k = 0; k < V; k++) p[k] = x.v[k];
}
SYMNET_FUNCTION bool symnet_aligned(const void* p, int bytes)
{ return (unsigned long long)p % bytes == 0; }

/* of numbers that are not negative; most fit in 32 bits, where division is several times faster */
SYMNET_FUNCTION long long symnet_quotient(long long a, long long b)
{
    if (((unsigned long long)(a | b) >> 32) == 0) return (unsigned int)a / (unsigned int)b;
    return a / b;
}
/* the last index of a position, which becomes the position in the loops further out */
SYMNET_FUNCTION long long symnet_last(long long& position, long long size)
{
    const long long before = symnet_quotient(position, size), found = position - before * size;
    position = before;
    return found;
}
SYMNET_FUNCTION long long symnet_min(long long a, long long b) { return a < b ? a : b; }
SYMNET_FUNCTION int symnet_min(int a, int b) { return a < b ? a : b; }

/* One of the failed checks is kept, the first in time: which of several bad indices that is, is up
   to the device. */
SYMNET_FUNCTION void symnet_report(long long* error, long long number, long long value,
                                   long long size)
{
    unsigned long long* const flag = (unsigned long long*)error;
    if (atomicCAS(flag, 0ull, (unsigned long long)number) == 0ull) {
        error[1] = value;
        error[2] = size;
    }
}

template <typename T> SYMNET_FUNCTION T symnet_swap_lanes(T x, int distance)
{
    if constexpr (sizeof(T) < 4) return (T)__shfl_xor_sync(0xffffffffu, (int)x, distance);
    else return __shfl_xor_sync(0xffffffffu, x, distance);
}

/* what reductions of maxima and minima take, NaN if there is one; which of two zeros they find
   depends on the order anyway */
SYMNET_FUNCTION float symnet_greatest(float a, float b)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm("max.NaN.f32 %0, %0, %1;" : "+f"(a) : "f"(b));
    return a;
#else
    return a >= b || a != a ? a : b;
#endif
}
SYMNET_FUNCTION float symnet_least(float a, float b)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm("min.NaN.f32 %0, %0, %1;" : "+f"(a) : "f"(b));
    return a;
#else
    return a <= b || a != a ? a : b;
#endif
}

/* who of `owners` has an element of a scatter's destination */
SYMNET_FUNCTION long long symnet_owner(long long place, long long owners)
{
    const unsigned long long mixed = (unsigned long long)place * 0x9e3779b97f4a7c15ull;
    return (unsigned int)(mixed >> 32) % (unsigned int)owners;
}
/* the threads of a block for which `own` holds, in order, into `chosen`; how many there are.
   `warps` has a place per warp. Threads meet before either is used again. */
SYMNET_FUNCTION int symnet_choose(bool own, int* chosen, int* warps)
{
    const unsigned int votes = __ballot_sync(0xffffffffu, own);
    const int lane = (int)threadIdx.x % 32, warp = (int)threadIdx.x / 32;
    if (lane == 0) warps[warp] = __popc(votes);
    __syncthreads();
    int before = 0, all = 0;
    for (int k = 0; k < SYMNET_THREADS / 32; k++) {
        if (k == warp) before = all;
        all += warps[k];
    }
    if (own) chosen[before + __popc(votes & ((1u << lane) - 1u))] = (int)threadIdx.x;
    __syncthreads();
    return all;
}

/* every lane of a group of neighbours gets the reduction of the group's values; `shared` has a
   place per warp */
template <typename T, typename F>
SYMNET_FUNCTION T symnet_reduce_rows(T x, int lanes, unsigned long long* shared, F combine)
{
    for (int distance = (lanes < 32 ? lanes : 32) / 2; distance > 0; distance /= 2)
        x = combine(x, symnet_swap_lanes(x, distance));
    if (lanes <= 32) return x;
    T* const warps = reinterpret_cast<T*>(shared);
    const int first = (int)threadIdx.x / lanes * (lanes / 32);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = x;
    __syncthreads();
    x = warps[first];
    for (int k = 1; k < lanes / 32; k++) x = combine(x, warps[first + k]);
    __syncthreads();
    return x;
}
/* the same where the groups are neighbours; `shared` has a place per thread */
template <typename T, typename F>
SYMNET_FUNCTION T symnet_reduce_columns(T x, int lanes, unsigned long long* shared, F combine)
{
    if (lanes == 1) return x;
    T* const all = reinterpret_cast<T*>(shared);
    const int mine = (int)threadIdx.x, groups = SYMNET_THREADS / lanes;
    all[mine] = x;
    __syncthreads();
    for (int half = lanes / 2; half > 0; half /= 2) {
        if (mine < half * groups) all[mine] = combine(all[mine], all[mine + half * groups]);
        __syncthreads();
    }
    x = all[mine % groups];
    __syncthreads();
    return x;
}
"""

_QUIET = """\
#ifdef __CUDACC__
#pragma nv_diagnostic push
#pragma nv_diag_suppress 177  /* functions that this kernel does not need */
#endif
"""
_LOUD = """\
#ifdef __CUDACC__
#pragma nv_diagnostic pop
#endif
"""

PRELUDE = f"{_QUIET}{_SCALARS}#define SYMNET_THREADS {THREADS}\n{TEXT}{_LOUD}"

HALVES = ("float16", "bfloat16")  # in memory their bits, in kernels the float32 of the same value

MEMORY_TYPES = {**c.C_TYPES, "bool": "unsigned char", **dict.fromkeys(HALVES, "unsigned short")}
"""C types of elements in memory: any byte but 0 is true."""
