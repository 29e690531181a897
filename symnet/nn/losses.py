"""Losses: from predictions and targets, both (examples, ...), to one number per example.

    loss = losses.categorical_crossentropy(probabilities, labels).mean()

Where a prediction has more dimensions than examples and classes, a loss is the mean over them.
Nothing broadcasts: one target against many outputs is a mistake. One thing is forgiven, targets
(examples,) for predictions (examples, 1). Results have the dtype of the predictions.

Errors: TypeMismatchError for predictions that are no floating-point tensors, dimensions that do
not fit, and labels that are no integers; ShapeError for sizes that differ; when run, also
IndexOutOfBoundsError for a label that is no class.

Losses of probabilities are as exact as those of logits where the probabilities come from
`softmax` or `sigmoid`: rules see through to them, also in gradients.
"""

from typing import Any

from symnet import tensor as T
from symnet.errors import ConfigError
from symnet.graph.variables import Variable
from symnet.nn.matching import alike, in_dtype_of, labelled, of_label, per_example, predictions
from symnet.ops.arithmetic import strong_mul

__all__ = [
    "binary_crossentropy", "binary_crossentropy_from_logits", "categorical_crossentropy",
    "categorical_crossentropy_from_logits", "hinge", "huber", "kullback_leibler",
    "mean_absolute_error", "mean_squared_error", "multiclass_hinge", "negative_log_likelihood",
    "squared_hinge",
]  # fmt: skip

# ---- of numbers


def mean_squared_error(prediction: Any, target: Any) -> Variable:
    """The mean of (prediction - target)^2 over an example's outputs."""
    p, t = alike("mean_squared_error", prediction, target)
    return per_example(T.square(p - t))


def mean_absolute_error(prediction: Any, target: Any) -> Variable:
    """The mean of |prediction - target| over an example's outputs."""
    p, t = alike("mean_absolute_error", prediction, target)
    return per_example(abs(p - t))


def huber(prediction: Any, target: Any, delta: float = 1.0) -> Variable:
    """The mean of e^2 / 2 for errors e within `delta`, and of delta (|e| - delta / 2) outside.

    Huber, Robust estimation of a location parameter, Annals of Mathematical Statistics 35, 1964.
    Errors: ConfigError for a delta that is not positive.
    """
    if not delta > 0:
        raise ConfigError(f"huber: delta={delta!r}: a number above 0 is wanted")
    p, t = alike("huber", prediction, target)
    error = abs(p - t)
    inside: Any = T.minimum(error, delta)
    return per_example(inside * (error - 0.5 * inside))  # never squares a large error


# ---- of classes


def categorical_crossentropy(prediction: Any, target: Any) -> Variable:
    """-log of the probability that was predicted for the right class.

    prediction  probabilities (examples, ..., classes)
    target      integer labels (examples, ...), or probabilities of the prediction's shape, such as
                one-hot rows: then -sum(target * log(prediction)); a factor 0 gives 0
    """
    p = predictions("categorical_crossentropy", prediction)
    return per_example(T.nnet.categorical_crossentropy(p, in_dtype_of(p, target)))


def categorical_crossentropy_from_logits(prediction: Any, target: Any) -> Variable:
    """`categorical_crossentropy` of softmax(prediction)."""
    x = predictions("categorical_crossentropy_from_logits", prediction)
    return per_example(T.nnet.categorical_crossentropy_from_logits(x, in_dtype_of(x, target)))


def negative_log_likelihood(prediction: Any, target: Any) -> Variable:
    """-prediction[label].

    prediction  log-probabilities (examples, ..., classes), as of `log_softmax`
    target      integer labels (examples, ...)
    """
    log_p, label = labelled("negative_log_likelihood", prediction, target)
    return per_example(-of_label(log_p, label))


def kullback_leibler(prediction: Any, target: Any) -> Variable:
    """The divergence sum(target * log(target / prediction)) over the last dimension.

    Both are probabilities of one shape; terms of target 0 are 0. Kullback and Leibler, On
    information and sufficiency, Annals of Mathematical Statistics 22, 1951.
    """
    p, t = alike("kullback_leibler", prediction, target)
    terms: Any = strong_mul(t, T.log(t)) - strong_mul(t, T.log(p))
    return per_example(terms.sum(axis=-1) if p.type.ndim > 1 else terms)


def binary_crossentropy(prediction: Any, target: Any) -> Variable:
    """The mean of -(t log p + (1 - t) log(1 - p)) over an example's outputs, each a yes or no.

    prediction  probabilities; target  0 and 1, or probabilities. Terms with factor 0 are 0.
    """
    p, t = alike("binary_crossentropy", prediction, target)
    return per_example(T.nnet.binary_crossentropy(p, t))


def binary_crossentropy_from_logits(prediction: Any, target: Any) -> Variable:
    """`binary_crossentropy` of sigmoid(prediction)."""
    x, t = alike("binary_crossentropy_from_logits", prediction, target)
    return per_example(T.nnet.sigmoid_binary_crossentropy(x, t))


def hinge(prediction: Any, target: Any) -> Variable:
    """The mean of max(0, 1 - s prediction) over an example's outputs, for the sign s of the class.

    prediction  scores, positive for yes
    target      yes where positive, else no: so -1 and +1, or 0 and 1

    Cortes and Vapnik, Support-vector networks, Machine Learning 20, 1995.
    """
    return per_example(_shortfall("hinge", prediction, target))


def squared_hinge(prediction: Any, target: Any) -> Variable:
    """The mean of max(0, 1 - s prediction)^2; see `hinge`."""
    return per_example(T.square(_shortfall("squared_hinge", prediction, target)))


def multiclass_hinge(prediction: Any, target: Any) -> Variable:
    """By how much the right class's score fails to be 1 above every other's.

    prediction  scores (examples, ..., classes)
    target      integer labels (examples, ...)

    Crammer and Singer, On the algorithmic implementation of multiclass kernel-based vector
    machines, JMLR 2, 2001, section 2.
    """
    s, label = labelled("multiclass_hinge", prediction, target)
    right: Any = T.shape_padright(of_label(s, label))
    others = T.neq(T.arange(s.shape[s.type.ndim - 1]), T.shape_padright(label))
    return per_example(T.max(T.where(others, s - right + 1, 0), axis=-1))


# ---- what they share


def _shortfall(name: str, prediction: Any, target: Any) -> Any:
    p, t = alike(name, prediction, target)
    sign: Any = T.where(T.gt(t, 0), 1, -1).astype(p.dtype)
    return T.nnet.relu(1 - sign * p)
