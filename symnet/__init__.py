"""symnet: symbolic tensor expressions, differentiated, rewritten, fused, compiled to native code.

import symnet
import symnet.tensor as T

x = T.matrix("x")
f = symnet.function([x], T.tanh(x).sum())
"""

from symnet import errors, tensor
from symnet.autodiff import Lop, Rop, clone, grad, hessian_vector_product
from symnet.config import config
from symnet.function import Function, In, Mode, Out, function, shared
from symnet.graph.export import to_networkx
from symnet.graph.printing import debugprint, pp
from symnet.version import __version__

tensor.grad = grad  # Theano's T.grad; tensor lies below autodiff and cannot import it

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
    "hessian_vector_product",
    "pp",
    "shared",
    "tensor",
    "to_networkx",
]
