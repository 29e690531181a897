"""Ordinary expressions between layers in terms of JSON.

An op is its name and its parameters, each of which is checked when it is read: numbers, and words
of which there is a list. Ops with texts that are compiled are not among them.

::

    Op       = {"op": "elementwise", "name": text} | {"op": class, parameter: value, ...}
    Constant = {"dtype": text, "shape": [size], "bytes": base64}
"""

import base64
import binascii
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from symnet.errors import ConfigError, DataError
from symnet.graph.op import Op
from symnet.graph.types import DTYPES, NUMPY_DTYPES
from symnet.graph.variables import Constant, Variable, make_constant
from symnet.nn.models.description import Json
from symnet.ops.contraction import BatchedDot, Dot
from symnet.ops.elementwise import ELEMENTWISE, Elementwise
from symnet.ops.joining import Concatenate
from symnet.ops.movement import BroadcastTo, DimShuffle, Reshape
from symnet.ops.nnet import LogSoftmax, LogSumExp, Softmax
from symnet.ops.reduction import ArgReduce, Reduce
from symnet.ops.shape import MakeVector, ShapeOf
from symnet.ops.subtensor import Subtensor

Check = Callable[[Any], bool]


def described_op(op: Op) -> Json:
    """An op. Errors: ConfigError for one that no file can hold."""
    if isinstance(op, Elementwise):
        return {"op": "elementwise", "name": op.name}
    name = type(op).__name__
    if name not in _OPS or _OPS[name][0] is not type(op):
        raise ConfigError(f"{op} is an operation that no file can hold")
    return {"op": name, **{f.name: getattr(op, f.name) for f in fields(op)}}  # type: ignore[arg-type]


def applied(description: Mapping[str, Any], inputs: Sequence[Variable]) -> Sequence[Variable]:
    """The outputs of a described op. Errors: DataError; those of the op for its inputs."""
    settings = dict(description)
    name = settings.pop("op")
    if name == "elementwise":
        elementwise = ELEMENTWISE.get(settings["name"])
        ranks = {v.type.ndim for v in inputs} - {0}
        if elementwise is None or len(inputs) != elementwise.nargs or len(ranks) > 1:
            raise DataError(f"{settings['name']!r:.60} of {len(inputs)} inputs")
        return elementwise.make_node(*inputs).outputs
    if name not in _OPS:
        raise DataError(f"an operation {name!r:.60}")
    kind, checks = _OPS[name]
    if settings.keys() != checks.keys():
        raise DataError(f"{name} with {', '.join(settings) or 'nothing'}")
    for key, value in settings.items():
        if not checks[key](value):
            raise DataError(f"{name} with {key}={value!r:.60}")
    return kind(**{k: _tuples(v) for k, v in settings.items()}).make_node(*inputs).outputs


def described_constant(constant: Constant) -> Json:
    """A constant, exactly."""
    data = np.ascontiguousarray(constant.data)
    return {
        "dtype": data.dtype.name,
        "shape": list(constant.data.shape),
        "bytes": base64.b64encode(data.tobytes()).decode(),
    }


def constant(description: Mapping[str, Any]) -> Constant:
    """A described constant. Errors: DataError; TypeMismatchError for bfloat16 without ml_dtypes."""
    dtype, shape = description["dtype"], description["shape"]
    if dtype not in DTYPES or not _naturals(shape):
        raise DataError(f"a constant of dtype {dtype!r:.60} and shape {shape!r:.60}")
    try:
        content = base64.b64decode(description["bytes"], validate=True)
    except (binascii.Error, ValueError) as problem:
        raise DataError(f"a constant whose bytes are none: {problem}") from None
    kind = NUMPY_DTYPES[dtype]
    if len(content) != math.prod(shape) * kind.itemsize:
        raise DataError(f"a constant {dtype}{tuple(shape)} of {len(content)} bytes")
    return make_constant(np.frombuffer(content, kind).reshape(shape))


# ---- what parameters may be

_MOST = 1000  # dimensions and places among them; sizes are inputs of ops


def _natural(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MOST


def _naturals(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(type(n) is int and n >= 0 for n in value)


def _axes(value: Any) -> bool:
    return _naturals(value) and all(map(_natural, value))


def _order(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(n == "x" or _natural(n) for n in value)


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


def _one_of(*words: str) -> Check:
    return lambda value: isinstance(value, str) and value in words


def _spec(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_entry, value))


def _entry(value: Any) -> bool:
    """An index or a slice, of whole numbers, of None, or of inputs of the op."""
    if not isinstance(value, (list, tuple)) or not value:
        return False
    kind, *parts = value
    wanted = {"index": 1, "slice": 3}.get(kind) if isinstance(kind, str) else None
    if wanted != len(parts):
        return False
    whole = all(p is None or p == "in" or type(p) is int for p in parts)
    last = parts[-1]
    return whole and (last is not None if kind == "index" else type(last) is int and last != 0)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, (list, tuple)) else value


_PARAMETERS: list[tuple[type[Op], dict[str, Check]]] = [
    (ArgReduce, {"function": _one_of("argmax", "argmin"), "axis": _natural}),
    (BatchedDot, {}),
    (BroadcastTo, {"ndim": _natural}),
    (Concatenate, {"axis": _natural}),
    (DimShuffle, {"order": _order}),
    (Dot, {}),
    (LogSoftmax, {"axis": _natural}),
    (LogSumExp, {"axis": _natural}),
    (MakeVector, {}),
    (
        Reduce,
        {
            "function": _one_of("sum", "prod", "max", "min", "any", "all"),
            "axes": _axes,
            "acc_dtype": _one_of(*DTYPES),
            "of_none": _truth,
        },
    ),
    (Reshape, {"ndim": _natural}),
    (ShapeOf, {"axis": _natural}),
    (Softmax, {"axis": _natural}),
    (Subtensor, {"spec": _spec}),
]
_OPS = {kind.__name__: (kind, checks) for kind, checks in _PARAMETERS}
