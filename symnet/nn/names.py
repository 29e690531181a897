"""Functions by name: what `activation="relu"`, `optimizer="adam"` and model files mean.

    lookup("penalty", "l2")                              # l2()
    lookup("penalty", {"name": "l2", "weight": 1e-4})    # l2(1e-4)
    describe("penalty", l2(1e-4))                        # back again

`lookup` takes a name, a dict {"name": name, **settings} as JSON has it, or the thing itself, and
`describe` gives a name or such a dict for what `lookup` would find. A file therefore names what
symnet has, and nothing in it is executed.

What kinds give: "activation", "loss", "optimizer" and "initializer" functions, with settings a
`functools.partial`; "penalty", "schedule" and "metric" objects.
"""

import difflib
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from symnet import tensor as T
from symnet.errors import ConfigError
from symnet.nn import activations, init, losses, metrics, penalties, schedules, updates

__all__ = ["describe", "lookup", "names_of"]


def _table(module: Any, names: str, **others: Any) -> dict[str, Any]:
    return {name: getattr(module, name) for name in names.split()} | others


# The first name of a thing is the one that is written.
_TABLES: dict[str, dict[str, Any]] = {
    "activation": _table(
        activations,
        "linear sigmoid hard_sigmoid tanh relu relu6 leaky_relu elu selu gelu silu swish mish "
        "softplus softsign step softmax log_softmax",
    ),
    "loss": _table(
        losses,
        " ".join(losses.__all__),
        mse=losses.mean_squared_error,
        mae=losses.mean_absolute_error,
        nll=losses.negative_log_likelihood,
    ),
    "optimizer": _table(updates, "sgd momentum nesterov adagrad adadelta rmsprop adam adamw"),
    "initializer": _table(
        init,
        "glorot_uniform glorot_normal he_uniform he_normal lecun_uniform lecun_normal orthogonal "
        "uniform normal zeros ones constant from_data",
    ),
    "penalty": _table(penalties, "l1 l2 l1_l2"),
    "schedule": _table(
        schedules,
        "constant linear exponential step_decay cosine polynomial inverse_time warmup",
    ),
    "metric": _table(
        metrics,
        "accuracy binary_accuracy top_k mean_squared_error mean_absolute_error confusion_matrix "
        "precision recall f1 average",
        mse=metrics.mean_squared_error,
        mae=metrics.mean_absolute_error,
    ),
}

# other things that do the same
_SAME: dict[str, dict[Any, str]] = {
    "activation": {T.tanh: "tanh", T.nnet.leaky_relu: "leaky_relu"},
}

_BASES: dict[str, type] = {
    "penalty": penalties.Penalty,
    "schedule": schedules.Schedule,
    "metric": metrics.Metric,
}


def names_of(kind: str) -> list[str]:
    """All names of a kind."""
    return list(_kind(kind))


def lookup(kind: str, given: Any) -> Any:
    """The thing of `kind` that `given` means: a name, a dict {"name": ..., **settings}, or itself.

    No activation (None) is "linear". A number is a constant schedule. As a metric, a loss or any
    function of (prediction, target) with one value per example is its mean.
    Errors: ConfigError for names and settings that are not there.
    """
    table = _kind(kind)
    if given is None and kind == "activation":
        return activations.linear
    if isinstance(given, str):
        return _named(kind, given, {})
    if isinstance(given, Mapping):
        settings = dict(given)
        name = settings.pop("name", None)
        if not isinstance(name, str):
            raise ConfigError(f'{kind}: {given!r:.80} has no "name"')
        return _named(kind, name, settings)
    if kind == "schedule" and isinstance(given, int | float | np.number):
        return schedules.constant(float(given))
    base = _BASES.get(kind)
    if base is not None:
        if isinstance(given, base):
            return given
        if given in table.values():
            return _made(kind, given.__name__, given, {})
        if kind == "metric" and callable(given) and not isinstance(given, type):
            return metrics.average(given)
    elif given is init.from_data:
        return given()
    elif callable(given):
        return given
    raise ConfigError(
        f"{kind}: {given!r:.80} is neither a name nor a dict nor a function; names are "
        f"{', '.join(table)}"
    )


def describe(kind: str, thing: Any) -> Any:
    """What to write down so that `lookup` finds `thing` again: a name, or a dict of the name and
    settings, of numbers, text, lists and dicts alone. None is None.

    Errors: ConfigError for functions that symnet does not know by a name, such as a lambda.
    """
    _kind(kind)
    if thing is None:
        return None
    if isinstance(thing, str | Mapping):
        lookup(kind, thing)  # raises
        return thing if isinstance(thing, str) else dict(thing)
    if isinstance(thing, metrics.average) and kind == "metric":
        return {"name": "average", "function": describe("loss", thing.function)}
    if isinstance(thing, init.from_data) and kind == "initializer":
        return {"name": "from_data", "gain": thing.gain}  # its data stays out of files
    base = _BASES.get(kind)
    if base is not None and isinstance(thing, base):
        name = _name(kind, type(thing))
        settings = {k: _plain(kind, thing, k, v) for k, v in thing.config().items()}  # type: ignore[attr-defined]
    elif isinstance(thing, functools.partial) and not thing.args:
        name = _name(kind, thing.func)
        settings = {k: _plain(kind, thing, k, v) for k, v in thing.keywords.items()}
    else:
        name, settings = _name(kind, thing), {}
    return {"name": name, **settings} if settings else name


def _kind(kind: str) -> dict[str, Any]:
    if kind not in _TABLES:
        raise ConfigError(f"{kind!r} is no kind; kinds are {', '.join(_TABLES)}")
    return _TABLES[kind]


def _named(kind: str, name: str, settings: dict[str, Any]) -> Any:
    table = _TABLES[kind]
    if name in table:
        return _made(kind, name, table[name], settings)
    if kind == "metric" and name in _TABLES["loss"]:
        return metrics.average(_made("loss", name, _TABLES["loss"][name], settings))
    near = difflib.get_close_matches(name.lower().replace("-", "_").replace(" ", "_"), table, 1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ConfigError(f"no {kind} is called {name!r}{hint} Names are {', '.join(table)}")


def _made(kind: str, name: str, thing: Any, settings: dict[str, Any]) -> Any:
    """The function or class with its settings; those that are schedules themselves are made."""
    settings = {
        k: lookup("schedule", v) if isinstance(v, Mapping) and kind != "metric" else v
        for k, v in settings.items()
    }
    if kind == "metric" and thing is metrics.average:
        settings = {k: lookup("loss", v) for k, v in settings.items()}
    if not isinstance(thing, type):
        taken = _settings_of(thing)
        unknown = [k for k in settings if k not in taken]
        if unknown:
            raise ConfigError(
                f"{kind} {name} has no setting {unknown[0]!r}: it has {', '.join(taken) or 'none'}"
            )
        return functools.partial(thing, **settings) if settings else thing
    try:
        inspect.signature(thing).bind(**settings)
    except TypeError as error:
        raise ConfigError(f"{kind} {name}: {error}") from None
    return thing(**settings)


# what a function is called with; all its other arguments are settings
_CALLED_WITH = {"x", "prediction", "target", "loss_or_grads", "params", "shape", "rng", "dtype"}


def _settings_of(function: Callable[..., Any]) -> list[str]:
    code = getattr(function, "__code__", None)
    if code is None:  # an op: it has operands alone
        return []
    named = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return [name for name in named if name not in _CALLED_WITH]


def _name(kind: str, thing: Any) -> str:
    for name, known in _TABLES[kind].items():
        if known is thing:
            return name
    for known, name in _SAME.get(kind, {}).items():
        if known is thing:
            return name
    shown = getattr(thing, "__qualname__", None) or repr(thing)
    raise ConfigError(
        f"{kind} {shown:.80} has no name that a file could hold: take one of symnet's "
        f"({', '.join(_TABLES[kind])}), with settings by functools.partial; {_INSTEAD[kind]}"
    )


_OWN_LAYER = "or write it as a layer: a subclass of nn.Layer, given to nn.load(path, layers=[...])"
_AFTERWARDS = "or save the model before it is compiled, and compile it again when it is read"
_INSTEAD = {
    "activation": _OWN_LAYER,
    "initializer": "or set the weights once the layer is built",
    "penalty": _OWN_LAYER,
    "loss": _AFTERWARDS,
    "optimizer": _AFTERWARDS,
    "metric": _AFTERWARDS,
    "schedule": _AFTERWARDS,
}


def _plain(kind: str, thing: Any, name: str, value: Any) -> Any:
    """A setting as JSON has it."""
    if isinstance(value, schedules.Schedule):
        described = describe("schedule", value)
        return {"name": described} if isinstance(described, str) else described
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | str | Mapping):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise ConfigError(
        f"{kind} {thing!r:.80}: the setting {name}={value!r:.60} cannot be written to a file"
    )
