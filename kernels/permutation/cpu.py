"""The permutation step for the CPU; see the package for what it computes."""

import numpy as np

from symnet.kernels.intrinsics import as_ptr_int64, invariant_word, load, store
from symnet.kernels.scalar.cpu import bounded_from_bits, cast_uint32, philox_word0, philox_word1


def shuffle(args, lo, hi, thread):
    out = as_ptr_int64(invariant_word(args, 0))
    n = invariant_word(args, 1)
    seed = invariant_word(args, 2)
    if invariant_word(args, 3):
        seed = load(as_ptr_int64(seed), 0)
    stream = invariant_word(args, 4)
    if invariant_word(args, 5):
        stream = load(as_ptr_int64(stream), 0)
    step = invariant_word(args, 6)
    if invariant_word(args, 7):
        step = load(as_ptr_int64(step), 0)
    key0 = cast_uint32(seed)
    key1 = cast_uint32(stream)
    c2 = cast_uint32(step)
    c3 = cast_uint32(step >> np.int64(32))
    for i in range(n):
        store(out, i, i)
    for i in range(1, n):
        c0 = cast_uint32(i)
        c1 = cast_uint32(i >> 32)
        high = philox_word0(key0, key1, c0, c1, c2, c3)
        low = philox_word1(key0, key1, c0, c1, c2, c3)
        j = bounded_from_bits(high, low, np.int64(i + 1))
        mine = load(out, i)
        store(out, i, load(out, j))
        store(out, j, mine)
