"""The modules in which Theano programs look for derivatives and printing."""

import numpy as np
import pytest

import symnet as theano
import symnet.tensor as T
from symnet.errors import GradientMismatchError


def test_gradient():
    x = T.vector("x")
    stopped = theano.gradient.disconnected_grad_(x) * x
    assert theano.gradient.grad(stopped.sum(), x).eval({x: np.ones(2, "f")}).tolist() == [1, 1]
    assert theano.gradient.jacobian is T.jacobian
    with pytest.raises(theano.gradient.DisconnectedInputError):
        T.grad(theano.gradient.disconnected_grad(x).sum(), x)


def test_verify_grad_under_its_three_names():
    for verify in (theano.verify_grad, T.verify_grad, theano.gradient.verify_grad):
        verify(T.tanh, [np.array([0.5, -1.0])], n_tests=1, eps=1e-3)
        with pytest.raises(GradientMismatchError):
            verify(lambda x: T.grad(T.sum(theano.gradient.zero_grad(x) * x), x), [np.ones(2)])


def test_printing():
    x = T.vector("x")
    assert theano.printing.pprint(x + 1) == theano.pp(x + 1)
    assert "add" in theano.printing.debugprint(x + 1, file="str")
