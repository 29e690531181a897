"""Layers: builders of expressions with parameters that have names."""

from symnet.nn.layers.base import Forward, Layer
from symnet.nn.layers.core import Activation, Dense, Flatten, Input, Lambda, Rescaling, Reshape
from symnet.nn.layers.dropout import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
)
from symnet.nn.layers.merge import (
    Add,
    Average,
    Concatenate,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
)

__all__ = [
    "Activation",
    "ActivityRegularization",
    "Add",
    "AlphaDropout",
    "Average",
    "Concatenate",
    "Dense",
    "Dropout",
    "Flatten",
    "Forward",
    "GaussianDropout",
    "GaussianNoise",
    "Input",
    "Lambda",
    "Layer",
    "Maximum",
    "Minimum",
    "Multiply",
    "Rescaling",
    "Reshape",
    "Subtract",
]
