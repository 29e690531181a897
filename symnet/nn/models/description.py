"""Parts of the JSON that a model file describes a network with.

::

    Layer   = {"class": name of the class, "name": text, "config": settings, "trainable"?: false}
            | Network
    Network = {"class": "Sequential", "name", "input": Type | null, "layers": [Layer],
               "order": [index of a layer]}
            | {"class": "Model", "name", "inputs": [Type], "constants": [Constant],
               "layers": [Layer], "steps": [Step], "outputs": [Place]}
    Type    = {"shape": [size | null], "dtype": text, "name": text}         without the batch
    Step    = {"layer": index, "inputs": [Place]} | {Op, "inputs": [Place]}
    Place   = ["input", index] | ["constant", index] | ["step", index, index of its output]

Ops and constants are described in `models.expressions`.
"""

from typing import Any

from symnet.graph.types import TensorType
from symnet.nn.layers.base import Layer

Json = dict[str, Any]


def described_layer(layer: Layer, name: str) -> Json:
    """A layer by its name in a network. Errors: ConfigError for what no file can hold."""
    return layer.describe() | {"name": name} | ({} if layer.trainable else {"trainable": False})


def described_type(type_: TensorType, name: str) -> Json:
    """An input of a network."""
    return {"shape": list(type_.shape[1:]), "dtype": type_.dtype, "name": name}
