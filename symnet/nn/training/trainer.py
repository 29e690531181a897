"""One call of `fit`: epochs of native steps, and what happens between them."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from symnet.errors import ConfigError
from symnet.function import Function
from symnet.nn.parameters import check_values
from symnet.nn.schedules import Schedule
from symnet.nn.training import checkpoint, guard
from symnet.nn.training.callbacks import Callback, Checkpoint
from symnet.nn.training.data import Examples
from symnet.nn.training.evaluation import Evaluation
from symnet.nn.training.history import History
from symnet.nn.training.interrupt import Interrupts
from symnet.nn.training.program import Program, Snapshot
from symnet.nn.training.progress import Progress

FEW = 4096  # examples whose order may be held after a call: to free it costs the next one 50 us
VALIDATION_ROWS = 1024  # at most so many examples at once where nothing is learned


class Trainer:
    """A running training; what callbacks see as `trainer`.

    history      of the completed epochs
    epoch        how many epochs are done
    resumed      whether the run goes on from a checkpoint
    log_names    what the logs of an epoch will hold; array_names: which of those are arrays
    """

    def __init__(
        self,
        model: Any,
        program: Program,
        evaluation: Evaluation | None,
        examples: Examples,
        validation: Examples | None,
        *,
        batch_size: int,
        epochs: int,
        initial_epoch: int,
        shuffle: bool,
        seed: int | None,
        callbacks: Sequence[Callback],
        shown: Progress,
    ):
        self.model, self.program, self.evaluation = model, program, evaluation
        self.examples, self.validation = examples, validation
        self.batch_size, self.epochs, self.epoch = batch_size, epochs, initial_epoch
        self.shuffle, self.seed = shuffle, seed
        # checkpoints come last, so that they hold what the others made of the epoch
        self.callbacks = sorted(callbacks, key=lambda c: isinstance(c, Checkpoint))
        self.shown = shown
        self.batches = -(-len(examples) // batch_size)
        self.history = History()
        self.resumed = self._stopped = False
        self._settings: dict[str, Any] | None = None
        for callback in self.callbacks:
            callback.model, callback.trainer = model, self
        self._stepwise = [
            c for c in self.callbacks if type(c).on_step_end is not Callback.on_step_end
        ]

    # ---- what callbacks use

    def stop(self) -> None:
        """Let this epoch be the last; called in `on_step_end`, this step."""
        self._stopped = True

    @property
    def at_end(self) -> bool:
        """Whether no other epoch will follow."""
        return self._stopped or self.epoch >= self.epochs

    @property
    def learning_rate(self) -> float:
        """That of the next step. Setting it raises ConfigError where it follows a schedule."""
        return self.program.learning_rate_at(0)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        if not (rate >= 0 and np.isfinite(rate)):
            raise ConfigError(f"the learning rate {rate!r} is not finite and at least 0")
        self.program.learning_rate.set_value(np.array(rate, self.program.learning_rate.type.dtype))

    def check_rate_may_change(self, callback: Callback) -> None:
        """Errors: ConfigError where `compile` was given a schedule."""
        if isinstance(self.program.settings.learning_rate, Schedule):
            raise ConfigError(
                f"{type(callback).__name__} would change the learning rate, but the model was "
                "compiled with a schedule; choose one of the two"
            )

    @property
    def log_names(self) -> list[str]:
        names = self.program.sums.names
        validation = [f"val_{name}" for name in names] if self.validation is not None else []
        return [*names, *validation, "learning_rate"]

    @property
    def array_names(self) -> list[str]:
        names = self.program.sums.array_names
        return [*names, *(f"val_{name}" for name in names)]

    def save(self, path: Path) -> None:
        """Write a checkpoint. Errors: OSError."""
        states = [(type(c).__name__, c.state()) for c in self.callbacks]
        values = {name: v.peek() for name, v in self.program.trained().items()}
        settings = self.settings()
        checkpoint.write(
            path, checkpoint.Contents(values, settings, self.history, states, self._stopped)
        )

    # ---- going on

    def settings(self) -> dict[str, Any]:
        """What a run is made of, in terms of JSON; two runs with equal ones do the same."""
        if self._settings is None:
            data = {f"digest of the {k}": v for k, v in checkpoint.digest(self.examples).items()}
            held = {
                f"digest of the validation {k}": v
                for k, v in checkpoint.digest(self.validation).items()
            }
            self._settings = {
                "model": _described(self.model),
                **self.program.settings.identity(),
                "examples": len(self.examples),
                "batch_size": self.batch_size,
                "shuffle": self.shuffle,
                "seed": self.seed,
                **data,
                **held,
            }
        return self._settings

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint. Errors: DataError, OSError; before anything is changed."""
        contents = checkpoint.read(path)
        checkpoint.compare(path, contents.settings, self.settings())
        variables = self.program.trained()
        check_values(path, variables, contents.values)
        actions = checkpoint.match(path, contents.callbacks, self.callbacks)
        for name, variable in variables.items():
            variable.set_value(contents.values[name])
        for action in actions:
            action()
        self.history = contents.history
        self.epoch = contents.history.epochs[-1]
        self._stopped = contents.stopped
        self.resumed = True

    # ---- the loop

    def run(self) -> History:
        """All epochs. Errors: TrainingError where numbers are no longer finite; an interrupt comes
        through between two steps, and the model keeps what was done."""
        program = self.program
        with Interrupts():
            self.feed, self.step = program.step(self.examples)
            if self.evaluation is not None and self.validation is not None:
                self.evaluation.compiled(self.validation)
            shuffle = program.shuffler(self.feed) if self.shuffle else None
        self.feed.load(self.examples, self.batch_size)
        program.step_length.set_value(np.array(1 / self.batches, "float64"))
        variables = program.trained()
        self._before = Snapshot(variables)
        started = False
        try:
            for callback in self.callbacks:
                callback.on_train_begin()
            self.shown.start(self.epochs, self.batches, len(self.examples))
            started = True
            while not self.at_end:
                self._one_epoch(self.epoch + 1, shuffle)
            for callback in self.callbacks:
                callback.on_train_end()
        finally:
            self.feed.release()
            self.step.free()  # it would hold the data until it runs again
            if shuffle is not None and len(self.examples) > FEW:
                shuffle.free()
            if started:
                self.shown.close()
        return self.history

    def _one_epoch(self, number: int, shuffle: Function | None) -> None:
        program, feed = self.program, self.feed
        program.epoch.set_value(np.array(number - 1, "float64"))
        for callback in self.callbacks:
            callback.on_epoch_begin(number)
        self.shown.begin(number)
        if shuffle is not None:
            shuffle()
        program.sums.clear()
        self._before.take()
        start = time.perf_counter()
        losses = self._steps() if self._stepwise else self._native_steps()
        seconds = time.perf_counter() - start
        if not (np.isfinite(losses).all() and program.finite()):
            raise guard.explain(
                program, feed, self.step, self._before, len(losses), self.batches, number
            )
        made = len(self.examples) if len(losses) == self.batches else self.batch_size * len(losses)
        logs = program.sums.results(made)
        if self.evaluation is not None and self.validation is not None:
            found = self.evaluation.run(self.validation, VALIDATION_ROWS)
            logs.update({f"val_{name}": value for name, value in found.items()})
        logs["learning_rate"] = program.learning_rate_at(len(losses) - 1)
        self.epoch = number
        self.history.append(number, logs, seconds, losses)
        self.shown.finish(number, logs, seconds)
        for callback in self.callbacks:
            callback.on_epoch_end(number, logs)

    def _native_steps(self) -> np.ndarray:
        """All steps in one native loop; up to the first loss that is not finite, more or less."""
        sums = self.program.sums

        def between(done: int) -> bool:
            if not done:  # the sizes are being bound
                return False
            total = sums.loss_so_far
            if not np.isfinite(total):
                return True
            self.shown.between(done, total / min(done * self.batch_size, len(self.examples)))
            return False

        losses: np.ndarray = self.step.map(range(self.batches), between=between)
        return losses

    def _steps(self) -> np.ndarray:
        """The same with Python between the steps."""
        losses: list[Any] = []
        stopped, self._stopped = self._stopped, False
        last = time.perf_counter()
        for number in range(self.batches):
            loss = self.step(number)
            losses.append(loss)
            if not np.isfinite(loss):
                break
            for callback in self._stepwise:
                callback.on_step_end(number + 1, {"loss": float(loss)})
            now = time.perf_counter()
            if now - last > 0.05:
                last = now
                done = min((number + 1) * self.batch_size, len(self.examples))
                self.shown.between(number + 1, self.program.sums.loss_so_far / done)
            if self._stopped:
                break
        self._stopped |= stopped
        return np.array(losses)


def _described(model: Any) -> Any:
    """The architecture; of a model that has no description, its parameters."""
    try:
        return model.describe()
    except ConfigError:
        return {name: str(v.type) for name, v in model.named_variables().items()}
