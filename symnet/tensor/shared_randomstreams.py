"""Random draws under Theano's name: `T.shared_randomstreams.RandomStreams(seed)`."""

from symnet.ops.random import RandomStreams

__all__ = ["RandomStreams"]
