"""Derivatives of expressions, as expressions."""

from symnet.autodiff.gradient import Lop, Rop, grad, hessian_vector_product, substitute

__all__ = ["Lop", "Rop", "grad", "hessian_vector_product", "substitute"]
