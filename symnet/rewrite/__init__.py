"""Rewriting: from the graph that was written to an equal one that is cheaper and more stable."""

from symnet.rewrite.engine import Rule, Step, rewrite, rewrites, strict
from symnet.rewrite.pattern import rule, wildcard
from symnet.rewrite.phases import optimise, stabilise

__all__ = [
    "Rule",
    "Step",
    "optimise",
    "rewrite",
    "rewrites",
    "rule",
    "stabilise",
    "strict",
    "wildcard",
]
