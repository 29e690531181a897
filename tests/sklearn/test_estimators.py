"""The estimators by scikit-learn's own checks, and in its pipelines, searches and validations."""

import pickle
from functools import partial

import numpy as np
import pytest

import symnet
from symnet import nn
from symnet.errors import ConfigError

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_blobs, make_regression
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from symnet.sklearn import SymnetClassifier, SymnetRegressor

IRIS = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])


def own_checks():
    for kind in (SymnetClassifier, SymnetRegressor):
        for estimator, check in estimator_checks_generator(kind(), legacy=True):
            settings = getattr(check, "keywords", {})
            name = getattr(check, "func", check).__name__
            words = [name, *(f"{k}={v}" for k, v in settings.items() if k != "name")]
            yield pytest.param(estimator, check, id=f"{kind.__name__}-{'-'.join(words)}")


@pytest.mark.parametrize(("estimator", "check"), list(own_checks()))
@pytest.mark.filterwarnings("default:::sklearn")
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def blobs(count=300, **settings):
    points, labels = make_blobs(count, centers=3, cluster_std=0.8, random_state=3, **settings)
    return points.astype("float32"), labels


@pytest.fixture(scope="module")
def classifier():
    return SymnetClassifier((16,), max_iter=60, random_state=0).fit(*blobs())


# ---- classification


def test_digits_by_cross_validation():
    images, labels = load_digits(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), SymnetClassifier((50,), max_iter=25, random_state=0))
    scores = cross_val_score(pipeline, images[:1000], labels[:1000], cv=3)
    assert scores.min() > 0.85


def test_labels_that_are_texts():
    points, labels = IRIS
    network = make_pipeline(StandardScaler(), SymnetClassifier(random_state=0))
    network.fit(points, NAMES[labels])
    assert network.score(points, NAMES[labels]) > 0.93
    assert set(network.predict(points)) == set(NAMES)
    assert network[-1].classes_.tolist() == NAMES.tolist()


def test_probabilities(classifier):
    points, labels = blobs()
    p = classifier.predict_proba(points)
    assert p.dtype == "float64"
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    assert (classifier.classes_[p.argmax(axis=1)] == classifier.predict(points)).all()
    np.testing.assert_allclose(np.exp(classifier.predict_log_proba(points)), p)
    assert log_loss(labels, p) < 0.2


def test_a_linear_model_without_hidden_layers():
    model = SymnetClassifier((), max_iter=300, learning_rate=0.05, random_state=0).fit(*blobs())
    assert [w.shape for w in model.model_.get_weights()] == [(2, 3), (3,)]
    assert model.score(*blobs()) > 0.9


def test_class_weights_by_label():
    points, labels = make_blobs(200, centers=2, cluster_std=6, random_state=0)
    words = np.array(["no", "yes"])[labels]
    plain = SymnetClassifier(max_iter=50, random_state=0)
    heavy = clone(plain).set_params(class_weight={"no": 1.0, "yes": 50.0})
    share = [np.mean(m.fit(points, words).predict(points) == "yes") for m in (plain, heavy)]
    assert share[1] > share[0]
    with pytest.raises(ValueError, match="class_weight"):
        clone(plain).set_params(class_weight="heavy").fit(points, words)


# ---- regression


def test_regression_of_large_numbers():
    points, values = load_diabetes(return_X_y=True)
    model = SymnetRegressor(max_iter=100, random_state=0).fit(points, 1e4 * values)
    assert model.score(points, 1e4 * values) > 0.4
    assert model.predict(points).dtype == "float64"
    raw = clone(model).set_params(normalize_y=False).fit(points, values)
    assert raw.score(points, values) < model.score(points, 1e4 * values)


def test_several_outputs():
    points, values = make_regression(200, 5, n_targets=3, random_state=0)
    model = SymnetRegressor(max_iter=300, learning_rate=0.01, random_state=0).fit(points, values)
    assert model.n_outputs_ == 3
    assert model.predict(points[:7]).shape == (7, 3)
    assert model.score(points, values) > 0.9


def test_other_losses():
    points, values = make_regression(200, 5, random_state=0)
    spoilt = values.copy()
    spoilt[::20] += 5000.0
    scores = {}
    for loss in ("mean_squared_error", "mean_absolute_error", partial(nn.losses.huber, delta=0.02)):
        model = SymnetRegressor((), loss=loss, max_iter=300, learning_rate=0.01, random_state=0)
        scores[str(loss)] = model.fit(points, spoilt).score(points[1:20], values[1:20])
    squared, absolute, huber = scores.values()
    assert min(absolute, huber) > 0.9 > squared  # the others care less about the outliers


# ---- what scikit-learn's users do


def test_grid_search():
    network = make_pipeline(StandardScaler(), SymnetClassifier(max_iter=20, random_state=0))
    grid = {"symnetclassifier__hidden_layer_sizes": [(2,), (30,)]}
    search = GridSearchCV(network, grid, cv=2, scoring="neg_log_loss").fit(*blobs())
    assert search.best_params_ == {"symnetclassifier__hidden_layer_sizes": (30,)}
    assert search.score(*blobs()) > -0.5


def test_frames_keep_their_names():
    pandas = pytest.importorskip("pandas")
    points, labels = IRIS
    frame = pandas.DataFrame(points, columns=["a", "b", "c", "d"])
    model = SymnetClassifier(max_iter=3).fit(frame, pandas.Series(labels, name="species"))
    assert model.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert model.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame.rename(columns={"a": "z"}))


@pytest.mark.parametrize("kind", [SymnetClassifier, SymnetRegressor])
def test_pickles_and_copies_predict_the_same(kind):
    points, labels = blobs()
    model = kind((8, 4), dropout=0.2, activation=nn.activations.tanh, max_iter=3).fit(
        points, labels
    )
    copied = pickle.loads(pickle.dumps(model))
    assert (copied.predict(points) == model.predict(points)).all()
    assert copied.n_iter_ == 3
    copied.fit(points[:50], labels[:50])  # and the original stays
    assert not (copied.model_.get_weights()[0] == model.model_.get_weights()[0]).all()
    assert not hasattr(clone(model), "model_")


def test_equal_seeds_give_equal_models():
    points, labels = blobs()
    make = lambda seed: SymnetClassifier((8,), dropout=0.5, max_iter=5, random_state=seed)
    first, second, other = (make(s).fit(points, labels) for s in (1, 1, 2))
    assert (first.predict_proba(points) == second.predict_proba(points)).all()
    assert (first.predict_proba(points) != other.predict_proba(points)).any()


def test_fits_in_threads_do_not_disturb_each_other():
    joblib = pytest.importorskip("joblib")
    points, labels = blobs()
    model = SymnetClassifier((8,), dropout=0.5, max_iter=5, random_state=1)
    alone = cross_val_score(model, points, labels, cv=4, scoring="neg_log_loss")
    with joblib.parallel_config("threading", n_jobs=4):
        together = cross_val_score(model, points, labels, cv=4, scoring="neg_log_loss")
    assert together.tolist() == alone.tolist()


def test_settings_travel():
    model = SymnetClassifier(
        (4,),
        activation=nn.activations.elu,
        optimizer=partial(nn.adam, beta1=0.8),
        learning_rate=nn.schedules.cosine(0.01, 0.0, 10),
        max_iter=3,
        random_state=0,
    ).fit(*blobs(30))
    copied = clone(pickle.loads(pickle.dumps(model))).fit(*blobs(30))
    assert copied.loss_curve_ == model.loss_curve_
    assert model.history_.logs["learning_rate"][0] > model.history_.logs["learning_rate"][-1]


def test_the_network_inside(tmp_path, classifier):
    points, _ = blobs()
    classifier.model_.save(tmp_path / "blobs.safetensors")
    loaded = nn.load(tmp_path / "blobs.safetensors")
    assert (loaded.predict(points).argmax(1) == classifier.predict(points)).all()
    assert classifier.history_.logs["loss"] == classifier.loss_curve_
    assert classifier.n_iter_ == len(classifier.loss_curve_)
    assert classifier.loss_ == classifier.loss_curve_[-1]


# ---- when to stop


def test_training_stops_when_the_loss_does_not_fall():
    model = SymnetClassifier(max_iter=500, tol=0.5, n_iter_no_change=3, random_state=0)
    assert model.fit(*blobs()).n_iter_ < 100
    model.set_params(n_iter_no_change=None, max_iter=120)
    assert model.fit(*blobs()).n_iter_ == 120


def test_early_stopping_holds_out_a_share():
    points, labels = blobs(40)
    model = SymnetClassifier(
        (200,), max_iter=300, early_stopping=True, validation_fraction=0.25, alpha=0,
        learning_rate=0.02, n_iter_no_change=5, tol=0.0, random_state=0,
    )  # fmt: skip
    model.fit(points, labels)
    held_out = model.history_.logs["val_loss"]
    assert len(held_out) == model.n_iter_ < 300
    seed = int(np.random.RandomState(0).randint(np.iinfo(np.int32).max))
    _, kept, _, kept_labels = train_test_split(
        points, labels, test_size=0.25, stratify=labels, random_state=seed
    )
    best = log_loss(kept_labels, model.predict_proba(kept))  # of the best epoch, not the last
    assert best == pytest.approx(min(held_out), rel=1e-3)


# ---- what is refused


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_layer_sizes": (10, 0)}, "hidden_layer_sizes"),
        ({"hidden_layer_sizes": "many"}, "hidden_layer_sizes"),
        ({"max_iter": 0}, "max_iter=0: a positive integer"),
        ({"batch_size": "large", "dropout": 1.0}, r"batch_size='large'.*dropout=1\.0"),
        ({"alpha": -1}, "alpha=-1"),
        ({"n_iter_no_change": 0}, "n_iter_no_change=0"),
        ({"activation": "rely"}, "rely.*relu"),
        ({"optimizer": "adan"}, "adan.*adam"),
    ],
)
def test_settings_that_no_network_has(settings, message):
    with pytest.raises(ValueError, match=message):
        SymnetClassifier(**settings).fit(*blobs(20))


def test_unknown_losses_are_settings_errors():
    with pytest.raises(ConfigError, match="mean_squared_error"):
        SymnetRegressor(loss="mean_squared_eror").fit(*blobs(20))


def test_sparse_and_unfitted():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    points, labels = blobs(20)
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        SymnetClassifier().fit(scipy_sparse.csr_array(points), labels)
    with pytest.raises(NotFittedError):
        SymnetRegressor().predict(points)


def test_double_precision():
    with symnet.config.change(floatX="float64"):
        model = SymnetRegressor(max_iter=2).fit(*blobs(20))
    assert {w.dtype.name for w in model.model_.get_weights()} == {"float64"}
    assert model.predict(blobs(5)[0]).shape == (5,)
