"""A model's training step as a compiled function.

Data come in as shared variables of their own dtype, which the step reads through the order of the
examples, so that an epoch is one native loop: `step.map(range(batches))`. Losses, metrics, the
learning rate and the state of random draws live in shared variables, too. Neither the number of
examples nor the size of minibatches is part of a program.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from symnet import tensor as T
from symnet.config import config
from symnet.errors import ConfigError
from symnet.function import Function, function, shared
from symnet.graph.variables import SharedVariable, Variable
from symnet.nn.layers.base import Forward
from symnet.nn.schedules import Schedule
from symnet.nn.training.data import Examples
from symnet.nn.training.graph import LossGraph, as_placeholder, kinds
from symnet.nn.training.settings import Settings
from symnet.tensor.shared_randomstreams import RandomStreams


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


class Program(LossGraph):
    """The training step of a model.

    parameters       what it trains
    optimizer_state  shared variables that the update rule needs
    learning_rate    a shared variable; where a schedule was chosen, it is not used
    epoch            a shared variable: how many epochs are done; step_length: a step's part of one
    random           the source of all draws; `seeded`, whether anybody has chosen its seed
    """

    def __init__(self, model: Any, settings: Settings, examples: Examples):
        self.random, self.seeded = RandomStreams(0), False
        super().__init__(model, settings, examples, Forward(train=True, random=self.random))
        self.parameters: list[SharedVariable] = list(model.parameters)
        rate = settings.learning_rate
        start = np.array(0 if isinstance(rate, Schedule) else rate, config.floatX)
        self.learning_rate: Any = shared(start, name="learning_rate", shape=())
        self.epoch: Any = shared(np.array(0, "float64"), name="epochs_done", shape=())
        self.step_length: Any = shared(np.array(0, "float64"), name="step_length", shape=())
        self.number: Any = T.lscalar("step")  # the feed's stands for it
        rule = settings.updates(self.loss, self.parameters, self._rate())
        trained = set(self.parameters)
        self.optimizer_state = [s for s in rule if s not in trained]
        self.updates: dict[SharedVariable, Any] = {
            **self.forward.updates, **rule, **self.sums.updates
        }  # fmt: skip
        self._steps: dict[Any, tuple[Feed, Function]] = {}
        self._count: Any = T.lscalar("n")
        self._order = self.random.permutation(n=self._count)
        self._draw: Function | None = None
        self._taken = threading.Lock()

    def check_free(self) -> None:
        """Errors: ConfigError while a call of `fit` or `train_on_batch` uses the program."""
        if self._taken.locked():
            raise _busy()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Inside the block, the program belongs to one call. Errors: those of `check_free`."""
        if not self._taken.acquire(blocking=False):
            raise _busy()
        try:
            yield
        finally:
            self._taken.release()

    def seed(self, seed: int) -> None:
        """Begin the random draws anew."""
        self.random.seed(seed)
        self.seeded = True

    def _rate(self) -> Any:
        """The learning rate as an expression."""
        given = self.settings.learning_rate
        if not isinstance(given, Schedule):
            return self.learning_rate
        time = self.epoch + self.number.astype("float64") * self.step_length
        return given(time).astype(config.floatX)

    def step(self, examples: Examples) -> tuple[Feed, Function]:
        """The function of one step, and where its data go. Its argument is the step's number
        within the epoch, its result the loss of the minibatch before the step."""
        key = kinds(examples.inputs), config.mode
        if key not in self._steps:
            feed = Feed(examples)
            givens: dict[Any, Any] = {}
            for placeholder, holder in zip(self.inputs, feed.inputs):
                givens[placeholder] = as_placeholder(holder[feed.rows], placeholder)
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

    def compile_order(self) -> Function:
        """The function behind `draw_order`."""
        if self._draw is None:
            self._draw = function([self._count], self._order, name="shuffle")
        return self._draw

    def draw_order(self, count: int) -> np.ndarray:
        """A random order of the examples; the random state advances."""
        order: np.ndarray = self.compile_order()(count)
        return order

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
        self.seeded = other.seeded
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


def _busy() -> ConfigError:
    return ConfigError(
        "the model is being trained: fit and train_on_batch have to wait until the call that runs "
        "has ended; its callbacks are a part of it"
    )


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
