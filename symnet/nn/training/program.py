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
from symnet.graph.types import FLOATS
from symnet.graph.variables import SharedVariable, Variable
from symnet.nn.layers.base import Forward
from symnet.nn.schedules import Schedule
from symnet.nn.training.data import Examples
from symnet.nn.training.graph import LossGraph, as_placeholder, kinds, settings_now
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
                shape = 0, *holder.current_shape[1:]
                holder.rebind(np.zeros(shape, holder.type.numpy_dtype))


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
        self._shufflers: dict[Feed, Function] = {}
        self._finite: dict[Any, Function] = {}
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
        key = kinds(examples.inputs), *settings_now()
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

    def shuffler(self, feed: Feed) -> Function:
        """What gives a feed's examples a random order, where steps read it: it need not pass
        through the host. The random state advances."""
        if feed not in self._shufflers:
            self._shufflers[feed] = function(
                [],
                updates=[(feed.order, self._order)],
                givens={self._count: feed.order.shape[0]},
                name="shuffle",
            )
        return self._shufflers[feed]

    def trained(self) -> dict[str, SharedVariable]:
        """All that a step changes and the next one reads, by name; and what it only reads, for a
        model that is made anew with other initial values."""
        found: dict[str, SharedVariable] = dict(self.model.named_variables())
        for k, variable in enumerate(self.optimizer_state):
            found[f"optimizer/{k}/{variable.name}"] = variable
        found["random"] = self.random.state
        found["learning_rate"] = self.learning_rate
        return found

    def finite(self) -> bool:
        """Whether nothing that a step changes is NaN or infinite. What is on a device only is
        looked at there."""
        floats = [v for v in self.trained().values() if v.dtype in FLOATS]
        away = [v for v in floats if not v.host_current]
        here = [v for v in floats if v.host_current]
        if away:
            key = tuple(away), settings_now()
            if key not in self._finite:
                answers = [T.isfinite(v).all() for v in away]
                self._finite[key] = function([], answers, name="finite")
            if not all(self._finite[key]()):
                return False
        return all(np.isfinite(v.peek()).all() for v in here)

    def take_over(self, other: "Program") -> None:
        """Go on with the optimizer's state, the learning rate and the random state of another
        program of the same model, as far as they fit."""
        pairs = [(self.random.state, other.random.state), (self.learning_rate, other.learning_rate)]
        pairs += zip(self.optimizer_state, other.optimizer_state)
        fits = self.parameters == other.parameters
        self.seeded = other.seeded
        for mine, theirs in pairs if fits else pairs[:2]:
            mine.set_value(theirs.peek())

    def batch(self, feed: Feed, number: int) -> dict[Variable, np.ndarray]:
        """What the placeholders stand for in a step, for the reference interpreter."""
        size = int(feed.batch_size.peek())
        rows = feed.order.peek()[number * size : (number + 1) * size]
        known: dict[Variable, np.ndarray] = {self.number: np.array(number, "int64")}
        holders = [*feed.inputs, *feed.targets]
        for placeholder, holder in zip([*self.inputs, *self.targets], holders):
            known[placeholder] = holder.peek()[rows].astype(placeholder.dtype)
        if self.weights is not None:
            known[self.weights] = feed.weights.peek()[rows]
        return known

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of a step of the current epoch."""
        given = self.settings.learning_rate
        if isinstance(given, Schedule):
            return float(given(float(self.epoch.peek()) + step * float(self.step_length.peek())))
        return float(self.learning_rate.peek())


def _busy() -> ConfigError:
    return ConfigError(
        "the model is being trained: fit and train_on_batch have to wait until the call that runs "
        "has ended; its callbacks are a part of it"
    )


class Snapshot:
    """The values of shared variables at some moment; of those on a device a copy there."""

    def __init__(self, variables: Mapping[str, SharedVariable]):
        self._variables = list(variables.values())
        self._values: list[Any] = [None] * len(self._variables)
        self.take()

    def take(self) -> None:
        """Remember the values of now."""
        for k, variable in enumerate(self._variables):
            value = self._values[k]
            if variable.remote_current and not variable.host_current:
                self._values[k] = variable.get_value(return_internal_type=True)
            elif isinstance(value, np.ndarray) and value.shape == variable.current_shape:
                np.copyto(value, variable.peek())
            else:
                self._values[k] = variable.get_value()

    def restore(self) -> None:
        """Give the variables the values that were remembered."""
        for variable, value in zip(self._variables, self._values):
            variable.set_value(value)
