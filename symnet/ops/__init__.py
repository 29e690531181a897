"""The vocabulary: every op complete in one place (types, shapes, gradient, NumPy reference).

Element-wise ops are records, one statement each, in a file per topic:

    arithmetic  exponential  trigonometric  special  rounding  logic  bits  casting

A record holds the scalar expression from which every back end generates code (grammar in
scalar.py). Structured ops are small frozen classes that the schedule knows by kind:

    movement     views and copies: dimshuffle, reshape, broadcast_to
    shape        sizes as values
    indexing     slices, gathers, scatters
    reduction    sum, max, argmax ...
    contraction  dot, batched dot
    joining      concatenate
    generate     arrays computed from their indices: arange, eye, random draws
    nnet         softmax and its relatives, semantic so that rules can see them

Any other op runs its `perform` between native segments.
"""

# imported so that the registry of element-wise ops is complete wherever an expression is unpickled
from symnet.ops import (
    arithmetic,
    bits,
    casting,
    exponential,
    logic,
    rounding,
    special,
    trigonometric,
)
from symnet.ops.elementwise import ELEMENTWISE

__all__ = [
    "ELEMENTWISE",
    "arithmetic",
    "bits",
    "casting",
    "exponential",
    "logic",
    "rounding",
    "special",
    "trigonometric",
]
