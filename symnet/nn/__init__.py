"""Neural networks: update rules, initial values, parameter files."""

from symnet.nn.init import glorot_normal, glorot_uniform, he_normal, he_uniform
from symnet.nn.parameters import load_parameters, read_parameters, save_parameters
from symnet.nn.updates import adagrad, adam, adamw, momentum, nesterov, rmsprop, sgd

__all__ = [
    "adagrad",
    "adam",
    "adamw",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "load_parameters",
    "momentum",
    "nesterov",
    "read_parameters",
    "rmsprop",
    "save_parameters",
    "sgd",
]
