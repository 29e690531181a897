"""Small copies to the device as arguments of a kernel, which writes them where they belong.

The driver reads arguments when the kernel is ordered, so no memory has to wait for anything, and
the kernel follows others on its stream as they do each other; a copy by one of the device's copy
engines is handed over to the engine and back. A kernel takes 4,096 bytes of arguments.
"""

import ctypes
import functools

import numpy as np

from symnet.backends.gpu.prelude import THREADS
from symnet.backends.gpu.source import Source

WORD = 8  # bytes; whole words are copied, to an aligned address
MOST = 4000  # bytes
SIZES = 512, 1536, MOST  # bytes of the content of each kernel: the driver copies all of it


@functools.cache
def source(size: int) -> Source:
    """The text of the kernel for so many bytes at most."""
    words = 2 + size // WORD
    text = f"""\
extern "C" __global__ void __launch_bounds__({THREADS})
ENTRY(const symnet_words<{words}> words, const long long* live, long long* error)
{{
    long long* const to = (long long*)words.w[0];
    const int many = (int)words.w[1];
    #pragma unroll 1
    for (int k = threadIdx.x; k < many; k += {THREADS}) to[k] = words.w[2 + k];
}}
"""
    return Source(text, (), words, 1, False)


def fits(address: int, size: int) -> bool:
    """Whether a kernel can copy that many bytes there."""
    return 0 < size <= MOST and size % WORD == 0 and address % WORD == 0


class Argument:
    """The arguments of a kernel, to be filled for each copy anew.

    source      the kernel
    parameters  where the addresses of its arguments lie, as `cuLaunchKernel` wants them
    """

    def __init__(self, size: int):
        self.source = source(size)
        self._words = np.zeros(2 + size // WORD, np.int64)
        self._none = np.zeros(1, np.int64)  # it has no words that move, and no errors
        none = self._none.ctypes.data
        self._addresses = np.array([self._words.ctypes.data, none, none], np.int64)
        self.parameters: int = self._addresses.ctypes.data
        self._content = self._words.ctypes.data + 2 * WORD

    def fill(self, address: int, content: int, size: int) -> None:
        """For `size` bytes of the host, from `content` on, to an address of the device."""
        self._words[0], self._words[1] = address, size // WORD
        ctypes.memmove(self._content, content, size)


def smallest(size: int) -> int:
    """The size of the smallest kernel that takes that many bytes."""
    return next(s for s in SIZES if size <= s)
