"""Who is measured. `PEERS` says which module, which package it needs, and in whose Python.

A peer's module has `PROGRAMS`, from the name of a family to a class. It is built with the case's
parameters; `check()` returns the values to compare with the reference that `against` names;
`run(n)` does n iterations, finished when it returns, and may return the seconds that count.
A module that cannot work here raises `Unavailable`.
"""

from dataclasses import dataclass


class Unavailable(Exception):
    """The peer cannot run on this machine; the message says why."""


@dataclass(frozen=True)
class Peer:
    """`packages` are those whose versions are reported; `foreign` ones may live elsewhere."""

    name: str
    title: str
    module: str
    packages: tuple[str, ...]
    foreign: bool = False


PEERS = {
    peer.name: peer
    for peer in (
        Peer("numpy-gemm", "NumPy, the products only", "numpy_gemm", ("numpy",)),
        Peer("numpy", "NumPy", "numpy_step", ("numpy",)),
        Peer("symnet", "symnet", "symnet_tape", ("symnet", "numpy", "numba", "llvmlite")),
        Peer("torch", "PyTorch eager", "torch_eager", ("torch",), True),
        Peer("torch-indexed", "PyTorch, no DataLoader", "torch_indexed", ("torch",), True),
        Peer("torch-compiled", "PyTorch compiled", "torch_compiled", ("torch",), True),
        Peer("jax", "JAX jit", "jax_jit", ("jax", "jaxlib"), True),
        Peer("pytensor", "PyTensor, Numba", "pytensor_numba", ("pytensor", "numba"), True),
        Peer("keras", "Keras on JAX", "keras_jax", ("keras", "jax"), True),
        Peer("sklearn", "scikit-learn", "scikit_learn", ("scikit-learn",), True),
    )
}
