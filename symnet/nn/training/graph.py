"""The loss and the metrics of a model as expressions over placeholders."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from symnet import tensor as T
from symnet.config import config
from symnet.errors import ConfigError, ShapeError, TypeMismatchError
from symnet.function import shared
from symnet.graph.describe import listed
from symnet.graph.types import TensorType
from symnet.graph.variables import SharedVariable, Variable
from symnet.nn.layers.base import Forward
from symnet.nn.matching import per_example
from symnet.nn.training.data import Examples
from symnet.nn.training.settings import Settings


class Sums:
    """What is summed over examples: the loss, and per output its own loss and the metrics.

    `updates` adds a batch. Values are totals until `results` divides them.
    """

    def __init__(self) -> None:
        self.updates: dict[SharedVariable, Any] = {}
        self.loss = self._new("loss", (), "float64")
        self._parts: list[tuple[str, SharedVariable, Any]] = []

    def _new(self, name: str, shape: Sequence[int], dtype: str) -> Any:
        return shared(np.zeros(tuple(shape), dtype), name=f"sum_of_{name}", shape=tuple(shape))

    def add_loss(self, batch: Any) -> None:
        self.updates[self.loss] = self.loss + batch

    def add(self, name: str, addition: Any, result: Any) -> None:
        """`addition` has a fixed shape; `result(total, examples)` is the value."""
        kind = addition.type
        if any(n is None for n in kind.shape) or kind.dtype not in ("int64", "float64"):
            raise ConfigError(
                f"metric {name} adds {kind} per batch: int64 or float64 of a fixed shape is wanted"
                f"{listed([addition])}"
            )
        total = self._new(name, kind.shape, kind.dtype)
        self.updates[total] = total + addition
        self._parts.append((name, total, result))

    @property
    def names(self) -> list[str]:
        """What `results` will hold."""
        return ["loss", *(name for name, _, _ in self._parts)]

    @property
    def array_names(self) -> list[str]:
        """Which of those are arrays."""
        values = self.results(1)
        return [name for name, value in values.items() if isinstance(value, np.ndarray)]

    def clear(self) -> None:
        for total in self.updates:
            total.set_value(np.zeros(total.current_shape, total.type.numpy_dtype))

    @property
    def loss_so_far(self) -> float:
        return float(self.loss.peek())

    def results(self, examples: int) -> dict[str, Any]:
        """Loss and metrics by name."""
        logs: dict[str, Any] = {"loss": self.loss_so_far / examples}
        for name, total, result in self._parts:
            value = result(total.get_value(), examples)
            logs[name] = value if isinstance(value, np.ndarray) and value.ndim else float(value)
        return logs


class LossGraph:
    """The mean loss of a minibatch, and what adds loss and metrics up, over placeholders.

    examples  tell the types of targets, and whether there are weights
    forward   how the network is passed

    inputs, targets, weights   the placeholders; weights is None where there are none
    loss                       the mean over the minibatch, with penalties
    sums                       totals; their updates are made with every minibatch
    """

    def __init__(self, model: Any, settings: Settings, examples: Examples, forward: Forward):
        self.model, self.settings, self.forward = model, settings, forward
        self.inputs: list[Any] = list(model.inputs)
        self.targets: list[Any] = [
            TensorType(a.dtype.name, (None, *a.shape[1:]))(f"target{k}")
            for k, a in enumerate(examples.targets)
        ]
        given = examples.weights
        self.weights: Any = None
        if given is not None:
            self.weights = TensorType(given.dtype.name, (None,))("weights")
        self.sums = Sums()
        self.loss = self._loss(model.expression(self.inputs, forward))

    def _loss(self, predictions: Sequence[Any]) -> Any:
        sums = self.sums
        count = len(predictions)
        several = count > 1
        functions, factors = self.settings.functions(count), self.settings.factors(count)
        examples: Any = self.inputs[0].shape[0].astype("float64")
        total: Any = None
        for k, (p, t) in enumerate(zip(predictions, self.targets)):
            each = _per_example(functions[k], p, t)
            if self.weights is not None:
                each = each * self.weights.astype(each.dtype)
            mean: Any = T.mean(each)
            term = mean if factors[k] == 1 else mean * factors[k]
            total = term if total is None else total + term
            prefix = f"{self.model.outputs[k].name or f'output{k}'}_" if several else ""
            if several:
                sums.add(f"{prefix}loss", mean.astype("float64") * examples, _average)
            for metric in self.settings.measures(functions[k]):
                sums.add(prefix + metric.name, metric.additions(p, t), metric.result)
        own = self.model.penalty()
        penalties: list[Any] = [*self.forward.penalties, *([] if own is None else [own])]
        for penalty in penalties:
            total = total + penalty.astype(total.dtype)
        sums.add_loss(total.astype("float64") * examples)
        return total


def kinds(arrays: Iterable[np.ndarray]) -> tuple[Any, ...]:
    """What of data is part of a program: dtypes and dimensions."""
    return tuple((a.dtype.name, a.shape[1:]) for a in arrays)


def settings_now() -> tuple[str, str]:
    """Which settings decide about a compiled function."""
    return config.mode, config.device


def target_kinds(examples: Examples) -> tuple[Any, ...]:
    """What of examples is part of a `LossGraph`."""
    return kinds(examples.targets), examples.weights is not None


def as_placeholder(array: Any, placeholder: Variable) -> Any:
    """An expression in the dtype of the placeholder for which it stands."""
    return array if array.dtype == placeholder.dtype else array.astype(placeholder.dtype)


def _per_example(loss: Any, prediction: Any, target: Any) -> Any:
    """The loss of each example, a vector."""
    value = loss(prediction, target)
    kind = getattr(value, "type", None)
    name = getattr(loss, "__name__", "the loss")
    if kind is None or kind.dtype not in ("float32", "float64"):
        raise TypeMismatchError(f"{name} returned {value!r:.60}, not a floating-point expression")
    if kind.ndim == 0:
        raise ShapeError(
            f"{name} returned one number ({kind}); return one per example, without the last mean, "
            f"so that examples can be weighed{listed([value])}"
        )
    return per_example(value)


def _average(total: np.ndarray, examples: int) -> float:
    return float(total) / examples
