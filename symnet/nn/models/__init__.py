"""Networks of layers that train, predict, and live in files."""

from symnet.nn.models.loading import load
from symnet.nn.models.model import Model
from symnet.nn.models.sequential import Sequential

__all__ = ["Model", "Sequential", "load"]
