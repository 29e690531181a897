"""Neural networks: update rules, initial values, parameter files."""

from symnet.nn import (
    activations,
    clipping,
    init,
    losses,
    metrics,
    names,
    penalties,
    schedules,
    updates,
)
from symnet.nn.init import (
    from_data,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    orthogonal,
)
from symnet.nn.parameters import load_parameters, read_parameters, save_parameters
from symnet.nn.penalties import l1, l1_l2, l2
from symnet.nn.seeds import set_seed
from symnet.nn.updates import (
    adadelta,
    adagrad,
    adam,
    adamw,
    momentum,
    nesterov,
    rmsprop,
    sgd,
)

__all__ = [
    "activations",
    "adadelta",
    "adagrad",
    "adam",
    "adamw",
    "clipping",
    "from_data",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "init",
    "l1",
    "l1_l2",
    "l2",
    "lecun_normal",
    "lecun_uniform",
    "load_parameters",
    "losses",
    "metrics",
    "momentum",
    "names",
    "nesterov",
    "orthogonal",
    "penalties",
    "read_parameters",
    "rmsprop",
    "save_parameters",
    "schedules",
    "set_seed",
    "sgd",
    "updates",
]
