"""Bad data: refused before anything is compiled or changed, in words that say what to do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from symnet import nn
from symnet.errors import (
    ConfigError,
    DataError,
    IndexOutOfBoundsError,
    ShapeError,
    TypeMismatchError,
)
from symnet.nn.training import arrays, data, targets

X = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
Y = np.arange(12) % 3


def network(units=3, loss="categorical_crossentropy", activation="softmax", built=True):
    model = nn.Sequential([nn.Dense(units, activation=activation, seed=0)])
    if built:
        model.build([(None, 4)])
    model.compile("sgd", loss, learning_rate=0.1)
    return model


def refused(error, message, x=X, y=Y, model=None, **more):
    """fit, evaluate and train_on_batch refuse, and the model stays as it is."""
    model = network() if model is None else model
    before = model.get_weights() if model.built else None
    with pytest.raises(error, match=message):
        model.fit(x, y, verbose=0, **more)
    if not more:
        with pytest.raises(error, match=message):
            model.evaluate(x, y)
        with pytest.raises(error, match=message):
            model.train_on_batch(x, y)
    assert model._program is None and model.history is None
    if before is not None:
        assert all(map(np.array_equal, before, model.get_weights()))


# ---- inputs

WITH_NAN = X.copy()
WITH_NAN[5, 2] = np.nan
RAGGED = np.array([[1], [2, 3]] * 6, object)
WITH_INF = X.astype("float64")
WITH_INF[0, 3] = -np.inf


@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize(
    "error, message, x",
    [
        (DataError, r"x\[5, 2\] is nan", WITH_NAN),
        (DataError, r"x\[0, 3\] is -inf", WITH_INF),
        (DataError, r"x is empty: shape \(0, 4\)", X[:0]),
        (ShapeError, r"x has 11 examples, y has 12", X[:11]),
        (TypeMismatchError, "x holds texts, such as 'a'", np.full((12, 4), "a")),
        (TypeMismatchError, "x holds texts, such as 'a'", [["a", 1, 2, 3]] * 12),
        (TypeMismatchError, r"x has dtype object; convert it", X.astype(object)),
        (TypeMismatchError, "x has dtype object and holds list", RAGGED),
        (TypeMismatchError, "dtype complex64; real numbers", X.astype("complex64")),
        (TypeMismatchError, "dtype datetime64", np.full((12, 4), "2000-01-01", "datetime64[D]")),
        (TypeMismatchError, "x is None", None),
        (TypeMismatchError, "x is a dict", {"a": X}),
        (TypeMismatchError, "x is a generator, not an array", (row for row in X)),
        (ShapeError, "x is a list whose parts differ in length", [[1, 2], [3]]),
        (DataError, "x has masked values", np.ma.masked_array(X, X > 1)),
    ],
)  # fmt: skip
def test_inputs(built, error, message, x):
    refused(error, message, x=x, model=network(built=built))


def test_inputs_that_do_not_fit_the_model():
    refused(
        ShapeError, r"x has shape \(12, 3\), the model's input 'input' is \(\?, 4\)", x=X[:, :3]
    )
    refused(ShapeError, r"x has shape \(12, 4, 1\), the model's", x=X[:, :, None])
    refused(ShapeError, r"single example give x\[None\]", x=X[0])
    with pytest.raises(ShapeError, match=r"for a single example give x\[None\]"):
        network().predict(X[0])
    refused(ShapeError, r"x.reshape\(-1, 1\)", x=X[:, 0], model=network(built=False))


def test_numbers_too_large_for_the_model():
    large = X.astype("float64")
    large[2, 1] = 1e300
    refused(DataError, r"x\[2, 1\] is 1e\+300, too large for float32", x=large)


def test_sparse_matrices_are_refused():
    sparse = pytest.importorskip("scipy.sparse")
    refused(TypeMismatchError, r"x is sparse .*give x.toarray\(\)", x=sparse.csr_matrix(X))


def test_symbolic_data_are_refused():
    refused(TypeMismatchError, "x is the symbolic a .*give an array", x=nn.Input(4, name="a"))


def test_several_inputs():
    a, b = nn.Input(4, name="a"), nn.Input(2, name="b")
    model = nn.Model([a, b], nn.Dense(3)(nn.Concatenate()([a, b])))
    model.compile("sgd", "multiclass_hinge", learning_rate=0.1)
    wide = X[:, :2]
    refused(ShapeError, "x is a ndarray, the model has 2: a, b", x=X, model=model)
    refused(ShapeError, "x is 1 arrays, the model has 2: a, b", x=[X], model=model)
    refused(ShapeError, r"x names \['a', 'c'\], the model has", x={"a": X, "c": X}, model=model)
    refused(ShapeError, r"x\[1\] has shape \(12, 4\), the model's input 'b'", x=[X, X], model=model)
    refused(ShapeError, r"x\[0\] has 12 examples, x\[1\] has 5", x=[X, wide[:5]], model=model)
    refused(DataError, r"x\['a'\]\[5, 2\] is nan", x={"a": WITH_NAN, "b": wide}, model=model)


# ---- targets


@pytest.mark.parametrize(
    "error, message, y",
    [
        (DataError, "y is missing: give targets", None),
        (ShapeError, r"x has 12 examples, y has 11", Y[:11]),
        (ShapeError, "y is one number", 3),
        (
            TypeMismatchError,
            "y holds texts, such as 'cat'; encode them.*LabelEncoder.*SymnetClassifier",
            ["cat", "dog", "cow"] * 4,
        ),
        (TypeMismatchError, "y holds texts, such as 'cat'", np.array(["cat"] * 12, object)),
        (IndexOutOfBoundsError, r"y\[3\] is 3: .* has 3 classes, 0 to 2$", [0, 1, 2, 3] * 3),
        (IndexOutOfBoundsError, "they seem to be counted from 1", Y + 1),
        (IndexOutOfBoundsError, r"y\[1\] is -2: classes are counted from 0", Y - 3 * (Y == 1)),
        (IndexOutOfBoundsError, r"-1 and 1 choose loss='hinge'", np.sign(Y - 0.5)),
        (TypeMismatchError, r"y\[2\] is 2.5: .* wants whole numbers", Y + 0.5 * (Y == 2)),
        (DataError, r"y\[1\] is nan", np.where(Y == 1, np.nan, Y)),
        (ShapeError, r"y has shape \(12, 2\).*rows of 3 probabilities", np.eye(3)[Y][:, :2]),
        (ShapeError, r"y has shape \(12, 3, 1\)", np.eye(3)[Y][:, :, None]),
        (IndexOutOfBoundsError, r"y\[0, 1\] is -1.0: a probability is", np.eye(3)[Y] * 2 - 1),
        (DataError, r"y\[0, 2\] is inf", WITH_INF[:, 1:] ** 2),
        (TypeMismatchError, "real numbers are wanted", Y + 1j),
    ],
)
def test_class_targets(error, message, y):
    refused(error, message, y=y)


@pytest.mark.parametrize("loss", ["negative_log_likelihood", "multiclass_hinge"])
def test_losses_of_labels_alone(loss):
    refused(ShapeError, "wants integer labels, one per example", y=np.eye(3)[Y],
            model=network(loss=loss, activation="log_softmax"))  # fmt: skip


def test_targets_of_numbers():
    def regression():
        return network(2, "mean_squared_error", None)

    refused(ShapeError, r"y has shape \(12, 3\), the model's output is \(\?, 2\)",
            y=np.eye(3)[Y], model=regression())  # fmt: skip
    refused(ShapeError, "class labels choose loss='categorical_crossentropy'", y=Y,
            model=regression())  # fmt: skip
    refused(DataError, r"y\[5, 0\] is nan", y=WITH_NAN[:, 2:], model=regression())


def test_yes_and_no():
    def model():
        return network(1, "binary_crossentropy", "sigmoid")

    refused(IndexOutOfBoundsError, r"y\[2, 0\] is 2: .* 0 and 1, or prob", y=Y, model=model())
    refused(IndexOutOfBoundsError, r"y\[0, 0\] is -1.0: a probability", y=Y - 1, model=model())
    model().fit(X, Y == 1, verbose=0)
    refused(IndexOutOfBoundsError, r"y\[1\] is 1: .* has 1 class, 0 to 0; for two classes and one",
            y=Y, model=network(1))  # fmt: skip


# ---- weights


@pytest.mark.parametrize(
    "error, message, weights",
    [
        (ShapeError, r"sample_weight has shape \(5,\)", np.ones(5)),
        (ShapeError, r"sample_weight has shape \(12, 2\)", np.ones((12, 2))),
        (IndexOutOfBoundsError, r"sample_weight\[1\] is -1.0", [1, -1.0] * 6),
        (DataError, r"sample_weight\[0\] is nan", [np.nan] * 12),
        (DataError, "all weights are 0", np.zeros(12)),
        (TypeMismatchError, "sample_weight holds texts", ["1"] * 12),
    ],
)
def test_sample_weights(error, message, weights):
    refused(error, message, sample_weight=weights)


@pytest.mark.parametrize(
    "error, message, weights",
    [
        (ConfigError, "names class 3, which is none", {3: 1.0}),
        (ConfigError, "names class 'a', which is none", {"a": 1.0}),
        (ConfigError, "is no number", {0: "heavy"}),
        (ConfigError, "is no weight", {0: -1}),
        (ConfigError, "is no weight", {0: float("inf")}),
        (ConfigError, "neither a dict nor 'balanced'", "even"),
        (DataError, "all weights are 0", {0: 0, 1: 0, 2: 0}),
    ],
)
def test_class_weights(error, message, weights):
    refused(error, message, class_weight=weights)


def test_balanced_weights():
    y = np.array([0, 0, 0, 1, 2, 2])
    outputs = network().outputs
    examples = data.Examples([X[:6]], [y])
    weights = targets.weighted_by_class(examples, "balanced", outputs).weights
    np.testing.assert_allclose(weights, np.array([6 / 9, 6 / 3, 6 / 6])[y], rtol=1e-6)
    hot = data.Examples([X[:6]], [np.eye(3)[y]], np.arange(6.0))
    weights = targets.weighted_by_class(hot, {1: 3}, outputs).weights
    np.testing.assert_array_equal(weights, np.array([1, 3, 1])[y] * np.arange(6))


# ---- validation


def test_validation_data():
    for pair, error, message in [
        ((X, Y[:3]), ShapeError, "x has 12 examples, validation y has 3"),
        ((X[:, :2], Y), ShapeError, r"validation x has shape \(12, 2\)"),
        ((WITH_NAN, Y), DataError, r"validation x\[5, 2\] is nan"),
        ((X, ["a"] * 12), TypeMismatchError, "validation y holds texts, such as 'a'; encode"),
        ((X, Y + 1), IndexOutOfBoundsError, r"validation y\[2\] is 3"),
        ((X, Y, np.ones(3)), ShapeError, "sample_weight"),
    ]:
        refused(error, message, validation_data=pair)
    refused(DataError, "validation_split=0.01 of 12 examples is 0", validation_split=0.01)
    refused(DataError, "validation_split=0.99 of 12 examples is 12", validation_split=0.99)


# ---- what is taken


class Foreign:
    """An array of another library: DLPack and nothing else."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **settings):
        return self.array.__dlpack__(**settings)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x,
        lambda x: x.tolist(),
        lambda x: tuple(map(tuple, x.tolist())),
        lambda x: np.asfortranarray(x),
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: x.astype(">f4"),
        lambda x: x.astype("float64"),
        lambda x: Foreign(np.ascontiguousarray(x)),
        lambda x: np.ma.masked_array(x),
        lambda x: np.lib.stride_tricks.as_strided(x, writeable=False),
        lambda x: pytest.importorskip("pandas").DataFrame(x, columns=list("abcd")),
    ],
)
def test_forms_of_inputs(form):
    model, other = network(), network()
    model.fit(X, Y, verbose=0, seed=0, batch_size=5)
    other.fit(form(X), Y, verbose=0, seed=0, batch_size=5)
    assert all(map(np.array_equal, model.get_weights(), other.get_weights()))
    assert np.array_equal(model.predict(X), other.predict(form(X)))


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "uint64", "float16"])
def test_dtypes_of_inputs(dtype):
    x = (X > 0).astype(dtype)
    model, other = network(), network()
    model.fit(x, Y, verbose=0, seed=0)
    other.fit(x.astype("float32"), Y, verbose=0, seed=0)
    assert all(map(np.array_equal, model.get_weights(), other.get_weights()))


def test_the_users_arrays_are_not_changed_nor_kept():
    x, y = X.copy(), Y.copy()
    model = network()
    model.fit(x, y, verbose=0, epochs=2)
    assert np.array_equal(x, X) and np.array_equal(y, Y)
    x[:], y[:] = 0, 0
    assert model._program[1].step(data.Examples([X], [Y]))[0].inputs[0].get_value().size == 0


def test_frames():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    labels = pd.Series(Y, name="kind")
    model = network()
    model.fit(frame, labels, verbose=0, sample_weight=pd.Series(np.ones(12)))
    refused(TypeMismatchError, "column 'c' of x has dtype .*encode or drop it",
            x=frame.assign(c="text"))  # fmt: skip
    refused(TypeMismatchError, "column 'c' of x has dtype category",
            x=frame.assign(c=pd.Categorical([1, 2] * 6)))  # fmt: skip
    refused(DataError, r"x\[5, 2\] is nan.*\(row 5, column 'c'\)",
            x=pd.DataFrame(WITH_NAN, columns=frame.columns))  # fmt: skip
    missing = frame.assign(c=pd.array([1, None] * 6, dtype="Int64"))
    refused(DataError, "column 'c' of x has missing values", x=missing)
    refused(TypeMismatchError, r"y \('kind'\) holds texts, such as 'u'",
            y=pd.Series(["u", "v"] * 6, name="kind"))  # fmt: skip
    nullable = frame.assign(c=pd.array([1, 2] * 6, dtype="Int64"))
    assert model.predict(nullable).shape == (12, 3)


@given(
    values=numpy_strategies.arrays(
        "float32", st.tuples(st.integers(1, 5), st.integers(1, 3000)), elements=st.just(0)
    ),
    place=st.integers(0, 10**6),
    bad=st.sampled_from([np.nan, np.inf, -np.inf]),
)
def test_the_first_value_that_is_not_finite_is_found(values, place, bad):
    arrays.check_finite(values, "x")
    flat = values.reshape(-1)
    place %= flat.size
    flat[place:] = bad
    shown = ", ".join(str(int(k)) for k in np.unravel_index(place, values.shape))
    with pytest.raises(DataError, match=rf"x\[{shown}\] is {bad}"):
        arrays.check_finite(values, "x")


def test_sums_that_overflow_are_not_taken_for_infinite_values():
    arrays.check_finite(np.full(10_000, 3e38, "float32"), "x")
