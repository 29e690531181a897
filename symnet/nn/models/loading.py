"""Models from files: the description read and checked, the layers made, the parameters set.

Only classes that symnet knows, or that the caller hands in, are made, with settings from the file.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from symnet.errors import DataError, SymnetError, TypeMismatchError
from symnet.graph.types import TensorType
from symnet.nn import layers as layer_module
from symnet.nn.layers.base import Layer, checked_name, values_under
from symnet.nn.models import saving
from symnet.nn.models.expressions import applied, constant
from symnet.nn.models.model import Model
from symnet.nn.models.network import Network
from symnet.nn.models.sequential import Sequential
from symnet.nn.parameters import assign

_OWN: dict[str, type[Layer]] = {
    name: thing
    for name, thing in vars(layer_module).items()
    if isinstance(thing, type) and issubclass(thing, Layer) and thing is not Layer
}
Values = dict[str, np.ndarray]


def load(path: str | os.PathLike, layers: Iterable[type[Layer]] = ()) -> Any:
    """The model that `save` wrote, compiled if it was.

    layers  your own classes that the model has layers of

    Errors: DataError for a file that is truncated, not a symnet model, of another version, without
    an architecture, with layers nobody knows, or with parameters that are missing, left over or of
    the wrong shape; OSError. Nothing in a file is executed.
    """
    classes = dict(_OWN)
    for kind in layers:
        if not (isinstance(kind, type) and issubclass(kind, Layer)):
            raise TypeMismatchError(f"load: layers={kind!r:.60}: subclasses of nn.Layer are wanted")
        classes[kind.__name__] = kind
    values, metadata = saving.read(path)
    if "model" not in metadata:
        raise DataError(
            f"{path} holds parameters alone, no architecture: make the model and call its "
            "load_weights"
        )
    try:
        made = _Reader(classes).network(metadata["model"], values)
        # once more, for what a layer of the caller's had built before it could be told
        assign("the file", made.named_variables(), values)
        if metadata.get("training") is not None:
            made.compile(**metadata["training"])
    except SymnetError as problem:
        raise DataError(f"{path}: {problem}") from None
    except (TypeError, KeyError, IndexError, ValueError, AttributeError) as problem:
        raise DataError(f"{path}: its description is not one of a model: {problem!r}") from None
    except (MemoryError, RecursionError) as problem:
        raise DataError(f"{path}: its description asks for too much: {problem!r}") from None
    return made


class _Reader:
    """Makes what a description describes."""

    def __init__(self, classes: Mapping[str, type[Layer]]):
        self.classes = classes

    def network(self, description: Any, values: Values) -> Network:
        """A network with the parameters that `values` holds by its names for them."""
        kind = description["class"]
        if kind == "Sequential":
            made: Network = self._sequential(description, values)
        elif kind == "Model":
            made = self._model(description, values)
        else:
            raise DataError(f"a model of class {kind!r:.60}")
        made.rename(checked_name(description["name"]))
        made.name_layers()
        return made

    def _sequential(self, description: Any, values: Values) -> Sequential:
        known = description["input"]
        first = [] if known is None else [_input(known)]
        layers = self._layers(description["layers"], values)
        return Sequential([*first, *(layers[_natural(k)] for k in description["order"])])

    def _model(self, description: Any, values: Values) -> Model:
        inputs = [_input(one) for one in description["inputs"]]
        layers = self._layers(description["layers"], values)
        constants = [constant(one) for one in description["constants"]]
        steps: list[Sequence[Any]] = []

        def place(where: Sequence[Any]) -> Any:
            kind, *numbers = where
            if kind == "step":
                number, output = numbers
                return steps[_natural(number)][_natural(output)]
            return {"input": inputs, "constant": constants}[kind][_natural(*numbers)]

        for step in description["steps"]:
            settings = dict(step)
            given = [place(where) for where in settings.pop("inputs")]
            if "layer" in settings:
                out = layers[_natural(settings["layer"])](*given)
                steps.append(out if isinstance(out, list) else [out])
            else:
                steps.append(applied(settings, given))
        outputs = [place(where) for where in description["outputs"]]
        return Model(inputs, outputs)

    def _layers(self, descriptions: Sequence[Any], values: Values) -> list[Layer]:
        names = [one["name"] for one in descriptions]
        if len(set(names)) < len(names):
            raise DataError(f"two of the layers {', '.join(map(str, names))} have one name")
        return [self._layer(one, values) for one in descriptions]

    def _layer(self, description: Any, values: Values) -> Layer:
        name = checked_name(description["name"])
        own = values_under(name, values)
        if "layers" in description:
            made: Layer = self.network(description, own)
        else:
            kind = description["class"]
            if kind not in self.classes:
                raise DataError(
                    f"layer {name} is of class {kind!r:.60}, which symnet does not know; pass your "
                    "own classes as nn.load(path, layers=[...])"
                )
            made = self.classes[kind].from_config(description["config"])
            made.preset = own
        made.rename(name)
        made.trainable = description.get("trainable", True) is not False
        return made


def _input(description: Any) -> Any:
    shape = [None if n is None else _natural(n) for n in description["shape"]]
    return TensorType(description["dtype"], (None, *shape))(description["name"])


def _natural(number: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise DataError(f"{number!r:.60} where a number, at least 0, is wanted")
    return number
