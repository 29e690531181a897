"""Rewriting: from the graph that was written to an equal one that is cheaper and more stable."""

from symnet.rewrite.engine import Rule, Step, rewrite, rewrites, strict
from symnet.rewrite.pattern import rule, wildcard
from symnet.rewrite.phases import Phase, optimise, stabilise, tracing

__all__ = [
    "Phase",
    "Rule",
    "Step",
    "optimise",
    "rewrite",
    "rewrites",
    "rule",
    "stabilise",
    "strict",
    "tracing",
    "wildcard",
]
