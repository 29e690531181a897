"""The benchmark suite: cases, peers, and the runner behind `symnet bench`."""
