"""What a layer does to its weighted sums: functions from an expression to one of the same shape.

All work on tensors of floating-point numbers of any shape and keep the dtype; `softmax` and
`log_softmax` take the last dimension for the classes.
"""

from typing import Any

from symnet import tensor as T
from symnet.graph.variables import Variable
from symnet.ops.conversion import as_variable
from symnet.tensor.nnet import (
    elu,
    gelu,
    hard_sigmoid,
    log_softmax,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    swish,
    tanh,
)

__all__ = [
    "elu", "gelu", "hard_sigmoid", "leaky_relu", "linear", "log_softmax", "mish", "relu", "relu6",
    "selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "step", "swish", "tanh",
]  # fmt: skip


def linear(x: Any) -> Variable:
    """x itself."""
    return as_variable(x)


def leaky_relu(x: Any, slope: float = 0.01) -> Variable:
    """x where positive, else slope * x (Maas, Hannun and Ng, ICML 2013)."""
    return T.nnet.leaky_relu(x, slope)


def step(x: Any) -> Variable:
    """The binary threshold unit: exactly 1 where x > 0, else exactly 0; NaN gives NaN.

    Its derivative is 0 wherever there is one, so gradients pass as if it were the straight line
    through it, (x + 1) / 2 limited to [0, 1]: 1/2 where |x| < 1, else 0. Bengio, Leonard and
    Courville, Estimating or propagating gradients through stochastic neurons, arXiv:1308.3432,
    section 4; the limits as in Courbariaux et al., arXiv:1602.02830, section 1.3.
    """
    x = as_variable(x)
    line: Any = T.clip((x + 1) * 0.5, 0, 1)
    # line - line is exactly 0; only its gradient is wanted
    return T.gt(x, 0).astype(x.dtype) + (line - T.disconnected_grad(line))  # type: ignore[no-any-return]
