"""The random permutation as a CUDA kernel; `symnet.kernels.permutation` says what it computes.

Exchange i swaps places i and j <= i. Of those that the block works on at once, one has to wait for
an earlier one only if both drew the same place, or if it drew the earlier one's own. The others are
made by all threads at the same time, and then those few in their order by one thread.
"""

import functools

from symnet.backends.gpu.prelude import THREADS
from symnet.backends.gpu.source import Source
from symnet.kernels import permutation as p

_U = "uint32"
_FUNCTIONS = (
    ("bounded_from_bits", _U, _U, "int64"),
    ("philox_word0", *[_U] * 6),
    ("philox_word1", *[_U] * 6),
)

_BODY = f"""\
extern "C" __global__ void __launch_bounds__({THREADS})
ENTRY(const symnet_words<{p.WORDS}> words, const long long* live, long long* error)
{{
    __shared__ long long draws_[{THREADS}];
    __shared__ bool late_[{THREADS}];
    long long* const out = (long long*)WORD{p.OUT};
    const long long n = WORD{p.N};
    const unsigned int key0 = (unsigned int)(WORD{p.SEED_AT} ? *(long long*)WORD{p.SEED}
                                                             : WORD{p.SEED});
    const unsigned int key1 = (unsigned int)(WORD{p.STREAM_AT} ? *(long long*)WORD{p.STREAM}
                                                               : WORD{p.STREAM});
    const long long step = WORD{p.STEP_AT} ? *(long long*)WORD{p.STEP} : WORD{p.STEP};
    const unsigned int c2 = (unsigned int)step, c3 = (unsigned int)(step >> 32);
    for (long long i = threadIdx.x; i < n; i += {THREADS}) out[i] = i;
    for (long long first = 0; first < n; first += {THREADS}) {{
        const long long i = first + threadIdx.x;
        const unsigned int c0 = (unsigned int)i, c1 = (unsigned int)(i >> 32);
        const unsigned int high = symnet_philox_word0(key0, key1, c0, c1, c2, c3);
        const unsigned int low = symnet_philox_word1(key0, key1, c0, c1, c2, c3);
        const long long j = symnet_bounded_from_bits(high, low, i + 1);
        draws_[threadIdx.x] = j;
        __syncthreads();
        /* an exchange that shares a place with an earlier one of this round waits for it */
        bool late = j >= first && j < i;
        #pragma unroll 8
        for (int s = 0; s < {THREADS}; s++) late |= s < (int)threadIdx.x && draws_[s] == j;
        late_[threadIdx.x] = late;
        if (i < n && !late) {{
            const long long mine = out[i];
            out[i] = out[j];
            out[j] = mine;
        }}
        __syncthreads();
        if (threadIdx.x == 0) {{
            const int many = (int)(symnet_min(first + {THREADS}, n) - first);
            for (int t = 0; t < many; t++) {{
                if (!late_[t]) continue;
                const long long k = first + t, other = draws_[t], mine = out[k];
                out[k] = out[other];
                out[other] = mine;
            }}
        }}
        __syncthreads();
    }}
}}
"""


@functools.cache
def source(live: tuple[int, ...] = ()) -> Source:
    """The text; words as of `symnet.kernels.permutation`, those in `live` from device memory."""
    body = _BODY
    for word in reversed(range(p.WORDS)):
        place = f"live[{live.index(word)}]" if word in live else f"words.w[{word}]"
        body = body.replace(f"WORD{word}", place)
    return Source(body, _FUNCTIONS, p.WORDS, 1, True)
