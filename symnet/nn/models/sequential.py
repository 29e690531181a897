"""Networks that are one layer after the other."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from symnet.config import config
from symnet.errors import ConfigError, ShapeError, TypeMismatchError
from symnet.graph.types import TensorType
from symnet.graph.variables import Constant, SharedVariable, Variable
from symnet.nn import seeds
from symnet.nn.layers.base import Forward, Layer, Shape
from symnet.nn.models.description import described_layer, described_type
from symnet.nn.models.network import Network, check_calls, placeholder
from symnet.nn.models.replay import fits


class Sequential(Network):
    """Layers, each with the output of the one before as its input.

    layers       layers and other networks; the first entry may be an `nn.Input`
    seed         of the initial values; None: see `nn.set_seed`
    input_shape  of one example. Without it, and without an Input, the network gets its parameters
                 with the first data, or by `build`

    Errors: TypeMismatchError for what is no layer; those of the layers.
    """

    def __init__(
        self,
        layers: Iterable[Any] = (),
        seed: int | None = None,
        name: str | None = None,
        input_shape: int | Sequence[int | None] | None = None,
    ):
        super().__init__(name)
        if isinstance(layers, Layer):
            raise TypeMismatchError(
                "Sequential: layers come as one list, nn.Sequential([first, second])"
            )
        self.seed = None if seed is None else seeds.number(seed)
        self.layers, self.inputs, self.outputs, self.calls = [], [], [], []
        self._stack: list[Layer] = []  # a layer may come twice
        self._input: TensorType | None = None
        self._input_name = "input"
        if input_shape is not None:
            sizes = (input_shape,) if isinstance(input_shape, int) else tuple(input_shape)
            self._input = TensorType(config.floatX, (None, *sizes))
        for layer in layers:
            self._append(layer)
        self._update()

    def add(self, layer: Any) -> None:
        """Put one more layer at the end."""
        self._append(layer)
        try:
            self._update()
        except BaseException:
            self._remove_last()
            raise

    def build(self, input_shapes: Any) -> None:  # type: ignore[override]
        """Make the parameters for inputs of this shape, of which the batch is the first size.

        Errors: ShapeError where another shape was declared; those of the layers, after which the
        network is as before.
        """
        shape = _single(input_shapes)
        known = self._input
        if known is not None and not fits(shape, known.shape):
            raise ShapeError(f"{self.described()} takes {known}, not shape {tuple(shape)}")
        if self.built:
            return
        self._build(known or TensorType(config.floatX, (None, *shape[1:])))

    def _build(self, type_: TensorType) -> None:
        before = [layer for layer in self._stack if layer.built]
        if self.seed is not None:
            self.seed_from(np.random.SeedSequence(self.seed))
        x = placeholder(type_.shape, type_.dtype, self._input_name)
        forward = Forward()
        try:
            with self._naming():
                outputs = self._connect([x], forward)
                check_calls(self, forward.calls)
        except BaseException:
            for layer in self.layers:
                if layer not in before:
                    layer.forget()
            raise
        self.inputs, self.outputs = [x], outputs
        self.calls = [call for call in forward.calls if call.layer in self.layers]
        self._input = type_
        self.built = True
        self.name_layers()

    def _connect(self, inputs: list[Any], forward: Forward) -> list[Any]:
        for layer in self._stack:
            inputs = layer.apply(inputs, forward)
        return inputs

    def describe(self) -> dict[str, Any]:
        return {
            "class": "Sequential",
            "name": self.name,
            "input": described_type(self._input, self._input_name) if self._input else None,
            "layers": [described_layer(v, self.name_of(v)) for v in self.layers],
            "order": [self.layers.index(layer) for layer in self._stack],
        }

    def _append(self, layer: Any) -> None:
        if isinstance(layer, Variable):
            self._declare(layer)
            return
        if not isinstance(layer, Layer):
            hint = "; nn.Lambda makes a layer of a function" if callable(layer) else ""
            raise TypeMismatchError(f"Sequential: {layer!r:.60} is no layer{hint}")
        if layer is self:
            raise ConfigError("Sequential: a network cannot be a layer of itself")
        self._stack.append(layer)
        self.layers = list(dict.fromkeys(self._stack))
        try:
            self.name_layers()
        except BaseException:
            self._remove_last()
            raise

    def _declare(self, variable: Variable) -> None:
        fresh = variable.owner is None and not isinstance(variable, Constant | SharedVariable)
        if self._stack or self._input is not None or not fresh:
            raise TypeMismatchError(
                f"Sequential: {variable} ({variable.type}) is no layer; an nn.Input may come first"
            )
        self._input = variable.type
        self._input_name = variable.name or "input"

    def _remove_last(self) -> None:
        self._stack.pop()
        self.layers = list(dict.fromkeys(self._stack))

    def _update(self) -> None:
        """Build what can be built after a change of the layers."""
        if self._input is not None and self._stack:
            self._build(self._input)


def _single(shapes: Any) -> Shape:
    """One shape, given as such or as a list of one. Errors: ShapeError."""
    given = list(shapes)
    if given and isinstance(given[0], (list, tuple)):
        if len(given) != 1:
            raise TypeMismatchError(f"Sequential has one input, got {len(given)}")
        given = list(given[0])
    if not given:
        raise ShapeError("Sequential: an input has at least one dimension, the batch")
    return tuple(given)
