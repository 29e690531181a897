"""A model's training and evaluation as compiled functions.

The graph is built once; data come in as shared variables of their own dtype, which the step reads
through the order of the examples, so that an epoch is one native loop: `step.map(range(batches))`.
Losses, metrics, the learning rate and the state of random draws live in shared variables, too.
Neither the number of examples nor the size of minibatches is part of a program.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from symnet import tensor as T
from symnet.config import config
from symnet.errors import ConfigError, ShapeError, TypeMismatchError
from symnet.function import Function, function, shared
from symnet.graph.describe import listed
from symnet.graph.types import TensorType
from symnet.graph.variables import SharedVariable, Variable
from symnet.nn import seeds
from symnet.nn.layers.base import Forward
from symnet.nn.schedules import Schedule
from symnet.nn.training.data import Examples
from symnet.nn.training.settings import Settings
from symnet.tensor.shared_randomstreams import RandomStreams


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
            total.set_value(np.zeros_like(total.get_value(borrow=True)))

    @property
    def loss_so_far(self) -> float:
        return float(self.loss.storage)

    def results(self, examples: int) -> dict[str, Any]:
        """Loss and metrics by name."""
        logs: dict[str, Any] = {"loss": self.loss_so_far / examples}
        for name, total, result in self._parts:
            value = result(total.get_value(), examples)
            logs[name] = value if isinstance(value, np.ndarray) and value.ndim else float(value)
        return logs


class Feed:
    """Shared variables that hold the data of `fit`, and what a step reads from them.

    dtypes and dimensions are fixed, the number of examples is not.
    """

    def __init__(self, examples: Examples):
        def holder(array: np.ndarray, name: str) -> Any:
            empty = np.zeros((0, *array.shape[1:]), array.dtype)
            return shared(empty, name=name, shape=(None, *array.shape[1:]))

        self.inputs = [holder(a, f"x{k}") for k, a in enumerate(examples.inputs)]
        self.targets = [holder(a, f"y{k}") for k, a in enumerate(examples.targets)]
        weights = examples.weights
        self.weights: Any = None if weights is None else holder(weights, "weights")
        order: Any = shared(np.zeros(0, "int64"), name="order", shape=(None,))
        self.order = order
        self.batch_size: Any = shared(np.array(1, "int64"), name="batch_size", shape=())
        self.number: Any = T.lscalar("step")
        start: Any = self.number * self.batch_size
        self.rows: Any = order[start : start + self.batch_size]

    def load(self, examples: Examples, batch_size: int) -> None:
        """Hold these examples, without a copy where possible, in the order they have."""
        holders = [*self.inputs, *self.targets]
        for holder, array in zip(holders, [*examples.inputs, *examples.targets]):
            holder.set_value(array, borrow=True)
        if self.weights is not None:
            self.weights.set_value(examples.weights, borrow=True)
        self.order.set_value(np.arange(len(examples)), borrow=True)
        self.batch_size.set_value(np.array(batch_size, "int64"))

    def release(self) -> None:
        """Let go of the data."""
        for holder in (*self.inputs, *self.targets, self.weights, self.order):
            if holder is not None:
                value = holder.storage
                holder.rebind(np.zeros((0, *value.shape[1:]), value.dtype))


class Program:
    """The graphs of a model's training step and evaluation, and their compiled functions.

    model     see `Trainable`
    examples  tell the types of targets, and whether there are weights
    """

    def __init__(self, model: Any, settings: Settings, examples: Examples):
        self.model = model
        self.settings = settings
        self.parameters: list[SharedVariable] = list(model.parameters)
        self.inputs: list[Any] = list(model.inputs)
        self.targets: list[Any] = [
            TensorType(a.dtype.name, (None, *a.shape[1:]))(f"target{k}")
            for k, a in enumerate(examples.targets)
        ]
        given = examples.weights
        self.weights: Any = None
        if given is not None:
            self.weights = TensorType(given.dtype.name, (None,))("weights")
        self.random = RandomStreams(int(seeds.generator().integers(2**32)))
        rate = settings.learning_rate
        start = np.array(0 if isinstance(rate, Schedule) else rate, config.floatX)
        self.learning_rate: Any = shared(start, name="learning_rate", shape=())
        self.epoch: Any = shared(np.array(0, "float64"), name="epochs_done", shape=())
        self.step_length: Any = shared(np.array(0, "float64"), name="step_length", shape=())

        self.number: Any = T.lscalar("step")  # replaced by the feed's
        self.forward = Forward(train=True, random=self.random)
        self.sums = Sums()
        self.predictions = model.expression(self.inputs, self.forward)
        self.loss, updates = self._loss(self.predictions, self.forward, self.sums)
        self.updates: dict[SharedVariable, Any] = dict(self.forward.updates)
        rule = settings.updates(self.loss, self.parameters, self._rate())
        self.optimizer_state = [s for s in rule if s not in set(self.parameters)]
        self.updates.update(rule)
        self.updates.update(updates)

        testing = Forward(train=False, random=self.random)
        self.evaluation_sums = Sums()
        outputs = model.expression(self.inputs, testing)
        _, self.evaluation_updates = self._loss(outputs, testing, self.evaluation_sums)
        self._steps: dict[Any, tuple[Feed, Function]] = {}
        self._evaluate: dict[Any, Function] = {}
        self._count: Any = T.lscalar("n")
        self._order = self.random.permutation(n=self._count)
        self._draw: Function | None = None

    # ---- the graph

    def _loss(
        self, predictions: Sequence[Any], forward: Forward, sums: Sums
    ) -> tuple[Any, dict[SharedVariable, Any]]:
        """The mean loss of a minibatch, and the updates that add it up."""
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
            for metric in self.settings.metrics:
                sums.add(prefix + metric.name, metric.additions(p, t), metric.result)
        own = self.model.penalty()
        penalties: list[Any] = [*forward.penalties, *([] if own is None else [own])]
        for penalty in penalties:
            total = total + penalty.astype(total.dtype)
        sums.add_loss(total.astype("float64") * examples)
        return total, dict(sums.updates)

    def _rate(self) -> Any:
        """The learning rate as an expression."""
        given = self.settings.learning_rate
        if not isinstance(given, Schedule):
            return self.learning_rate
        time = self.epoch + self.number.astype("float64") * self.step_length
        return given(time).astype(config.floatX)

    # ---- compiled

    def step(self, examples: Examples) -> tuple[Feed, Function]:
        """The function of one step, and where its data go. Its argument is the step's number
        within the epoch, its result the loss of the minibatch before the step."""
        key = (_kinds(examples), config.mode)
        if key not in self._steps:
            feed = Feed(examples)
            givens: dict[Any, Any] = {}
            for placeholder, holder in zip(self.inputs, feed.inputs):
                givens[placeholder] = _cast(holder[feed.rows], placeholder)
            for placeholder, holder in zip(self.targets, feed.targets):
                givens[placeholder] = holder[feed.rows]
            if self.weights is not None:
                givens[self.weights] = feed.weights[feed.rows]
            if isinstance(self.settings.learning_rate, Schedule):
                givens[self.number] = feed.number
            made = function(
                [feed.number], self.loss, updates=self.updates, givens=givens, name="step"
            )
            self._steps[key] = feed, made
        return self._steps[key]

    def evaluation(self, examples: Examples) -> Function:
        """A function that adds a batch, given as arguments, to the evaluation's sums."""
        key = (_kinds(examples), config.mode)
        if key not in self._evaluate:
            arguments = [
                TensorType(array.dtype.name, v.type.shape)(v.name)
                for v, array in zip(self.inputs, examples.inputs)
            ]
            givens = {v: _cast(a, v) for v, a in zip(self.inputs, arguments)}
            weights = [] if self.weights is None else [self.weights]
            self._evaluate[key] = function(
                [*arguments, *self.targets, *weights],
                [],
                updates=self.evaluation_updates,
                givens=givens,
                name="evaluate",
                on_unused_input="ignore",
            )
        return self._evaluate[key]

    def compile_order(self) -> Function:
        """The function behind `draw_order`."""
        if self._draw is None:
            self._draw = function([self._count], self._order, name="shuffle")
        return self._draw

    def draw_order(self, count: int) -> np.ndarray:
        """A random order of the examples; the random state advances."""
        order: np.ndarray = self.compile_order()(count)
        return order

    # ---- evaluation

    def evaluate(self, examples: Examples, batch_size: int) -> dict[str, Any]:
        """Loss and metrics over all examples."""
        run = self.evaluation(examples)
        self.evaluation_sums.clear()
        for start in range(0, len(examples), batch_size):
            part = examples.part(slice(start, start + batch_size))
            run(*part.inputs, *part.targets, *([] if part.weights is None else [part.weights]))
        return self.evaluation_sums.results(len(examples))

    # ---- state

    def trained(self) -> dict[str, SharedVariable]:
        """All that a step changes and the next one reads, by name; and what it only reads, for a
        model that is made anew with other initial values."""
        found: dict[str, SharedVariable] = dict(self.model.named_variables())
        for k, variable in enumerate(self.optimizer_state):
            found[f"optimizer/{k}/{variable.name}"] = variable
        found["random"] = self.random.state
        found["learning_rate"] = self.learning_rate
        return found

    def take_over(self, other: "Program") -> None:
        """Go on with the optimizer's state, the learning rate and the random state of another
        program of the same model, as far as they fit."""
        pairs = [(self.random.state, other.random.state), (self.learning_rate, other.learning_rate)]
        pairs += zip(self.optimizer_state, other.optimizer_state)
        fits = self.parameters == other.parameters
        for mine, theirs in pairs if fits else pairs[:2]:
            mine.set_value(theirs.storage)

    def batch(self, feed: Feed, number: int) -> dict[Variable, np.ndarray]:
        """What the placeholders stand for in a step, for the reference interpreter."""
        size = int(feed.batch_size.storage)
        rows = feed.order.storage[number * size : (number + 1) * size]
        known: dict[Variable, np.ndarray] = {self.number: np.array(number, "int64")}
        holders = [*feed.inputs, *feed.targets]
        for placeholder, holder in zip([*self.inputs, *self.targets], holders):
            known[placeholder] = holder.storage[rows].astype(placeholder.dtype)
        if self.weights is not None:
            known[self.weights] = feed.weights.storage[rows]
        return known

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step of the current epoch."""
        given = self.settings.learning_rate
        if isinstance(given, Schedule):
            return float(given(float(self.epoch.storage) + step * float(self.step_length.storage)))
        return float(self.learning_rate.storage)


class Snapshot:
    """The values of shared variables at some moment."""

    def __init__(self, variables: Mapping[str, SharedVariable]):
        self._pairs = [(v, np.empty_like(v.storage)) for v in variables.values()]
        self.take()

    def take(self) -> None:
        """Remember the values of now."""
        for variable, value in self._pairs:
            np.copyto(value, variable.storage)

    def restore(self) -> None:
        """Give the variables the values that were remembered."""
        for variable, value in self._pairs:
            variable.set_value(value)


class Predictor:
    """A model's outputs for data, in pieces."""

    def __init__(self, model: Any):
        self.model = model
        self.inputs = list(model.inputs)
        self._compiled: dict[Any, Function] = {}

    def outputs(self, arrays: Sequence[np.ndarray], batch_size: int) -> list[np.ndarray]:
        key = (tuple(a.dtype.name for a in arrays), config.mode)
        if key not in self._compiled:
            arguments = [
                TensorType(array.dtype.name, v.type.shape)(v.name)
                for v, array in zip(self.inputs, arrays)
            ]
            given = [_cast(a, v) for v, a in zip(self.inputs, arguments)]
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


def _kinds(examples: Examples) -> tuple[Any, ...]:
    arrays = [*examples.inputs, *examples.targets]
    return tuple((a.dtype.name, a.shape[1:]) for a in arrays)


def _cast(array: Any, placeholder: Variable) -> Any:
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
    return value if kind.ndim == 1 else T.mean(value, axis=tuple(range(1, kind.ndim)))


def _average(total: np.ndarray, examples: int) -> float:
    return float(total) / examples
