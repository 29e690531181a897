"""What is measured on a GPU: cases as in the table of the CPU, data resident on the device.

The same cases, tiny, check the programs on the emulated device.
"""

from dataclasses import replace
from typing import Any

from . import CASES, Case, Variant

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

_STAYS = "; the cost stays on the device"


def _as_on_cpu(name: str, **changes: Any) -> Case:
    """The case of the CPU's table, but for what is different."""
    return replace(CASES[name], peers=_PEERS, **changes)


DEVICE_CASES = {
    case.name: case
    for case in (
        _as_on_cpu(
            "mlp-128",
            title=CASES["mlp-128"].title + _STAYS,
            small={"sizes": [20, 9, 5], "batch": 8, "examples": 80},
        ),
        _as_on_cpu(
            "mlp-16",
            title=CASES["mlp-16"].title + _STAYS,
            small={"sizes": [20, 7, 5], "batch": 4, "examples": 40},
        ),
        _as_on_cpu(
            "fit",
            title=CASES["fit"].title.replace("`fit`", "training"),
            rounds=None,
            small={"sizes": [20, 9, 5], "batch": 128, "examples": 1000, "held": 300},
        ),
        _as_on_cpu("chain", tolerance=1e-5, small={"size": 3000}),
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
