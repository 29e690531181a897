"""Hand-written kernels that beat the generator, one folder per kernel; used by backends only."""
