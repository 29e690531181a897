"""The contract of an op. Everything that symnet knows about an op is answered here."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from symnet.errors import SymnetError, TypeMismatchError
from symnet.graph.describe import name_in
from symnet.graph.dims import Size
from symnet.graph.origin import Origin
from symnet.graph.types import TensorType
from symnet.graph.variables import Apply, Variable


class ShapeContext(Protocol):
    """What an op may ask while it infers shapes."""

    def value(self, variable: Variable) -> Size:
        """The value of an integer scalar as a size."""

    def require(self, a: Size, b: Size, why: str) -> None:
        """State that two sizes must be equal; `why` ends up in the ShapeError."""

    def check(self, condition: Size, why: str, index: bool = False) -> None:
        """State that a size must be nonzero (a condition that holds): ShapeError if it is not,
        or IndexOutOfBoundsError with index=True."""


class Op:
    """A frozen value: parameters as fields, rules as methods. Equal ops are interchangeable.

    Subclasses are frozen dataclasses. What a subclass answers:

    output_types   types from input types; raises TypeMismatchError or ShapeError with all shapes
    infer_shape    run-time sizes of the outputs from those of the inputs
    perform        the reference in NumPy
    grad           vector-Jacobian product as expressions

    How it is lowered is decided by the kind of op (see ops/__init__): the schedule knows
    element-wise ops, reductions, views, contractions, gathers, scatters, sources and host ops.
    An op that says nothing runs its `perform` between native segments.
    """

    __slots__ = ()

    # ---- building

    def output_types(self, *inputs: Variable) -> Sequence[TensorType]:
        raise NotImplementedError

    def make_node(self, *inputs: Variable, origin: Origin | None = None) -> Apply:
        """The op applied. Errors of `output_types` also show the lines that built the inputs."""
        try:
            types = self.output_types(*inputs)
        except SymnetError as error:
            name_in(error, inputs)
            raise
        return Apply(self, inputs, types, origin)

    def __call__(self, *inputs: Variable) -> Any:
        """The output, or the tuple of outputs if the op has several."""
        for given in inputs:
            if not isinstance(given, Variable):
                raise TypeMismatchError(f"{self}: {given!r:.80} is not a symbolic variable")
        outputs = self.make_node(*inputs).outputs
        return outputs[0] if len(outputs) == 1 else outputs

    # ---- meaning

    def infer_shape(
        self, node: Apply, shapes: Sequence[tuple[Size, ...]], context: ShapeContext
    ) -> Sequence[tuple[Size, ...]]:
        """Sizes of the outputs from those of the inputs, as size expressions."""
        raise NotImplementedError

    def perform(self, node: Apply, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        raise NotImplementedError

    def grad(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        output_grads: Sequence[Variable],
    ) -> Sequence[Variable | None]:
        """Gradient of <outputs, output_grads> with respect to each input; None means zero.

        A result may keep dimensions that the forward pass broadcast: un-broadcasting is done in
        one place in `autodiff`.
        """
        raise NotImplementedError(f"{self} has no gradient")

    def connected(self, node: Apply) -> Sequence[bool]:
        """For each input, whether the outputs depend on it differentiably."""
        return [True] * len(node.inputs)

    def __str__(self) -> str:
        return type(self).__name__.lower()
