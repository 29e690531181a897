"""What models can do with data: compile, fit, evaluate, predict."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from symnet.errors import ConfigError, ShapeError
from symnet.nn import seeds
from symnet.nn.training import data
from symnet.nn.training.callbacks import Checkpoint, as_callback, whole
from symnet.nn.training.data import Examples
from symnet.nn.training.evaluation import Evaluation, Predictor
from symnet.nn.training.graph import target_kinds
from symnet.nn.training.history import History
from symnet.nn.training.program import Program
from symnet.nn.training.progress import progress
from symnet.nn.training.settings import Settings, threshold_of
from symnet.nn.training.targets import (
    check_length,
    read_targets,
    read_weights,
    weighted_by_class,
)
from symnet.nn.training.trainer import VALIDATION_ROWS, Trainer

USUAL_BATCH = 128


class Trainable:
    """The methods of a model that deal with data. A subclass provides the network:

    built, build(input_shapes)   whether there are parameters, and making them
    inputs, outputs              lists of symbolic variables
    parameters, state, layers    shared variables that are trained, that are not; the layers
    named_variables()            both kinds by name
    expression(inputs, forward)  the outputs for other inputs, see `Forward`
    penalty()                    a scalar expression that is added to the loss, or None
    """

    built: bool
    inputs: list[Any]
    outputs: list[Any]

    _settings: Settings | None = None
    _program: tuple[Any, Program] | None = None
    _evaluator: tuple[Any, Evaluation] | None = None
    _predictor: tuple[Any, Predictor] | None = None
    history: History | None = None

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        metrics: Iterable[Any] = (),
        learning_rate: Any = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        loss_weights: Sequence[float] | None = None,
    ) -> None:
        """Choose how to train. The state of an optimizer that was used before is forgotten.

        optimizer      a name, an update function (nn.adam), or one with other settings:
                       functools.partial(nn.adam, beta1=0.8)
        loss           a name, or a function of (prediction, target) with one value per example;
                       for several outputs also a list
        metrics        names, objects of `nn.metrics`, or functions like a loss; for losses of
                       scores (hinge, logits), "accuracy" and its like ask whether they are above 0
        learning_rate  a number, or a schedule of `nn.schedules`; None: the optimizer's default
        clip_norm      scale gradients down whose norm, over all parameters, is larger
        clip_value     limit every number of the gradients
        loss_weights   factors of the losses of several outputs

        Nothing is compiled yet. Errors: ConfigError for what is not known or out of range.
        """
        self._settings = Settings(
            optimizer, loss, metrics, learning_rate, clip_norm, clip_value, loss_weights
        )
        self._program = self._evaluator = None

    def compile_config(self) -> dict[str, Any] | None:
        """The arguments of `compile` in terms of JSON, or None: model.compile(**config) does it
        again. Errors: ConfigError for functions that have no name."""
        return None if self._settings is None else self._settings.describe()

    def fit(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Iterable[Any] = (),
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[Any, float] | str | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        seed: int | None = None,
        resume: Any = None,
    ) -> History:
        """Train on examples; returns the `History`, which is also the model's `history`.

        x                 (examples, ...), of the model's input shape: an array of any real dtype
                          (images may stay bytes), a frame, a list; for several inputs a list of
                          these or a dict by name
        y                 targets: integer labels (examples,), one-hot rows, or numbers of the
                          output's shape, as the loss wants them
        batch_size        examples per step; None: 128, or all if they are fewer. The last step of
                          an epoch takes what is left
        epochs            the number of the last epoch
        verbose           "auto", 0: nothing, 1: a bar, 2: a line per epoch, or a `Progress`
        callbacks         objects of `Callback`, or functions f(epoch, logs)
        validation_split  share of the examples, the last ones, to hold back for validation
        validation_data   (x, y) or (x, y, weights) for validation
        shuffle           take the examples in a new random order every epoch
        class_weight      {class: weight} or "balanced"; classes left out weigh 1; validation does
                          without
        sample_weight     (examples,); a loss counts as often as its weight says
        initial_epoch     epochs that are done already; the time of schedules starts there
        seed              of the order, of dropout and of noise; None: see `nn.set_seed`
        resume            True: go on from the file of the `Checkpoint` among the callbacks, or from
                          the file of that path; where there is none yet, start

        The steps of an epoch are one native loop, unless a callback has `on_step_end`. Losses and
        metrics of the history are means over the examples (metrics without weights), each taken
        before the step that learned from it. A resumed run is equal to one that was never
        stopped, to the bit, on the same machine with as many threads.

        Errors, before anything is compiled or changed: those of `data`; ConfigError; with resume
        DataError for a checkpoint of another run. While training: TrainingError where numbers are
        no longer finite; the model then is as before that step. Ctrl-C ends it between two steps.
        """
        settings = self._checked_settings("fit")
        size = whole("batch_size", batch_size, 1) if batch_size is not None else None
        epochs = whole("epochs", epochs)
        initial_epoch = whole("initial_epoch", initial_epoch)
        listed = [as_callback(c) for c in _listed(callbacks)]
        shown = progress(verbose)
        seed = None if seed is None else seeds.number(seed)
        path = _resume_path(resume, listed)
        if validation_data is not None and validation_split:
            raise ConfigError("give validation_data or validation_split, not both")

        examples = self._examples(settings, x, y, sample_weight)
        validation = self._validation(settings, validation_data)
        held = 0
        if validation_split:
            held = data.checked_split(len(examples), validation_split)
            first = len(examples) - held
            validation = examples.part(slice(first, None))
            examples = examples.part(slice(first))
        count = len(examples)
        if size is not None and size > count:
            rest = f", {held} are for validation" if held else ""
            raise ConfigError(
                f"batch_size={size}: there are only {count} examples to train on{rest}"
            )
        examples = weighted_by_class(examples, class_weight, self.outputs)
        program = self._training(settings, examples)
        trainer = Trainer(
            self,
            program,
            None if validation is None else self._evaluation(settings, validation),
            examples,
            validation,
            batch_size=min(USUAL_BATCH, count) if size is None else size,
            epochs=epochs,
            initial_epoch=initial_epoch,
            shuffle=bool(shuffle),
            seed=seed,
            callbacks=listed,
            shown=shown,
        )
        with program.taken():
            if path is not None and path.exists():
                trainer.resume(path)
            else:
                program.seed(seeds.drawn() if seed is None else seed)
            self.history = trainer.history
            return trainer.run()

    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        sample_weight: Any = None,
        verbose: Any = 0,
    ) -> dict[str, Any]:
        """Loss and metrics over examples, by name, without dropout and noise.

        batch_size  examples at once, a matter of memory only; None: up to 1024
        verbose     1 prints the result

        Arguments and errors as of `fit`. Metrics do without weights.
        """
        settings = self._checked_settings("evaluate")
        size = VALIDATION_ROWS if batch_size is None else whole("batch_size", batch_size, 1)
        examples = self._examples(settings, x, y, sample_weight)
        logs = self._evaluation(settings, examples).run(examples, size)
        if verbose:
            texts = (f"{k} {v:.4f}" for k, v in logs.items() if isinstance(v, float))
            print("  ".join(texts), flush=True)
        return logs

    def predict(self, x: Any, batch_size: int | None = None) -> Any:
        """The outputs for examples, an array (examples, ...); of several outputs, a list.

        batch_size  examples at once, a matter of memory only; None: up to 1024

        Errors: those of `data` for `x`; ConfigError for a model without parameters yet.
        """
        size = VALIDATION_ROWS if batch_size is None else whole("batch_size", batch_size, 1)
        if not self.built:
            raise ConfigError(
                "predict: the model has no parameters yet; fit it, or give its input's shape"
            )
        arrays = data.read_inputs(x, self.inputs)
        key = self._identity()
        if self._predictor is None or self._predictor[0] != key:
            self._predictor = key, Predictor(self)
        made = self._predictor[1].outputs(arrays, size)
        return made[0] if len(made) == 1 else made

    def predict_classes(self, x: Any, batch_size: int | None = None) -> np.ndarray:
        """The likeliest class of each example, int64: the place of its largest output; with a
        single output, whether it is above 0.5, or where the model was compiled with a loss of
        scores (hinge, logits), above 0. Errors: those of `predict`; ShapeError for several outputs.
        """
        scores = self.predict(x, batch_size)
        if isinstance(scores, list):
            raise ShapeError(f"predict_classes: the model has {len(scores)} outputs")
        if scores.ndim < 2 or scores.shape[-1] == 1:
            settings = self._settings
            threshold = 0.5 if settings is None else threshold_of(settings.functions(1)[0])
            return np.asarray((scores.reshape(len(scores)) > threshold).astype("int64"))
        return np.asarray(scores.argmax(axis=-1))

    def train_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None) -> dict[str, Any]:
        """One step on all of these examples; loss and metrics before the step, by name.

        Arguments and errors as of `fit`, but nothing watches for numbers that are not finite. A
        learning-rate schedule counts epochs of `fit`; here it stays where that left it.
        """
        settings = self._checked_settings("train_on_batch")
        examples = self._examples(settings, x, y, sample_weight)
        program = self._training(settings, examples)
        with program.taken():
            if not program.seeded:
                program.seed(seeds.drawn())
            feed, step = program.step(examples)
            feed.load(examples, len(examples))
            program.sums.clear()
            try:
                step(0)
            finally:
                feed.release()
            return program.sums.results(len(examples))

    # ---- inside

    def _checked_settings(self, what: str) -> Settings:
        if self._settings is None:
            raise ConfigError(
                f"{what}: compile the model first, model.compile(optimizer=..., loss=...)"
            )
        return self._settings

    def _examples(
        self, settings: Settings, x: Any, y: Any, sample_weight: Any, what: str = ""
    ) -> Examples:
        """The data of a call, checked; the model is built if it is not yet."""
        if not self.built:
            arrays = data.read_inputs(x, None)
            check_length(y, len(arrays[0]))
            self.build([(None, *a.shape[1:]) for a in arrays])  # type: ignore[attr-defined]
        outputs = self.outputs
        inputs = data.read_inputs(x, self.inputs, f"{what}x")
        count = len(inputs[0])
        functions = settings.functions(len(outputs))
        settings.factors(len(outputs))
        targets = read_targets(y, outputs, functions, count, f"{what}y")
        weights = read_weights(sample_weight, outputs[0].type.dtype, count)
        return Examples(inputs, targets, weights)

    def _validation(self, settings: Settings, given: Any) -> Examples | None:
        if given is None:
            return None
        if not isinstance(given, (list, tuple)) or len(given) not in (2, 3):
            raise ConfigError("validation_data is a pair (x, y) or (x, y, sample_weight)")
        weights = given[2] if len(given) == 3 else None
        return self._examples(settings, given[0], given[1], weights, "validation ")

    def _identity(self) -> Any:
        """What a compiled program depends on: the layers may change between two calls."""
        parameters = self.parameters  # type: ignore[attr-defined]
        return tuple(self.outputs), tuple(parameters)

    def _training(self, settings: Settings, examples: Examples) -> Program:
        """The program for training on such examples. A new one goes on where the last one was."""
        key = self._identity(), target_kinds(examples)
        if self._program is not None:
            self._program[1].check_free()
        if self._program is None or self._program[0] != key:
            made = Program(self, settings, examples)
            if self._program is not None:
                made.take_over(self._program[1])
            self._program = key, made
        return self._program[1]

    def _evaluation(self, settings: Settings, examples: Examples) -> Evaluation:
        key = self._identity(), target_kinds(examples)
        if self._evaluator is None or self._evaluator[0] != key:
            self._evaluator = key, Evaluation(self, settings, examples)
        return self._evaluator[1]

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles do without compiled programs and the optimizer's state."""
        state = dict(self.__dict__)
        for compiled in ("_program", "_evaluator", "_predictor"):
            state.pop(compiled, None)
        return state


def _listed(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]


def _resume_path(resume: Any, callbacks: Sequence[Any]) -> Path | None:
    if resume is None or resume is False:
        return None
    if resume is not True:
        return Path(resume)
    paths = [c.path for c in callbacks if isinstance(c, Checkpoint)]
    if not paths:
        raise ConfigError("resume=True: no Checkpoint is among the callbacks; give one, or a path")
    return Path(paths[0])
