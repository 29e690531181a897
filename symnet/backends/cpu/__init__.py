"""The CPU back end: Numba kernels on a native tape, run by a pool of threads of our own."""
