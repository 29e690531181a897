"""Things by name, and back: what model files may hold."""

import functools
import json

import numpy as np
import pytest

import symnet.tensor as T
from symnet.errors import ConfigError
from symnet.nn import activations, init, losses, metrics, schedules, updates
from symnet.nn.names import describe, lookup, names_of

KINDS = ["activation", "loss", "optimizer", "metric", "initializer", "penalty", "schedule"]
NEEDS = {  # settings without a default
    "constant": {"rate": 0.1},
    "linear": {"start": 1.0, "end": 0.0, "epochs": 3},
    "exponential": {"start": 1.0, "factor": 0.5},
    "step_decay": {"start": 1.0, "factor": 0.5},
    "cosine": {"start": 1.0, "end": 0.0, "epochs": 3},
    "polynomial": {"start": 1.0, "end": 0.0, "epochs": 3},
    "inverse_time": {"start": 1.0},
    "warmup": {"epochs": 1, "then": {"name": "linear", "start": 1, "end": 0, "epochs": 3}},
    "average": {"function": "huber"},
}
ALL = [(kind, name) for kind in KINDS for name in names_of(kind)]


def given(kind, name):
    needs = NEEDS.get(name, {}) if kind in ("schedule", "metric") else {}
    return {"name": name, **needs}


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_every_name_goes_through_json_and_back(kind, name):
    thing = lookup(kind, given(kind, name))
    assert callable(thing) or kind == "metric"
    described = json.loads(json.dumps(describe(kind, thing)))
    again = lookup(kind, described)
    assert json.loads(json.dumps(describe(kind, again))) == described
    if name not in ("average", "from_data"):
        assert again == thing


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_thing_is_itself(kind, name):
    thing = lookup(kind, given(kind, name))
    assert lookup(kind, thing) is thing
    if name not in NEEDS:
        assert lookup(kind, name) == thing or name == "from_data"


@pytest.mark.parametrize(
    ("kind", "thing", "described"),
    [
        ("loss", functools.partial(losses.huber, delta=2.0), {"name": "huber", "delta": 2.0}),
        (
            "activation",
            functools.partial(activations.leaky_relu, slope=0.2),
            {"name": "leaky_relu", "slope": 0.2},
        ),
        (
            "optimizer",
            functools.partial(updates.adam, beta1=np.float32(0.5)),
            {"name": "adam", "beta1": 0.5},
        ),
        (
            "optimizer",
            functools.partial(updates.sgd, learning_rate=schedules.constant(0.5)),
            {"name": "sgd", "learning_rate": {"name": "constant", "rate": 0.5}},
        ),
        ("initializer", functools.partial(init.normal, std=0.1), {"name": "normal", "std": 0.1}),
        ("metric", metrics.top_k(3), {"name": "top_k", "k": 3}),
        (
            "metric",
            metrics.average(functools.partial(losses.huber, delta=3.0)),
            {"name": "average", "function": {"name": "huber", "delta": 3.0}},
        ),
        ("activation", activations.swish, "silu"),
        ("activation", T.nnet.softmax, "softmax"),
        ("activation", T.tanh, "tanh"),
        ("activation", T.nnet.leaky_relu, "leaky_relu"),
        ("loss", "mse", "mse"),
        ("loss", None, None),
    ],
)
def test_descriptions(kind, thing, described):
    assert describe(kind, thing) == described
    if thing is not None:
        found = lookup(kind, described)
        settings = getattr(found, "keywords", {})
        assert settings == getattr(thing, "keywords", {})


def test_short_cuts():
    assert lookup("activation", None) is activations.linear
    assert lookup("schedule", 0.1) == schedules.constant(0.1)
    assert lookup("loss", "mse") is losses.mean_squared_error
    assert lookup("metric", metrics.accuracy) == metrics.accuracy()
    assert isinstance(lookup("initializer", init.from_data), init.from_data)
    mine = lambda p, t: abs(p - t)
    assert lookup("loss", mine) is mine
    assert lookup("metric", mine) == metrics.average(mine)


@pytest.mark.parametrize(
    ("kind", "wrong", "nearest"),
    [
        ("activation", "RELU", "relu"),
        ("activation", "leaky-relu", "leaky_relu"),
        ("loss", "categorical_cross_entropy", "categorical_crossentropy"),
        ("optimizer", "Adam", "adam"),
        ("metric", "acuracy", "accuracy"),
        ("initializer", "glorot uniform", "glorot_uniform"),
        ("penalty", "L2", "l2"),
        ("schedule", "cosinus", "cosine"),
    ],
)
def test_unknown_names(kind, wrong, nearest):
    for call in (lookup, describe):
        with pytest.raises(ConfigError) as error:
            call(kind, wrong)
        assert f"did you mean {nearest!r}?" in str(error.value)
        assert all(name in str(error.value) for name in names_of(kind))


def test_nothing_near():
    with pytest.raises(ConfigError, match=r"no loss is called 'qqq'\. Names are"):
        lookup("loss", "qqq")


@pytest.mark.parametrize(
    ("kind", "settings", "says"),
    [
        ("loss", {"name": "huber", "width": 1}, "no setting 'width': it has delta"),
        ("activation", {"name": "sigmoid", "x": 1}, "no setting 'x': it has none"),
        ("optimizer", {"name": "adam", "params": []}, "no setting 'params'"),
        ("penalty", {"name": "l2", "wait": 1}, "wait"),
        ("schedule", {"name": "linear", "start": 1}, "missing"),
        ("loss", {"delta": 1}, 'no "name"'),
        ("loss", {"name": 3}, 'no "name"'),
        ("penalty", {"name": "l2", "weight": -1}, "at least 0"),
    ],
)
def test_settings_that_are_wrong(kind, settings, says):
    with pytest.raises(ConfigError, match=says):
        lookup(kind, settings)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("thing", [3 + 4j, [1], object()])
def test_what_is_nothing_of_the_kind(kind, thing):
    with pytest.raises(ConfigError, match=f"{kind}: .*names are"):
        lookup(kind, thing)


@pytest.mark.parametrize("kind", KINDS)
def test_things_of_ones_own_are_not_written(kind):
    mine = lambda *a: a[0]
    thing = metrics.average(mine) if kind == "metric" else mine
    with pytest.raises(ConfigError, match=r"lambda.* has no name that a file could hold"):
        describe(kind, thing)


def test_settings_that_no_file_holds():
    for value in (object(), float("nan"), lambda: 0):
        with pytest.raises(ConfigError, match=r"delta=.*cannot be written"):
            describe("loss", functools.partial(losses.huber, delta=value))
    with pytest.raises(ConfigError, match="no name"):
        describe("loss", functools.partial(losses.huber, 1))


def test_kinds():
    for call in (lookup, describe):
        with pytest.raises(ConfigError, match="'layer' is no kind; kinds are activation, loss"):
            call("layer", "dense")
