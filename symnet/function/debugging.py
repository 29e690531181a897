"""Debug mode: the compiled and the interpreted value of every node, compared."""

from collections.abc import Sequence

import numpy as np

from symnet.backends.cpu.runner import Runner
from symnet.backends.reference import evaluate_all
from symnet.errors import AssertionFailedError
from symnet.function.arguments import Signature
from symnet.function.modes import Mode
from symnet.graph.traversal import toposort
from symnet.graph.variables import Variable
from symnet.ops.random import Permutation
from symnet.rewrite import optimise
from symnet.schedule.buffers import plan
from symnet.backends.cpu.link import link

RELATIVE = {"float32": 2e-4, "float64": 1e-9}


def compare_everything(
    signature: Signature, mode: Mode, arrays: Sequence[np.ndarray]
) -> None:
    """Run both back ends on every intermediate of the graph; nothing is updated.

    Errors: AssertionFailedError naming the first node, in order of computation, whose values
    differ, with its inputs.
    """
    roots = signature.outputs + [v for _, v in signature.updates]
    nodes = toposort(roots, stop=set(signature.variables))
    variables = list(dict.fromkeys(v for node in nodes for v in node.outputs))
    expected = evaluate_all(roots, dict(zip(signature.variables, arrays)))
    for compiled_roots, level in ((variables, "none"), (roots, mode.rewrite)):
        rewritten, _ = optimise(compiled_roots, level=level)
        program, planner = plan(signature.variables, rewritten, ())
        runner = Runner(
            link(program), signature.variables, planner.shared,
            [c.data for c in planner.constants], list(planner.origins),
        )  # fmt: skip
        for variable, actual in zip(compiled_roots, runner.run(list(arrays))):
            _compare(variable, actual, expected[variable])


def _compare(variable: Variable, actual: np.ndarray, expected: np.ndarray) -> None:
    if variable.owner is not None and isinstance(variable.owner.op, Permutation):
        same = np.array_equal(actual, expected)
    elif expected.dtype.kind == "f":
        tolerance = RELATIVE[expected.dtype.name]
        finite = np.abs(expected[np.isfinite(expected)])
        scale = float(finite.max()) if finite.size else 0.0
        same = actual.shape == expected.shape and np.allclose(
            actual, expected, rtol=tolerance, atol=tolerance * scale, equal_nan=True
        )
    else:
        same = np.array_equal(actual, expected)
    if same:
        return
    node = variable.owner
    inputs = "" if node is None else ", ".join(f"{v}: {v.type}" for v in node.inputs)
    raise AssertionFailedError(
        f"debug mode: {variable} differs between the compiled and the reference back end\n"
        f"  compiled  {np.array2string(actual, threshold=8)}\n"
        f"  reference {np.array2string(expected, threshold=8)}\n"
        f"  inputs    {inputs}\n"
        f"  built at  {variable.origin}"
    )
