"""`T.nnet`: activations and losses, under Theano's names.

Losses return one number per example; take `.mean()` or `.sum()`. They are written so that
probabilities that come from `softmax` or `sigmoid` are as accurate as the logits: rules see through
to them, also in gradients.
"""

import math
from typing import Any

from symnet.errors import ShapeError, TypeMismatchError
from symnet.graph.describe import listed
from symnet.graph.types import INTEGERS
from symnet.graph.variables import Variable
from symnet.ops import arithmetic
from symnet.ops.arithmetic import add, clip, mul, neg, strong_mul, sub, true_div
from symnet.ops.conversion import as_variable, as_variables, is_weak
from symnet.ops.exponential import expm1, log, sigmoid, softplus
from symnet.ops.gather import CheckedIndex, Take
from symnet.ops.generate import arange
from symnet.ops.indexing import index
from symnet.ops.logic import gt, where
from symnet.ops.movement import reshape
from symnet.ops.nnet import log_softmax, logsumexp, softmax
from symnet.ops.reduction import sum_
from symnet.ops.shape import multiply, shape_of, sizes_of
from symnet.ops.special import erfc
from symnet.ops.trigonometric import tanh
from symnet.tensor.movement import addbroadcast

__all__ = [
    "binary_crossentropy", "categorical_crossentropy", "categorical_crossentropy_from_logits",
    "crossentropy_categorical_1hot", "crossentropy_softmax_1hot",
    "crossentropy_softmax_1hot_with_bias", "elu", "gelu", "hard_sigmoid", "leaky_relu",
    "log_softmax", "logsoftmax", "logsumexp", "mish", "relu", "relu6", "selu", "sigmoid",
    "sigmoid_binary_crossentropy", "silu", "softmax", "softplus", "softsign", "swish", "tanh",
    "ultra_fast_sigmoid",
]  # fmt: skip

logsoftmax = log_softmax
ultra_fast_sigmoid = sigmoid  # Theano's is an approximation; ours is vectorised and exact

# ---- activations


def relu(x: Any, alpha: Any = 0) -> Variable:
    """max(x, 0), or with `alpha`, a number or tensor, alpha * x where x is not positive.

    The derivative at 0 is `alpha`.
    """
    if is_weak(alpha) and alpha == 0:
        return arithmetic.relu(x)  # type: ignore[no-any-return]
    x = as_variable(x)
    return where(gt(x, 0), x, mul(alpha, x))  # type: ignore[no-any-return]


def leaky_relu(x: Any, alpha: Any = 0.01) -> Variable:
    """`relu` with a small slope on the left."""
    return relu(x, alpha)


def relu6(x: Any) -> Variable:
    """x limited to [0, 6]."""
    return clip(x, 0, 6)  # type: ignore[no-any-return]


def elu(x: Any, alpha: Any = 1) -> Variable:
    """x where positive, else alpha * (e**x - 1) (Clevert et al. 2015, arXiv:1511.07289)."""
    x = as_variable(x)
    return where(gt(x, 0), x, mul(alpha, expm1(x)))  # type: ignore[no-any-return]


def selu(x: Any) -> Variable:
    """Scaled `elu` that keeps mean 0 and variance 1 (Klambauer et al. 2017, arXiv:1706.02515)."""
    return mul(1.0507009873554805, elu(x, 1.6732632423543772))  # type: ignore[no-any-return]


def hard_sigmoid(x: Any) -> Variable:
    """0.2 x + 0.5 limited to [0, 1]."""
    return clip(add(mul(as_variable(x), 0.2), 0.5), 0, 1)  # type: ignore[no-any-return]


def softsign(x: Any) -> Variable:
    """x / (1 + |x|)."""
    x = as_variable(x)
    return true_div(x, add(1, arithmetic.absolute(x)))  # type: ignore[no-any-return]


def silu(x: Any) -> Variable:
    """x * sigmoid(x) (Ramachandran et al. 2017, arXiv:1710.05941)."""
    x = as_variable(x)
    return strong_mul(sigmoid(x), x)  # type: ignore[no-any-return]


swish = silu


def mish(x: Any) -> Variable:
    """x * tanh(softplus(x)) (Misra 2019, arXiv:1908.08681)."""
    x = as_variable(x)
    return strong_mul(tanh(softplus(x)), x)  # type: ignore[no-any-return]


def gelu(x: Any, approximate: bool = False) -> Variable:
    """x times the normal distribution function of x (Hendrycks and Gimpel 2016, arXiv:1606.08415).

    With `approximate` by the formula with tanh of section 2 there. -inf gives 0.
    """
    x = as_variable(x)
    if approximate:
        cubic = mul(math.sqrt(2 / math.pi), add(x, mul(0.044715, mul(x, arithmetic.square(x)))))
        return strong_mul(mul(0.5, add(1, tanh(cubic))), x)  # type: ignore[no-any-return]
    # erfc and not 1 + erf, which cancels in the left tail
    return strong_mul(mul(0.5, erfc(mul(x, -math.sqrt(0.5)))), x)  # type: ignore[no-any-return]


# ---- losses


def categorical_crossentropy(coding_dist: Any, true_dist: Any) -> Variable:
    """-sum(true * log(coding)) over the last dimension, which holds the classes.

    coding_dist  probabilities, (..., classes)
    true_dist    probabilities of the same shape, or integer labels (...): then -log(coding[label])

    A class of true probability 0 contributes 0, whatever its coding probability. Errors:
    TypeMismatchError for other numbers of dimensions or labels that are no integers; when run,
    ShapeError, and IndexOutOfBoundsError for a label outside the classes.
    """
    p, y = as_variable(coding_dist), as_variable(true_dist)
    return _against("categorical_crossentropy", log(p), p, y)


def categorical_crossentropy_from_logits(logits: Any, true_dist: Any) -> Variable:
    """`categorical_crossentropy` of softmax(logits), without ever forming probabilities."""
    x, y = as_variable(logits), as_variable(true_dist)
    if not x.type.ndim:
        raise TypeMismatchError(f"categorical_crossentropy: {x} ({x.type}) has no classes")
    return _against("categorical_crossentropy", log_softmax(x), x, y)


def crossentropy_categorical_1hot(coding_dist: Any, true_one_of_n: Any) -> Variable:
    """`categorical_crossentropy` of probabilities (examples, classes) against integer labels."""
    p, y = as_variable(coding_dist), as_variable(true_one_of_n)
    if p.type.ndim != 2 or y.type.ndim != 1:
        raise TypeMismatchError(
            f"crossentropy_categorical_1hot takes a matrix and a vector of labels, not "
            f"{p} ({p.type}) and {y} ({y.type}){listed([p, y])}"
        )
    return categorical_crossentropy(p, y)


def crossentropy_softmax_1hot(x: Any, y_idx: Any) -> tuple[Variable, Variable]:
    """Cross-entropy of p = softmax(x), x (examples, classes), against integer labels; and p."""
    p = softmax(x)
    return crossentropy_categorical_1hot(p, y_idx), p


def crossentropy_softmax_1hot_with_bias(x: Any, b: Any, y_idx: Any) -> tuple[Variable, Variable]:
    """`crossentropy_softmax_1hot` of x + b."""
    return crossentropy_softmax_1hot(add(x, b), y_idx)


def _against(name: str, log_p: Variable, p: Variable, y: Variable) -> Variable:
    """-sum(y * log_p) over classes, y probabilities or labels."""
    ndim = p.type.ndim
    if ndim and y.type.ndim == ndim:
        log_p, y = _aligned(name, log_p, y, ndim)
        return neg(sum_(strong_mul(y, log_p), axis=ndim - 1))  # type: ignore[no-any-return]
    if not ndim or y.type.ndim != ndim - 1 or y.type.dtype not in INTEGERS:
        raise TypeMismatchError(
            f"{name}: {p} ({p.type}) takes probabilities of {ndim} dimensions or integer labels of "
            f"{ndim - 1}, not {y} ({y.type}){listed([p, y])}"
        )
    log_p, y = _aligned(name, log_p, y, ndim - 1)
    label = CheckedIndex(negative=False)  # -1 is no class
    if ndim == 1:
        return neg(Take((0,))(log_p, label(y, shape_of(log_p, 0))))  # type: ignore[no-any-return]
    if ndim == 2:
        columns = label(y, shape_of(log_p, 1))
        return neg(index(log_p, (arange(shape_of(log_p, 0)), columns)))  # type: ignore[no-any-return]
    rows = multiply(sizes_of(y))
    flat = reshape(log_p, [rows, shape_of(log_p, ndim - 1)])
    columns = label(reshape(y, [rows]), shape_of(flat, 1))
    return neg(reshape(index(flat, (arange(rows), columns)), sizes_of(y)))  # type: ignore[no-any-return]


def _aligned(name: str, p: Variable, y: Variable, ndim: int) -> tuple[Variable, Variable]:
    """Both with equal sizes in the first dimensions: a loss does not broadcast, one target against
    many outputs is a mistake. Where only one size is known to be 1, the other is checked when run.
    """
    for axis in range(ndim):
        m, n = p.type.shape[axis], y.type.shape[axis]
        if m is not None and n is not None and m != n:
            raise ShapeError(
                f"{name}: sizes {m} and {n} in dimension {axis} differ: {p} ({p.type}), "
                f"{y} ({y.type}){listed([p, y])}"
            )
    p = addbroadcast(p, *(k for k in range(ndim) if y.type.shape[k] == 1))
    return p, addbroadcast(y, *(k for k in range(ndim) if p.type.shape[k] == 1))


def binary_crossentropy(output: Any, target: Any) -> Variable:
    """-(target * log(output) + (1 - target) * log(1 - output)), element by element.

    output  probabilities; target  probabilities or 0 and 1, of a shape that broadcasts. A term
    with factor 0 is 0, so outputs of exactly 0 or 1 that are right cost 0.
    """
    p, t = as_variables([output, target])
    hit = strong_mul(t, log(p))
    return neg(add(hit, strong_mul(sub(1, t), log(sub(1, p)))))  # type: ignore[no-any-return]


def sigmoid_binary_crossentropy(output: Any, target: Any) -> Variable:
    """`binary_crossentropy` of sigmoid(output), exact for logits of any size."""
    x, t = as_variables([output, target])
    return add(strong_mul(t, softplus(neg(x))), strong_mul(sub(1, t), softplus(x)))  # type: ignore[no-any-return]
