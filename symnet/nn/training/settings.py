"""What `compile` chooses: the loss, the metrics, and how the parameters follow."""

import dataclasses
import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from symnet.autodiff import grad
from symnet.errors import ConfigError
from symnet.nn import clipping, losses, names
from symnet.nn.metrics import Metric
from symnet.nn.schedules import Schedule
from symnet.nn.training.targets import unwrapped

Rule = Callable[..., dict]

# losses whose predictions say yes where positive, not where above 0.5
_OF_SCORES = {losses.binary_crossentropy_from_logits, losses.hinge, losses.squared_hinge}


class Settings:
    """The arguments of `Trainable.compile`, looked up and checked.

    optimizer      update rule f(gradients, parameters, learning_rate)
    losses         functions f(prediction, target), one for all outputs or one for each
    loss_weights   a factor for each output's loss, or None
    metrics        `Metric` objects, measured on every output
    learning_rate  a number, or a `Schedule` of the time in epochs

    Errors: ConfigError.
    """

    def __init__(
        self,
        optimizer: Any,
        loss: Any,
        metrics: Iterable[Any],
        learning_rate: Any,
        clip_norm: float | None,
        clip_value: float | None,
        loss_weights: Sequence[float] | None,
    ):
        self.optimizer: Rule = names.lookup("optimizer", optimizer)
        if loss is None:
            raise ConfigError(
                f"compile: choose a loss, one of {', '.join(names.names_of('loss'))}, or a "
                "function of (prediction, target)"
            )
        several = isinstance(loss, (list, tuple))
        self.losses = [names.lookup("loss", one) for one in (loss if several else [loss])]
        if not self.losses:
            raise ConfigError("compile: the list of losses is empty")
        single = isinstance(metrics, str | Metric) or callable(metrics)
        listed: list[Any] = [metrics] if single else list(metrics)
        self.metrics: list[Metric] = [names.lookup("metric", one) for one in listed]
        self._by_name = [isinstance(one, str | type) for one in listed]
        named = [metric.name for metric in self.metrics]
        for name in named:
            if named.count(name) > 1 or name == "loss":
                raise ConfigError(f"compile: two metrics are called {name!r}")
        self.learning_rate = self._rate(learning_rate)
        for name, limit in (("clip_norm", clip_norm), ("clip_value", clip_value)):
            if limit is not None and not (_is_number(limit) and 0 < limit < math.inf):
                raise ConfigError(f"{name}={limit!r:.40}: a finite number above 0 is wanted")
        self.clip_norm = None if clip_norm is None else float(clip_norm)
        self.clip_value = None if clip_value is None else float(clip_value)
        self.loss_weights = None if loss_weights is None else [float(w) for w in loss_weights]
        if self.loss_weights is not None and not all(
            math.isfinite(w) and w >= 0 for w in self.loss_weights
        ):
            raise ConfigError(f"loss_weights={self.loss_weights}: at least 0, and finite")

    def _rate(self, given: Any) -> float | Schedule:
        if given is None:
            parameter = inspect.signature(self.optimizer).parameters.get("learning_rate")
            given = None if parameter is None else parameter.default
            if given is None or given is inspect.Parameter.empty:
                raise ConfigError(
                    "compile: the optimizer has no learning rate of its own; give one"
                )
        if isinstance(given, Schedule):
            return given
        if isinstance(given, str | dict):
            schedule: Schedule = names.lookup("schedule", given)
            return schedule
        if not _is_number(given) or not 0 <= given < math.inf:
            raise ConfigError(
                f"learning_rate={given!r:.60}: a finite number, at least 0, or a schedule is wanted"
            )
        return float(given)

    def functions(self, outputs: int) -> list[Callable[..., Any]]:
        """The loss function of each output. Errors: ConfigError for another number of them."""
        if len(self.losses) not in (1, outputs):
            raise ConfigError(f"{len(self.losses)} losses for {outputs} outputs")
        return self.losses * outputs if len(self.losses) == 1 else self.losses

    def measures(self, loss: Callable[..., Any]) -> list[Metric]:
        """The metrics of an output with this loss: those chosen by name alone take 0 for their
        threshold where the predictions are scores."""
        threshold = threshold_of(loss)
        return [
            dataclasses.replace(metric, threshold=threshold)  # type: ignore[type-var]
            if by_name and threshold != getattr(metric, "threshold", threshold)
            else metric
            for metric, by_name in zip(self.metrics, self._by_name)
        ]

    def factors(self, outputs: int) -> list[float]:
        """The factor of each output's loss."""
        if self.loss_weights is None:
            return [1.0] * outputs
        if len(self.loss_weights) != outputs:
            raise ConfigError(f"{len(self.loss_weights)} loss_weights for {outputs} outputs")
        return self.loss_weights

    def updates(self, loss: Any, parameters: Sequence[Any], learning_rate: Any) -> dict:
        """New values of the parameters and of the optimizer's state."""
        if not parameters:
            return {}
        gradients = grad(loss, list(parameters))
        if self.clip_value is not None:
            gradients = clipping.by_value(gradients, self.clip_value)
        if self.clip_norm is not None:
            gradients = clipping.by_global_norm(gradients, self.clip_norm)
        return self.optimizer(gradients, list(parameters), learning_rate=learning_rate)

    def describe(self) -> dict[str, Any]:
        """The arguments of `compile` in terms of JSON. Errors: ConfigError for functions that
        have no name."""
        return self._told(names.describe)

    def identity(self) -> dict[str, Any]:
        """The same with something for every function, so that two runs can be compared."""
        return self._told(_something)

    def _told(self, describe: Callable[[str, Any], Any]) -> dict[str, Any]:
        rate = self.learning_rate
        several = [describe("loss", loss) for loss in self.losses]
        metrics = [describe("metric", metric) for metric in self.metrics]
        return {
            "optimizer": describe("optimizer", self.optimizer),
            "loss": several[0] if len(several) == 1 else several,
            "metrics": [
                one["name"] if by_name and isinstance(one, dict) else one
                for one, by_name in zip(metrics, self._by_name)
            ],
            "learning_rate": describe("schedule", rate) if isinstance(rate, Schedule) else rate,
            "clip_norm": self.clip_norm,
            "clip_value": self.clip_value,
            "loss_weights": self.loss_weights,
        }


def _something(kind: str, thing: Any) -> Any:
    """`names.describe`, or where there is no name what Python calls it: the same in every process,
    so without an address in memory."""
    try:
        return names.describe(kind, thing)
    except ConfigError:
        if isinstance(thing, Metric):
            return thing.name
        function = unwrapped(thing)
        settings = sorted(getattr(thing, "keywords", {}).items())
        called = getattr(function, "__qualname__", type(function).__name__)
        return f"{called}({', '.join(f'{k}={v}' for k, v in settings)})" if settings else called


def threshold_of(loss: Callable[..., Any]) -> float:
    """Above which a single output, trained by this loss, says yes."""
    return 0.0 if unwrapped(loss) in _OF_SCORES else 0.5


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool | str) and isinstance(
        getattr(value, "item", lambda: value)(), int | float
    )
