"""Small kernels that move bytes: the two ends of a recorded step of `map`, and copies of arrays
with strides.

`map` replays one recording per call. Its head copies what this call gets (its words that move and
its small inputs, and a row of each long sequence) to where the program reads it; its tail copies
outputs to their row among those of all calls, and counts. So the number of the call is known on the
device only, in two words of which each kernel changes the one that the other reads:

    state[0]  calls done
    state[1]  the call that is being worked on

After a failed check the count stays, so it tells which call failed.

A small move is one block's, so that they overlap: each waits for its words, then for what it
reads. All blocks share in a large one.
"""

import functools
from collections.abc import Sequence
from math import prod

import numpy as np

from symnet.backends.gpu.bind import BoundKernel
from symnet.backends.gpu.device import DeviceArray, GpuDevice
from symnet.backends.gpu.launch import Device, Launch
from symnet.backends.gpu.prelude import THREADS
from symnet.backends.gpu.source import Source
from symnet.backends.words import itemsize
from symnet.errors import ShapeError
from symnet.graph import capsule

Move = tuple[int, int, int, int, int]
"""Source, bytes from one call to the next there, target, bytes from one to the next, how many."""

WORDS = 5  # of a move
SMALL = 16 * THREADS  # bytes that a block moves with one access of each thread
DIMENSIONS = 8  # of an array with strides, at most

_ENDS = f"""\
extern "C" __global__ void __launch_bounds__({THREADS})
ENTRY(const symnet_words<4> words, const long long* live, long long* error)
{{
    const long long* const moves = (const long long*)words.w[0];
    long long* const state = (long long*)words.w[2];
    const bool tail = words.w[3] != 0;
    const long long call = tail ? state[1] : state[0];
    for (unsigned int m = 0; m < words.w[1]; m++) {{
        const long long* const move = moves + {WORDS} * m;
        const long long bytes = move[4];
        const bool alone = bytes <= {SMALL};
        if (alone && m % gridDim.x != blockIdx.x) continue;
        const long long mine = (alone ? 0 : (long long)blockIdx.x * {THREADS}) + threadIdx.x;
        const long long all = alone ? {THREADS} : (long long)gridDim.x * {THREADS};
        const unsigned char* const from = (const unsigned char*)(move[0] + call * move[1]);
        unsigned char* const to = (unsigned char*)(move[2] + call * move[3]);
        const int common = (int)(((unsigned long long)from | (unsigned long long)to | bytes) % 16);
        if (common == 0) {{
            for (long long k = mine; k < bytes / 16; k += all)
                symnet_write((unsigned long long*)to + 2 * k,
                             symnet_read<2>((const unsigned long long*)from + 2 * k));
        }} else if (common % 4 == 0) {{
            for (long long k = mine; k < bytes / 4; k += all)
                ((unsigned int*)to)[k] = ((const unsigned int*)from)[k];
        }} else {{
            for (long long k = mine; k < bytes; k += all) to[k] = from[k];
        }}
    }}
    if (blockIdx.x == 0 && threadIdx.x == 0) {{
        if (!tail) state[1] = call;
        else if (error[0] == 0) state[0] = call + 1;
    }}
}}
"""

_GATHER = f"""\
extern "C" __global__ void __launch_bounds__({THREADS})
ENTRY(const symnet_words<{4 + 2 * DIMENSIONS}> words, const long long* live, long long* error)
{{
    const unsigned char* const from = (const unsigned char*)words.w[0];
    unsigned char* const to = (unsigned char*)words.w[1];
    const long long many = words.w[2], bytes = words.w[3];
    const long long mine = (long long)blockIdx.x * {THREADS} + threadIdx.x;
    const long long all = (long long)gridDim.x * {THREADS};
    for (long long k = mine; k < many; k += all) {{
        long long place = 0, left = k;
        for (int d = {DIMENSIONS - 1}; d >= 0; d--)
            place += symnet_last(left, words.w[4 + d]) * words.w[{4 + DIMENSIONS} + d];
        for (long long b = 0; b < bytes; b++) to[k * bytes + b] = from[place + b];
    }}
}}
"""


@functools.cache
def ends_source() -> Source:
    """The text of head and tail."""
    return Source(_ENDS, (), 4, 16, False)


@functools.cache
def gather_source() -> Source:
    """The text of a copy of an array with strides."""
    return Source(_GATHER, (), 4 + 2 * DIMENSIONS, 1, False)


def end(table: int, moves: Sequence[Move], state: int, tail: bool, device: Device) -> BoundKernel:
    """The head, or the tail, of a step; `table` is where the device finds the moves."""
    blocks = max(len(moves), -(-sum(move[-1] for move in moves) // SMALL))
    words = np.array([table, len(moves), state, tail], np.int64)
    return BoundKernel(ends_source(), Launch(max(1, min(blocks, device.blocks))), words, 0)


def gather(
    target: int,
    source: int,
    shape: Sequence[int],
    strides: Sequence[int],
    itemsize: int,
    device: Device,
) -> BoundKernel:
    """A contiguous copy of an array whose strides are in bytes."""
    many = prod(shape)
    missing = DIMENSIONS - len(shape)
    words = [source, target, many, itemsize, *[1] * missing, *shape, *[0] * missing, *strides]
    blocks = min(-(-many // THREADS), 4 * device.blocks)
    return BoundKernel(gather_source(), Launch(blocks), np.array(words, np.int64), 0)


def copy(device: GpuDevice, target: int, array: DeviceArray) -> None:
    """Order a contiguous copy of a device array. Errors: ShapeError for too many dimensions."""
    size = itemsize(array.dtype)
    if contiguous(array):
        device.copy(target, array.address, size * prod(array.shape))
        return
    if len(array.shape) > DIMENSIONS:
        raise ShapeError(f"a device array of {len(array.shape)} dimensions has to be contiguous")
    kernel = gather(target, array.address, array.shape, array.strides, size, device.geometry)
    device.load([kernel.source])
    device.launch(kernel, 0, 0)


def contiguous(array: DeviceArray) -> bool:
    """Whether its elements lie one behind the other."""
    size = itemsize(array.dtype)
    wanted = capsule.contiguous(array.shape, size)
    return 0 in array.shape or all(
        n == 1 or s == w for n, s, w in zip(array.shape, array.strides, wanted)
    )
