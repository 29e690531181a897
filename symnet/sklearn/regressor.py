"""A dense network that predicts numbers."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_array, validate_data

from symnet.config import config
from symnet.sklearn.estimator import DenseEstimator


class SymnetRegressor(RegressorMixin, DenseEstimator):  # type: ignore[misc]
    """Numbers by a network of dense layers with a linear output.

    X is (examples, features), dense; it is converted to floatX. y is (examples,) or
    (examples, outputs).

    loss         of each example: a name of `nn.losses` ("mean_squared_error", "huber",
                 "mean_absolute_error"), or a function
    normalize_y  train on targets with mean 0 and variance 1, and scale predictions back; then
                 losses and `tol` are in these units

    The other settings are those of `SymnetClassifier`.

    After fit: model_ (the `nn.Sequential`), history_, loss_curve_, loss_, n_iter_, n_outputs_,
    n_features_in_, feature_names_in_ (for frames). Errors: those of scikit-learn's checks, among
    them TypeError for sparse X; ConfigError, which is a ValueError, for unknown names.
    """

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: Any = "relu",
        *,
        loss: Any = "mean_squared_error",
        optimizer: Any = "adam",
        learning_rate: Any = None,
        batch_size: int | str = "auto",
        max_iter: int = 200,
        alpha: float = 0.0001,
        dropout: float = 0.0,
        normalize_y: bool = True,
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
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.alpha = alpha
        self.dropout = dropout
        self.normalize_y = normalize_y
        self.shuffle = shuffle
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Train a new network on X (examples, features) and numbers y (examples[, outputs])."""
        X, y = validate_data(self, X, y, dtype=config.floatX, order="C", multi_output=True)
        y = check_array(y, dtype="float64", ensure_2d=False, input_name="y")
        columns = y.reshape(len(y), -1)
        mean, spread = np.zeros(columns.shape[1]), np.ones(columns.shape[1])
        if self.normalize_y:
            mean, spread = columns.mean(axis=0), columns.std(axis=0)
            spread = np.where(spread > 0, spread, 1.0)
        targets = ((columns - mean) / spread).astype(X.dtype)
        self._train(X, targets, targets.shape[1], None, self.loss)
        self._mean, self._spread, self._flat = mean, spread, y.ndim == 1
        self.n_outputs_ = targets.shape[1]
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predictions, float64, of the shape that y had: (examples,) or (examples, outputs)."""
        predictions = self._outputs_for(X) * self._spread + self._mean
        return predictions[:, 0] if self._flat else predictions
