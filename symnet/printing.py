"""What Theano programs find in `theano.printing`."""

from symnet.graph.printing import debugprint, pp

__all__ = ["debugprint", "pp", "pprint"]

pprint = pp
