"""What is measured on a GPU: cases as in the table of the CPU, data resident on the device.

The same cases, tiny, check the programs on the emulated device.
"""

from . import Case, Variant

_PEERS = ("symnet", "torch", "torch-compiled", "jax")
# so many bytes that no cache holds them, nor those of the copy
_LARGE = {"rows": 1 << 15, "columns": 1 << 10}
_KERNELS = {
    "add": _LARGE,
    "chain": _LARGE,
    "softmax": _LARGE,
    "layer-norm": _LARGE,
    "transpose": {"rows": 5760, "columns": 5760},
    "column-sum": {"rows": 1 << 16, "columns": 1 << 10},
}

DEVICE_CASES = {
    case.name: case
    for case in (
        Case(
            "mlp-128",
            "SGD step of the MLP 784-1000-10, batch 128; the cost stays on the device",
            "mlp",
            _PEERS,
            {"sizes": [784, 1000, 10], "batch": 128, "examples": 60000},
            group="training",
            small={"sizes": [20, 9, 5], "batch": 8, "examples": 80},
        ),
        Case(
            "mlp-16",
            "SGD step of the MLP 784-100-10, batch 16; the cost stays on the device",
            "mlp",
            _PEERS,
            {"sizes": [784, 100, 10], "batch": 16, "examples": 60000},
            group="training",
            small={"sizes": [20, 7, 5], "batch": 4, "examples": 40},
        ),
        Case(
            "fit",
            "an epoch of training with 784-1000-10, batch 128: 55000 images in random order, with "
            "accuracy, and 5000 for validation",
            "fit",
            _PEERS,
            {"sizes": [784, 1000, 10], "batch": 128, "examples": 55000, "held": 5000},
            least=2,
            images=55000,
            group="training",
            small={"sizes": [20, 9, 5], "batch": 128, "examples": 1000, "held": 300},
        ),
        Case(
            "chain",
            "(tanh(x*z + 0.5) * exp(-x*x) + log1p(z)).sum() over 4M floats",
            "chain",
            _PEERS,
            {"size": 1 << 22},
            tolerance=1e-5,
            group="kernels",
            small={"size": 3000},
        ),
        Case(
            "kernels",
            "large kernels and a copy of as many bytes, from device memory to device memory",
            "kernels",
            ("copy", "symnet"),
            variants={
                kind: Variant(
                    {"kind": kind, **size},
                    small={"rows": 40, "columns": 40 if kind == "transpose" else 50},
                )
                for kind, size in _KERNELS.items()
            },
            tolerance=1e-5,
            group="kernels",
            share=True,
            traffic=True,
        ),
    )
}
