"""Whether an installation is whole: all rooms import, a function compiles and is right.

    python check_install.py installed    from a wheel or an editable install
    python check_install.py checkout     from a checkout on the path

The top-level folders kernels/ and benchmarks/ must be there as symnet.kernels and
symnet.benchmarks; an install must not claim the bare names (docs/design/0001-layout.md).
"""

import importlib
import importlib.resources
import importlib.util
import sys

import numpy as np

import symnet
import symnet.tensor as T

ROOMS = (
    "backends.cpu.runner",
    "backends.reference",
    "benchmarks.cases",
    "benchmarks.peers",
    "cli",
    "data",
    "kernels.gemm",
    "kernels.scalar",
    "nn",
    "testing",
)
PLACES = ("installed", "checkout")


def main() -> None:
    place = sys.argv[1]
    if place not in PLACES:
        raise SystemExit(f"{place!r} is not one of {', '.join(PLACES)}")
    for room in ROOMS:
        importlib.import_module(f"symnet.{room}")
    text = importlib.resources.files("symnet.kernels.gemm").joinpath("gpu.cu").read_text()
    assert "symnet_gemm" in text, "the text of GPU kernels is missing"
    assert callable(importlib.import_module("symnet.benchmarks").main)
    if place == "installed":
        for name in ("kernels", "benchmarks"):
            assert importlib.util.find_spec(name) is None, f"the install claims the name {name}"

    x = T.matrix("x")
    W = symnet.shared(np.ones((3, 2), "float32"), name="W")
    cost = T.tanh(x @ W).sum()
    step = symnet.function([x], cost, updates=[(W, W - 0.5 * symnet.grad(cost, W))])
    value = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3)
    wanted = np.tanh(value @ np.ones((3, 2), "float32"))
    np.testing.assert_allclose(step(value), wanted.sum(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        W.get_value(), 1 - 0.5 * value.T @ (1 - wanted**2), rtol=1e-5, atol=1e-6
    )
    print(f"symnet {symnet.__version__} at {symnet.__path__[0]} works")


if __name__ == "__main__":
    main()
