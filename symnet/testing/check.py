"""One call that tests an op, or any function of variables, against everything known about it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from symnet.backends.reference import evaluate_all
from symnet.errors import AssertionFailedError, CompilerError, IndexOutOfBoundsError, ShapeError
from symnet.function import function
from symnet.graph import dims
from symnet.graph.dims import Dim, Size
from symnet.graph.traversal import toposort
from symnet.graph.types import FLOATS, TensorType, is_float
from symnet.graph.variables import Apply, Constant, Variable
from symnet.testing.derivative import verify_grad
from symnet.testing.tolerance import assert_close


def check_op(
    build: Callable[..., Any],
    samples: Sequence[Sequence[Any]],
    reference: Callable[..., Any] | None = None,
    *,
    order: int = 2,
    mode: Any = "compiled",
    rtol: float | None = None,
) -> None:
    """Check an op, or a function from variables to a variable or a list of them, on samples.

    For every sample (a tuple of arrays or numbers), once with unknown and once with static sizes:

    * the values agree with `reference`, a NumPy function, if it is given;
    * dtype and sizes of every result are those that its type and its shape rule promise, the
      rule being asked with numbers and with size expressions;
    * the inputs are left as they were;
    * derivatives up to `order` (0: none) agree with finite differences in float64, if the
      sample has floating-point inputs and the result is floating-point and connected to them
      (halves become float64 as well: an op that casts to halves by itself needs order=0);
    * `symnet.function` in `mode` (None: skip this) gives the same values as the interpreter.

    Errors: AssertionFailedError, GradientMismatchError, CompilerError for a broken promise.
    """
    for sample in samples:
        arrays = [np.asarray(a) for a in sample]
        for static in (False, True):
            inputs = [
                TensorType(a.dtype.name, a.shape if static else (None,) * a.ndim)(f"x{k}")
                for k, a in enumerate(arrays)
            ]
            outputs = _listed(build(*inputs))
            _check_values(inputs, outputs, arrays, reference, mode, rtol)
        if order and any(map(is_float, arrays)):
            floats = [v for v in outputs if v.type.dtype in FLOATS]
            if floats and all(a.size for a in arrays):
                verify_grad(
                    lambda *x: [v for v in _listed(build(*x)) if v.type.dtype in FLOATS],
                    arrays,
                    order=order,
                )


def _listed(result: Any) -> list[Variable]:
    return [result] if isinstance(result, Variable) else list(result)


def _check_values(
    inputs: list[Variable],
    outputs: list[Variable],
    arrays: list[np.ndarray],
    reference: Callable[..., Any] | None,
    mode: Any,
    rtol: float | None,
) -> None:
    before = [a.copy() for a in arrays]
    known = evaluate_all(outputs, dict(zip(inputs, arrays)))
    for array, copy in zip(arrays, before):
        assert_close(array, copy, "an input after the call", rtol=0, atol=0)
    results = [known[v] for v in outputs]
    if reference is not None:
        expected = reference(*arrays)
        expected = [expected] if len(outputs) == 1 else list(expected)
        for variable, result, wanted in zip(outputs, results, expected, strict=True):
            assert_close(result, np.asarray(wanted, result.dtype), f"{variable}", rtol=rtol)
            if result.shape != np.shape(wanted):
                raise AssertionFailedError(f"{variable}: {result.shape}, not {np.shape(wanted)}")
    check_shapes(outputs, known)
    if mode is not None:
        compiled = function(inputs, outputs, mode=mode, on_unused_input="ignore")
        for variable, result, found in zip(outputs, results, compiled(*arrays), strict=True):
            assert_close(found, result, f"compiled {variable}", rtol=rtol)


def check_shapes(outputs: Sequence[Variable], known: dict[Variable, np.ndarray]) -> None:
    """Check that the shape rules, asked for size expressions, describe the values in `known`.

    Errors: CompilerError naming the op, the sizes inferred and the real ones.
    """
    context = SymbolicSizes()
    for node in toposort(outputs):
        context.visit(node)
    values: dict[Dim, int] = {}
    for leaf in context.leaves:
        variable = leaf.args[0]
        values[leaf] = (
            int(known[variable]) if leaf.op == "value" else known[variable].shape[leaf.args[1]]
        )
    for variable, sizes in context.sizes.items():
        found = tuple(dims.evaluate(size, values) for size in sizes)
        if variable.owner is not None and found != known[variable].shape:
            raise CompilerError(
                f"{variable.owner.op}: sizes {sizes} were inferred, that is {found}; the result "
                f"has shape {known[variable].shape}"
            )
    for condition, error in context.conditions:
        if not dims.evaluate(condition, values):
            raise error


class SymbolicSizes:
    """A shape context that keeps sizes as expressions over the sizes of inputs."""

    def __init__(self) -> None:
        self.sizes: dict[Variable, tuple[Size, ...]] = {}
        self.leaves: list[Dim] = []
        self.conditions: list[tuple[Size, Exception]] = []

    def visit(self, node: Apply) -> None:
        for variable in node.inputs:
            if variable not in self.sizes:
                self.sizes[variable] = self._unknown(variable)
        try:
            inferred = node.op.infer_shape(node, [self.sizes[v] for v in node.inputs], self)
        except NotImplementedError:
            inferred = [self._unknown(v) for v in node.outputs]
        self.sizes.update(zip(node.outputs, map(tuple, inferred)))

    def _unknown(self, variable: Variable) -> tuple[Size, ...]:
        if isinstance(variable, Constant):
            return variable.data.shape
        return tuple(self._leaf("dim", (variable, k)) for k in range(variable.type.ndim))

    def _leaf(self, op: str, args: tuple) -> Dim:
        leaf = Dim(op, args)
        self.leaves.append(leaf)
        return leaf

    def value(self, variable: Variable) -> Size:
        if isinstance(variable, Constant):
            return int(variable.data)
        return self._leaf("value", (variable,))

    def require(self, a: Size, b: Size, why: str) -> None:
        self.check(dims.apply("eq", a, b), f"{why}: {a} and {b} are not equal")

    def check(self, condition: Size, why: str, index: bool = False) -> None:
        self.conditions.append((condition, (IndexOutOfBoundsError if index else ShapeError)(why)))
