"""From a graph to a program: fusion into kernels, buffers, and the order of steps."""
