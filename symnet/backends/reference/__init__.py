"""The NumPy interpreter: slow, obvious, and the oracle that compiled code is compared with."""

from symnet.backends.reference.interpreter import evaluate, evaluate_all, run_node

__all__ = ["evaluate", "evaluate_all", "run_node"]
