"""A model's evaluation and its predictions as compiled functions, over pieces of the data."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from symnet.function import Function, function
from symnet.graph.types import TensorType
from symnet.nn.layers.base import Forward
from symnet.nn.training.data import Examples
from symnet.nn.training.graph import LossGraph, as_placeholder, kinds, settings_now
from symnet.nn.training.settings import Settings


class Evaluation(LossGraph):
    """Loss and metrics of a model without dropout and noise."""

    def __init__(self, model: Any, settings: Settings, examples: Examples):
        super().__init__(model, settings, examples, Forward(train=False))
        self._compiled: dict[Any, Function] = {}
        self._lock = threading.RLock()  # the sums are one thread's at a time

    def compiled(self, examples: Examples) -> Function:
        """A function that adds a piece, given as arguments, to the sums."""
        key = kinds(examples.inputs), *settings_now()
        if key not in self._compiled:
            arguments = _arguments(self.inputs, examples.inputs)
            weights = [] if self.weights is None else [self.weights]
            self._compiled[key] = function(
                [*arguments, *self.targets, *weights],
                [],
                updates=self.sums.updates,
                givens={v: as_placeholder(a, v) for v, a in zip(self.inputs, arguments)},
                name="evaluate",
                on_unused_input="ignore",
            )
        return self._compiled[key]

    def run(self, examples: Examples, rows: int) -> dict[str, Any]:
        """Loss and metrics over all examples, `rows` at once."""
        with self._lock:
            add = self.compiled(examples)
            self.sums.clear()
            for start in range(0, len(examples), rows):
                part = examples.part(slice(start, start + rows))
                add(*part.inputs, *part.targets, *([] if part.weights is None else [part.weights]))
            return self.sums.results(len(examples))


def _arguments(inputs: Sequence[Any], arrays: Sequence[np.ndarray]) -> list[Any]:
    """Inputs of a function for arrays that keep their dtype."""
    return [TensorType(array.dtype.name, v.type.shape)(v.name) for v, array in zip(inputs, arrays)]


class Predictor:
    """A model's outputs for data, in pieces."""

    def __init__(self, model: Any):
        self.model = model
        self.inputs = list(model.inputs)
        self._compiled: dict[Any, Function] = {}

    def outputs(self, arrays: Sequence[np.ndarray], batch_size: int) -> list[np.ndarray]:
        key = (tuple(a.dtype.name for a in arrays), *settings_now())
        if key not in self._compiled:
            arguments = _arguments(self.inputs, arrays)
            given = [as_placeholder(a, v) for v, a in zip(self.inputs, arguments)]
            made = self.model.expression(given, Forward(train=False))
            self._compiled[key] = function(
                arguments, list(made), name="predict", on_unused_input="ignore"
            )
        run, count = self._compiled[key], len(arrays[0])
        if count <= batch_size:
            return list(run(*arrays))
        whole: list[np.ndarray] = []
        for start in range(0, count, batch_size):
            rows = slice(start, start + batch_size)
            parts = run(*(a[rows] for a in arrays))
            if not whole:
                whole = [np.empty((count, *p.shape[1:]), p.dtype) for p in parts]
            for array, part in zip(whole, parts):
                array[rows] = part
        return whole
