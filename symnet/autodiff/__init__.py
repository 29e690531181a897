"""Derivatives of expressions, as expressions."""

from symnet.autodiff.clone import clone
from symnet.autodiff.gradient import Lop, Rop, grad, hessian_vector_product, substitute
from symnet.autodiff.jacobian import hessian, jacobian

__all__ = [
    "Lop",
    "Rop",
    "clone",
    "grad",
    "hessian",
    "hessian_vector_product",
    "jacobian",
    "substitute",
]
