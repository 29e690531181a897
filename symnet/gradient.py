"""What Theano programs find in `theano.gradient`."""

from symnet.autodiff import Lop, Rop, grad, hessian, hessian_vector_product, jacobian
from symnet.errors import DisconnectedInputError
from symnet.ops.barrier import (
    consider_constant,
    disconnected_grad,
    grad_clip,
    grad_scale,
    zero_grad,
)
from symnet.testing.derivative import verify_grad

__all__ = [
    "DisconnectedInputError",
    "Lop",
    "Rop",
    "consider_constant",
    "consider_constant_",
    "disconnected_grad",
    "disconnected_grad_",
    "grad",
    "grad_clip",
    "grad_scale",
    "hessian",
    "hessian_vector_product",
    "jacobian",
    "verify_grad",
    "zero_grad",
    "zero_grad_",
]

consider_constant_ = consider_constant
disconnected_grad_ = disconnected_grad
zero_grad_ = zero_grad
