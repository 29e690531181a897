"""The user's namespace, `import symnet.tensor as T`: Theano's names, and NumPy's."""

from symnet.tensor.variable import TensorConstant, TensorSharedVariable, TensorVariable

__all__ = ["TensorConstant", "TensorSharedVariable", "TensorVariable"]
