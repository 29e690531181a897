"""Networks in files: one safetensors file with parameters, state and a description in JSON.

Metadata of the file::

    format    "symnet.model"
    version   "1"
    model     the architecture, see `models.description`; absent where only the weights are saved
    training  what `compile` was called with; absent where it was not, or not with names alone

A file holds numbers and texts. Nothing in it is executed; classes of layers are looked up by name
among symnet's own and those that the caller hands in.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from symnet.errors import ConfigError, DataError
from symnet.nn.parameters import (
    assign,
    check_format,
    read_parameters_and_metadata,
    save_parameters,
)

if TYPE_CHECKING:
    from symnet.nn.models.network import Network

FORMAT, VERSION = "symnet.model", "1"


def save(network: "Network", path: str | os.PathLike) -> None:
    """Write architecture, parameters and state. Errors: ConfigError, OSError."""
    _check_built(network, "save")
    metadata = {"model": _text(network.describe())}
    training = _training(network)
    if training is not None:
        metadata["training"] = _text(training)
    _write(network, path, metadata)


def save_weights(network: "Network", path: str | os.PathLike) -> None:
    """Write parameters and state alone. Errors: ConfigError where there are none yet, OSError."""
    _write(network, path, {})


def load_weights(network: "Network", path: str | os.PathLike) -> None:
    """Set parameters and state. Errors: DataError, before anything is changed."""
    _check_built(network, "load_weights")
    values, _ = read(path)
    assign(path, network.named_variables(), values)


def read(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays by name, and the metadata with their JSON read. Errors: DataError for files that are
    truncated, not a model's, or of another version."""
    values, texts = read_parameters_and_metadata(path)
    check_format(path, texts, "symnet model", FORMAT, VERSION)
    found: dict[str, Any] = {}
    for key in ("model", "training"):
        if key in texts:
            try:
                found[key] = json.loads(texts[key])
            except (ValueError, RecursionError) as problem:
                raise DataError(f"{path}: its {key!r} is no JSON: {problem}") from None
    return values, found


def _write(network: "Network", path: str | os.PathLike, metadata: dict[str, str]) -> None:
    _check_built(network, "save")
    metadata = {"format": FORMAT, "version": VERSION, **metadata}
    save_parameters(Path(path), network.named_variables(), metadata)


def _training(network: "Network") -> Any:
    """What `compile` chose; None where it was not called, or with functions of the user's own:
    those are in no file, but the network still is."""
    try:
        return network.compile_config()
    except ConfigError:
        return None


def _check_built(network: "Network", what: str) -> None:
    if not network.built:
        raise ConfigError(
            f"{what}: {network.described()} has no parameters yet; give the shape of its input "
            "with nn.Input, input_shape= or model.build((None, ...)), or fit it first"
        )


def _text(description: Any) -> str:
    return json.dumps(description, separators=(",", ":"), allow_nan=False)
