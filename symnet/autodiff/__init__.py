"""Derivatives of expressions, as expressions."""

from symnet.autodiff.clone import clone
from symnet.autodiff.gradient import Lop, Rop, grad, hessian_vector_product, substitute

__all__ = ["Lop", "Rop", "clone", "grad", "hessian_vector_product", "substitute"]
