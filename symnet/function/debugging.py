"""Debug mode: the compiled and the interpreted value of every node, compared."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from symnet.backends.reference import evaluate_all
from symnet.errors import AssertionFailedError
from symnet.function.arguments import Signature
from symnet.function.build import compile_graph
from symnet.function.modes import Mode
from symnet.graph.describe import listed
from symnet.graph.traversal import toposort
from symnet.graph.types import is_float
from symnet.graph.variables import Variable

RELATIVE = {
    "float16": 1e-2,
    "bfloat16": 6e-2,
    "float32": 2e-4,
    "float64": 1e-9,
}  # of the largest magnitude in an array


class Comparison:
    """Both back ends side by side, for one signature.

    Two programs are compiled: one that computes every node of the graph as the user built it, and
    one of the rewritten and fused graph, as mode "compiled" runs it.
    """

    def __init__(self, signature: Signature, mode: Mode, device: str):
        self.inputs = signature.variables
        self.roots = signature.outputs + [v for _, v in signature.updates]
        nodes = toposort(self.roots, stop=set(self.inputs))
        every = list(dict.fromkeys(v for node in nodes for v in node.outputs))
        self.compiled = [
            (roots, compile_graph(self.inputs, roots, (), replace(mode, rewrite=level), device))
            for roots, level in ((every, "none"), (self.roots, mode.rewrite))
        ]

    def check(self, arrays: Sequence[np.ndarray]) -> None:
        """Run both back ends; nothing is updated.

        Errors: AssertionFailedError naming the first node, in order of computation, whose values
        differ, with its inputs and the line that built it.
        """
        expected = evaluate_all(self.roots, dict(zip(self.inputs, arrays)))
        for roots, runner in self.compiled:
            for variable, actual in zip(roots, runner.run(list(arrays))):
                if not _same(actual, expected[variable]):
                    raise AssertionFailedError(_message(variable, actual, expected))


def _same(actual: np.ndarray, expected: np.ndarray) -> bool:
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return False
    if not is_float(expected):
        return bool(np.array_equal(actual, expected))
    tolerance = RELATIVE[expected.dtype.name]
    actual, expected = actual.astype("float64"), expected.astype("float64")
    finite = np.abs(expected[np.isfinite(expected)])
    scale = float(finite.max()) if finite.size else 0.0
    return bool(
        np.allclose(actual, expected, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
    )


def _message(variable: Variable, actual: np.ndarray, expected: dict[Variable, np.ndarray]) -> str:
    text = (
        f"debug mode: {variable} differs between the compiled and the reference back end"
        f"{listed([variable])}\n"
        f"  compiled  {actual.dtype}{actual.shape} {np.array2string(actual, threshold=8)}\n"
    )
    wanted = expected[variable]
    text += f"  reference {wanted.dtype}{wanted.shape} {np.array2string(wanted, threshold=8)}"
    for position, read in enumerate(variable.owner.inputs if variable.owner else ()):
        value = expected[read]
        text += (
            f"\n  input {position}: {read}, {value.dtype}{value.shape} "
            f"{np.array2string(value, threshold=8)}"
        )
    return text
