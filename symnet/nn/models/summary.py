"""The table that `model.summary()` shows."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from symnet.errors import ConfigError
from symnet.graph.variables import SharedVariable
from symnet.nn.layers.base import Call
from symnet.nn.layers.core import written

if TYPE_CHECKING:
    from symnet.nn.models.network import Network

_HEADER = ("layer", "class", "output shape", "parameters", "flops/example")


def summary(network: "Network") -> str:
    """A row for each call of a layer, and totals. Parameters that a layer shares with one above
    are counted once. Errors: ConfigError before the network is built."""
    if not network.built:
        raise ConfigError(
            f"{network.described()}: the shape of its input is not known yet; give it with "
            "nn.Input, input_shape= or model.build((None, ...)), or fit the model first"
        )
    rows: list[tuple[str, ...]] = [_HEADER]
    for variable in network.inputs:
        rows.append((variable.name or "input", "Input", written(variable.type.shape), "", ""))
    counted: set[SharedVariable] = set()
    for call in network.calls:
        rows.append(_row(network.name_of(call.layer), call, counted))
    trained = _size(network.parameters)
    total = network.count_params()
    flops = network.flops([], ())
    lines = _aligned(rows)
    rule = "-" * max(map(len, lines))
    share = f" ({trained:,} trained, {total - trained:,} not)" if trained != total else ""
    return "\n".join(
        [
            f"{type(network).__name__} {network.name}",
            rule,
            lines[0],
            rule,
            *lines[1:],
            rule,
            f"{total:,} parameters{share}, {_bytes(network)}; {flops:,} flops per example",
        ]
    )


def _row(name: str, call: Call, counted: set[SharedVariable]) -> tuple[str, ...]:
    layer = call.layer
    own = list(layer.named_variables().values())
    new = [v for v in own if v not in counted]
    counted.update(new)
    parameters = f"{_size(new):,}" if new or not own else "shared"
    if own and not layer.parameters:
        parameters += " (fixed)"
    inputs = [v.type.shape for v in call.inputs]
    shapes = ", ".join(written(v.type.shape) for v in call.outputs)
    flops = layer.flops(inputs, call.outputs[0].type.shape)
    return name, type(layer).__name__, shapes, parameters, f"{flops:,}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(_HEADER))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if k >= 3 else cell.ljust(width)
            for k, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _size(variables: Sequence[SharedVariable]) -> int:
    return sum(math.prod(v.current_shape) for v in variables)


def _bytes(network: "Network") -> str:
    variables = network.named_variables().values()
    count: float = sum(math.prod(v.current_shape) * v.type.numpy_dtype.itemsize for v in variables)
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:,.3g} GiB"
