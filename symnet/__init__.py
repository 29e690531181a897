"""symnet: symbolic tensor expressions, differentiated, rewritten, fused, compiled to native code.

import symnet
import symnet.tensor as T

x = T.matrix("x")
f = symnet.function([x], T.tanh(x).sum())
"""

from symnet.cli import startup  # noqa: F401  isort: skip  before what can fail
from symnet import errors, gradient, printing, tensor
from symnet.autodiff import Lop, Rop, clone, grad, hessian, hessian_vector_product, jacobian
from symnet.config import config
from symnet.function import Function, In, Mode, Out, function, shared, transfer
from symnet.graph.export import to_graphviz, to_networkx
from symnet.graph.printing import debugprint, pp
from symnet.testing.derivative import verify_grad
from symnet.version import __version__

# Theano's T.grad and so on; tensor lies below autodiff and cannot import them
tensor.grad, tensor.Lop, tensor.Rop = grad, Lop, Rop
tensor.jacobian, tensor.hessian, tensor.verify_grad = jacobian, hessian, verify_grad

__all__ = [
    "Function",
    "In",
    "Lop",
    "Mode",
    "Out",
    "Rop",
    "__version__",
    "clone",
    "config",
    "debugprint",
    "errors",
    "function",
    "grad",
    "gradient",
    "hessian",
    "hessian_vector_product",
    "jacobian",
    "pp",
    "printing",
    "shared",
    "tensor",
    "to_graphviz",
    "to_networkx",
    "transfer",
    "verify_grad",
]
