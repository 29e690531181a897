"""Dense networks as scikit-learn estimators: for pipelines, cross validation and grid searches.

Needs scikit-learn, which `pip install 'symnet[sklearn]'` brings.
"""

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        "symnet.sklearn needs scikit-learn: pip install 'symnet[sklearn]'", name="sklearn"
    ) from error

from symnet.sklearn.classifier import SymnetClassifier
from symnet.sklearn.regressor import SymnetRegressor

__all__ = ["SymnetClassifier", "SymnetRegressor"]
