"""What made training fail: the first step, and in it the first layer, whose numbers are not finite.

The loop over steps is native and looks at the loss now and then only. When it is no longer finite,
the steps of the epoch are made once more, from the state before it, one by one; they are the same
to the bit. The guilty step is not made: the model keeps what was before it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from symnet.autodiff import grad
from symnet.backends.reference import evaluate_all
from symnet.errors import SymnetError, TrainingError
from symnet.graph.types import is_float
from symnet.graph.variables import SharedVariable
from symnet.nn import losses
from symnet.nn.training.program import Feed, Program, Snapshot
from symnet.nn.training.targets import unwrapped

_OF_PROBABILITIES = {losses.binary_crossentropy, losses.categorical_crossentropy}


def finite(array: np.ndarray) -> bool:
    return not is_float(array) or bool(np.isfinite(array).all())


def explain(
    program: Program,
    feed: Feed,
    step: Callable[[int], Any],
    before: Snapshot,
    made: int,
    batches: int,
    epoch: int,
) -> TrainingError:
    """Find the guilty step, leave the model as it was before it, and say what happened.

    before  the state at the start of the epoch
    made    how many of its steps were made
    """
    before.restore()
    kept = program.trained()
    saved = Snapshot(kept)
    for number in range(made):
        saved.take()
        loss = float(step(number))
        if np.isfinite(loss) and program.finite():
            continue
        new = {v: not finite(v.peek()) for v in kept.values()}
        saved.restore()
        what, layer = _first(program, feed, number, new)
        if np.isfinite(loss):
            text = f"in epoch {epoch}, step {number + 1} of {batches}, the loss is {loss:g}, but"
        else:
            text = f"the loss became {loss} in epoch {epoch}, step {number + 1} of {batches}:"
        rate = program.learning_rate_at(number)
        return TrainingError(
            f"{text} {what}\n  the model is as it was before that step; a smaller learning rate "
            f"(it was {rate:g}) or compile(clip_norm=1.0) may help",
            epoch=epoch,
            step=number + 1,
            layer=layer,
        )
    return TrainingError(
        f"the loss was not finite in epoch {epoch}, but is when its steps are made again",
        epoch=epoch,
    )


def _first(
    program: Program, feed: Feed, number: int, new: Mapping[SharedVariable, bool]
) -> tuple[str, str | None]:
    """The first layer whose output or, from the last layer back, whose gradient is not finite."""
    gradients = grad(program.loss, program.parameters) if program.parameters else []
    outputs = [v for call in program.forward.calls for v in call.outputs]
    try:
        known = evaluate_all([*outputs, program.loss, *gradients], program.batch(feed, number))
    except SymnetError as problem:
        return f"and it cannot be looked into: {problem}", None
    for call in program.forward.calls:
        layer = call.layer
        for output in call.outputs:
            if output in known and not finite(known[output]):
                bad = _bad(known[output])
                text = f"the output of {layer.described()}, is the first that is not {bad}"
                return text, layer.name
    if not finite(np.asarray(known[program.loss])):
        text = f"all layers' outputs are finite, the loss is {known[program.loss]}"
        return text + _no_probabilities(program, known), None
    for parameter, gradient in reversed(list(zip(program.parameters, gradients))):
        if not finite(known[gradient]):
            owner = _owner(program, parameter)
            where = f", of {owner.described()}," if owner is not None else ""
            return (
                f"the gradient of {parameter}{where} is the first that is not "
                f"{_bad(known[gradient])}",
                None if owner is None else owner.name,
            )
    for variable, wrong in new.items():
        if wrong:
            owner = _owner(program, variable)
            where = f", of {owner.described()}," if owner is not None else ""
            return (
                f"the new value of {variable}{where} is not finite, all gradients are",
                None if owner is None else owner.name,
            )
    return "no layer's output and no gradient is, computed by NumPy", None


def _no_probabilities(program: Program, known: Mapping[Any, np.ndarray]) -> str:
    """What to say where a loss of probabilities was given others."""
    predictions = [v for call in program.forward.calls[-1:] for v in call.outputs]
    for prediction, loss in zip(predictions, program.settings.losses):
        value = known.get(prediction)
        function = unwrapped(loss)
        if function not in _OF_PROBABILITIES or value is None:
            continue
        if value.min() < 0 or value.max() > 1.001:
            name = function.__name__
            return (
                f"; {name} wants probabilities, the outputs go from {value.min():g} to "
                f"{value.max():g}: end with softmax or sigmoid, or choose {name}_from_logits"
            )
    return ""


def _owner(program: Program, variable: SharedVariable) -> Any:
    for call in program.forward.calls:
        layer = call.layer
        if any(variable is own for own in layer.named_variables().values()):
            return layer
    return None


def _bad(array: np.ndarray) -> str:
    wrong = ~np.isfinite(array)
    count = int(wrong.sum())
    return f"finite: {array.dtype}{array.shape} with {count} such numbers, first {array[wrong][0]}"
