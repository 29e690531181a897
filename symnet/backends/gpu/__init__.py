"""The CUDA back end: the schedule's kernels as CUDA C (emit), compiled by NVRTC (compile), and an
emulated device on which the same text runs on the host (emulated)."""
