"""Who is measured. `PEERS` says which module, which package it needs, and in whose Python.

A peer's module has `PROGRAMS`, from the name of a family to a class. It is built with the case's
parameters; `check()` returns the values to compare with the reference that `against` names;
`run(n)` does n iterations, finished when it returns, and may return the seconds that count.
A module that cannot work here raises `Unavailable`.

`DEVICE_PEERS` are those that are measured on a device. Their programs take the parameters `device`,
where to run ("cuda", "emulated", or "cpu" for tests), and `precision`, that of float32 products
("highest", or "high" for TF32). An iteration puts its work into the device's queue and does not
wait; `run(n)` waits once, when all n are in it.
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
    on_device: bool = False  # of `DEVICE_PEERS`


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

_SYMNET = ("symnet", "numpy", "numba", "llvmlite")
DEVICE_PEERS = {
    peer.name: peer
    for peer in (
        Peer("copy", "copy", "device_copy", (), on_device=True),
        Peer("symnet", "symnet", "symnet_device", _SYMNET, on_device=True),
        Peer("torch", "PyTorch eager", "torch_device", ("torch",), True, True),
        Peer(
            "torch-compiled", "PyTorch reduce-overhead", "torch_graphs", ("torch",), True, True,
        ),
        Peer("jax", "JAX jit", "jax_device", ("jax", "jaxlib"), True, True),
    )
}  # fmt: skip
