"""A dense network that classifies."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from symnet.config import config
from symnet.sklearn.estimator import DenseEstimator


class SymnetClassifier(ClassifierMixin, DenseEstimator):  # type: ignore[misc]
    """Classes by a network of dense layers with a softmax output.

    X is (examples, features), dense; it is converted to floatX. Labels are anything that sorts:
    integers, texts, booleans.

    hidden_layer_sizes  units of each hidden layer; () for softmax regression
    activation          of the hidden layers: a name of `nn.activations` or a function
    optimizer           a name ("adam", "momentum" ...) or a function of `nn.updates`
    learning_rate       a number, a schedule of `nn.schedules`, or None: the optimizer's default
    batch_size          examples per step; "auto": a 25th of the examples, but 16 to 200
    max_iter            how many epochs at most
    alpha               the loss grows by alpha / 2 * the sum of squared weights
    dropout             rate at which hidden units are left out while training
    class_weight        weights by label, "balanced", or None
    shuffle             whether each epoch has an order of its own
    early_stopping      hold out `validation_fraction` of the examples, stop when their loss does
                        not fall any more, and keep the parameters of the best epoch
    n_iter_no_change    epochs without an improvement of the loss by `tol` after which to stop;
                        None: go on to max_iter
    random_state        seed of initial values, shuffling, dropout, and what is held out
    verbose             as in `Sequential.fit`

    After fit: classes_, model_ (the `nn.Sequential`), history_, loss_curve_, loss_, n_iter_,
    n_features_in_, feature_names_in_ (for frames). Errors: those of scikit-learn's checks, among
    them TypeError for sparse X; ConfigError, which is a ValueError, for unknown names.
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: Any = "relu",
        *,
        optimizer: Any = "adam",
        learning_rate: Any = None,
        batch_size: int | str = "auto",
        max_iter: int = 200,
        alpha: float = 0.0001,
        dropout: float = 0.0,
        class_weight: Mapping[Any, float] | str | None = None,
        shuffle: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int | None = 10,
        tol: float = 1e-4,
        random_state: Any = None,
        verbose: Any = 0,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.alpha = alpha
        self.dropout = dropout
        self.class_weight = class_weight
        self.shuffle = shuffle
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> Self:
        """Train a new network on X (examples, features) and labels y (examples,)."""
        X, y = validate_data(self, X, y, dtype=config.floatX, order="C")
        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        weights = None
        if self.class_weight is not None:
            by_class = compute_class_weight(self.class_weight, classes=classes, y=y)
            weights = dict(enumerate(by_class.tolist()))
        self._train(
            X,
            labels.astype("int64"),
            len(classes),
            "softmax",
            "categorical_crossentropy",
            weights,
        )
        self.classes_ = classes
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class, float64 (examples, classes), in the order of classes_."""
        probabilities = self._outputs_for(X)
        # float32 rows add up to 1 only to 7 digits
        return probabilities / probabilities.sum(axis=1, keepdims=True)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithms of `predict_proba`; -inf where that is 0."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest label of each example, (examples,)."""
        chosen = self.predict_proba(X).argmax(axis=1)
        labels: np.ndarray = self.classes_[chosen]
        return labels
