"""Short rows in lanes: the same results as row by row, whatever the sizes and the values."""

import numpy as np
import pytest

import symnet
import symnet.tensor as T
from symnet.backends.cpu import bind, lanes
from symnet.backends.cpu.emit import emit
from symnet.config import config
from symnet.errors import SymnetError

x, y = T.matrices("x", "y")
w = T.vector("w")
labels = T.lvector("labels")
CENTRED = x - x.mean(axis=1, keepdims=True)
NORMAL = CENTRED / T.sqrt(T.sqr(CENTRED).mean(axis=1, keepdims=True) + 1e-5)
NLL = T.nnet.categorical_crossentropy(T.nnet.softmax(x), labels)
PROGRAMS = {
    "softmax": T.nnet.softmax(x),
    "log-softmax": T.log(T.nnet.softmax(x)),
    "cross-entropy": [NLL, symnet.grad(NLL.mean(), x)],
    "layer norm": [NORMAL, *symnet.grad((NORMAL * w * y).sum(), [x, w, y])],
    "positions": [T.argmax(x, axis=1), T.max(x, axis=1), x.min(axis=1)],
    "booleans": [T.any(x > 0, axis=1), T.all(x > 0, axis=1), x > x.mean(axis=1, keepdims=True)],
    "float64": T.nnet.softmax(T.cast(x, "float64") * 1.5),
    "integers": T.cast(x > 0, "int8").sum(axis=1, keepdims=True) * T.cast(x > 0, "int8"),
    "transposed": T.nnet.softmax(x.T),
    "backwards": T.nnet.softmax(x[:, ::-1]),
    "row numbers": (x * 0.01 * T.arange(x.shape[0]).dimshuffle(0, "x")).sum(axis=1),
    "in place": T.nnet.softmax(T.exp(x - 1) + y),
}
ROWS = [1, 2, 15, 16, 17, 63, 64, 65, 100, 130]


@pytest.fixture
def always(monkeypatch):
    """Lanes wherever they are possible."""
    used = []

    def pays(kernel, sizes):
        used.append(kernel)
        return sizes[-1] <= lanes.SHORT

    monkeypatch.setattr(lanes, "pays", pays)
    return used


def function(name, **more):
    return symnet.function([x, y, w, labels], PROGRAMS[name], on_unused_input="ignore", **more)


def values(rows, columns, name="", seed=0):
    rng = np.random.default_rng([rows, columns, seed])
    if name == "transposed":
        rows, columns = columns, rows
    a = rng.normal(size=(rows, columns)).astype("float32")
    b = rng.normal(size=(rows, columns)).astype("float32")
    few = rng.integers(0, columns, rows)
    return [a, b, rng.normal(size=columns).astype("float32"), few]


def as_list(results):
    return results if isinstance(results, list) else [results]


def assert_close(got, expected):
    for a, b in zip(as_list(got), as_list(expected), strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        with np.errstate(invalid="ignore"):
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_number_of_columns(name, always):
    f, reference = function(name), function(name, mode="reference")
    for columns in [*range(1, 42), 47, 48, 63, 64, 65, 100, 127, 128, 129]:
        for rows in (ROWS[columns % len(ROWS)], 71):
            given = values(rows, columns, name)
            assert_close(f(*given), reference(*given))
    assert always


@pytest.mark.parametrize("name", ["softmax", "cross-entropy", "layer norm", "positions"])
@pytest.mark.parametrize("columns", [1, 3, 10, 16, 17, 40])
def test_infinite_and_missing_values(name, columns, monkeypatch):
    """A row of special values is what it is by itself, and does not touch its neighbours."""
    given = values(90, columns, name)
    rng = np.random.default_rng(columns)
    # a row of one huge value has no mean of a few digits; the reference's logarithms overflow
    special = [np.inf, -np.inf, np.nan, 0.0, *([1e30, -1e30] if name != "layer norm" else [])]
    for row, value in enumerate(special):
        given[0][5 * row] = value
        given[0][5 * row + 1, rng.integers(columns)] = value
    results = []
    for wanted in (True, False):
        monkeypatch.setattr(lanes, "pays", lambda kernel, sizes, wanted=wanted: wanted)
        results.append(as_list(function(name)(*given)))
    rowwise = 2 if name == "layer norm" else len(results[0])  # the gradient for w mixes the rows
    assert_close(results[0][:rowwise], results[1][:rowwise])
    if name != "cross-entropy":
        expected = as_list(function(name, mode="reference")(*given))
        assert_close(results[0][:rowwise], expected[:rowwise])


def test_a_row_is_the_same_bits_wherever_it_lies(always):
    f = function("cross-entropy")
    a, b, scale, few = values(200, 10)
    losses, gradients = f(a, b, scale, few)
    for start, stop in [(0, 1), (3, 20), (64, 200), (100, 171), (199, 200)]:
        part, _ = f(a[start:stop], b[start:stop], scale, few[start:stop])
        assert (part == losses[start:stop]).all()
    assert gradients.shape == a.shape


def test_threads_do_not_change_the_result(monkeypatch):
    given = values(3 * lanes.MANY + 5, 10)
    results = []
    for threads in (1, 2, 3):
        monkeypatch.setattr(config, "threads", threads)
        results.append([function(name)(*given) for name in ("softmax", "cross-entropy")])
    for other in results[1:]:
        for a, b in zip(results[0], other):
            for left, right in zip(as_list(a), as_list(b)):
                assert left.tobytes() == right.tobytes()


def test_a_wrong_label_among_many_is_reported(always):
    f = function("cross-entropy")
    given = values(150, 10)
    given[3][149] = 10
    with pytest.raises(SymnetError, match="10"):
        f(*given)


def test_only_many_short_rows_compile_another_kernel(monkeypatch):
    texts = []
    compiled = bind.native_function
    monkeypatch.setattr(
        bind, "native_function", lambda text, *a, **k: texts.append(text) or compiled(text, *a, **k)
    )
    f = function("softmax")
    f(*values(8, 10))
    few = len(texts)
    f(*values(lanes.MANY - 1, 10))
    f(*values(lanes.MANY, lanes.SHORT + 1))
    assert len(texts) == few
    f(*values(lanes.MANY, 10))
    assert len(texts) == few + 1
    assert "transpose_in" in texts[-1]
    f(*values(lanes.MANY + 7, 12))
    assert len(texts) == few + 1


def test_kernels_that_lanes_do_not_suit():
    scattered = T.inc_subtensor(x[labels], y)
    for expression in (x.sum(), x.sum(axis=0), x + 1, scattered, T.nnet.softmax(x, axis=0)):
        f = symnet.function([x, y, labels], expression, on_unused_input="ignore")
        assert not any(map(lanes.suits, f.program.kernels))


def test_what_is_dead_lends_its_place():
    """Input, exponentials and result of a softmax share one array on the stack."""
    (kernel,) = function("softmax").program.kernels
    text = emit(kernel, "lanes")
    assert text.count(f"stack_float32({lanes.LANES * lanes.SHORT})") == 1
