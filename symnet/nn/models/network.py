"""What `Sequential` and `Model` have in common: a network of layers that is a layer itself."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symnet.errors import ConfigError, TypeMismatchError
from symnet.graph import origin as origins
from symnet.graph.types import TensorType
from symnet.graph.variables import SharedVariable, Variable
from symnet.nn.layers.base import Call, Forward, Layer, Shape, snake_case
from symnet.nn.models import saving
from symnet.nn.models.replay import fitted
from symnet.nn.models.summary import summary
from symnet.nn.training.trainable import Trainable


class Network(Layer, Trainable):
    """A network of layers, and a layer in other networks.

    inputs    the symbolic inputs that it was built for, with a batch of unknown size first
    outputs   its outputs for them, as after training
    layers    the layers in order, each once
    """

    inputs: list[Any]
    outputs: list[Any]
    layers: list[Layer]
    calls: list[Call]  # of the layers, from `inputs` to `outputs`
    _inside = ""  # what parameters' names start with

    def __init__(self, name: str | None = None):
        super().__init__(name)
        self._names: dict[Layer, str] = {}

    def build(self, input_shapes: Any) -> None:  # type: ignore[override]
        """Make the parameters, for inputs of these shapes, of which the batch is the first size:
        (None, 784), or a list of shapes."""
        raise NotImplementedError

    def expression(self, inputs: Sequence[Any], forward: Forward) -> list[Any]:
        """The outputs for other inputs, one expression per input of the network.

        Integers become floatX where the network's input is. Errors: TypeMismatchError.
        """
        self.ensure_built([x.type.shape for x in inputs])
        if len(inputs) != len(self.inputs):
            raise TypeMismatchError(
                f"{self.described()} has {len(self.inputs)} inputs, got {len(inputs)}"
            )
        with origins.at(self.origin):
            given = [fitted(x, placeholder) for x, placeholder in zip(inputs, self.inputs)]
        return self._connect(given, forward)

    def _connect(self, inputs: list[Any], forward: Forward) -> list[Any]:
        """`expression` for inputs of the right types."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """The architecture in terms of JSON. Errors: ConfigError for what no file can hold."""
        raise NotImplementedError

    # ---- as a layer

    def ensure_built(self, shapes: Sequence[Shape]) -> None:
        if not self.built:
            self.build(list(shapes))

    def output(self, *inputs: Any, forward: Forward) -> list[Any]:
        return self.expression(inputs, forward)

    def config(self) -> dict[str, Any]:
        return self.describe()

    @property
    def _parts(self) -> dict[str, Layer]:
        return {}  # `layers` says what they are

    @property
    def parameters(self) -> list[SharedVariable]:
        """What training changes: the parameters of the layers that are `trainable`."""
        if not self.trainable:
            return []
        return list(dict.fromkeys(v for layer in self.layers for v in layer.parameters))

    def named_variables(self) -> dict[str, SharedVariable]:
        """Everything that is saved, by "<layer>.<parameter>"; what is shared comes once."""
        found: dict[SharedVariable, str] = {}
        for layer in self.layers:
            for own, shared in layer.named_variables().items():
                found.setdefault(shared, f"{self.name_of(layer)}.{own}")
        return {name: shared for shared, name in found.items()}

    def penalties(self) -> dict[SharedVariable, Variable]:
        if not self.trainable:
            return {}
        return {v: term for layer in self.layers for v, term in layer.penalties().items()}

    def forget(self) -> None:
        for layer in self.layers:
            layer.forget()
        self.built = False

    def seed_from(self, sequence: np.random.SeedSequence) -> None:
        if self.seed is not None:
            sequence = np.random.SeedSequence(self.seed)
        for layer, child in zip(self.layers, sequence.spawn(len(self.layers))):
            layer.seed_from(child)

    def rename(self, name: str, prefix: str | None = None) -> None:
        """Be called `name`; in another network, which gives a prefix, parameters have longer
        names."""
        self._name = name
        self._inside = "" if prefix is None else f"{prefix}{name}."
        for layer in self.layers:
            layer.rename(self.name_of(layer), self._inside)

    def flops(self, inputs: Sequence[Shape], output: Shape) -> int:
        """The sum over the layers, for the shapes that the network was built for."""
        return sum(flops_of(call) for call in self.calls)

    # ---- what users see

    def __repr__(self) -> str:
        built = f"{self.count_params():,} parameters" if self.built else "not built"
        count = f"{len(self.layers)} layer{'s' if len(self.layers) != 1 else ''}"
        return f"<{type(self).__name__} {self.name}: {count}, {built}>"

    def __getitem__(self, name: str) -> Layer:
        """The layer of this name. Errors: ConfigError, which lists the names."""
        for layer in self.layers:
            if self.name_of(layer) == name:
                return layer
        listed = ", ".join(map(self.name_of, self.layers))
        raise ConfigError(f"{self.described()} has no layer {name!r}; there are {listed or 'none'}")

    def summary(self) -> str:
        """A table: for each layer its output's shape, its parameters, and floating-point
        operations per example. Errors: ConfigError before the shape of the input is known."""
        return summary(self)

    def save(self, path: str | os.PathLike) -> None:
        """Write the network to one safetensors file, from which `nn.load` makes it again, compiled
        if loss, optimizer and metrics are known by name. An older file of that name stays whole
        until the new one is. Errors: ConfigError for layers that no file can hold, OSError."""
        places = leaves(self)
        for layer in places:
            if sum(layer is other for other in places) > 1:
                raise ConfigError(
                    f"{layer.described()} is part of two networks in {self.name}, which a file "
                    "cannot say; save_weights writes the parameters alone"
                )
        saving.save(self, path)

    def save_weights(self, path: str | os.PathLike) -> None:
        """Write parameters and state alone, for `load_weights`. Errors: OSError."""
        saving.save_weights(self, path)

    def load_weights(self, path: str | os.PathLike) -> None:
        """Set parameters and state to those in a file. Errors, before anything is changed:
        DataError, OSError; ConfigError for a network that has none yet."""
        saving.load_weights(self, path)

    def name_layers(self) -> None:
        """Give the layers names, and the parameters those of their layers."""
        self._names = name_layers(self.layers, self._inside, self._names)

    def name_of(self, layer: Layer) -> str:
        """What the network calls a layer of its own: `layer.name`, unless another network that
        the layer is part of, too, had to call it otherwise since."""
        return self._names.get(layer, layer.name)


def check_calls(network: Network, calls: Sequence[Call]) -> None:
    """Whether all parameters that take part are the network's. Errors: ConfigError."""
    known = set(network.named_variables().values())
    for call in calls:
        if not known.issuperset(call.layer.parameters):
            raise ConfigError(
                f"{call.layer.described()} is called inside {network.name} by a layer that does "
                "not hold it, so its parameters would be neither trained nor saved; make it an "
                "attribute of the layer that calls it, alone, in a list or in a dict (if it shall "
                "stay as it is: trainable = False)"
            )


def leaves(network: Network) -> list[Layer]:
    """The layers that are no networks, those inside other networks too, as often as they occur."""
    found: list[Layer] = []
    for layer in network.layers:
        found.extend(leaves(layer) if isinstance(layer, Network) else [layer])
    return found


def name_layers(
    layers: Sequence[Layer], prefix: str, before: Mapping[Layer, str]
) -> dict[Layer, str]:
    """Give every layer without a name one of its own, if possible the one it had `before`; `prefix`
    is for parameters. Errors: ConfigError for a name given twice."""
    taken: dict[str, Layer] = {}
    for layer in layers:
        if layer.has_given_name:
            other = taken.setdefault(layer.name, layer)
            if other is not layer:
                raise ConfigError(
                    f"two layers are called {layer.name}:\n  {other.described()}\n"
                    f"  {layer.described()}"
                )
    for layer in layers:
        if layer.has_given_name:
            continue
        name, count = before.get(layer, layer.name), 0
        while name in taken:
            count += 1
            name = f"{snake_case(type(layer).__name__)}_{count}"
        taken[name] = layer
    for name, layer in taken.items():
        layer.rename(name, prefix)
    return {layer: name for name, layer in taken.items()}


def placeholder(shape: Shape, dtype: str, name: str) -> Any:
    """A symbolic input of this shape, whose batch is of unknown size."""
    return TensorType(dtype, (None, *shape[1:]))(name)


def flops_of(call: Call) -> int:
    """Floating-point operations per example of a layer's call."""
    shapes = [v.type.shape for v in call.inputs]
    return sum(call.layer.flops(shapes, v.type.shape) for v in call.outputs[:1])
