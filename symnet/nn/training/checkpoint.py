"""Checkpoints: all that a run of `fit` needs to go on as if it had never stopped.

One safetensors file: parameters, state of layers and optimizer, state of random draws, what
callbacks keep; and in its metadata, as JSON, the epoch, the history, and what the run was started
with. It is written whole or not at all, and holds nothing that could execute.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from symnet.errors import DataError
from symnet.nn import parameters
from symnet.nn.training.callbacks import Callback
from symnet.nn.training.data import Examples
from symnet.nn.training.history import History

FORMAT, VERSION = "symnet.checkpoint", "1"


@dataclass(frozen=True)
class Contents:
    """What a checkpoint file holds.

    values     arrays by name, those of `Program.trained`
    settings   what the run was started with: JSON by name
    history    the completed epochs
    callbacks  pairs (class name, state)
    stopped    whether a callback ended the run
    """

    values: Mapping[str, np.ndarray]
    settings: Mapping[str, Any]
    history: History
    callbacks: Sequence[tuple[str, Mapping[str, Any]]]
    stopped: bool


def write(path: Path, contents: Contents) -> None:
    """Errors: OSError; ImportError without safetensors."""
    arrays = {f"value/{name}": value for name, value in contents.values.items()}
    plain = []
    for number, (kind, state) in enumerate(contents.callbacks):
        kept: dict[str, Any] = {}
        for name, value in state.items():
            if isinstance(value, np.ndarray):
                arrays[f"callback/{number}/{name}"] = value
            else:
                kept[name] = value
        plain.append([kind, kept])
    steps = contents.history.steps
    if steps:  # one array: thousands of small ones would take long
        arrays["steps"] = np.concatenate(steps)
    about = {
        "steps": [len(losses) for losses in steps],
        "settings": contents.settings,
        "history": json.loads(contents.history.to_json()),
        "callbacks": plain,
        "stopped": contents.stopped,
    }
    metadata = {"format": FORMAT, "version": VERSION, "run": json.dumps(about)}
    parameters.write_whole(path, parameters.serialised(arrays, metadata))


def read(path: str | os.PathLike) -> Contents:
    """Errors: DataError for a file that is truncated, not a checkpoint, or of another version."""
    arrays, texts = parameters.read_parameters_and_metadata(path)
    parameters.check_format(path, texts, "checkpoint of training", FORMAT, VERSION)
    try:
        about = json.loads(texts["run"])
        history = History.from_json(json.dumps(about["history"]))
        history.steps = _cut(arrays.get("steps", np.zeros(0)), about["steps"])
        if len(history.steps) != len(history):
            raise ValueError(f"{len(history)} epochs with steps of {len(history.steps)}")
        callbacks: list[tuple[str, dict[str, Any]]] = []
        for number, (kind, state) in enumerate(about["callbacks"]):
            prefix = f"callback/{number}/"
            own = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
            callbacks.append((str(kind), {**state, **own}))
        values = {
            name.removeprefix("value/"): array
            for name, array in arrays.items()
            if name.startswith("value/")
        }
        return Contents(values, about["settings"], history, callbacks, bool(about["stopped"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise DataError(
            f"{path}: the description in this checkpoint is damaged: {problem!r}"
        ) from None


def _cut(whole: np.ndarray, lengths: Sequence[int]) -> list[np.ndarray]:
    """Pieces of these lengths. Errors: ValueError where they are not all of it."""
    if any(type(n) is not int or n < 0 for n in lengths) or sum(lengths) != len(whole):
        raise ValueError(f"{len(whole)} losses in pieces of {lengths!r:.60}")
    ends = np.cumsum(lengths, dtype="int64").tolist()
    return [whole[end - n : end].copy() for end, n in zip(ends, lengths)]


def compare(path: str | os.PathLike, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Whether a checkpoint is of the same run. Errors: DataError that names what differs."""
    different = []
    for name, value in wanted.items():
        before = found.get(name)
        if before != json.loads(json.dumps(value)):
            short = len(str(before)) < 60 and len(str(value)) < 60 and "digest" not in name
            different.append(f"{name} ({before}, now {value})" if short else name)
    if different:
        raise DataError(
            f"{path} is the checkpoint of another run; what differs: {'; '.join(different)}. "
            "Remove the file, or choose another one, to start anew"
        )


def match(
    path: str | os.PathLike,
    found: Sequence[tuple[str, Mapping[str, Any]]],
    callbacks: Sequence[Callback],
) -> list[Callable[[], None]]:
    """What gives callbacks their states back: the n-th of a class gets the n-th state of that
    class. Errors: DataError for a state that nobody takes."""
    free = list(callbacks)
    actions: list[Callable[[], None]] = []
    for kind, state in found:
        taker = next((c for c in free if type(c).__name__ == kind), None)
        if taker is None:
            if state:
                raise DataError(f"{path} holds the state of a callback {kind}, which is not given")
            continue
        free.remove(taker)
        if state:
            actions.append(_restorer(path, taker, state))
    return actions


def _restorer(
    path: str | os.PathLike, callback: Callback, state: Mapping[str, Any]
) -> Callable[[], None]:
    def restore() -> None:
        try:
            callback.restore(state)
        except KeyError as missing:
            raise DataError(
                f"{path}: the state of {type(callback).__name__} has no {missing}"
            ) from None

    return restore


def digest(examples: Examples | None) -> dict[str, str | None]:
    """Digests of inputs, targets and weights."""
    if examples is None:
        return {"inputs": None, "targets": None, "weights": None}
    weights = [] if examples.weights is None else [examples.weights]
    return {
        "inputs": _digest(examples.inputs),
        "targets": _digest(examples.targets),
        "weights": _digest(weights) if weights else None,
    }


def _digest(arrays: Sequence[np.ndarray]) -> str:
    found = hashlib.blake2b(digest_size=16)
    for array in arrays:
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()
